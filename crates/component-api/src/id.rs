//! App ids: the component's own and those of the accounts that authorized it.

use std::fmt;

/// The app id of the third-party platform itself (`component_appid`).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ComponentAppId(String);

/// The app id of a public account or mini program that authorizes the component
/// (`authorizer_appid`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthorizerAppId(String);

/// A text that is not an app id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an app id is `wx` and 16 lower-case hexadecimal digits")]
pub struct NotAnAppId;

impl ComponentAppId {
    /// Takes `text` if it has the form of an app id.
    ///
    /// # Errors
    /// [`NotAnAppId`].
    pub fn parse(text: &str) -> Result<Self, NotAnAppId> {
        is_app_id(text)
            .then(|| Self(text.to_owned()))
            .ok_or(NotAnAppId)
    }

    /// The 18 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AuthorizerAppId {
    /// Takes `text` if it has the form of an app id.
    ///
    /// # Errors
    /// [`NotAnAppId`].
    pub fn parse(text: &str) -> Result<Self, NotAnAppId> {
        is_app_id(text)
            .then(|| Self(text.to_owned()))
            .ok_or(NotAnAppId)
    }

    /// The 18 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 16 hexadecimal digits as a number: eight bytes where a million ids must be held at once.
    pub fn number(&self) -> u64 {
        self.0
            .get(2..)
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .unwrap_or_default()
    }
}

// App ids are in every WeChat URL and in every log line: they are names, not secrets.
impl fmt::Debug for ComponentAppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AuthorizerAppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for AuthorizerAppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_app_id(text: &str) -> bool {
    text.strip_prefix("wx").is_some_and(|digits| {
        digits.len() == 16
            && digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_id_is_wx_and_sixteen_lower_case_hex_digits() {
        assert_eq!(
            AuthorizerAppId::parse("wxfedcba9876543210").map(|id| id.number()),
            Ok(0xfedc_ba98_7654_3210)
        );
        for wrong in [
            "",
            "wx",
            "wxfedcba987654321",
            "wxfedcba98765432100",
            "wxFEDCBA9876543210",
            "WXfedcba9876543210",
            "wxfedcba987654321g",
            "wxfedcba98765432\u{e9}",
            " wxfedcba987654321",
        ] {
            assert_eq!(ComponentAppId::parse(wrong), Err(NotAnAppId), "{wrong:?}");
        }
    }
}
