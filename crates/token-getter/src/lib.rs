//! appid -> a token that is good now: what sibling functions invoke.

use std::time::Duration;

use component_core::component::Component;
use component_core::error::Error;
use component_core::id::AuthorizerAppId;
use component_core::row::need::Need;
use component_core::time::Deadline;
use component_core::token::{Expiring, Secret};
use serde_json::{Map, Value, json};

/// Answers with tokens.
pub struct TokenGetter {
    /// Where they come from.
    pub component: Component,
}

/// A request, understood.
struct Request {
    whose: Whose,
    lasting: Option<Duration>,
    refused: Option<String>,
}

enum Whose {
    Authorizer(AuthorizerAppId),
    Component,
}

/// How long a token should be good for if the caller does not say.
const DEFAULT_LASTING: Duration = Duration::from_mins(5);

/// The most a caller may ask for: half of a token's life.
const MAX_LASTING_SECS: u64 = 3600;

impl TokenGetter {
    /// Answers one request.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] and those of [`Component::authorizer_token`] and [`Component::component_token`]; their code and
    /// advice are what the caller gets.
    pub async fn handle(&self, request: &Value, deadline: Deadline) -> Result<Value, Error> {
        let request = Request::parse(request)?;
        match &request.whose {
            Whose::Authorizer(appid) => {
                let need = request.need()?;
                let token = self
                    .component
                    .authorizer_token(appid, &need, deadline)
                    .await?;
                Ok(answer(&token, Some(appid)))
            }
            Whose::Component => {
                let need = request.need()?;
                let token = self.component.component_token(&need, deadline).await?;
                Ok(answer(&token, None))
            }
        }
    }
}

impl Request {
    fn parse(request: &Value) -> Result<Self, Error> {
        const KEYS: [&str; 4] = [
            "authorizer_appid",
            "component",
            "min_valid_secs",
            "rotate_if",
        ];
        let wrong = |what| Err(Error::InvalidRequest(what));
        let Some(fields) = request.as_object() else {
            return wrong("it must be a JSON object");
        };
        if fields.keys().any(|key| !KEYS.contains(&key.as_str())) {
            return wrong(
                "its keys are authorizer_appid or component, min_valid_secs and rotate_if",
            );
        }
        Ok(Self {
            whose: whose(fields)?,
            lasting: match fields.get("min_valid_secs").map(Value::as_u64) {
                None => None,
                Some(Some(secs)) if secs <= MAX_LASTING_SECS => Some(Duration::from_secs(secs)),
                Some(_) => return wrong("min_valid_secs must be a whole number from 0 to 3600"),
            },
            refused: match fields.get("rotate_if").map(Value::as_str) {
                None => None,
                Some(Some(token)) if !token.is_empty() => Some(token.to_owned()),
                Some(_) => return wrong("rotate_if must be the access token that WeChat refused"),
            },
        })
    }

    /// A length that the caller named is a promise; the default gives way to a token that is good at all.
    fn need<K: Clone>(&self) -> Result<Need<K>, Error> {
        let need = self
            .lasting
            .map_or_else(|| Need::preferably(DEFAULT_LASTING), Need::lasting);
        match self.refused.as_deref().map(Secret::parse) {
            None => Ok(need),
            Some(Some(refused)) => Ok(need.replacing(refused)),
            Some(None) => Err(Error::InvalidRequest(
                "rotate_if is not a token of WeChat's",
            )),
        }
    }
}

fn whose(fields: &Map<String, Value>) -> Result<Whose, Error> {
    match (fields.get("authorizer_appid"), fields.get("component")) {
        (Some(appid), None) => appid
            .as_str()
            .and_then(|appid| AuthorizerAppId::parse(appid).ok())
            .map(Whose::Authorizer)
            .ok_or(Error::InvalidRequest(
                "authorizer_appid must be wx and 16 lower-case hexadecimal digits",
            )),
        (None, Some(Value::Bool(true))) => Ok(Whose::Component),
        _ => Err(Error::InvalidRequest(
            "it must name either an authorizer_appid, or the component with `true`",
        )),
    }
}

fn answer<K>(token: &Expiring<K>, appid: Option<&AuthorizerAppId>) -> Value {
    let mut answer = json!({
        "access_token": token.secret.expose(),
        "expires_at": token.expires_at.as_secs(),
    });
    if let (Some(fields), Some(appid)) = (answer.as_object_mut(), appid) {
        fields.insert("authorizer_appid".to_owned(), appid.as_str().into());
    }
    answer
}
