//! The table: its keys, expressions and conditions. Nothing else knows DynamoDB.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};

use crate::chance;
use crate::digest::hex;
use crate::error::Error;
use crate::time::Timestamp;

mod authorizers;
mod codes;
mod component_token;
mod due;
mod item;
mod key;
mod messages;
mod notices;
mod outbox;
mod preauths;
mod releases;
mod starts;
mod ticket;

pub(crate) use codes::CodeClaim;
pub use due::{Due, DuePage};
pub use key::{DUE_SHARDS, EventKey, PERISHABLE_SHARDS, event_key, notice_key, release_key};
pub use messages::{KeptMessage, MessageClaim};
pub use notices::{Pending, PendingNotice, PendingOther};
pub use outbox::KeptEvent;
pub use releases::PendingCheck;
pub use starts::{Start, StartCheck, State};
pub use ticket::{StoredTicket, TicketPut, TicketWatch};

use item::Item;

/// The table of one stack.
#[derive(Clone)]
pub struct Store {
    client: Client,
    table: String,
}

/// The result of a compare-and-set: a write that counts only if the row is still the one that was
/// read.
#[derive(Debug)]
pub(crate) enum Swap<R> {
    /// The row is now this.
    Written(R),
    /// Another writer was faster, and the row is now this.
    Lost(R),
    /// Another writer's transaction was on the row just then. The row may still be as it was.
    Conflict,
}

/// Why a conditional write failed.
struct Unwritten {
    /// The stored row, if the condition failed because of it.
    stored: Option<Item>,
    /// Whether another writer's transaction was on the row.
    conflict: bool,
    error: Error,
}

/// The attribute by which a writer recognizes its own write when the outcome is unknown.
const WRITTEN_BY: &str = "written_by";

impl Store {
    /// The table named `table`.
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    async fn get(&self, doing: &'static str, pk: &str) -> Result<Option<Item>, Error> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(pk.to_owned()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failure(doing, error))?;
        Ok(answer.item.map(Item::from))
    }

    /// Writes a row whose key is random, so that no other row has it.
    async fn put(&self, doing: &'static str, item: Item) -> Result<(), Error> {
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item.into()))
            .send()
            .await
            .map_err(|error| failure(doing, error))?;
        Ok(())
    }

    /// Replaces a row by compare-and-set: only if it still is as it was `read`.
    ///
    /// If there is an item `beside`, both are written, or neither.
    ///
    /// If an answer is lost, the SDK retries the write, and the retry fails on the success of the
    /// first one. So a failed condition, like an unknown outcome, counts only if the stored row is
    /// another writer's.
    async fn swap(
        &self,
        doing: &'static str,
        mut item: Item,
        read: Expected,
        beside: Option<Item>,
    ) -> Result<Swap<Item>, Error> {
        let nonce = nonce();
        item.set_text(WRITTEN_BY, &nonce);
        item.set_number("generation", read.generation() + 1);
        let mut last_try = false;
        loop {
            let written = match &beside {
                None => self.put_alone(doing, &item, read).await,
                Some(beside) => self.put_both(doing, &item, read, beside).await,
            };
            let Err(Unwritten {
                stored,
                conflict,
                error,
            }) = written
            else {
                return Ok(Swap::Written(item));
            };
            let current = match stored {
                Some(current) => current,
                None if last_try && !conflict => return Err(error),
                None => self.get(doing, item.pk()).await?.unwrap_or_default(),
            };
            if current.text(WRITTEN_BY) == Some(nonce.as_str()) {
                return Ok(Swap::Written(current));
            }
            if Expected::of(&current) != read {
                return Ok(Swap::Lost(current));
            }
            if conflict {
                return Ok(Swap::Conflict);
            }
            // The condition failed although it holds, or the write did not arrive: once more.
            if last_try {
                return Err(error);
            }
            last_try = true;
        }
    }

    async fn put_alone(
        &self,
        doing: &'static str,
        item: &Item,
        read: Expected,
    ) -> Result<(), Unwritten> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item.clone().into()))
            .condition_expression(read.condition())
            .set_expression_attribute_values(read.values())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = put.send().await else {
            return Ok(());
        };
        let conflict = matches!(
            error.as_service_error(),
            Some(PutItemError::TransactionConflictException(_))
        );
        Err(Unwritten {
            stored: refused_put(&error),
            conflict,
            error: failure(doing, error),
        })
    }

    async fn put_both(
        &self,
        doing: &'static str,
        item: &Item,
        read: Expected,
        beside: &Item,
    ) -> Result<(), Unwritten> {
        let put = |item: &Item| {
            Put::builder()
                .table_name(&self.table)
                .set_item(Some(item.clone().into()))
        };
        let checked = put(item)
            .condition_expression(read.condition())
            .set_expression_attribute_values(read.values())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let mut transaction = self.client.transact_write_items();
        for put in [checked, put(beside)] {
            let put = put.build().map_err(|error| Unwritten {
                stored: None,
                conflict: false,
                error: Error::Store {
                    doing,
                    source: error.into(),
                },
            })?;
            transaction = transaction.transact_items(TransactWriteItem::builder().put(put).build());
        }
        let Err(error) = transaction.send().await else {
            return Ok(());
        };
        let reasons = match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                cancelled.cancellation_reasons()
            }
            _ => &[],
        };
        let is = |reason: &CancellationReason, code| reason.code() == Some(code);
        let refused = reasons.first();
        let refused = refused.filter(|reason| is(reason, "ConditionalCheckFailed"));
        let stored = refused.map(|reason| reason.item.clone().map(Item::from).unwrap_or_default());
        let conflict = reasons
            .iter()
            .any(|reason| is(reason, "TransactionConflict"));
        Err(Unwritten {
            stored,
            conflict,
            error: failure(doing, error),
        })
    }
}

/// A row as a writer has read it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// There was none.
    Absent,
    /// It was imported by hand, and has no generation.
    Imported,
    /// It was written so often.
    Generation(u64),
}

impl Expected {
    fn of(item: &Item) -> Self {
        match item.number("generation") {
            Some(generation) => Self::Generation(generation),
            None if item.is_empty() => Self::Absent,
            None => Self::Imported,
        }
    }

    const fn condition(self) -> &'static str {
        match self {
            Self::Absent => "attribute_not_exists(pk)",
            Self::Imported => "attribute_exists(pk) AND attribute_not_exists(generation)",
            Self::Generation(_) => "generation = :read",
        }
    }

    fn values(self) -> Option<HashMap<String, AttributeValue>> {
        let Self::Generation(read) = self else {
            return None;
        };
        let read = AttributeValue::N(read.to_string());
        Some(HashMap::from([(":read".to_owned(), read)]))
    }

    const fn generation(self) -> u64 {
        match self {
            Self::Absent | Self::Imported => 0,
            Self::Generation(generation) => generation,
        }
    }
}

impl<R> Swap<R> {
    fn map<S>(self, read: impl FnOnce(R) -> S) -> Swap<S> {
        match self {
            Self::Written(row) => Swap::Written(read(row)),
            Self::Lost(row) => Swap::Lost(read(row)),
            Self::Conflict => Swap::Conflict,
        }
    }
}

/// The stored row, if a conditional put failed because of it.
fn refused_put(error: &SdkError<PutItemError>) -> Option<Item> {
    match error.as_service_error()? {
        PutItemError::ConditionalCheckFailedException(failed) => {
            Some(failed.item.clone().map(Item::from).unwrap_or_default())
        }
        _ => None,
    }
}

/// The stored row, if a conditional update failed because of it.
fn refused_update(error: &SdkError<UpdateItemError>) -> Option<Item> {
    match error.as_service_error()? {
        UpdateItemError::ConditionalCheckFailedException(failed) => {
            Some(failed.item.clone().map(Item::from).unwrap_or_default())
        }
        _ => None,
    }
}

fn failure<E>(doing: &'static str, error: SdkError<E>) -> Error
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    Error::Store {
        doing,
        source: Box::new(error),
    }
}

fn nonce() -> String {
    hex(&chance::bits())
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn time(moment: Timestamp) -> AttributeValue {
    AttributeValue::N(moment.to_string())
}
