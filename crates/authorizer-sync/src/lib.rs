//! notices -> authorizers, as the table's stream brings them; and once a day WeChat's own list ->
//! the table.

use std::collections::BTreeMap;

use component_api::id::AuthorizerAppId;
use component_core::component::Component;
use component_core::error::Error;
use component_core::row::authorizer::{Authorizer, Standing};
use component_core::store::{PendingNotice, notice_key};
use component_core::time::Deadline;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

mod reconcile;

/// Brings the table in line with what WeChat says.
pub struct AuthorizerSync {
    /// The table and WeChat.
    pub component: Component,
}

/// Notices handled at a time.
const AT_ONCE: usize = 8;

impl AuthorizerSync {
    /// Handles a batch of the stream if the event has `Records`; reconciles with WeChat's list on
    /// any other object.
    ///
    /// # Errors
    /// Those of the reconciliation. If records of a batch fail, the answer names them, and the
    /// stream brings them again.
    pub async fn handle(&self, event: &Value, deadline: Deadline) -> Result<Value, Error> {
        match event.get("Records").and_then(Value::as_array) {
            Some(records) => Ok(self.settle(records, deadline).await),
            None => self.reconcile(deadline).await,
        }
    }

    /// The notices of different accounts are handled side by side, so that one that waits for another
    /// caller holds up no other merchant's; those of one account one after another.
    ///
    /// Source: <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>
    async fn settle(&self, records: &[Value], deadline: Deadline) -> Value {
        let mut of_account: BTreeMap<AuthorizerAppId, Vec<(&str, PendingNotice)>> = BTreeMap::new();
        let mut failed = Vec::new();
        for record in records {
            let text = |path| record.pointer(path).and_then(Value::as_str);
            let sequence_number = text("/dynamodb/SequenceNumber").unwrap_or_default();
            let sha256 = text("/dynamodb/Keys/pk/S").and_then(notice_key);
            let (Some(sha256), Some("INSERT")) = (sha256, text("/eventName")) else {
                continue;
            };
            match self.component.pending_notice(sha256).await {
                Ok(Some(pending)) => {
                    let appid = pending.notice.authorizer.clone();
                    let notices = of_account.entry(appid).or_default();
                    notices.push((sequence_number, pending));
                }
                Ok(None) => {}
                Err(error) => {
                    error.log("reading a notice");
                    failed.push(sequence_number);
                }
            }
        }
        let accounts: Vec<_> = of_account
            .into_values()
            .map(|notices| self.settle_account(notices, deadline))
            .collect();
        let accounts: Vec<_> = stream::iter(accounts)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        failed.extend(accounts.into_iter().flatten());
        let failures = failed
            .into_iter()
            .map(|sequence_number| json!({ "itemIdentifier": sequence_number }));
        json!({ "batchItemFailures": failures.collect::<Vec<_>>() })
    }

    /// Handles the notices of one account; answers the sequence numbers of those that failed.
    async fn settle_account<'a>(
        &self,
        notices: Vec<(&'a str, PendingNotice)>,
        deadline: Deadline,
    ) -> Vec<&'a str> {
        let mut failed = Vec::new();
        for (sequence_number, pending) in notices {
            match self.settle_one(pending, deadline).await {
                Ok(()) => {}
                // Asked at once again, WeChat tells no more: the refresher asks its list.
                Err(error @ Error::Untold { .. }) => error.warn("a notice that waits for the list"),
                Err(error) => {
                    error.log("handling a notice");
                    failed.push(sequence_number);
                }
            }
        }
        failed
    }

    async fn settle_one(&self, pending: PendingNotice, deadline: Deadline) -> Result<(), Error> {
        let appid = self.component.settle(pending, deadline).await?;
        let row = self.component.store.authorizer(&appid).await?;
        let now = self.component.clock.now();
        if row.standing == Standing::Authorized && row.wants_a_name(now) {
            self.describe(&row, deadline).await;
        }
        Ok(())
    }

    /// Asks for the account's name, without which everything works: WeChat refuses it for some
    /// accounts, such as those of its release check.
    pub(crate) async fn describe(&self, row: &Authorizer, deadline: Deadline) {
        if let Err(error) = self.component.describe(&row.appid, deadline).await {
            tracing::warn!(authorizer_appid = %row.appid, reference = row.reference(), "no name for this authorizer: {error}");
        }
    }
}
