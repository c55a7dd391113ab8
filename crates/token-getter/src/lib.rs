//! appid -> a token that is good now: what a vendor's own functions invoke.

use std::time::Duration;

use component_api::request::{InvalidRequest, TokenAnswer, TokenRequest, Whose};
use component_core::component::Component;
use component_core::error::Error;
use component_core::row::need::Need;
use component_core::time::Deadline;
use component_core::token::{Expiring, Secret};
use secrecy::ExposeSecret;
use serde_json::Value;

/// Answers with tokens.
pub struct TokenGetter {
    /// Where tokens come from.
    pub component: Component,
}

/// How long a token should be good for if the caller does not say.
const DEFAULT_LASTING: Duration = Duration::from_mins(5);

impl TokenGetter {
    /// Answers one request.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] and those of [`Component::authorizer_token`] and
    /// [`Component::access_token`]; their code and advice are what the caller gets.
    pub async fn handle(&self, request: &Value, deadline: Deadline) -> Result<Value, Error> {
        let request = TokenRequest::read(request)?;
        let answer = match &request.whose {
            Whose::Authorizer(appid) => {
                let need = need(&request)?;
                let token = self.component.authorizer_token(appid, &need, deadline);
                answer(&token.await?, &request.whose)
            }
            Whose::Component => {
                let need = need(&request)?;
                let token = self.component.access_token(&need, deadline);
                answer(&token.await?, &request.whose)
            }
        };
        Ok(answer.to_json())
    }
}

/// If the caller names a time, the token lasts at least that long. The default is only preferred:
/// any token that is still good is better than none.
fn need<K: Clone>(request: &TokenRequest) -> Result<Need<K>, InvalidRequest> {
    let need = request
        .min_valid
        .map_or_else(|| Need::preferably(DEFAULT_LASTING), Need::lasting);
    let refused = request.rotate_if.as_ref();
    match refused.map(|refused| Secret::parse(refused.expose_secret())) {
        None => Ok(need),
        Some(Some(refused)) => Ok(need.replacing(refused)),
        Some(None) => Err(InvalidRequest("rotate_if is not a token of WeChat's")),
    }
}

fn answer<K>(token: &Expiring<K>, whose: &Whose) -> TokenAnswer {
    TokenAnswer {
        access_token: token.secret.expose().into(),
        expires_at: token.expires_at.as_secs(),
        whose: whose.clone(),
    }
}
