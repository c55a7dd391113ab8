//! Rows `start#<state>`.

use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};

use super::item::Item;
use super::{Store, WRITTEN_BY, failure, key, nonce, refused_update, text, time};
use crate::digest::hex;
use crate::error::Error;
use crate::time::Timestamp;

/// What names one attempt to authorize; WeChat's redirect brings it back.
pub struct State(String);

/// One attempt to authorize, from the click to WeChat's redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// SHA-256 of the cookie of the browser that clicked.
    pub browser: String,
    /// When it clicked.
    pub started_at: Timestamp,
    /// When WeChat's page stops working.
    pub expires_at: Timestamp,
    /// The vendor's own name for the account.
    pub reference: Option<String>,
    /// Where to send the browser in the end.
    pub return_to: Option<String>,
    /// The link's query, with which the merchant can start again.
    pub query: String,
}

/// The attempt of a state, or why a browser cannot take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartCheck {
    /// The browser can take it, or has just taken it.
    Good(Start),
    /// It was never issued, or so long ago that its row has been deleted.
    Unknown,
    /// It belongs to another browser.
    Foreign,
    /// It has expired.
    Expired(Start),
    /// It was taken before.
    Used {
        /// The attempt.
        start: Start,
        /// SHA-256 of the authorization code it was taken with.
        code: String,
    },
}

const STATE_CHARS: usize = 32;

impl State {
    /// The state of a new attempt.
    pub fn new(random: [u8; STATE_CHARS / 2]) -> Self {
        Self(hex(&random))
    }

    /// Takes `text` if it has the form of a state.
    pub fn parse(text: &str) -> Option<Self> {
        let good = text.len() == STATE_CHARS && text.bytes().all(|b| b.is_ascii_hexdigit());
        good.then(|| Self(text.to_owned()))
    }

    /// The hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Store {
    /// Stores an attempt under its state.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn put_start(&self, state: &State, start: &Start) -> Result<(), Error> {
        let mut item = Item::keyed(&key::start(state));
        item.set_text("browser", &start.browser);
        item.set_time("started_at", start.started_at);
        item.set_time("ttl", start.expires_at);
        if let Some(reference) = &start.reference {
            item.set_text("reference", reference);
        }
        if let Some(return_to) = &start.return_to {
            item.set_text("return_to", return_to);
        }
        item.set_text("query", &start.query);
        self.put("store an authorization attempt", item).await
    }

    /// Reads the attempt of a state, checked as [`Store::take_start`] checks it.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn start(
        &self,
        state: &State,
        browser: &str,
        now: Timestamp,
    ) -> Result<StartCheck, Error> {
        let item = self
            .get("read an authorization attempt", &key::start(state))
            .await?;
        Ok(check(&item.unwrap_or_default(), browser, now))
    }

    /// Takes the attempt of a state: only `browser` can, only once, and only before it expires. The
    /// row keeps `code`, the SHA-256 of the authorization code that came with it.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn take_start(
        &self,
        state: &State,
        browser: &str,
        code: &str,
        now: Timestamp,
    ) -> Result<StartCheck, Error> {
        const DOING: &str = "take an authorization attempt";
        let nonce = nonce();
        let taken = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(&key::start(state)))
            .update_expression("SET used_at = :now, code = :code, written_by = :nonce")
            .condition_expression(
                "browser = :browser AND attribute_not_exists(used_at) AND #ttl > :now",
            )
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":now", time(now))
            .expression_attribute_values(":browser", text(browser))
            .expression_attribute_values(":code", text(code))
            .expression_attribute_values(":nonce", text(&nonce))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let error = match taken {
            Ok(answer) => {
                let item = answer.attributes.map(Item::from);
                let start = item.as_ref().and_then(read);
                return Ok(start.map_or(StartCheck::Unknown, StartCheck::Good));
            }
            Err(error) => error,
        };
        let condition_failed = refused_update(&error);
        let current = match &condition_failed {
            Some(current) => current.clone(),
            None => self
                .get(DOING, &key::start(state))
                .await?
                .unwrap_or_default(),
        };
        // This call took it, and the answer was lost. The SDK may have retried it.
        if current.text(WRITTEN_BY) == Some(nonce.as_str()) {
            return Ok(read(&current).map_or(StartCheck::Unknown, StartCheck::Good));
        }
        match condition_failed {
            Some(refused) => Ok(match check(&refused, browser, now) {
                StartCheck::Good(_) => StartCheck::Unknown,
                why => why,
            }),
            None => Err(failure(DOING, error)),
        }
    }

    /// Lets a state be taken again, after an exchange that failed for a reason that may pass.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn give_back_start(&self, state: &State) -> Result<(), Error> {
        let given = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(&key::start(state)))
            .update_expression("REMOVE used_at")
            .condition_expression("attribute_exists(used_at)")
            .send()
            .await;
        match given {
            Err(error) if refused_update(&error).is_none() => {
                Err(failure("give an authorization attempt back", error))
            }
            _ => Ok(()),
        }
    }
}

fn read(item: &Item) -> Option<Start> {
    Some(Start {
        browser: item.text("browser")?.to_owned(),
        started_at: item.time("started_at")?,
        expires_at: item.time("ttl")?,
        reference: item.text("reference").map(str::to_owned),
        return_to: item.text("return_to").map(str::to_owned),
        query: item.text("query").unwrap_or_default().to_owned(),
    })
}

/// Whether `browser` could take the attempt. If it is used and has expired too, it counts as used:
/// the merchant can still be told the result.
fn check(current: &Item, browser: &str, now: Timestamp) -> StartCheck {
    let Some(start) = read(current) else {
        return StartCheck::Unknown;
    };
    if start.browser != browser {
        return StartCheck::Foreign;
    }
    if current.time("used_at").is_some() {
        let code = current.text("code").unwrap_or_default().to_owned();
        return StartCheck::Used { start, code };
    }
    if start.expires_at <= now {
        return StartCheck::Expired(start);
    }
    StartCheck::Good(start)
}
