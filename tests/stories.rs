//! What the functions do, as their callers see it: one file a subject, each on a world of its own.

// The merchant's way.
mod callback;
mod exchange;
mod links;
mod references;
mod start;

// WeChat's pushes.
mod pushes;

// The tokens.
mod getter;
mod reconcile;
mod refresher;
mod stacks;
mod waiting;

// All functions.
mod costs;
mod events;
mod story;
