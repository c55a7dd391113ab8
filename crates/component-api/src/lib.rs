//! What a vendor's functions say to the stack, and hear from it: app ids, the request for a token
//! and its answer, and the codes of errors. It needs no AWS SDK and no network.

pub mod id;

pub mod code;
pub mod request;
