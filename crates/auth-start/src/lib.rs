//! link -> page -> click -> pre-auth code -> WeChat's page.

use component_core::browser::Browser;
use component_core::error::Error;
use component_core::page::{self, Language, Page};
use component_core::renew::Tokens;
use component_core::store::Start;
use component_core::time::Deadline;
use component_core::token::{PreAuthCode, Secret, hex};
use lambda_http::http::{HeaderMap, Method, StatusCode, header};
use lambda_http::{Request, Response};
use url::Url;

mod link;

use link::{Link, LinkError};

/// Leads merchants to WeChat's authorization page.
pub struct AuthStart {
    /// The component token, and where attempts are kept.
    pub tokens: Tokens,
    /// WeChat's pages for PCs and for its own browser.
    pub pages: Pages,
    /// Origins that a link's `return_to` may name.
    pub return_origins: Vec<String>,
}

/// Where WeChat's two authorization pages are.
pub struct Pages {
    /// `https://mp.weixin.qq.com`.
    pub mp: Url,
    /// `https://open.weixin.qq.com`.
    pub open: Url,
}

impl AuthStart {
    /// Answers a visit, which changes nothing, or a click.
    pub async fn handle(&self, request: Request, deadline: Deadline) -> Response<String> {
        let language = Language::of(request.headers());
        let link = match self.link(&request).await {
            Ok(link) => link,
            Err(error) => return refuse(language, error),
        };
        match *request.method() {
            Method::GET | Method::HEAD => self.start_page(language),
            Method::POST => match self.click(&link, request.headers(), deadline).await {
                Ok(response) => response,
                Err(error) => {
                    error.log("starting an authorization");
                    unavailable(language)
                }
            },
            _ => refuse(language, LinkError::Malformed),
        }
    }

    async fn link(&self, request: &Request) -> Result<Link, LinkError> {
        let query = request.uri().query().unwrap_or_default();
        let credentials = self.tokens.vault.current().await;
        let now = self.tokens.clock.now();
        let link = Link::parse(query, &self.return_origins)?;
        if let Some(key) = &credentials.link_signing_key {
            link::check_signature(query, key, now)?;
        }
        Ok(link)
    }

    fn start_page(&self, language: Language) -> Response<String> {
        let origins =
            [&self.pages.mp, &self.pages.open].map(|url| url.origin().ascii_serialization());
        Page {
            language,
            title: language.of_two("授权您的公众号或小程序", "Authorize your account"),
            paragraphs: &[
                language.of_two(
                    "点击下方按钮，前往微信官方页面，由账号管理员扫码确认授权。",
                    "The button leads to WeChat's own page, where the account's administrator confirms by scanning.",
                ),
                language.of_two(
                    "您可以随时在微信公众平台取消授权。",
                    "The authorization can be withdrawn at any time on WeChat's platform.",
                ),
            ],
            button: Some(language.of_two("前往微信授权", "Continue to WeChat")),
            form_origins: &origins.each_ref().map(String::as_str),
        }
        .response(StatusCode::OK)
    }

    async fn click(
        &self,
        link: &Link,
        headers: &HeaderMap,
        deadline: Deadline,
    ) -> Result<Response<String>, Error> {
        let origin = our_origin(headers).ok_or(Error::InvalidRequest("it has no Host"))?;
        let tokens = &self.tokens;
        let started_at = tokens.clock.now();
        let code = tokens
            .as_component(deadline, |token, component| async move {
                tokens
                    .wechat
                    .create_preauthcode(&token, &component, deadline)
                    .await
            })
            .await?;
        let browser = Browser::of(headers).unwrap_or_else(|| Browser::new(rand::random()));
        let state = hex(&rand::random::<[u8; 16]>());
        let start = Start {
            browser: browser.sha256(),
            started_at,
            expires_at: code.expires_at,
            reference: link.reference.clone(),
            return_to: link.return_to.clone(),
        };
        tokens.store.put_start(&state, &start).await?;
        tracing::info!("a merchant goes to WeChat's authorization page");
        let credentials = tokens.vault.current().await;
        let component = credentials.push.component_appid.as_str();
        let back = format!("{origin}/auth/callback?state={state}");
        let there = self.wechat_page(headers, link, component, &code.secret, &back);
        let mut response = page::see_other(there.as_str());
        if let Some(cookie) = browser.set_cookie() {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        Ok(response)
    }

    /// Source: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/Authorization_Process_Technical_Description.html>
    fn wechat_page(
        &self,
        headers: &HeaderMap,
        link: &Link,
        component: &str,
        code: &Secret<PreAuthCode>,
        back: &str,
    ) -> Url {
        let agent = headers
            .get(header::USER_AGENT)
            .and_then(|value| value.to_str().ok());
        let in_wechat = agent.is_some_and(|agent| agent.contains("MicroMessenger"));
        let mut page = if in_wechat {
            &self.pages.open
        } else {
            &self.pages.mp
        }
        .clone();
        if in_wechat {
            page.set_path("/wxaopen/safe/bindcomponent");
            page.query_pairs_mut()
                .append_pair("action", "bindcomponent")
                .append_pair("no_scan", "1");
            page.set_fragment(Some("wechat_redirect"));
        } else {
            page.set_path("/cgi-bin/componentloginpage");
        }
        page.query_pairs_mut()
            .append_pair("component_appid", component)
            .append_pair("pre_auth_code", code.expose())
            .append_pair("redirect_uri", back)
            .append_pair("auth_type", &link.auth_type);
        if let Some(appid) = &link.biz_appid {
            page.query_pairs_mut()
                .append_pair("biz_appid", appid.as_str());
        }
        if let Some(list) = &link.category_id_list {
            page.query_pairs_mut().append_pair("category_id_list", list);
        }
        page
    }
}

/// The address by which the browser knows us: WeChat compares its host with the Referer's and with the console's.
fn our_origin(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let proto = text(header::HeaderName::from_static("x-forwarded-proto"));
    let proto = if proto == Some("http") {
        "http"
    } else {
        "https"
    };
    let origin = Url::parse(&format!("{proto}://{}", text(header::HOST)?)).ok()?;
    let bare = origin.path() == "/" && origin.query().is_none() && origin.username().is_empty();
    bare.then(|| origin.origin().ascii_serialization())
}

fn refuse(language: Language, error: LinkError) -> Response<String> {
    let ask = language.of_two(
        "请联系为您提供此链接的服务商，获取新的链接。",
        "Ask whoever gave you this link for a new one.",
    );
    let what = match error {
        LinkError::Malformed => {
            language.of_two("链接不完整或有误。", "The link is incomplete or wrong.")
        }
        LinkError::Unsigned => {
            language.of_two("链接的签名无效。", "The link's signature is not valid.")
        }
        LinkError::Expired => language.of_two("链接已过期。", "The link has expired."),
        LinkError::ForeignReturn => language.of_two(
            "链接的返回地址不被允许。",
            "The link's return address is not allowed.",
        ),
    };
    Page {
        language,
        title: language.of_two("链接无法使用", "This link does not work"),
        paragraphs: &[what, ask],
        button: None,
        form_origins: &[],
    }
    .response(StatusCode::BAD_REQUEST)
}

fn unavailable(language: Language) -> Response<String> {
    Page {
        language,
        title: language.of_two("暂时无法前往微信", "WeChat cannot be reached now"),
        paragraphs: &[language.of_two(
            "请稍后返回上一页重试；如果仍然失败，请联系为您提供此链接的服务商。",
            "Go back and try again in a while; if it still fails, tell whoever gave you this link.",
        )],
        button: None,
        form_origins: &[],
    }
    .response(StatusCode::SERVICE_UNAVAILABLE)
}

impl Pages {
    /// The pages at `mp` and `open`.
    ///
    /// # Errors
    /// [`Error::Config`] if one of them is not a URL.
    pub fn new(mp: &str, open: &str) -> Result<Self, Error> {
        let parse = |base: &str| {
            Url::parse(base).ok().filter(Url::has_host).ok_or_else(|| {
                Error::Config("the base URL of WeChat's pages is not a URL".to_owned())
            })
        };
        Ok(Self {
            mp: parse(mp)?,
            open: parse(open)?,
        })
    }
}
