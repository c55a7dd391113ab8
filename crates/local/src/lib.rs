//! Every function in one process, on embedded parts, with a simulated WeChat.
//!
//! [`emulators`] are what AWS keeps: a DynamoDB over HTTP, so that the real SDK and the real
//! expressions run, the secret, which [`secrets`] answers for, and the bus, for which [`events`]
//! does; [`kept`] is a table in a file. [`functions`] are the seven handlers, wired as their own
//! `main.rs` does it; [`reply`] is the vendor's, if there is one. [`door`] is the API Gateway in
//! front of them, reached at an [`address`], [`triggers`] the stream and the schedules behind.
//! [`story`] plays a whole life without a person, [`release_check`] WeChat's. A person meets
//! [`options`], [`panel`] and [`log`].

pub mod emulators;
pub mod events;
pub mod functions;
pub mod kept;
pub mod reply;
pub mod secrets;

pub mod address;
pub mod door;
pub mod triggers;

pub mod log;
pub mod options;
pub mod panel;

pub mod release_check;
pub mod story;

/// An error that ends the program, or a test.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
