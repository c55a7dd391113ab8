//! WeChat's API, called as the component.

use component_api::id::{AuthorizerAppId, ComponentAppId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{self, Authorization, AuthorizerInfo, AuthorizerPage, expiring};
use super::error::WechatError;
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
        const ENDPOINT: Endpoint = Endpoint::CreatePreauthcode;
        let body = json!({ "component_appid": self.component.as_str() });
        let asked_at = self.wechat.clock.now();
        let answer: answer::PreAuthCode = self.call(ENDPOINT, &body).await?.answer;
        let code = expiring(asked_at, &answer.pre_auth_code, Some(answer.expires_in));
        code.ok_or_else(|| unreadable(ENDPOINT))
    }

    /// Exchanges an authorization code: only once, whoever asks.
    ///
    /// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/ticket-token/getAuthorizerRefreshToken.html>
    ///
    /// # Errors
    /// [`WechatError`].
    pub async fn query_auth(
        &self,
        code: &Secret<AuthorizationCode>,
    ) -> Result<Authorization, WechatError> {
        const ENDPOINT: Endpoint = Endpoint::QueryAuth;
        let body = json!({
            "component_appid": self.component.as_str(),
            "authorization_code": code.expose(),
        });
        let asked_at = self.wechat.clock.now();
        let answer: answer::QueryAuth = self.call(ENDPOINT, &body).await?.answer;
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
        let Answered {
            answer,
            after_unanswered_try,
        }: Answered<answer::AuthorizerToken> = self.call(ENDPOINT, &body).await?;
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
        let answer: answer::GetAuthorizerInfo =
            self.call(Endpoint::GetAuthorizerInfo, &body).await?.answer;
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
    /// [`WechatError`].
    pub async fn get_authorizer_list(&self, offset: u64) -> Result<AuthorizerPage, WechatError> {
        let body = json!({
            "component_appid": self.component.as_str(),
            "offset": offset,
            "count": MAX_PAGE,
        });
        let answer: answer::AuthorizerList =
            self.call(Endpoint::GetAuthorizerList, &body).await?.answer;
        let entries = u64::try_from(answer.list.len()).unwrap_or(u64::MAX);
        let next = offset.saturating_add(entries);
        let authorizers = answer.list.into_iter().filter_map(answer::Listed::read);
        Ok(AuthorizerPage {
            authorizers: authorizers.collect(),
            next: (entries > 0 && next < answer.total_count).then_some(next),
        })
    }

    async fn call<T: for<'de> Deserialize<'de>>(
        &self,
        endpoint: Endpoint,
        body: &Value,
    ) -> Result<Answered<T>, WechatError> {
        let token = Some(&self.token);
        self.wechat.call(endpoint, token, body, self.deadline).await
    }
}
