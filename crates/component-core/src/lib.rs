//! The nouns of a WeChat third-party platform (a *component*), and the one way each of its tokens is renewed.
//!
//! Read it from the top: what things are called ([`id`], [`time`], [`token`]), what WeChat pushes ([`push`]), what may
//! happen to a token ([`lease`], [`component`], [`authorizer`], [`ladder`]: no I/O), where tokens come from and where they are kept
//! ([`wechat`], [`store`], [`credentials`]), and the flows over all of it ([`renew`], [`exchange`], [`notices`]).

// Nouns. No I/O, no clock.
pub mod id;
pub mod time;
pub mod token;

pub mod push;

// What merchants' browsers see.
pub mod browser;
pub mod page;
pub mod vendor;

// Decisions. No I/O, no clock.
pub mod lease;

pub mod authorizer;
pub mod component;
pub mod ladder;

// I/O.
pub mod aws;
pub mod credentials;
pub mod http;
pub mod store;
pub mod wechat;

// Flows.
pub mod renew;

pub mod exchange;

pub mod notices;

// Around all of it.
pub mod env;
pub mod error;
