//! The functions at work, step by step as the flows go. Between two steps other workers act, or the
//! worker crashes.

use std::time::Duration;

use component_core::row::authorizer::{AUTHORIZER_REFRESH_MARGIN, MAX_JITTER, Revocation};
use component_core::row::need::Need;
use component_core::row::{LEASE_MARGIN, MAX_RENEWAL};
use component_core::time::Timestamp;

use super::Rules;
use super::exchanging::{By, Exchanging};
use super::renewing::Renewing;
use super::row::{Mark, Row};
use super::state::{Event, Ground, Notice, State, What};
use super::wechat::Told;

/// One invocation.
#[derive(Clone, Debug, PartialEq, Hash)]
pub(super) enum Worker {
    Idle,
    Renewing(Renewing),
    Exchanging(Exchanging),
    /// A revocation in the second of the authorization: the worker asks WeChat.
    Revoking {
        event: u8,
        seen: Row,
        told: Option<Told>,
    },
    /// The list was read; it names the account or does not.
    Listing(Told),
    /// The list lacks the account: the worker asks WeChat.
    Missing {
        seen: Row,
        told: Option<Told>,
    },
}

/// What starts a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// The refresher finds the row due.
    Refresh,
    /// The getter is told that WeChat refuses the stored token.
    Replace,
    Notice(u8),
    Browser(u8),
    Reconcile,
}

/// What happens to a call to WeChat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Answered,
    /// The call takes effect, and its answer gets lost.
    AnswerLost,
    NeverSent,
}

/// The length of a lease and of a claim on a code.
pub(super) const LEASE: Duration = MAX_RENEWAL.saturating_add(LEASE_MARGIN);

impl Worker {
    /// Whether the row that a worker holds is still the stored one; none if it holds no row.
    pub(super) fn holds(&self, generation: u64) -> Option<bool> {
        let row = match self {
            Self::Renewing(renewing) => &renewing.row,
            Self::Exchanging(exchanging) => exchanging.row()?,
            Self::Revoking { seen, .. } | Self::Missing { seen, .. } => seen,
            Self::Idle | Self::Listing(_) => return None,
        };
        Some(row.generation == generation)
    }

    /// The refresh token that WeChat has just issued to it.
    pub(super) fn brings(&self) -> Option<Mark> {
        match self {
            Self::Renewing(renewing) => renewing.brings(),
            Self::Exchanging(exchanging) => exchanging.brings(),
            _ => None,
        }
    }

    /// Whether its lease has ended, and its call takes effect only after that.
    pub(super) fn outlives_its_lease(&self, now: u64) -> bool {
        matches!(self, Self::Renewing(renewing) if renewing.outlives_its_lease(now))
    }

    /// Whether its next step is a call that issues tokens.
    pub(super) fn calls(&self) -> bool {
        match self {
            Self::Renewing(renewing) => renewing.calls(),
            Self::Exchanging(exchanging) => exchanging.calls(),
            _ => false,
        }
    }

    /// Whether it continues if WeChat does not tell what is authorized.
    pub(super) fn may_guess(&self) -> bool {
        matches!(self, Self::Exchanging(exchanging) if exchanging.may_guess())
    }

    /// Whether it asks WeChat what is authorized.
    pub(super) fn asks(&self) -> bool {
        match self {
            Self::Renewing(renewing) => renewing.asks(),
            Self::Exchanging(exchanging) => exchanging.asks(),
            Self::Revoking { told, .. } | Self::Missing { told, .. } => told.is_none(),
            Self::Idle | Self::Listing(_) => false,
        }
    }
}

impl State {
    /// Begins an invocation; none if it finds nothing to do.
    pub(super) fn begin(&mut self, rules: &Rules, job: Job) -> Option<Worker> {
        match job {
            Job::Refresh => {
                let need = Need::lasting(AUTHORIZER_REFRESH_MARGIN + MAX_JITTER).by_schedule();
                let is_due = self.row.due_at.is_some_and(|due_at| due_at <= self.clock());
                is_due.then(|| self.take_turn(&need)).flatten()
            }
            Job::Replace => {
                let token = self.row.slot.token.clone()?;
                let need = Need::preferably(Duration::from_mins(5)).replacing(token.secret);
                self.take_turn(&need)
            }
            Job::Notice(event) => match self.event(event) {
                Event {
                    notice: Notice::Handled,
                    ..
                } => None,
                Event {
                    what: What::Unauthorized,
                    ..
                } => Some(self.take_revocation(rules, event)),
                Event {
                    what: What::Authorized { .. },
                    ..
                } if self.row.overtook(self.event_at(event)) && rules.orders() => {
                    self.finish_notice(event);
                    Some(Worker::Idle)
                }
                Event {
                    what: What::Authorized { claim, .. },
                    ..
                } => self.claim_code(event, claim, By::Notice),
            },
            Job::Browser(event) => match self.event(event).what {
                What::Authorized { claim, .. } => self.claim_code(event, claim, By::Browser),
                What::Unauthorized => None,
            },
            Job::Reconcile => Some(Worker::Listing(self.ask_wechat())),
        }
    }

    fn take_revocation(&mut self, rules: &Rules, event: u8) -> Worker {
        let (now, row) = (self.clock(), self.row.clone());
        let at = self.event_at(event);
        let at = if rules.orders() {
            at
        } else {
            at.max(row.auth_epoch + Duration::from_secs(1))
        };
        match row.revoke(at, now) {
            Revocation::Ask => {
                return Worker::Revoking {
                    event,
                    seen: row,
                    told: None,
                };
            }
            Revocation::Tombstone(tombstone) => {
                let ground = Ground {
                    revocation: Some(event),
                    ..Ground::default()
                };
                self.write(*tombstone, ground);
            }
            Revocation::Ignore => {}
        }
        self.finish_notice(event);
        Worker::Idle
    }

    /// The next step of a worker.
    pub(super) fn step(&mut self, rules: &Rules, worker: Worker, fate: Fate) -> Worker {
        match worker {
            Worker::Idle => Worker::Idle,
            Worker::Renewing(renewing) => self.renew(rules, renewing, fate),
            Worker::Exchanging(exchanging) => self.exchange(rules, exchanging, fate),
            Worker::Revoking {
                event,
                seen,
                told: None,
            } => Worker::Revoking {
                event,
                seen,
                told: Some(self.ask_wechat()),
            },
            Worker::Revoking {
                event,
                seen,
                told: Some(told),
            } => {
                self.vanish(rules, &seen, told);
                self.finish_notice(event);
                Worker::Idle
            }
            Worker::Listing(told) => self.take_listed(rules, told),
            Worker::Missing { seen, told: None } => Worker::Missing {
                seen,
                told: Some(self.ask_wechat()),
            },
            Worker::Missing {
                seen,
                told: Some(told),
            } => {
                self.vanish(rules, &seen, told);
                Worker::Idle
            }
        }
    }

    pub(super) fn vanish(&mut self, rules: &Rules, seen: &Row, told: Told) {
        if let Told::NotAuthorized(revocation) = told {
            let now = self.clock();
            let ground = Ground {
                revocation,
                ..Ground::default()
            };
            self.keep(rules.protocol, seen, ground, |row| row.vanished(seen, now));
        }
    }

    fn take_listed(&mut self, rules: &Rules, told: Told) -> Worker {
        let (row, moment) = (self.row.clone(), self.moment());
        match told {
            Told::Authorized { event, at, refresh } => {
                let ground = Ground {
                    grant: Some(event),
                    ..Ground::default()
                };
                let at = Timestamp::from_secs(at);
                let refresh = refresh.map(Mark::refresh);
                self.keep(rules.protocol, &row, ground, |row| {
                    row.listed(at, refresh.as_ref(), moment)
                });
                Worker::Idle
            }
            // The due index names accounts with a due time; for these the list is read again.
            Told::NotAuthorized(_)
                if row.due_at.is_some() && matches!(self.ask_wechat(), Told::NotAuthorized(_)) =>
            {
                Worker::Missing {
                    seen: row,
                    told: None,
                }
            }
            Told::NotAuthorized(_) => Worker::Idle,
        }
    }
}
