//! What a caller asks of a token, and whose turn it is to renew it. No I/O, no clock.

use std::time::Duration;

use super::{Failure, LeaseSlot, TokenSlot};
use crate::time::Timestamp;
use crate::token::{Expiring, Secret};

/// What a caller asks of a token.
#[derive(Clone, Debug)]
pub struct Need<K> {
    /// How long it should last.
    lasting: Duration,
    /// How long it must last, where it cannot be renewed.
    least: Duration,
    /// A token that WeChat refused: never serve it, whatever its expiry.
    refused: Option<Secret<K>>,
    /// What the recorded failure of another caller means.
    after_failure: AfterFailure,
}

/// What a caller does when a renewal has just failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AfterFailure {
    /// Return the recorded error without calling WeChat: many callers ask at once.
    Share,
    /// Call WeChat: the schedule comes seldom, and finds out whether the cause is mended.
    Try,
}

/// What a caller does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn<K> {
    /// Takes the stored token.
    Serve(Expiring<K>),
    /// Waits for the lease holder.
    Wait,
    /// Renews the token, once the row is written with this lease.
    Renew(LeaseSlot),
}

impl<K: Clone> Need<K> {
    /// A token that lasts this long, and nothing less.
    pub const fn lasting(duration: Duration) -> Self {
        Self {
            lasting: duration,
            least: duration,
            refused: None,
            after_failure: AfterFailure::Share,
        }
    }

    /// A token that lasts this long, or if it cannot be renewed, one that is good at all.
    pub const fn preferably(duration: Duration) -> Self {
        Self {
            lasting: duration,
            least: Duration::ZERO,
            refused: None,
            after_failure: AfterFailure::Share,
        }
    }

    /// The same, but not this token, which WeChat has refused.
    #[must_use]
    pub fn replacing(self, refused: Secret<K>) -> Self {
        Self {
            refused: Some(refused),
            ..self
        }
    }

    /// The same, asked by the schedule: another caller's failure a moment ago is no reason not to
    /// try.
    #[must_use]
    pub fn by_schedule(self) -> Self {
        Self {
            after_failure: AfterFailure::Try,
            ..self
        }
    }

    /// Whether the schedule asks, which comes again: what it gets now need not be the last word.
    pub fn is_by_schedule(&self) -> bool {
        self.after_failure == AfterFailure::Try
    }

    /// Whether at `now` a recorded failure answers the caller, without a call to WeChat.
    pub fn shares(&self, failure: &Failure, now: Timestamp) -> bool {
        !self.is_by_schedule() && now < failure.until
    }

    /// Whose turn it is at `now`; a lease taken now would end at `until`.
    ///
    /// If a later lease than the token's was taken, WeChat may have issued a token that is not
    /// stored, and the stored one dies early. Callers are served it all the same, since most likely
    /// WeChat did not. The schedule renews it, and so finds out.
    pub fn turn(&self, slot: &TokenSlot<K>, now: Timestamp, until: Timestamp) -> Turn<K> {
        let outdated = self.is_by_schedule() && slot.token_seq < slot.lease.seq;
        match slot.trusted(now) {
            Some(token)
                if !self.is_about(&token) && token.lasts(now, self.lasting) && !outdated =>
            {
                Turn::Serve(token)
            }
            _ if now < slot.lease.until => Turn::Wait,
            _ => Turn::Renew(LeaseSlot {
                seq: slot.lease.seq + 1,
                until,
            }),
        }
    }

    /// Whether `token`, too short-lived though it may be, is better at `now` than an error.
    pub fn is_eased_by(&self, token: &Expiring<K>, now: Timestamp) -> bool {
        !self.is_about(token) && token.lasts(now, self.least)
    }

    /// Whether `token` is the one that WeChat has refused.
    pub(crate) fn is_about(&self, token: &Expiring<K>) -> bool {
        self.refused.as_ref() == Some(&token.secret)
    }
}

#[cfg(test)]
mod tests {
    use component_api::code::Code;

    use super::*;
    use crate::row::Cause;
    use crate::token::ComponentAccessToken;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
    const UNTIL: Timestamp = Timestamp::from_secs(1_700_000_020);
    const MINUTE: Duration = Duration::from_mins(1);

    const FREE: LeaseSlot = LeaseSlot {
        seq: 7,
        until: Timestamp::from_secs(0),
    };
    const HELD: LeaseSlot = LeaseSlot {
        seq: 7,
        until: Timestamp::from_secs(1_700_000_001),
    };
    const TAKEN: LeaseSlot = LeaseSlot {
        seq: 8,
        until: UNTIL,
    };

    fn secret(value: &str) -> Secret<ComponentAccessToken> {
        Secret::parse(value).unwrap()
    }

    fn slot(left: Duration, lease: LeaseSlot) -> TokenSlot<ComponentAccessToken> {
        TokenSlot {
            token: Some(Expiring {
                secret: secret("stored"),
                expires_at: NOW + left,
            }),
            token_seq: 7,
            lease,
            ..TokenSlot::default()
        }
    }

    /// Asks for a token of which `left_secs` are left, when its lease is free and when it is held.
    #[track_caller]
    fn check(need: &Need<ComponentAccessToken>, left_secs: u64, served: bool, eased: bool) {
        let [free, held] = [FREE, HELD].map(|lease| slot(Duration::from_secs(left_secs), lease));
        let token = free.token.clone().unwrap();
        let turn = |slot| need.turn(slot, NOW, UNTIL);
        if served {
            assert_eq!(turn(&free), Turn::Serve(token.clone()));
            assert_eq!(turn(&held), Turn::Serve(token.clone()));
        } else {
            assert_eq!(turn(&free), Turn::Renew(TAKEN));
            assert_eq!(turn(&held), Turn::Wait);
        }
        assert_eq!(need.is_eased_by(&token, NOW), eased);
    }

    #[test]
    fn a_need_that_a_token_lasts_is_met_to_the_second_and_never_eased() {
        let need = Need::lasting(MINUTE);
        check(&need, 61, true, true);
        check(&need, 60, true, true);
        check(&need, 59, false, false);
        check(&need, 0, false, false);
        check(&Need::lasting(Duration::ZERO), 1, true, true);
        check(&Need::lasting(Duration::ZERO), 0, false, false);
    }

    #[test]
    fn a_preference_is_eased_by_any_token_that_is_still_good() {
        let need = Need::preferably(MINUTE);
        check(&need, 60, true, true);
        check(&need, 59, false, true);
        check(&need, 1, false, true);
        check(&need, 0, false, false);
    }

    #[test]
    fn a_refused_token_is_not_served_again_and_another_is() {
        let refused = Need::preferably(MINUTE).replacing(secret("stored"));
        check(&refused, 60, false, false);
        let other = Need::preferably(MINUTE).replacing(secret("refused"));
        check(&other, 60, true, true);
        check(&other, 59, false, true);
        check(&other, 0, false, false);
        let promised = Need::lasting(MINUTE).replacing(secret("refused"));
        check(&promised, 59, false, false);
    }

    #[test]
    fn without_a_token_there_is_nothing_to_serve() {
        let empty = TokenSlot::<ComponentAccessToken>::default();
        for need in [
            Need::lasting(Duration::ZERO),
            Need::preferably(Duration::ZERO),
            Need::preferably(Duration::ZERO).replacing(secret("refused")),
        ] {
            let taken = LeaseSlot {
                seq: 1,
                until: UNTIL,
            };
            assert_eq!(need.turn(&empty, NOW, UNTIL), Turn::Renew(taken));
        }
    }

    #[test]
    fn a_token_in_doubt_is_served_only_as_long_as_it_certainly_works() {
        let doubted = |from_secs| TokenSlot {
            doubted_from: Some(NOW + Duration::from_secs(from_secs)),
            ..slot(Duration::from_hours(2), FREE)
        };
        let need = Need::lasting(MINUTE);
        let trusted = doubted(60).trusted(NOW).unwrap();
        assert_eq!(need.turn(&doubted(60), NOW, UNTIL), Turn::Serve(trusted));
        assert_eq!(need.turn(&doubted(59), NOW, UNTIL), Turn::Renew(TAKEN));
    }

    #[test]
    fn only_the_schedule_calls_wechat_while_a_failure_is_shared() {
        let failure = Failure {
            cause: Cause::Other(Code::WechatRejected),
            since: NOW,
            refusals: 1,
            until: NOW + MINUTE,
            secret: None,
        };
        let need = Need::<ComponentAccessToken>::lasting(MINUTE);
        assert!(need.shares(&failure, NOW));
        assert!(!need.shares(&failure, failure.until));
        assert!(!need.by_schedule().shares(&failure, NOW));
    }

    #[test]
    fn the_schedule_renews_a_token_that_a_later_lease_may_have_outdated() {
        let outdated = TokenSlot {
            token_seq: 6,
            ..slot(MINUTE, FREE)
        };
        let token = outdated.token.clone().unwrap();
        let need = Need::lasting(Duration::ZERO);
        let by_schedule = need.clone().by_schedule();
        let turn = |need: &Need<_>, slot| need.turn(slot, NOW, UNTIL);
        assert_eq!(turn(&by_schedule, &outdated), Turn::Renew(TAKEN));
        let current = slot(MINUTE, FREE);
        assert_eq!(turn(&by_schedule, &current), Turn::Serve(token.clone()));
        assert_eq!(turn(&need, &outdated), Turn::Serve(token));
    }
}
