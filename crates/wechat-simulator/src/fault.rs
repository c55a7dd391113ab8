//! Ordered failures of the next calls to an endpoint.

use std::fmt;
use std::time::Duration;

use crate::endpoint::{self, Endpoint};

mod body;
mod patch;
mod pending;

pub use patch::AnswerPatch;
pub(crate) use pending::{Faults, Stroke};

/// Spoils the next calls to one endpoint. Deserializes from the body of `POST /_sim/faults`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "body::FaultBody")]
pub struct Fault {
    /// The last segment of the endpoint's path, such as `api_query_auth`, or `*` for any.
    pub endpoint: String,
    /// Spoils only the calls that name this account. None: any call.
    ///
    /// A call names an account by `authorizer_appid`, by an authorization code that belongs to it,
    /// or by its authorizer access token.
    pub authorizer_appid: Option<String>,
    /// How many calls are spoiled. [`u32::MAX`]: any number.
    pub times: u32,
    /// For how many seconds of the simulator's clock the fault lasts. None: until it is used up.
    pub lasts_secs: Option<u64>,
    /// Real time that passes before anything else happens.
    pub delay: Duration,
    /// What happens to the call after the delay. None: it goes through.
    pub effect: Option<FaultEffect>,
    /// Real time between the call's effect and its answer.
    ///
    /// If the caller hangs up meanwhile, the effect stays.
    pub answer_delay: Duration,
}

/// What happens to a spoiled call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultEffect {
    /// WeChat refuses with this `errcode`; nothing happens.
    Errcode(i64),
    /// WeChat refuses with an `errcode` that is a string in the answer; nothing happens.
    ErrcodeText(String),
    /// An empty answer with this HTTP status, as from a gateway; nothing happens.
    HttpStatus(u16),
    /// The call takes effect, then the connection closes without an answer.
    AnswerLost,
    /// The connection closes; nothing happens.
    Reset,
    /// HTTP 200 with this body; nothing happens.
    Body(String),
    /// The call takes effect, or is refused, as usual. Its answer is patched.
    Patch(AnswerPatch),
}

/// Why a fault is refused: it could never spoil a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultError {
    /// No endpoint has this name.
    UnknownEndpoint(String),
    /// The fault names an account, but no call to this endpoint does.
    NoAccount(String),
    /// `times` or `lasts_secs` is 0.
    NoCalls,
    /// There is neither an effect nor a delay.
    NoEffect,
    /// No HTTP answer can have this status.
    HttpStatus(u16),
}

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownEndpoint(name) => {
                let known = endpoint::names().join(", ");
                write!(f, "no endpoint is named {name:?}; known are *, {known}")
            }
            Self::NoAccount(name) => write!(f, "no call to {name} names an authorizer_appid"),
            Self::NoCalls => f.write_str("times and lasts_secs must be at least 1"),
            Self::NoEffect => f.write_str("the fault has neither an effect nor a delay"),
            Self::HttpStatus(status) => {
                write!(f, "http_status is {status}, not one of 200 to 599")
            }
        }
    }
}

impl std::error::Error for FaultError {}

impl Fault {
    /// Spoils one call to `endpoint`.
    pub fn new(endpoint: &str, effect: FaultEffect) -> Self {
        Self {
            effect: Some(effect),
            ..Self::delay(endpoint, Duration::ZERO)
        }
    }

    /// Delays one call to `endpoint`, which then goes through.
    pub fn delay(endpoint: &str, delay: Duration) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            authorizer_appid: None,
            times: 1,
            lasts_secs: None,
            delay,
            effect: None,
            answer_delay: Duration::ZERO,
        }
    }

    /// Lets one call to `endpoint` through at once and delays its answer.
    pub fn late_answer(endpoint: &str, answer_delay: Duration) -> Self {
        Self {
            answer_delay,
            ..Self::delay(endpoint, Duration::ZERO)
        }
    }

    /// Lets one call to `endpoint` through and patches its answer.
    pub fn patch(endpoint: &str, patch: AnswerPatch) -> Self {
        Self::new(endpoint, FaultEffect::Patch(patch))
    }

    /// Spoils only calls that name this account.
    #[must_use]
    pub fn for_account(self, authorizer_appid: &str) -> Self {
        Self {
            authorizer_appid: Some(authorizer_appid.to_owned()),
            ..self
        }
    }

    /// Spoils `times` calls instead of one.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// Spoils every call for this many seconds of the simulator's clock.
    #[must_use]
    pub fn lasting(self, secs: u64) -> Self {
        Self {
            times: u32::MAX,
            lasts_secs: Some(secs),
            ..self
        }
    }

    /// Lets `delay` pass first.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Refuses a fault that could never spoil a call.
    ///
    /// # Errors
    /// Every variant of [`FaultError`].
    pub fn check(&self) -> Result<(), FaultError> {
        let endpoint = Endpoint::named(&self.endpoint);
        if endpoint.is_none() && self.endpoint != "*" {
            return Err(FaultError::UnknownEndpoint(self.endpoint.clone()));
        }
        let names_an_account = endpoint.is_none_or(Endpoint::names_an_account);
        if self.authorizer_appid.is_some() && !names_an_account {
            return Err(FaultError::NoAccount(self.endpoint.clone()));
        }
        if self.times == 0 || self.lasts_secs == Some(0) {
            return Err(FaultError::NoCalls);
        }
        match self.effect {
            None if self.delay.is_zero() && self.answer_delay.is_zero() => {
                Err(FaultError::NoEffect)
            }
            Some(FaultEffect::HttpStatus(status)) if !(200..600).contains(&status) => {
                Err(FaultError::HttpStatus(status))
            }
            _ => Ok(()),
        }
    }
}
