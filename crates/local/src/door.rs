//! The API Gateway in front of the functions: one route for each HTTP function, and one for the
//! getter, which the vendor's functions invoke.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use component_core::door;
use component_core::time::Deadline;
use merchant_pages::START_PATH;
use serde_json::{Map, Value, json};

use crate::functions::{CALL_TIME, Functions};

mod layers;

pub use layers::{for_this_machine, over_plain_http, with_a_hint};

const CALLBACK_PATH: &str = "/auth/callback";

/// The most that Lambda takes in one invocation.
const MAX_BODY_BYTES: usize = 6 * 1024 * 1024;

/// The routes over `functions`.
pub fn router(functions: Arc<Functions>) -> Router {
    public(functions.clone()).merge(private(functions))
}

/// What WeChat and merchants reach.
pub fn public(functions: Arc<Functions>) -> Router {
    Router::new()
        .route("/wechat/events", post(events))
        .route("/wechat/{authorizer_appid}/messages", post(messages))
        .route(START_PATH, get(start).post(start))
        .route(CALLBACK_PATH, get(callback))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .layer(from_fn(to_its_end))
        .with_state(functions)
}

/// What the vendor's own functions invoke.
pub fn private(functions: Arc<Functions>) -> Router {
    Router::new()
        .route("/_local/token", post(token))
        .method_not_allowed_fallback(unknown)
        .layer(from_fn(to_its_end))
        .with_state(functions)
}

/// Lambda finishes an invocation also if the client has gone. If it were cut off, it would leave a
/// lease behind.
async fn to_its_end(request: Request<Body>, next: Next) -> Result<Response<Body>, StatusCode> {
    tokio::spawn(next.run(request))
        .await
        .map_err(|_panicked| StatusCode::INTERNAL_SERVER_ERROR)
}

async fn events(
    State(functions): State<Arc<Functions>>,
    request: Request<Body>,
) -> Result<Response<Body>, StatusCode> {
    let answer = match door::request(event(request).await?) {
        Ok(request) => functions.ticket_receiver.handle(request).await,
        Err(no_request) => no_request.answer(),
    };
    Ok(answer.map(Body::from))
}

async fn messages(
    State(functions): State<Arc<Functions>>,
    request: Request<Body>,
) -> Result<Response<Body>, StatusCode> {
    let answer = match door::request(event(request).await?) {
        Ok(request) => functions.message_receiver.handle(request).await,
        Err(no_request) => no_request.answer(),
    };
    Ok(answer.map(Body::from))
}

async fn start(
    State(functions): State<Arc<Functions>>,
    request: Request<Body>,
) -> Result<Response<Body>, StatusCode> {
    let deadline = Deadline::after(CALL_TIME);
    let answer = match door::request(event(request).await?) {
        Ok(request) => functions.auth_start.handle(request, deadline).await,
        Err(no_request) => no_request.answer(),
    };
    Ok(answer.map(Body::from))
}

async fn callback(
    State(functions): State<Arc<Functions>>,
    request: Request<Body>,
) -> Result<Response<Body>, StatusCode> {
    let deadline = Deadline::after(CALL_TIME);
    let answer = match door::request(event(request).await?) {
        Ok(request) => functions.auth_callback.handle(request, deadline).await,
        Err(no_request) => no_request.answer(),
    };
    Ok(answer.map(Body::from))
}

/// API Gateway answers 404 itself, also to another method.
async fn unknown() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "there is nothing here\n")
}

/// Stands in for `lambda:Invoke` of the token getter.
async fn token(State(functions): State<Arc<Functions>>, request: Request<Body>) -> Response<Body> {
    let deadline = Deadline::after(CALL_TIME);
    let body = to_bytes(request.into_body(), MAX_BODY_BYTES).await;
    let event = body
        .ok()
        .and_then(|body| serde_json::from_slice(&body).ok())
        .unwrap_or(Value::Null);
    let (status, answer) = match functions.token_getter.handle(&event, deadline).await {
        Ok(answer) => (StatusCode::OK, answer),
        Err(error) => {
            error.log("getting a token");
            let failure =
                json!({ "errorType": error.code().as_str(), "errorMessage": error.advice() });
            (error.status(), failure)
        }
    };
    let mut response = Response::new(Body::from(format!("{answer}\n")));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// The event that API Gateway makes of a request.
async fn event(request: Request<Body>) -> Result<Value, StatusCode> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY_BYTES)
        .await
        .map_err(|_too_large| StatusCode::PAYLOAD_TOO_LARGE)?;
    let texts = |name: &HeaderName| -> Vec<String> {
        let values = parts.headers.get_all(name).into_iter();
        values
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect()
    };
    let cookies = texts(&header::COOKIE).join("; ");
    let cookies: Vec<&str> = cookies
        .split("; ")
        .filter(|cookie| !cookie.is_empty())
        .collect();
    let names = parts.headers.keys().filter(|name| *name != header::COOKIE);
    let mut headers: Map<String, Value> = names
        .map(|name| (name.to_string(), texts(name).join(",").into()))
        .collect();
    // A proxy that ends TLS before this port says so itself.
    let proto = headers.entry("x-forwarded-proto");
    proto.or_insert_with(|| "http".into());
    Ok(json!({
        "version": "2.0",
        "rawPath": parts.uri.path(),
        "rawQueryString": parts.uri.query().unwrap_or_default(),
        "cookies": cookies,
        "headers": headers,
        "requestContext": { "http": { "method": parts.method.as_str() } },
        "body": STANDARD.encode(body),
        "isBase64Encoded": true,
    }))
}
