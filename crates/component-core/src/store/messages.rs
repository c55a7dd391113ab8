//! Rows `message#<identity>`: the claim on one message, with its event until the bus has taken it.

use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use component_api::id::AuthorizerAppId;

use super::item::Item;
use super::{Store, WRITTEN_BY, failure, key, nonce, refused_put, refused_update, text, time};
use crate::bus::Event;
use crate::error::Error;
use crate::time::Timestamp;

/// Whether a push is the first of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageClaim {
    /// It is, and its event is kept until [`Store::finish_message`].
    Taken,
    /// The message came before: the bus has its event, or the schedule delivers it.
    Repeated,
}

/// A message that the bus has not taken.
#[derive(Debug)]
pub struct KeptMessage {
    /// Its event.
    pub event: Event,
    /// How many deliveries have failed.
    pub failures: u64,
}

/// The receiver may take this long to deliver. After that the schedule does it.
const RECEIVER_TIME: Duration = Duration::from_mins(1);

/// For so long a message is known again. WeChat repeats most pushes within seconds, and some for a
/// day.
const LIFE: Duration = Duration::from_hours(48);

impl Store {
    /// Claims a message, and keeps its event.
    ///
    /// A claim that has expired counts as none: DynamoDB deletes days late.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn claim_message(
        &self,
        id: &str,
        account: &AuthorizerAppId,
        event: &Event,
        now: Timestamp,
    ) -> Result<MessageClaim, Error> {
        let nonce = nonce();
        let mut item = Item::keyed(&key::message(id));
        item.set_text("authorizer_appid", account.as_str());
        item.set_text("detail_type", event.detail_type);
        item.set_text("detail", &event.detail);
        item.set_time("received_at", now);
        item.set_number("due_shard", key::perishable_shard(account));
        item.set_time("due_at", now + RECEIVER_TIME);
        item.set_time("ttl", now + LIFE);
        item.set_text(WRITTEN_BY, &nonce);
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item.into()))
            // `ttl` is a word of DynamoDB's own.
            .condition_expression("attribute_not_exists(pk) OR #ttl <= :now")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":now", time(now))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = put else {
            return Ok(MessageClaim::Taken);
        };
        match refused_put(&error) {
            // A retry of the SDK's has met the put before it.
            Some(stored) if stored.text(WRITTEN_BY) == Some(&nonce) => Ok(MessageClaim::Taken),
            Some(_) => Ok(MessageClaim::Repeated),
            None => Err(failure("claim a message", error)),
        }
    }

    /// The message, if the bus has not taken it.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) async fn kept_message(&self, id: &str) -> Result<Option<KeptMessage>, Error> {
        let item = self.get("read a message", &key::message(id)).await?;
        Ok(item.as_ref().and_then(read))
    }

    /// The bus has taken the message: takes its content out of the table, and leaves the claim.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn finish_message(&self, id: &str) -> Result<(), Error> {
        let expression = "REMOVE detail, due_shard, due_at";
        self.update_message(id, expression, None).await
    }

    /// Puts off a message that the bus did not take.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) async fn postpone_message(&self, id: &str, until: Timestamp) -> Result<(), Error> {
        let expression = "SET due_at = :until ADD failures :one";
        self.update_message(id, expression, Some(until)).await
    }

    async fn update_message(
        &self,
        id: &str,
        expression: &str,
        until: Option<Timestamp>,
    ) -> Result<(), Error> {
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(&key::message(id)))
            .update_expression(expression)
            .condition_expression("attribute_exists(due_at)");
        if let Some(until) = until {
            update = update
                .expression_attribute_values(":until", time(until))
                .expression_attribute_values(":one", AttributeValue::N("1".to_owned()));
        }
        match update.send().await {
            Err(error) if refused_update(&error).is_none() => {
                Err(failure("update a message", error))
            }
            _ => Ok(()),
        }
    }
}

fn read(item: &Item) -> Option<KeptMessage> {
    item.time("due_at")?;
    Some(KeptMessage {
        event: Event {
            detail_type: Event::known_type(item.text("detail_type")?)?,
            detail: item.text("detail")?.to_owned(),
        },
        failures: item.number("failures").unwrap_or_default(),
    })
}
