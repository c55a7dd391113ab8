//! The gate between a process and AWS and WeChat: it sees each call, and kills the process on
//! order.

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

/// AWS and WeChat at one address, in front of a world.
pub(crate) struct Gate {
    pub(crate) url: String,
    watch: Arc<Watch>,
}

/// The moment at which a process is killed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KillPoint {
    /// The number of the call, from 0.
    pub(crate) call: usize,
    pub(crate) phase: Phase,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Phase {
    /// The call has arrived, and has no effect.
    Before,
    /// The call takes effect, and its answer never arrives.
    Effect,
    /// The call is answered, and so much time has passed since.
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

/// The emulators behind the gate.
struct Aws {
    http: reqwest::Client,
    dynamodb_url: String,
    secretsmanager_url: String,
    eventbridge_url: String,
}

const MAX_BODY_LEN: usize = 1024 * 1024;

impl Gate {
    /// Opens a gate in front of a world.
    pub(crate) async fn open(world: &World) -> Self {
        let aws = Aws {
            http: world.http.clone(),
            dynamodb_url: world.emulators.dynamodb_url.clone(),
            secretsmanager_url: world.emulators.secretsmanager_url.clone(),
            eventbridge_url: world.emulators.eventbridge_url.clone(),
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

    /// Kills a process at this point; calls count from now.
    pub(crate) fn kill(&self, victim: Arc<Process>, point: KillPoint) {
        let mut seen = self.watch.0.lock().unwrap();
        seen.calls.clear();
        seen.order = Some((point, victim));
    }

    /// The call at which the process was killed.
    pub(crate) fn struck(&self) -> Option<String> {
        self.watch.0.lock().unwrap().struck.clone()
    }

    /// The calls since the last look or the order to kill, such as `PutItem authorizer` or
    /// `api_query_auth`.
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.watch.0.lock().unwrap().calls)
    }

    /// The calls of [`Gate::calls`], counted by name.
    pub(crate) fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for call in self.calls() {
            *counts.entry(call).or_default() += 1;
        }
        counts
    }
}

impl Watch {
    /// Notes a call; the phase and the process, if the process is to be killed at this call.
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
            // Tokio's timer is too coarse: it counts in milliseconds.
            let passed = tokio::task::spawn_blocking(move || thread::sleep(time));
            tokio::spawn(async move {
                passed.await.unwrap();
                victim.kill().await;
            });
            answer
        }
    }
}

/// The name of a call. None for a call that only opens a connection or fetches the secret.
fn name(parts: &request::Parts, body: &[u8]) -> Option<String> {
    let path = parts.uri.path();
    if path != "/" {
        return path.rsplit('/').next().map(str::to_owned);
    }
    let target = parts.headers.get("x-amz-target")?.to_str().ok()?;
    if target == "AWSEvents.PutEvents" {
        return Some("PutEvents".to_owned());
    }
    let operation = target.strip_prefix("DynamoDB_20120810.")?;
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let places = [
        "/Key/pk/S",
        "/Item/pk/S",
        "/TransactItems/0/Put/Item/pk/S",
        "/IndexName",
    ];
    let pk = places
        .into_iter()
        .find_map(|path| body.pointer(path)?.as_str())
        .unwrap_or_default();
    // Only the kind of a row, not the whole key.
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
        Some(target) if target.starts_with("AWSEvents.") => &aws.eventbridge_url,
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
