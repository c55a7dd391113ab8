//! What merchants' browsers get: pages in Chinese or English, with the vendor's brand on them, and
//! the cookie that binds an authorization attempt to its browser.

pub mod brand;
pub mod cookie;
pub mod page;

/// The path of the start page, to which every way back leads.
pub const START_PATH: &str = "/auth/start";
