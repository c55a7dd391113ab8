//! The cookie that binds an authorization attempt to the browser that began it.

use http::{HeaderMap, HeaderValue, header};
use secrecy::zeroize::Zeroizing;

use component_core::digest::{hex, sha256_hex};

/// A browser's 128 random bits.
///
/// WeChat's pages pass on nothing but the redirect address. Without this cookie, an attacker could
/// send a redirect of their own to a merchant's browser.
pub struct BrowserCookie(Zeroizing<String>);

/// `__Host-`: only this very host can set it, and only over a secure connection (or on the machine
/// itself).
const NAME: &str = "__Host-wechat_authorization";

/// Longer than any attempt lives.
const MAX_AGE_SECS: u32 = 3600;

const HEX_DIGITS: usize = 32;

impl BrowserCookie {
    /// A browser that was not seen before.
    pub fn new(random: [u8; HEX_DIGITS / 2]) -> Self {
        Self(Zeroizing::new(hex(&random)))
    }

    /// The browser whose cookie this is: two tabs share one, so that neither ends the other's
    /// attempt.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let cookies = headers.get_all(header::COOKIE).into_iter();
        let mut values = cookies
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|cookie| cookie.trim().strip_prefix(NAME)?.strip_prefix('='));
        let value = values.next()?;
        let ours = value.len() == HEX_DIGITS
            && value
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            && values.next().is_none();
        ours.then(|| Self(Zeroizing::new(value.to_owned())))
    }

    /// The name under which the table stores it.
    pub fn sha256(&self) -> String {
        sha256_hex(self.0.as_bytes())
    }

    /// The header that sets it. `Lax`: the redirect from WeChat's page is a navigation from another
    /// site.
    pub fn set_cookie(&self) -> Option<HeaderValue> {
        let cookie = format!(
            "{NAME}={}; Path=/; Max-Age={MAX_AGE_SECS}; Secure; HttpOnly; SameSite=Lax",
            *self.0
        );
        HeaderValue::from_str(&cookie).ok()
    }
}
