//! The API Gateway in front of the functions: one route for each HTTP function, and one for the
//! getter, which the vendor's functions invoke.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::routing::{any, post};
use component_core::time::Deadline;
use merchant_pages::START_PATH;
use serde_json::{Value, json};

use crate::functions::{CALL_TIME, Functions};

/// The most that Lambda takes in one invocation.
const MAX_BODY_BYTES: usize = 6 * 1024 * 1024;

/// The routes over `functions`.
pub fn router(functions: Arc<Functions>) -> Router {
    Router::new()
        .route("/wechat/events", post(events))
        .route(START_PATH, any(start))
        .route("/auth/callback", axum::routing::get(callback))
        .route("/_local/token", post(token))
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
    let answer = functions
        .ticket_receiver
        .handle(as_lambda(request).await?)
        .await;
    Ok(answer.map(|body| Body::from(body.to_vec())))
}

async fn start(
    State(functions): State<Arc<Functions>>,
    request: Request<Body>,
) -> Result<Response<Body>, StatusCode> {
    let deadline = Deadline::after(CALL_TIME);
    let request = as_lambda(request).await?;
    let answer = functions.auth_start.handle(request, deadline).await;
    Ok(answer.map(Body::from))
}

async fn callback(
    State(functions): State<Arc<Functions>>,
    request: Request<Body>,
) -> Result<Response<Body>, StatusCode> {
    let deadline = Deadline::after(CALL_TIME);
    let request = as_lambda(request).await?;
    let answer = functions.auth_callback.handle(request, deadline).await;
    Ok(answer.map(Body::from))
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
    let mut response = Response::new(Body::from(answer.to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// What `lambda_http` makes of an HTTP API's event.
async fn as_lambda(request: Request<Body>) -> Result<lambda_http::Request, StatusCode> {
    let (mut parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY_BYTES)
        .await
        .map_err(|_too_large| StatusCode::PAYLOAD_TOO_LARGE)?;
    parts.headers.insert(
        HeaderName::from_static("x-forwarded-proto"),
        HeaderValue::from_static("http"),
    );
    Ok(Request::from_parts(
        parts,
        lambda_http::Body::from(body.to_vec()),
    ))
}
