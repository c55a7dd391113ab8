//! The holder of a lease, from one rung of the ladder to the next.

use std::time::Duration;

use component_api::code::Code;
use component_core::component::recovery::{Candidate, KnownToWechat, RefreshCandidates};
use component_core::row::Issued;
use component_core::row::authorizer::{Renewal, Standing};
use component_core::row::need::{Need, Turn};
use component_core::row::{Cause, Failure, Lease};
use component_core::time::Timestamp;
use component_core::token::{AuthorizerAccessToken, OVERLAP};

use super::row::{Mark, Row};
use super::state::{Ground, State};
use super::wechat::{ACCESS_LIFE_SECS, Pair, Refreshed, Told};
use super::worker::{Fate, LEASE, Worker};
use super::{Protocol, Rules};

/// The holder of a lease.
#[derive(Clone, Debug, PartialEq, Hash)]
pub(super) struct Renewing {
    pub(super) row: Row,
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
    Failing {
        /// If WeChat was asked then, and may have given a token that nobody saw.
        in_doubt: Option<u64>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Hash)]
enum Why {
    NoneLeft,
    Doubt,
}

impl State {
    /// Reads the row and takes its lease: in one step, since the lease is taken on the row as it is, or not at all.
    pub(super) fn take_turn(&mut self, need: &Need<AuthorizerAccessToken>) -> Option<Worker> {
        if self.row.standing != Standing::Authorized {
            return None;
        }
        let Turn::Renew(taken) = self.turn(need) else {
            return None;
        };
        let leased = self.row.leased(taken, self.clock());
        self.write(leased, Ground::default());
        let row = self.row.clone();
        let renewing = Renewing {
            epoch: row.auth_epoch,
            seq: taken.seq,
            token_seq: row.slot.token_seq,
            until: taken.until.as_secs(),
            refused: Vec::new(),
            named: None,
            climb: Climb::Asking(Why::NoneLeft),
            row,
        };
        Some(Worker::Renewing(renewing.climb_on(self.now)))
    }

    fn turn(&self, need: &Need<AuthorizerAccessToken>) -> Turn<AuthorizerAccessToken> {
        let (row, now) = (&self.row, self.clock());
        need.turn(&row.slot, now, now + LEASE)
    }

    /// Whether somebody who takes any token that is good is served one that WeChat has replaced: not by another authorization,
    /// of which only its notice tells.
    pub(super) fn serves_a_dead_token(&self) -> bool {
        let Some(grant) = &self.wechat.grant else {
            return false;
        };
        let Turn::Serve(token) = self.turn(&Need::lasting(Duration::ZERO)) else {
            return false;
        };
        let mark = Mark::of(&token.secret);
        let until = self.wechat.works_until(mark);
        let dead = until.is_none_or(|until| until <= self.now);
        self.row.standing == Standing::Authorized && mark.grant == grant.event && dead
    }

    pub(super) fn renew(&mut self, rules: &Rules, mut renewing: Renewing, fate: Fate) -> Worker {
        let next = match renewing.climb {
            Climb::Calling { asked_at, .. } if fate == Fate::NeverSent => Climb::Failing {
                in_doubt: Some(asked_at),
            },
            Climb::Calling { token, asked_at } => {
                match self.wechat.authorizer_token(token, rules.rotates, self.now) {
                    _ if fate == Fate::AnswerLost => Climb::Failing {
                        in_doubt: Some(asked_at),
                    },
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
                    Candidate::Token(_) => {
                        let token = told.refresh().unwrap();
                        renewing.named = Some(token);
                        Climb::Calling {
                            token,
                            asked_at: self.now,
                        }
                    }
                    Candidate::NoneLeft => return self.give_up(rules, &renewing),
                    Candidate::NotAuthorized => return self.note_revoked(rules, &renewing, told),
                }
            }
            Climb::Told(Why::Doubt, told @ Told::NotAuthorized(_)) => {
                return self.note_revoked(rules, &renewing, told);
            }
            Climb::Told(Why::Doubt, Told::Authorized { .. }) => Climb::Failing { in_doubt: None },
            Climb::Renewed {
                token,
                pair,
                asked_at,
            } => return self.keep_renewal(rules, &renewing, token, pair, asked_at),
            Climb::Failing { in_doubt } => return self.fail(rules, &renewing, in_doubt),
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
        let holds =
            self.row.slot.lease.seq == lease.seq && self.clock() < self.row.slot.lease.until;
        if rules.protocol == Protocol::LeaseOnly && !holds {
            return Worker::Idle;
        }
        let mut ladder = renewing.ladder();
        ladder.accept(&token.refresh());
        let renewal = Renewal {
            access_token: Issued {
                token: pair.access.read(ACCESS_LIFE_SECS, asked_at),
                asked_at: Timestamp::from_secs(asked_at),
                after_unanswered_try: false,
            },
            refresh_token: pair.refresh.refresh(),
        };
        let ground = Ground {
            grant: Some(pair.refresh.grant),
            refused: &renewing.refused,
            ..Ground::default()
        };
        let moment = self.moment();
        self.keep(rules.protocol, &renewing.row, ground, |row| {
            let lease = rules.protocol.lease(row, lease);
            row.renewed(lease, &renewal, ladder.refused(), moment)
        });
        Worker::Idle
    }

    fn fail(&mut self, rules: &Rules, renewing: &Renewing, in_doubt: Option<u64>) -> Worker {
        let (lease, now) = (renewing.lease(), self.clock());
        let retry_after = Some(renewing.row.backoff(self.moment()));
        let failure = Failure::after(None, Cause::Other(Code::WechatUnavailable), now);
        let ground = renewing.ground();
        self.keep(rules.protocol, &renewing.row, ground, |row| {
            let lease = rules.protocol.lease(row, lease);
            let next = row.failed(lease, &failure, retry_after);
            Some(match in_doubt {
                Some(asked_at) => next.doubted(lease, Timestamp::from_secs(asked_at) + OVERLAP),
                None => next,
            })
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
}

impl Renewing {
    /// The refresh token that WeChat has just given it.
    pub(super) fn brings(&self) -> Option<Mark> {
        match self.climb {
            Climb::Renewed { pair, .. } => Some(pair.refresh),
            _ => None,
        }
    }

    /// Whether it holds the lease no longer, and its call of that time has yet to take effect, or took it only then.
    pub(super) fn outlives_its_lease(&self, now: u64) -> bool {
        match self.climb {
            Climb::Calling { .. } => self.until <= now,
            Climb::Renewed { pair, .. } => self.until + ACCESS_LIFE_SECS <= pair.access.until,
            Climb::Refused(_) | Climb::Asking(_) | Climb::Told(..) | Climb::Failing { .. } => false,
        }
    }

    /// Whether its next step is a call that gives tokens.
    pub(super) fn calls(&self) -> bool {
        matches!(self.climb, Climb::Calling { .. })
    }

    /// Whether it waits for WeChat to tell what is authorized.
    pub(super) fn asks(&self) -> bool {
        matches!(self.climb, Climb::Asking(_))
    }

    fn lease(&self) -> Lease {
        Lease {
            epoch: self.epoch,
            seq: self.seq,
            token_seq: self.token_seq,
        }
    }

    fn ladder(&self) -> RefreshCandidates {
        let mut ladder = RefreshCandidates::default();
        if let Some(named) = self.named {
            ladder.told(KnownToWechat::Authorized(Some(named.refresh())));
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

fn at_wechat(told: Told) -> KnownToWechat {
    match told {
        Told::Authorized { refresh, .. } => KnownToWechat::Authorized(refresh.map(Mark::refresh)),
        Told::NotAuthorized(_) => KnownToWechat::NotAuthorized,
    }
}
