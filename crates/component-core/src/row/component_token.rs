//! The component's own access token, and what may happen to it. No I/O, no clock.

use std::time::Duration;

use crate::row::Issued;
use crate::row::need::Need;
use crate::row::{Failure, Lease, LeaseSlot, earliest};
use crate::time::{MAX_CLOCK_SKEW, Timestamp};
use crate::token::{ComponentAccessToken, Expiring, OVERLAP};

/// The component's access token as it stands in the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComponentToken {
    /// Grows with every write of the row.
    pub generation: u64,
    /// The newest token, if WeChat ever gave one.
    pub access_token: Option<Expiring<ComponentAccessToken>>,
    /// From then on `access_token` may be dead: see [`ComponentToken::doubted`].
    pub doubted_from: Option<Timestamp>,
    /// The lease whose answer `access_token` is.
    pub token_seq: u64,
    /// Who renews it.
    pub lease: LeaseSlot,
    /// Why the last renewal failed, if it did.
    pub failure: Option<Failure>,
}

/// The component token is renewed when it has this long to live.
///
/// WeChat asks for a renewal ahead of the two hours' end; the old token lives five minutes more.
/// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/ticket-token/getComponentAccessToken.html>
pub const COMPONENT_REFRESH_MARGIN: Duration = Duration::from_mins(15);

impl ComponentToken {
    /// The row once its lease is taken at `now`, with the doubt that the holder before has left.
    #[must_use]
    pub fn leased(&self, slot: LeaseSlot, now: Timestamp) -> Self {
        Self {
            lease: slot,
            doubted_from: self.lease.doubted_from(self.doubted_from, now),
            ..self.clone()
        }
    }

    /// The row once WeChat has answered the holder of `lease`: the token of the highest lease wins. But if another answer
    /// came while this one was under way, or none to a try before it, either call may have reached WeChat last, and the
    /// other's token dies with the five minutes' overlap.
    #[must_use]
    pub fn renewed(&self, lease: Lease, issued: &Issued<ComponentAccessToken>) -> Self {
        let mut next = self.clone();
        if lease.seq >= next.token_seq {
            next.access_token = Some(issued.token.clone());
            // The holder of a later lease may have had another one, which he never saw.
            let is_last = lease.seq == self.lease.seq;
            next.doubted_from = self.doubted_from.filter(|_| !is_last);
            next.token_seq = lease.seq;
            next.failure = None;
        }
        if lease.token_seq != self.token_seq || issued.in_doubt {
            next.doubted_from = earliest(next.doubted_from, issued.asked_at + OVERLAP);
        }
        next.lease = next.lease.released(lease.seq);
        next
    }

    /// Whether at `now` a refusal of the stored token means that somebody who does not write this row has had another
    /// one from WeChat: it should be good, and no call of ours had an outcome that is not known since it came.
    pub fn is_displaced(&self, need: &Need<ComponentAccessToken>, now: Timestamp) -> bool {
        let refused = self.access_token.as_ref();
        let should_be_good = |token: &Expiring<_>| token.lasts(now, MAX_CLOCK_SKEW);
        let given_back = self.lease.until == Timestamp::default();
        refused.is_some_and(|token| need.is_about(token) && should_be_good(token))
            && self.failure.is_none()
            && self.doubted_from.is_none()
            && given_back
    }

    /// The row when the holder of `lease` may have been given a token that he never saw: then the one before is surely
    /// good until `until` only.
    #[must_use]
    pub fn doubted(self, lease: Lease, until: Timestamp) -> Self {
        if lease.seq < self.token_seq {
            return self;
        }
        Self {
            doubted_from: earliest(self.doubted_from, until),
            ..self
        }
    }

    /// The row once the holder of `lease` has given up; the token it has stays.
    #[must_use]
    pub fn failed(&self, lease: Lease, failure: &Failure) -> Self {
        let mut next = self.clone();
        next.lease = next.lease.released(lease.seq);
        next.failure = Some(failure.clone());
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Secret;

    const ASKED_AT: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn token(value: &str) -> Expiring<ComponentAccessToken> {
        Expiring {
            secret: Secret::parse(value).unwrap(),
            expires_at: Timestamp::from_secs(1_700_007_200),
        }
    }

    fn issued(value: &str) -> Issued<ComponentAccessToken> {
        Issued {
            token: token(value),
            asked_at: ASKED_AT,
            in_doubt: false,
        }
    }

    fn lease(seq: u64) -> Lease {
        Lease {
            epoch: Timestamp::default(),
            seq,
            token_seq: 0,
        }
    }

    /// A row on which the lease `seq` is held.
    fn leased(seq: u64) -> ComponentToken {
        ComponentToken {
            lease: LeaseSlot {
                seq,
                until: Timestamp::from_secs(1_700_000_020),
            },
            ..ComponentToken::default()
        }
    }

    #[test]
    fn the_token_of_the_highest_lease_wins_in_either_order() {
        let (slow, fast) = (issued("slow"), issued("fast"));
        let row = leased(2);
        let slow_first = row.renewed(lease(1), &slow);
        assert_eq!(slow_first.lease, row.lease, "the lease is another's");
        assert_eq!(slow_first.access_token, Some(slow.token.clone()));
        let slow_last = row.renewed(lease(2), &fast).renewed(lease(1), &slow);
        assert_eq!(slow_first.renewed(lease(2), &fast), slow_last);
        assert_eq!(
            (slow_last.access_token, slow_last.token_seq),
            (Some(fast.token), 2)
        );
        assert_eq!(slow_last.lease.until, Timestamp::default());
        // Which of them WeChat gave last, nobody knows.
        assert_eq!(slow_last.doubted_from, Some(ASKED_AT + OVERLAP));
    }

    #[test]
    fn a_token_that_an_unanswered_try_may_yet_end_is_kept_in_doubt() {
        let after_a_try = Issued {
            in_doubt: true,
            ..issued("second")
        };
        let row = leased(1).renewed(lease(1), &after_a_try);
        assert_eq!(row.access_token, Some(token("second")));
        assert_eq!(row.doubted_from, Some(ASKED_AT + OVERLAP));
    }

    fn failure() -> Failure {
        Failure {
            refusals: 1,
            error: "no_verify_ticket: wait".to_owned(),
            until: Timestamp::from_secs(1_700_000_005),
        }
    }

    #[test]
    fn a_refusal_that_nothing_of_ours_explains_is_somebody_elses_doing() {
        const NOW: Timestamp = Timestamp::from_secs(1_700_001_000);
        let ours = leased(1).renewed(lease(1), &issued("ours"));
        let refused = |value| Need::lasting(Duration::ZERO).replacing(token(value).secret);
        let near_its_end = token("ours").expires_at - Duration::from_secs(59);
        assert!(ours.is_displaced(&refused("ours"), NOW));
        assert!(!ours.is_displaced(&refused("before"), NOW));
        assert!(!ours.is_displaced(&Need::lasting(Duration::ZERO), NOW));
        assert!(!ours.is_displaced(&refused("ours"), near_its_end));
        assert!(!ComponentToken::default().is_displaced(&refused("ours"), NOW));
        // A renewal failed, or its caller was never heard of again: WeChat may have given a token all the same.
        let failed = ours.failed(lease(1), &failure());
        assert!(!failed.is_displaced(&refused("ours"), NOW));
        let abandoned = ComponentToken {
            lease: leased(2).lease,
            ..ours
        };
        assert!(!abandoned.is_displaced(&refused("ours"), NOW));
    }

    #[test]
    fn the_doubt_that_a_lost_holder_leaves_stays_until_a_later_lease_has_its_answer() {
        let taken_at = Timestamp::from_secs(1_700_001_000);
        let slot = LeaseSlot {
            seq: 2,
            until: taken_at + MAX_CLOCK_SKEW,
        };
        let row = leased(1).leased(slot, taken_at);
        let doubted_from = row.doubted_from;
        assert!(doubted_from.is_some());
        let overtaken = row.renewed(lease(1), &issued("late"));
        assert_eq!(overtaken.doubted_from, doubted_from);
        assert_eq!(row.renewed(lease(2), &issued("new")).doubted_from, None);
        // Whoever gave his lease back leaves none.
        let row = leased(1).renewed(lease(1), &issued("good"));
        assert_eq!(row.leased(slot, taken_at).doubted_from, None);
    }

    #[test]
    fn a_failure_is_remembered_and_keeps_the_token() {
        let row = leased(1).renewed(lease(1), &issued("good"));
        let failed = ComponentToken {
            lease: leased(2).lease,
            ..row
        }
        .failed(lease(2), &failure());
        assert_eq!(failed.access_token, Some(token("good")));
        assert_eq!(failed.failure, Some(failure()));
        assert_eq!(failed.lease.until, Timestamp::default());
        let renewed = failed.renewed(lease(3), &issued("better"));
        assert_eq!(
            (renewed.access_token, renewed.failure),
            (Some(token("better")), None)
        );
    }
}
