//! The stack's event bus, on which siblings find what happens. Nothing else knows EventBridge.

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use component_api::id::{AuthorizerAppId, ComponentAppId};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::Error;
use crate::push::message::Message;
use crate::time::Deadline;

/// The bus of one stack.
#[derive(Clone)]
pub struct Bus {
    client: Client,
    name: String,
}

/// What is put on the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// EventBridge's `detail-type`.
    pub detail_type: &'static str,
    /// EventBridge's `detail`: a JSON object.
    pub detail: String,
}

/// The `source` of every event.
const SOURCE: &str = "wechat-component";

const MESSAGE: &str = "Message Received";

const EVENT: &str = "Event Received";

const TYPES: [&str; 2] = [MESSAGE, EVENT];

/// The detail of a message's event.
#[derive(Serialize)]
struct MessageDetail<'a> {
    id: &'a str,
    component_appid: &'a str,
    authorizer_appid: &'a str,
    reference: Option<&'a str>,
    format: &'a str,
    message: &'a RawValue,
}

impl Event {
    /// The event of a message with the identity `id` to `account`, which the vendor calls
    /// `reference`.
    pub fn of_message(
        id: &str,
        component: &ComponentAppId,
        account: &AuthorizerAppId,
        reference: Option<&str>,
        message: &Message,
    ) -> Self {
        let detail = MessageDetail {
            id,
            component_appid: component.as_str(),
            authorizer_appid: account.as_str(),
            reference,
            format: message.format.as_str(),
            message: &message.json,
        };
        Self {
            detail_type: if message.is_event() { EVENT } else { MESSAGE },
            detail: serde_json::to_string(&detail).unwrap_or_default(),
        }
    }

    /// The type of this name.
    pub(crate) fn known_type(name: &str) -> Option<&'static str> {
        TYPES.into_iter().find(|known| *known == name)
    }
}

impl Bus {
    /// The bus with this name.
    pub fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// Puts an event on the bus, once and within the time that is left.
    ///
    /// # Errors
    /// [`Error::Bus`]; the bus may have taken it all the same.
    pub async fn put(&self, event: &Event, deadline: Deadline) -> Result<(), Error> {
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source(SOURCE)
            .detail_type(event.detail_type)
            .detail(&event.detail)
            .build();
        let put = self.client.put_events().entries(entry).send();
        let answer = match tokio::time::timeout(deadline.remaining(), put).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(Error::Bus(error.into())),
            Err(_late) => return Err(Error::Bus("it has not answered in time".into())),
        };
        let mut entries = answer.entries.unwrap_or_default().into_iter();
        match entries.find_map(|entry| entry.error_code) {
            None => Ok(()),
            Some(code) => Err(Error::Bus(format!("it refuses the event: {code}").into())),
        }
    }
}
