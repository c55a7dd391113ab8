//! The row of the component's own access token. No I/O, no clock.

use std::time::Duration;

use super::need::Need;
use super::{LeaseSlot, TokenSlot};
use crate::time::{MAX_CLOCK_SKEW, Timestamp};
use crate::token::ComponentAccessToken;

/// The component's access token as the table has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComponentToken {
    /// Grows with every write of the row.
    pub generation: u64,
    /// The token, and who renews it.
    pub slot: TokenSlot<ComponentAccessToken>,
}

/// The component token is renewed when it has this long to live.
///
/// WeChat asks for a renewal ahead of the two hours' end; the old token lives five minutes more.
/// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/ticket-token/getComponentAccessToken.html>
pub const COMPONENT_REFRESH_MARGIN: Duration = Duration::from_mins(15);

impl ComponentToken {
    /// The row once its lease is taken at `now`.
    #[must_use]
    pub fn leased(&self, lease: LeaseSlot, now: Timestamp) -> Self {
        self.with(self.slot.leased(lease, now))
    }

    /// The row with another slot.
    #[must_use]
    pub fn with(&self, slot: TokenSlot<ComponentAccessToken>) -> Self {
        Self {
            slot,
            generation: self.generation,
        }
    }

    /// Whether at `now` a refusal of the stored token means that another stack, which does not write
    /// this row, was issued a newer one: the token should work, and every call of this stack since
    /// it came has a known outcome.
    pub fn is_displaced(&self, need: &Need<ComponentAccessToken>, now: Timestamp) -> bool {
        let slot = &self.slot;
        let should_work = slot
            .token
            .as_ref()
            .is_some_and(|token| need.is_about(token) && token.lasts(now, MAX_CLOCK_SKEW));
        let given_back = slot.lease.until == Timestamp::default();
        should_work && slot.failure.is_none() && slot.doubted_from.is_none() && given_back
    }
}

#[cfg(test)]
mod tests {
    use component_api::code::Code;

    use super::*;
    use crate::row::{Cause, Failure, Issued, Lease};
    use crate::token::{Expiring, OVERLAP, Secret};

    const NOW: Timestamp = Timestamp::from_secs(1_700_001_000);

    fn token(value: &str) -> Expiring<ComponentAccessToken> {
        Expiring {
            secret: Secret::parse(value).unwrap(),
            expires_at: Timestamp::from_secs(1_700_007_200),
        }
    }

    fn lease(seq: u64) -> Lease {
        Lease {
            epoch: Timestamp::default(),
            seq,
            token_seq: 0,
        }
    }

    fn held(seq: u64) -> LeaseSlot {
        LeaseSlot {
            seq,
            until: NOW + Duration::from_secs(20),
        }
    }

    /// A row whose token came with the lease `seq`.
    fn renewed(seq: u64) -> ComponentToken {
        let issued = Issued {
            token: token("ours"),
            asked_at: NOW,
            after_unanswered_try: false,
        };
        let row = ComponentToken::default().leased(held(seq), NOW);
        row.with(row.slot.renewed(lease(seq), &issued).slot)
    }

    fn refused(value: &str) -> Need<ComponentAccessToken> {
        Need::lasting(Duration::ZERO).replacing(token(value).secret)
    }

    #[test]
    fn a_refusal_that_nothing_of_ours_explains_is_another_stacks_doing() {
        let ours = renewed(1);
        let near_its_end = token("ours").expires_at - Duration::from_secs(59);
        assert!(ours.is_displaced(&refused("ours"), NOW));
        assert!(!ours.is_displaced(&refused("before"), NOW));
        assert!(!ours.is_displaced(&Need::lasting(Duration::ZERO), NOW));
        assert!(!ours.is_displaced(&refused("ours"), near_its_end));
        assert!(!ComponentToken::default().is_displaced(&refused("ours"), NOW));
        // A renewal failed, or its holder was lost: WeChat may have issued a token all the same.
        let failure = Failure::after(None, Cause::Other(Code::NoVerifyTicket), NOW);
        let failed = ours.with(ours.slot.failed(lease(1), &failure));
        assert!(!failed.is_displaced(&refused("ours"), NOW));
        let doubted = ours.with(ours.slot.clone().doubted(lease(1), NOW + OVERLAP));
        assert!(!doubted.is_displaced(&refused("ours"), NOW));
        let abandoned = ours.leased(held(2), NOW);
        assert!(!abandoned.is_displaced(&refused("ours"), NOW));
    }

    #[test]
    fn the_late_failure_of_an_overtaken_holder_hides_no_other_stack() {
        let ours = renewed(2);
        let failure = Failure::after(None, Cause::Other(Code::WechatUnavailable), NOW);
        let late = ours.with(ours.slot.failed(lease(1), &failure));
        assert!(late.is_displaced(&refused("ours"), NOW));
    }
}
