//! due -> renew: keeps every token fresh, handles notices that the stream left over, and watches
//! the ticket pushes.

use std::sync::{Mutex, PoisonError};

use component_core::component::Component;
use component_core::error::Error;
use component_core::row::authorizer::{AUTHORIZER_REFRESH_MARGIN, MAX_JITTER};
use component_core::row::component_token::COMPONENT_REFRESH_MARGIN;
use component_core::row::need::Need;
use component_core::store::{DUE_SHARDS, Due};
use component_core::time::Deadline;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

mod ticket_watch;

/// Renews what is due.
pub struct TokenRefresher {
    /// The table and WeChat.
    pub component: Component,
}

/// What one run did, and why it stopped early, if it did.
#[derive(Default)]
struct Summary {
    renewed: u64,
    notices: u64,
    failed: u64,
    stopped: Option<&'static str>,
}

/// Rows handled at a time: each waits for WeChat most of the time.
const AT_ONCE: usize = 8;

impl TokenRefresher {
    /// One run, whatever the event.
    ///
    /// # Errors
    /// [`Error::Store`] if the table cannot be read. Other errors are in the answer and in the log:
    /// an immediate retry, as Lambda's after an error, would not help.
    pub async fn handle(&self, _event: &Value, deadline: Deadline) -> Result<Value, Error> {
        let summary = Mutex::new(Summary::default());
        self.watch_ticket(deadline).await?;
        let need = Need::preferably(COMPONENT_REFRESH_MARGIN).by_schedule();
        if let Err(error) = self.component.access_token(&need, deadline).await {
            stop(&summary, &error);
        }
        // The order is random, so that runs that stop early do not always leave out the same
        // shards.
        let mut shards: Vec<_> = (0..DUE_SHARDS)
            .map(|shard| (self.component.clock.jitter(), shard))
            .collect();
        shards.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        for (_jitter, shard) in shards {
            self.renew_shard(shard, &summary, deadline).await?;
        }

        let summary = summary.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Summary {
            renewed,
            notices,
            failed,
            stopped,
        } = summary;
        tracing::info!(renewed, notices, failed, stopped, "refreshed what was due");
        Ok(json!({ "renewed": renewed, "notices": notices, "failed": failed, "stopped": stopped }))
    }

    /// Page by page: what is held in memory does not grow with the number of authorizers.
    async fn renew_shard(
        &self,
        shard: u64,
        summary: &Mutex<Summary>,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let now = self.component.clock.now();
        let mut start = None;
        loop {
            if is_over(summary, deadline) {
                return Ok(());
            }
            let page = self.component.store.due(shard, now, start).await?;
            stream::iter(page.due)
                .for_each_concurrent(AT_ONCE, |due| self.renew(due, summary, deadline))
                .await;
            match page.next {
                Some(next) => start = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn renew(&self, due: Due, summary: &Mutex<Summary>, deadline: Deadline) {
        if is_over(summary, deadline) {
            return;
        }
        let renewed = match &due {
            Due::Authorizer(appid) => {
                let need = Need::lasting(AUTHORIZER_REFRESH_MARGIN + MAX_JITTER).by_schedule();
                let renewed = self
                    .component
                    .authorizer_token(appid, &need, deadline)
                    .await;
                renewed.map(|_token| ())
            }
            Due::Notice(sha256) => {
                let settled = self.component.settle_notice(sha256, deadline).await;
                settled.map(|_authorizer| ())
            }
        };
        if let Err(error) = &renewed
            && error.is_component_wide()
        {
            return stop(summary, error);
        }
        let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
        match (renewed, due) {
            (Ok(()), Due::Authorizer(_)) => summary.renewed += 1,
            (Ok(()), Due::Notice(_)) => summary.notices += 1,
            (Err(error), due) => {
                summary.failed += 1;
                tracing::warn!(
                    ?due,
                    code = error.code().as_str(),
                    "this one failed and will be tried again"
                );
                error.log("renewing");
            }
        }
    }
}

fn is_over(summary: &Mutex<Summary>, deadline: Deadline) -> bool {
    let summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
    summary.stopped.is_some() || deadline.has_passed()
}

/// If an error would be the same for every authorizer, it is logged once, and the next run retries.
fn stop(summary: &Mutex<Summary>, error: &Error) {
    let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
    if summary.stopped.replace(error.code().as_str()).is_none() {
        error.log("this run of the refresher");
    }
}
