//! notices -> authorizers, changes of authorizers -> the bus, and the release check's texts -> WeChat,
//! as the table's stream brings them; and once a day WeChat's own list -> the table.

use std::collections::BTreeMap;
use std::time::Duration;

use component_api::id::AuthorizerAppId;
use component_core::bus::Bus;
use component_core::component::Component;
use component_core::error::Error;
use component_core::row::authorizer::{Authorizer, Standing};
use component_core::store::{
    EventKey, Pending, PendingNotice, PendingOther, event_key, notice_key, release_key,
};
use component_core::time::Deadline;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

mod reconcile;

/// Brings the table in line with what WeChat says.
pub struct AuthorizerSync {
    /// The table and WeChat.
    pub component: Component,
    /// Where changes of authorizers go.
    pub bus: Bus,
}

/// Notices handled at a time.
const AT_ONCE: usize = 8;

/// The bus answers within milliseconds, and the release check waits behind it.
const BUS_TIME: Duration = Duration::from_secs(1);

/// All events of one account in a batch have this long. The schedule publishes the others.
const PUBLISHING_TIME: Duration = Duration::from_secs(2);

/// WeChat waits six seconds for an answer to its check. What comes later is in vain, and would hold
/// up the check of the next account.
const CHECK_TIME: Duration = Duration::from_secs(10);

/// A notice waits for the account's name no longer than this: the daily run asks again.
const NAMING_TIME: Duration = Duration::from_secs(2);

impl AuthorizerSync {
    /// Handles a batch of the stream if the event has `Records`; reconciles with WeChat's list on
    /// any other object.
    ///
    /// # Errors
    /// Those of the reconciliation. If records of a batch fail, the answer names them, and the
    /// stream brings them again.
    pub async fn handle(&self, event: &Value, deadline: Deadline) -> Result<Value, Error> {
        let Some(records) = event.get("Records").and_then(Value::as_array) else {
            return self.reconcile(deadline).await;
        };
        // Nothing stands before the release check, which waits for seconds.
        let (mut failed, of_notices, ()) = tokio::join!(
            Box::pin(self.answer_checks(records, deadline)),
            Box::pin(self.settle(records, deadline)),
            Box::pin(self.publish(records, deadline))
        );
        failed.extend(of_notices);
        let failures = failed
            .into_iter()
            .map(|sequence_number| json!({ "itemIdentifier": sequence_number }));
        Ok(json!({ "batchItemFailures": failures.collect::<Vec<_>>() }))
    }

    /// Answers the texts of WeChat's release check; answers the sequence numbers of those that failed.
    async fn answer_checks<'a>(&self, records: &'a [Value], deadline: Deadline) -> Vec<&'a str> {
        let checks: Vec<_> = inserted(records, release_key)
            .map(async |(sequence_number, sha256)| {
                let answered = self.answer_check(sha256, deadline.or_after(CHECK_TIME));
                let error = answered.await.err()?;
                error.log("answering the release check");
                Some(sequence_number)
            })
            .collect();
        let failed = stream::iter(checks).buffer_unordered(AT_ONCE);
        failed.filter_map(std::future::ready).collect().await
    }

    /// Puts events of the outbox on the bus, once for each account: the newest brings those before
    /// it. What the bus does not take is left to the schedule: a batch that came again would hold up
    /// the release check behind it.
    async fn publish(&self, records: &[Value], deadline: Deadline) {
        let mut newest = BTreeMap::new();
        for (_, key) in inserted(records, event_key) {
            let sequence = newest.entry(key.account).or_insert(key.sequence);
            *sequence = key.sequence.max(*sequence);
        }
        let newest = newest.into_iter();
        let events: Vec<_> = newest
            .map(|(account, sequence)| EventKey { account, sequence })
            .collect();
        let publish = async |key: &EventKey| {
            let deadline = deadline.or_after(PUBLISHING_TIME);
            let published = self.component.publish(key, &self.bus, BUS_TIME, deadline);
            if let Err(error) = published.await {
                error.warn("publishing an event, which is left to the schedule");
            }
        };
        let publishing: Vec<_> = events.iter().map(publish).collect();
        stream::iter(publishing)
            .for_each_concurrent(AT_ONCE, |published| published)
            .await;
    }

    async fn answer_check(&self, sha256: &str, deadline: Deadline) -> Result<(), Error> {
        match self.component.store.pending_check(sha256).await? {
            Some(check) => self.component.answer_check(&check, deadline).await,
            None => Ok(()),
        }
    }

    /// The notices of different accounts are handled side by side, so that one that waits for another
    /// caller holds up no other merchant's; those of one account one after another.
    ///
    /// Source: <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>
    async fn settle<'a>(&self, records: &'a [Value], deadline: Deadline) -> Vec<&'a str> {
        let mut of_account: BTreeMap<AuthorizerAppId, Vec<(&str, PendingNotice)>> = BTreeMap::new();
        let (mut others, mut failed) = (Vec::new(), Vec::new());
        for (sequence_number, sha256) in inserted(records, notice_key) {
            match self.component.pending_notice(sha256).await {
                Ok(Some(Pending::Other(other))) => others.push((sequence_number, other)),
                Ok(Some(Pending::Authorization(pending))) => {
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
        let appids: Vec<_> = of_account.keys().cloned().collect();
        let accounts: Vec<_> = of_account
            .into_values()
            .map(|notices| self.settle_account(notices, deadline))
            .collect();
        let accounts: Vec<_> = stream::iter(accounts)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        failed.extend(accounts.into_iter().flatten());
        failed.extend(self.pass_on(others, deadline).await);
        // After all of them: no notice waits for another account's name.
        let describing: Vec<_> = appids
            .iter()
            .map(|appid| self.name(appid, deadline))
            .collect();
        stream::iter(describing)
            .for_each_concurrent(AT_ONCE, |described| described)
            .await;
        failed
    }

    /// Passes notices of other kinds on; answers the sequence numbers of those that failed.
    async fn pass_on<'a>(
        &self,
        others: Vec<(&'a str, PendingOther)>,
        deadline: Deadline,
    ) -> Vec<&'a str> {
        let mut failed = Vec::new();
        for (sequence_number, other) in others {
            let bus = &self.bus;
            match self
                .component
                .pass_on(&other, bus, BUS_TIME, deadline)
                .await
            {
                Ok(()) => {}
                // The schedule passes it on: a batch that came again would hold up the notices behind.
                Err(error @ (Error::Bus(_) | Error::Untold { .. })) => {
                    error.warn("passing a notice on, which is left to the schedule");
                }
                Err(error) => {
                    error.log("passing a notice on");
                    failed.push(sequence_number);
                }
            }
        }
        failed
    }

    /// Handles the notices of one account; answers the sequence numbers of those that failed.
    async fn settle_account<'a>(
        &self,
        notices: Vec<(&'a str, PendingNotice)>,
        deadline: Deadline,
    ) -> Vec<&'a str> {
        let mut failed = Vec::new();
        for (sequence_number, pending) in notices {
            match self.component.settle(pending, deadline).await {
                Ok(_authorizer) => {}
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

    /// Asks for the name of an account that has none, for a short while.
    async fn name(&self, appid: &AuthorizerAppId, deadline: Deadline) {
        let now = self.component.clock.now();
        match self.component.store.authorizer(appid).await {
            Ok(row) if row.standing == Standing::Authorized && row.wants_a_name(now) => {
                self.describe(&row, deadline.or_after(NAMING_TIME)).await;
            }
            Ok(_) => {}
            Err(error) => error.warn("reading an account without a name"),
        }
    }

    /// Asks for the account's name, without which everything works: WeChat refuses it for some
    /// accounts, such as those of its release check.
    pub(crate) async fn describe(&self, row: &Authorizer, deadline: Deadline) {
        if let Err(error) = self.component.describe(&row.appid, deadline).await {
            tracing::warn!(authorizer_appid = %row.appid, reference = row.reference(), "no name for this authorizer: {error}");
        }
    }
}

/// The new rows among the records of a batch whose keys tell an `identity`, and their sequence
/// numbers.
fn inserted<'a, I>(
    records: &'a [Value],
    identity: impl Fn(&'a str) -> Option<I>,
) -> impl Iterator<Item = (&'a str, I)> {
    records.iter().filter_map(move |record| {
        let text = |path| record.pointer(path).and_then(Value::as_str);
        let identity = text("/dynamodb/Keys/pk/S").and_then(&identity)?;
        let is_new = text("/eventName") == Some("INSERT");
        let sequence_number = text("/dynamodb/SequenceNumber").unwrap_or_default();
        is_new.then_some((sequence_number, identity))
    })
}
