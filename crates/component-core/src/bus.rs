//! The stack's event bus, on which siblings find what happens. Nothing else knows EventBridge.

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use component_api::id::{AuthorizerAppId, ComponentAppId};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::Error;
use crate::push::message::Message;
use crate::row::authorizer::Change;
use crate::time::{Deadline, Timestamp};

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

const NOTICE: &str = "Notice Received";

/// What is kept for a message.
const OF_MESSAGES: [&str; 2] = [MESSAGE, EVENT];

/// The detail of a notice's event.
#[derive(Serialize)]
struct NoticeDetail<'a> {
    id: &'a str,
    component_appid: &'a str,
    info_type: Option<&'a str>,
    notice: &'a RawValue,
}

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

/// A change of an authorizer, as siblings are told of it. There is no token in it, and no code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizerEvent {
    /// Random, and the same whenever it is delivered again.
    pub id: String,
    /// The events of one account are counted.
    pub sequence: u64,
    /// EventBridge's `detail-type`.
    pub detail_type: &'static str,
    /// The account.
    pub account: AuthorizerAppId,
    /// The vendor's own name for it.
    pub reference: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Its own id.
    pub user_name: Option<String>,
    /// The permission sets that it has granted.
    pub permission_sets: Vec<u64>,
    /// When it took place: the notice's `CreateTime`, where there is one.
    pub at: Timestamp,
}

/// The detail of an authorizer's event.
#[derive(Serialize)]
struct AuthorizerDetail<'a> {
    id: &'a str,
    sequence: u64,
    component_appid: &'a str,
    authorizer_appid: &'a str,
    reference: Option<&'a str>,
    name: Option<&'a str>,
    user_name: Option<&'a str>,
    permission_sets: &'a [u64],
    at: u64,
}

const OF_AUTHORIZERS: [(Change, &str); 5] = [
    (Change::Authorized, "Authorizer Authorized"),
    (Change::Updated, "Authorizer Updated"),
    (
        Change::ReauthorizationRequired,
        "Authorizer Reauthorization Required",
    ),
    (Change::Revoked, "Authorizer Revoked"),
    (Change::Limited, "Authorizer Limited"),
];

impl AuthorizerEvent {
    /// The `detail-type` of a change.
    pub(crate) fn type_of(change: Change) -> &'static str {
        let mut types = OF_AUTHORIZERS.into_iter();
        types
            .find(|(known, _)| *known == change)
            .map_or("", |(_, name)| name)
    }

    /// The type of this name.
    pub(crate) fn known_type(name: &str) -> Option<&'static str> {
        let mut types = OF_AUTHORIZERS.into_iter();
        let (_, known) = types.find(|(_, known)| *known == name)?;
        Some(known)
    }

    /// As it is put on the bus of `component`.
    pub(crate) fn of(&self, component: &ComponentAppId) -> Event {
        let detail = AuthorizerDetail {
            id: &self.id,
            sequence: self.sequence,
            component_appid: component.as_str(),
            authorizer_appid: self.account.as_str(),
            reference: self.reference.as_deref(),
            name: self.name.as_deref(),
            user_name: self.user_name.as_deref(),
            permission_sets: &self.permission_sets,
            at: self.at.as_secs(),
        };
        Event {
            detail_type: self.detail_type,
            detail: serde_json::to_string(&detail).unwrap_or_default(),
        }
    }
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

    /// The event of a notice with the identity `id` that tells of no authorization.
    pub(crate) fn of_notice(
        id: &str,
        component: &ComponentAppId,
        info_type: Option<&str>,
        notice: &RawValue,
    ) -> Self {
        let detail = NoticeDetail {
            id,
            component_appid: component.as_str(),
            info_type,
            notice,
        };
        Self {
            detail_type: NOTICE,
            detail: serde_json::to_string(&detail).unwrap_or_default(),
        }
    }

    /// The type of this name.
    pub(crate) fn known_type(name: &str) -> Option<&'static str> {
        OF_MESSAGES.into_iter().find(|known| *known == name)
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
