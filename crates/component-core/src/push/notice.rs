//! What WeChat pushes to the auth-event URL, read.
//!
//! Source: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/authorize_event.html>

use std::borrow::Cow;

use crate::push::envelope;
use crate::time::Timestamp;
use crate::token::{AuthorizationCode, PreAuthCode, Secret, VerifyTicket};
use component_api::id::{AuthorizerAppId, ComponentAppId};

/// A push of the auth-event URL, by its `InfoType`.
#[derive(Debug)]
pub enum Notice {
    /// `component_verify_ticket`.
    Ticket {
        /// WeChat's `CreateTime`.
        created_at: Timestamp,
        /// The ticket.
        ticket: Secret<VerifyTicket>,
    },
    /// `authorized`, `updateauthorized` or `unauthorized`.
    Authorization(AuthorizationNotice),
    /// Anything else; answered like the others, since WeChat adds kinds.
    Unknown {
        /// The `InfoType`, cut to what a log line may hold.
        info_type: String,
    },
}

/// What happened to one authorizer's authorization, and when by WeChat's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationNotice {
    /// WeChat's `CreateTime`.
    pub created_at: Timestamp,
    /// Whose authorization.
    pub authorizer: AuthorizerAppId,
    /// What happened to it.
    pub change: AuthorizationChange,
}

/// The three things that happen to an authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthorizationChange {
    /// `authorized`: for the first time, or again after `unauthorized`.
    Authorized(GrantedCode),
    /// `updateauthorized`: with other permission sets.
    Updated(GrantedCode),
    /// `unauthorized`: the merchant has withdrawn it.
    Unauthorized,
}

/// The code that comes with an authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedCode {
    /// It must be exchanged within its life, an hour in practice. Otherwise the refresh token is
    /// lost until the merchant authorizes again.
    pub code: Secret<AuthorizationCode>,
    /// The code of the authorization page it came from, if WeChat says so.
    pub pre_auth_code: Option<Secret<PreAuthCode>>,
}

impl AuthorizationChange {
    /// WeChat's name of it (`InfoType`).
    pub const fn info_type(&self) -> &'static str {
        match self {
            Self::Authorized(_) => "authorized",
            Self::Updated(_) => "updateauthorized",
            Self::Unauthorized => "unauthorized",
        }
    }
}

const FIELDS: [&str; 7] = [
    "AppId",
    "CreateTime",
    "InfoType",
    "ComponentVerifyTicket",
    "AuthorizerAppid",
    "AuthorizationCode",
    "PreAuthCode",
];

impl Notice {
    /// Reads the plain text of a push made for `component`.
    ///
    /// Elements may come in any order, with or without CDATA, an XML declaration, or white space
    /// around numbers: all of these were captured.
    pub(super) fn parse(plain: &[u8], component: &ComponentAppId) -> Option<Self> {
        let text = std::str::from_utf8(plain).ok()?;
        let fields: [Option<Cow<'_, str>>; FIELDS.len()] =
            envelope::children(text, &FIELDS)?.try_into().ok()?;
        let [
            appid,
            created_at,
            info_type,
            ticket,
            authorizer,
            code,
            pre_auth_code,
        ] = fields;
        if appid?.trim() != component.as_str() {
            return None;
        }
        let info_type = info_type?;
        let created_at = || Some(Timestamp::from_secs(created_at?.trim().parse().ok()?));
        let grant = || {
            Some(GrantedCode {
                code: Secret::parse(code?.trim())?,
                pre_auth_code: pre_auth_code.and_then(|code| Secret::parse(code.trim())),
            })
        };
        let change = match info_type.trim() {
            "component_verify_ticket" => {
                return Some(Self::Ticket {
                    created_at: created_at()?,
                    ticket: Secret::parse(ticket?.trim())?,
                });
            }
            "authorized" => AuthorizationChange::Authorized(grant()?),
            "updateauthorized" => AuthorizationChange::Updated(grant()?),
            "unauthorized" => AuthorizationChange::Unauthorized,
            other => {
                return Some(Self::Unknown {
                    info_type: loggable(other),
                });
            }
        };
        Some(Self::Authorization(AuthorizationNotice {
            created_at: created_at()?,
            authorizer: AuthorizerAppId::parse(authorizer?.trim()).ok()?,
            change,
        }))
    }
}

fn loggable(info_type: &str) -> String {
    info_type
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
        .take(64)
        .collect()
}

#[cfg(test)]
mod tests;
