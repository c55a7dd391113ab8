//! Rows `event#<appid>#<sequence>`, the outbox: a change of an authorizer that the bus has not taken.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use component_api::id::AuthorizerAppId;

use super::item::Item;
use super::{EventKey, Store, failure, key, nonce, refused_update, text, time};
use crate::bus::AuthorizerEvent;
use crate::error::Error;
use crate::row::authorizer::{Authorizer, Change};
use crate::time::Timestamp;

/// An event that the bus has not taken.
#[derive(Debug)]
pub struct KeptEvent {
    /// The event.
    pub event: AuthorizerEvent,
    /// How many deliveries have failed.
    pub failures: u64,
}

/// The stream may take this long to deliver. After that the schedule does it.
const STREAM_TIME: Duration = Duration::from_mins(1);

/// After this time an event may be deleted: the row tells what became of the account.
const LIFE: Duration = Duration::from_hours(7 * 24);

/// The event of a change that makes a row `next`.
pub(super) fn write(
    next: &Authorizer,
    sequence: u64,
    change: Change,
    at: Timestamp,
    now: Timestamp,
) -> Item {
    let mut item = Item::keyed(&key::event(&next.appid, sequence));
    item.set_text("id", &nonce());
    item.set_text("detail_type", AuthorizerEvent::type_of(change));
    if let Some(reference) = next.reference() {
        item.set_text("reference", reference);
    }
    if let Some(name) = &next.name {
        item.set_text("name", name);
    }
    if let Some(user_name) = &next.user_name {
        item.set_text("user_name", user_name);
    }
    let sets = next.permission_sets.iter();
    let sets = sets.map(|id| AttributeValue::N(id.to_string()));
    item.set_list("permission_sets", sets.collect());
    item.set_time("at", at);
    item.set_number("due_shard", key::perishable_shard(&next.appid));
    item.set_time("due_at", now + STREAM_TIME);
    item.set_time("ttl", now + LIFE);
    item
}

impl Store {
    /// An event, if the bus has not taken it.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) async fn kept_event(
        &self,
        account: &AuthorizerAppId,
        sequence: u64,
    ) -> Result<Option<KeptEvent>, Error> {
        let key = key::event(account, sequence);
        let item = self.get("read an event", &key).await?;
        Ok(item.and_then(|item| read(account, sequence, &item)))
    }

    /// The bus has taken the event: deletes it.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) async fn delete_event(
        &self,
        account: &AuthorizerAppId,
        sequence: u64,
    ) -> Result<(), Error> {
        self.client
            .delete_item()
            .table_name(&self.table)
            .key("pk", text(&key::event(account, sequence)))
            .send()
            .await
            .map_err(|error| failure("delete an event", error))?;
        Ok(())
    }

    /// Puts off an event that the bus did not take.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) async fn postpone_event(
        &self,
        EventKey { account, sequence }: &EventKey,
        until: Timestamp,
    ) -> Result<(), Error> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(&key::event(account, *sequence)))
            .update_expression("SET due_at = :until ADD failures :one")
            .condition_expression("attribute_exists(due_at)")
            .expression_attribute_values(":until", time(until))
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()));
        match update.send().await {
            Err(error) if refused_update(&error).is_none() => {
                Err(failure("update an event", error))
            }
            _ => Ok(()),
        }
    }
}

fn read(account: &AuthorizerAppId, sequence: u64, item: &Item) -> Option<KeptEvent> {
    let owned = |name| item.text(name).map(str::to_owned);
    let sets = item.list("permission_sets").iter();
    Some(KeptEvent {
        event: AuthorizerEvent {
            id: owned("id")?,
            sequence,
            detail_type: AuthorizerEvent::known_type(item.text("detail_type")?)?,
            account: account.clone(),
            reference: owned("reference"),
            name: owned("name"),
            user_name: owned("user_name"),
            permission_sets: sets.filter_map(|id| id.as_n().ok()?.parse().ok()).collect(),
            at: item.time("at")?,
        },
        failures: item.number("failures").unwrap_or_default(),
    })
}
