//! The stable names of errors.

use std::fmt;

/// What went wrong, as callers tell it from other errors: the `errorType` of a failed invocation,
/// and a field of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The request is malformed.
    InvalidRequest,
    /// No authorization of the account is stored.
    UnknownAuthorizer,
    /// The merchant has withdrawn the authorization.
    AuthorizationRevoked,
    /// WeChat refuses every refresh token of the account.
    ReauthorizationRequired,
    /// WeChat limits the account itself: frozen, banned, migrated, being deregistered. To authorize
    /// again does not help.
    AccountLimited,
    /// There is no verify ticket that WeChat accepts.
    NoVerifyTicket,
    /// WeChat refused the call.
    WechatRejected,
    /// WeChat did not answer, or another caller has not finished in time.
    WechatUnavailable,
    /// The table or the secret could not be reached.
    StoreUnavailable,
    /// The event bus did not take an event. Only in log lines.
    BusUnavailable,
    /// The stack's configuration is wrong. Only in log lines.
    Misconfigured,
    /// A push was not accepted. Only in log lines.
    PushRefused,
}

impl Code {
    const ALL: [Self; 12] = [
        Self::InvalidRequest,
        Self::UnknownAuthorizer,
        Self::AuthorizationRevoked,
        Self::ReauthorizationRequired,
        Self::AccountLimited,
        Self::NoVerifyTicket,
        Self::WechatRejected,
        Self::WechatUnavailable,
        Self::StoreUnavailable,
        Self::BusUnavailable,
        Self::Misconfigured,
        Self::PushRefused,
    ];

    /// The name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::UnknownAuthorizer => "unknown_authorizer",
            Self::AuthorizationRevoked => "authorization_revoked",
            Self::ReauthorizationRequired => "reauthorization_required",
            Self::AccountLimited => "account_limited",
            Self::NoVerifyTicket => "no_verify_ticket",
            Self::WechatRejected => "wechat_rejected",
            Self::WechatUnavailable => "wechat_unavailable",
            Self::StoreUnavailable => "store_unavailable",
            Self::BusUnavailable => "bus_unavailable",
            Self::Misconfigured => "misconfigured",
            Self::PushRefused => "push_refused",
        }
    }

    /// The code of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == name)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Codes are compared with the names that the contract gives them.
impl PartialEq<&str> for Code {
    fn eq(&self, name: &&str) -> bool {
        self.as_str() == *name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_read_back_from_its_name() {
        for code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(code));
        }
        for unknown in ["", "Wechat_Rejected", "wechat_rejected: no"] {
            assert_eq!(Code::parse(unknown), None, "{unknown:?}");
        }
    }
}
