//! What the functions do for their callers: one file a subject, each test in a world of its own.

// The merchant's way from the link to the result.
mod callback;
mod exchange;
mod links;
mod references;
mod start;

// WeChat's pushes.
mod pushes;

// What siblings are told: messages, events, changes of the accounts.
mod changes;
mod messages;
mod other_notices;

// The tokens.
mod getter;
mod loads;
mod odd_answers;
mod reconcile;
mod refresher;
mod sick_accounts;
mod stacks;
mod waiting;

// What the table holds.
mod rows;

// All functions.
mod costs;
mod doors;
mod events;
mod story;

// The programs of this machine.
#[cfg(target_os = "linux")]
mod programs;
