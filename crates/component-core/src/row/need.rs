//! What a caller asks of a token, and whose turn it is to renew it. No I/O, no clock.

use std::time::Duration;

use super::{Failure, LeaseSlot};
use crate::time::Timestamp;
use crate::token::{Expiring, Secret};

/// What a caller asks of a token.
#[derive(Clone, Debug)]
pub struct Need<K> {
    /// How long it should last.
    lasting: Duration,
    /// How long it must last, where it cannot be renewed.
    least: Duration,
    /// The one that WeChat has refused: it may last as long as it likes.
    refused: Option<Secret<K>>,
    /// What a failure that somebody else has just had means.
    after_failure: AfterFailure,
}

/// What a caller does when a renewal has just failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AfterFailure {
    /// He takes it for his own: there are many of his kind.
    Share,
    /// He tries again: he comes by schedule, and to find out.
    Try,
}

/// What to do for a caller.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn<K> {
    /// The stored token answers him.
    Serve(Expiring<K>),
    /// Somebody renews it already: wait for him.
    Wait,
    /// The lease is his, once the row is written with this slot.
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

    /// The same, but not this one.
    #[must_use]
    pub fn replacing(self, refused: Secret<K>) -> Self {
        Self {
            refused: Some(refused),
            ..self
        }
    }

    /// The same, and by schedule: somebody else's failure a moment ago is no reason not to try.
    #[must_use]
    pub fn by_schedule(self) -> Self {
        Self {
            after_failure: AfterFailure::Try,
            ..self
        }
    }

    /// Whether it comes again by itself: what it gets now need not be the last word.
    pub fn is_by_schedule(&self) -> bool {
        self.after_failure == AfterFailure::Try
    }

    /// Whether at `now` a failure is to be shared instead of tried for.
    pub fn shares(&self, failure: &Failure, now: Timestamp) -> bool {
        !self.is_by_schedule() && now < failure.until
    }

    /// Whose turn it is at `now`, given a row's token, the lease whose answer it is, and the slot; a lease taken now would
    /// end at `until`.
    ///
    /// A lease later than the token's has brought nothing, or has not yet: WeChat may have made a newer token that nobody
    /// knows, so that this one dies early. Callers are served it all the same, since it most likely did not; he who comes
    /// by schedule finds out.
    pub fn turn(
        &self,
        token: Option<&Expiring<K>>,
        token_seq: u64,
        slot: LeaseSlot,
        now: Timestamp,
        until: Timestamp,
    ) -> Turn<K> {
        match token {
            Some(token)
                if !self.is_about(token)
                    && token.lasts(now, self.lasting)
                    && !(self.is_by_schedule() && token_seq < slot.seq) =>
            {
                Turn::Serve(token.clone())
            }
            _ if now < slot.until => Turn::Wait,
            _ => Turn::Renew(LeaseSlot {
                seq: slot.seq + 1,
                until,
            }),
        }
    }

    /// Whether `token`, too short-lived though it may be, is better at `now` than an error.
    pub fn is_eased_by(&self, token: &Expiring<K>, now: Timestamp) -> bool {
        !self.is_about(token) && token.lasts(now, self.least)
    }

    /// Whether `token` is the one that WeChat has refused.
    pub fn is_about(&self, token: &Expiring<K>) -> bool {
        self.refused.as_ref() == Some(&token.secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::LONGEST_LEASE;
    use crate::token::{ComponentAccessToken, OVERLAP};

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
    const UNTIL: Timestamp = Timestamp::from_secs(1_700_000_020);
    const MINUTE: Duration = Duration::from_mins(1);

    fn secret(value: &str) -> Secret<ComponentAccessToken> {
        Secret::parse(value).unwrap()
    }

    /// Asks for a token of which `left_secs` are left, of a slot that is free since now and of one that is held.
    #[track_caller]
    fn check(need: &Need<ComponentAccessToken>, left_secs: u64, served: bool, eased: bool) {
        let token = Expiring {
            secret: secret("stored"),
            expires_at: NOW + Duration::from_secs(left_secs),
        };
        let free = LeaseSlot { seq: 7, until: NOW };
        let held = LeaseSlot {
            seq: 7,
            until: NOW + Duration::from_secs(1),
        };
        let turn = |slot: LeaseSlot| need.turn(Some(&token), slot.seq, slot, NOW, UNTIL);
        if served {
            assert_eq!(turn(free), Turn::Serve(token.clone()));
            assert_eq!(turn(held), Turn::Serve(token.clone()));
        } else {
            let next = LeaseSlot {
                seq: 8,
                until: UNTIL,
            };
            assert_eq!(turn(free), Turn::Renew(next));
            assert_eq!(turn(held), Turn::Wait);
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
        let slot = LeaseSlot::default();
        for need in [
            Need::lasting(Duration::ZERO),
            Need::preferably(Duration::ZERO),
            Need::preferably(Duration::ZERO).replacing(secret("refused")),
        ] {
            let turn: Turn<ComponentAccessToken> = need.turn(None, slot.seq, slot, NOW, UNTIL);
            let taken = LeaseSlot {
                seq: 1,
                until: UNTIL,
            };
            assert_eq!(turn, Turn::Renew(taken));
        }
    }

    #[test]
    fn each_refusal_in_a_row_is_shared_for_twice_as_long_up_to_the_schedules_own_time() {
        let mut before = None;
        for (times, secs) in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]
            .into_iter()
            .enumerate()
        {
            let refusal = Failure::refusal("no".to_owned(), before.as_ref(), NOW);
            assert_eq!(refusal.until, NOW + Duration::from_secs(secs), "{times}");
            before = Some(refusal);
        }
        let passing = Failure::passing("not reached".to_owned(), NOW);
        assert!(!Need::<ComponentAccessToken>::lasting(MINUTE).shares(&passing, NOW));
        let again = Failure::refusal("no".to_owned(), Some(&passing), NOW);
        assert_eq!(again.until, NOW + Duration::from_secs(2));
    }

    #[test]
    fn he_who_comes_by_schedule_renews_a_token_that_a_later_lease_may_have_outdated() {
        let token = Expiring {
            secret: secret("stored"),
            expires_at: UNTIL,
        };
        let slot = LeaseSlot { seq: 7, until: NOW };
        let turn = |need: Need<_>, token_seq| need.turn(Some(&token), token_seq, slot, NOW, UNTIL);
        let need = Need::lasting(Duration::ZERO);
        let renew = Turn::Renew(LeaseSlot {
            seq: 8,
            until: UNTIL,
        });
        assert_eq!(turn(need.clone().by_schedule(), 6), renew);
        assert_eq!(
            turn(need.clone().by_schedule(), 7),
            Turn::Serve(token.clone())
        );
        assert_eq!(turn(need, 6), Turn::Serve(token.clone()));
    }

    #[test]
    fn a_token_is_vouched_for_until_somebody_may_have_renewed_it_unseen() {
        let hours = NOW + Duration::from_hours(2);
        let token = Expiring {
            secret: secret("stored"),
            expires_at: hours,
        };
        let check = |until: Timestamp, doubted_from: Option<Timestamp>, expected: Timestamp| {
            let slot = LeaseSlot { seq: 7, until };
            let vouched = slot.vouched(&token, doubted_from, NOW);
            assert_eq!(
                (vouched.expires_at, vouched.secret),
                (expected, secret("stored"))
            );
        };
        let (free, soon) = (Timestamp::default(), NOW + MINUTE);
        check(free, None, hours);
        check(free, Some(soon), soon);
        check(free, Some(hours + MINUTE), hours);
        // Held, and just left behind: it was taken at most so long ago.
        check(NOW + MINUTE, None, hours);
        let abandoned = NOW - LONGEST_LEASE + OVERLAP;
        check(NOW, None, abandoned);
        check(NOW, Some(soon), soon);
        check(NOW, Some(hours), abandoned);
    }

    #[test]
    fn a_release_leaves_a_later_holder_alone() {
        let slot = LeaseSlot {
            seq: 8,
            until: UNTIL,
        };
        assert_eq!(slot.released(7), slot);
        let free = LeaseSlot {
            seq: 8,
            until: Timestamp::default(),
        };
        assert_eq!(slot.released(8), free);
    }

    #[test]
    fn a_superseded_slot_is_free_and_out_of_its_holders_reach() {
        let slot = LeaseSlot {
            seq: 8,
            until: UNTIL,
        };
        let superseded = slot.superseded();
        assert_eq!(
            (superseded.seq, superseded.until),
            (9, Timestamp::default())
        );
        assert_eq!(superseded.released(8), superseded);
    }
}
