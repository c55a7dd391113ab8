//! The event bus, called within the process; and the messages and events that are to come to it.

use std::collections::BTreeMap;
use std::fmt;

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use super::Simulation;
use super::boundary::{Answer, Place};
use super::dynamodb::text;
use super::sandbox::Function;

pub(super) struct Bus(pub(super) Simulation);

/// What became of each message, by its `MsgId`.
#[derive(Default)]
pub(crate) struct Messages(BTreeMap<u64, Message>);

struct Message {
    /// The id of its event.
    id: Option<String>,
    /// Whether WeChat was told that it was taken, while its account was authorized in the table.
    taken: bool,
    /// How often the bus took it.
    deliveries: u64,
}

/// The events of each account.
#[derive(Default)]
pub(crate) struct Outbox(BTreeMap<String, Events>);

/// The sequence of the last event written, and of the last one published.
#[derive(Default)]
struct Events {
    written: u64,
    published: u64,
}

/// How often WeChat tries a message.
const TRIES: u32 = 3;

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bus")
    }
}

impl HttpConnector for Bus {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let simulation = self.0.clone();
        let body = request.body().bytes().unwrap_or_default().to_vec();
        let there = simulation.clone();
        let effect = move || {
            let answer = there.put_events(&body);
            let answer: std::pin::Pin<Box<dyn Future<Output = Answer> + Send>> =
                Box::pin(std::future::ready(answer));
            answer
        };
        let what = "PutEvents".to_owned();
        HttpConnectorFuture::new(simulation.cross(Place::Bus, what, Box::new(effect)))
    }
}

impl Simulation {
    fn put_events(&self, body: &[u8]) -> Answer {
        let request: Value = serde_json::from_slice(body).unwrap();
        let entries = request["Entries"].as_array().unwrap();
        for entry in entries {
            let detail = entry["Detail"].as_str().unwrap();
            self.published(&serde_json::from_str(detail).unwrap());
        }
        let taken: Vec<Value> = entries.iter().map(|_| json!({ "EventId": "1" })).collect();
        let body = json!({ "FailedEntryCount": 0, "Entries": taken });
        Answer {
            response: HttpResponse::new(
                StatusCode::try_from(200).unwrap(),
                SdkBody::from(body.to_string()),
            ),
            issue: None,
        }
    }

    fn published(&self, detail: &Value) {
        if detail.get("message").is_some() {
            self.message_published(detail);
        } else {
            self.event_published(detail);
        }
    }

    /// An event of an account: none is invented, and each is first published before the next.
    fn event_published(&self, detail: &Value) {
        let account = detail["authorizer_appid"].as_str().unwrap();
        let sequence = detail["sequence"].as_u64().unwrap();
        self.note(format_args!("the bus has event {sequence} of {account}"));
        let wrong = {
            let mut ledger = self.ledger();
            let events = ledger.events.0.entry(account.to_owned()).or_default();
            if sequence > events.written {
                Some("was never written")
            } else if sequence > events.published + 1 {
                Some("overtakes another")
            } else {
                events.published = events.published.max(sequence);
                None
            }
        };
        self.count("events published");
        if let Some(wrong) = wrong {
            self.broken(format_args!("event {sequence} of {account} {wrong}"));
        }
    }

    /// An event is in the outbox, by account and sequence.
    pub(super) fn event_written(&self, key: &str) {
        let (account, sequence) = key.split_once('#').unwrap();
        let sequence: u64 = sequence.parse().unwrap();
        let wrong = {
            let mut ledger = self.ledger();
            ledger.kept.insert(format!("event#{key}"));
            let events = ledger.events.0.entry(account.to_owned()).or_default();
            // The account was forgotten meanwhile.
            if sequence == 1 {
                *events = Events::default();
            }
            let wrong = sequence != events.written + 1;
            events.written = sequence;
            wrong
        };
        self.count("events");
        if wrong {
            self.broken(format_args!("event {key} is not the next one"));
        }
    }

    pub(super) fn row_deleted(&self, pk: &str) {
        self.ledger().kept.remove(pk);
    }

    fn message_published(&self, detail: &Value) {
        let number = detail["message"]["MsgId"].as_str().unwrap();
        self.note(format_args!("the bus has message {number}"));
        let mut ledger = self.ledger();
        let Some(message) = ledger.messages.0.get_mut(&number.parse().unwrap()) else {
            drop(ledger);
            return self.broken(format_args!("message {number} was never sent"));
        };
        message.deliveries += 1;
        let id = detail["id"].as_str().unwrap();
        let known = message.id.get_or_insert_with(|| id.to_owned());
        if known != id {
            drop(ledger);
            self.broken(format_args!("message {number} has two ids"));
        }
    }

    /// A customer writes to an account: WeChat pushes it, and tries again what is not taken.
    pub(crate) async fn write_to(self, appid: String) {
        let number = self.chance().number();
        self.ledger().messages.0.insert(
            number,
            Message {
                id: None,
                taken: false,
                deliveries: 0,
            },
        );
        self.count("messages");
        let now = self.now();
        let xml = format!(
            "<xml><FromUserName>o1</FromUserName><CreateTime>{now}</CreateTime><MsgType>text</MsgType><Content>x</Content><MsgId>{number}</MsgId></xml>"
        );
        // A retry may come although the one before was taken.
        let again = self.chance().happens(self.weather().faults);
        for _try in 0..TRIES {
            let before = self.is_authorized_in_the_table(&appid);
            let ran = self.post_message(&appid, &xml).await;
            if ran && before && self.is_authorized_in_the_table(&appid) {
                let mut ledger = self.ledger();
                ledger.messages.0.get_mut(&number).unwrap().taken = true;
            }
            if ran && !again {
                return;
            }
        }
    }

    async fn post_message(&self, appid: &str, xml: &str) -> bool {
        let nonce = (self.chance().number() % 1_000_000_000).to_string();
        let sealed = self.wechat().seal(xml, self.now(), &nonce);
        let path = format!("/wechat/{appid}/messages?{}", sealed.query);
        let request = http::Request::post(path);
        let request = request.body(sealed.body.into_bytes()).unwrap();
        let ran = self.invoke(
            Function::MessageReceiver,
            |functions, _deadline| async move {
                functions.message_receiver.handle(request).await.status()
            },
        );
        ran.await.answer == Some(http::StatusCode::OK)
    }

    fn is_authorized_in_the_table(&self, appid: &str) -> bool {
        let row = self.row(&format!("authorizer#{appid}"));
        row.is_some_and(|row| text(&row, "status") == "authorized")
    }

    /// What must hold of messages and events once all faults have ended: nothing is lost.
    pub(crate) fn check_bus(&self) {
        let events = std::mem::take(&mut self.ledger().events.0);
        for (account, Events { written, published }) in events {
            if written != published {
                self.broken(format_args!(
                    "of {written} events of {account} {published} are published"
                ));
            }
        }
        let messages = std::mem::take(&mut self.ledger().messages.0);
        for (number, message) in messages {
            match (message.taken, message.deliveries) {
                (true, 0) => self.broken(format_args!("message {number} is lost")),
                (_, 1) => self.count("messages delivered once"),
                (_, 2..) => self.count("messages delivered again"),
                (false, 0) => {}
            }
        }
    }
}
