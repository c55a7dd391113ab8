//! The API Gateway in front of the functions: one route for each HTTP function, and one for the
//! getter, which the vendor's functions invoke.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use component_core::door;
use component_core::time::Deadline;
use merchant_pages::START_PATH;
use serde_json::{Map, Value, json};
use url::{Host, Url};

use crate::functions::{CALL_TIME, Functions};

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
        .layer(from_fn(to_its_end))
        .with_state(functions)
}

/// Lets nobody use these routes but processes on this machine that speak to this very port. The
/// proxy that brings WeChat and merchants is such a process too: it is known by what it adds, and by
/// the host, which it passes on.
pub fn for_this_machine(routes: Router) -> Router {
    routes.route_layer(from_fn(
        async |ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request<Body>, next: Next| {
            if peer.ip().to_canonical().is_loopback() && names_this_machine(request.headers()) {
                Ok(next.run(request).await)
            } else {
                Err(unknown().await)
            }
        },
    ))
}

/// Headers by which a proxy says for whom it speaks.
const OF_PROXIES: [&str; 6] = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
];

fn names_this_machine(headers: &HeaderMap) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let url = host.and_then(|host| Url::parse(&format!("http://{host}")).ok());
    let here = match url.as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    here && !OF_PROXIES.iter().any(|name| headers.contains_key(*name))
}

/// Lets a browser on another machine keep the cookie of an attempt. It takes no cookie with `Secure`,
/// and none whose name begins with `__Host-`, from a plain-http address but that of its own machine.
pub fn over_plain_http(routes: Router) -> Router {
    routes.layer(from_fn(async |mut request: Request<Body>, next: Next| {
        let headers = request.headers_mut();
        let is_plain = !names_this_machine(headers) && !headers.contains_key("x-forwarded-proto");
        if !is_plain {
            return next.run(request).await;
        }
        let cookie = headers
            .get(header::COOKIE)
            .and_then(|cookie| cookie.to_str().ok());
        if let Some(cookie) = cookie.and_then(|cookie| cookie.replace(PLAIN, SECURE).parse().ok()) {
            headers.insert(header::COOKIE, cookie);
        }
        let mut response = next.run(request).await;
        let headers = response.headers_mut();
        let cookie = headers
            .get(header::SET_COOKIE)
            .and_then(|cookie| cookie.to_str().ok());
        let plain = cookie.map(|cookie| cookie.replace(SECURE, PLAIN).replace("; Secure", ""));
        if let Some(plain) = plain.and_then(|cookie| cookie.parse().ok()) {
            headers.insert(header::SET_COOKIE, plain);
        }
        response
    }))
}

/// How the cookies of merchants' pages begin, and what stands for it where no cookie is secure.
const SECURE: &str = "__Host-";
const PLAIN: &str = "plain-http-";

/// Tells on the page of an account that was connected how to ask for its token at `app_url`.
pub fn with_a_hint(routes: Router, app_url: String) -> Router {
    routes.layer(from_fn(move |request: Request<Body>, next: Next| {
        let app_url = app_url.clone();
        async move {
            let is_result = request.uri().path() == CALLBACK_PATH;
            let response = next.run(request).await;
            if !is_result || response.status() != StatusCode::OK {
                return Ok(response);
            }
            let (mut parts, body) = response.into_parts();
            let page = to_bytes(body, MAX_BODY_BYTES).await;
            let page = page.map_err(|_torn| StatusCode::INTERNAL_SERVER_ERROR)?;
            let page = String::from_utf8_lossy(&page);
            let hinted = hinted(&page, &app_url).unwrap_or_else(|| page.into_owned());
            parts.headers.remove(header::CONTENT_LENGTH);
            Ok::<_, StatusCode>(Response::from_parts(parts, Body::from(hinted)))
        }
    }))
}

/// The page with a command for its account; `None` if it names none.
fn hinted(page: &str, app_url: &str) -> Option<String> {
    let (_, account) = page.split_once("<p class=\"account\">")?;
    let (account, _) = account.split_once("</p>")?;
    let (_, appid) = account.rsplit_once("<span>")?;
    let (appid, _) = appid.split_once("</span>")?;
    let command =
        format!("curl -s {app_url}/_local/token -d '{{\"authorizer_appid\":\"{appid}\"}}'");
    let hint = format!(
        "<p class=\"soft local\">获取该账号的令牌 · get its token<br><code>{command}</code></p>"
    );
    let (message, rest) = page.split_at_checked(page.rfind("</div>")?)?;
    Some(format!("{message}{hint}{rest}"))
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
