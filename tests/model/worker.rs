//! The functions at work, step by step as the flows go: what lies between two steps is where others come in, or a crash.

use std::time::Duration;

use component_core::authorizer::{
    AUTHORIZER_REFRESH_MARGIN, Evidence, Granted, MAX_CLOCK_SKEW, MAX_JITTER, Renewal, Revocation,
    Standing,
};
use component_core::ladder::{AtWechat, Ladder, Rung};
use component_core::lease::{Failure, Lease, Need, Turn};
use component_core::time::Timestamp;
use component_core::token::AuthorizerAccessToken;

use super::row::{Mark, Row};
use super::state::{Claim, Event, Ground, Notice, State, What};
use super::wechat::{ACCESS_LIFE_SECS, Pair, Refreshed, Told};
use super::{Protocol, Rules};

/// One invocation.
#[derive(Clone, Debug, PartialEq, Hash)]
pub(super) enum Worker {
    Idle,
    Renewing(Renewing),
    Exchanging(Exchanging),
    /// A revocation in the second of the authorization: WeChat is asked.
    Revoking {
        event: u8,
        seen: Row,
        told: Option<Told>,
    },
    /// The list was read, and names the account or does not.
    Listing(Told),
    /// It is absent from the list: WeChat is asked.
    Missing {
        seen: Row,
        told: Option<Told>,
    },
}

/// The holder of a lease.
#[derive(Clone, Debug, PartialEq, Hash)]
pub(super) struct Renewing {
    row: Row,
    epoch: Timestamp,
    seq: u64,
    token_seq: u64,
    until: u64,
    refused: Vec<Mark>,
    named: Option<Mark>,
    climb: Climb,
}

#[derive(Clone, Copy, Debug, PartialEq, Hash)]
enum Climb {
    Calling {
        token: Mark,
        asked_at: u64,
    },
    Renewed {
        token: Mark,
        pair: Pair,
        asked_at: u64,
    },
    Refused(Mark),
    /// Every rung of the row is gone, or WeChat says that there is no authorization.
    Asking(Why),
    Told(Why, Told),
    Failing,
}

#[derive(Clone, Copy, Debug, PartialEq, Hash)]
enum Why {
    NoneLeft,
    Doubt,
}

/// The holder of a code.
#[derive(Clone, Debug, PartialEq, Hash)]
pub(super) struct Exchanging {
    event: u8,
    by: By,
    exchange: Exchange,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum By {
    Notice,
    Browser,
}

#[derive(Clone, Debug, PartialEq, Hash)]
enum Exchange {
    Calling {
        asked_at: u64,
    },
    Granted {
        pair: Pair,
        asked_at: u64,
    },
    Unsure {
        pair: Pair,
        asked_at: u64,
        row: Row,
        told: Option<Told>,
    },
    Refused,
    Healing {
        row: Row,
        told: Option<Told>,
    },
    Stored,
    Joining,
}

/// What sets a worker going.
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

/// What becomes of a call to WeChat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Answered,
    /// It takes effect, and the answer gets lost.
    AnswerLost,
    NeverSent,
}

/// A lease and a claim: the deadline of twenty seconds and four more.
const LEASE: Duration = Duration::from_secs(24);

/// The merchant's way through the page.
const WAY: Duration = Duration::from_secs(20);

impl Worker {
    /// Of a worker who holds a row: whether it is still the stored one.
    pub(super) fn holds(&self, generation: u64) -> Option<bool> {
        let row = match self {
            Self::Renewing(Renewing { row, .. })
            | Self::Exchanging(Exchanging {
                exchange: Exchange::Unsure { row, .. } | Exchange::Healing { row, .. },
                ..
            }) => row,
            Self::Revoking { seen, .. } | Self::Missing { seen, .. } => seen,
            Self::Idle | Self::Exchanging(_) | Self::Listing(_) => return None,
        };
        Some(row.generation == generation)
    }

    /// The refresh token that WeChat has just given it.
    pub(super) fn brings(&self) -> Option<Mark> {
        match self {
            Self::Renewing(Renewing {
                climb: Climb::Renewed { pair, .. },
                ..
            })
            | Self::Exchanging(Exchanging {
                exchange: Exchange::Granted { pair, .. } | Exchange::Unsure { pair, .. },
                ..
            }) => Some(pair.refresh),
            _ => None,
        }
    }

    /// Whether it holds the lease no longer, and its call of that time has yet to take effect, or took it only then.
    pub(super) fn outlives_its_lease(&self, now: u64) -> bool {
        let Self::Renewing(renewing) = self else {
            return false;
        };
        match renewing.climb {
            Climb::Calling { .. } => renewing.until <= now,
            Climb::Renewed { pair, .. } => renewing.until + ACCESS_LIFE_SECS <= pair.access.until,
            Climb::Refused(_) | Climb::Asking(_) | Climb::Told(..) | Climb::Failing => false,
        }
    }

    /// Whether its next step is a call that gives tokens.
    pub(super) fn calls(&self) -> bool {
        matches!(
            self,
            Self::Renewing(Renewing {
                climb: Climb::Calling { .. },
                ..
            }) | Self::Exchanging(Exchanging {
                exchange: Exchange::Calling { .. },
                ..
            })
        )
    }

    /// Whether it waits for WeChat to tell what is authorized.
    pub(super) fn asks(&self) -> bool {
        matches!(
            self,
            Self::Renewing(Renewing {
                climb: Climb::Asking(_),
                ..
            }) | Self::Exchanging(Exchanging {
                exchange: Exchange::Unsure { told: None, .. }
                    | Exchange::Healing { told: None, .. },
                ..
            }) | Self::Revoking { told: None, .. }
                | Self::Missing { told: None, .. }
        )
    }
}

impl State {
    /// An invocation begins; none, if there is nothing for it to do.
    pub(super) fn begin(&mut self, rules: &Rules, job: Job) -> Option<Worker> {
        match job {
            Job::Refresh => {
                let need = Need::lasting(AUTHORIZER_REFRESH_MARGIN + MAX_JITTER).by_schedule();
                let is_due = self.row.due_at.is_some_and(|due_at| due_at <= self.clock());
                is_due.then(|| self.take_turn(&need)).flatten()
            }
            Job::Replace => {
                let token = self.row.access_token.clone()?;
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

    /// Reads the row and takes its lease: in one step, since the lease is taken on the row as it is, or not at all.
    fn take_turn(&mut self, need: &Need<AuthorizerAccessToken>) -> Option<Worker> {
        if self.row.standing != Standing::Authorized {
            return None;
        }
        let (row, now) = (&self.row, self.clock());
        let turn = need.turn(
            row.access_token.as_ref(),
            row.token_seq,
            row.lease,
            now,
            now + LEASE,
        );
        let Turn::Renew(taken) = turn else {
            return None;
        };
        self.write(row.leased(taken), Ground::default());
        let row = self.row.clone();
        let renewing = Renewing {
            epoch: row.auth_epoch,
            seq: taken.seq,
            token_seq: row.token_seq,
            until: taken.until.as_secs(),
            refused: Vec::new(),
            named: None,
            climb: Climb::Failing,
            row,
        };
        Some(Worker::Renewing(renewing.climb_on(self.now)))
    }

    fn claim_code(&mut self, event: u8, claim: Claim, by: By) -> Option<Worker> {
        let exchange = match claim {
            Claim::Exchanged => Exchange::Joining,
            Claim::Until(until) if self.now < until => return None,
            Claim::Until(_) => {
                self.claim(event, Claim::Until(self.now + LEASE.as_secs()));
                Exchange::Calling { asked_at: self.now }
            }
        };
        Some(Worker::Exchanging(Exchanging {
            event,
            by,
            exchange,
        }))
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

    fn vanish(&mut self, rules: &Rules, seen: &Row, told: Told) {
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
        let (row, now) = (self.row.clone(), self.clock());
        match told {
            Told::Authorized { event, at, refresh } => {
                let ground = Ground {
                    grant: Some(event),
                    ..Ground::default()
                };
                let at = Timestamp::from_secs(at);
                let refresh = refresh.map(Mark::refresh);
                self.keep(rules.protocol, &row, ground, |row| {
                    row.listed(at, refresh.as_ref(), now, 0.0)
                });
                Worker::Idle
            }
            // The index names those that are due at all; then the list is read again.
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

    fn renew(&mut self, rules: &Rules, mut renewing: Renewing, fate: Fate) -> Worker {
        let next = match renewing.climb {
            Climb::Calling { .. } if fate == Fate::NeverSent => Climb::Failing,
            Climb::Calling { token, asked_at } => {
                match self.wechat.authorizer_token(token, rules.rotates, self.now) {
                    _ if fate == Fate::AnswerLost => Climb::Failing,
                    Refreshed::Pair(pair) => Climb::Renewed {
                        token,
                        pair,
                        asked_at,
                    },
                    Refreshed::Refused => Climb::Refused(token),
                    Refreshed::NotAuthorized => Climb::Asking(Why::Doubt),
                }
            }
            Climb::Refused(token) => {
                renewing.refused.push(token);
                renewing.row = self.row.clone();
                let lease = rules.protocol.lease(&renewing.row, renewing.lease());
                if renewing.row.is_overtaken(lease) {
                    return Worker::Idle;
                }
                return Worker::Renewing(renewing.climb_on(self.now));
            }
            Climb::Asking(why) => Climb::Told(why, self.ask_wechat()),
            Climb::Told(Why::NoneLeft, told) => {
                let mut ladder = renewing.ladder();
                match ladder.told(at_wechat(told)) {
                    Rung::Token(_) => {
                        let token = told.refresh().unwrap();
                        renewing.named = Some(token);
                        Climb::Calling {
                            token,
                            asked_at: self.now,
                        }
                    }
                    Rung::NoneLeft => return self.give_up(rules, &renewing),
                    Rung::NotAuthorized => return self.note_revoked(rules, &renewing, told),
                }
            }
            Climb::Told(Why::Doubt, told @ Told::NotAuthorized(_)) => {
                return self.note_revoked(rules, &renewing, told);
            }
            Climb::Told(Why::Doubt, Told::Authorized { .. }) => Climb::Failing,
            Climb::Renewed {
                token,
                pair,
                asked_at,
            } => return self.keep_renewal(rules, &renewing, token, pair, asked_at),
            Climb::Failing => return self.fail(rules, &renewing),
        };
        renewing.climb = next;
        Worker::Renewing(renewing)
    }

    fn keep_renewal(
        &mut self,
        rules: &Rules,
        renewing: &Renewing,
        token: Mark,
        pair: Pair,
        asked_at: u64,
    ) -> Worker {
        let lease = renewing.lease();
        let holds = self.row.lease.seq == lease.seq && self.clock() < self.row.lease.until;
        if rules.protocol == Protocol::LeaseOnly && !holds {
            return Worker::Idle;
        }
        let mut ladder = renewing.ladder();
        ladder.accept(&token.refresh());
        let renewal = Renewal {
            access_token: pair.access.read(ACCESS_LIFE_SECS, asked_at),
            refresh_token: pair.refresh.refresh(),
        };
        let ground = Ground {
            grant: Some(pair.refresh.grant),
            refused: &renewing.refused,
            ..Ground::default()
        };
        self.keep(rules.protocol, &renewing.row, ground, |row| {
            let lease = rules.protocol.lease(row, lease);
            row.renewed(lease, &renewal, ladder.refused(), 0.0)
        });
        Worker::Idle
    }

    fn fail(&mut self, rules: &Rules, renewing: &Renewing) -> Worker {
        let (lease, now) = (renewing.lease(), self.clock());
        let retry_after = Some(renewing.row.backoff(now, 0.0));
        let failure = Failure::passing("wechat_unavailable".to_owned(), now);
        let ground = renewing.ground();
        self.keep(rules.protocol, &renewing.row, ground, |row| {
            let lease = rules.protocol.lease(row, lease);
            Some(row.failed(lease, &failure, retry_after))
        });
        Worker::Idle
    }

    fn give_up(&mut self, rules: &Rules, renewing: &Renewing) -> Worker {
        let (lease, now) = (renewing.lease(), self.clock());
        let ladder = renewing.ladder();
        let ground = renewing.ground();
        self.keep(rules.protocol, &renewing.row, ground, |row| {
            let lease = rules.protocol.lease(row, lease);
            row.exhausted(lease, ladder.refused(), now)
        });
        Worker::Idle
    }

    fn note_revoked(&mut self, rules: &Rules, renewing: &Renewing, told: Told) -> Worker {
        let (lease, now) = (renewing.lease(), self.clock());
        let ground = Ground {
            revocation: told.revocation(),
            ..renewing.ground()
        };
        self.keep(rules.protocol, &renewing.row, ground, |row| {
            row.denied(lease, now)
        });
        Worker::Idle
    }

    fn exchange(&mut self, rules: &Rules, exchanging: Exchanging, fate: Fate) -> Worker {
        let Exchanging {
            event,
            by,
            exchange,
        } = exchanging;
        let next = match exchange {
            Exchange::Calling { .. } if fate == Fate::NeverSent => {
                return self.release(event);
            }
            Exchange::Calling { asked_at } => match self.wechat.query_auth(event, self.now) {
                _ if fate == Fate::AnswerLost => return self.release(event),
                Some(pair) => Exchange::Granted { pair, asked_at },
                None if by == By::Browser => return self.release(event),
                None => Exchange::Refused,
            },
            Exchange::Granted { pair, asked_at } => {
                self.keep_granted(rules, event, by, pair, asked_at)
            }
            Exchange::Unsure {
                pair,
                asked_at,
                row,
                told: None,
            } => Exchange::Unsure {
                pair,
                asked_at,
                row,
                told: Some(self.ask_wechat()),
            },
            Exchange::Unsure {
                pair,
                asked_at,
                row,
                told: Some(told),
            } => {
                let surely = Timestamp::from_secs(asked_at) - MAX_CLOCK_SKEW;
                let until = match told {
                    Told::Authorized { refresh, .. } if refresh == Some(pair.refresh) => {
                        row.revoked_at.max(row.auth_epoch)
                    }
                    _ => surely,
                };
                let evidence = self.evidence(event, by, until);
                self.take(rules, event, &row, evidence, &pair.granted(asked_at))
            }
            Exchange::Refused if self.row.stands_since(self.event_at(event)) && rules.orders() => {
                Exchange::Stored
            }
            Exchange::Refused => Exchange::Healing {
                row: self.row.clone(),
                told: None,
            },
            Exchange::Healing { row, told: None } => Exchange::Healing {
                row,
                told: Some(self.ask_wechat()),
            },
            Exchange::Healing {
                row,
                told: Some(told),
            } => match told {
                Told::Authorized { refresh, .. } => {
                    let evidence = Evidence::At(self.event_at(event));
                    let granted = Granted {
                        refresh_token: refresh.map(Mark::refresh),
                        ..Granted::default()
                    };
                    let told_of = told.event().unwrap();
                    self.take(rules, told_of, &row, evidence, &granted)
                }
                Told::NotAuthorized(_) => Exchange::Stored,
            },
            Exchange::Stored => {
                self.claim(event, Claim::Exchanged);
                if by == By::Notice {
                    self.finish_notice(event);
                }
                return Worker::Idle;
            }
            Exchange::Joining => {
                if by == By::Notice {
                    self.join(rules, event);
                }
                return Worker::Idle;
            }
        };
        Worker::Exchanging(Exchanging {
            event,
            by,
            exchange: next,
        })
    }

    fn keep_granted(
        &mut self,
        rules: &Rules,
        event: u8,
        by: By,
        pair: Pair,
        asked_at: u64,
    ) -> Exchange {
        let row = self.row.clone();
        let surely = Timestamp::from_secs(asked_at) - MAX_CLOCK_SKEW;
        if by == By::Browser && row.may_follow(surely) {
            return Exchange::Unsure {
                pair,
                asked_at,
                row,
                told: None,
            };
        }
        let evidence = self.evidence(event, by, surely);
        self.take(rules, event, &row, evidence, &pair.granted(asked_at))
    }

    fn join(&mut self, rules: &Rules, event: u8) {
        let (at, now) = (self.event_at(event), self.clock());
        let ground = Ground {
            grant: Some(event),
            ..Ground::default()
        };
        let row = self.row.clone();
        self.keep(rules.protocol, &row, ground, |row| {
            row.confirm(at, now, 0.0)
        });
        self.finish_notice(event);
    }

    fn release(&mut self, event: u8) -> Worker {
        self.claim(event, Claim::Until(0));
        Worker::Idle
    }

    fn evidence(&self, event: u8, by: By, until: Timestamp) -> Evidence {
        match by {
            By::Notice => Evidence::At(self.event_at(event)),
            By::Browser => Evidence::Since {
                since: self.event_at(event) - WAY - MAX_CLOCK_SKEW,
                newer_than: until,
            },
        }
    }

    fn take(
        &mut self,
        rules: &Rules,
        grant: u8,
        row: &Row,
        evidence: Evidence,
        granted: &Granted,
    ) -> Exchange {
        let now = self.clock();
        let ground = Ground {
            grant: Some(grant),
            ..Ground::default()
        };
        self.keep(rules.protocol, row, ground, |row| {
            let evidence = rules.protocol.evidence(row, evidence);
            row.authorize(evidence, granted, now, 0.0)
                .or_else(|| row.declined(evidence, granted))
        });
        Exchange::Stored
    }
}

impl Renewing {
    fn lease(&self) -> Lease {
        Lease {
            epoch: self.epoch,
            seq: self.seq,
            token_seq: self.token_seq,
        }
    }

    fn ladder(&self) -> Ladder {
        let mut ladder = Ladder::default();
        if let Some(named) = self.named {
            ladder.told(AtWechat::Authorized(Some(named.refresh())));
        }
        for token in &self.refused {
            ladder.refuse(token.refresh());
        }
        ladder
    }

    fn ground(&self) -> Ground<'_> {
        Ground {
            grant: self.row.current().map(|token| token.grant),
            refused: &self.refused,
            ..Ground::default()
        }
    }

    /// The next rung of the row, or the question to WeChat.
    fn climb_on(mut self, now: u64) -> Self {
        self.climb = match self.ladder().untried(&self.row) {
            Some(token) => Climb::Calling {
                token: Mark::of(&token),
                asked_at: now,
            },
            None => Climb::Asking(Why::NoneLeft),
        };
        self
    }
}

impl Pair {
    fn granted(self, asked_at: u64) -> Granted {
        Granted {
            asked_at: Timestamp::from_secs(asked_at),
            access_token: Some(self.access.read(ACCESS_LIFE_SECS, asked_at)),
            refresh_token: Some(self.refresh.refresh()),
            permission_sets: Vec::new(),
        }
    }
}

impl Told {
    fn refresh(self) -> Option<Mark> {
        match self {
            Self::Authorized { refresh, .. } => refresh,
            Self::NotAuthorized(_) => None,
        }
    }

    fn event(self) -> Option<u8> {
        match self {
            Self::Authorized { event, .. } => Some(event),
            Self::NotAuthorized(_) => None,
        }
    }

    fn revocation(self) -> Option<u8> {
        match self {
            Self::Authorized { .. } => None,
            Self::NotAuthorized(revocation) => revocation,
        }
    }
}

fn at_wechat(told: Told) -> AtWechat {
    match told {
        Told::Authorized { refresh, .. } => AtWechat::Authorized(refresh.map(Mark::refresh)),
        Told::NotAuthorized(_) => AtWechat::NotAuthorized,
    }
}
