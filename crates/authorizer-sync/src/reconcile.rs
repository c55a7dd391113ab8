//! WeChat's list -> the table: adds and repairs, says what is absent, deletes nothing.

use std::collections::{BTreeSet, HashSet};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use component_api::id::AuthorizerAppId;
use component_core::component::Kept;
use component_core::component::lease::RENEWAL_TIME;
use component_core::component::recovery::KnownToWechat;
use component_core::component::streak::Streak;
use component_core::error::Error;
use component_core::row::MAX_RENEWAL;
use component_core::row::authorizer::{Authorizer, Standing};
use component_core::store::{DUE_SHARDS, Due};
use component_core::time::{Deadline, Timestamp};
use component_core::wechat::answer::ListedAuthorizer;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use serde_json::Value;

use crate::AuthorizerSync;

/// What one run did.
#[derive(Default)]
struct Summary {
    listed: u64,
    changed: u64,
    absent: u64,
    reauthorization_required: u64,
    failed: u64,
    /// The first failure with one authorizer.
    failure: Option<Error>,
    /// Why the run stopped.
    stopped: Option<Error>,
    /// Whether the invocation's time ended first.
    cut: bool,
    streak: Streak,
    /// Names that were asked for.
    described: u64,
}

/// Rows compared at a time.
const AT_ONCE: usize = 8;

/// The most accounts whose names a run asks for: each costs a call, and no token depends on it.
const MAX_DESCRIBED: u64 = 1000;

/// Later than every due time.
const EVER: Duration = Duration::from_hours(100 * 365 * 24);

impl AuthorizerSync {
    /// Compares WeChat's list with the table.
    ///
    /// # Errors
    /// The error that stops the run. If none does, the first failure with one authorizer, once all
    /// are compared.
    pub(crate) async fn reconcile(&self, deadline: Deadline) -> Result<Value, Error> {
        let summary = Mutex::new(Summary::default());
        let listed = Mutex::new(HashSet::new());
        // A slow row takes one place of those at a time, and holds up no other. What is in flight
        // when the run stops comes to its end.
        self.entries(deadline)
            .for_each_concurrent(AT_ONCE, |entry| {
                self.compare(entry, &listed, &summary, deadline)
            })
            .await;
        if locked(&summary).goes_on(deadline) {
            let listed = listed.into_inner().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = self.look_for_absent(&listed, &summary, deadline).await {
                locked(&summary).stop(error);
            }
        }
        let summary = summary.into_inner().unwrap_or_else(PoisonError::into_inner);
        summary.end()
    }

    /// WeChat's whole list, page after page.
    fn entries(
        &self,
        deadline: Deadline,
    ) -> impl Stream<Item = Result<ListedAuthorizer, Error>> + '_ {
        let pages = stream::try_unfold(Some(0), move |next| async move {
            let Some(offset) = next else {
                return Ok::<_, Error>(None);
            };
            let page = self.component.list_page(offset, deadline).await?;
            let entries = stream::iter(page.authorizers.into_iter().map(Ok));
            Ok(Some((entries, page.next)))
        });
        pages.try_flatten()
    }

    async fn compare(
        &self,
        entry: Result<ListedAuthorizer, Error>,
        listed: &Mutex<HashSet<u64>>,
        summary: &Mutex<Summary>,
        deadline: Deadline,
    ) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return locked(summary).stop(error),
        };
        locked(listed).insert(entry.authorizer.number());
        if !locked(summary).goes_on(deadline) {
            return;
        }
        let deadline = deadline.or_after(MAX_RENEWAL);
        let kept = match self.component.take_listed(&entry, deadline).await {
            Ok(kept) => kept,
            Err(error) => return locked(summary).failed(&entry.authorizer, error),
        };
        let nameless = {
            let mut summary = locked(summary);
            let now = self.component.clock.now();
            let nameless = summary.compared(&kept, now) && summary.described < MAX_DESCRIBED;
            summary.described += u64::from(nameless);
            nameless
        };
        if nameless {
            self.describe(&kept.row(), deadline).await;
        }
    }

    /// The list has no documented order, so an entry may move from one page to another while it is
    /// read. An authorizer is revoked only if it is absent twice and WeChat denies it when asked.
    async fn look_for_absent(
        &self,
        listed: &HashSet<u64>,
        summary: &Mutex<Summary>,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let mut absent = self.absent_from(listed).await?;
        if absent.is_empty() {
            return Ok(());
        }
        let mut entries = pin!(self.entries(deadline));
        while let Some(entry) = entries.try_next().await? {
            absent.remove(&entry.authorizer);
        }
        for appid in absent {
            if !locked(summary).goes_on(deadline) {
                return Ok(());
            }
            locked(summary).absent += 1;
            let asked = self.ask_for(&appid, deadline.or_after(MAX_RENEWAL)).await;
            let mut summary = locked(summary);
            match asked {
                Ok(()) => summary.streak.succeeded(),
                Err(error) => summary.failed(&appid, error),
            }
        }
        Ok(())
    }

    async fn ask_for(&self, appid: &AuthorizerAppId, deadline: Deadline) -> Result<(), Error> {
        let component = &self.component;
        let row = component.store.authorizer(appid).await?;
        tracing::warn!(authorizer_appid = %appid, reference = row.reference(), "this authorizer is absent from WeChat's list");
        if let KnownToWechat::NotAuthorized = component.ask_wechat(appid, deadline).await? {
            component.take_denial(row, deadline).await?;
        }
        Ok(())
    }

    /// The authorizers that are authorized in the table but not in `listed`.
    async fn absent_from(&self, listed: &HashSet<u64>) -> Result<BTreeSet<AuthorizerAppId>, Error> {
        let ever = self.component.clock.now() + EVER;
        let mut absent = BTreeSet::new();
        for shard in DUE_SHARDS {
            let mut start = None;
            loop {
                let page = self.component.store.due(shard, ever, start).await?;
                for due in page.due {
                    match due {
                        Due::Authorizer(appid) if !listed.contains(&appid.number()) => {
                            absent.insert(appid);
                        }
                        Due::Authorizer(_) | Due::Notice(_) | Due::Message(_) | Due::Event(_) => {}
                    }
                }
                match page.next {
                    Some(next) => start = Some(next),
                    None => break,
                }
            }
        }
        Ok(absent)
    }
}

impl Summary {
    /// Whether the account still lacks a name that WeChat could tell.
    fn compared(&mut self, kept: &Kept<Authorizer>, now: Timestamp) -> bool {
        self.listed += 1;
        self.streak.succeeded();
        let row = match kept {
            Kept::Changed(row) => {
                self.changed += 1;
                tracing::info!(authorizer_appid = %row.appid, reference = row.reference(), "took this authorizer over from WeChat's list");
                row
            }
            Kept::Unchanged(row) => row,
        };
        if row.standing == Standing::ReauthorizationRequired {
            self.reauthorization_required += 1;
            tracing::error!(authorizer_appid = %row.appid, reference = row.reference(), "this authorizer must authorize again: WeChat lists no refresh token that works");
        }
        row.standing == Standing::Authorized && row.wants_a_name(now)
    }

    /// A failure with one authorizer does not stop the run. A failure of the component does, and so
    /// do many authorizers that fail alike, one after another.
    fn failed(&mut self, appid: &AuthorizerAppId, error: Error) {
        self.failed += 1;
        if error.is_component_wide() || self.streak.failed(appid.as_str(), &error) {
            return self.stop(error);
        }
        tracing::warn!(authorizer_appid = %appid, code = error.code().as_str(), "this one failed; the next run compares it again");
        error.log("comparing an authorizer with WeChat's list");
        self.failure.get_or_insert(error);
    }

    fn stop(&mut self, error: Error) {
        self.stopped.get_or_insert(error);
    }

    /// Whether another row can be compared, and what that takes brought to its end.
    fn goes_on(&mut self, deadline: Deadline) -> bool {
        if deadline.remaining() < RENEWAL_TIME {
            self.cut = true;
        }
        self.stopped.is_none() && !self.cut
    }

    fn end(self) -> Result<Value, Error> {
        let Self {
            listed,
            changed,
            absent,
            reauthorization_required,
            failed,
            cut,
            ..
        } = self;
        tracing::info!(
            listed,
            changed,
            absent,
            reauthorization_required,
            failed,
            cut,
            "reconciled with WeChat's list"
        );
        if let Some(error) = self.stopped.or(self.failure) {
            return Err(error);
        }
        let mut answer = serde_json::Map::from_iter([
            ("listed".to_owned(), listed.into()),
            ("changed".to_owned(), changed.into()),
            ("absent".to_owned(), absent.into()),
            (
                "reauthorization_required".to_owned(),
                reauthorization_required.into(),
            ),
        ]);
        if cut {
            tracing::warn!(
                listed,
                "the time ended before all of WeChat's list was compared; the next run begins anew"
            );
            answer.insert("cut".to_owned(), true.into());
        }
        Ok(answer.into())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
