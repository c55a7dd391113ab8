//! The answers of WeChat's component API, read leniently: what is not used may hold anything, and
//! what is used is taken field by field and entry by entry.

use std::time::Duration;

use component_api::id::AuthorizerAppId;

use super::MAX_PAGE;
use super::error::Fault;
use super::json::{Answer, Json};
use super::refusal::{Endpoint, Refusal, Refused};
use crate::row::authorizer::GrantedTokens;
use crate::time::Timestamp;
use crate::token::{
    ACCESS_TOKEN_LIFE, AuthorizerAccessToken, AuthorizerRefreshToken, ComponentAccessToken,
    Expiring, PreAuthCode, Secret,
};

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
    /// Its own id (`gh_..`), by which messages name it.
    pub user_name: Option<String>,
    /// Whether it is a mini program; `None` if WeChat did not tell.
    pub is_mini_program: Option<bool>,
    /// What it granted, without an access token; `None` if WeChat did not tell.
    pub granted: Option<GrantedTokens>,
}

/// One authorizer in WeChat's list.
#[derive(Debug)]
pub struct ListedAuthorizer {
    /// Whose authorization.
    pub authorizer: AuthorizerAppId,
    /// `None` if no code was ever exchanged for it.
    pub refresh_token: Option<Secret<AuthorizerRefreshToken>>,
    /// When it was authorized; zero, before every other time, if WeChat does not tell.
    pub auth_time: Timestamp,
}

/// One page of WeChat's list.
#[derive(Debug)]
pub struct AuthorizerPage {
    /// Those of this page.
    pub authorizers: Vec<ListedAuthorizer>,
    /// Entries of this page that name no account.
    pub unreadable: usize,
    /// The offset of the next page; `None` after the last.
    pub next: Option<u64>,
}

/// What WeChat gave for a refresh token.
pub(super) struct AuthorizerToken {
    /// The access token.
    pub(super) access_token: Option<Expiring<AuthorizerAccessToken>>,
    /// The refresh token that came with it, or the one that was sent.
    pub(super) refresh_token: Secret<AuthorizerRefreshToken>,
}

/// How long a pre-auth code opens the authorization page.
/// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/ticket-token/getPreAuthCode.html>
const PRE_AUTH_CODE_LIFE: Duration = Duration::from_mins(30);

/// A list that tells of a later authorization tells no time: clocks differ by less.
const MAX_AHEAD: Duration = Duration::from_hours(2);

/// The longest name that is kept, in characters; WeChat's are up to 30. A row must stay far below
/// DynamoDB's 400 KB, whatever stands in a field beside the refresh token.
const MAX_NAME_CHARS: usize = 200;

/// The most permission sets that are kept; WeChat has under a hundred.
const MAX_PERMISSION_SETS: usize = 1000;

/// Reads an answer of `endpoint`: an `errcode` other than 0 is a refusal, whatever else it says.
pub(super) fn read(endpoint: Endpoint, body: &[u8]) -> Result<Answer, Fault> {
    let answer = Answer::read(body).ok_or(Fault::Unreadable)?;
    let errcode = answer.json.number("errcode").unwrap_or_default();
    if errcode == 0 {
        return Ok(answer);
    }
    let errmsg = answer.json.text("errmsg").unwrap_or_default();
    let mut refused = Refused {
        endpoint,
        errcode,
        rid: rid_in(errmsg),
        seen_from: None,
    };
    if refused.meaning() == Refusal::Address {
        refused.seen_from = address_in(errmsg);
    }
    Err(Fault::Refused(refused))
}

/// The IPv4 address in `access clientip is not registered requestIP: 1.2.3.4 rid: ..`, written as
/// v6-mapped at times.
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

pub(super) fn component_token(
    answer: &Answer,
    asked_at: Timestamp,
) -> Option<Expiring<ComponentAccessToken>> {
    expiring(
        &answer.json,
        "component_access_token",
        asked_at,
        ACCESS_TOKEN_LIFE,
    )
}

pub(super) fn pre_auth_code(answer: &Answer, asked_at: Timestamp) -> Option<Expiring<PreAuthCode>> {
    expiring(&answer.json, "pre_auth_code", asked_at, PRE_AUTH_CODE_LIFE)
}

/// The account is the one that the answer names, or else the one that is `expected`.
pub(super) fn authorization(
    answer: &Answer,
    expected: Option<&AuthorizerAppId>,
    asked_at: Timestamp,
) -> Option<Authorization> {
    let granted = granted(answer, asked_at)?;
    let named = answer.json.object("authorization_info").and_then(appid);
    Some(Authorization {
        authorizer: named.or_else(|| expected.cloned())?,
        granted,
    })
}

/// `None` if the answer holds neither an access token nor another refresh token than the one `sent`.
pub(super) fn authorizer_token(
    answer: &Answer,
    sent: &Secret<AuthorizerRefreshToken>,
    asked_at: Timestamp,
) -> Option<AuthorizerToken> {
    let json = &answer.json;
    let access_token = expiring(json, "authorizer_access_token", asked_at, ACCESS_TOKEN_LIFE);
    let refresh_token = secret(json, "authorizer_refresh_token").unwrap_or_else(|| sent.clone());
    (access_token.is_some() || refresh_token != *sent).then_some(AuthorizerToken {
        access_token,
        refresh_token,
    })
}

/// `None` if the answer names another account than the one that was `asked` about. It need not name
/// any.
pub(super) fn authorizer_info(
    answer: &Answer,
    asked: &AuthorizerAppId,
    asked_at: Timestamp,
) -> Option<AuthorizerInfo> {
    let named = answer.json.object("authorization_info").and_then(appid);
    if named.as_ref().is_some_and(|named| named != asked) {
        return None;
    }
    // An answer that names neither the account nor a token does not say that there is no token.
    let granted = granted(answer, asked_at);
    let granted = granted.filter(|granted| named.is_some() || granted.refresh_token.is_some());
    let text = |name| {
        let text = answer.json.object("authorizer_info")?.text(name)?;
        Some(text.chars().take(MAX_NAME_CHARS).collect())
    };
    let account = answer.json.object("authorizer_info");
    let is_mini_program = account.map(|account| account.object("MiniProgramInfo").is_some());
    Some(AuthorizerInfo {
        is_mini_program: is_mini_program.filter(|_| answer.is_whole),
        name: text("nick_name"),
        user_name: text("user_name"),
        granted,
    })
}

/// The page from `offset` on. `None` if the answer has neither a list nor a count, or breaks off
/// before the first entry: that is no end of the list.
pub(super) fn authorizer_page(
    answer: &Answer,
    offset: u64,
    now: Timestamp,
) -> Option<AuthorizerPage> {
    let total = answer.json.number("total_count");
    let total = total.and_then(|total| u64::try_from(total).ok());
    let Some(entries) = answer.json.list("list") else {
        // The entries of this page are lost, and those of the next are not.
        let next = offset.saturating_add(MAX_PAGE);
        return Some(AuthorizerPage {
            authorizers: Vec::new(),
            unreadable: 0,
            next: (next < total?).then_some(next),
        });
    };
    if entries.is_empty() && !answer.is_whole {
        return None;
    }
    let authorizers: Vec<_> = entries
        .iter()
        .filter_map(|entry| listed(entry, now))
        .collect();
    // Entries count, read or not. A count that is missing, or less than what was listed, does not
    // end the list: an empty page does.
    let next = offset.saturating_add(u64::try_from(entries.len()).unwrap_or(u64::MAX));
    Some(AuthorizerPage {
        unreadable: entries.len() - authorizers.len(),
        authorizers,
        next: (!entries.is_empty() && total != Some(next)).then_some(next),
    })
}

fn listed(entry: &Json, now: Timestamp) -> Option<ListedAuthorizer> {
    let auth_time = entry.number("auth_time");
    let auth_time = auth_time.and_then(|secs| u64::try_from(secs).ok());
    let auth_time = auth_time.map(Timestamp::from_secs);
    Some(ListedAuthorizer {
        authorizer: appid(entry)?,
        refresh_token: secret(entry, "refresh_token"),
        auth_time: auth_time
            .filter(|auth_time| *auth_time <= now + MAX_AHEAD)
            .unwrap_or_default(),
    })
}

/// The three token fields are there only when the account has API permission. A refresh token that
/// cannot be read, or may have stood where something was skipped, is not one that is not there: then
/// this is no answer.
fn granted(answer: &Answer, asked_at: Timestamp) -> Option<GrantedTokens> {
    const REFRESH_TOKEN: &str = "authorizer_refresh_token";
    let info = answer.json.object("authorization_info")?;
    let refresh_token = secret(info, REFRESH_TOKEN);
    let odd = info.field(REFRESH_TOKEN, |token| (!token.is_blank()).then_some(token));
    if refresh_token.is_none() && (odd.is_some() || !answer.is_whole) {
        return None;
    }
    Some(GrantedTokens {
        asked_at,
        access_token: expiring(info, "authorizer_access_token", asked_at, ACCESS_TOKEN_LIFE),
        refresh_token,
        permission_sets: permission_sets(info),
    })
}

/// `None` if the answer does not tell: sets that are not there were taken away, and sets that cannot
/// be read were not.
fn permission_sets(info: &Json) -> Option<Vec<u64>> {
    let sets = info.list("func_info")?;
    let ids = sets.iter().filter_map(|set| {
        let id = set.object("funcscope_category")?.number("id")?;
        u64::try_from(id).ok()
    });
    let ids: Vec<_> = ids.take(MAX_PERMISSION_SETS).collect();
    (!ids.is_empty() || sets.is_empty()).then_some(ids)
}

fn appid(json: &Json) -> Option<AuthorizerAppId> {
    json.field("authorizer_appid", |value| {
        AuthorizerAppId::parse(value.as_text()?).ok()
    })
}

fn secret<K>(json: &Json, name: &str) -> Option<Secret<K>> {
    json.field(name, |value| Secret::parse(value.as_text()?.trim()))
}

/// A value that WeChat honours for `expires_in` seconds from when it was asked, and for `life` at
/// the most.
///
/// If `expires_in` is missing, no number, not above zero or longer than `life`, the value counts as
/// one of the documented `life`. A shorter guess would be worse: rows tell the age of access tokens
/// by their expiry, and a token that has always expired is renewed by every caller. A longer guess
/// would be worse too: a dead token would be served. If a token dies sooner than was guessed, WeChat
/// says so (40001), and it is replaced.
fn expiring<K>(
    json: &Json,
    name: &str,
    asked_at: Timestamp,
    life: Duration,
) -> Option<Expiring<K>> {
    let secs = json.number("expires_in");
    let secs = secs.and_then(|secs| u64::try_from(secs).ok());
    let said = secs.filter(|secs| *secs > 0).map(Duration::from_secs);
    Some(Expiring {
        secret: secret(json, name)?,
        expires_at: asked_at + said.map_or(life, |said| said.min(life)),
    })
}

#[cfg(test)]
mod tests;
