//! What the functions do for their callers: one file a subject, each test in a world of its own.

// The merchant's way from the link to the result.
mod callback;
mod exchange;
mod links;
mod references;
mod start;

// WeChat's pushes.
mod pushes;

// Messages and events of the accounts.
mod messages;

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
