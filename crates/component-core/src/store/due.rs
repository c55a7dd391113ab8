//! The sparse index `due`: what must be looked at, and when.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, Select};

use super::{EventKey, Store, failure, item::Item, key, time};
use crate::error::Error;
use crate::time::Timestamp;
use component_api::id::AuthorizerAppId;

/// Something that is due.
#[derive(Debug)]
pub enum Due {
    /// An authorizer whose token must be renewed.
    Authorizer(AuthorizerAppId),
    /// A notice that the stream has left over: SHA-256 of its plain text.
    Notice(String),
    /// A message that the bus has not taken, by its identity.
    Message(String),
    /// An event that the bus has not taken.
    Event(EventKey),
}

/// A page of what is due.
pub struct DuePage {
    /// What is due, earliest first.
    pub due: Vec<Due>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<HashMap<String, AttributeValue>>,
}

/// Rows of a page: memory holds no more than one page.
const PAGE: i32 = 100;

impl Store {
    /// A page of what is due by `until` in a shard, from `start` on.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn due(
        &self,
        shard: u64,
        until: Timestamp,
        start: Option<HashMap<String, AttributeValue>>,
    ) -> Result<DuePage, Error> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("due")
            .key_condition_expression("due_shard = :shard AND due_at <= :until")
            .expression_attribute_values(":shard", AttributeValue::N(shard.to_string()))
            .expression_attribute_values(":until", time(until))
            .limit(PAGE)
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|error| failure("query what is due", error))?;
        let items = answer.items.unwrap_or_default();
        Ok(DuePage {
            due: items
                .into_iter()
                .map(Item::from)
                .filter_map(|item| read(&item))
                .collect(),
            next: answer.last_evaluated_key,
        })
    }
}

impl Store {
    /// How many rows of a shard are due by `until`.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn count_due(&self, shard: u64, until: Timestamp) -> Result<u64, Error> {
        let mut count = 0;
        let mut start = None;
        loop {
            let answer = self
                .client
                .query()
                .table_name(&self.table)
                .index_name("due")
                .select(Select::Count)
                .key_condition_expression("due_shard = :shard AND due_at <= :until")
                .expression_attribute_values(":shard", AttributeValue::N(shard.to_string()))
                .expression_attribute_values(":until", time(until))
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| failure("count what is due", error))?;
            count += u64::try_from(answer.count).unwrap_or_default();
            start = answer.last_evaluated_key;
            if start.is_none() {
                return Ok(count);
            }
        }
    }
}

fn read(item: &Item) -> Option<Due> {
    let pk = item.pk();
    let notice = || key::notice_key(pk).map(str::to_owned).map(Due::Notice);
    let message = || key::message_key(pk).map(str::to_owned).map(Due::Message);
    key::authorizer_key(pk)
        .map(Due::Authorizer)
        .or_else(notice)
        .or_else(message)
        .or_else(|| key::event_key(pk).map(Due::Event))
}
