//! What must hold whatever fails: the rules in a model checker, the handlers in simulated lives, the release binaries killed.

mod faults;

mod model;

mod lives;
mod simulation;
mod soak;

#[cfg(target_os = "linux")]
mod crash;
#[cfg(target_os = "linux")]
mod stampede;
