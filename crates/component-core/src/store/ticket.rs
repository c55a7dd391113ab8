//! The row `component#ticket`.

use std::time::Duration;

use super::item::Item;
use super::key::TICKET;
use super::{Store, failure, refused_update, text, time};
use crate::error::Error;
use crate::time::{MAX_AHEAD, Timestamp};
use crate::token::{Secret, VerifyTicket};

/// SHA-256 of the stored ticket, if WeChat has refused it since its last push. A push takes it out:
/// what WeChat pushes again is worth another try.
const REFUSED: &str = "refused_sha256";

/// `create_time` of the ticket that WeChat refused last, as the version before this one noted it.
const REFUSED_CREATE_TIME: &str = "refused_create_time";

/// The newest verify ticket.
#[derive(Debug)]
pub struct StoredTicket {
    /// Its value.
    pub ticket: Secret<VerifyTicket>,
    /// Whether WeChat has refused it since.
    pub is_refused: bool,
}

/// What became of a pushed ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketPut {
    /// It is the newest.
    Stored,
    /// A newer one is stored, and WeChat has not refused it.
    Older,
}

/// What is known of the ticket pushes.
#[derive(Debug)]
pub struct TicketWatch {
    /// The newest ticket.
    pub stored: StoredTicket,
    /// When a push last came, by our clock.
    pub last_push_at: Timestamp,
    /// When a watcher first saw this value.
    pub value_changed_at: Timestamp,
}

impl Store {
    /// Stores a ticket unless a newer one is stored: one write, which is safe to repeat when the
    /// same push comes again.
    ///
    /// One that WeChat has refused, or whose time lies so far ahead that it is none, makes room for
    /// any other.
    ///
    /// # Errors
    /// [`Error::Store`]; then WeChat must push it again.
    pub async fn put_ticket(
        &self,
        ticket: &Secret<VerifyTicket>,
        created_at: Timestamp,
        now: Timestamp,
    ) -> Result<TicketPut, Error> {
        let put = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(TICKET))
            .update_expression(format!(
                "SET ticket = :ticket, create_time = :created, last_push_at = :now REMOVE {REFUSED}, {REFUSED_CREATE_TIME}"
            ))
            .condition_expression(format!(
                "attribute_not_exists(create_time) OR create_time <= :created OR create_time > :ahead OR attribute_exists({REFUSED}) OR create_time <= {REFUSED_CREATE_TIME}"
            ))
            .expression_attribute_values(":ahead", time(now + MAX_AHEAD))
            .expression_attribute_values(":ticket", text(ticket.expose()))
            .expression_attribute_values(":created", time(created_at))
            .expression_attribute_values(":now", time(now))
            .send()
            .await;
        match put {
            Ok(_) => Ok(TicketPut::Stored),
            Err(error) if refused_update(&error).is_some() => Ok(TicketPut::Older),
            Err(error) => Err(failure("store a verify ticket", error)),
        }
    }

    /// The newest ticket.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) async fn ticket(&self) -> Result<Option<StoredTicket>, Error> {
        let item = self.get("read the verify ticket", TICKET).await?;
        Ok(item.as_ref().and_then(read_ticket))
    }

    /// Notes that WeChat has refused `ticket`, unless another one is stored by now.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) async fn note_refused_ticket(
        &self,
        ticket: &Secret<VerifyTicket>,
    ) -> Result<(), Error> {
        let note = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(TICKET))
            .update_expression(format!("SET {REFUSED} = :refused"))
            .condition_expression("ticket = :ticket")
            .expression_attribute_values(":refused", text(&ticket.sha256()))
            .expression_attribute_values(":ticket", text(ticket.expose()))
            .send()
            .await;
        match note {
            Err(error) if refused_update(&error).is_none() => {
                Err(failure("note a refused ticket", error))
            }
            _ => Ok(()),
        }
    }

    /// The newest ticket and when it came, for the refresher, which watches the pushes.
    ///
    /// This also notes when the value changes: the receiver cannot tell that within one write.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn watch_ticket(&self, now: Timestamp) -> Result<Option<TicketWatch>, Error> {
        const DOING: &str = "watch the verify ticket";
        let Some(item) = self.get(DOING, TICKET).await? else {
            return Ok(None);
        };
        let Some(stored) = read_ticket(&item) else {
            return Ok(None);
        };
        let seen = stored.ticket.sha256();
        let changed = item.text("value_seen") != Some(seen.as_str());
        if changed {
            self.client
                .update_item()
                .table_name(&self.table)
                .key("pk", text(TICKET))
                .update_expression("SET value_seen = :seen, value_changed_at = :now")
                .expression_attribute_values(":seen", text(&seen))
                .expression_attribute_values(":now", time(now))
                .send()
                .await
                .map_err(|error| failure(DOING, error))?;
        }
        let noted = item.time("value_changed_at").filter(|_| !changed);
        Ok(Some(TicketWatch {
            stored,
            last_push_at: item.time("last_push_at").unwrap_or_default(),
            value_changed_at: noted.unwrap_or(now),
        }))
    }

    /// Whether the caller may ask WeChat to push again: one caller may in each `at_most_every`.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) async fn claim_push_request(
        &self,
        now: Timestamp,
        at_most_every: Duration,
    ) -> Result<bool, Error> {
        let claim = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(TICKET))
            .update_expression("SET push_requested_at = :now")
            .condition_expression(
                "attribute_not_exists(push_requested_at) OR push_requested_at <= :before",
            )
            .expression_attribute_values(":now", time(now))
            .expression_attribute_values(":before", time(now - at_most_every))
            .send()
            .await;
        match claim {
            Ok(_) => Ok(true),
            Err(error) if refused_update(&error).is_some() => Ok(false),
            Err(error) => Err(failure("claim a push request", error)),
        }
    }
}

fn read_ticket(item: &Item) -> Option<StoredTicket> {
    let created_at = item.time("create_time")?;
    let ticket: Secret<VerifyTicket> = item.secret("ticket")?;
    let refused_until = item.time(REFUSED_CREATE_TIME);
    let is_refused = refused_until.is_some_and(|refused| created_at <= refused)
        || item
            .text(REFUSED)
            .is_some_and(|refused| refused == ticket.sha256());
    Some(StoredTicket { ticket, is_refused })
}
