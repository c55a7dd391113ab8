//! Every function in one process, on embedded parts, with a simulated WeChat.
//!
//! [`emulators`] are what AWS keeps: a DynamoDB over HTTP, so that the real SDK and the real
//! expressions run, and the secret, which [`secrets`] answers for. [`functions`] are the six
//! handlers, wired as their own `main.rs` does it. [`door`] is the API Gateway in front of them,
//! [`triggers`] the stream and the schedules behind. `story` plays a whole life without a person.

pub mod emulators;
pub mod functions;
pub mod secrets;

pub mod door;
pub mod triggers;

pub mod story;

/// An error that ends the program, or a test.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
