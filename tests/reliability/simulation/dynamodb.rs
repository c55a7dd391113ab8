//! The embedded DynamoDB, called within the process.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use dynoxide::actions::delete_item::DeleteItemRequest;
use dynoxide::actions::put_item::PutItemRequest;
use dynoxide::actions::transact_write_items::TransactWriteItemsRequest;
use dynoxide::actions::update_item::UpdateItemRequest;
use dynoxide::storage_backend::Clock;
use dynoxide::{AttributeValue, Database};
use local::emulators::TABLE;
use serde_json::json;
use tokio::time::Instant;

use super::Simulation;
use super::boundary::{Answer, Place};
use crate::world::BEGINNING;

pub(super) struct Dynamodb(pub(super) Simulation);

impl fmt::Debug for Dynamodb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dynamodb")
    }
}

struct VirtualClock(Instant);

impl Clock for VirtualClock {
    fn now_unix_secs(&self) -> u64 {
        BEGINNING + self.0.elapsed().as_secs()
    }

    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    fn now_unix_secs_f64(&self) -> f64 {
        self.now_unix_secs() as f64
    }
}

/// An empty table like the one of `template.yaml`, without its stream: [`Simulation::stored`] tells
/// of new items.
pub(super) fn database(began: Instant) -> Database {
    let database = Database::memory_with_clock(Arc::new(VirtualClock(began))).unwrap();
    let table = json!({
        "TableName": TABLE,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "due_shard", "AttributeType": "N"},
            {"AttributeName": "due_at", "AttributeType": "N"},
        ],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "GlobalSecondaryIndexes": [{
            "IndexName": "due",
            "KeySchema": [
                {"AttributeName": "due_shard", "KeyType": "HASH"},
                {"AttributeName": "due_at", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }],
    });
    database
        .create_table(serde_json::from_value(table).unwrap())
        .unwrap();
    let ttl = json!({
        "TableName": TABLE,
        "TimeToLiveSpecification": {"Enabled": true, "AttributeName": "ttl"},
    });
    database
        .update_time_to_live(serde_json::from_value(ttl).unwrap())
        .unwrap();
    database
}

impl HttpConnector for Dynamodb {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let simulation = self.0.clone();
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body = request.body().bytes().unwrap_or_default().to_vec();
        let (there, named) = (simulation.clone(), operation.clone());
        let effect = move || {
            let answer = there.operate(&named, &body);
            let answer: std::pin::Pin<Box<dyn Future<Output = Answer> + Send>> =
                Box::pin(std::future::ready(answer));
            answer
        };
        HttpConnectorFuture::new(simulation.cross(Place::Dynamodb, operation, Box::new(effect)))
    }
}

impl Simulation {
    fn operate(&self, operation: &str, body: &[u8]) -> Answer {
        let database = &self.0.database;
        let done = match operation {
            "GetItem" => database.get_item(read(body)).map(|answer| written(&answer)),
            "PutItem" => {
                let request: PutItemRequest = read(body);
                let item = request.item.clone();
                let put = database.put_item(request);
                put.map(|answer| {
                    self.stored(&item);
                    written(&answer)
                })
            }
            "TransactWriteItems" => {
                let request: TransactWriteItemsRequest = read(body);
                let puts = request.transact_items.iter();
                let items: Vec<_> = puts
                    .map(|item| item.put.as_ref().unwrap().item.clone())
                    .collect();
                let token = request.client_request_token.clone().unwrap();
                let done = database.transact_write_items(request);
                done.map(|answer| {
                    // A retry of the SDK's is the same transaction.
                    if self.0.transactions.lock().unwrap().insert(token) {
                        for item in &items {
                            self.stored(item);
                        }
                    }
                    written(&answer)
                })
            }
            "DeleteItem" => {
                let request: DeleteItemRequest = read(body);
                let pk = text(&request.key, "pk").to_owned();
                let delete = database.delete_item(request);
                delete.map(|answer| {
                    self.row_deleted(&pk);
                    written(&answer)
                })
            }
            "UpdateItem" => {
                let request: UpdateItemRequest = read(body);
                let key = request.key.clone();
                let values = request.expression_attribute_values.clone();
                let update = database.update_item(request);
                update.map(|answer| {
                    self.updated(&key, &values.unwrap_or_default());
                    written(&answer)
                })
            }
            "Query" => database.query(read(body)).map(|answer| written(&answer)),
            other => panic!("the functions do not call {other}"),
        };
        let (status, body) = match done {
            Ok(answer) => (200, answer),
            Err(error) => {
                self.note(format_args!("{operation} {}", error.error_type()));
                (error.status_code(), error.to_json().into_bytes())
            }
        };
        let status = StatusCode::try_from(status).unwrap();
        Answer {
            response: HttpResponse::new(status, SdkBody::from(body)),
            issue: None,
        }
    }

    /// Takes note of an item that was put.
    fn stored(&self, item: &HashMap<String, AttributeValue>) {
        let pk = text(item, "pk");
        if let Some(sha256) = pk.strip_prefix("notice#") {
            self.notice_stored(sha256);
            self.bring_soon(pk);
        } else if let Some(id) = pk.strip_prefix("message#") {
            self.message_kept(id);
        } else if let Some(key) = pk.strip_prefix("event#") {
            self.event_written(key);
            self.bring_soon(pk);
        } else if let Some(appid) = pk.strip_prefix("authorizer#") {
            self.row_written(appid, item);
        } else if pk == "component#token" {
            self.component_row_written(item);
        }
    }

    /// Takes note of an item that was updated with these values.
    fn updated(
        &self,
        key: &HashMap<String, AttributeValue>,
        values: &HashMap<String, AttributeValue>,
    ) {
        let pk = text(key, "pk");
        if let Some(id) = pk.strip_prefix("message#")
            && values.is_empty()
        {
            self.message_finished(id);
        }
        if let Some(sha256) = pk.strip_prefix("notice#")
            && values.contains_key(":outcome")
        {
            let outcome = text(values, ":outcome");
            self.notice_settled(sha256, outcome);
        }
    }

    /// Whether WeChat accepts the stored ticket.
    pub(crate) fn has_good_ticket(&self) -> bool {
        let row = self.row("component#ticket").unwrap_or_default();
        self.wechat().ticket_works(text(&row, "ticket"))
    }

    /// A row as it is stored, read without a fault.
    pub(crate) fn row(&self, pk: &str) -> Option<HashMap<String, AttributeValue>> {
        let get = json!({"TableName": TABLE, "Key": {"pk": {"S": pk}}});
        let get = serde_json::from_value(get).unwrap();
        self.0.database.get_item(get).unwrap().item
    }
}

pub(crate) fn text<'a>(item: &'a HashMap<String, AttributeValue>, name: &str) -> &'a str {
    match item.get(name) {
        Some(AttributeValue::S(text)) => text,
        _ => "",
    }
}

pub(crate) fn number(item: &HashMap<String, AttributeValue>, name: &str) -> u64 {
    match item.get(name) {
        Some(AttributeValue::N(number)) => number.parse().unwrap(),
        _ => 0,
    }
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> T {
    serde_json::from_slice(body).unwrap()
}

fn written(answer: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(answer).unwrap()
}
