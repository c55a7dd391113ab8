//! due -> renew: keeps every token fresh, handles notices that the stream left over, delivers what
//! the bus has not taken, and watches the ticket pushes.

use std::ops::Range;
use std::time::Duration;

use component_core::bus::Bus;
use component_core::component::Component;
use component_core::component::authorizer_token::Obtained;
use component_core::component::lease::RENEWAL_TIME;
use component_core::error::Error;
use component_core::row::authorizer::{AUTHORIZER_REFRESH_MARGIN, MAX_JITTER};
use component_core::row::component_token::COMPONENT_REFRESH_MARGIN;
use component_core::row::need::Need;
use component_core::store::{DUE_SHARDS, Due, PERISHABLE_SHARDS, Pending};
use component_core::time::Deadline;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use serde_json::Value;

mod run;
mod ticket_watch;

use run::{Run, Stop};

/// Renews what is due.
pub struct TokenRefresher {
    /// The table and WeChat.
    pub component: Component,
    /// Where what was kept goes.
    pub bus: Bus,
}

/// The bus answers within milliseconds.
const BUS_TIME: Duration = Duration::from_secs(3);

/// Rows handled at a time: each waits for WeChat most of the time.
const AT_ONCE: usize = 8;

impl TokenRefresher {
    /// One run, whatever the event.
    ///
    /// Perishable rows come first, and also in a run that stops: a withdrawal needs no call, and a
    /// code dies in an hour.
    ///
    /// # Errors
    /// [`Error::Store`] if the table cannot be read. Other errors are in the answer and in the log:
    /// an immediate retry, as Lambda's after an error, would not help.
    pub async fn handle(&self, _event: &Value, deadline: Deadline) -> Result<Value, Error> {
        let run = Run::default();
        self.watch_ticket(deadline).await?;
        self.sweep(PERISHABLE_SHARDS, &run, deadline).await?;
        let need = Need::preferably(COMPONENT_REFRESH_MARGIN).by_schedule();
        if let Err(error) = self.component.access_token(&need, deadline).await {
            run.component_failed(&error, self.component.clock.now());
        }
        self.sweep(DUE_SHARDS, &run, deadline).await?;
        let waiting = run.take_waiting();
        if !waiting.is_empty()
            && run.goes_on(deadline)
            && let Err(error) = self.component.ask_the_list(waiting, deadline).await
        {
            error.warn("asking WeChat's list about authorizers");
        }
        let left = if run.is_whole() {
            None
        } else {
            self.count_left().await
        };
        Ok(run.summary(left))
    }

    /// Handles what is due in some shards. The order of the shards is random, so that runs that are
    /// cut short do not always leave out the same ones.
    async fn sweep(&self, shards: Range<u64>, run: &Run, deadline: Deadline) -> Result<(), Error> {
        let mut shards: Vec<_> = shards
            .map(|shard| (self.component.clock.jitter(), shard))
            .collect();
        shards.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let shards = shards.into_iter().map(|(_jitter, shard)| shard);
        let due = stream::iter(shards).flat_map(|shard| self.due_in(shard));
        // A slow row takes one place of those at a time, and holds up no other. What is in flight
        // when the table fails comes to its end.
        due.for_each_concurrent(AT_ONCE, |due| self.handle_due(due, run, deadline))
            .await;
        run.take_broken().map_or(Ok(()), Err)
    }

    /// Page by page: what is held in memory does not grow with the number of authorizers.
    fn due_in(&self, shard: u64) -> impl Stream<Item = Result<Due, Error>> + '_ {
        let until = self.component.clock.now();
        let pages = stream::try_unfold(Some(None), move |next| async move {
            let Some(start) = next else {
                return Ok::<_, Error>(None);
            };
            let page = self.component.store.due(shard, until, start).await?;
            let due = stream::iter(page.due.into_iter().map(Ok));
            Ok(Some((due, page.next.map(Some))))
        });
        pages.try_flatten()
    }

    async fn handle_due(&self, due: Result<Due, Error>, run: &Run, deadline: Deadline) {
        let due = match due {
            Ok(due) => due,
            Err(error) => return run.table_failed(error),
        };
        self.wait_out_the_minute(run, deadline).await;
        let now = self.component.clock.now();
        match due {
            Due::Authorizer(appid) => {
                if !run.goes_on(deadline) {
                    return;
                }
                let need = Need::lasting(AUTHORIZER_REFRESH_MARGIN + MAX_JITTER).by_schedule();
                match self.component.obtain(&appid, &need, deadline).await {
                    Ok(Obtained::Renewed(_)) => run.renewed(),
                    Ok(Obtained::Stored(_)) => run.found_fresh(),
                    Err(error) => run.failed(appid.as_str(), &error, now),
                }
            }
            Due::Message(_) | Due::Event(_) if !run.delivers(deadline) => {}
            Due::Message(id) => {
                let delivery = self.component.deliver(&id, &self.bus, BUS_TIME, deadline);
                run.delivered(delivery.await.map(u64::from));
            }
            Due::Event(key) => {
                // Of two events of one account, the later brings the earlier: side by side, both would.
                let _alone = run.publishing().await;
                let delivery = self.component.publish(&key, &self.bus, BUS_TIME, deadline);
                run.delivered(delivery.await);
            }
            Due::Notice(sha256) => {
                if run.has_time(deadline) {
                    self.handle_notice(&sha256, run, deadline).await;
                }
            }
        }
    }

    async fn handle_notice(&self, sha256: &str, run: &Run, deadline: Deadline) {
        let now = self.component.clock.now();
        let pending = match self.component.pending_notice(sha256).await {
            Ok(Some(Pending::Authorization(pending))) => pending,
            Ok(Some(Pending::Other(other))) => {
                let bus = &self.bus;
                let passed_on = self.component.pass_on(&other, bus, BUS_TIME, deadline);
                return match passed_on.await {
                    Ok(()) => run.delivered(Ok(1)),
                    Err(error @ Error::Bus(_)) => run.delivered(Err(error)),
                    Err(error) => run.failed(other.account(), &error, now),
                };
            }
            Ok(None) => return,
            Err(error) => return run.failed(sha256, &error, now),
        };
        // Many notices of one account are the trouble of one account.
        let authorizer = pending.notice.authorizer.clone();
        match self.component.settle(pending, deadline).await {
            Ok(_authorizer) => run.settled(),
            Err(error) => run.failed(authorizer.as_str(), &error, now),
        }
    }

    /// If WeChat's quota of this minute is used up, the run goes on in the next one, if its time
    /// reaches that far.
    async fn wait_out_the_minute(&self, run: &Run, deadline: Deadline) {
        let clock = &self.component.clock;
        let pause = clock.now().until(run.paused_until());
        if pause.is_zero() || !run.goes_on(deadline) {
            return;
        }
        if clock.at(deadline) < clock.now() + pause + RENEWAL_TIME {
            run.stop(Stop::CutShort);
            return;
        }
        clock.sleep(pause).await;
    }

    /// How many rows are due still, if the table tells.
    async fn count_left(&self) -> Option<u64> {
        let until = self.component.clock.now();
        let mut left = 0;
        for shard in DUE_SHARDS.chain(PERISHABLE_SHARDS) {
            left += self.component.store.count_due(shard, until).await.ok()?;
        }
        Some(left)
    }
}
