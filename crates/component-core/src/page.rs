//! The frame of the pages that merchants see: Chinese or English, one style, nothing from elsewhere.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use sha2::{Digest, Sha256};

/// The language of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Simplified Chinese, unless the browser prefers English.
    Chinese,
    /// English.
    English,
}

/// A page, in one language.
pub struct Page<'a> {
    /// Its language.
    pub language: Language,
    /// Its heading and title.
    pub title: &'a str,
    /// What it says below; escaped here.
    pub paragraphs: &'a [&'a str],
    /// The text of a button that posts to the page's own address.
    pub button: Option<&'a str>,
    /// Origins that the post may lead to.
    pub form_origins: &'a [&'a str],
}

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1a1a1a;--paper:#f5f6f7;--card:#fff;--accent:#07863f}\
@media(prefers-color-scheme:dark){:root{--ink:#ececec;--paper:#111;--card:#1c1c1c;--accent:#3ecb7a}}\
*{box-sizing:border-box}\
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:16px;background:var(--paper);color:var(--ink);\
font:16px/1.6 system-ui,\"PingFang SC\",\"Microsoft YaHei\",sans-serif}\
main{width:100%;max-width:420px;padding:32px 24px;border-radius:12px;background:var(--card)}\
h1{margin:0 0 12px;font-size:22px;line-height:1.3}\
p{margin:0 0 12px;overflow-wrap:anywhere}\
button{width:100%;min-height:48px;margin-top:12px;border:0;border-radius:8px;background:var(--accent);color:var(--card);\
font:inherit;font-weight:600;cursor:pointer}\
button:focus-visible{outline:3px solid var(--ink);outline-offset:2px}";

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

    const fn tag(self) -> &'static str {
        self.of_two("zh-CN", "en")
    }
}

impl Page<'_> {
    /// The page as a response.
    pub fn response(&self, status: StatusCode) -> Response<String> {
        let title = escape(self.title);
        let paragraphs = self.paragraphs.iter().fold(String::new(), |html, text| {
            html + "<p>" + &escape(text) + "</p>\n"
        });
        let button = self.button.map_or_else(String::new, |text| {
            format!(
                "<form method=\"post\"><button>{}</button></form>\n",
                escape(text)
            )
        });
        let html = format!(
            "<!doctype html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{paragraphs}{button}</main>\n</body>\n</html>\n",
            self.language.tag()
        );
        let mut response = Response::new(html);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        guard(headers);
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        );
        if let Ok(policy) = HeaderValue::from_str(&self.policy()) {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    }

    /// `form-action` also governs the redirect that answers the post, so it names where that leads.
    fn policy(&self) -> String {
        let style = STANDARD.encode(Sha256::digest(STYLE));
        let mut form_action = if self.button.is_some() {
            "'self'"
        } else {
            "'none'"
        }
        .to_owned();
        for origin in self.form_origins {
            form_action.push(' ');
            form_action.push_str(origin);
        }
        format!(
            "default-src 'none'; style-src 'sha256-{style}'; form-action {form_action}; base-uri 'none'; frame-ancestors 'none'"
        )
    }
}

/// A redirect to `location` after a post or at the end of the way.
pub fn see_other(location: &str) -> Response<String> {
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    guard(response.headers_mut());
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Of every answer. WeChat's login page refuses a visitor without a Referer, so `no-referrer` would break it.
fn guard(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "strict-origin-when-cross-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
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
    fn whatever_stands_on_a_page_is_escaped() {
        let page = Page {
            language: Language::English,
            title: "<script>",
            paragraphs: &["\"'&"],
            button: None,
            form_origins: &[],
        };
        let response = page.response(StatusCode::OK);
        assert!(response.body().contains("<h1>&lt;script&gt;</h1>"));
        assert!(response.body().contains("<p>&quot;&#39;&amp;</p>"));
    }
}
