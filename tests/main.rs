//! Stories over the shipped handlers, one file a subject, all on `world`; and over their release binaries, on `processes`.

mod log;
mod simulation;
mod wire;
mod world;

#[cfg(target_os = "linux")]
mod gate;
#[cfg(target_os = "linux")]
mod processes;

mod authorization;
mod budgets;
#[cfg(target_os = "linux")]
mod crash;
mod events;
mod faults;
mod getter;
mod links;
mod model;
mod pages;
mod patience;
mod pushes;
mod reconcile;
mod references;
mod refresher;
mod schedules;
mod soak;
mod stacks;
#[cfg(target_os = "linux")]
mod stampede;
mod story;
