//! WeChat's component API: the endpoints that are called, and what their answers mean.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use component_api::id::ComponentAppId;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use crate::config::Misconfigured;
use crate::http;
use crate::row::Issued;
use crate::time::{Clock, Deadline};
use crate::token::{AuthorizerAccessToken, ComponentAccessToken, Secret, VerifyTicket};

pub mod answer;
pub mod error;
pub mod refusal;
pub mod session;

mod json;

use error::{Fault, WechatError};
use json::Answer;
use refusal::Endpoint;

/// A client of `api.weixin.qq.com`.
#[derive(Clone)]
pub struct Wechat {
    http: SharedHttpConnector,
    base: Url,
    clock: Clock,
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
    /// [`Misconfigured`] if `base` is not an http or https URL.
    pub fn new(http: SharedHttpConnector, base: &str, clock: Clock) -> Result<Self, Misconfigured> {
        let base = Url::parse(base)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| Misconfigured("the base URL of WeChat's API is not a URL".to_owned()))?;
        Ok(Self { http, base, clock })
    }

    /// Opens a connection, so that the first call finds one. A failure is left to the first call,
    /// after a second at most.
    pub async fn warm(&self) {
        http::open(&self.http, self.base.as_str()).await;
    }

    /// Starts the ticket pushes again, or finds them running.
    ///
    /// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/ticket-token/startPushTicket.html>
    ///
    /// # Errors
    /// [`WechatError`].
    pub async fn start_push_ticket(
        &self,
        component: &ComponentAppId,
        appsecret: &SecretString,
        deadline: Deadline,
    ) -> Result<(), WechatError> {
        let body = json!({
            "component_appid": component.as_str(),
            "component_secret": appsecret.expose_secret(),
        });
        let started = |_: &Answer| Some(());
        self.call(Endpoint::StartPushTicket, None, &body, deadline, started)
            .await?;
        Ok(())
    }

    /// A new component access token; the one before it lives five minutes more.
    ///
    /// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/ticket-token/getComponentAccessToken.html>
    ///
    /// # Errors
    /// [`WechatError`].
    pub async fn component_token(
        &self,
        component: &ComponentAppId,
        appsecret: &SecretString,
        ticket: &Secret<VerifyTicket>,
        deadline: Deadline,
    ) -> Result<Issued<ComponentAccessToken>, WechatError> {
        const ENDPOINT: Endpoint = Endpoint::ComponentToken;
        let body = json!({
            "component_appid": component.as_str(),
            "component_appsecret": appsecret.expose_secret(),
            "component_verify_ticket": ticket.expose(),
        });
        let asked_at = self.clock.now();
        let given = |answer: &Answer| answer::component_token(answer, asked_at);
        let Answered {
            answer: token,
            after_unanswered_try,
        } = self.call(ENDPOINT, None, &body, deadline, given).await?;
        Ok(Issued {
            token,
            asked_at,
            after_unanswered_try,
        })
    }

    /// Sends a text from an account to a customer who has written to it.
    ///
    /// Source: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/operation/thirdparty/releases_instructions.html>
    ///
    /// # Errors
    /// [`WechatError`].
    pub async fn send_text(
        &self,
        token: &Secret<AuthorizerAccessToken>,
        openid: &str,
        content: &str,
        deadline: Deadline,
    ) -> Result<(), WechatError> {
        let body = json!({
            "touser": openid,
            "msgtype": "text",
            "text": { "content": content },
        });
        let sent = |_: &Answer| Some(());
        let token = Some(token.expose());
        self.call(Endpoint::SendMessage, token, &body, deadline, sent)
            .await?;
        Ok(())
    }

    /// Calls an endpoint until it answers, WeChat refuses, the tries are used up or the deadline has
    /// come. What `given` does not find in an answer was not answered.
    async fn call<T>(
        &self,
        endpoint: Endpoint,
        token: Option<&str>,
        body: &Value,
        deadline: Deadline,
        given: impl Fn(&Answer) -> Option<T>,
    ) -> Result<Answered<T>, WechatError> {
        let (mut tried, mut unanswered) = (0, false);
        loop {
            let answer = self.try_call(endpoint, token, body, deadline).await;
            let found =
                answer.and_then(|answer| given(&answer).ok_or_else(|| unreadable(endpoint)));
            let mut error = match found {
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
                return Err(error);
            }
            self.clock.sleep(backoff.mul_f64(self.clock.jitter())).await;
        }
    }

    async fn try_call(
        &self,
        endpoint: Endpoint,
        token: Option<&str>,
        body: &Value,
        deadline: Deadline,
    ) -> Result<Answer, WechatError> {
        let fault = |fault| WechatError::new(endpoint, fault);
        let (path, token_name) = endpoint.address();
        let mut url = self.base.clone();
        url.set_path(&path);
        if let Some(token) = token {
            url.query_pairs_mut().append_pair(token_name, token);
        }
        let timeout = CALL_TIMEOUT.min(deadline.remaining());
        let response = http::post_json(&self.http, url.as_str(), body.to_string(), timeout)
            .await
            .map_err(|error| fault(Fault::Unreachable(Box::new(error))))?;
        if !response.status().is_success() {
            return Err(fault(Fault::Status(response.status().as_u16())));
        }
        let answer = response.body().bytes().unwrap_or_default();
        answer::read(endpoint, answer).map_err(fault)
    }
}

fn unreadable(endpoint: Endpoint) -> WechatError {
    WechatError::new(endpoint, Fault::Unreadable)
}
