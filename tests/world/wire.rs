//! The wire between the SDK and DynamoDB: it counts requests, and makes them fail on order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::config::retry::RetryPartition;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use serde_json::Value;

/// What happens to a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// The connection breaks before the request takes effect.
    Before,
    /// The request takes effect, and its answer gets lost.
    AnswerLost,
    /// DynamoDB throttles the request.
    Throttled,
    /// The request takes no effect, and no answer ever comes.
    Hangs,
    /// Another worker writes the row just before: the compare-and-set of this request fails.
    Raced,
    /// Another worker's transaction is on the row just then.
    Conflict,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Wire(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    calls: BTreeMap<String, u64>,
    cuts: Vec<(String, Cut, u32)>,
    /// The client of the other worker, which does not use this wire.
    rival: Option<aws_sdk_dynamodb::Client>,
}

impl Wire {
    /// The same client, whose requests go over this wire.
    pub(crate) fn through(&self, client: &aws_sdk_dynamodb::Client) -> aws_sdk_dynamodb::Client {
        let inner = client.config().http_client().expect("it has a client");
        self.0.lock().unwrap().rival = Some(client.clone());
        // All clients of a process share the SDK's budget of retries: the faults of one test would
        // use up that of the others.
        let own = RetryPartition::custom(format!("{:p}", Arc::as_ptr(&self.0))).build();
        let config = client.config().to_builder().retry_partition(own);
        let config = config.http_client(self.around(inner));
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    /// The same for a client of the bus.
    pub(crate) fn through_events(
        &self,
        client: &aws_sdk_eventbridge::Client,
    ) -> aws_sdk_eventbridge::Client {
        let inner = client.config().http_client().expect("it has a client");
        let config = client.config().to_builder().http_client(self.around(inner));
        aws_sdk_eventbridge::Client::from_conf(config.build())
    }

    /// As [`through`](Self::through), for the HTTP client of any service.
    pub(crate) fn around(&self, inner: SharedHttpClient) -> SharedHttpClient {
        SharedHttpClient::new(WiredClient {
            wire: self.clone(),
            inner,
        })
    }

    /// The requests since the last look, by operation; retries are counted too.
    pub(crate) fn calls(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.0.lock().unwrap().calls)
    }

    /// Makes the next `times` requests of an operation fail: `PutItem`, or `*` for any. `PutItem
    /// component#ticket` names those for one row.
    pub(crate) fn cut(&self, operation: &str, cut: Cut, times: u32) {
        let mut state = self.0.lock().unwrap();
        state.cuts.push((operation.to_owned(), cut, times));
    }

    /// Lets all requests through again.
    pub(crate) fn mend(&self) {
        self.0.lock().unwrap().cuts.clear();
    }

    fn passes(&self, operation: &str, body: &[u8]) -> Option<Cut> {
        let mut state = self.0.lock().unwrap();
        *state.calls.entry(operation.to_owned()).or_default() += 1;
        // A transaction puts rows, too.
        let cut_as = match operation {
            "TransactWriteItems" => "PutItem",
            other => other,
        };
        let of_row = format!("{cut_as} {}", key(body).unwrap_or_default());
        let found = state.cuts.iter_mut().find(|(name, _, left)| {
            *left > 0 && (name == operation || name == cut_as || *name == of_row || name == "*")
        })?;
        found.2 -= 1;
        Some(found.1)
    }
}

#[derive(Clone, Debug)]
struct WiredClient {
    wire: Wire,
    inner: SharedHttpClient,
}

#[derive(Debug)]
struct WiredConnector {
    wire: Wire,
    inner: SharedHttpConnector,
}

impl HttpClient for WiredClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(WiredConnector {
            wire: self.wire.clone(),
            inner: self.inner.http_connector(settings, components),
        })
    }
}

impl HttpConnector for WiredConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body = request.body().bytes().unwrap_or_default();
        match self.wire.passes(&operation, body) {
            None => self.inner.call(request),
            Some(Cut::Before) => HttpConnectorFuture::ready(Err(broken())),
            Some(Cut::Hangs) => HttpConnectorFuture::new(std::future::pending()),
            Some(Cut::Throttled) => HttpConnectorFuture::ready(Ok(throttled())),
            Some(Cut::Conflict) => HttpConnectorFuture::ready(Ok(conflict(&operation))),
            Some(Cut::Raced) => {
                let rival = self.wire.0.lock().unwrap().rival.clone();
                let inner = self.inner.clone();
                HttpConnectorFuture::new(async move {
                    race(&rival.expect("the wire of a table"), &request).await;
                    inner.call(request).await
                })
            }
            Some(Cut::AnswerLost) => {
                let effect = self.inner.call(request);
                HttpConnectorFuture::new(async move {
                    effect.await?;
                    Err(broken())
                })
            }
        }
    }
}

/// The key of the row that a request is for.
fn key(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let places = ["/Key/pk/S", "/Item/pk/S", "/TransactItems/0/Put/Item/pk/S"];
    let pk = places.into_iter().find_map(|place| body.pointer(place))?;
    pk.as_str().map(str::to_owned)
}

/// Writes the row that `put` is about to write, if it exists.
async fn race(rival: &aws_sdk_dynamodb::Client, put: &HttpRequest) {
    let body: Value = serde_json::from_slice(put.body().bytes().expect("a body")).expect("JSON");
    let put = body.pointer("/TransactItems/0/Put").unwrap_or(&body);
    let table = put["TableName"].as_str().expect("a table");
    let pk = put["Item"]["pk"]["S"].as_str().expect("a key");
    let write = rival
        .update_item()
        .table_name(table)
        .key("pk", AttributeValue::S(pk.to_owned()))
        .update_expression("ADD generation :one")
        .condition_expression("attribute_exists(pk)")
        .expression_attribute_values(":one", AttributeValue::N("1".to_owned()));
    // Without a stored row the condition fails, and that is fine.
    drop(write.send().await);
}

fn broken() -> ConnectorError {
    ConnectorError::io("the connection was cut".into())
}

/// Source: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-conflict-handling>
fn conflict(operation: &str) -> HttpResponse {
    let body = match operation {
        "TransactWriteItems" => {
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","message":"cancelled","CancellationReasons":[{"Code":"TransactionConflict"},{"Code":"None"}]}"#
        }
        _ => {
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionConflictException","message":"conflict"}"#
        }
    };
    let status = StatusCode::try_from(400).expect("a status");
    HttpResponse::new(status, SdkBody::from(body))
}

fn throttled() -> HttpResponse {
    let body = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slow down"}"#;
    let status = StatusCode::try_from(400).expect("a status");
    HttpResponse::new(status, SdkBody::from(body))
}
