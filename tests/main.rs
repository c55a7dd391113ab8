//! Stories over the shipped handlers, one file a subject, all on `world`.

mod log;
mod wire;
mod world;

mod authorization;
mod budgets;
mod events;
mod faults;
mod getter;
mod patience;
mod pushes;
mod reconcile;
mod refresher;
mod stacks;
mod story;
