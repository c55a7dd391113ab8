//! A call to WeChat that did not give what was asked.

use aws_smithy_runtime_api::client::result::ConnectorError;

use super::refusal::{Endpoint, Refusal, Refused};
use crate::token::{AuthorizerRefreshToken, Secret};

/// A call to WeChat that did not give what was asked.
#[derive(Debug, thiserror::Error)]
#[error("WeChat's {endpoint}")]
pub struct WechatError {
    /// The endpoint that was called.
    pub endpoint: Endpoint,
    /// What happened.
    #[source]
    pub(super) fault: Fault,
    /// Whether one of its tries got no answer.
    pub(super) unanswered: bool,
    /// A new refresh token that came without an access token.
    pub(super) refresh_token: Option<Secret<AuthorizerRefreshToken>>,
}

/// What happened to a call.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// No connection, no answer in time, or half an answer: whether the call took effect is not
    /// known.
    #[error("did not answer")]
    Unreachable(#[source] Box<ConnectorError>),
    /// An HTTP status that WeChat's API does not use.
    #[error("answered with HTTP status {0}")]
    Status(u16),
    /// Something that is not the endpoint's answer.
    #[error("answered something unreadable")]
    Unreadable,
    /// An `errcode`.
    #[error(transparent)]
    Refused(Refused),
}

impl Fault {
    /// Whether the call may have taken effect all the same, or may still.
    pub(super) fn is_no_answer(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Unreadable => true,
            Self::Status(status) => *status >= 500,
            Self::Refused(_) => false,
        }
    }
}

impl WechatError {
    pub(super) fn new(endpoint: Endpoint, fault: Fault) -> Self {
        Self {
            endpoint,
            unanswered: fault.is_no_answer(),
            fault,
            refresh_token: None,
        }
    }

    /// Whether the call may have taken effect all the same: one of its tries got no answer.
    pub fn may_have_taken_effect(&self) -> bool {
        self.unanswered
    }

    /// A new refresh token of the authorizer, which the answer held although it did not hold what
    /// was asked.
    pub fn refresh_token(&self) -> Option<&Secret<AuthorizerRefreshToken>> {
        self.refresh_token.as_ref()
    }

    /// Whether WeChat answered something that could not be read.
    pub fn is_unreadable(&self) -> bool {
        matches!(self.fault, Fault::Unreadable)
    }

    /// WeChat's refusal, if it refused.
    pub fn refused(&self) -> Option<&Refused> {
        match &self.fault {
            Fault::Refused(refused) => Some(refused),
            Fault::Unreachable(_) | Fault::Status(_) | Fault::Unreadable => None,
        }
    }

    /// Whether WeChat refused the call for the reason `refusal`.
    pub fn is_refusal(&self, refusal: Refusal) -> bool {
        let refused = self.refused();
        refused.is_some_and(|refused| refused.meaning() == refusal)
    }

    /// Whether the same call may succeed in a moment.
    pub(super) fn is_transient(&self) -> bool {
        self.fault.is_no_answer() || self.is_refusal(Refusal::Busy)
    }
}
