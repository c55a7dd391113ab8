//! What stands between a process and the world outside it: sees each call, and kills on order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header, request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::world::World;
use crate::world::processes::Process;

/// AWS and WeChat at one address.
pub(crate) struct Gate {
    pub(crate) url: String,
    watch: Arc<Watch>,
}

/// When a process is to be killed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KillPoint {
    /// By which of its calls, from 0.
    pub(crate) call: usize,
    pub(crate) phase: Phase,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Phase {
    /// The call has come, and nothing has happened.
    Before,
    /// It has taken effect, and its answer never arrives.
    Effect,
    /// It is answered, and so much time has passed.
    After(Duration),
}

#[derive(Default)]
struct Watch(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    calls: Vec<String>,
    order: Option<(KillPoint, Arc<Process>)>,
    struck: Option<String>,
}

/// What is behind the gate on AWS's side.
struct Aws {
    http: reqwest::Client,
    dynamodb_url: String,
    secretsmanager_url: String,
}

const MAX_BODY_LEN: usize = 1024 * 1024;

impl Gate {
    /// Opens one before a world.
    pub(crate) async fn open(world: &World) -> Self {
        let aws = Aws {
            http: world.http.clone(),
            dynamodb_url: world.emulators.dynamodb_url.clone(),
            secretsmanager_url: world.emulators.secretsmanager_url.clone(),
        };
        let watch = Arc::new(Watch::default());
        let router = Router::new()
            .route("/", any(call_aws))
            .with_state(Arc::new(aws))
            .merge(world.simulator.router())
            .layer(middleware::from_fn_with_state(watch.clone(), pass));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, watch }
    }

    /// Kills a process there and then, counted from its next call on.
    pub(crate) fn kill(&self, victim: Arc<Process>, point: KillPoint) {
        let mut seen = self.watch.0.lock().unwrap();
        seen.calls.clear();
        seen.order = Some((point, victim));
    }

    /// The call by which a process was killed.
    pub(crate) fn struck(&self) -> Option<String> {
        self.watch.0.lock().unwrap().struck.clone()
    }

    /// The calls since the last look, or since the order to kill: `PutItem authorizer`, `api_query_auth`.
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.watch.0.lock().unwrap().calls)
    }

    /// As [`Gate::calls`], counted.
    pub(crate) fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for call in self.calls() {
            *counts.entry(call).or_default() += 1;
        }
        counts
    }
}

impl Watch {
    /// Notes a call; who is to die by it, and when.
    fn note(&self, call: String) -> Option<(Phase, Arc<Process>)> {
        let mut seen = self.0.lock().unwrap();
        let number = seen.calls.len();
        seen.calls.push(call.clone());
        let (point, victim) = seen.order.take_if(|(point, _)| point.call == number)?;
        seen.struck = Some(call);
        Some((point.phase, victim))
    }
}

async fn pass(State(watch): State<Arc<Watch>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY_LEN).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let call = name(&parts, &body);
    let request = Request::from_parts(parts, Body::from(body));
    match call.and_then(|call| watch.note(call)) {
        None => next.run(request).await,
        Some((Phase::Before, victim)) => {
            victim.kill().await;
            StatusCode::BAD_GATEWAY.into_response()
        }
        Some((Phase::Effect, victim)) => {
            let answer = next.run(request).await;
            victim.kill().await;
            answer
        }
        Some((Phase::After(time), victim)) => {
            let answer = next.run(request).await;
            // Not the timer of tokio: it counts in milliseconds.
            let passed = tokio::task::spawn_blocking(move || thread::sleep(time));
            tokio::spawn(async move {
                passed.await.unwrap();
                victim.kill().await;
            });
            answer
        }
    }
}

/// What a call is; none if it only opens a connection, or is part of the start and not of an invocation.
fn name(parts: &request::Parts, body: &[u8]) -> Option<String> {
    let path = parts.uri.path();
    if path != "/" {
        return path.rsplit('/').next().map(str::to_owned);
    }
    let target = parts.headers.get("x-amz-target")?.to_str().ok()?;
    let operation = target.strip_prefix("DynamoDB_20120810.")?;
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let pk = ["/Key/pk/S", "/Item/pk/S", "/IndexName"]
        .into_iter()
        .find_map(|path| body.pointer(path)?.as_str())
        .unwrap_or_default();
    // Of a row's key, the kind.
    let kind = match pk.split_once('#') {
        Some(("component", _)) | None => pk,
        Some((kind, _)) => kind,
    };
    Some(format!("{operation} {kind}"))
}

async fn call_aws(State(aws): State<Arc<Aws>>, mut headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target");
    let target = target.and_then(|target| target.to_str().ok());
    let url = match target {
        Some(target) if target.starts_with("secretsmanager.") => &aws.secretsmanager_url,
        _ => &aws.dynamodb_url,
    };
    for name in [header::HOST, header::CONTENT_LENGTH] {
        headers.remove(name);
    }
    let call = aws.http.post(url).headers(headers).body(body);
    let Ok(answer) = call.send().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let (status, headers) = (answer.status(), answer.headers().clone());
    (status, headers, answer.bytes().await.unwrap()).into_response()
}
