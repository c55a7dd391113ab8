//! WeChat's component API: the endpoints that are called, and what their answers mean.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::error::Error;
use crate::http;
use crate::id::{AuthorizerAppId, ComponentAppId};
use crate::row::Issued;
use crate::row::authorizer::{GrantedTokens, Renewal};
use crate::time::{Clock, Deadline, Timestamp};
use crate::token::{
    AuthorizationCode, AuthorizerRefreshToken, ComponentAccessToken, Expiring, PreAuthCode, Secret,
    VerifyTicket,
};

mod answer;

pub use answer::{Refusal, WechatError};

use answer::Fault;

/// A client of `api.weixin.qq.com`.
#[derive(Clone)]
pub struct Wechat {
    http: SharedHttpConnector,
    base: Url,
    clock: Clock,
}

/// An exchanged authorization code.
#[derive(Debug)]
pub struct Authorization {
    /// Whose code it was.
    pub authorizer: AuthorizerAppId,
    /// What it gave.
    pub granted: GrantedTokens,
}

/// What WeChat tells about an authorizer.
#[derive(Debug)]
pub struct AuthorizerInfo {
    /// Its name (`nick_name`).
    pub name: Option<String>,
    /// What it granted; no access token.
    pub granted: GrantedTokens,
}

/// One authorizer in WeChat's list.
#[derive(Debug)]
pub struct ListedAuthorizer {
    /// Whose authorization.
    pub authorizer: AuthorizerAppId,
    /// `None` if no code was ever exchanged for it.
    pub refresh_token: Option<Secret<AuthorizerRefreshToken>>,
    /// When it was authorized.
    pub auth_time: Timestamp,
}

/// One page of WeChat's list.
#[derive(Debug)]
pub struct AuthorizerPage {
    /// Those of this page.
    pub authorizers: Vec<ListedAuthorizer>,
    /// The offset of the next page; `None` after the last.
    pub next: Option<u64>,
}

/// The longest a whole call may take.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Tries of one call, the first among them.
const MAX_TRIES: u32 = 3;

/// Before the second try, at the most; doubled before the third.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);

/// The most authorizers on a page; with more, WeChat answers 40170.
/// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/authorization-management/getAuthorizerList.html>
pub const MAX_PAGE: u64 = 500;

/// What a call has given.
struct Answered<T> {
    answer: T,
    /// Whether an earlier try got no answer.
    after_unanswered_try: bool,
}

impl Wechat {
    /// A client of the API at `base`.
    ///
    /// # Errors
    /// [`Error::Config`] if `base` is not an http or https URL.
    pub fn new(http: SharedHttpConnector, base: &str, clock: Clock) -> Result<Self, Error> {
        let base = Url::parse(base)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| Error::Config("the base URL of WeChat's API is not a URL".to_owned()))?;
        Ok(Self { http, base, clock })
    }

    /// Opens a connection, so that the first call finds one; whether it can be opened is the first call's business.
    pub async fn warm(&self) {
        http::open(&self.http, self.base.as_str(), CALL_TIMEOUT).await;
    }

    /// Starts the ticket pushes again, or finds them running.
    ///
    /// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/ticket-token/startPushTicket.html>
    ///
    /// # Errors
    /// [`Error::Wechat`].
    pub async fn start_push_ticket(
        &self,
        component: &ComponentAppId,
        appsecret: &SecretString,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let body = json!({
            "component_appid": component.as_str(),
            "component_secret": appsecret.expose_secret(),
        });
        self.call::<Value>("api_start_push_ticket", None, &body, deadline)
            .await?;
        Ok(())
    }

    /// A new component access token; the one before it lives five minutes more.
    ///
    /// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/ticket-token/getComponentAccessToken.html>
    ///
    /// # Errors
    /// [`Error::Wechat`].
    pub async fn component_token(
        &self,
        component: &ComponentAppId,
        appsecret: &SecretString,
        ticket: &Secret<VerifyTicket>,
        deadline: Deadline,
    ) -> Result<Issued<ComponentAccessToken>, Error> {
        const ENDPOINT: &str = "api_component_token";
        let body = json!({
            "component_appid": component.as_str(),
            "component_appsecret": appsecret.expose_secret(),
            "component_verify_ticket": ticket.expose(),
        });
        let asked_at = self.clock.now();
        let Answered {
            answer,
            after_unanswered_try,
        }: Answered<answer::ComponentToken> = self.call(ENDPOINT, None, &body, deadline).await?;
        let token = expiring(
            asked_at,
            &answer.component_access_token,
            Some(answer.expires_in),
        );
        Ok(Issued {
            token: token.ok_or_else(|| unreadable(ENDPOINT))?,
            asked_at,
            after_unanswered_try,
        })
    }

    /// A code for one visit of the authorization page.
    ///
    /// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/ticket-token/getPreAuthCode.html>
    ///
    /// # Errors
    /// [`Error::Wechat`].
    pub async fn create_preauthcode(
        &self,
        token: &Secret<ComponentAccessToken>,
        component: &ComponentAppId,
        deadline: Deadline,
    ) -> Result<Expiring<PreAuthCode>, Error> {
        const ENDPOINT: &str = "api_create_preauthcode";
        let body = json!({ "component_appid": component.as_str() });
        let asked_at = self.clock.now();
        let answer: answer::PreAuthCode = self
            .call(ENDPOINT, Some(token), &body, deadline)
            .await?
            .answer;
        let code = expiring(asked_at, &answer.pre_auth_code, Some(answer.expires_in));
        code.ok_or_else(|| unreadable(ENDPOINT))
    }

    /// Exchanges an authorization code: only once, whoever asks.
    ///
    /// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/ticket-token/getAuthorizerRefreshToken.html>
    ///
    /// # Errors
    /// [`Error::Wechat`].
    pub async fn query_auth(
        &self,
        token: &Secret<ComponentAccessToken>,
        component: &ComponentAppId,
        code: &Secret<AuthorizationCode>,
        deadline: Deadline,
    ) -> Result<Authorization, Error> {
        const ENDPOINT: &str = "api_query_auth";
        let body = json!({
            "component_appid": component.as_str(),
            "authorization_code": code.expose(),
        });
        let asked_at = self.clock.now();
        let answer: answer::QueryAuth = self
            .call(ENDPOINT, Some(token), &body, deadline)
            .await?
            .answer;
        let info = answer.authorization_info;
        let authorizer = AuthorizerAppId::parse(&info.authorizer_appid)
            .map_err(|_not_an_appid| unreadable(ENDPOINT))?;
        let granted = info.granted(asked_at);
        Ok(Authorization {
            authorizer,
            granted,
        })
    }

    /// A new access token for an authorizer; the one before it lives five minutes more.
    ///
    /// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/ticket-token/getAuthorizerAccessToken.html>
    ///
    /// # Errors
    /// [`Error::Wechat`].
    pub async fn authorizer_token(
        &self,
        token: &Secret<ComponentAccessToken>,
        component: &ComponentAppId,
        authorizer: &AuthorizerAppId,
        refresh_token: &Secret<AuthorizerRefreshToken>,
        deadline: Deadline,
    ) -> Result<Renewal, Error> {
        const ENDPOINT: &str = "api_authorizer_token";
        let body = json!({
            "component_appid": component.as_str(),
            "authorizer_appid": authorizer.as_str(),
            "authorizer_refresh_token": refresh_token.expose(),
        });
        let asked_at = self.clock.now();
        let Answered {
            answer,
            after_unanswered_try,
        }: Answered<answer::AuthorizerToken> =
            self.call(ENDPOINT, Some(token), &body, deadline).await?;
        let access_token = expiring(
            asked_at,
            &answer.authorizer_access_token,
            Some(answer.expires_in),
        );
        let sent_back = answer.authorizer_refresh_token.as_deref();
        Ok(Renewal {
            access_token: Issued {
                token: access_token.ok_or_else(|| unreadable(ENDPOINT))?,
                asked_at,
                after_unanswered_try,
            },
            refresh_token: sent_back
                .and_then(Secret::parse)
                .unwrap_or_else(|| refresh_token.clone()),
        })
    }

    /// What WeChat knows of an authorizer, its refresh token included.
    ///
    /// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/authorization-management/getAuthorizerInfo.html>
    ///
    /// # Errors
    /// [`Error::Wechat`].
    pub async fn get_authorizer_info(
        &self,
        token: &Secret<ComponentAccessToken>,
        component: &ComponentAppId,
        authorizer: &AuthorizerAppId,
        deadline: Deadline,
    ) -> Result<AuthorizerInfo, Error> {
        let body = json!({
            "component_appid": component.as_str(),
            "authorizer_appid": authorizer.as_str(),
        });
        let asked_at = self.clock.now();
        let answer: answer::GetAuthorizerInfo = self
            .call("api_get_authorizer_info", Some(token), &body, deadline)
            .await?
            .answer;
        Ok(AuthorizerInfo {
            name: answer
                .authorizer_info
                .nick_name
                .filter(|name| !name.is_empty()),
            granted: answer.authorization_info.granted(asked_at),
        })
    }

    /// Up to [`MAX_PAGE`] authorizers from `offset` on.
    ///
    /// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/authorization-management/getAuthorizerList.html>
    ///
    /// # Errors
    /// [`Error::Wechat`].
    pub async fn get_authorizer_list(
        &self,
        token: &Secret<ComponentAccessToken>,
        component: &ComponentAppId,
        offset: u64,
        deadline: Deadline,
    ) -> Result<AuthorizerPage, Error> {
        let body = json!({
            "component_appid": component.as_str(),
            "offset": offset,
            "count": MAX_PAGE,
        });
        let answer: answer::AuthorizerList = self
            .call("api_get_authorizer_list", Some(token), &body, deadline)
            .await?
            .answer;
        let entries = u64::try_from(answer.list.len()).unwrap_or(u64::MAX);
        let next = offset.saturating_add(entries);
        let authorizers = answer.list.into_iter().filter_map(answer::Listed::read);
        Ok(AuthorizerPage {
            authorizers: authorizers.collect(),
            next: (entries > 0 && next < answer.total_count).then_some(next),
        })
    }

    /// Calls an endpoint until it answers, WeChat refuses, the tries are used up or the deadline has come.
    async fn call<T: for<'de> Deserialize<'de>>(
        &self,
        endpoint: &'static str,
        token: Option<&Secret<ComponentAccessToken>>,
        body: &Value,
        deadline: Deadline,
    ) -> Result<Answered<T>, Error> {
        let (mut tried, mut unanswered) = (0, false);
        loop {
            let mut error = match self.try_call(endpoint, token, body, deadline).await {
                Ok(answer) => {
                    return Ok(Answered {
                        answer,
                        after_unanswered_try: unanswered,
                    });
                }
                Err(error) => error,
            };
            unanswered |= error.fault.is_no_answer();
            error.unanswered = unanswered;
            let backoff = FIRST_BACKOFF * (1 << tried);
            tried += 1;
            if !error.is_transient() || tried == MAX_TRIES || deadline.remaining() <= backoff {
                return Err(error.into());
            }
            self.clock.sleep(backoff.mul_f64(self.clock.jitter())).await;
        }
    }

    async fn try_call<T: for<'de> Deserialize<'de>>(
        &self,
        endpoint: &'static str,
        token: Option<&Secret<ComponentAccessToken>>,
        body: &Value,
        deadline: Deadline,
    ) -> Result<T, WechatError> {
        let fault = |fault| WechatError::new(endpoint, fault);
        // The old name of the parameter: every page and every SDK ever written for these endpoints knows it.
        let mut url = self.base.clone();
        url.set_path(&format!("/cgi-bin/component/{endpoint}"));
        if let Some(token) = token {
            url.query_pairs_mut()
                .append_pair("component_access_token", token.expose());
        }
        let timeout = CALL_TIMEOUT.min(deadline.remaining());
        let response = http::post_json(&self.http, url.as_str(), body.to_string(), timeout)
            .await
            .map_err(|error| fault(Fault::Unreachable(Box::new(error))))?;
        if !response.status().is_success() {
            return Err(fault(Fault::Status(response.status().as_u16())));
        }
        let answer = response.body().bytes().unwrap_or_default();
        answer::read(answer).map_err(fault)
    }
}

fn expiring<K>(asked_at: Timestamp, value: &str, expires_in: Option<u64>) -> Option<Expiring<K>> {
    Some(Expiring {
        secret: Secret::parse(value)?,
        expires_at: asked_at + Duration::from_secs(expires_in?),
    })
}

fn unreadable(endpoint: &'static str) -> Error {
    WechatError::new(endpoint, Fault::Unreadable).into()
}
