//! Who asks the merchant: the vendor's name, logo, colour and addresses on the pages.

use std::fmt;
use std::str::FromStr;

use component_core::config::{self, Misconfigured};
use url::Url;

mod color;

pub use color::Accent;

/// What a vendor wants to be recognized by and reached at; all of it may be missing.
#[derive(Clone, Debug, Default)]
pub struct Brand {
    /// What it is called.
    pub name: Option<Line>,
    /// Its logo, the one thing on a page that comes from elsewhere.
    pub logo: Option<HttpsUrl>,
    /// The colour of buttons.
    pub accent: Accent,
    /// Where a merchant goes on after the result.
    pub url: Option<HttpsUrl>,
    /// Where a merchant finds help.
    pub support: Option<Support>,
    /// Its privacy policy.
    pub privacy: Option<HttpsUrl>,
    /// The site's registration with the Chinese authorities (ICP备案号).
    pub icp_number: Option<Line>,
}

/// One line of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line(String);

/// An https address without credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsUrl(Url);

/// A telephone number, an e-mail address, an https address, or words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Support(Line);

/// What a text should have been; completes the sentence "it is not ..".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Expected(&'static str);

const MAX_LINE_CHARS: usize = 60;

impl Brand {
    /// What the stack's parameters say.
    ///
    /// # Errors
    /// [`Misconfigured`] with the name of a variable that cannot be read.
    pub fn from_env() -> Result<Self, Misconfigured> {
        Ok(Self {
            name: config::parsed("VENDOR_NAME")?,
            logo: config::parsed("VENDOR_LOGO_URL")?,
            accent: config::parsed("VENDOR_ACCENT_COLOR")?.unwrap_or_default(),
            url: config::parsed("VENDOR_URL")?,
            support: config::parsed("VENDOR_SUPPORT")?,
            privacy: config::parsed("VENDOR_PRIVACY_URL")?,
            icp_number: config::parsed("ICP_NUMBER")?,
        })
    }
}

impl AsRef<str> for Line {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for Line {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let chars = text.chars().count();
        let good = (1..=MAX_LINE_CHARS).contains(&chars)
            && !text.trim().is_empty()
            && !text.chars().any(char::is_control);
        good.then(|| Self(text.trim().to_owned()))
            .ok_or(Expected("a line of 1 to 60 characters"))
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HttpsUrl {
    /// What the page's policy must name, or the browser does not load it.
    pub(crate) fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }
}

impl FromStr for HttpsUrl {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let url = Url::parse(text).ok();
        url.filter(|url| {
            url.scheme() == "https" && url.username().is_empty() && url.password().is_none()
        })
        .map(Self)
        .ok_or(Expected("an https URL"))
    }
}

impl fmt::Display for HttpsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl Support {
    /// Where a tap on it leads, if it is no plain words.
    pub(crate) fn href(&self) -> Option<String> {
        let text = self.0.as_ref();
        let of_number = |c: char| c.is_ascii_digit() || "+-() ".contains(c);
        let mailbox = |c: char| c.is_ascii_alphanumeric() || "@._+-".contains(c);
        if let Ok(url) = text.parse::<HttpsUrl>() {
            Some(url.to_string())
        } else if text.chars().all(of_number) && text.contains(|c: char| c.is_ascii_digit()) {
            let number: String = text.chars().filter(|c| !"-() ".contains(*c)).collect();
            Some(format!("tel:{number}"))
        } else if text.matches('@').count() == 1 && text.chars().all(mailbox) {
            Some(format!("mailto:{text}"))
        } else {
            None
        }
    }
}

impl FromStr for Support {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logo_is_loaded_over_https_from_an_origin_that_can_be_named() {
        let logo: HttpsUrl = "https://CDN.vendor.example:443/a b.png".parse().unwrap();
        assert_eq!(logo.to_string(), "https://cdn.vendor.example/a%20b.png");
        assert_eq!(logo.origin(), "https://cdn.vendor.example");
        for wrong in [
            "http://vendor.example/logo.png",
            "//vendor.example/logo.png",
            "data:image/png;base64,",
            "javascript:alert(1)",
            "https://user@vendor.example/",
            "logo.png",
        ] {
            assert!(wrong.parse::<HttpsUrl>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_is_one_line() {
        let name: Line = " 好店 Good Shop ".parse().unwrap();
        assert_eq!(name.to_string(), "好店 Good Shop");
        for wrong in ["", "  ", "a\nb", &"店".repeat(61)] {
            assert!(wrong.parse::<Line>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn help_is_a_tap_away() {
        let href = |text: &str| text.parse::<Support>().unwrap().href();
        let leads = |text: &str, to: &str| assert_eq!(href(text).as_deref(), Some(to));
        leads("400-800 1234", "tel:4008001234");
        leads("+86 (755) 1234", "tel:+867551234");
        leads("help@vendor.example", "mailto:help@vendor.example");
        leads("https://vendor.example/help", "https://vendor.example/help");
        for words in [
            "企业微信：小青",
            "http://vendor.example",
            "a@b@c",
            "a@b.example?cc=d",
            "javascript:alert(1)",
            "--",
        ] {
            assert_eq!(href(words), None, "{words}");
        }
    }
}
