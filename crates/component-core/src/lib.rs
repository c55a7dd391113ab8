//! The nouns of a WeChat third-party platform (a *component*), and the one way each of its tokens
//! is renewed.
//!
//! Read it from the top: what things are called ([`time`], [`token`], [`digest`], [`query`]), how
//! requests arrive ([`door`]), what WeChat pushes ([`push`]), what can happen to a stored token
//! ([`row`]: no I/O), where tokens come from and where they are kept ([`wechat`], [`store`],
//! [`credentials`]), and the flows over all of it ([`component`]).

// Nouns. No I/O, no clock.
pub mod digest;
pub mod query;
pub mod release_check;
pub mod time;
pub mod token;

pub mod door;
pub mod push;

// Decisions. No I/O, no clock.
pub mod row;

// I/O.
pub mod aws;
pub mod bus;
pub mod chance;
pub mod credentials;
pub mod http;
pub mod store;
pub mod wechat;

// Flows.
pub mod component;

// Around all of it.
pub mod config;
pub mod error;
