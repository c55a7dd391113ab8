//! EventBridge at an address of its own: one bus that remembers its last events, and the one
//! operation that the functions call.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

/// The name of the bus.
pub const BUS: &str = "wechat-component";

/// The bus. Clones are the same bus.
#[derive(Clone, Default)]
pub struct EventBus(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    /// The last events, the newest at the end, as a rule's target gets them.
    events: VecDeque<Value>,
    count: u64,
    trouble: Option<(Trouble, u32)>,
}

/// How the bus fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// It answers 200, and has not taken the entry.
    FailedEntry,
    /// It throttles the call.
    Throttled,
    /// It takes the event, and never answers.
    Hangs,
    /// It answers 500.
    Down,
    /// It takes the event, and its answer gets lost.
    AnswerLost,
}

/// An order to fail.
#[derive(Deserialize)]
struct Order {
    trouble: Trouble,
    #[serde(default = "once")]
    times: u32,
}

/// So many events are remembered.
const MEMORY: usize = 1_000;

const fn once() -> u32 {
    1
}

impl EventBus {
    /// The service, as the SDK calls it.
    pub fn service(&self) -> Router {
        Router::new()
            .route("/", post(operate))
            .with_state(self.clone())
    }

    /// For people: the last events, and trouble on order.
    pub fn pages(&self) -> Router {
        Router::new()
            .route("/_local/events", get(list))
            .route("/_local/events/trouble", post(order))
            .with_state(self.clone())
    }

    /// Makes the next `times` calls fail.
    pub fn fail(&self, trouble: Trouble, times: u32) {
        self.kept().trouble = Some((trouble, times));
    }

    /// Takes every event again.
    pub fn mend(&self) {
        self.kept().trouble = None;
    }

    /// The last events, the oldest first.
    pub fn events(&self) -> Vec<Value> {
        self.kept().events.iter().cloned().collect()
    }

    fn next_trouble(&self) -> Option<Trouble> {
        let mut kept = self.kept();
        let (trouble, left) = kept.trouble.as_mut()?;
        let trouble = *trouble;
        *left -= 1;
        if *left == 0 {
            kept.trouble = None;
        }
        Some(trouble)
    }

    /// Takes the entries of a call; answers their ids.
    fn take(&self, entries: &[Value]) -> Vec<Value> {
        let mut kept = self.kept();
        let taken = entries.iter().map(|entry| {
            kept.count += 1;
            let id = format!("00000000-0000-0000-0000-{:012}", kept.count);
            let text = |name| entry.get(name).and_then(Value::as_str).unwrap_or_default();
            let detail: Value = serde_json::from_str(text("Detail")).unwrap_or_default();
            say(text("DetailType"), &detail);
            kept.events.push_back(json!({
                "version": "0",
                "id": id,
                "source": text("Source"),
                "detail-type": text("DetailType"),
                "detail": detail,
            }));
            if kept.events.len() > MEMORY {
                kept.events.pop_front();
            }
            json!({ "EventId": id })
        });
        taken.collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One line for each event.
fn say(detail_type: &str, detail: &Value) {
    let text = |name| detail.get(name).and_then(Value::as_str).unwrap_or_default();
    tracing::info!(
        authorizer_appid = text("authorizer_appid"),
        id = text("id").get(..12).unwrap_or_default(),
        "event: {detail_type}"
    );
}

async fn list(State(bus): State<EventBus>) -> Json<Value> {
    Json(json!({ "events": bus.events() }))
}

async fn order(State(bus): State<EventBus>, Json(order): Json<Order>) -> StatusCode {
    if order.times == 0 {
        bus.mend();
    } else {
        bus.fail(order.trouble, order.times);
    }
    StatusCode::NO_CONTENT
}

/// Source: <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>
async fn operate(State(bus): State<EventBus>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target");
    if target.is_none_or(|target| target != "AWSEvents.PutEvents") {
        return refused("UnknownOperationException", StatusCode::BAD_REQUEST);
    }
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let entries = request.get("Entries").and_then(Value::as_array);
    let entries = entries.cloned().unwrap_or_default();
    let is_ours = |entry: &Value| entry.get("EventBusName").is_some_and(|name| name == BUS);
    if !entries.iter().all(is_ours) {
        return refused("ResourceNotFoundException", StatusCode::BAD_REQUEST);
    }
    match bus.next_trouble() {
        Some(Trouble::Throttled) => refused("ThrottlingException", StatusCode::BAD_REQUEST),
        Some(Trouble::Down) => refused("InternalException", StatusCode::INTERNAL_SERVER_ERROR),
        Some(Trouble::FailedEntry) => {
            let failed = json!({ "ErrorCode": "ThrottlingException", "ErrorMessage": "slow down" });
            let failed = vec![failed; entries.len()];
            answer(
                StatusCode::OK,
                &json!({ "FailedEntryCount": failed.len(), "Entries": failed }),
            )
        }
        Some(Trouble::Hangs) => {
            bus.take(&entries);
            std::future::pending().await
        }
        Some(Trouble::AnswerLost) => {
            bus.take(&entries);
            refused("InternalException", StatusCode::INTERNAL_SERVER_ERROR)
        }
        None => {
            let taken = bus.take(&entries);
            answer(
                StatusCode::OK,
                &json!({ "FailedEntryCount": 0, "Entries": taken }),
            )
        }
    }
}

fn refused(kind: &str, status: StatusCode) -> Response {
    answer(status, &json!({ "__type": kind, "message": "on order" }))
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let json = [(header::CONTENT_TYPE, "application/x-amz-json-1.1")];
    (status, json, body.to_string()).into_response()
}
