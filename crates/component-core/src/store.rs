//! The table: its keys, expressions and conditions. Nothing else knows DynamoDB.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};

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
mod preauths;
mod releases;
mod starts;
mod ticket;

pub(crate) use codes::CodeClaim;
pub use due::{Due, DuePage};
pub use key::{DUE_SHARDS, PERISHABLE_SHARDS, notice_key, release_key};
pub use messages::{KeptMessage, MessageClaim};
pub use notices::PendingNotice;
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
    /// If an answer is lost, the SDK retries the write, and the retry fails on the success of the
    /// first one. So a failed condition, like an unknown outcome, counts only if the stored row is
    /// another writer's.
    async fn swap(
        &self,
        doing: &'static str,
        mut item: Item,
        read: Expected,
    ) -> Result<Swap<Item>, Error> {
        let nonce = nonce();
        item.set_text(WRITTEN_BY, &nonce);
        item.set_number("generation", read.generation() + 1);
        let mut last_try = false;
        loop {
            let put = self
                .client
                .put_item()
                .table_name(&self.table)
                .set_item(Some(item.clone().into()))
                .return_values_on_condition_check_failure(
                    ReturnValuesOnConditionCheckFailure::AllOld,
                );
            let put = match read {
                Expected::Absent => put.condition_expression("attribute_not_exists(pk)"),
                Expected::Imported => put.condition_expression(
                    "attribute_exists(pk) AND attribute_not_exists(generation)",
                ),
                Expected::Generation(read) => put
                    .condition_expression("generation = :read")
                    .expression_attribute_values(":read", AttributeValue::N(read.to_string())),
            };
            let Err(error) = put.send().await else {
                return Ok(Swap::Written(item));
            };
            let current = match refused_put(&error) {
                Some(current) => current,
                None if last_try => return Err(failure(doing, error)),
                None => self.get(doing, item.pk()).await?.unwrap_or_default(),
            };
            if current.text(WRITTEN_BY) == Some(nonce.as_str()) {
                return Ok(Swap::Written(current));
            }
            if Expected::of(&current) != read {
                return Ok(Swap::Lost(current));
            }
            // The condition failed although it holds, or the write did not arrive: once more.
            if last_try {
                return Err(failure(doing, error));
            }
            last_try = true;
        }
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
