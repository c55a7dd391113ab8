//! due -> renew: keeps every token fresh, handles notices that the stream left over, and watches
//! the ticket pushes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use component_core::component::Component;
use component_core::error::Error;
use component_core::row::authorizer::{AUTHORIZER_REFRESH_MARGIN, MAX_JITTER};
use component_core::row::component_token::COMPONENT_REFRESH_MARGIN;
use component_core::row::need::Need;
use component_core::store::{DUE_SHARDS, Due};
use component_core::time::Deadline;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

/// Renews what is due.
pub struct TokenRefresher {
    /// The table and WeChat.
    pub component: Component,
}

/// What one run did, and why it stopped early, if it did.
#[derive(Default)]
struct Run {
    renewed: u64,
    notices: u64,
    failed: u64,
    stopped: Option<&'static str>,
}

/// WeChat pushes every ten minutes: after this time at least two pushes are missing.
/// Source: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/component_verify_ticket.html>
const MAX_SILENCE: Duration = Duration::from_mins(25);

/// A ticket is good for twelve hours. If its value has not changed for this long, soon no ticket
/// will be good.
const MAX_VALUE_AGE: Duration = Duration::from_hours(11);

/// Rows handled at a time: each waits for WeChat most of the time.
const AT_ONCE: usize = 8;

impl TokenRefresher {
    /// One run, whatever the event.
    ///
    /// # Errors
    /// [`Error::Store`] if the table cannot be read. Other errors are in the answer and in the log:
    /// an immediate retry, as Lambda's after an error, would not help.
    pub async fn handle(&self, _event: &Value, deadline: Deadline) -> Result<Value, Error> {
        let run = Mutex::new(Run::default());
        self.watch_ticket(deadline).await?;
        let need = Need::preferably(COMPONENT_REFRESH_MARGIN).by_schedule();
        if let Err(error) = self.component.access_token(&need, deadline).await {
            stop(&run, &error);
        }
        // The order is random, so that runs that stop early do not always leave out the same
        // shards.
        let mut shards: Vec<_> = (0..DUE_SHARDS)
            .map(|shard| (self.component.clock.jitter(), shard))
            .collect();
        shards.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        for (_jitter, shard) in shards {
            self.renew_shard(shard, &run, deadline).await?;
        }

        let run = run.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Run {
            renewed,
            notices,
            failed,
            stopped,
        } = run;
        tracing::info!(renewed, notices, failed, stopped, "refreshed what was due");
        Ok(json!({ "renewed": renewed, "notices": notices, "failed": failed, "stopped": stopped }))
    }

    /// Page by page: what is held in memory does not grow with the number of authorizers.
    async fn renew_shard(
        &self,
        shard: u64,
        run: &Mutex<Run>,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let now = self.component.clock.now();
        let mut start = None;
        loop {
            if is_over(run, deadline) {
                return Ok(());
            }
            let page = self.component.store.due(shard, now, start).await?;
            stream::iter(page.due)
                .for_each_concurrent(AT_ONCE, |due| self.renew(due, run, deadline))
                .await;
            match page.next {
                Some(next) => start = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn renew(&self, due: Due, run: &Mutex<Run>, deadline: Deadline) {
        if is_over(run, deadline) {
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
            return stop(run, error);
        }
        let mut run = run.lock().unwrap_or_else(PoisonError::into_inner);
        match (renewed, due) {
            (Ok(()), Due::Authorizer(_)) => run.renewed += 1,
            (Ok(()), Due::Notice(_)) => run.notices += 1,
            (Err(error), due) => {
                run.failed += 1;
                tracing::warn!(
                    ?due,
                    code = error.code().as_str(),
                    "this one failed and will be tried again"
                );
                error.log("renewing");
            }
        }
    }

    async fn watch_ticket(&self, deadline: Deadline) -> Result<(), Error> {
        let now = self.component.clock.now();
        let watch = self.component.store.watch_ticket(now).await?;
        let silence = watch.as_ref().map(|watch| watch.last_push_at.until(now));
        if silence.is_some_and(|silence| silence <= MAX_SILENCE) {
            let age = watch.map_or(Duration::ZERO, |watch| watch.value_changed_at.until(now));
            if age > MAX_VALUE_AGE {
                tracing::error!(
                    age_secs = age.as_secs(),
                    "the verify ticket comes, but always the same: soon it will be too old"
                );
            }
            return Ok(());
        }
        tracing::error!(
            silence_secs = silence.map(|silence| silence.as_secs()),
            "no verify ticket comes: check the events URL in WeChat's console, and that it answers `success`"
        );
        if let Err(error) = self.component.request_ticket_push(deadline).await {
            error.log("asking for a ticket push");
        }
        Ok(())
    }
}

fn is_over(run: &Mutex<Run>, deadline: Deadline) -> bool {
    let run = run.lock().unwrap_or_else(PoisonError::into_inner);
    run.stopped.is_some() || deadline.has_passed()
}

/// If an error would be the same for every authorizer, it is logged once, and the next run retries.
fn stop(run: &Mutex<Run>, error: &Error) {
    let mut run = run.lock().unwrap_or_else(PoisonError::into_inner);
    if run.stopped.replace(error.code().as_str()).is_none() {
        error.log("this run of the refresher");
    }
}
