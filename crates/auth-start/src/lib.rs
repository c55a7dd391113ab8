//! link -> page -> click -> pre-auth code -> WeChat's page.

use component_api::request::InvalidRequest;
use component_core::chance;
use component_core::component::Component;
use component_core::config::Misconfigured;
use component_core::error::Error;
use component_core::store::{Start, State};
use component_core::time::Deadline;
use component_core::token::{Expiring, PreAuthCode, Secret};
use lambda_http::http::{HeaderMap, Method, header};
use lambda_http::{Request, Response};
use merchant_pages::brand::Brand;
use merchant_pages::cookie::BrowserCookie;
use merchant_pages::page::{Language, see_other};
use url::Url;

mod device;
mod link;
mod page;
mod qr;

pub use link::ReturnOrigins;

use device::Device;
use link::{Link, LinkError};

/// Leads merchants to WeChat's authorization page.
pub struct AuthStart {
    /// The component token, and where attempts are kept.
    pub component: Component,
    /// WeChat's pages for PCs and for its own browser.
    pub pages: Pages,
    /// Whose pages they are.
    pub brand: Brand,
    /// Where a link's `return_to` may lead.
    pub return_origins: ReturnOrigins,
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
        let (language, brand) = (Language::of(request.headers()), &self.brand);
        let link = match self.link(&request).await {
            Ok(link) => link,
            Err(error) => return page::refusal(language, brand, error),
        };
        match *request.method() {
            Method::GET | Method::HEAD => self.start_page(language, &link, &request),
            Method::POST => match self.click(&link, &request, deadline).await {
                Ok(response) => response,
                Err(error) => {
                    error.log("starting an authorization");
                    page::unavailable(language, brand, &self.pages.origins())
                }
            },
            _ => page::refusal(language, brand, LinkError::Malformed),
        }
    }

    async fn link(&self, request: &Request) -> Result<Link, LinkError> {
        let query = request.uri().query().unwrap_or_default();
        let credentials = self.component.vault.current().await;
        let now = self.component.clock.now();
        let link = Link::parse(query, &self.return_origins)?;
        if let Some(key) = &credentials.link_signing_key {
            link::check_signature(query, key, now)?;
        }
        Ok(link)
    }

    fn start_page(&self, language: Language, link: &Link, request: &Request) -> Response<String> {
        let query = request.uri().query();
        let address = our_origin(request.headers()).map(|origin| match query {
            Some(query) => format!("{origin}/auth/start?{query}"),
            None => format!("{origin}/auth/start"),
        });
        let device = Device::of(request.headers());
        let origins = self.pages.origins();
        page::start(
            language,
            &self.brand,
            link,
            device,
            address.as_deref(),
            &origins,
        )
    }

    async fn click(
        &self,
        link: &Link,
        request: &Request,
        deadline: Deadline,
    ) -> Result<Response<String>, Error> {
        let headers = request.headers();
        let origin = our_origin(headers).ok_or(InvalidRequest("it has no Host"))?;
        let started_at = self.component.clock.now();
        let code = self
            .component
            .as_component(deadline, |wechat| async move {
                wechat.create_preauthcode().await
            })
            .await?;
        let browser =
            BrowserCookie::of(headers).unwrap_or_else(|| BrowserCookie::new(chance::bits()));
        let state = State::new(chance::bits());
        let start = Start {
            browser: browser.sha256(),
            started_at,
            expires_at: code.expires_at,
            reference: link.reference.clone(),
            return_to: link.return_to.as_ref().map(Url::to_string),
            query: request.uri().query().unwrap_or_default().to_owned(),
        };
        self.remember(&code, &state, &start).await?;
        tracing::info!(
            reference = link.reference,
            "a merchant goes to WeChat's authorization page"
        );
        let credentials = self.component.vault.current().await;
        let component = credentials.push.component_appid.as_str();
        let back = format!("{origin}/auth/callback?state={}", state.as_str());
        let device = Device::of(headers);
        let there = self.wechat_page(device, link, component, &code.secret, &back);
        let mut response = see_other(there.as_str());
        if let Some(cookie) = browser.set_cookie() {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        Ok(response)
    }

    /// Stores what WeChat does not bring back: for the redirect under the state, for the notice
    /// under the pre-auth code.
    async fn remember(
        &self,
        code: &Expiring<PreAuthCode>,
        state: &State,
        start: &Start,
    ) -> Result<(), Error> {
        let store = &self.component.store;
        if let Some(reference) = &start.reference {
            let put = store.put_reference(&code.secret, reference, start.started_at);
            put.await?;
        }
        store.put_start(state, start).await
    }

    /// Source: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/Authorization_Process_Technical_Description.html>
    fn wechat_page(
        &self,
        device: Device,
        link: &Link,
        component: &str,
        code: &Secret<PreAuthCode>,
        back: &str,
    ) -> Url {
        let mobile = device != Device::Pc;
        let mut page = if mobile {
            &self.pages.open
        } else {
            &self.pages.mp
        }
        .clone();
        if mobile {
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

/// The origin under which the browser has reached us. WeChat compares its host with the Referer's
/// and with the one in its console.
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

impl Pages {
    /// The pages at `mp` and `open`.
    ///
    /// # Errors
    /// [`Misconfigured`] if one of them is not a URL.
    pub fn new(mp: &str, open: &str) -> Result<Self, Misconfigured> {
        let parse = |base: &str| {
            Url::parse(base).ok().filter(Url::has_host).ok_or_else(|| {
                Misconfigured("the base URL of WeChat's pages is not a URL".to_owned())
            })
        };
        Ok(Self {
            mp: parse(mp)?,
            open: parse(open)?,
        })
    }

    /// Where the answer to a click may lead.
    fn origins(&self) -> [String; 2] {
        [&self.mp, &self.open].map(|url| url.origin().ascii_serialization())
    }
}
