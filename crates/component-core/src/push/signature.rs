//! `msg_signature`: the proof that a push comes from WeChat.

use std::time::Duration;

use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

use crate::query::each_once;
use crate::time::Timestamp;

/// The three query parameters that seal a push, well-formed and not yet checked.
pub(super) struct Seal<'a> {
    timestamp: &'a str,
    sealed_at: Timestamp,
    nonce: &'a str,
    msg_signature: &'a str,
}

/// How far a push's timestamp may be from now.
///
/// WeChat does not guarantee freshness, and its retries may reuse a timestamp: so it is wide. It
/// does not stop replays: what must happen once is keyed by the push's content.
const MAX_SKEW: Duration = Duration::from_hours(1);

/// SHA-1 in hex.
const SIGNATURE_CHARS: usize = 40;

/// The parameters that WeChat sends, each at most once. `signature` does not cover the body and is
/// never used.
/// Source: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/message_push.html>
const PARAMETERS: [&str; 5] = [
    "signature",
    "timestamp",
    "nonce",
    "encrypt_type",
    "msg_signature",
];

impl<'a> Seal<'a> {
    /// Takes the seal from a query, in which each parameter comes at most once and is not empty.
    /// The timestamp must be ten digits and close to `now`, the nonce 1 to 64 characters of
    /// `[A-Za-z0-9_-]`.
    ///
    /// Values with escapes are refused: no value of WeChat's needs one.
    pub(super) fn parse(query: &'a str, now: Timestamp) -> Option<Self> {
        let pairs = query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let found = each_once(pairs, PARAMETERS)?;
        if found.contains(&Some("")) {
            return None;
        }
        let [_, timestamp, nonce, encrypt_type, msg_signature] = found;
        let timestamp = timestamp?;
        let seal = Self {
            timestamp,
            sealed_at: Timestamp::from_secs(timestamp.parse().ok()?),
            nonce: nonce?,
            msg_signature: msg_signature?,
        };
        (encrypt_type.is_none_or(|value| value == "aes") && seal.is_well_formed(now))
            .then_some(seal)
    }

    /// Whether the push token `token` made this seal over `encrypt`, told in constant time.
    pub(super) fn matches(&self, token: &str, encrypt: &str) -> bool {
        let expected = sign(token, self.timestamp, self.nonce, encrypt);
        expected.ct_eq(self.msg_signature.as_bytes()).into()
    }

    /// When WeChat sealed the push, within an hour of now.
    pub(super) fn sealed_at(&self) -> Timestamp {
        self.sealed_at
    }

    fn is_well_formed(&self, now: Timestamp) -> bool {
        let digits =
            self.timestamp.len() == 10 && self.timestamp.bytes().all(|b| b.is_ascii_digit());
        let near = self.sealed_at <= now + MAX_SKEW && now <= self.sealed_at + MAX_SKEW;
        let nonce = (1..=64).contains(&self.nonce.len())
            && self
                .nonce
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        digits && near && nonce && self.msg_signature.len() == SIGNATURE_CHARS
    }
}

/// The `msg_signature` of a push, or of a reply: lower-case hex of SHA-1 over the four texts,
/// sorted and joined.
///
/// Source: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/message_push.html>
pub fn sign(token: &str, timestamp: &str, nonce: &str, encrypt: &str) -> [u8; SIGNATURE_CHARS] {
    let mut parts = [token, timestamp, nonce, encrypt];
    parts.sort_unstable();
    let mut hasher = Sha1::new();
    for part in parts {
        hasher.update(part);
    }
    // Not `digest::hex`: every forged push comes here, and must not cost an allocation.
    let mut hex = [0; SIGNATURE_CHARS];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(hasher.finalize()) {
        for (digit, nibble) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
            *digit = if nibble < 10 {
                b'0' + nibble
            } else {
                b'a' + nibble - 10
            };
        }
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMESTAMP: &str = "1700000001";
    const NOW: Timestamp = Timestamp::from_secs(1_700_000_001);

    #[track_caller]
    fn check(query: &str, now: Timestamp, taken: bool) {
        assert_eq!(Seal::parse(query, now).is_some(), taken, "{query}");
    }

    #[test]
    fn a_query_that_wechat_would_not_send_is_refused() {
        let signature = "0".repeat(SIGNATURE_CHARS);
        let query = |timestamp: &str, nonce: &str| {
            format!(
                "signature=x&timestamp={timestamp}&nonce={nonce}&encrypt_type=aes&msg_signature={signature}"
            )
        };
        let good = query(TIMESTAMP, "987654321");
        check(&good, NOW, true);
        check(&query(TIMESTAMP, &"n".repeat(64)), NOW, true);
        for (timestamp, nonce) in [
            ("", "n"),
            ("170000000", "n"),
            ("17000000011", "n"),
            ("1700000o01", "n"),
            ("+170000001", "n"),
            (TIMESTAMP, ""),
            (TIMESTAMP, "a.b"),
            (TIMESTAMP, "a%41"),
            (TIMESTAMP, &"n".repeat(65)),
        ] {
            check(&query(timestamp, nonce), NOW, false);
        }
        for name in [
            "timestamp",
            "nonce",
            "msg_signature",
            "signature",
            "encrypt_type",
        ] {
            check(&format!("{good}&{name}=1"), NOW, false);
        }
        for name in ["timestamp", "nonce", "msg_signature"] {
            check(
                &good.replace(&format!("&{name}="), &format!("&x{name}=")),
                NOW,
                false,
            );
        }
        check(&good.replace("=aes", "=raw"), NOW, false);
        check(&good[..good.len() - 1], NOW, false);
        check("", NOW, false);
    }

    #[test]
    fn a_timestamp_may_be_an_hour_off_and_no_more() {
        let query = format!(
            "timestamp={TIMESTAMP}&nonce=n&msg_signature={}",
            "0".repeat(SIGNATURE_CHARS)
        );
        let secs = NOW.as_secs();
        for (now, taken) in [
            (secs - 3601, false),
            (secs - 3600, true),
            (secs + 3600, true),
            (secs + 3601, false),
        ] {
            check(&query, Timestamp::from_secs(now), taken);
        }
    }

    fn query(timestamp: &str, nonce: &str) -> String {
        let signature = "0".repeat(SIGNATURE_CHARS);
        format!("timestamp={timestamp}&nonce={nonce}&msg_signature={signature}")
    }

    #[test]
    fn a_timestamp_is_ten_digits_even_where_another_writing_tells_the_same_time() {
        check(&query(&format!("0{TIMESTAMP}"), "n"), NOW, false);
        check(&query(&format!("+{TIMESTAMP}"), "n"), NOW, false);
        let of_nine_digits = Timestamp::from_secs(170_000_000);
        for timestamp in ["170000000", "+170000000"] {
            check(&query(timestamp, "n"), of_nine_digits, false);
        }
        check(&query("0170000000", "n"), of_nine_digits, true);
    }

    #[test]
    fn a_nonce_may_hold_letters_digits_underlines_and_hyphens() {
        for (nonce, taken) in [
            ("aZ09", true),
            ("_", true),
            ("-", true),
            ("a_b-c", true),
            ("a_b-c.", false),
            ("a+b", false),
            ("\u{e9}", false),
        ] {
            check(&query(TIMESTAMP, nonce), NOW, taken);
        }
    }
}
