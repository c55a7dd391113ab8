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
