//! What becomes of the messages and events that WeChat pushes for the accounts.

use http::StatusCode;
use serde_json::{Value, json};

use crate::world::rows::text;
use crate::world::{World, appid};

mod delivery;
mod refused;
mod release_check;
mod replies;

const SUCCESS: &str = "success";

/// A customer's text with this `MsgId`, without an addressee.
fn message(msg_id: &str, content: &str) -> String {
    format!(
        "<xml><FromUserName>o1</FromUserName><CreateTime>1700000001</CreateTime><MsgType>text</MsgType><Content>{content}</Content><MsgId>{msg_id}</MsgId></xml>"
    )
}

/// An event with these elements beside those that every event has.
fn event(name: &str, inner: &str) -> String {
    format!(
        "<xml><FromUserName>o1</FromUserName><CreateTime>1700000001</CreateTime><MsgType>event</MsgType><Event>{name}</Event>{inner}</xml>"
    )
}

impl World {
    /// The events of messages on the bus, the oldest first.
    fn bus(&self) -> Vec<Value> {
        let events = self.emulators.bus.events().into_iter();
        events
            .filter(|event| event["detail"].get("message").is_some())
            .collect()
    }

    /// The `detail.message` of each event on the bus.
    fn messages_on_the_bus(&self) -> Vec<Value> {
        let events = self.bus().into_iter();
        events
            .map(|event| event["detail"]["message"].clone())
            .collect()
    }

    /// Sends a text that must be answered by `success`.
    async fn send(&self, appid: &str, plain: &str) {
        let answer = self.message(appid, plain).await;
        assert_eq!(answer, (StatusCode::OK, SUCCESS.to_owned()), "{plain}");
    }

    async fn message_rows(
        &self,
    ) -> Vec<std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue>> {
        let rows = self.rows().await.into_iter();
        let messages = rows.filter(|(pk, _)| pk.starts_with("message#"));
        messages.map(|(_, row)| row).collect()
    }

    async fn user_name(&self, appid: &str) -> String {
        text(&self.authorizer_row(appid).await, "user_name")
    }
}
