//! WeChat's API, called as the component.

use component_api::id::{AuthorizerAppId, ComponentAppId};
use serde_json::{Value, json};

use super::answer::{self, Authorization, AuthorizerInfo, AuthorizerPage};
use super::error::WechatError;
use super::json::Answer;
use super::refusal::Endpoint;
use super::{Answered, MAX_PAGE, Wechat, unreadable};
use crate::row::Issued;
use crate::row::authorizer::Renewal;
use crate::time::Deadline;
use crate::token::{
    AuthorizationCode, AuthorizerRefreshToken, ComponentAccessToken, Expiring, PreAuthCode, Secret,
};

/// WeChat's API with a component access token, for the calls of one flow.
pub struct Session {
    wechat: Wechat,
    component: ComponentAppId,
    token: Secret<ComponentAccessToken>,
    deadline: Deadline,
}

impl Session {
    /// A session as `component` by `token`, whose calls end at `deadline`.
    pub fn new(
        wechat: Wechat,
        component: ComponentAppId,
        token: Secret<ComponentAccessToken>,
        deadline: Deadline,
    ) -> Self {
        Self {
            wechat,
            component,
            token,
            deadline,
        }
    }

    /// A code for one visit of the authorization page.
    ///
    /// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/ticket-token/getPreAuthCode.html>
    ///
    /// # Errors
    /// [`WechatError`].
    pub async fn create_preauthcode(&self) -> Result<Expiring<PreAuthCode>, WechatError> {
        let body = json!({ "component_appid": self.component.as_str() });
        let asked_at = self.wechat.clock.now();
        let given = |answer: &Answer| answer::pre_auth_code(answer, asked_at);
        let answered = self.call(Endpoint::CreatePreauthcode, &body, given);
        Ok(answered.await?.answer)
    }

    /// Exchanges an authorization code, which WeChat takes only once. If the answer does not name the
    /// account, it is the one that is `expected`.
    ///
    /// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/ticket-token/getAuthorizerRefreshToken.html>
    ///
    /// # Errors
    /// [`WechatError`].
    pub async fn query_auth(
        &self,
        code: &Secret<AuthorizationCode>,
        expected: Option<&AuthorizerAppId>,
    ) -> Result<Authorization, WechatError> {
        let body = json!({
            "component_appid": self.component.as_str(),
            "authorization_code": code.expose(),
        });
        let asked_at = self.wechat.clock.now();
        let given = |answer: &Answer| answer::authorization(answer, expected, asked_at);
        Ok(self.call(Endpoint::QueryAuth, &body, given).await?.answer)
    }

    /// A new access token for an authorizer; the one before it lives five minutes more.
    ///
    /// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/ticket-token/getAuthorizerAccessToken.html>
    ///
    /// # Errors
    /// [`WechatError`].
    pub async fn authorizer_token(
        &self,
        authorizer: &AuthorizerAppId,
        refresh_token: &Secret<AuthorizerRefreshToken>,
    ) -> Result<Renewal, WechatError> {
        const ENDPOINT: Endpoint = Endpoint::AuthorizerToken;
        let body = json!({
            "component_appid": self.component.as_str(),
            "authorizer_appid": authorizer.as_str(),
            "authorizer_refresh_token": refresh_token.expose(),
        });
        let asked_at = self.wechat.clock.now();
        let given = |answer: &Answer| answer::authorizer_token(answer, refresh_token, asked_at);
        let Answered {
            answer,
            after_unanswered_try,
        } = self.call(ENDPOINT, &body, given).await?;
        let Some(token) = answer.access_token else {
            return Err(WechatError {
                refresh_token: Some(answer.refresh_token),
                ..unreadable(ENDPOINT)
            });
        };
        Ok(Renewal {
            access_token: Issued {
                token,
                asked_at,
                after_unanswered_try,
            },
            refresh_token: answer.refresh_token,
        })
    }

    /// What WeChat knows of an authorizer, its refresh token included.
    ///
    /// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/authorization-management/getAuthorizerInfo.html>
    ///
    /// # Errors
    /// [`WechatError`].
    pub async fn get_authorizer_info(
        &self,
        authorizer: &AuthorizerAppId,
    ) -> Result<AuthorizerInfo, WechatError> {
        let body = json!({
            "component_appid": self.component.as_str(),
            "authorizer_appid": authorizer.as_str(),
        });
        let asked_at = self.wechat.clock.now();
        let given = |answer: &Answer| answer::authorizer_info(answer, authorizer, asked_at);
        let answered = self.call(Endpoint::GetAuthorizerInfo, &body, given);
        Ok(answered.await?.answer)
    }

    /// Up to [`MAX_PAGE`] authorizers from `offset` on.
    ///
    /// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/authorization-management/getAuthorizerList.html>
    ///
    /// # Errors
    /// [`WechatError`].
    pub async fn get_authorizer_list(&self, offset: u64) -> Result<AuthorizerPage, WechatError> {
        let body = json!({
            "component_appid": self.component.as_str(),
            "offset": offset,
            "count": MAX_PAGE,
        });
        let now = self.wechat.clock.now();
        let given = |answer: &Answer| answer::authorizer_page(answer, offset, now);
        let answered = self.call(Endpoint::GetAuthorizerList, &body, given);
        let page = answered.await?.answer;
        if page.unreadable > 0 {
            tracing::warn!(
                offset,
                unreadable = page.unreadable,
                "entries of WeChat's list cannot be read"
            );
        }
        Ok(page)
    }

    async fn call<T>(
        &self,
        endpoint: Endpoint,
        body: &Value,
        given: impl Fn(&Answer) -> Option<T>,
    ) -> Result<Answered<T>, WechatError> {
        let token = Some(self.token.expose());
        self.wechat
            .call(endpoint, token, body, self.deadline, given)
            .await
    }
}
