//! The exchange of an authorization code, by its holder or by a worker that finds it exchanged.

use std::time::Duration;

use component_core::row::authorizer::{Evidence, GrantedTokens, Standing};
use component_core::time::{MAX_CLOCK_SKEW, Timestamp};

use super::Rules;
use super::row::{Mark, Row};
use super::state::{Claim, Ground, State};
use super::wechat::{ACCESS_LIFE_SECS, Pair, Told};
use super::worker::{Fate, LEASE, Worker};

/// A worker with a code.
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

/// The longest time from WeChat's page to the callback.
const WAY: Duration = Duration::from_secs(20);

impl State {
    pub(super) fn claim_code(&mut self, event: u8, claim: Claim, by: By) -> Option<Worker> {
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

    pub(super) fn exchange(&mut self, rules: &Rules, exchanging: Exchanging, fate: Fate) -> Worker {
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
            } if fate == Fate::Answered => Exchange::Unsure {
                pair,
                asked_at,
                row,
                told: Some(self.ask_wechat()),
            },
            Exchange::Unsure {
                pair,
                asked_at,
                row,
                told,
            } => {
                let until = match told {
                    Some(told) if told.refresh() == Some(pair.refresh) => {
                        row.revoked_at.max(row.auth_epoch)
                    }
                    _ => Timestamp::from_secs(asked_at) - MAX_CLOCK_SKEW,
                };
                let evidence = self.evidence(event, by, until);
                self.take(rules, event, &row, evidence, &pair.granted(asked_at))
            }
            Exchange::Refused
                if self.row.is_authorized_since(self.event_at(event)) && rules.orders() =>
            {
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
                    let granted = GrantedTokens {
                        refresh_token: refresh.map(Mark::refresh),
                        ..GrantedTokens::default()
                    };
                    let told_of = told.event().unwrap();
                    self.take(rules, told_of, &row, evidence, &granted)
                }
                Told::NotAuthorized(_) => {
                    self.vanish(rules, &row, told);
                    Exchange::Stored
                }
            },
            Exchange::Stored => {
                self.claim(event, Claim::Exchanged);
                if by == By::Notice {
                    self.finish_notice(event);
                }
                return Worker::Idle;
            }
            Exchange::Joining if by == By::Notice && self.row.standing == Standing::Revoked => {
                Exchange::Refused
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
        let certain_until = Timestamp::from_secs(asked_at) - MAX_CLOCK_SKEW;
        if by == By::Browser && row.may_follow(certain_until) {
            return Exchange::Unsure {
                pair,
                asked_at,
                row,
                told: None,
            };
        }
        let evidence = self.evidence(event, by, certain_until);
        self.take(rules, event, &row, evidence, &pair.granted(asked_at))
    }

    fn join(&mut self, rules: &Rules, event: u8) {
        let at = self.event_at(event);
        let ground = Ground {
            grant: Some(event),
            ..Ground::default()
        };
        let row = self.row.clone();
        self.keep(rules.protocol, &row, ground, |row| row.confirm(at));
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
        granted: &GrantedTokens,
    ) -> Exchange {
        let moment = self.moment();
        let ground = Ground {
            grant: Some(grant),
            ..Ground::default()
        };
        self.keep(rules.protocol, row, ground, |row| {
            let evidence = rules.protocol.evidence(row, evidence);
            row.authorize(evidence, granted, moment)
                .or_else(|| row.declined(evidence, granted, moment))
        });
        Exchange::Stored
    }
}

impl Exchanging {
    /// The row that the worker has read.
    pub(super) fn row(&self) -> Option<&Row> {
        match &self.exchange {
            Exchange::Unsure { row, .. } | Exchange::Healing { row, .. } => Some(row),
            _ => None,
        }
    }

    /// The refresh token that WeChat has just issued to it.
    pub(super) fn brings(&self) -> Option<Mark> {
        match self.exchange {
            Exchange::Granted { pair, .. } | Exchange::Unsure { pair, .. } => Some(pair.refresh),
            _ => None,
        }
    }

    /// Whether its next step is a call that issues tokens.
    pub(super) fn calls(&self) -> bool {
        matches!(self.exchange, Exchange::Calling { .. })
    }

    /// Whether it continues if WeChat does not tell what is authorized.
    pub(super) fn may_guess(&self) -> bool {
        matches!(self.exchange, Exchange::Unsure { told: None, .. })
    }

    /// Whether it asks WeChat what is authorized.
    pub(super) fn asks(&self) -> bool {
        self.may_guess() || matches!(self.exchange, Exchange::Healing { told: None, .. })
    }
}

impl Pair {
    fn granted(self, asked_at: u64) -> GrantedTokens {
        GrantedTokens {
            asked_at: Timestamp::from_secs(asked_at),
            access_token: Some(self.access.read(ACCESS_LIFE_SECS, asked_at)),
            refresh_token: Some(self.refresh.refresh()),
            permission_sets: None,
        }
    }
}
