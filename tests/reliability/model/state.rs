//! One state of the model: WeChat, the table, the workers, and what has happened.

use std::hash::{DefaultHasher, Hash, Hasher};

use component_core::row::Lease;
use component_core::row::authorizer::{Authorizer, Evidence, Standing};
use component_core::time::{Moment, Timestamp};

use super::Protocol;
use super::row::{Mark, Row};
use super::wechat::{Told, Wechat};
use super::worker::Worker;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct State {
    /// The time, by every clock.
    pub(super) now: u64,
    pub(super) wechat: Wechat,
    pub(super) row: Row,
    /// The actions of the merchant, oldest first.
    pub(super) events: Vec<Event>,
    pub(super) workers: [Worker; 3],
    pub(super) left: Left,
    /// The last revocation that the row has taken.
    revocation: Option<u8>,
    /// The first rule that a write broke.
    pub(super) broken: Option<Broken>,
}

/// An authorization or a revocation, and what is in flight because of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Event {
    pub(super) what: What,
    pub(super) at: u64,
    pub(super) notice: Notice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum What {
    Authorized { claim: Claim, browser: Browser },
    Unauthorized,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Notice {
    Pending,
    Handled,
}

/// Whether a worker may exchange the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Claim {
    /// A worker holds the code until this moment.
    Until(u64),
    Exchanged,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Browser {
    OnItsWay,
    Gone,
}

/// How often each thing may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Left {
    pub(super) authorizations: u8,
    pub(super) revocations: u8,
    /// Runs of the refresher, requests of the getter, and reads of the list.
    pub(super) runs: u8,
    /// Notices that are handled, again or at the same time.
    pub(super) notices: u8,
    pub(super) crashes: u8,
    /// Calls that time out, before or after their effect.
    pub(super) timeouts: u8,
    /// Half minutes and hours that pass.
    pub(super) waits: u8,
}

/// What no write may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Broken {
    Comeback,
    OlderOverNewer,
}

/// The ground on which a worker writes.
#[derive(Clone, Copy, Default)]
pub(super) struct Ground<'a> {
    /// The authorization that the write is about.
    pub(super) grant: Option<u8>,
    /// The revocation that the write is about.
    pub(super) revocation: Option<u8>,
    /// The refresh tokens that WeChat refused on the way.
    pub(super) refused: &'a [Mark],
}

impl State {
    pub(super) fn new(left: Left, now: u64) -> Self {
        let mut state = Self {
            now,
            wechat: Wechat::default(),
            row: Row::unknown(),
            events: Vec::new(),
            workers: [const { Worker::Idle }; 3],
            left,
            revocation: None,
            broken: None,
        };
        state.authorize();
        state
    }

    pub(super) fn clock(&self) -> Timestamp {
        Timestamp::from_secs(self.now)
    }

    /// The time, without jitter: the model plays every order anyway.
    pub(super) fn moment(&self) -> Moment {
        Moment {
            now: self.clock(),
            jitter: 0.0,
        }
    }

    /// The merchant authorizes, which takes more than a second.
    pub(super) fn authorize(&mut self) {
        self.pass(1);
        self.wechat.authorize(self.next_event(), self.now);
        self.happen(What::Authorized {
            claim: Claim::Until(0),
            browser: Browser::OnItsWay,
        });
    }

    pub(super) fn revoke(&mut self) {
        self.wechat.grant = None;
        self.happen(What::Unauthorized);
    }

    pub(super) fn pass(&mut self, secs: u64) {
        self.now += secs;
        self.wechat.pass(self.now);
    }

    pub(super) fn ask_wechat(&self) -> Told {
        let mut events = self.events.iter();
        let revocation = events.rposition(|event| event.what == What::Unauthorized);
        self.wechat
            .ask(revocation.and_then(|event| event.try_into().ok()))
    }

    pub(super) fn event(&self, event: u8) -> Event {
        self.events[usize::from(event)]
    }

    pub(super) fn event_at(&self, event: u8) -> Timestamp {
        Timestamp::from_secs(self.event(event).at)
    }

    pub(super) fn claim(&mut self, event: u8, now: Claim) {
        if let What::Authorized { claim, .. } = &mut self.events[usize::from(event)].what {
            *claim = now;
        }
    }

    pub(super) fn browser_is_back(&mut self, event: u8) {
        if let What::Authorized { browser, .. } = &mut self.events[usize::from(event)].what {
            *browser = Browser::Gone;
        }
    }

    pub(super) fn finish_notice(&mut self, event: u8) {
        self.events[usize::from(event)].notice = Notice::Handled;
    }

    /// The compare-and-set loop: if another worker has written the row since, the change is made
    /// again on the row as it is now. One step is enough, because a refused write has no effect
    /// that another worker could see.
    ///
    /// Returns whether the row was written.
    pub(super) fn keep(
        &mut self,
        protocol: Protocol,
        held: &Row,
        ground: Ground<'_>,
        change: impl Fn(&Authorizer) -> Option<Authorizer>,
    ) -> bool {
        let Some(mut next) = change(held) else {
            return false;
        };
        if held.generation != self.row.generation && protocol != Protocol::BlindPut {
            match change(&self.row) {
                Some(again) => next = again,
                None => return false,
            }
        }
        self.write(next, ground);
        true
    }

    pub(super) fn write(&mut self, mut next: Authorizer, ground: Ground<'_>) {
        next.generation = self.row.generation + 1;
        let next = Row::new(next);
        self.broken = self.broken.or_else(|| self.breaks(&next, ground));
        if next.standing == Standing::Revoked {
            self.revocation = ground.revocation.max(self.revocation);
        }
        self.row = next;
    }

    /// The rule that the write of `next` would break.
    fn breaks(&self, next: &Row, ground: Ground<'_>) -> Option<Broken> {
        let rises = self.row.standing == Standing::Revoked && next.standing != Standing::Revoked;
        // Within one second, WeChat's clock does not tell which came last. Only the final state
        // must be right then.
        let is_late = |grant: u8| {
            self.revocation.is_some_and(|revocation| {
                grant < revocation && self.event(grant).at < self.event(revocation).at
            })
        };
        // If WeChat was asked and denied, the date of the revocation is unknown. Then a late grant
        // may be taken for newer, if no token is served before WeChat is asked again.
        let undated = self.row.revoked_at <= self.row.auth_epoch;
        let asks = next.slot.token.is_none() && next.due_at.is_some();
        if rises && ground.grant.is_none_or(is_late) && !(undated && asks) {
            return Some(Broken::Comeback);
        }
        let of = |mark: Mark| mark.grant;
        let (before, after) = (self.row.current(), next.current());
        let was_refused = before.is_some_and(|token| ground.refused.contains(&token));
        let older_refresh = !was_refused && !asks && after.map(of) < before.map(of);
        let access = |row: &Row| row.access().map(|access| access.mark.grant);
        let older_access = access(next).is_some() && access(next) < access(&self.row);
        (next.auth_epoch < self.row.auth_epoch || older_refresh || older_access)
            .then_some(Broken::OlderOverNewer)
    }

    /// Sorts the workers, which are alike: only their states matter.
    pub(super) fn sort_workers(&mut self) {
        let generation = self.row.generation;
        self.workers.sort_by_cached_key(|worker| {
            let mut hasher = DefaultHasher::new();
            (worker, worker.holds(generation)).hash(&mut hasher);
            (*worker != Worker::Idle, hasher.finish())
        });
    }

    fn next_event(&self) -> u8 {
        self.events.len().try_into().unwrap()
    }

    fn happen(&mut self, what: What) {
        self.events.push(Event {
            what,
            at: self.now,
            notice: Notice::Pending,
        });
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            now,
            wechat,
            row,
            events,
            workers,
            left,
            revocation,
            broken,
        } = self;
        (now, wechat, row, events, left, revocation, broken).hash(state);
        for worker in workers {
            (worker, worker.holds(row.generation)).hash(state);
        }
    }
}

/// The weaker rules about epochs: every write counts as the newest.
impl Protocol {
    pub(super) fn lease(self, row: &Authorizer, lease: Lease) -> Lease {
        match self {
            Self::NoEpoch => Lease {
                epoch: row.auth_epoch,
                seq: lease.seq.max(row.slot.token_seq),
                ..lease
            },
            _ => lease,
        }
    }

    pub(super) fn evidence(self, row: &Authorizer, evidence: Evidence) -> Evidence {
        match (self, evidence) {
            (Self::NoEpoch, Evidence::At(at)) => {
                Evidence::At(at.max(row.auth_epoch).max(row.revoked_at))
            }
            _ => evidence,
        }
    }
}
