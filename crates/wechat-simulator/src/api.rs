//! The HTTP side of WeChat's endpoints: counts a call, applies a fault, answers as WeChat does.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures_util::stream;
use serde_json::{Map, Value, json};

use crate::clock::sleep_real;
use crate::endpoint::{self, Endpoint};
use crate::errcode::Refusal;
use crate::fault::{FaultEffect, Stroke};
use crate::simulator::Simulator;
use crate::state::State as Wechat;

mod answer;

/// Longest body that is read.
const MAX_BODY_LEN: usize = 1024 * 1024;

/// Every path of `api.weixin.qq.com` that the simulator knows.
pub(crate) fn routes() -> Router<Simulator> {
    Router::new().route("/cgi-bin/{*path}", any(call))
}

/// Refuses a path that is none of WeChat's, as WeChat does. It is no call, and spoils no fault.
pub(crate) async fn unknown_path(State(simulator): State<Simulator>) -> Response {
    let refused = refuse(&simulator, Refusal::INVALID_URL, None, "an unknown path");
    json_answer(refused.to_string())
}

/// One call as it came in, not yet checked.
pub(crate) struct Call {
    method: Method,
    endpoint: Option<Endpoint>,
    token: Option<String>,
    client_ip: Option<IpAddr>,
    body: Bytes,
}

async fn call(State(simulator): State<Simulator>, request: Request) -> Response {
    let name = endpoint::name(request.uri().path()).to_owned();
    *simulator.state().calls.entry(name.clone()).or_default() += 1;
    let Some(call) = read(request).await else {
        return cut_off();
    };
    let stroke = {
        let now = simulator.clock().now();
        let state = &mut *simulator.state();
        let account = named_account(state, &call);
        state.faults.strike(now, &name, account.as_deref())
    };
    // In a task of its own: if the caller hangs up, the call takes effect all the same.
    let handled = tokio::spawn(async move { handle(&simulator, &call, &name, stroke).await });
    handled.await.unwrap_or_else(|_| cut_off())
}

async fn handle(simulator: &Simulator, call: &Call, name: &str, stroke: Stroke) -> Response {
    sleep_real(stroke.delay).await;
    let response = match stroke.effect {
        None => json_answer(answer(simulator, call, name).to_string()),
        Some(FaultEffect::Patch(patch)) => json_answer(patch.apply(answer(simulator, call, name))),
        Some(FaultEffect::Errcode(errcode)) => {
            json_answer(refuse(simulator, Refusal(errcode), call.client_ip, name).to_string())
        }
        Some(FaultEffect::ErrcodeText(text)) => {
            let refusal = Refusal(text.parse().unwrap_or(-1));
            let mut refused = refuse(simulator, refusal, call.client_ip, name);
            if let Some(errcode) = refused.get_mut("errcode") {
                *errcode = Value::String(text);
            }
            json_answer(refused.to_string())
        }
        Some(FaultEffect::HttpStatus(status)) => StatusCode::from_u16(status)
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            .into_response(),
        Some(FaultEffect::Body(body)) => body.into_response(),
        Some(FaultEffect::Reset) => cut_off(),
        Some(FaultEffect::AnswerLost) => {
            answer(simulator, call, name);
            cut_off()
        }
    };
    sleep_real(stroke.answer_delay).await;
    response
}

/// The account that the call names, as far as a fault needs it; it may be an unknown one.
fn named_account(state: &Wechat, call: &Call) -> Option<String> {
    if !state.faults.concern_an_account() {
        return None;
    }
    let body = json_body(&call.body).unwrap_or_default();
    let field = |name| body.get(name).and_then(Value::as_str);
    if call.endpoint == Some(Endpoint::QueryAuth) {
        let account = state
            .authorizers
            .account_of_code(field("authorization_code")?);
        return account.map(ToOwned::to_owned);
    }
    let owner = || state.authorizers.owner(call.token.as_deref()?);
    let named = field("authorizer_appid").or_else(|| field("appid"));
    named.or_else(owner).map(ToOwned::to_owned)
}

/// None if the caller hung up, or the body is too long.
async fn read(request: Request) -> Option<Call> {
    let (parts, body) = request.into_parts();
    let query = Query::<HashMap<String, String>>::try_from_uri(&parts.uri)
        .map(|Query(query)| query)
        .unwrap_or_default();
    let token = ["component_access_token", "access_token"]
        .into_iter()
        .find_map(|name| query.get(name))
        .filter(|token| !token.is_empty())
        .cloned();
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    Some(Call {
        method: parts.method,
        endpoint: Endpoint::at(parts.uri.path()),
        token,
        client_ip: peer.map(|ConnectInfo(address)| address.ip().to_canonical()),
        body: to_bytes(body, MAX_BODY_LEN).await.ok()?,
    })
}

fn answer(simulator: &Simulator, call: &Call, name: &str) -> Value {
    match effect(simulator, call) {
        Ok(value) => {
            tracing::info!(endpoint = name, "answered");
            value
        }
        Err(refusal) => refuse(simulator, refusal, call.client_ip, name),
    }
}

/// Checks the call and carries it out.
fn effect(simulator: &Simulator, call: &Call) -> Result<Value, Refusal> {
    let endpoint = call.endpoint.ok_or(Refusal::INVALID_URL)?;
    match (endpoint.is_read(), &call.method) {
        (true, &Method::GET) | (false, &Method::POST) => {}
        (true, _) => return Err(Refusal::REQUIRE_GET),
        (false, _) => return Err(Refusal::REQUIRE_POST),
    }
    let now = simulator.clock().now();
    let state = &mut *simulator.state();
    if let Some(allowed) = &state.settings.allowed_ips
        && !call.client_ip.is_some_and(|ip| allowed.contains(&ip))
    {
        return Err(Refusal::CLIENT_IP);
    }
    let body = if endpoint.is_read() {
        Map::new()
    } else {
        json_body(&call.body)?
    };
    count_usage(state, now, call, endpoint);
    let value = answer::to(endpoint, state, now, call.token.as_deref(), &body)?;
    if endpoint == Endpoint::StartPushTicket {
        let simulator = simulator.clone();
        tokio::spawn(async move { simulator.push_ticket().await });
    }
    Ok(value)
}

/// Counts the call for the appid whose quota it uses: the account's by its token, else the
/// component's.
fn count_usage(state: &mut Wechat, now: u64, call: &Call, endpoint: Endpoint) {
    let account = call.token.as_deref();
    let account = account.and_then(|token| state.authorizers.owner(token));
    let appid = account.unwrap_or(&state.settings.component_appid);
    state.usage.count(now, appid, endpoint);
}

fn json_body(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    if body.is_empty() {
        return Err(Refusal::EMPTY_BODY);
    }
    serde_json::from_slice(body).map_err(|_| Refusal::DATA_FORMAT)
}

/// WeChat's error answer: HTTP 200 and the code.
fn refuse(simulator: &Simulator, refusal: Refusal, ip: Option<IpAddr>, name: &str) -> Value {
    let errcode = refusal.0;
    tracing::info!(endpoint = name, errcode, "refused");
    let mut errmsg = refusal.errmsg().to_owned();
    if refusal == Refusal::CLIENT_IP {
        let ip = ip.map(|ip| ip.to_string());
        errmsg = format!("{errmsg} requestIP: {}", ip.as_deref().unwrap_or("unknown"));
    }
    let rid = simulator.state().mint.rid();
    json!({"errcode": errcode, "errmsg": format!("{errmsg} rid: {rid}")})
}

fn json_answer(body: impl Into<Body>) -> Response {
    let mut headers = HeaderMap::new();
    let json = HeaderValue::from_static("application/json; encoding=utf-8");
    headers.insert(header::CONTENT_TYPE, json);
    (headers, body.into()).into_response()
}

/// An answer whose body fails before its first byte: the server closes the connection and sends
/// nothing.
fn cut_off() -> Response {
    let failure = std::io::Error::other("the connection is closed on order");
    Body::from_stream(stream::iter([Err::<Bytes, _>(failure)])).into_response()
}
