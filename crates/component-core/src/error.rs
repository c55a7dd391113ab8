//! What can go wrong, and the only place where it becomes a code, a status or a sentence.

use http::StatusCode;

use crate::id::AuthorizerAppId;
use crate::push::PushError;
use crate::row::Failure;
use crate::time::Timestamp;
use crate::wechat::{Refusal, WechatError};

/// An error of any flow. Its text is for the log; callers outside get [`Error::code`] and [`Error::advice`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A push was not accepted.
    #[error(transparent)]
    Push(#[from] PushError),
    /// A caller's request is malformed.
    #[error("invalid request: {0}")]
    InvalidRequest(&'static str),
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
    /// Somebody else works on the same thing and has not finished in time.
    #[error("another caller holds {0} and has not finished in time")]
    Busy(&'static str),
    /// Somebody else tried to renew the same token while we waited, and failed.
    #[error("another caller's renewal failed with {code}")]
    Elsewhere {
        /// The code of his error.
        code: &'static str,
        /// The advice of his error.
        advice: String,
        /// Whether his error was the component's trouble.
        component_wide: bool,
    },
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
    /// The secret could not be fetched.
    #[error("cannot fetch the component's secret")]
    Secret(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The environment or the secret is not as it should be.
    #[error("configuration: {0}")]
    Config(String),
}

/// Marks a remembered failure that was the component's trouble.
const COMPONENT_WIDE: &str = "component-wide ";

const NO_VERIFY_TICKET: &str = "no_verify_ticket";
const WECHAT_REJECTED: &str = "wechat_rejected";
const WECHAT_UNAVAILABLE: &str = "wechat_unavailable";
const STORE_UNAVAILABLE: &str = "store_unavailable";

impl Error {
    /// The error that a row remembers of its last renewal, for those who waited for it.
    pub(crate) fn remembered(failure: &str) -> Self {
        let marked = failure.strip_prefix(COMPONENT_WIDE);
        let failure = marked.unwrap_or(failure);
        let (code, advice) = failure.split_once(": ").unwrap_or((failure, ""));
        let code = [NO_VERIFY_TICKET, WECHAT_REJECTED, STORE_UNAVAILABLE]
            .into_iter()
            .find(|known| *known == code)
            .unwrap_or(WECHAT_UNAVAILABLE);
        Self::Elsewhere {
            code,
            advice: advice.to_owned(),
            component_wide: marked.is_some(),
        }
    }

    /// Whether a call to WeChat may have taken effect although it failed.
    pub(crate) fn may_have_taken_effect(&self) -> bool {
        matches!(self, Self::Wechat(error) if error.may_have_taken_effect())
    }

    /// What a row remembers of it after the failure `before`: see [`Error::remembered`].
    ///
    /// The next try would only be refused again if this was WeChat's refusal; what is ours may be mended at any moment, a
    /// ticket may come, and whatever else befalls a call may pass.
    pub(crate) fn to_failure(&self, before: Option<&Failure>, now: Timestamp) -> Failure {
        match self {
            Self::Wechat(error) if error.is_answer() => {
                Failure::refusal(self.to_remember(), before, now)
            }
            _ => Failure::passing(self.to_remember(), now),
        }
    }

    pub(crate) fn to_remember(&self) -> String {
        let mark = if self.is_component_wide() {
            COMPONENT_WIDE
        } else {
            ""
        };
        format!("{mark}{}: {}", self.code(), self.advice())
    }

    /// A stable name: the `errorType` of a failed invocation, and a field of the log line.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Push(_) => "push_refused",
            Self::InvalidRequest(_) => "invalid_request",
            Self::UnknownAuthorizer(_) => "unknown_authorizer",
            Self::AuthorizationRevoked(_) => "authorization_revoked",
            Self::ReauthorizationRequired(_) => "reauthorization_required",
            Self::Elsewhere { code, .. } => code,
            Self::NoVerifyTicket => NO_VERIFY_TICKET,
            Self::CodeSpent => WECHAT_REJECTED,
            Self::Wechat(error) if error.is_answer() => WECHAT_REJECTED,
            Self::Busy(_) | Self::Wechat(_) => WECHAT_UNAVAILABLE,
            Self::Store { .. } | Self::Secret(_) => STORE_UNAVAILABLE,
            Self::Config(_) => "misconfigured",
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
            Self::Wechat(error) if error.is_answer() => StatusCode::BAD_GATEWAY,
            Self::NoVerifyTicket | Self::Busy(_) | Self::Elsewhere { .. } | Self::Wechat(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Store { .. } | Self::Secret(_) | Self::Config(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// One sentence that tells a caller what he can do.
    pub fn advice(&self) -> String {
        match self {
            Self::Push(_) => "only WeChat pushes here".to_owned(),
            Self::InvalidRequest(what) => format!("correct the request: {what}"),
            Self::UnknownAuthorizer(appid) => {
                format!("send the owner of {appid} to the authorization link; no authorization of this account is stored")
            }
            Self::AuthorizationRevoked(appid) => format!(
                "stop calling for {appid}, or ask its owner to authorize again; the authorization was revoked"
            ),
            Self::ReauthorizationRequired(appid) => format!(
                "ask the owner of {appid} to authorize again; WeChat no longer accepts its refresh token"
            ),
            Self::CodeSpent => "start the authorization again".to_owned(),
            Self::Busy(_) => "try again in a few seconds; another caller is renewing this".to_owned(),
            Self::Elsewhere { advice, .. } => advice.clone(),
            Self::NoVerifyTicket => {
                "wait for WeChat's next ticket push, within ten minutes, and check that the events URL in its console is this stack's".to_owned()
            }
            Self::Wechat(error) => error.advice(),
            Self::Store { .. } | Self::Secret(_) => "try again; the store did not answer".to_owned(),
            Self::Config(what) => format!("correct the configuration: {what}"),
        }
    }

    /// Whether it is the component's trouble, so that going on with the next authorizer would only repeat it.
    pub fn is_component_wide(&self) -> bool {
        match self {
            Self::NoVerifyTicket | Self::Store { .. } | Self::Secret(_) | Self::Config(_) => true,
            Self::Wechat(error) => error.is_component_wide(),
            Self::Elsewhere { component_wide, .. } => *component_wide,
            Self::Push(_)
            | Self::InvalidRequest(_)
            | Self::UnknownAuthorizer(_)
            | Self::AuthorizationRevoked(_)
            | Self::ReauthorizationRequired(_)
            | Self::CodeSpent
            | Self::Busy(_) => false,
        }
    }

    /// Whether WeChat refused the call for the reason `refusal`.
    pub fn is_refusal(&self, refusal: &Refusal) -> bool {
        matches!(self, Self::Wechat(error) if error.refusal() == Some(refusal))
    }

    /// Logs it with the whole chain of its causes, once, where it ends; `what` is what was being done.
    pub fn log(&self, what: &'static str) {
        let mut chain = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            chain.push_str(": ");
            chain.push_str(&cause.to_string());
            source = cause.source();
        }
        tracing::error!(code = self.code(), "{what} failed: {chain}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn appid() -> AuthorizerAppId {
        AuthorizerAppId::parse("wxfedcba9876543210").unwrap()
    }

    fn store() -> Error {
        Error::Store {
            doing: "read an authorizer",
            source: "refreshtoken@@@SECRET".into(),
        }
    }

    #[track_caller]
    fn check(error: &Error, code: &str, status: u16, component_wide: bool) {
        let got = (
            error.code(),
            error.status().as_u16(),
            error.is_component_wide(),
        );
        assert_eq!(got, (code, status, component_wide), "{error:?}");
        assert!(!error.advice().is_empty(), "{error:?}");
    }

    /// The errors of calls to WeChat stand in `wechat/answer/tests.rs`.
    #[test]
    fn every_error_has_its_code_and_status_and_is_the_components_trouble_or_not() {
        check(&PushError::Unsigned.into(), "push_refused", 403, false);
        check(&PushError::Unreadable.into(), "push_refused", 400, false);
        check(&Error::InvalidRequest("no"), "invalid_request", 400, false);
        check(
            &Error::UnknownAuthorizer(appid()),
            "unknown_authorizer",
            404,
            false,
        );
        check(
            &Error::AuthorizationRevoked(appid()),
            "authorization_revoked",
            403,
            false,
        );
        check(
            &Error::ReauthorizationRequired(appid()),
            "reauthorization_required",
            403,
            false,
        );
        check(&Error::CodeSpent, "wechat_rejected", 400, false);
        check(&Error::Busy("this token"), "wechat_unavailable", 503, false);
        check(&Error::NoVerifyTicket, "no_verify_ticket", 503, true);
        check(&store(), "store_unavailable", 500, true);
        check(&Error::Secret("no".into()), "store_unavailable", 500, true);
        check(&Error::Config("no".to_owned()), "misconfigured", 500, true);
    }

    #[test]
    fn a_remembered_failure_tells_the_next_what_the_first_was_told() {
        for error in [
            Error::NoVerifyTicket,
            store(),
            Error::CodeSpent,
            Error::Busy("this token"),
            Error::Config("no".to_owned()),
        ] {
            let remembered = Error::remembered(&error.to_remember());
            // Of a configuration that is wrong, callers know nothing.
            let code = match error.code() {
                "misconfigured" => "wechat_unavailable",
                code => code,
            };
            check(&remembered, code, 503, error.is_component_wide());
            assert_eq!(remembered.advice(), error.advice());
        }
    }

    #[test]
    fn a_failure_that_nobody_wrote_so_is_still_one() {
        for written in ["", "garbled", "access_token: SECRET"] {
            let remembered = Error::remembered(written);
            assert_eq!(remembered.code(), "wechat_unavailable", "{written}");
        }
    }

    #[test]
    fn neither_text_nor_advice_repeats_what_the_store_said() {
        for error in [store(), Error::Secret("SECRET".into())] {
            let told = format!("{error} {} {}", error.advice(), error.to_remember());
            assert!(!told.contains("SECRET"), "{told}");
        }
    }
}
