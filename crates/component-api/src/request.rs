//! The request for a token, and its answer.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use crate::id::AuthorizerAppId;

/// What a vendor's function asks of the token getter.
#[derive(Debug)]
pub struct TokenRequest {
    /// Whose token.
    pub whose: Whose,
    /// `min_valid_secs`: the answer is good for at least that long. Without it the getter prefers
    /// five minutes.
    pub min_valid: Option<Duration>,
    /// `rotate_if`: an access token that WeChat has just refused, to be replaced if it is still the
    /// stored one.
    pub rotate_if: Option<SecretString>,
}

/// Whose token is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// An authorizer's.
    Authorizer(AuthorizerAppId),
    /// The component's own.
    Component,
}

/// What the token getter answers.
#[derive(Debug)]
pub struct TokenAnswer {
    /// The access token.
    pub access_token: SecretString,
    /// Until when it is good, in Unix seconds.
    pub expires_at: u64,
    /// Whose it is.
    pub whose: Whose,
}

/// Why a request is malformed; completes the sentence "correct the request: ..".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRequest(pub &'static str);

/// The most a caller may ask for: half of a token's life.
const MAX_MIN_VALID_SECS: u64 = 3600;

const KEYS: [&str; 4] = [
    "authorizer_appid",
    "component",
    "min_valid_secs",
    "rotate_if",
];

impl TokenRequest {
    /// Reads a request strictly: a misspelt key is refused, not ignored.
    ///
    /// # Errors
    /// [`InvalidRequest`].
    pub fn read(request: &Value) -> Result<Self, InvalidRequest> {
        let wrong = |what| Err(InvalidRequest(what));
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
            min_valid: match fields.get("min_valid_secs").map(Value::as_u64) {
                None => None,
                Some(Some(secs)) if secs <= MAX_MIN_VALID_SECS => Some(Duration::from_secs(secs)),
                Some(_) => return wrong("min_valid_secs must be a whole number from 0 to 3600"),
            },
            rotate_if: match fields.get("rotate_if").map(Value::as_str) {
                None => None,
                Some(Some(token)) if !token.is_empty() => Some(token.into()),
                Some(_) => return wrong("rotate_if must be the access token that WeChat refused"),
            },
        })
    }
}

impl TokenAnswer {
    /// The answer as the caller gets it: the one place where a token leaves the stack.
    pub fn to_json(&self) -> Value {
        let mut answer = json!({
            "access_token": self.access_token.expose_secret(),
            "expires_at": self.expires_at,
        });
        if let (Some(fields), Whose::Authorizer(appid)) = (answer.as_object_mut(), &self.whose) {
            fields.insert("authorizer_appid".to_owned(), appid.as_str().into());
        }
        answer
    }
}

fn whose(fields: &Map<String, Value>) -> Result<Whose, InvalidRequest> {
    match (fields.get("authorizer_appid"), fields.get("component")) {
        (Some(appid), None) => appid
            .as_str()
            .and_then(|appid| AuthorizerAppId::parse(appid).ok())
            .map(Whose::Authorizer)
            .ok_or(InvalidRequest(
                "authorizer_appid must be wx and 16 lower-case hexadecimal digits",
            )),
        (None, Some(Value::Bool(true))) => Ok(Whose::Component),
        _ => Err(InvalidRequest(
            "it must name either an authorizer_appid, or the component with `true`",
        )),
    }
}
