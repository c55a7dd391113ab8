//! What WeChat pushes to the message URL of an authorizer, as JSON: one rule for every message and
//! event there is or will be.
//!
//! Source: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/message_push.html>

use component_api::id::AuthorizerAppId;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::fields::{self, Doctype};
use crate::digest::hex;

mod arrays;
mod xml;

/// An opened push of the message URL.
pub struct OpenedMessage {
    plain: Vec<u8>,
    /// What it says; `None` if it is neither XML nor a JSON object.
    pub message: Option<Message>,
}

/// A message or an event, with WeChat's own names.
pub struct Message {
    /// In which form it came.
    pub format: Format,
    /// It as JSON, without the codes and tickets that it may bring.
    pub json: Box<RawValue>,
    /// The account that it is for: `ToUserName`.
    pub to: Option<String>,
    /// The customer, or WeChat itself: `FromUserName`.
    pub from: Option<String>,
    /// Its `MsgType`.
    pub msg_type: Option<String>,
    /// Its `InfoType`, if it is a notice of the auth-event URL.
    pub info_type: Option<String>,
    /// Its `Event`.
    pub event: Option<String>,
    /// Its `Content`.
    pub content: Option<String>,
    msg_id: Option<String>,
}

/// The form of an opened push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// XML, as WeChat's documents say of components.
    Xml,
    /// A JSON object, as some shops' events are.
    Json,
}

/// Elements that bring a secret, wherever they stand.
const SECRETS: [&str; 4] = [
    "AuthorizationCode",
    "auth_code",
    "PreAuthCode",
    "ComponentVerifyTicket",
];

/// What a trial mini program's creation brings, with a ticket in it; the name is WeChat's.
const BETA_APP: &str = "ApplyAuthorizationInfoNoitfy";

/// Nothing that WeChat sends is nested nearly so deep. JSON readers stop at 128 levels, and the
/// bus's event adds two.
const MAX_DEPTH: usize = 100;

impl OpenedMessage {
    /// Reads the plain text of a push.
    ///
    /// # Errors
    /// [`Doctype`].
    pub(super) fn read(plain: &[u8]) -> Result<Self, Doctype> {
        Ok(Self {
            message: Message::read(plain)?,
            plain: plain.to_vec(),
        })
    }

    /// The push's identity for an account: the same for every repetition of it. Of a message it is
    /// the `MsgId`. Events share sender and second, and some repeat their ids: of an event it is the
    /// whole text.
    ///
    /// Source: <https://developers.weixin.qq.com/doc/service/guide/product/message/Receiving_standard_messages.html>
    pub fn id(&self, account: &AuthorizerAppId) -> String {
        let msg_id = self.message.as_ref().and_then(Message::own_id);
        let (kind, content) = match msg_id {
            Some(msg_id) => ("message", msg_id.as_bytes()),
            None => ("text", self.plain.as_slice()),
        };
        let mut digest = Sha256::new();
        digest.update(format!("{kind}\n{account}\n"));
        digest.update(content);
        hex(&digest.finalize())
    }
}

impl Message {
    /// Reads a plain text; `None` if it is neither XML nor a JSON object. Bytes that are no UTF-8
    /// become U+FFFD.
    ///
    /// # Errors
    /// [`Doctype`].
    pub(super) fn read(plain: &[u8]) -> Result<Option<Self>, Doctype> {
        let text = String::from_utf8_lossy(plain);
        if text.trim_start().starts_with('{') {
            return Ok(Self::of_json(text.trim()));
        }
        let [] = fields::find(plain, [])?;
        Ok(xml::read(&text).and_then(|message| Self::of_xml(&message)))
    }

    /// Whether it is an event, and no message.
    pub fn is_event(&self) -> bool {
        self.msg_type.as_deref() == Some("event")
    }

    fn of_xml(message: &Map<String, Value>) -> Option<Self> {
        let json = to_raw_value(message).ok()?;
        Some(Self::of(message, json, Format::Xml))
    }

    /// A JSON text is taken as it is, to the digit and the space, unless a secret is taken out.
    fn of_json(text: &str) -> Option<Self> {
        let mut message: Map<String, Value> = serde_json::from_str(text).ok()?;
        let json = if without_secrets(&mut message) {
            to_raw_value(&message)
        } else {
            RawValue::from_string(text.to_owned())
        };
        Some(Self::of(&message, json.ok()?, Format::Json))
    }

    fn of(message: &Map<String, Value>, json: Box<RawValue>, format: Format) -> Self {
        let text = |name| match message.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        Self {
            format,
            json,
            to: text("ToUserName"),
            from: text("FromUserName"),
            msg_type: text("MsgType"),
            info_type: text("InfoType"),
            event: text("Event"),
            content: text("Content"),
            msg_id: text("MsgId"),
        }
    }

    fn own_id(&self) -> Option<&str> {
        let msg_id = self.msg_id.as_deref()?;
        (!self.is_event() && !msg_id.is_empty()).then_some(msg_id)
    }
}

impl Format {
    /// As the bus's event names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Xml => "xml",
            Self::Json => "json",
        }
    }
}

/// Whether `name`, a child of `parent`, brings a secret.
fn is_secret(parent: &str, name: &str) -> bool {
    SECRETS.contains(&name) || (parent == BETA_APP && name == "ticket")
}

/// Takes the secrets out of JSON; whether there were any.
fn without_secrets(message: &mut Map<String, Value>) -> bool {
    fn clean(parent: &str, value: &mut Value) -> bool {
        match value {
            Value::Object(fields) => clean_object(parent, fields),
            Value::Array(values) => {
                let cleaned = values.iter_mut().map(|value| clean(parent, value));
                cleaned.fold(false, |any, cleaned| any | cleaned)
            }
            _ => false,
        }
    }
    fn clean_object(parent: &str, fields: &mut Map<String, Value>) -> bool {
        let before = fields.len();
        fields.retain(|name, _| !is_secret(parent, name));
        let inner = fields.iter_mut().map(|(name, value)| clean(name, value));
        let inner = inner.fold(false, |any, cleaned| any | cleaned);
        inner || fields.len() < before
    }
    clean_object("", message)
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(super) fn to_value(xml: &str) -> Value {
    let message = Message::read(xml.as_bytes()).ok().flatten();
    message.map_or(Value::Null, |message| {
        serde_json::from_str(message.json.get()).unwrap_or_default()
    })
}
