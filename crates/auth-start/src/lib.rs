//! link -> page -> click -> pre-auth code -> WeChat's page.

use component_api::request::InvalidRequest;
use component_core::chance;
use component_core::component::Component;
use component_core::credentials::document::LinkSigning;
use component_core::error::Error;
use component_core::store::{Start, State};
use component_core::time::Deadline;
use component_core::token::{Expiring, PreAuthCode};
use http::{Method, Request, Response, header};
use merchant_pages::START_PATH;
use merchant_pages::brand::Brand;
use merchant_pages::cookie::BrowserCookie;
use merchant_pages::page::{Setting, see_other};
use url::Url;

mod device;
mod link;
mod origin;
mod page;
mod qr;
mod wechat_page;

pub use link::ReturnOrigins;
pub use wechat_page::Pages;

use device::Device;
use link::{Link, LinkError, Signature};
use origin::{is_foreign, our_base};

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

impl AuthStart {
    /// Answers a visit, which changes nothing, or a click.
    pub async fn handle(&self, request: Request<Vec<u8>>, deadline: Deadline) -> Response<String> {
        let query = request.uri().query().unwrap_or_default();
        let setting = Setting::new(&self.brand, request.headers(), query).with_switch(query);
        let link = match self.link(query).await {
            Ok(link) => link,
            Err(error) => return page::refusal(&setting, error),
        };
        match *request.method() {
            // Another site must not spend WeChat's quota through its visitors' browsers.
            Method::POST if !is_foreign(&request) => {
                match self.click(&link, &request, deadline).await {
                    Ok(response) => response,
                    Err(error) => {
                        error.log("starting an authorization");
                        page::unavailable(&setting, &self.pages.origins())
                    }
                }
            }
            _ => self.start_page(&setting, &link, &request),
        }
    }

    /// The link that a query is. One that is refused is told to the log, with the reference that it
    /// names if the vendor is known to have written it.
    async fn link(&self, query: &str) -> Result<Link, LinkError> {
        let parsed = Link::parse(query, &self.return_origins);
        let signed = self.check_signature(query).await.unwrap_or_else(|error| {
            error.log("reading whether links must be signed");
            Err(LinkError::Unsigned)
        });
        let reference = match signed {
            Err(LinkError::Unsigned) => None,
            Ok(()) | Err(_) => link::reference_in(query),
        };
        let checked = parsed.and_then(|link| signed.map(|()| link));
        checked.inspect_err(|error| {
            let (parameter, reason) = (error.parameter(), error.code());
            let origin = match error {
                LinkError::ForeignReturn => link::return_origin_in(query),
                _ => None,
            };
            tracing::warn!(
                reference,
                parameter,
                reason,
                origin,
                "an authorization link is refused"
            );
        })
    }

    /// Whether links must be signed, the current version of the secret alone decides. Those that
    /// were signed with the previous one's key stay good while that version is accepted.
    async fn check_signature(&self, query: &str) -> Result<Result<(), LinkError>, Error> {
        let vault = &self.component.vault;
        match &vault.current().await?.link_signing {
            LinkSigning::NotRequired => return Ok(Ok(())),
            LinkSigning::Required(_) => {}
            LinkSigning::Malformed(error) => {
                Error::from(error.clone()).log("reading the key that links must be signed with");
            }
        }
        let signature = match Signature::parse(query) {
            Ok(signature) => signature,
            Err(error) => return Ok(Err(error)),
        };
        let signed = vault.under_either_key(|credentials| match &credentials.link_signing {
            LinkSigning::Required(key) if signature.is_by(key) => Ok(()),
            _ => Err(()),
        });
        Ok(match signed.await? {
            Ok(_) => signature.check_expiry(self.component.clock.now()),
            Err(()) => Err(LinkError::Unsigned),
        })
    }

    fn start_page(
        &self,
        setting: &Setting<'_>,
        link: &Link,
        request: &Request<Vec<u8>>,
    ) -> Response<String> {
        let query = request.uri().query().filter(|query| !query.is_empty());
        let address = our_base(request).map(|base| match query {
            Some(query) => format!("{base}{START_PATH}?{query}"),
            None => format!("{base}{START_PATH}"),
        });
        let device = Device::of(request.headers());
        let origins = self.pages.origins();
        page::start(setting, link, device, address.as_deref(), &origins)
    }

    async fn click(
        &self,
        link: &Link,
        request: &Request<Vec<u8>>,
        deadline: Deadline,
    ) -> Result<Response<String>, Error> {
        let headers = request.headers();
        let base = our_base(request).ok_or(InvalidRequest("it has no Host"))?;
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
        let credentials = self.component.vault.current().await?;
        let component = credentials.push.component_appid.as_str();
        let back = format!("{base}/auth/callback?state={}", state.as_str());
        let device = Device::of(headers);
        let pages = &self.pages;
        let there = pages.wechat_page(device, link, component, &code.secret, &back);
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
}
