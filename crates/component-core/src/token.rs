//! What WeChat gives us: tickets, codes and tokens. None of them can be printed.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::digest::sha256_hex;
use crate::time::Timestamp;

/// The ticket that WeChat pushes every ten minutes (`component_verify_ticket`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VerifyTicket {}

/// The token for calls as the component itself (`component_access_token`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ComponentAccessToken {}

/// The code that opens one authorization page (`pre_auth_code`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PreAuthCode {}

/// The code that a confirmed authorization yields (`authorization_code`, `auth_code`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthorizationCode {}

/// The token for calls on behalf of an authorizer (`authorizer_access_token`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthorizerAccessToken {}

/// The token that renews an authorizer's access token (`authorizer_refresh_token`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthorizerRefreshToken {}

/// A secret value of the kind `K`: never empty, opaque, kept whole with its prefix.
pub struct Secret<K> {
    value: SecretString,
    kind: PhantomData<fn() -> K>,
}

/// The overlap: how long WeChat accepts an access token after it has given the next one.
/// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/ticket-token/getAuthorizerAccessToken.html>
pub const OVERLAP: Duration = Duration::from_mins(5);

/// How long WeChat honours an access token that it has not replaced.
/// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/ticket-token/getAuthorizerAccessToken.html>
pub const ACCESS_TOKEN_LIFE: Duration = Duration::from_hours(2);

/// The longest value that is taken for a token; WeChat's are under 300 bytes.
const MAX_BYTES: usize = 2048;

impl<K> Secret<K> {
    /// Takes `text` unless it is empty, overlong or holds anything but visible ASCII.
    ///
    /// If no code was ever exchanged, WeChat leaves a refresh token out or sends it empty. That
    /// must not replace a good token, so there is no empty `Secret`.
    pub fn parse(text: &str) -> Option<Self> {
        let good = !text.is_empty()
            && text.len() <= MAX_BYTES
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        good.then(|| Self {
            value: SecretString::from(text),
            kind: PhantomData,
        })
    }

    /// The value, for the wire or the table and nothing else.
    pub fn expose(&self) -> &str {
        self.value.expose_secret()
    }

    /// SHA-256 of the value in lower-case hex: a name for it that tells nothing about it.
    pub fn sha256(&self) -> String {
        sha256_hex(self.expose().as_bytes())
    }
}

impl<K> Clone for Secret<K> {
    fn clone(&self) -> Self {
        Self {
            value: self.value.clone(),
            kind: PhantomData,
        }
    }
}

impl<K> PartialEq for Secret<K> {
    fn eq(&self, other: &Self) -> bool {
        self.expose()
            .as_bytes()
            .ct_eq(other.expose().as_bytes())
            .into()
    }
}

impl<K> Eq for Secret<K> {}

impl<K> fmt::Debug for Secret<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A secret and the moment until which it is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiring<K> {
    /// The value.
    pub secret: Secret<K>,
    /// Good before, not at, this moment.
    pub expires_at: Timestamp,
}

impl<K> Expiring<K> {
    /// Whether at `now` it is good for `duration` more.
    pub fn lasts(&self, now: Timestamp, duration: Duration) -> bool {
        now < self.expires_at && now + duration <= self.expires_at
    }
}

impl<K: Clone> Expiring<K> {
    /// The token with its expiry moved forward to `until`, if that is earlier.
    #[must_use]
    pub fn until(&self, until: Option<Timestamp>) -> Self {
        let expires_at = self.expires_at;
        Self {
            expires_at: until.map_or(expires_at, |until| expires_at.min(until)),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn nothing_blank_is_a_token() {
        for blank in ["", " ", "\n", "a b", "t\u{e9}", "a\0"] {
            assert!(
                Secret::<AuthorizerRefreshToken>::parse(blank).is_none(),
                "{blank:?}"
            );
        }
        assert!(Secret::<AuthorizerRefreshToken>::parse(&"a".repeat(MAX_BYTES + 1)).is_none());
        assert!(Secret::<AuthorizerRefreshToken>::parse("refreshtoken@@@a-b_c").is_some());
    }

    #[test]
    fn a_secret_does_not_print_itself() {
        let ticket = Secret::<VerifyTicket>::parse("ticket@@@SECRET").unwrap();
        assert_eq!(format!("{ticket:?}"), "[redacted]");
    }

    #[test]
    fn a_secrets_name_is_its_sha256() {
        assert_eq!(
            Secret::<VerifyTicket>::parse("abc").unwrap().sha256(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_token_lasts_until_its_expiry_and_not_a_second_longer() {
        let token = Expiring {
            secret: Secret::<ComponentAccessToken>::parse("t").unwrap(),
            expires_at: Timestamp::from_secs(100),
        };
        let at = |secs| Timestamp::from_secs(secs);
        assert!(token.lasts(at(99), Duration::ZERO));
        assert!(!token.lasts(at(100), Duration::ZERO));
        assert!(token.lasts(at(90), Duration::from_secs(10)));
        assert!(!token.lasts(at(91), Duration::from_secs(10)));
    }
}
