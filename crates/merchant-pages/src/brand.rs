//! Who asks the merchant: the vendor's name, logo and colour on the pages.

use std::fmt;
use std::str::FromStr;

use url::Url;

mod color;

pub use color::Accent;

/// What a vendor wants to be recognized by; all of it may be missing.
#[derive(Clone, Debug, Default)]
pub struct Brand {
    /// What it is called.
    pub name: Option<VendorName>,
    /// Its logo, the one thing on a page that comes from elsewhere.
    pub logo: Option<LogoUrl>,
    /// The colour of buttons.
    pub accent: Accent,
}

/// A vendor's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VendorName(String);

/// The https address of a vendor's logo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoUrl(Url);

/// What a text should have been; completes the sentence "it is not ..".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Expected(&'static str);

const MAX_NAME_CHARS: usize = 60;

impl Brand {
    /// Whether a page can say who asks.
    pub(crate) fn is_named(&self) -> bool {
        self.name.is_some() || self.logo.is_some()
    }
}

impl FromStr for VendorName {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let chars = text.chars().count();
        let good = (1..=MAX_NAME_CHARS).contains(&chars)
            && !text.trim().is_empty()
            && !text.chars().any(char::is_control);
        good.then(|| Self(text.trim().to_owned()))
            .ok_or(Expected("a name of 1 to 60 characters"))
    }
}

impl fmt::Display for VendorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl LogoUrl {
    /// What the page's policy must name, or the browser does not load it.
    pub(crate) fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }
}

impl FromStr for LogoUrl {
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

impl fmt::Display for LogoUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logo_is_loaded_over_https_from_an_origin_that_can_be_named() {
        let logo: LogoUrl = "https://CDN.vendor.example:443/a b.png".parse().unwrap();
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
            assert!(wrong.parse::<LogoUrl>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_is_one_line() {
        let name: VendorName = " 好店 Good Shop ".parse().unwrap();
        assert_eq!(name.to_string(), "好店 Good Shop");
        for wrong in ["", "  ", "a\nb", &"店".repeat(61)] {
            assert!(wrong.parse::<VendorName>().is_err(), "{wrong:?}");
        }
    }
}
