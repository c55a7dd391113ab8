//! The end of a state: nothing new happens, and every worker finishes its work.

use component_core::row::authorizer::Standing;

use super::Rules;
use super::state::{Notice, State};
use super::worker::{Fate, Job, Worker};

/// The schedule of the refresher. By then every replaced token at WeChat has expired.
const SCHEDULE_SECS: u64 = 310;

/// So many runs of the refresher, because a renewal may have to start over.
const ROUNDS: u8 = 3;

impl State {
    /// Whether no worker is busy.
    pub(super) fn is_calm(&self) -> bool {
        self.workers.iter().all(|worker| *worker == Worker::Idle)
    }

    /// The state after every notice was handled, the refresher ran, the list was read, and the
    /// refresher ran again.
    pub(super) fn settled(&self, rules: &Rules) -> Self {
        let mut state = self.clone();
        state.pass(SCHEDULE_SECS);
        for event in (0..).take(state.events.len()) {
            if state.event(event).notice == Notice::Pending {
                state.do_all(rules, Job::Notice(event));
            }
        }
        state.refresh(rules);
        if rules.lists() {
            state.do_all(rules, Job::Reconcile);
            state.refresh(rules);
        }
        state
    }

    /// Whether the row agrees with WeChat.
    pub(super) fn agrees(&self) -> bool {
        let Some(live) = self.wechat.live() else {
            return self.row.standing != Standing::Authorized;
        };
        let access = self.row.access().is_some_and(|access| {
            let until = self.wechat.works_until(access.mark);
            until.is_some_and(|until| self.now < until && access.until <= until)
        });
        self.row.standing == Standing::Authorized && self.row.knows(live) && access
    }

    fn refresh(&mut self, rules: &Rules) {
        for _round in 0..ROUNDS {
            self.do_all(rules, Job::Refresh);
        }
    }

    /// Runs one worker alone until its work is done.
    pub(super) fn do_all(&mut self, rules: &Rules, job: Job) {
        let mut worker = self.begin(rules, job).unwrap_or(Worker::Idle);
        while worker != Worker::Idle {
            if worker.asks() && !rules.lists() {
                break;
            }
            worker = self.step(rules, worker, Fate::Answered);
        }
    }
}
