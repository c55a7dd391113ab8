//! The options of an account, by the old and the new paths.

use serde_json::{Value, json};

use super::{Answer, Body, Caller, caller, check_component_appid, check_component_token, ok, text};
use crate::errcode::Refusal;
use crate::state::State;

/// `api_get_authorizer_option`: the component names the account.
pub(super) fn old_get(state: &State, now: u64, token: Option<&str>, body: &Body) -> Answer {
    let appid = old_account(state, now, token, body)?;
    let mut answer = get(state, &appid, body)?;
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("authorizer_appid".to_owned(), json!(appid));
    }
    Ok(answer)
}

/// `api_set_authorizer_option`: the component names the account.
pub(super) fn old_set(state: &mut State, now: u64, token: Option<&str>, body: &Body) -> Answer {
    let appid = old_account(state, now, token, body)?;
    set(state, &appid, body)
}

/// `get_authorizer_option`: by the account's token, or by the component's with the account's appid.
pub(super) fn new_get(state: &State, now: u64, token: Option<&str>, body: &Body) -> Answer {
    let appid = new_account(state, now, token, body)?;
    get(state, &appid, body)
}

/// `set_authorizer_option`, with the tokens of [`new_get`].
pub(super) fn new_set(state: &mut State, now: u64, token: Option<&str>, body: &Body) -> Answer {
    let appid = new_account(state, now, token, body)?;
    set(state, &appid, body)
}

fn old_account(
    state: &State,
    now: u64,
    token: Option<&str>,
    body: &Body,
) -> Result<String, Refusal> {
    check_component_token(state, now, token)?;
    check_component_appid(state, body)?;
    Ok(text(body, "authorizer_appid").to_owned())
}

/// The documents disagree on the token of the new paths, so either will do.
fn new_account(
    state: &State,
    now: u64,
    token: Option<&str>,
    body: &Body,
) -> Result<String, Refusal> {
    match caller(state, now, token)? {
        Caller::Account(appid) => Ok(appid),
        Caller::Component => Ok(text(body, "authorizer_appid").to_owned()),
    }
}

fn get(state: &State, appid: &str, body: &Body) -> Answer {
    state.authorizers.require(appid)?;
    let authorizer = state.authorizers.find(appid);
    let options = &authorizer.ok_or(Refusal::INVALID_APPID)?.options;
    let name = text(body, "option_name");
    let value = options.value(name)?;
    Ok(json!({"option_name": name, "option_value": value}))
}

fn set(state: &mut State, appid: &str, body: &Body) -> Result<Value, Refusal> {
    state.authorizers.require(appid)?;
    let authorizer = state.authorizers.find_mut(appid);
    let options = &mut authorizer.ok_or(Refusal::INVALID_APPID)?.options;
    options.set(text(body, "option_name"), text(body, "option_value"))?;
    Ok(ok())
}
