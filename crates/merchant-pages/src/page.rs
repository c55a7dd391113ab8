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

/// What all pages that answer one request share.
pub struct Setting<'a> {
    /// The language that the merchant reads.
    pub language: Language,
    /// Whose page it is.
    pub brand: &'a Brand,
    /// Who asks: the vendor's name or, without one, the host that the browser has called.
    pub vendor: &'a str,
    /// The page's own query in the other language; `None` if its address must not be written into
    /// the page.
    other_language: Option<String>,
}

/// A page around its main part.
pub struct Page<'a> {
    /// What it shares with the other pages.
    pub setting: &'a Setting<'a>,
    /// The browser's name for it.
    pub title: &'a str,
    /// Where its form, if it has one, may lead.
    pub form: Form<'a>,
    /// What it runs; its policy allows nothing else.
    pub script: Option<&'a str>,
    /// What the foot says above the links.
    pub foot: Option<&'a str>,
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
    /// Where the merchant goes back to: the button, unless there is an action.
    pub back: Option<Back<'a>>,
    /// What is not for the merchant, but for the vendor, who made the link.
    pub small_print: Option<&'a str>,
}

/// A way back to the vendor.
pub struct Back<'a> {
    /// Its text.
    pub text: &'a str,
    /// Where it leads.
    pub href: &'a str,
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
    vendor: &'a str,
    other_language: Option<&'a str>,
    page: &'a Page<'a>,
    style: &'a str,
    main: &'a str,
}

const STYLE: &str = include_str!("../templates/style.css");

impl<'a> Setting<'a> {
    /// As the browser asks for it, with `query` naming a language or not.
    pub fn new(brand: &'a Brand, headers: &'a HeaderMap, query: &str) -> Self {
        let language = Language::chosen(query).unwrap_or_else(|| Language::of(headers));
        let host = headers.get(header::HOST);
        let host = host.and_then(|host| host.to_str().ok());
        let nameless = language.of_two("您的服务商", "your service provider");
        Self {
            language,
            brand,
            vendor: match &brand.name {
                Some(name) => name.as_ref(),
                None => host.filter(|host| !host.is_empty()).unwrap_or(nameless),
            },
            other_language: None,
        }
    }

    /// With a switch to the other language, which keeps the rest of the page's `query`.
    ///
    /// The language that a link names itself may be signed with it, so the merchant's choice comes
    /// after it.
    #[must_use]
    pub fn with_switch(mut self, query: &str) -> Self {
        let mut pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
        if pairs.iter().filter(|pair| is_language(pair)).count() > 1
            && let Some(last) = pairs.iter().rposition(|pair| is_language(pair))
        {
            pairs.remove(last);
        }
        let other = self.language.of_two("lang=en", "lang=zh");
        pairs.push(other);
        self.other_language = Some(pairs.join("&"));
        self
    }
}

/// Whether a pair of a query names the language, which a merchant may choose.
pub fn is_language(pair: &str) -> bool {
    pair.starts_with("lang=")
}

impl Language {
    /// The language that a query names.
    fn chosen(query: &str) -> Option<Self> {
        match query.split('&').rev().find(|pair| is_language(pair))? {
            "lang=zh" => Some(Self::Chinese),
            "lang=en" => Some(Self::English),
            _ => None,
        }
    }

    /// The language that `Accept-Language` asks for: English if it is wanted more than Chinese.
    fn of(headers: &HeaderMap) -> Self {
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
        let setting = self.setting;
        let style = setting.brand.accent.css() + STYLE;
        // Writing to a string does not fail, and the templates call nothing that does.
        let main = main.render().unwrap_or_default();
        let frame = Frame {
            language: setting.language,
            brand: setting.brand,
            vendor: setting.vendor,
            other_language: setting.other_language.as_deref(),
            page: self,
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
        let script_src = self.script.map_or_else(String::new, |script| {
            let script = STANDARD.encode(Sha256::digest(script));
            format!("script-src 'sha256-{script}'; ")
        });
        let form_action = match self.form {
            Form::None => "'none'".to_owned(),
            Form::LeadsTo(origins) => format!("'self' {}", origins.join(" ")),
        };
        let logo = self.setting.brand.logo.as_ref();
        let img_src = logo.map_or_else(String::new, |logo| format!("img-src {}; ", logo.origin()));
        format!(
            "default-src 'none'; {img_src}{script_src}style-src 'sha256-{style}'; form-action {form_action}; base-uri 'none'; frame-ancestors 'none'"
        )
    }
}

impl Message<'_> {
    /// The message as a page.
    pub fn response(&self, status: StatusCode, setting: &Setting<'_>) -> Response<String> {
        let form = match self.action {
            Some(Action::Post { origins, .. }) => Form::LeadsTo(origins),
            Some(Action::Link { .. }) | None => Form::None,
        };
        let page = Page {
            setting,
            title: self.title,
            form,
            script: None,
            foot: None,
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

    #[test]
    fn a_merchants_choice_of_language_counts_more_than_the_browsers() {
        let brand = Brand::default();
        let headers = HeaderMap::new();
        let language = |query: &str| Setting::new(&brand, &headers, query).language;
        for english in ["lang=en", "a=b&lang=en", "lang=zh&lang=en"] {
            assert_eq!(language(english), Language::English, "{english}");
        }
        for chinese in ["", "lang=fr", "slang=en", "lang", "lang=en&lang=zh"] {
            assert_eq!(language(chinese), Language::Chinese, "{chinese}");
        }
        let switch = |query: &str| {
            let setting = Setting::new(&brand, &headers, query).with_switch(query);
            setting.other_language.unwrap()
        };
        assert_eq!(switch(""), "lang=en");
        assert_eq!(
            switch("lang=en&reference=a%20b&"),
            "lang=en&reference=a%20b&lang=zh"
        );
        assert_eq!(switch("lang=en&a=b&lang=zh"), "lang=en&a=b&lang=en");
    }

    #[test]
    fn a_page_without_a_name_says_which_host_asks() {
        let mut headers = HeaderMap::new();
        let mut brand = Brand::default();
        assert_eq!(Setting::new(&brand, &headers, "").vendor, "您的服务商");
        headers.insert(header::HOST, "wx.haodian.example".parse().unwrap());
        let vendor = Setting::new(&brand, &headers, "").vendor;
        assert_eq!(vendor, "wx.haodian.example");
        brand.name = Some("好店".parse().unwrap());
        assert_eq!(Setting::new(&brand, &headers, "").vendor, "好店");
    }

    const HOSTILE: &str = "</style><script>alert('\"')</script>&";

    #[test]
    fn every_text_of_a_page_is_escaped() {
        let brand = Brand {
            name: Some(HOSTILE.parse().unwrap()),
            logo: Some("https://cdn.example/'\"><script>".parse().unwrap()),
            url: Some("https://a.example/'\"><script>".parse().unwrap()),
            support: Some(HOSTILE.parse().unwrap()),
            privacy: Some("https://a.example/'\"><script>".parse().unwrap()),
            icp_number: Some(HOSTILE.parse().unwrap()),
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
            back: Some(Back {
                text: HOSTILE,
                href: HOSTILE,
            }),
            small_print: Some(HOSTILE),
        };
        let headers = HeaderMap::new();
        let setting = Setting::new(&brand, &headers, HOSTILE).with_switch(HOSTILE);
        let response = message.response(StatusCode::OK, &setting);
        let body = response.body();
        assert!(!body.contains("<script"), "{body}");
        assert_eq!(body.matches("</style>").count(), 1, "{body}");
        // Name and title twice each, account, paragraph, action and way back twice each, small print,
        // support, registration, and the switch.
        assert_eq!(body.matches("&#60;script&#62;").count(), 14, "{body}");
    }

    #[test]
    fn the_policy_knows_the_style_and_the_script_that_the_page_has() {
        let page = |brand: &Brand, script| {
            let headers = HeaderMap::new();
            let setting = Setting::new(brand, &headers, "");
            let page = Page {
                setting: &setting,
                title: "",
                form: Form::None,
                script,
                foot: None,
            };
            let main = Message {
                mark: Mark::Bad,
                title: "",
                account: None,
                paragraphs: &[],
                action: None,
                back: None,
                small_print: None,
            };
            page.response(StatusCode::OK, &main)
        };
        let hash_of = |body: &str, tag: &str| {
            let (_, rest) = body.split_once(&format!("<{tag}>")).unwrap();
            let text = rest.split_once(&format!("</{tag}>")).unwrap().0;
            STANDARD.encode(Sha256::digest(text))
        };
        for accent in ["#07863f", "#ffffff"] {
            let brand = Brand {
                accent: accent.parse().unwrap(),
                ..Brand::default()
            };
            for script in [None, Some("copy();")] {
                let response = page(&brand, script);
                let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str();
                let policy = policy.unwrap();
                let style = hash_of(response.body(), "style");
                let expected = format!("style-src 'sha256-{style}'; form-action 'none';");
                assert!(policy.contains(&expected), "{accent}");
                if script.is_some() {
                    let script = hash_of(response.body(), "script");
                    let expected = format!("; script-src 'sha256-{script}'; ");
                    assert!(policy.contains(&expected), "{policy}");
                } else {
                    assert!(!policy.contains("script-src"), "{policy}");
                }
            }
        }
    }
}
