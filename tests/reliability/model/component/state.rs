//! One state of the model: WeChat, the row and the workers; and the next step of each worker.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use component_core::row::component_token::{COMPONENT_REFRESH_MARGIN, ComponentToken};
use component_core::row::need::{Need, Turn};
use component_core::row::{Cause, Failure, Lease};
use component_core::time::{MAX_CLOCK_SKEW, Timestamp};
use component_core::token::{ComponentAccessToken, Expiring, OVERLAP};
use component_core::wechat::refusal::{Endpoint, Refused};

use super::Protocol;
use super::row::{self, Row};
use super::wechat::{Stack, Wechat};

#[derive(Clone, Debug, PartialEq, Hash)]
pub(super) struct State {
    /// The time, by every clock.
    pub(super) now: u64,
    pub(super) wechat: Wechat,
    pub(super) row: Row,
    pub(super) workers: [Worker; 3],
    pub(super) left: Left,
    /// Whether a caller was answered with a token that dies earlier than the answer says.
    pub(super) is_misled: bool,
}

/// How often each thing may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Left {
    /// Runs of the refresher and requests of callers.
    pub(super) runs: u8,
    pub(super) crashes: u8,
    /// Tries that time out, before or after their effect.
    pub(super) timeouts: u8,
    /// Calls that WeChat refuses.
    pub(super) refusals: u8,
    /// Half minutes and hours that pass.
    pub(super) waits: u8,
    /// Renewals by another stack.
    pub(super) others: u8,
}

/// One invocation.
#[derive(Clone, Debug, PartialEq, Hash)]
pub(super) enum Worker {
    Idle,
    Renewing(Renewing),
}

/// A lease holder.
#[derive(Clone, Debug, PartialEq, Hash)]
pub(super) struct Renewing {
    seq: u64,
    token_seq: u64,
    /// When its lease ends.
    until: u64,
    asked_at: u64,
    step: Step,
    /// The row when the lease was taken, for a holder that does not read it again.
    held: Option<Row>,
}

/// What a lease holder does next.
#[derive(Clone, Copy, Debug, PartialEq, Hash)]
enum Step {
    /// It calls WeChat.
    Call,
    /// It stores what WeChat gave at the time `at`.
    Store {
        number: u8,
        at: u64,
        after_unanswered_try: bool,
    },
    /// It notes that WeChat has refused.
    NoteRefused,
    /// It notes that WeChat has not answered.
    NoteUnanswered,
}

/// What starts a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// The refresher comes by schedule.
    Refresh,
    /// The getter is asked for a token.
    Get,
    /// WeChat has refused the stored token to a caller.
    Replace,
}

/// What happens to a call to WeChat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Answered,
    Refused,
    NeverSent,
    /// The call takes effect, and its answer gets lost.
    AnswerLost,
    /// A second try is answered, and WeChat serves the first try after it.
    AnsweredTwice,
}

/// What a call of the functions themselves needs.
const CALL_MARGIN: Duration = Duration::from_mins(1);

/// What the getter asks for unless its caller says otherwise.
const GETTER_PREFERS: Duration = Duration::from_mins(5);

/// How long a function uses a token without reading the row again.
const MAX_IN_USE: Duration = Duration::from_mins(4);

/// Longer than a lease.
const HALF_A_MINUTE: u64 = 30;

/// Between two runs of the schedule.
const SCHEDULE_SECS: u64 = 300;

impl Worker {
    /// Whether its lease has ended, and its call takes effect only after that.
    pub(super) fn outlives_its_lease(&self, now: u64) -> bool {
        match self {
            Self::Renewing(Renewing { until, step, .. }) => match step {
                Step::Call => *until <= now,
                Step::Store { at, .. } => until <= at,
                Step::NoteRefused | Step::NoteUnanswered => false,
            },
            Self::Idle => false,
        }
    }

    /// Whether its next step is the call to WeChat.
    pub(super) fn calls(&self) -> bool {
        matches!(self, Self::Renewing(renewing) if renewing.step == Step::Call)
    }

    /// Whether it has called WeChat, and the row does not tell yet what came of it.
    fn has_called(&self) -> bool {
        matches!(self, Self::Renewing(renewing) if renewing.step != Step::Call)
    }
}

impl Renewing {
    fn lease(&self) -> Lease {
        Lease {
            epoch: Timestamp::default(),
            seq: self.seq,
            token_seq: self.token_seq,
        }
    }
}

impl State {
    pub(super) fn new(left: Left, now: u64) -> Self {
        Self {
            now,
            wechat: Wechat::default(),
            row: Row::new(ComponentToken::default()),
            workers: [const { Worker::Idle }; 3],
            left,
            is_misled: false,
        }
    }

    pub(super) fn pass(&mut self, secs: u64) {
        self.now += secs;
        self.wechat.pass(self.now);
    }

    /// An invocation reads the row and takes its lease, in one step: compare-and-set takes the
    /// lease on the row as read, or not at all.
    ///
    /// None if the stored token answers, another worker holds the lease, or a refusal that another
    /// worker has noted is the answer.
    pub(super) fn begin(&mut self, protocol: Protocol, job: Job) -> Option<Worker> {
        let need = self.need(job)?;
        let now = self.clock();
        let Turn::Renew(taken) = self.row.turn(&need, now) else {
            return None;
        };
        let failure = self.row.slot.failure.as_ref();
        if failure.is_some_and(|failure| need.shares(failure, now)) {
            return None;
        }
        let leased = self.row.leased(taken, now);
        self.write(match protocol {
            Protocol::NoLostHolder => row::with_doubt(&leased, self.row.slot.doubted_from),
            _ => leased,
        });
        Some(Worker::Renewing(Renewing {
            seq: taken.seq,
            token_seq: self.row.slot.token_seq,
            until: taken.until.as_secs(),
            asked_at: self.now,
            step: Step::Call,
            held: (protocol == Protocol::BlindPut).then(|| self.row.clone()),
        }))
    }

    /// The next step of a worker.
    pub(super) fn step(&mut self, protocol: Protocol, worker: Worker, fate: Fate) -> Worker {
        let Worker::Renewing(mut renewing) = worker else {
            return Worker::Idle;
        };
        match renewing.step {
            Step::Call => {
                renewing.step = self.call(fate);
                return Worker::Renewing(renewing);
            }
            Step::Store {
                number,
                after_unanswered_try,
                ..
            } => self.store(protocol, &renewing, number, after_unanswered_try),
            Step::NoteRefused => {
                let quota = Refused {
                    endpoint: Endpoint::ComponentToken,
                    errcode: 45009,
                    rid: None,
                    seen_from: None,
                };
                self.fail(protocol, &renewing, &Cause::Refused(quota), None);
            }
            Step::NoteUnanswered => {
                let doubted_from = Timestamp::from_secs(renewing.asked_at) + OVERLAP;
                let doubted_from = (protocol != Protocol::NoUnanswered).then_some(doubted_from);
                let unanswered = Cause::Unanswered(Endpoint::ComponentToken);
                self.fail(protocol, &renewing, &unanswered, doubted_from);
            }
        }
        Worker::Idle
    }

    fn call(&mut self, fate: Fate) -> Step {
        match fate {
            Fate::Refused => return Step::NoteRefused,
            Fate::NeverSent => return Step::NoteUnanswered,
            Fate::Answered | Fate::AnswerLost | Fate::AnsweredTwice => {}
        }
        let at = self.now;
        let number = self.wechat.component_token(Stack::Ours, at);
        match fate {
            Fate::AnswerLost => return Step::NoteUnanswered,
            Fate::AnsweredTwice => {
                self.wechat.component_token(Stack::Ours, at);
            }
            Fate::Answered | Fate::Refused | Fate::NeverSent => {}
        }
        Step::Store {
            number,
            at,
            after_unanswered_try: fate == Fate::AnsweredTwice,
        }
    }

    /// Stores what WeChat gave, and answers the caller with the stored token as far as the row can
    /// vouch for it.
    fn store(
        &mut self,
        protocol: Protocol,
        renewing: &Renewing,
        number: u8,
        after_unanswered_try: bool,
    ) {
        let issued = row::issued(number, renewing.asked_at, after_unanswered_try);
        self.keep(protocol, renewing, |row| {
            let lease = protocol.answered(renewing.lease(), row);
            row.with(row.slot.renewed(lease, &issued).slot)
        });
        let answer = match protocol {
            Protocol::OwnAnswer => Some(issued.token),
            _ => self.row.slot.trusted(self.clock()),
        };
        self.is_misled |= answer.is_some_and(|token| self.overstates(&token));
    }

    fn fail(
        &mut self,
        protocol: Protocol,
        renewing: &Renewing,
        cause: &Cause,
        doubted_from: Option<Timestamp>,
    ) {
        let now = self.clock();
        self.keep(protocol, renewing, |row| {
            let slot = &row.slot;
            let failure = Failure::after(slot.failure.as_ref(), cause.clone(), now);
            let failed = slot.failed(protocol.failed(renewing.lease(), row), &failure);
            row.with(match doubted_from {
                Some(from) => failed.doubted(renewing.lease(), from),
                None => failed,
            })
        });
    }

    /// Whether WeChat accepts an answered token for a shorter time than the answer says, although
    /// no other call is in flight.
    fn overstates(&self, token: &Expiring<ComponentAccessToken>) -> bool {
        let in_flight = self.workers.iter().any(Worker::has_called);
        !in_flight && self.wechat.accepts_until(row::number(token)) < token.expires_at.as_secs()
    }

    /// Another stack renews, without this row.
    pub(super) fn another_stack_renews(&mut self) {
        self.wechat.component_token(Stack::Another, self.now);
    }

    /// Whether no worker is busy.
    pub(super) fn is_calm(&self) -> bool {
        self.workers.iter().all(|worker| *worker == Worker::Idle)
    }

    /// Whether a caller that takes any good token is served one that a renewal of this stack has
    /// ended.
    pub(super) fn serves_a_dead_token(&self) -> bool {
        let (Some(_), Some(number)) = (self.served(), self.row.number()) else {
            return false;
        };
        self.wechat.accepts_until(number) <= self.now
    }

    /// Whether a renewal of this stack ends a served token while the caller uses it as promised.
    pub(super) fn lets_a_token_die_in_use(&self) -> bool {
        let (Some(token), Some(number)) = (self.served(), self.row.number()) else {
            return false;
        };
        let used_until = token.expires_at.min(self.clock() + MAX_IN_USE);
        self.wechat.accepts_until(number) < used_until.as_secs()
    }

    /// Whether WeChat accepts the stored token for as long as the row vouches for it, once every
    /// lease has ended.
    pub(super) fn keeps_its_word(&self) -> bool {
        let mut rested = self.clone();
        rested.pass(HALF_A_MINUTE);
        let trusted = rested.row.slot.trusted(rested.clock());
        let trusted = trusted.filter(|token| token.lasts(rested.clock(), Duration::ZERO));
        trusted.is_none_or(|token| {
            token.expires_at.as_secs() <= rested.wechat.accepts_until(row::number(&token))
        })
    }

    /// Whether the next run of the schedule leaves a token that is good for what is to come.
    pub(super) fn is_mended_by_the_schedule(&self, protocol: Protocol) -> bool {
        let mut next = self.clone();
        next.pass(SCHEDULE_SECS);
        next.do_all(protocol, Job::Refresh);
        let need = Need::lasting(COMPONENT_REFRESH_MARGIN);
        let served = next.row.turn(&need, next.clock());
        matches!(served, Turn::Serve(_)) && next.keeps_its_word()
    }

    /// Whether a caller to whom WeChat has refused the stored token takes another stack for the
    /// cause.
    pub(super) fn suspects_another_stack(&self, protocol: Protocol) -> bool {
        let row = match protocol {
            Protocol::NoExcuse => row::with_doubt(&self.row, None),
            _ => ComponentToken::clone(&self.row),
        };
        let need = self.need(Job::Replace);
        self.is_refused() && need.is_some_and(|need| row.is_displaced(&need, self.clock()))
    }

    /// Whether another stack has ended the stored token, no lease was taken after the one that
    /// brought it, and a caller still does not take another stack for the cause.
    pub(super) fn overlooks_another_stack(&self, protocol: Protocol) -> bool {
        let slot = &self.row.slot;
        let should_work = slot
            .trusted(self.clock())
            .is_some_and(|token| token.lasts(self.clock(), MAX_CLOCK_SKEW));
        let is_newest = slot.token_seq == slot.lease.seq && slot.doubted_from.is_none();
        let ended_by_another = self.is_refused() && self.another_stack_has_renewed();
        should_work && is_newest && ended_by_another && !self.suspects_another_stack(protocol)
    }

    /// Whether another stack was given a token after the stored one.
    pub(super) fn another_stack_has_renewed(&self) -> bool {
        let number = self.row.number();
        number.is_some_and(|number| self.wechat.gave_another_stack_one_after(number))
    }

    /// One worker alone, until it has finished.
    pub(super) fn do_all(&mut self, protocol: Protocol, job: Job) {
        let mut worker = self.begin(protocol, job).unwrap_or(Worker::Idle);
        while worker != Worker::Idle {
            worker = self.step(protocol, worker, Fate::Answered);
        }
    }

    /// Workers are alike: only which of them there are matters.
    pub(super) fn sort_workers(&mut self) {
        self.workers.sort_by_cached_key(|worker| {
            let mut hasher = DefaultHasher::new();
            worker.hash(&mut hasher);
            (*worker != Worker::Idle, hasher.finish())
        });
    }

    fn clock(&self) -> Timestamp {
        Timestamp::from_secs(self.now)
    }

    fn need(&self, job: Job) -> Option<Need<ComponentAccessToken>> {
        match job {
            Job::Refresh => Some(Need::preferably(COMPONENT_REFRESH_MARGIN).by_schedule()),
            Job::Get => Some(Need::preferably(GETTER_PREFERS)),
            Job::Replace => self.row.replacing(Need::preferably(CALL_MARGIN)),
        }
    }

    /// What a caller is served that takes any good token.
    fn served(&self) -> Option<Expiring<ComponentAccessToken>> {
        match self.row.turn(&Need::lasting(Duration::ZERO), self.clock()) {
            Turn::Serve(token) => Some(token),
            Turn::Wait | Turn::Renew(_) => None,
        }
    }

    /// Whether WeChat refuses the stored token.
    fn is_refused(&self) -> bool {
        let number = self.row.number();
        number.is_some_and(|number| !self.wechat.accepts(number, self.now))
    }

    /// The compare-and-set loop: a write on a row that another worker has written since is refused,
    /// and the change is made again on the stored row. In one step, because a refused write changes
    /// nothing that another worker could see.
    fn keep(
        &mut self,
        protocol: Protocol,
        renewing: &Renewing,
        change: impl Fn(&ComponentToken) -> ComponentToken,
    ) {
        let row = match protocol {
            Protocol::BlindPut => renewing.held.as_ref().unwrap_or(&self.row),
            _ => &self.row,
        };
        self.write(change(row));
    }

    fn write(&mut self, mut next: ComponentToken) {
        next.generation = self.row.generation + 1;
        self.row = Row::new(next);
    }
}

/// The weaker rules about leases.
impl Protocol {
    fn answered(self, lease: Lease, row: &ComponentToken) -> Lease {
        match self {
            Self::NoOverlap => row::alone(lease, row),
            _ => lease,
        }
    }

    fn failed(self, lease: Lease, row: &ComponentToken) -> Lease {
        match self {
            Self::LateFailure => row::not_overtaken(lease, row),
            _ => lease,
        }
    }
}
