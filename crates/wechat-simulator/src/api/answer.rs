//! The endpoints, one function each: what WeChat checks, and what it answers.

use serde_json::{Map, Value, json};

use crate::endpoint::Endpoint;
use crate::errcode::Refusal;
use crate::state::account::func_info;
use crate::state::authorizers::TokenPair;
use crate::state::component::PRE_AUTH_CODE_LIFE_SECS;
use crate::state::token::LIFE_SECS;
use crate::state::{SentMessage, State};

mod option;
mod quota;

/// Most accounts that one page of the list may hold.
const MAX_PAGE_LEN: u64 = 500;

type Body = Map<String, Value>;
type Answer = Result<Value, Refusal>;

/// Checks a call to the endpoint and carries it out.
pub(super) fn to(
    endpoint: Endpoint,
    state: &mut State,
    now: u64,
    token: Option<&str>,
    body: &Body,
) -> Answer {
    match endpoint {
        Endpoint::StartPushTicket => return start_push_ticket(state, body),
        Endpoint::ComponentToken => return component_token(state, now, body),
        Endpoint::ClearQuotaV2 => return quota::clear_v2(state, now, body),
        Endpoint::ClearQuota => return quota::clear(state, now, token, body),
        Endpoint::QuotaGet => return quota::get(state, now, token, body),
        Endpoint::CallbackIp => return callback_ips(state, now, token),
        Endpoint::OldGetOption => return option::old_get(state, now, token, body),
        Endpoint::OldSetOption => return option::old_set(state, now, token, body),
        Endpoint::GetOption => return option::new_get(state, now, token, body),
        Endpoint::SetOption => return option::new_set(state, now, token, body),
        Endpoint::CustomSend => return custom_send(state, now, token, body),
        _ => check_component_token(state, now, token)?,
    }
    check_component_appid(state, body)?;
    match endpoint {
        Endpoint::CreatePreauthcode => Ok(create_preauthcode(state, now)),
        Endpoint::QueryAuth => query_auth(state, now, body),
        Endpoint::AuthorizerToken => authorizer_token(state, now, body),
        Endpoint::GetAuthorizerInfo => get_authorizer_info(state, body),
        _ => get_authorizer_list(state, body),
    }
}

fn start_push_ticket(state: &mut State, body: &Body) -> Answer {
    check_component_appid(state, body)?;
    check_secret(state, text(body, "component_secret"))?;
    state.ticket_pushes = true;
    Ok(ok())
}

fn component_token(state: &mut State, now: u64, body: &Body) -> Answer {
    check_component_appid(state, body)?;
    check_secret(state, text(body, "component_appsecret"))?;
    let daily = state.settings.component_token_daily_quota;
    state.component.quota.spend(now, daily)?;
    let ticket = text(body, "component_verify_ticket");
    state.component.check_ticket(now, ticket)?;
    let token = state.component.issue_token(now, &mut state.mint);
    Ok(json!({"component_access_token": token, "expires_in": LIFE_SECS}))
}

fn create_preauthcode(state: &mut State, now: u64) -> Value {
    let code = state.component.create_preauthcode(now, &mut state.mint);
    json!({"pre_auth_code": code, "expires_in": PRE_AUTH_CODE_LIFE_SECS})
}

fn query_auth(state: &mut State, now: u64, body: &Body) -> Answer {
    let code = text(body, "authorization_code");
    let TokenPair {
        appid,
        access_token,
        refresh_token,
    } = state.authorizers.query_auth(now, code, &mut state.mint)?;
    let (_, authorization) = state.authorizers.require(&appid)?;
    Ok(json!({"authorization_info": {
        "authorizer_appid": appid,
        "authorizer_access_token": access_token,
        "expires_in": LIFE_SECS,
        "authorizer_refresh_token": refresh_token,
        "func_info": func_info(&authorization.permission_sets),
    }}))
}

fn authorizer_token(state: &mut State, now: u64, body: &Body) -> Answer {
    let appid = text(body, "authorizer_appid");
    let refresh_token = text(body, "authorizer_refresh_token");
    let authorizers = &mut state.authorizers;
    let pair = authorizers.authorizer_token(now, appid, refresh_token, &mut state.mint)?;
    Ok(json!({
        "authorizer_access_token": pair.access_token,
        "expires_in": LIFE_SECS,
        "authorizer_refresh_token": pair.refresh_token,
    }))
}

fn get_authorizer_info(state: &State, body: &Body) -> Answer {
    let appid = text(body, "authorizer_appid");
    let (account, authorization) = state.authorizers.require(appid)?;
    Ok(json!({
        "authorizer_info": account.authorizer_info(),
        "authorization_info": {
            "authorizer_appid": appid,
            "authorizer_refresh_token": authorization.refresh_token.as_deref().unwrap_or_default(),
            "func_info": func_info(&authorization.permission_sets),
        },
    }))
}

/// If an account's code was never exchanged, its row has no `refresh_token`.
fn get_authorizer_list(state: &State, body: &Body) -> Answer {
    let number = |name| body.get(name).and_then(Value::as_u64);
    let offset = number("offset").ok_or(Refusal::DATA_FORMAT)?;
    let count = number("count")
        .filter(|count| (1..=MAX_PAGE_LEN).contains(count))
        .ok_or(Refusal::ARGS_COUNT)?;
    let skip = usize::try_from(offset).unwrap_or(usize::MAX);
    let take = usize::try_from(count).unwrap_or(usize::MAX);
    let page = state.authorizers.listed().skip(skip).take(take);
    let list: Vec<Value> = page
        .map(|(account, authorization)| {
            let mut row = json!({
                "authorizer_appid": account.appid,
                "auth_time": authorization.auth_time,
            });
            if let (Some(token), Some(row)) = (&authorization.refresh_token, row.as_object_mut()) {
                row.insert("refresh_token".to_owned(), json!(token));
            }
            row
        })
        .collect();
    let total_count = state.authorizers.listed().count();
    Ok(json!({"total_count": total_count, "list": list}))
}

/// The IP addresses that pushes come from.
///
/// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/openapi/getCallbackIp.html>
fn callback_ips(state: &State, now: u64, token: Option<&str>) -> Answer {
    caller(state, now, token)?;
    Ok(json!({"ip_list": state.callback_ips}))
}

/// A business call: it works with a good authorizer access token only.
fn custom_send(state: &mut State, now: u64, token: Option<&str>, body: &Body) -> Answer {
    let token = token.ok_or(Refusal::TOKEN_MISSING)?;
    if state.component.check_token(now, token) != Err(Refusal::INVALID_CREDENTIAL) {
        return Err(Refusal::AUTHORIZER_TOKEN_NEEDED);
    }
    let authorizer_appid = state.authorizers.check_token(now, token)?.to_owned();
    let (touser, msgtype) = (text(body, "touser"), text(body, "msgtype"));
    if touser.is_empty() {
        return Err(Refusal::INVALID_OPENID);
    }
    if !body.contains_key(msgtype) {
        return Err(Refusal::INVALID_MESSAGE_TYPE);
    }
    let content = body.get("text").and_then(|text| text.get("content"));
    state.messages.push(SentMessage {
        authorizer_appid,
        touser: touser.to_owned(),
        msgtype: msgtype.to_owned(),
        content: content
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        sent_at: now,
    });
    Ok(ok())
}

/// The owner of a good access token.
enum Caller {
    Component,
    Account(String),
}

/// The owner of the token, which must be good now.
fn caller(state: &State, now: u64, token: Option<&str>) -> Result<Caller, Refusal> {
    let token = token.ok_or(Refusal::TOKEN_MISSING)?;
    if state.authorizers.owner(token).is_some() {
        let appid = state.authorizers.check_token(now, token)?;
        return Ok(Caller::Account(appid.to_owned()));
    }
    state.component.check_token(now, token)?;
    Ok(Caller::Component)
}

fn check_component_token(state: &State, now: u64, token: Option<&str>) -> Result<(), Refusal> {
    let token = token.ok_or(Refusal::TOKEN_MISSING)?;
    if state.authorizers.owner(token).is_some() {
        return Err(Refusal::COMPONENT_TOKEN_NEEDED);
    }
    state.component.check_token(now, token)
}

fn check_component_appid(state: &State, body: &Body) -> Result<(), Refusal> {
    match text(body, "component_appid") {
        "" => Err(Refusal::COMPONENT_APPID_MISSING),
        appid if appid == state.settings.component_appid => Ok(()),
        _ => Err(Refusal::INVALID_APPID),
    }
}

fn check_secret(state: &State, secret: &str) -> Result<(), Refusal> {
    if secret.is_empty() {
        Err(Refusal::APPSECRET_MISSING)
    } else if secret == state.settings.component_appsecret {
        Ok(())
    } else {
        Err(Refusal::INVALID_APPSECRET)
    }
}

fn ok() -> Value {
    json!({"errcode": 0, "errmsg": "ok"})
}

/// A field's text. Empty if the field is missing or not a string.
fn text<'a>(body: &'a Body, name: &str) -> &'a str {
    body.get(name).and_then(Value::as_str).unwrap_or_default()
}
