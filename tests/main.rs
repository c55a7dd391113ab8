//! Stories over the shipped handlers, tests of reliability, and the world that both run in.

mod reliability;
mod stories;
mod world;
