//! The answers of WeChat's component API.

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::error::Fault;
use super::refusal::{Endpoint, Refusal, Refused};
use component_api::id::AuthorizerAppId;

use crate::row::authorizer::GrantedTokens;
use crate::time::Timestamp;
use crate::token::{AuthorizerRefreshToken, Expiring, Secret};

/// An exchanged authorization code.
#[derive(Debug)]
pub struct Authorization {
    /// Whose code it was.
    pub authorizer: AuthorizerAppId,
    /// What it gave.
    pub granted: GrantedTokens,
}

/// What WeChat tells about an authorizer.
#[derive(Debug)]
pub struct AuthorizerInfo {
    /// Its name (`nick_name`).
    pub name: Option<String>,
    /// What it granted; no access token.
    pub granted: GrantedTokens,
}

/// One authorizer in WeChat's list.
#[derive(Debug)]
pub struct ListedAuthorizer {
    /// Whose authorization.
    pub authorizer: AuthorizerAppId,
    /// `None` if no code was ever exchanged for it.
    pub refresh_token: Option<Secret<AuthorizerRefreshToken>>,
    /// When it was authorized.
    pub auth_time: Timestamp,
}

/// One page of WeChat's list.
#[derive(Debug)]
pub struct AuthorizerPage {
    /// Those of this page.
    pub authorizers: Vec<ListedAuthorizer>,
    /// The offset of the next page; `None` after the last.
    pub next: Option<u64>,
}

/// An answer that refuses.
#[derive(Deserialize)]
struct Refusing {
    errcode: i64,
    #[serde(default)]
    errmsg: String,
}

/// Reads an answer of `endpoint`: an `errcode` other than 0 is a refusal, whatever else it says.
pub(super) fn read<T: for<'de> Deserialize<'de>>(
    endpoint: Endpoint,
    body: &[u8],
) -> Result<T, Fault> {
    if let Ok(Refusing { errcode, errmsg }) = serde_json::from_slice(body)
        && errcode != 0
    {
        let mut refused = Refused {
            endpoint,
            errcode,
            rid: rid_in(&errmsg),
            seen_from: None,
        };
        if refused.meaning() == Refusal::Address {
            refused.seen_from = address_in(&errmsg);
        }
        return Err(Fault::Refused(refused));
    }
    serde_json::from_slice(body).map_err(|_not_the_answer| Fault::Unreadable)
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

/// A value that WeChat honours for `expires_in` seconds from when it was asked.
pub(super) fn expiring<K>(
    asked_at: Timestamp,
    value: &str,
    expires_in: Option<u64>,
) -> Option<Expiring<K>> {
    Some(Expiring {
        secret: Secret::parse(value)?,
        expires_at: asked_at + Duration::from_secs(expires_in?),
    })
}

#[cfg(test)]
mod tests;
