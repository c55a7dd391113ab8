//! What must hold whatever fails, told by faults, a model checker, simulated lives and killed
//! processes.

mod faults;

mod model;

mod lives;
mod simulation;
mod soak;

#[cfg(target_os = "linux")]
mod cold_start;
#[cfg(target_os = "linux")]
mod crash;
#[cfg(target_os = "linux")]
mod doors;
#[cfg(target_os = "linux")]
mod outage;
#[cfg(target_os = "linux")]
mod stampede;
