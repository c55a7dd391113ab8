//! What one run of the refresher did, and whether it goes on.

use std::collections::BTreeSet;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use component_api::id::AuthorizerAppId;
use component_core::component::lease::RENEWAL_TIME;
use component_core::component::streak::Streak;
use component_core::error::Error;
use component_core::row::next_minute;
use component_core::time::{Deadline, Timestamp};
use component_core::wechat::refusal::Refusal;
use serde_json::{Value, json};

/// One run, shared by the rows that it handles at a time.
#[derive(Default)]
pub(crate) struct Run {
    state: Mutex<State>,
    publishing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// Tokens that WeChat was asked for.
    renewed: u64,
    /// Tokens that another caller had renewed before.
    fresh: u64,
    notices: u64,
    /// What the bus has taken.
    delivered: u64,
    /// What it has not, one after the other.
    undelivered: u64,
    failed: u64,
    stopped: Option<Stop>,
    /// Why the table could not tell what is due.
    broken: Option<Error>,
    streak: Streak,
    /// Until then WeChat's quota of a minute is used up.
    paused_until: Timestamp,
    /// Accounts of which WeChat's list must tell whether they are authorized.
    waiting: BTreeSet<AuthorizerAppId>,
}

/// If the bus refuses so many one after the other, the others are left to the next run.
const MAX_UNDELIVERED: u64 = 16;

/// Why a run ended before it had handled all that was due.
#[derive(Clone, Copy)]
pub(crate) enum Stop {
    /// Another row would only have failed alike: the code of the error.
    Trouble(&'static str),
    /// What is left of the invocation's time is too short for another renewal.
    CutShort,
}

impl Run {
    pub(crate) fn renewed(&self) {
        let mut state = self.state();
        state.renewed += 1;
        state.streak.succeeded();
    }

    pub(crate) fn found_fresh(&self) {
        self.state().fresh += 1;
    }

    pub(crate) fn settled(&self) {
        let mut state = self.state();
        state.notices += 1;
        state.streak.succeeded();
    }

    /// What became of messages and events for the bus: several failures in a row are the bus's
    /// trouble.
    pub(crate) fn delivered(&self, delivery: Result<u64, Error>) {
        let mut state = self.state();
        match delivery {
            Ok(count) => {
                state.delivered += count;
                state.undelivered = 0;
            }
            Err(error) => {
                state.failed += 1;
                state.undelivered += 1;
                error.warn("delivering what was kept");
            }
        }
    }

    /// Waits until no event is being published.
    pub(crate) async fn publishing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.publishing.lock().await
    }

    /// Whether another message can be delivered.
    pub(crate) fn delivers(&self, deadline: Deadline) -> bool {
        self.state().undelivered < MAX_UNDELIVERED && self.has_time(deadline)
    }

    /// The row of `who` has failed: its trouble, unless it is the component's.
    pub(crate) fn failed(&self, who: &str, error: &Error, now: Timestamp) {
        if let Error::Untold { appid, .. } = error {
            self.state().waiting.insert(appid.clone());
        }
        if error.is_component_wide() {
            return self.component_failed(error, now);
        }
        let many = {
            let mut state = self.state();
            state.failed += 1;
            state.streak.failed(who, error)
        };
        error.warn("a row that is put off");
        self.pause(error, now);
        if many {
            self.stop_for(error);
        }
    }

    /// The component has failed: going on would only repeat it, unless it is a minute's quota.
    pub(crate) fn component_failed(&self, error: &Error, now: Timestamp) {
        if !self.pause(error, now) {
            self.stop_for(error);
        }
    }

    /// The table cannot tell what is due: there is nothing more to do.
    pub(crate) fn table_failed(&self, error: Error) {
        let mut state = self.state();
        state
            .stopped
            .get_or_insert(Stop::Trouble(error.code().as_str()));
        state.broken.get_or_insert(error);
    }

    pub(crate) fn take_broken(&self) -> Option<Error> {
        self.state().broken.take()
    }

    /// Whether another renewal can be begun, and brought to its end.
    pub(crate) fn goes_on(&self, deadline: Deadline) -> bool {
        self.state().stopped.is_none() && self.has_time(deadline)
    }

    /// The same for what is perishable, also after a stop.
    pub(crate) fn has_time(&self, deadline: Deadline) -> bool {
        let has_time = deadline.remaining() >= RENEWAL_TIME;
        if !has_time {
            self.stop(Stop::CutShort);
        }
        has_time
    }

    pub(crate) fn stop(&self, stop: Stop) {
        self.state().stopped.get_or_insert(stop);
    }

    pub(crate) fn paused_until(&self) -> Timestamp {
        self.state().paused_until
    }

    pub(crate) fn take_waiting(&self) -> BTreeSet<AuthorizerAppId> {
        mem::take(&mut self.state().waiting)
    }

    /// Whether all that was due was handled.
    pub(crate) fn is_whole(&self) -> bool {
        self.state().stopped.is_none()
    }

    /// What the run did, for the log and the answer; how many rows are `left` is known of a run that
    /// is not whole.
    pub(crate) fn summary(&self, left: Option<u64>) -> Value {
        let state = self.state();
        let State {
            renewed,
            fresh,
            notices,
            delivered,
            failed,
            stopped,
            ..
        } = &*state;
        let (stopped, cut) = match stopped {
            None => (None, false),
            Some(Stop::Trouble(code)) => (Some(*code), false),
            Some(Stop::CutShort) => (None, true),
        };
        let summary = json!({
            "renewed": renewed,
            "notices": notices,
            "delivered": delivered,
            "failed": failed,
            "stopped": stopped,
        });
        if stopped.is_none() && !cut {
            // Most runs find nothing: that is no news.
            if [renewed, fresh, notices, delivered, failed] != [&0; 5] {
                tracing::info!(
                    renewed,
                    fresh,
                    notices,
                    delivered,
                    failed,
                    "refreshed what was due"
                );
            }
            return summary;
        }
        tracing::warn!(
            renewed,
            fresh,
            notices,
            delivered,
            failed,
            stopped,
            cut,
            left,
            "this run has left rows that are due to the next one"
        );
        let mut summary = summary.as_object().cloned().unwrap_or_default();
        summary.insert("cut".to_owned(), cut.into());
        summary.insert("left".to_owned(), left.into());
        summary.into()
    }

    /// WeChat counts anew with each minute: then the run goes on.
    fn pause(&self, error: &Error, now: Timestamp) -> bool {
        let refused = error.refused();
        if refused.is_none_or(|refused| refused.meaning() != Refusal::MinuteQuota) {
            return false;
        }
        let until = next_minute(now);
        let mut state = self.state();
        if state.paused_until < until {
            state.paused_until = until;
            tracing::warn!(%until, "WeChat's quota of this minute is used up: the run waits for the next one");
        }
        true
    }

    /// An error that would be the same for every authorizer is logged once, and the next run tries
    /// again.
    fn stop_for(&self, error: &Error) {
        let first = {
            let mut state = self.state();
            let first = state.stopped.is_none();
            state
                .stopped
                .get_or_insert(Stop::Trouble(error.code().as_str()));
            first
        };
        if first {
            error.log("this run of the refresher");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
