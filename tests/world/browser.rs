//! The merchant's browser, and checks of what it shows.

use http::{HeaderMap, Request, Response, StatusCode, header};
use url::Url;

use super::{HOST, World, deadline};

pub(crate) const ENGLISH: &str = "en-GB,en;q=0.9,zh;q=0.5";

/// The merchant's browser: it keeps the cookie of the start page.
#[derive(Clone, Default)]
pub(crate) struct Browser {
    pub(crate) cookie: Option<String>,
    pub(crate) user_agent: Option<&'static str>,
}

impl Browser {
    pub(crate) fn request(&self, method: &str, address: &str) -> Request<Vec<u8>> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HOST.parse().unwrap());
        headers.insert("x-forwarded-proto", "https".parse().unwrap());
        if let Some(cookie) = &self.cookie {
            headers.insert(header::COOKIE, cookie.parse().unwrap());
        }
        if let Some(agent) = self.user_agent {
            headers.insert(header::USER_AGENT, agent.parse().unwrap());
        }
        let mut request = Request::builder().method(method).uri(address);
        *request.headers_mut().unwrap() = headers;
        request.body(Vec::new()).unwrap()
    }

    pub(crate) fn remember(&mut self, response: &Response<String>) {
        if let Some(cookie) = response.headers().get(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            self.cookie = cookie.split(';').next().map(str::to_owned);
        }
    }
}

impl World {
    /// The merchant clicks on the start page.
    pub(crate) async fn click(&self, browser: &mut Browser, query: &str) -> Response<String> {
        let request = browser.request("POST", &format!("/auth/start?{query}"));
        let response = self.functions.auth_start.handle(request, deadline()).await;
        browser.remember(&response);
        response
    }

    /// The merchant's browser loads the callback address to which WeChat sent it.
    pub(crate) async fn come_back(&self, browser: &Browser, address: &str) -> Response<String> {
        let request = browser.request("GET", address);
        self.functions
            .auth_callback
            .handle(request, deadline())
            .await
    }

    /// From the click to WeChat's redirect: the address of the callback, and WeChat's notice, which
    /// is not pushed.
    pub(crate) async fn consent(&self, browser: &mut Browser, appid: &str) -> (String, String) {
        self.consent_by(browser, "", appid).await
    }

    /// As [`World::consent`], by a link with this query.
    pub(crate) async fn consent_by(
        &self,
        browser: &mut Browser,
        query: &str,
        appid: &str,
    ) -> (String, String) {
        let clicked = self.click(browser, query).await;
        assert_eq!(clicked.status(), StatusCode::SEE_OTHER);
        let page = location(&clicked);
        let consent = self
            .simulator
            .consent_unpushed(&parameter(&page, "pre_auth_code"), appid);
        let consent = consent.unwrap();
        let mut back = Url::parse(&parameter(&page, "redirect_uri")).unwrap();
        back.query_pairs_mut()
            .append_pair("auth_code", &consent.auth_code)
            .append_pair("expires_in", &consent.expires_in.to_string());
        (back.into(), consent.notice)
    }
}

pub(crate) fn location(response: &Response<String>) -> Url {
    let location = response
        .headers()
        .get(header::LOCATION)
        .expect("a Location");
    Url::parse(location.to_str().unwrap()).unwrap()
}

pub(crate) fn parameter(url: &Url, name: &str) -> String {
    let found = url.query_pairs().find(|(key, _)| key == name);
    found
        .unwrap_or_else(|| panic!("{url} has no {name}"))
        .1
        .into_owned()
}

#[track_caller]
pub(crate) fn head<'a>(response: &'a Response<String>, name: &str) -> &'a str {
    let value = response.headers().get(name);
    let value = value.unwrap_or_else(|| panic!("no {name}"));
    value.to_str().unwrap()
}

/// What holds for every page; no page holds a secret.
#[track_caller]
pub(crate) fn check_page(response: &Response<String>, status: StatusCode, title: &str) {
    let body = response.body();
    assert_eq!(response.status(), status, "{body}");
    assert!(body.contains(&format!("<h1>{title}</h1>")), "{body}");
    assert_eq!(head(response, "content-type"), "text/html; charset=utf-8");
    assert_eq!(head(response, "cache-control"), "no-store");
    assert_eq!(
        head(response, "referrer-policy"),
        "strict-origin-when-cross-origin"
    );
    assert_eq!(head(response, "x-content-type-options"), "nosniff");
    let policy = head(response, "content-security-policy");
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    // Tickets, codes and refresh tokens share the first mark, access tokens have the last.
    for mark in ["@@@", "%40%40%40", "73_"] {
        assert!(!body.contains(mark), "{body}");
    }
    assert!(!response.headers().contains_key(header::LOCATION));
}

pub(crate) async fn visit(
    world: &World,
    method: &str,
    query: &str,
    language: &str,
) -> Response<String> {
    let mut request = Browser::default().request(method, &format!("/auth/start?{query}"));
    let language = language.parse().unwrap();
    request
        .headers_mut()
        .insert(header::ACCEPT_LANGUAGE, language);
    let functions = &world.functions;
    functions.auth_start.handle(request, deadline()).await
}
