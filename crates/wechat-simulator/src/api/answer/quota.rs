//! Quotas: what is used today, and clearing it.

use serde_json::json;

use super::{Answer, Body, Caller, caller, check_component_appid, check_secret, ok, text};
use crate::endpoint::{Endpoint, TokenKind};
use crate::errcode::Refusal;
use crate::state::State;

/// The daily limit that is shown for every endpoint but `api_component_token`.
///
/// WeChat's limits depend on the account, and the simulator enforces none of them.
const DAILY_LIMIT: u64 = 1_000_000;

/// A component access token clears the component's quota, an authorizer access token its account's.
pub(super) fn clear(state: &mut State, now: u64, token: Option<&str>, body: &Body) -> Answer {
    let named = match text(body, "appid") {
        "" => text(body, "component_appid"),
        appid => appid,
    };
    match caller(state, now, token)? {
        Caller::Account(owner) if owner == named => state.usage.clear(named),
        Caller::Component if named == state.settings.component_appid => {
            clear_component(state, now)?;
        }
        Caller::Account(_) | Caller::Component => return Err(Refusal::INVALID_APPID),
    }
    Ok(ok())
}

/// Clears with the component's secret, so also when the component access token has no quota left.
pub(super) fn clear_v2(state: &mut State, now: u64, body: &Body) -> Answer {
    check_component_appid(state, body)?;
    check_secret(state, text(body, "appsecret"))?;
    let appid = text(body, "appid");
    if appid.is_empty() || appid == state.settings.component_appid {
        clear_component(state, now)?;
    } else {
        state.authorizers.require(appid)?;
        state.usage.clear(appid);
    }
    Ok(ok())
}

fn clear_component(state: &mut State, now: u64) -> Result<(), Refusal> {
    state.component.quota.clear(now)?;
    state.usage.clear(&state.settings.component_appid);
    Ok(())
}

/// The day's quota of one path, for the appid that the token belongs to.
///
/// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/openapi/getApiQuota.html>
pub(super) fn get(state: &State, now: u64, token: Option<&str>, body: &Body) -> Answer {
    let caller = caller(state, now, token)?;
    let path = text(body, "cgi_path");
    if !path.starts_with('/') {
        return Err(Refusal::CGI_PATH_FORM);
    }
    let endpoint = Endpoint::at(path).ok_or(Refusal::CGI_PATH_UNKNOWN)?;
    let appid = match (caller, endpoint.token_kind()) {
        (Caller::Component, TokenKind::Component | TokenKind::Either) => {
            state.settings.component_appid.clone()
        }
        (Caller::Account(appid), TokenKind::Account | TokenKind::Either) => appid,
        _ => return Err(Refusal::CGI_PATH_FORBIDDEN),
    };
    let (daily_limit, used) = match endpoint {
        Endpoint::ComponentToken => (
            state.settings.component_token_daily_quota,
            state.component.quota.used(now),
        ),
        _ => (DAILY_LIMIT, state.usage.used(now, &appid, endpoint)),
    };
    Ok(json!({
        "errcode": 0,
        "errmsg": "ok",
        "quota": {
            "daily_limit": daily_limit,
            "used": used,
            "remain": daily_limit.saturating_sub(used),
        },
    }))
}
