//! The lease holder, from one candidate refresh token to the next.

use std::time::Duration;

use component_api::code::Code;
use component_core::component::recovery::{Candidate, KnownToWechat, RefreshCandidates};
use component_core::row::Issued;
use component_core::row::authorizer::{Denial, Renewal, Setback, Standing};
use component_core::row::need::{Need, Turn};
use component_core::row::{Cause, Failure, Lease};
use component_core::time::Timestamp;
use component_core::token::{AuthorizerAccessToken, OVERLAP};

use super::row::{Mark, Row};
use super::state::{Ground, State};
use super::wechat::{ACCESS_LIFE_SECS, Pair, Refreshed, Told};
use super::worker::{Fate, LEASE, Worker};
use super::{Protocol, Rules};

/// A lease holder.
#[derive(Clone, Debug, PartialEq, Hash)]
pub(super) struct Renewing {
    pub(super) row: Row,
    epoch: Timestamp,
    seq: u64,
    token_seq: u64,
    until: u64,
    refused: Vec<Mark>,
    named: Option<Mark>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Hash)]
enum Stage {
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
    /// WeChat refused every refresh token of the row, or says that there is no authorization.
    Asking(Why),
    Told(Why, Told),
    Failing {
        /// The time of a call whose answer was lost: WeChat may have issued a token.
        in_doubt: Option<u64>,
        setback: Setback,
    },
}

/// WeChat names what it has refused.
const CONTRADICTED: Stage = Stage::Failing {
    in_doubt: None,
    setback: Setback::Contradicted {
        denied_once_at: None,
    },
};

#[derive(Clone, Copy, Debug, PartialEq, Hash)]
enum Why {
    NoneLeft,
    Doubt,
}

impl State {
    /// Reads the row and takes its lease, in one step: compare-and-set takes the lease on the row
    /// as read, or not at all.
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
            stage: Stage::Asking(Why::NoneLeft),
            row,
        };
        Some(Worker::Renewing(renewing.try_next(self.now)))
    }

    fn turn(&self, need: &Need<AuthorizerAccessToken>) -> Turn<AuthorizerAccessToken> {
        let (row, now) = (&self.row, self.clock());
        need.turn(&row.slot, now, now + LEASE)
    }

    /// Whether a caller that takes any good token is served one that WeChat has replaced. Tokens
    /// that another authorization has ended do not count, because only a notice tells of it.
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
        let next = match renewing.stage {
            Stage::Calling { asked_at, .. } if fate == Fate::NeverSent => Stage::Failing {
                in_doubt: Some(asked_at),
                setback: Setback::Account,
            },
            Stage::Calling { token, asked_at } => {
                match self.wechat.authorizer_token(token, rules.rotates, self.now) {
                    _ if fate == Fate::AnswerLost => Stage::Failing {
                        in_doubt: Some(asked_at),
                        setback: Setback::Account,
                    },
                    Refreshed::Pair(pair) => Stage::Renewed {
                        token,
                        pair,
                        asked_at,
                    },
                    Refreshed::Refused => Stage::Refused(token),
                    Refreshed::NotAuthorized => Stage::Asking(Why::Doubt),
                }
            }
            Stage::Refused(token) => {
                renewing.refused.push(token);
                renewing.row = self.row.clone();
                let lease = rules.protocol.lease(&renewing.row, renewing.lease());
                if renewing.row.is_overtaken(lease) {
                    return Worker::Idle;
                }
                return Worker::Renewing(renewing.try_next(self.now));
            }
            Stage::Asking(why) => Stage::Told(why, self.ask_wechat()),
            Stage::Told(Why::NoneLeft, told) => {
                let mut candidates = renewing.candidates();
                match candidates.told(known_to_wechat(told)) {
                    Candidate::Token(_) => {
                        let token = told.refresh().unwrap();
                        renewing.named = Some(token);
                        Stage::Calling {
                            token,
                            asked_at: self.now,
                        }
                    }
                    Candidate::NoneLeft => return self.give_up(rules, &renewing),
                    Candidate::Contradicted | Candidate::Untold => CONTRADICTED,
                    Candidate::Denied => match renewing.row.denial(self.clock()) {
                        Denial::Second => return self.note_revoked(rules, &renewing, told),
                        Denial::First(at) => Stage::Failing {
                            in_doubt: None,
                            setback: Setback::Contradicted {
                                denied_once_at: Some(at),
                            },
                        },
                    },
                }
            }
            Stage::Told(Why::Doubt, told @ Told::NotAuthorized(_)) => {
                return self.note_revoked(rules, &renewing, told);
            }
            Stage::Told(Why::Doubt, Told::Authorized { .. }) => CONTRADICTED,
            Stage::Renewed {
                token,
                pair,
                asked_at,
            } => return self.keep_renewal(rules, &renewing, token, pair, asked_at),
            Stage::Failing { in_doubt, setback } => {
                return self.fail(rules, &renewing, in_doubt, setback);
            }
        };
        renewing.stage = next;
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
        let mut candidates = renewing.candidates();
        candidates.accept(&token.refresh());
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
            row.renewed(lease, &renewal, candidates.refused(), moment)
        });
        Worker::Idle
    }

    fn fail(
        &mut self,
        rules: &Rules,
        renewing: &Renewing,
        in_doubt: Option<u64>,
        setback: Setback,
    ) -> Worker {
        let (lease, moment) = (renewing.lease(), self.moment());
        let failure = Failure::after(None, Cause::Other(Code::WechatUnavailable), moment.now);
        let ground = renewing.ground();
        self.keep(rules.protocol, &renewing.row, ground, |row| {
            let lease = rules.protocol.lease(row, lease);
            let next = row.failed(lease, &failure, setback, moment);
            Some(match in_doubt {
                Some(asked_at) => next.doubted(lease, Timestamp::from_secs(asked_at) + OVERLAP),
                None => next,
            })
        });
        Worker::Idle
    }

    fn give_up(&mut self, rules: &Rules, renewing: &Renewing) -> Worker {
        let (lease, now) = (renewing.lease(), self.clock());
        let candidates = renewing.candidates();
        let ground = renewing.ground();
        self.keep(rules.protocol, &renewing.row, ground, |row| {
            let lease = rules.protocol.lease(row, lease);
            row.exhausted(lease, candidates.refused(), now)
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
    /// The refresh token that WeChat has just issued to it.
    pub(super) fn brings(&self) -> Option<Mark> {
        match self.stage {
            Stage::Renewed { pair, .. } => Some(pair.refresh),
            _ => None,
        }
    }

    /// Whether its lease has ended, and its call takes effect only after that.
    pub(super) fn outlives_its_lease(&self, now: u64) -> bool {
        match self.stage {
            Stage::Calling { .. } => self.until <= now,
            Stage::Renewed { pair, .. } => self.until + ACCESS_LIFE_SECS <= pair.access.until,
            Stage::Refused(_) | Stage::Asking(_) | Stage::Told(..) | Stage::Failing { .. } => false,
        }
    }

    /// Whether its next step is a call that issues tokens.
    pub(super) fn calls(&self) -> bool {
        matches!(self.stage, Stage::Calling { .. })
    }

    /// Whether it asks WeChat what is authorized.
    pub(super) fn asks(&self) -> bool {
        matches!(self.stage, Stage::Asking(_))
    }

    fn lease(&self) -> Lease {
        Lease {
            epoch: self.epoch,
            seq: self.seq,
            token_seq: self.token_seq,
        }
    }

    fn candidates(&self) -> RefreshCandidates {
        let mut candidates = RefreshCandidates::default();
        if let Some(named) = self.named {
            candidates.told(KnownToWechat::Authorized(Some(named.refresh())));
        }
        for token in &self.refused {
            candidates.refuse(token.refresh());
        }
        candidates
    }

    fn ground(&self) -> Ground<'_> {
        Ground {
            grant: self.row.current().map(|token| token.grant),
            refused: &self.refused,
            ..Ground::default()
        }
    }

    /// Tries the next refresh token of the row; without one, asks WeChat.
    fn try_next(mut self, now: u64) -> Self {
        self.stage = match self.candidates().untried(&self.row) {
            Some(token) => Stage::Calling {
                token: Mark::of(&token),
                asked_at: now,
            },
            None => Stage::Asking(Why::NoneLeft),
        };
        self
    }
}

fn known_to_wechat(told: Told) -> KnownToWechat {
    match told {
        Told::Authorized { refresh, .. } => KnownToWechat::Authorized(refresh.map(Mark::refresh)),
        Told::NotAuthorized(_) => KnownToWechat::NotAuthorized,
    }
}
