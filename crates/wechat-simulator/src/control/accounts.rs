//! Accounts, and what their merchants do: confirm, revoke, freeze, deregister, migrate.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde::Deserialize;
use serde_json::json;

use super::{Answer, ControlError, done, read};
use crate::simulator::Simulator;
use crate::state::account::{AccountKind, is_appid};
use crate::state::status::AccountStatus;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAccount {
    appid: String,
    name: String,
    kind: AccountKind,
    permission_sets: Option<Vec<u32>>,
}

pub(super) async fn add(State(simulator): State<Simulator>, body: Bytes) -> Answer {
    let account: NewAccount = read(&body)?;
    if !is_appid(&account.appid) {
        return Err(ControlError::bad_request(
            "appid is wx and 16 lower-case hexadecimal digits",
        ));
    }
    simulator.add_account(&account.appid, &account.name, account.kind);
    if let Some(sets) = &account.permission_sets {
        simulator.set_permission_sets(&account.appid, sets)?;
    }
    Ok(done())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewStatus {
    authorizer_appid: String,
    status: AccountStatus,
}

pub(super) async fn set_status(State(simulator): State<Simulator>, body: Bytes) -> Answer {
    let order: NewStatus = read(&body)?;
    simulator.set_account_status(&order.authorizer_appid, order.status)?;
    Ok(done())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Authorize {
    authorizer_appid: String,
    pre_auth_code: Option<String>,
    permission_sets: Option<Vec<u32>>,
    #[serde(default = "pushed")]
    push: bool,
}

fn pushed() -> bool {
    true
}

/// Confirms, and pushes the notice if WeChat would and the order does not forbid it.
pub(super) async fn authorize(State(simulator): State<Simulator>, body: Bytes) -> Answer {
    let order: Authorize = read(&body)?;
    if let Some(sets) = &order.permission_sets {
        simulator.set_permission_sets(&order.authorizer_appid, sets)?;
    }
    let granted = match &order.pre_auth_code {
        Some(code) => simulator.consent_unpushed(code, &order.authorizer_appid)?,
        None => simulator.authorize_unpushed(&order.authorizer_appid)?,
    };
    let mut answer = json!({
        "auth_code": granted.auth_code,
        "expires_in": granted.expires_in,
    });
    let push = order.push && simulator.notice_is_pushed(&order.authorizer_appid);
    if let (true, Some(answer)) = (push, answer.as_object_mut()) {
        let push = simulator.push_xml(&granted.notice).await;
        answer.insert("push".to_owned(), json!(push));
    }
    Ok(Json(answer))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revoke {
    authorizer_appid: String,
    #[serde(default = "pushed")]
    push: bool,
}

pub(super) async fn revoke(State(simulator): State<Simulator>, body: Bytes) -> Answer {
    let order: Revoke = read(&body)?;
    if order.push {
        let push = simulator.revoke(&order.authorizer_appid).await?;
        return Ok(Json(json!(push)));
    }
    simulator.revoke_unpushed(&order.authorizer_appid)?;
    Ok(done())
}
