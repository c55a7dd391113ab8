//! The recipe of `docs/links.md` for Rust: the same text except for this line and the `pub(super)`.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

pub(super) fn authorization_link(
    start_url: &str,
    link_signing_key: &str,
    parameters: &[(&str, &str)],
) -> Result<String, base64::DecodeError> {
    let pair =
        |(name, value): &(&str, &str)| format!("{name}={}", utf8_percent_encode(value, ESCAPED));
    let mut pairs: Vec<String> = parameters.iter().map(pair).collect();
    pairs.sort_unstable();
    let query = pairs.join("&");
    let key = STANDARD.decode(link_signing_key)?;
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).expect("any length will do");
    mac.update(query.as_bytes());
    let signature: String = mac
        .finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(format!("{start_url}?{query}&signature={signature}"))
}
