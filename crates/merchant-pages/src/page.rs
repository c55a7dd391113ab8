//! The frame of the pages that merchants see: Chinese or English, in one style. Only the vendor's
//! logo comes from elsewhere.

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use sha2::{Digest, Sha256};

use crate::brand::Brand;
use component_api::id::AuthorizerAppId;

/// The language of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Simplified Chinese, unless the browser prefers English.
    Chinese,
    /// English.
    English,
}

/// A page around its main part.
pub struct Page<'a> {
    /// Its language.
    pub language: Language,
    /// Whose page it is.
    pub brand: &'a Brand,
    /// The browser's name for it.
    pub title: &'a str,
    /// Where its form, if it has one, may lead.
    pub form: Form<'a>,
}

/// Whether a page can be posted.
#[derive(Clone, Copy)]
pub enum Form<'a> {
    /// It has no form.
    None,
    /// To its own address, whose answer may lead on to these origins.
    LeadsTo(&'a [String]),
}

/// The main part of a page that says one thing, and what to do.
#[derive(Template)]
#[template(path = "message.html")]
pub struct Message<'a> {
    /// The sign above.
    pub mark: Mark,
    /// The heading.
    pub title: &'a str,
    /// Which account it is about.
    pub account: Option<Account<'a>>,
    /// What it says below.
    pub paragraphs: &'a [&'a str],
    /// What the merchant can do here.
    pub action: Option<Action<'a>>,
}

/// An account, as its merchant knows it.
pub struct Account<'a> {
    /// Its name, if WeChat has told it.
    pub name: Option<&'a str>,
    /// Its app id.
    pub appid: &'a AuthorizerAppId,
}

/// The sign above a message; what it means is said in words below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Done.
    Good,
    /// Not done.
    Bad,
    /// Not yet.
    Wait,
    /// Nothing was done, as the merchant wished, or there is nothing to do.
    Neutral,
}

/// The button of a message.
pub enum Action<'a> {
    /// Leads to an address; the empty one is the page itself, loaded again.
    Link {
        /// Its text.
        text: &'a str,
        /// Where it leads.
        href: &'a str,
    },
    /// Posts to the page's own address.
    Post {
        /// Its text.
        text: &'a str,
        /// Where the answer may lead on to.
        origins: &'a [String],
    },
}

#[derive(Template)]
#[template(path = "frame.html")]
struct Frame<'a> {
    language: Language,
    brand: &'a Brand,
    title: &'a str,
    style: &'a str,
    main: &'a str,
}

const STYLE: &str = include_str!("../templates/style.css");

impl Language {
    /// The language that `Accept-Language` asks for: English if it is wanted more than Chinese.
    pub fn of(headers: &HeaderMap) -> Self {
        let header = headers.get(header::ACCEPT_LANGUAGE);
        let wanted = header
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let weight = |language: &str| {
            let ranges = wanted.split(',').filter_map(|range| {
                let (tag, weight) = range.split_once(";q=").unwrap_or((range, "1"));
                let primary = tag.trim().split('-').next()?;
                let weight: f32 = weight.trim().parse().ok()?;
                primary.eq_ignore_ascii_case(language).then_some(weight)
            });
            ranges.fold(0.0, f32::max)
        };
        if weight("en") > weight("zh") {
            Self::English
        } else {
            Self::Chinese
        }
    }

    /// The one of two texts that is in this language.
    pub const fn of_two(self, chinese: &'static str, english: &'static str) -> &'static str {
        match self {
            Self::Chinese => chinese,
            Self::English => english,
        }
    }

    /// Its name in HTML.
    pub const fn tag(self) -> &'static str {
        self.of_two("zh-CN", "en")
    }
}

impl Page<'_> {
    /// The page as a response.
    pub fn response(&self, status: StatusCode, main: &impl Template) -> Response<String> {
        let style = self.brand.accent.css() + STYLE;
        // Writing to a string does not fail, and the templates call nothing that does.
        let main = main.render().unwrap_or_default();
        let frame = Frame {
            language: self.language,
            brand: self.brand,
            title: self.title,
            style: &style,
            main: &main,
        };
        let mut response = Response::new(frame.render().unwrap_or_default());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        guard(headers);
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        );
        if let Ok(policy) = HeaderValue::from_str(&self.policy(&style)) {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    }

    /// `form-action` also governs the redirect that answers the post, so it names where that leads.
    fn policy(&self, style: &str) -> String {
        let style = STANDARD.encode(Sha256::digest(style));
        let form_action = match self.form {
            Form::None => "'none'".to_owned(),
            Form::LeadsTo(origins) => format!("'self' {}", origins.join(" ")),
        };
        let logo = self.brand.logo.as_ref();
        let img_src = logo.map_or_else(String::new, |logo| format!("img-src {}; ", logo.origin()));
        format!(
            "default-src 'none'; {img_src}style-src 'sha256-{style}'; form-action {form_action}; base-uri 'none'; frame-ancestors 'none'"
        )
    }
}

impl Message<'_> {
    /// The message as a page.
    pub fn response(
        &self,
        status: StatusCode,
        language: Language,
        brand: &Brand,
    ) -> Response<String> {
        let form = match self.action {
            Some(Action::Post { origins, .. }) => Form::LeadsTo(origins),
            Some(Action::Link { .. }) | None => Form::None,
        };
        let page = Page {
            language,
            brand,
            title: self.title,
            form,
        };
        page.response(status, self)
    }
}

impl Mark {
    const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Wait => "wait",
            Self::Neutral => "neutral",
        }
    }

    /// A tick, an exclamation mark, the hands of a clock.
    const fn path(self) -> &'static str {
        match self {
            Self::Good => "m7 12.5 3.5 3.5L17 9",
            Self::Bad | Self::Neutral => "M12 6.5v7m0 3.5v.1",
            Self::Wait => "M12 6.5V12l3.5 2.5",
        }
    }
}

/// A redirect to `location`, after a post or at the end of an attempt.
pub fn see_other(location: &str) -> Response<String> {
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    guard(response.headers_mut());
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Sets the headers of every answer. WeChat's login page refuses a visitor without a Referer, so
/// `no-referrer` would break it.
fn guard(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "strict-origin-when-cross-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept_language: &str, language: Language) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_LANGUAGE, accept_language.parse().unwrap());
        assert_eq!(Language::of(&headers), language, "{accept_language}");
    }

    #[test]
    fn a_page_is_chinese_unless_the_browser_prefers_english() {
        assert_eq!(Language::of(&HeaderMap::new()), Language::Chinese);
        check("zh-CN,zh;q=0.9,en;q=0.8", Language::Chinese);
        check("en-US,en;q=0.9,zh-CN;q=0.8", Language::English);
        check("en", Language::English);
        check("de-DE,de;q=0.9,en;q=0.5", Language::English);
        check("de", Language::Chinese);
        check("*;q=x,,;", Language::Chinese);
    }

    const HOSTILE: &str = "</style><script>alert('\"')</script>&";

    #[test]
    fn every_text_of_a_page_is_escaped() {
        let brand = Brand {
            name: Some(HOSTILE.parse().unwrap()),
            logo: Some("https://cdn.example/'\"><script>".parse().unwrap()),
            ..Brand::default()
        };
        let appid = AuthorizerAppId::parse("wxfedcba9876543210").unwrap();
        let message = Message {
            mark: Mark::Good,
            title: HOSTILE,
            account: Some(Account {
                name: Some(HOSTILE),
                appid: &appid,
            }),
            paragraphs: &[HOSTILE],
            action: Some(Action::Link {
                text: HOSTILE,
                href: HOSTILE,
            }),
        };
        let response = message.response(StatusCode::OK, Language::English, &brand);
        let body = response.body();
        assert!(!body.contains("<script"), "{body}");
        assert_eq!(body.matches("</style>").count(), 1, "{body}");
        // Name and title twice each, account, paragraph, and the link's text and address.
        assert_eq!(body.matches("&#60;script&#62;").count(), 8, "{body}");
    }

    #[test]
    fn the_policy_knows_the_style_that_the_page_has() {
        for accent in ["#07863f", "#ffffff"] {
            let brand = Brand {
                accent: accent.parse().unwrap(),
                ..Brand::default()
            };
            let message = Message {
                mark: Mark::Bad,
                title: "",
                account: None,
                paragraphs: &[],
                action: None,
            };
            let response = message.response(StatusCode::OK, Language::Chinese, &brand);
            let (_, rest) = response.body().split_once("<style>").unwrap();
            let style = rest.split_once("</style>").unwrap().0;
            let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str();
            let hash = STANDARD.encode(Sha256::digest(style));
            let expected = format!("style-src 'sha256-{hash}'; form-action 'none';");
            assert!(policy.unwrap().contains(&expected), "{accent}");
        }
    }
}
