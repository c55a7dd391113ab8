//! The answers of WeChat's component API, and the one table from `errcode` to what it means for us.
//!
//! Source: <https://developers.weixin.qq.com/doc/oplatform/developers/errCode/errCode.html>

use aws_smithy_runtime_api::client::result::ConnectorError;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::{ListedAuthorizer, expiring};
use crate::id::AuthorizerAppId;
use crate::row::authorizer::GrantedTokens;
use crate::time::Timestamp;
use crate::token::Secret;

/// A call to WeChat that did not give what was asked.
#[derive(Debug, thiserror::Error)]
#[error("WeChat's {endpoint}")]
pub struct WechatError {
    /// The endpoint that was called.
    pub endpoint: &'static str,
    /// What happened.
    #[source]
    pub(super) fault: Fault,
    /// Whether one of its tries got no answer.
    pub(super) unanswered: bool,
}

/// What happened to a call.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// No connection, no answer in time, or half an answer: whether the call took effect is not known.
    #[error("did not answer")]
    Unreachable(#[source] Box<ConnectorError>),
    /// An HTTP status that WeChat's API does not use.
    #[error("answered with HTTP status {0}")]
    Status(u16),
    /// Something that is not the endpoint's answer.
    #[error("answered something unreadable")]
    Unreadable,
    /// An `errcode`.
    #[error("refused with errcode {errcode}{}{}", labelled(", rid ", rid.as_deref()), labelled(", seen from ", refusal.address()))]
    Refused {
        errcode: i64,
        refusal: Refusal,
        rid: Option<String>,
    },
}

/// What an `errcode` means for what is done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// WeChat is busy: the same call may succeed in a moment.
    Busy,
    /// The access token in the call is not, or no longer, the right one.
    AccessToken,
    /// The verify ticket is expired or wrong.
    Ticket,
    /// A quota of the component is used up.
    Quota,
    /// The caller's IP address is not on the component's white-list.
    Address {
        /// The address that WeChat saw.
        seen: Option<String>,
    },
    /// The app id, the app secret or the component itself is not right, or not released.
    Component,
    /// The account does not authorize the component.
    NotAuthorized,
    /// The authorization code is not one, was used or is too old.
    Code,
    /// The refresh token is not, or no longer, the right one.
    RefreshToken,
    /// Anything else: the call itself is wrong, or the code is new.
    Other,
}

impl Refusal {
    /// The address that WeChat saw, if it refuses it.
    fn address(&self) -> Option<&str> {
        match self {
            Self::Address { seen } => seen.as_deref(),
            _ => None,
        }
    }

    fn of(errcode: i64, errmsg: &str) -> Self {
        match errcode {
            -1 => Self::Busy,
            40001 | 40014 | 42001 | 42006 => Self::AccessToken,
            61005 | 61006 => Self::Ticket,
            45009 | 45011 => Self::Quota,
            61004 | 40090 => Self::Address {
                seen: address_in(errmsg),
            },
            40013 | 40125 | 41002 | 41004 | 41018 | 61000 | 61001 | 61002 | 61011 | 61028 => {
                Self::Component
            }
            61003 => Self::NotAuthorized,
            61009 | 61010 => Self::Code,
            // 42007: the account's administrator has changed its password, which ends the refresh token too.
            61023 | 42007 => Self::RefreshToken,
            _ => Self::Other,
        }
    }
}

impl Fault {
    /// Whether the call may have taken effect all the same, or may still.
    pub(super) fn is_no_answer(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Unreadable => true,
            Self::Status(status) => *status >= 500,
            Self::Refused { .. } => false,
        }
    }
}

impl WechatError {
    pub(super) fn new(endpoint: &'static str, fault: Fault) -> Self {
        Self {
            endpoint,
            unanswered: fault.is_no_answer(),
            fault,
        }
    }

    /// Whether the call may have taken effect all the same: one of its tries got no answer.
    pub fn may_have_taken_effect(&self) -> bool {
        self.unanswered
    }

    /// Why WeChat refused, if it did.
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.fault {
            Fault::Refused { refusal, .. } => Some(refusal),
            Fault::Unreachable(_) | Fault::Status(_) | Fault::Unreadable => None,
        }
    }

    /// Whether WeChat has answered, so that asking again would change nothing.
    pub fn is_answer(&self) -> bool {
        self.refusal()
            .is_some_and(|refusal| *refusal != Refusal::Busy)
    }

    /// Whether the same call may succeed in a moment.
    pub(super) fn is_transient(&self) -> bool {
        self.fault.is_no_answer() || self.refusal() == Some(&Refusal::Busy)
    }

    /// Whether it would happen to every authorizer's call alike.
    pub(crate) fn is_component_wide(&self) -> bool {
        match self.refusal() {
            Some(
                Refusal::AccessToken
                | Refusal::Ticket
                | Refusal::Quota
                | Refusal::Address { .. }
                | Refusal::Component,
            ) => true,
            Some(
                Refusal::Busy
                | Refusal::NotAuthorized
                | Refusal::Code
                | Refusal::RefreshToken
                | Refusal::Other,
            )
            | None => false,
        }
    }

    pub(crate) fn advice(&self) -> String {
        let endpoint = self.endpoint;
        let Fault::Refused {
            errcode, refusal, ..
        } = &self.fault
        else {
            return format!("try again; WeChat's {endpoint} did not answer");
        };
        let what = match refusal {
            Refusal::Busy => "try again; WeChat is busy".to_owned(),
            Refusal::Quota => {
                "wait until WeChat's quota is reset at midnight in Beijing, or clear it".to_owned()
            }
            Refusal::Address { seen } => format!(
                "put the address {} on the component's IP white-list in WeChat's console",
                seen.as_deref().unwrap_or("of the stack's NAT gateway")
            ),
            Refusal::Component => {
                "check the component's app id and app secret in its secret, and that it is released"
                    .to_owned()
            }
            Refusal::Ticket => "wait for WeChat's next ticket push".to_owned(),
            Refusal::NotAuthorized => "ask the account's owner to authorize".to_owned(),
            Refusal::Code => "start the authorization again".to_owned(),
            Refusal::RefreshToken => "ask the account's owner to authorize again".to_owned(),
            Refusal::AccessToken | Refusal::Other => {
                "look the errcode up in WeChat's documentation".to_owned()
            }
        };
        format!("{what} ({endpoint} answered errcode {errcode})")
    }
}

#[derive(Deserialize)]
struct Failure {
    errcode: i64,
    #[serde(default)]
    errmsg: String,
}

/// Reads an answer: an `errcode` other than 0 is a refusal, whatever else it says.
pub(super) fn read<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, Fault> {
    if let Ok(Failure { errcode, errmsg }) = serde_json::from_slice(body)
        && errcode != 0
    {
        return Err(Fault::Refused {
            errcode,
            refusal: Refusal::of(errcode, &errmsg),
            rid: rid_in(&errmsg),
        });
    }
    serde_json::from_slice(body).map_err(|_not_the_answer| Fault::Unreadable)
}

fn labelled(label: &str, value: Option<&str>) -> String {
    value.map_or_else(String::new, |value| format!("{label}{value}"))
}

/// The IPv4 address in `access clientip is not registered requestIP: 1.2.3.4 rid: ..`, written as v6-mapped at times.
fn address_in(errmsg: &str) -> Option<String> {
    errmsg
        .split(|c: char| !(c.is_ascii_digit() || c == '.'))
        .find(|word| word.parse::<std::net::Ipv4Addr>().is_ok())
        .map(str::to_owned)
}

/// WeChat's id of the call, for its support; of the whole message only this is logged.
fn rid_in(errmsg: &str) -> Option<String> {
    let (_, rest) = errmsg.split_once("rid: ")?;
    let rid: String = rest
        .chars()
        .take_while(|c| c.is_ascii_hexdigit() || *c == '-')
        .take(64)
        .collect();
    (!rid.is_empty()).then_some(rid)
}

#[derive(Deserialize)]
pub(super) struct ComponentToken {
    pub(super) component_access_token: String,
    #[serde(deserialize_with = "number")]
    pub(super) expires_in: u64,
}

#[derive(Deserialize)]
pub(super) struct PreAuthCode {
    pub(super) pre_auth_code: String,
    #[serde(deserialize_with = "number")]
    pub(super) expires_in: u64,
}

#[derive(Deserialize)]
pub(super) struct AuthorizerToken {
    pub(super) authorizer_access_token: String,
    #[serde(deserialize_with = "number")]
    pub(super) expires_in: u64,
    pub(super) authorizer_refresh_token: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct QueryAuth {
    pub(super) authorization_info: AuthorizationInfo,
}

#[derive(Deserialize)]
pub(super) struct GetAuthorizerInfo {
    pub(super) authorizer_info: Account,
    pub(super) authorization_info: AuthorizationInfo,
}

#[derive(Deserialize)]
pub(super) struct Account {
    pub(super) nick_name: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct AuthorizationInfo {
    pub(super) authorizer_appid: String,
    authorizer_access_token: Option<String>,
    #[serde(default, deserialize_with = "optional_number")]
    expires_in: Option<u64>,
    authorizer_refresh_token: Option<String>,
    #[serde(default)]
    func_info: Vec<FuncInfo>,
}

#[derive(Deserialize)]
struct FuncInfo {
    funcscope_category: FuncscopeCategory,
}

#[derive(Deserialize)]
struct FuncscopeCategory {
    #[serde(deserialize_with = "number")]
    id: u64,
}

impl AuthorizationInfo {
    /// The three token fields are there only when the account has API permission.
    pub(super) fn granted(self, asked_at: Timestamp) -> GrantedTokens {
        let access_token = self.authorizer_access_token.as_deref();
        let refresh_token = self.authorizer_refresh_token.as_deref();
        GrantedTokens {
            asked_at,
            access_token: access_token.and_then(|token| expiring(asked_at, token, self.expires_in)),
            refresh_token: refresh_token.and_then(Secret::parse),
            permission_sets: self
                .func_info
                .into_iter()
                .map(|set| set.funcscope_category.id)
                .collect(),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct AuthorizerList {
    #[serde(deserialize_with = "number")]
    pub(super) total_count: u64,
    #[serde(default)]
    pub(super) list: Vec<Listed>,
}

#[derive(Deserialize)]
pub(super) struct Listed {
    authorizer_appid: String,
    refresh_token: Option<String>,
    #[serde(default, deserialize_with = "optional_number")]
    auth_time: Option<u64>,
}

impl Listed {
    pub(super) fn read(self) -> Option<ListedAuthorizer> {
        Some(ListedAuthorizer {
            authorizer: AuthorizerAppId::parse(&self.authorizer_appid).ok()?,
            refresh_token: self.refresh_token.as_deref().and_then(Secret::parse),
            auth_time: Timestamp::from_secs(self.auth_time.unwrap_or_default()),
        })
    }
}

/// WeChat writes numbers as numbers or as strings.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(u64),
    Text(String),
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match Number::deserialize(deserializer)? {
        Number::Number(number) => Ok(number),
        Number::Text(text) => text.trim().parse().map_err(D::Error::custom),
    }
}

fn optional_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    number(deserializer).map(Some)
}

#[cfg(test)]
mod tests;
