//! The lease on a row, and whose turn it is to renew: no I/O, no clock.

use std::time::Duration;

use crate::time::Timestamp;
use crate::token::{Expiring, Secret};

/// Who may renew the token of a row, and until when nobody else should.
///
/// The lease saves calls; it never guards what WeChat gave, since its holder may be slower than anybody thought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaseSlot {
    /// Grows with every lease: of two answers, that of the higher one is WeChat's newer.
    pub seq: u64,
    /// When the holder's time is up; in the past, or zero, when the slot is free.
    pub until: Timestamp,
}

/// A lease that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The authorization under which it was taken; zero for the component's own token.
    pub epoch: Timestamp,
    /// Its number.
    pub seq: u64,
}

/// What a caller asks of a token.
#[derive(Clone, Debug)]
pub enum Need<K> {
    /// It must last this long.
    Lasting(Duration),
    /// It should last this long; if it cannot be renewed, one that is good at all will do.
    Preferably(Duration),
    /// WeChat has refused this one; any other will do that lasts this long.
    Replacing(Secret<K>, Duration),
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

impl LeaseSlot {
    /// The slot once the holder of `seq` has finished; that of a later holder is left alone.
    #[must_use]
    pub fn released(self, seq: u64) -> Self {
        let until = if self.seq == seq {
            Timestamp::default()
        } else {
            self.until
        };
        Self { until, ..self }
    }

    /// The slot when all leases so far are to count for nothing.
    #[must_use]
    pub fn superseded(self) -> Self {
        Self {
            seq: self.seq + 1,
            until: Timestamp::default(),
        }
    }
}

impl<K: Clone> Need<K> {
    /// Whose turn it is at `now`, given a row's token and slot; a lease taken now would end at `until`.
    pub fn turn(
        &self,
        token: Option<&Expiring<K>>,
        slot: LeaseSlot,
        now: Timestamp,
        until: Timestamp,
    ) -> Turn<K> {
        match token {
            Some(token) if self.is_met_by(token, now) => Turn::Serve(token.clone()),
            _ if now < slot.until => Turn::Wait,
            _ => Turn::Renew(LeaseSlot {
                seq: slot.seq + 1,
                until,
            }),
        }
    }

    /// Whether `token`, too short-lived though it may be, is better at `now` than an error.
    pub fn is_eased_by(&self, token: &Expiring<K>, now: Timestamp) -> bool {
        match self {
            Self::Lasting(_) => self.is_met_by(token, now),
            Self::Preferably(_) => token.lasts(now, Duration::ZERO),
            Self::Replacing(refused, _) => {
                token.secret != *refused && token.lasts(now, Duration::ZERO)
            }
        }
    }

    fn is_met_by(&self, token: &Expiring<K>, now: Timestamp) -> bool {
        match self {
            Self::Lasting(duration) | Self::Preferably(duration) => token.lasts(now, *duration),
            Self::Replacing(refused, duration) => {
                token.secret != *refused && token.lasts(now, *duration)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::ComponentAccessToken;

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
        let turn = |slot| need.turn(Some(&token), slot, NOW, UNTIL);
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
        let need = Need::Lasting(MINUTE);
        check(&need, 61, true, true);
        check(&need, 60, true, true);
        check(&need, 59, false, false);
        check(&need, 0, false, false);
        check(&Need::Lasting(Duration::ZERO), 1, true, true);
        check(&Need::Lasting(Duration::ZERO), 0, false, false);
    }

    #[test]
    fn a_preference_is_eased_by_any_token_that_is_still_good() {
        let need = Need::Preferably(MINUTE);
        check(&need, 60, true, true);
        check(&need, 59, false, true);
        check(&need, 1, false, true);
        check(&need, 0, false, false);
    }

    #[test]
    fn a_refused_token_is_not_served_again_and_another_is() {
        let refused = Need::Replacing(secret("stored"), MINUTE);
        check(&refused, 60, false, false);
        let other = Need::Replacing(secret("refused"), MINUTE);
        check(&other, 60, true, true);
        check(&other, 59, false, true);
        check(&other, 0, false, false);
    }

    #[test]
    fn without_a_token_there_is_nothing_to_serve() {
        let slot = LeaseSlot::default();
        for need in [
            Need::Lasting(Duration::ZERO),
            Need::Preferably(Duration::ZERO),
            Need::Replacing(secret("refused"), Duration::ZERO),
        ] {
            let turn: Turn<ComponentAccessToken> = need.turn(None, slot, NOW, UNTIL);
            let taken = LeaseSlot {
                seq: 1,
                until: UNTIL,
            };
            assert_eq!(turn, Turn::Renew(taken));
        }
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
