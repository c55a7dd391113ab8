//! A row whose token is renewed: the lease on it, and why a renewal failed. No I/O, no clock.

use std::time::Duration;

use crate::time::Timestamp;
use crate::token::{Expiring, OVERLAP};

pub mod authorizer;
pub mod component_token;
pub mod need;

/// Who may renew the token of a row, and until when nobody else should.
///
/// The lease saves calls; it never guards what WeChat gave, since its holder may be slower than anybody thought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaseSlot {
    /// Grows with every lease, and with whatever else may have made WeChat's newest token another one than the row's.
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
    /// The lease whose answer stood when it was taken.
    pub token_seq: u64,
}

/// Why the last renewal of a token failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The error, as [`crate::error::Error`] reads it back.
    pub error: String,
    /// How many refusals in a row it makes; zero if WeChat did not refuse but could not be asked.
    pub refusals: u32,
    /// Until then it would be no different: callers are told so, instead of WeChat being asked for each of them.
    pub until: Timestamp,
}

/// The longest time for a renewal, its waiting included, however long the invocation may take: it bounds the lease, and
/// with it how long a crash keeps others from trying.
pub const MAX_RENEWAL: Duration = Duration::from_secs(20);

/// By this much a lease outlives its holder's deadline, which is itself up to three seconds before the function's own.
pub const LEASE_MARGIN: Duration = Duration::from_secs(4);

/// No lease lasts longer, and a second for rounding.
pub const LONGEST_LEASE: Duration = MAX_RENEWAL
    .saturating_add(LEASE_MARGIN)
    .saturating_add(Duration::from_secs(1));

/// After the first refusal; doubled with each further one. Short enough to notice when the cause is mended, and long
/// enough that a thousand callers are no storm of calls.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// The schedule tries every five minutes whatever was refused, so nobody else need try more seldom than that. More often
/// would use up a day's quota of calls by calls that are refused.
const MAX_PAUSE: Duration = Duration::from_mins(5);

impl Failure {
    /// A failure that may pass at any moment.
    pub const fn passing(error: String, now: Timestamp) -> Self {
        Self {
            error,
            refusals: 0,
            until: now,
        }
    }

    /// A refusal by WeChat, after the failure `before` it.
    pub fn refusal(error: String, before: Option<&Self>, now: Timestamp) -> Self {
        let refusals_before = before.map_or(0, |failure| failure.refusals);
        let pause = FIRST_PAUSE.saturating_mul(1 << refusals_before.min(10));
        Self {
            error,
            refusals: refusals_before.saturating_add(1),
            until: now + pause.min(MAX_PAUSE),
        }
    }
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

    /// From when on the token of this slot's row may be dead: somebody who had the lease may have renewed it unseen. He has
    /// `noted` so, or he has died and left the lease as it was.
    pub fn doubted_from(self, noted: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        let abandoned = self.until != Timestamp::default() && self.until <= now;
        let abandoned_from = abandoned.then(|| self.until + OVERLAP - LONGEST_LEASE);
        earliest(noted, abandoned_from)
    }

    /// The token of this slot's row with the end to which it is surely good.
    pub fn vouched<K: Clone>(
        self,
        token: &Expiring<K>,
        noted: Option<Timestamp>,
        now: Timestamp,
    ) -> Expiring<K> {
        token.vouched(self.doubted_from(noted, now))
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

/// Of two moments from which on a token is in doubt, the one that counts.
pub(crate) fn earliest(
    noted: Option<Timestamp>,
    from: impl Into<Option<Timestamp>>,
) -> Option<Timestamp> {
    noted.into_iter().chain(from.into()).min()
}

impl<K: Clone> Expiring<K> {
    /// The same with the end to which it is surely good, if it is to be doubted from some moment on.
    pub(crate) fn vouched(&self, doubted_from: Option<Timestamp>) -> Self {
        let expires_at = self.expires_at;
        Self {
            secret: self.secret.clone(),
            expires_at: doubted_from.map_or(expires_at, |from| expires_at.min(from)),
        }
    }
}

/// An access token as WeChat gave it.
#[derive(Clone, Debug)]
pub struct Issued<K> {
    /// The token.
    pub token: Expiring<K>,
    /// When WeChat was asked for it: one that it was asked for at the same time may be newer, and end this one.
    pub asked_at: Timestamp,
    /// Whether WeChat was asked before in vain: it may take that call up after this one.
    pub in_doubt: bool,
}

impl<K: Clone> Issued<K> {
    /// The token with the end to which it is surely good.
    pub fn vouched(&self) -> Expiring<K> {
        let doubted_from = self.in_doubt.then(|| self.asked_at + OVERLAP);
        self.token.vouched(doubted_from)
    }
}
