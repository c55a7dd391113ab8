//! What can go wrong, and the only place where it becomes a code, a status or a sentence.
//!
//! Flows return [`Error`]. Calls to WeChat return [`WechatError`], what is read from the environment
//! [`Misconfigured`], an unopened push [`PushError`]; each becomes an [`Error`] by `?`.

use component_api::code::Code;
use component_api::id::AuthorizerAppId;
use component_api::request::InvalidRequest;
use http::StatusCode;

use crate::config::Misconfigured;
use crate::push::PushError;
use crate::row::{Cause, Failure};
use crate::time::Timestamp;
use crate::token::{AuthorizerRefreshToken, Secret};
use crate::wechat::error::WechatError;
use crate::wechat::refusal::{Concern, Endpoint, Refusal, Refused};

/// An error of any flow. Its text is for the log; callers outside get [`Error::code`] and
/// [`Error::advice`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A push was not accepted.
    #[error(transparent)]
    Push(#[from] PushError),
    /// A caller's request is malformed.
    #[error("invalid request: {0}")]
    InvalidRequest(#[from] InvalidRequest),
    /// No authorization of this account was ever stored.
    #[error("authorizer {0} is not known")]
    UnknownAuthorizer(AuthorizerAppId),
    /// The account has withdrawn its authorization.
    #[error("authorizer {0} has revoked its authorization")]
    AuthorizationRevoked(AuthorizerAppId),
    /// WeChat refuses every refresh token of the account.
    #[error("authorizer {0} must authorize again")]
    ReauthorizationRequired(AuthorizerAppId),
    /// An authorization code was spent, or is too old, and what it gave is not in the table.
    #[error("the authorization code is spent or expired, and nothing was stored for it")]
    CodeSpent,
    /// Another caller works on the same thing and has not finished in time.
    #[error("another caller holds {0} and has not finished in time")]
    Busy(&'static str),
    /// WeChat does not tell whether the account is authorized: its list may.
    #[error("WeChat does not tell whether authorizer {appid} is authorized")]
    Untold {
        /// The account.
        appid: AuthorizerAppId,
        /// Whether one call has denied it: a second one, later, counts.
        denied: Denied,
    },
    /// Another caller tried to renew the same token a moment ago, and failed.
    #[error("an earlier try has failed, {}: {}", remembered(.0), told(.0))]
    Remembered(Failure),
    /// WeChat has not pushed a ticket yet, or only ones that it refuses now.
    #[error("there is no component verify ticket that WeChat accepts")]
    NoVerifyTicket,
    /// A call to WeChat failed.
    #[error(transparent)]
    Wechat(#[from] WechatError),
    /// The table could not be read or written.
    #[error("cannot {doing}")]
    Store {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The event bus did not take an event, or its answer got lost.
    #[error("the event bus did not take an event")]
    Bus(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The secret could not be fetched, or a function that has started without it finds no version
    /// that is well-formed.
    #[error("cannot read the component's secret")]
    Secret(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The environment or the secret is not as it should be.
    #[error("configuration: {0}")]
    Config(#[from] Misconfigured),
}

/// What one call has said of an authorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// There is none.
    Once,
    /// Nothing that could be read.
    Not,
}

impl Error {
    /// Whether a call to WeChat may have taken effect although it failed.
    pub(crate) fn may_have_taken_effect(&self) -> bool {
        matches!(self, Self::Wechat(error) if error.may_have_taken_effect())
    }

    /// A new refresh token that WeChat gave although the call failed.
    pub(crate) fn refresh_token(&self) -> Option<&Secret<AuthorizerRefreshToken>> {
        match self {
            Self::Wechat(error) => error.refresh_token(),
            _ => None,
        }
    }

    /// What a row remembers of it, after the failure `before`.
    pub(crate) fn to_failure(&self, before: Option<&Failure>, now: Timestamp) -> Failure {
        let cause = match self {
            Self::Wechat(error) => match error.refused() {
                Some(refused) => Cause::Refused(refused.clone()),
                None => Cause::Unanswered(error.endpoint),
            },
            Self::Remembered(failure) => failure.cause.clone(),
            other => Cause::Other(other.code()),
        };
        Failure::after(before, cause, now)
    }

    /// A stable name: the `errorType` of a failed invocation, and a field of the log line.
    pub fn code(&self) -> Code {
        match self {
            Self::Push(_) => Code::PushRefused,
            Self::InvalidRequest(_) => Code::InvalidRequest,
            Self::UnknownAuthorizer(_) => Code::UnknownAuthorizer,
            Self::AuthorizationRevoked(_) => Code::AuthorizationRevoked,
            Self::ReauthorizationRequired(_) => Code::ReauthorizationRequired,
            Self::Remembered(failure) => failure.cause.code(),
            Self::NoVerifyTicket => Code::NoVerifyTicket,
            Self::CodeSpent => Code::WechatRejected,
            Self::Wechat(error) => match error.refused() {
                Some(refused) => refused.code(),
                None => Code::WechatUnavailable,
            },
            Self::Busy(_) | Self::Untold { .. } => Code::WechatUnavailable,
            Self::Store { .. } | Self::Secret(_) => Code::StoreUnavailable,
            Self::Bus(_) => Code::BusUnavailable,
            Self::Config(_) => Code::Misconfigured,
        }
    }

    /// The HTTP status for it.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Push(error) => error.status(),
            Self::InvalidRequest(_) | Self::CodeSpent => StatusCode::BAD_REQUEST,
            Self::UnknownAuthorizer(_) => StatusCode::NOT_FOUND,
            Self::AuthorizationRevoked(_) | Self::ReauthorizationRequired(_) => {
                StatusCode::FORBIDDEN
            }
            Self::Wechat(_) if self.code() != Code::WechatUnavailable => StatusCode::BAD_GATEWAY,
            Self::NoVerifyTicket
            | Self::Busy(_)
            | Self::Remembered(_)
            | Self::Untold { .. }
            | Self::Wechat(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Bus(_) | Self::Store { .. } | Self::Secret(_) | Self::Config(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// One sentence that tells a caller what to do.
    pub fn advice(&self) -> String {
        match self {
            Self::Push(_) => "only WeChat pushes here".to_owned(),
            Self::InvalidRequest(what) => format!("correct the request: {what}"),
            Self::UnknownAuthorizer(appid) => {
                format!(
                    "send the owner of {appid} to the authorization link; no authorization of this account is stored"
                )
            }
            Self::AuthorizationRevoked(appid) => format!(
                "stop calling for {appid}, or ask its owner to authorize again; the authorization was revoked"
            ),
            Self::ReauthorizationRequired(appid) => format!(
                "ask the owner of {appid} to authorize again; WeChat no longer accepts its refresh token"
            ),
            Self::CodeSpent => "start the authorization again".to_owned(),
            Self::Busy(_) => {
                "try again in a few seconds; another caller is renewing this".to_owned()
            }
            Self::Untold { appid, .. } => format!(
                "try again in some minutes; WeChat does not tell whether {appid} is authorized"
            ),
            Self::Remembered(failure) => {
                let first = match &failure.cause {
                    Cause::Refused(refused) => refused.advice(),
                    Cause::Unanswered(endpoint) => unanswered(*endpoint),
                    Cause::Other(code) => advice_of(*code).to_owned(),
                };
                format!("{first} ({})", remembered(failure))
            }
            Self::Wechat(error) => match error.refused() {
                Some(refused) => refused.advice(),
                None => unanswered(error.endpoint),
            },
            Self::NoVerifyTicket | Self::Store { .. } | Self::Bus(_) | Self::Secret(_) => {
                advice_of(self.code()).to_owned()
            }
            Self::Config(what) => format!("correct the configuration: {what}"),
        }
    }

    /// Whether it is the component's trouble, so that going on with the next authorizer would only
    /// repeat it. What the table says of one row is that row's.
    pub fn is_component_wide(&self) -> bool {
        let of_refusal = |refused: &Refused| refused.concerns() == Concern::Component;
        match self {
            Self::Wechat(error) => error.refused().is_some_and(of_refusal),
            Self::Remembered(failure) => match &failure.cause {
                Cause::Refused(refused) => of_refusal(refused),
                Cause::Unanswered(_) => false,
                Cause::Other(code) => *code == Code::NoVerifyTicket,
            },
            Self::NoVerifyTicket | Self::Secret(_) | Self::Config(_) => true,
            Self::Push(_)
            | Self::InvalidRequest(_)
            | Self::UnknownAuthorizer(_)
            | Self::AuthorizationRevoked(_)
            | Self::ReauthorizationRequired(_)
            | Self::CodeSpent
            | Self::Busy(_)
            | Self::Untold { .. }
            | Self::Bus(_)
            | Self::Store { .. } => false,
        }
    }

    /// WeChat's refusal, just now or remembered.
    pub fn refused(&self) -> Option<&Refused> {
        match self {
            Self::Wechat(error) => error.refused(),
            Self::Remembered(failure) => match &failure.cause {
                Cause::Refused(refused) => Some(refused),
                Cause::Unanswered(_) | Cause::Other(_) => None,
            },
            _ => None,
        }
    }

    /// Whether WeChat denies that the account authorizes the component.
    pub(crate) fn is_denial(&self) -> bool {
        self.is_refusal(Refusal::NotAuthorized)
    }

    /// Whether a call that named an account has got an answer about that account which is not the
    /// one asked for: a refusal that lasts, or something unreadable.
    pub(crate) fn is_about_the_account(&self) -> bool {
        match self {
            Self::Wechat(error) => match error.refused() {
                Some(refused) => {
                    let passes = matches!(
                        refused.meaning(),
                        Refusal::Busy | Refusal::Quota | Refusal::MinuteQuota
                    );
                    refused.concerns() == Concern::Account && !passes
                }
                None => error.is_unreadable(),
            },
            _ => false,
        }
    }

    /// Whether WeChat refused the call for the reason `refusal`.
    pub fn is_refusal(&self, refusal: Refusal) -> bool {
        matches!(self, Self::Wechat(error) if error.is_refusal(refusal))
    }

    /// Logs it as an error, with the whole chain of its causes, once, where it ends. `what` is what
    /// was being done.
    pub fn log(&self, what: &'static str) {
        tracing::error!(
            code = self.code().as_str(),
            "{what} failed: {}",
            self.chain()
        );
    }

    /// The same as a warning: it is tried again, or the caller is served all the same.
    pub fn warn(&self, what: &'static str) {
        tracing::warn!(
            code = self.code().as_str(),
            "{what} failed: {}",
            self.chain()
        );
    }

    fn chain(&self) -> String {
        let mut chain = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            chain.push_str(": ");
            chain.push_str(&cause.to_string());
            source = cause.source();
        }
        chain
    }
}

/// Since when, and until when, a failure is answered to each caller.
fn remembered(failure: &Failure) -> String {
    let Failure { since, until, .. } = failure;
    format!("remembered since {since}, not tried again before {until}, in Unix seconds")
}

/// The facts of a failure, for the log.
fn told(failure: &Failure) -> String {
    match &failure.cause {
        Cause::Refused(refused) => format!("WeChat's {} {refused}", refused.endpoint),
        Cause::Unanswered(endpoint) => format!("WeChat's {endpoint} did not answer"),
        Cause::Other(code) => code.to_string(),
    }
}

fn unanswered(endpoint: Endpoint) -> String {
    format!("try again; WeChat's {endpoint} did not answer")
}

/// What a caller can do of whose failure nothing but the code is known.
const fn advice_of(code: Code) -> &'static str {
    match code {
        Code::NoVerifyTicket => {
            "wait for WeChat's next ticket push, within ten minutes, and check that the events URL in its console is this stack's"
        }
        Code::StoreUnavailable => {
            "try again; if it lasts, the stack's log says why its table or its secret cannot be read"
        }
        Code::BusUnavailable => {
            "nothing; what the event bus did not take is kept and delivered within minutes"
        }
        Code::Misconfigured => "look for the configuration that the stack's log names as wrong",
        Code::InvalidRequest => "correct the request",
        Code::UnknownAuthorizer | Code::AuthorizationRevoked | Code::ReauthorizationRequired => {
            "ask the account's owner to authorize again"
        }
        Code::AccountLimited => {
            "ask the account's owner to have WeChat lift its limit; to authorize again does not help"
        }
        Code::WechatRejected => "look for WeChat's errcode in the stack's log",
        Code::WechatUnavailable => "try again in a few seconds",
        Code::PushRefused => "only WeChat pushes here",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn appid() -> AuthorizerAppId {
        AuthorizerAppId::parse("wxfedcba9876543210").unwrap()
    }

    fn store() -> Error {
        Error::Store {
            doing: "read an authorizer",
            source: "refreshtoken@@@SECRET".into(),
        }
    }

    fn misconfigured() -> Error {
        Misconfigured("no".to_owned()).into()
    }

    #[track_caller]
    fn check(error: &Error, code: &str, status: u16, component_wide: bool) {
        let got = (error.status().as_u16(), error.is_component_wide());
        assert_eq!(error.code(), code, "{error:?}");
        assert_eq!(got, (status, component_wide), "{error:?}");
        assert!(!error.advice().is_empty(), "{error:?}");
    }

    /// The errors of calls to WeChat have their tests in `wechat/answer/tests.rs`.
    #[test]
    fn every_error_has_its_code_and_status_and_is_the_components_trouble_or_not() {
        check(&PushError::Unsigned.into(), "push_refused", 403, false);
        check(&PushError::Unreadable.into(), "push_refused", 400, false);
        let invalid = InvalidRequest("no");
        check(&invalid.into(), "invalid_request", 400, false);
        let unknown = Error::UnknownAuthorizer(appid());
        check(&unknown, "unknown_authorizer", 404, false);
        let revoked = Error::AuthorizationRevoked(appid());
        check(&revoked, "authorization_revoked", 403, false);
        let given_up = Error::ReauthorizationRequired(appid());
        check(&given_up, "reauthorization_required", 403, false);
        check(&Error::CodeSpent, "wechat_rejected", 400, false);
        check(&Error::Busy("this token"), "wechat_unavailable", 503, false);
        check(&Error::NoVerifyTicket, "no_verify_ticket", 503, true);
        check(&store(), "store_unavailable", 500, false);
        check(&Error::Bus("no".into()), "bus_unavailable", 500, false);
        check(&Error::Secret("no".into()), "store_unavailable", 500, true);
        check(&misconfigured(), "misconfigured", 500, true);
    }

    #[test]
    fn a_remembered_failure_tells_the_next_caller_what_the_first_was_told() {
        let address = Refused {
            endpoint: Endpoint::ComponentToken,
            errcode: 61004,
            rid: Some("1a-2b".to_owned()),
            seen_from: Some("203.0.113.7".to_owned()),
        };
        let failure = Failure::after(None, Cause::Refused(address.clone()), NOW);
        let remembered = Error::Remembered(failure);
        check(&remembered, "wechat_rejected", 503, true);
        assert!(remembered.advice().starts_with(&address.advice()));
        let told = remembered.to_string();
        for fact in ["api_component_token", "61004", "1a-2b", "203.0.113.7"] {
            assert!(told.contains(fact), "{told}");
        }
        let times = "remembered since 1700000000, not tried again before 1700000002";
        for text in [told, remembered.advice()] {
            assert!(text.contains(times), "{text}");
        }

        for error in [
            Error::NoVerifyTicket,
            store(),
            Error::Secret("SECRET".into()),
            Error::Busy("this token"),
            misconfigured(),
        ] {
            let remembered = Error::Remembered(error.to_failure(None, NOW));
            assert_eq!(remembered.code(), error.code());
            assert_eq!(remembered.status(), StatusCode::SERVICE_UNAVAILABLE);
        }
        for error in [Error::NoVerifyTicket, store(), Error::Secret("no".into())] {
            let remembered = Error::Remembered(error.to_failure(None, NOW));
            assert!(remembered.advice().starts_with(&error.advice()));
        }
    }

    #[test]
    fn neither_text_nor_advice_repeats_what_the_store_said() {
        for error in [store(), Error::Secret("SECRET".into())] {
            let failure = error.to_failure(None, NOW);
            let told = format!("{error} {} {failure:?}", error.advice());
            assert!(!told.contains("SECRET"), "{told}");
        }
    }
}
