//! The control API under `/_sim`, with which a test or a person steers the simulator.
//!
//! The crate's documentation lists every call.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::simulator::{SimError, Simulator};

mod accounts;
mod push;
mod settings;

/// Every control call. The consent page's form is with the pages.
pub(crate) fn routes() -> Router<Simulator> {
    Router::new()
        .route("/_sim/accounts", post(accounts::add))
        .route("/_sim/authorize", post(accounts::authorize))
        .route("/_sim/calls", get(calls))
        .route("/_sim/calls/reset", post(reset_calls))
        .route("/_sim/clock", get(clock).post(set_clock))
        .route(
            "/_sim/faults",
            get(faults).post(add_fault).delete(clear_faults),
        )
        .route("/_sim/message", post(push::message))
        .route("/_sim/messages", get(messages))
        .route("/_sim/push", post(push::push))
        .route("/_sim/release-check", post(release_check))
        .route("/_sim/revoke", post(accounts::revoke))
        .route("/_sim/settings", post(settings::change))
        .route("/_sim/state", get(state))
        .route("/_sim/status", post(accounts::set_status))
        .route("/_sim/{*path}", any(unknown_path))
        .method_not_allowed_fallback(wrong_method)
}

/// A refused control call: 400, 404 or 405 and `{"error": ".."}`.
struct ControlError {
    status: StatusCode,
    message: String,
}

impl ControlError {
    fn bad_request(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message: message.into(),
        }
    }
}

impl From<SimError> for ControlError {
    fn from(error: SimError) -> Self {
        let status = match error {
            SimError::UnknownAccount => StatusCode::NOT_FOUND,
            SimError::NotAuthorized | SimError::PreAuthCode | SimError::NotServed => {
                StatusCode::BAD_REQUEST
            }
        };
        let message = error.to_string();
        Self { status, message }
    }
}

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        (self.status, Json(json!({"error": self.message}))).into_response()
    }
}

type Answer = Result<Json<Value>, ControlError>;

/// Reads a JSON body of any content type. An empty body counts as `{}`.
fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, ControlError> {
    let body: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| ControlError::bad_request(error.to_string()))
}

fn done() -> Json<Value> {
    Json(json!({"ok": true}))
}

async fn unknown_path(uri: Uri) -> ControlError {
    ControlError {
        status: StatusCode::NOT_FOUND,
        message: format!(
            "there is no control call at {}; GET / lists them",
            uri.path()
        ),
    }
}

async fn wrong_method(method: Method, uri: Uri) -> ControlError {
    ControlError {
        status: StatusCode::METHOD_NOT_ALLOWED,
        message: format!("{} does not take {method}", uri.path()),
    }
}

async fn calls(State(simulator): State<Simulator>) -> Json<Value> {
    Json(json!(simulator.calls()))
}

async fn reset_calls(State(simulator): State<Simulator>) -> Json<Value> {
    simulator.reset_calls();
    done()
}

#[derive(Deserialize)]
struct ReleaseCheck {
    #[serde(default)]
    group: usize,
}

async fn release_check(State(simulator): State<Simulator>, body: Bytes) -> Answer {
    let ReleaseCheck { group } = read(&body)?;
    if group >= Simulator::RELEASE_GROUPS {
        return Err(ControlError::bad_request("group is 0 to 4"));
    }
    Ok(Json(
        json!({ "lines": simulator.release_check(group).await }),
    ))
}

async fn faults(State(simulator): State<Simulator>) -> Json<Value> {
    Json(json!(simulator.faults()))
}

async fn add_fault(State(simulator): State<Simulator>, body: Bytes) -> Answer {
    let fault: Fault = read(&body)?;
    let added = simulator.try_fault(fault);
    added.map_err(|error| ControlError::bad_request(error.to_string()))?;
    Ok(done())
}

async fn clear_faults(State(simulator): State<Simulator>) -> Json<Value> {
    simulator.clear_faults();
    done()
}

async fn messages(State(simulator): State<Simulator>) -> Json<Value> {
    Json(json!(simulator.messages()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Moved {
    advance_secs: Option<u64>,
    now: Option<u64>,
}

async fn clock(State(simulator): State<Simulator>) -> Json<Value> {
    Json(json!({"now": simulator.clock().now()}))
}

async fn set_clock(State(simulator): State<Simulator>, body: Bytes) -> Answer {
    let moved: Moved = read(&body)?;
    if let Some(now) = moved.now {
        simulator.clock().set(now);
    }
    if let Some(secs) = moved.advance_secs {
        simulator.clock().advance(secs);
    }
    Ok(clock(State(simulator)).await)
}

/// The state for people to read: it has no token, code or ticket.
async fn state(State(simulator): State<Simulator>) -> Json<Value> {
    let now = simulator.clock().now();
    let state = simulator.state();
    let accounts: Vec<Value> = state
        .authorizers
        .all()
        .map(|authorizer| {
            let granted = authorizer.authorization.as_ref();
            json!({
                "authorizer_appid": authorizer.account.appid,
                "nick_name": authorizer.account.nick_name,
                "user_name": authorizer.account.user_name(),
                "kind": authorizer.account.kind,
                "status": authorizer.status,
                "authorized": granted.is_some(),
                "auth_time": granted.map(|granted| granted.auth_time),
                "permission_sets": granted.map(|granted| &granted.permission_sets),
                "code_exchanged": granted.is_some_and(|granted| granted.refresh_token.is_some()),
            })
        })
        .collect();
    Json(json!({
        "now": now,
        "component_appid": state.settings.component_appid,
        "authorization_host": state.settings.authorization_host,
        "allowed_ips": state.settings.allowed_ips,
        "events_url": state.events_url,
        "messages_url": state.messages_url,
        "callback_ips": state.callback_ips,
        "ticket_pushes": state.ticket_pushes,
        "rotate_refresh_tokens": state.authorizers.rotate_refresh_tokens,
        "calls": state.calls,
        "authorizers": accounts,
        "pushes": state.pushes,
    }))
}
