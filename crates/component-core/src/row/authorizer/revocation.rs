//! Withdrawals: what a notice, or WeChat's denial, makes of a row.

use std::time::Duration;

use super::{Authorizer, Standing};
use crate::row::Lease;
use crate::time::Timestamp;

/// What an `unauthorized` notice means for a row.
#[derive(Debug, PartialEq, Eq)]
pub enum Revocation {
    /// Write this tombstone.
    Tombstone(Box<Authorizer>),
    /// It bears the very second of the authorization: only WeChat knows which came last.
    Ask,
    /// It is older than the authorization, or known.
    Ignore,
}

/// How far one denial of an authorization can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// It stands alone, since this moment: WeChat has denied authorizations for hours that it named
    /// again afterwards.
    First(Timestamp),
    /// Another call said the same at least a minute before.
    Second,
}

impl Denial {
    /// A denial at `now`, after the one that stood alone `before`.
    pub fn at(before: Option<Timestamp>, now: Timestamp) -> Self {
        match before {
            Some(before) if before + BETWEEN_DENIALS <= now => Self::Second,
            Some(before) => Self::First(before),
            None => Self::First(now),
        }
    }
}

/// Two denials less than this apart may have one passing cause.
const BETWEEN_DENIALS: Duration = Duration::from_mins(1);

/// How long a tombstone orders late notices.
const TOMBSTONE_LIFE: Duration = Duration::from_hours(90 * 24);

/// When WeChat denied the authorization of a tombstone with this `ttl`, written without the time of
/// the denial: earlier versions of the row told it by the `ttl` alone.
pub fn denied_at_of_undated(ttl: Timestamp) -> Timestamp {
    ttl - TOMBSTONE_LIFE
}

impl Authorizer {
    /// What an `unauthorized` notice of the time `at` means for the row.
    pub fn revoke(&self, at: Timestamp, now: Timestamp) -> Revocation {
        if at < self.auth_epoch || at <= self.revoked_at {
            return Revocation::Ignore;
        }
        if at == self.auth_epoch && self.standing != Standing::Revoked {
            return Revocation::Ask;
        }
        let tombstone = Self {
            revoked_at: at,
            denied_at: None,
            ..self.tombstone(now)
        };
        Revocation::Tombstone(Box::new(tombstone))
    }

    /// The row once WeChat has told the holder of `lease` that the account is not authorized; `None`
    /// if a later lease was taken, so that WeChat may have denied another authorization.
    pub fn denied(&self, lease: Lease, now: Timestamp) -> Option<Self> {
        let newest = lease.seq == self.slot.lease.seq;
        (newest && self.standing != Standing::Revoked).then(|| self.undated_tombstone(now))
    }

    /// The row once WeChat was asked about it as it was `seen`, and says that it is not authorized;
    /// `None` if WeChat has given something for it since.
    pub fn vanished(&self, seen: &Self, now: Timestamp) -> Option<Self> {
        let unchanged =
            self.auth_epoch == seen.auth_epoch && self.slot.token_seq == seen.slot.token_seq;
        (unchanged && self.standing != Standing::Revoked).then(|| self.undated_tombstone(now))
    }

    /// The row once WeChat was asked because of an `unauthorized` notice of the time `at`, and says
    /// the same.
    #[must_use]
    pub fn withdrawn(&self, at: Timestamp, now: Timestamp) -> Self {
        match self.revoke(at, now) {
            Revocation::Tombstone(next) => *next,
            Revocation::Ask | Revocation::Ignore => self.undated_tombstone(now),
        }
    }

    /// What it means that one call has denied the authorization at `now`.
    pub fn denial(&self, now: Timestamp) -> Denial {
        Denial::at(self.denied_once_at, now)
    }

    /// Whether WeChat denied the authorization when it was asked at or after `moment`, without
    /// telling since when. An older grant may reopen the row, but without its access token, so that
    /// the next renewal asks WeChat.
    pub(super) fn was_denied_since(&self, moment: Timestamp) -> bool {
        self.denied_at.is_some_and(|denied_at| denied_at >= moment)
    }

    /// Whether the row is a tombstone because WeChat denied the authorization before `moment`, while
    /// no notice told of a withdrawal. WeChat has denied authorizations for hours that it named again
    /// afterwards.
    pub(super) fn was_denied_alone(&self, moment: Timestamp) -> bool {
        let denied = self.denied_at.is_some_and(|denied_at| denied_at <= moment);
        denied && self.standing == Standing::Revoked && self.revoked_at <= self.auth_epoch
    }

    /// When it was revoked is not known. The epoch itself, the earliest it can have been, keeps the
    /// way free for a later authorization whose notice is still in flight.
    fn undated_tombstone(&self, now: Timestamp) -> Self {
        Self {
            revoked_at: self.auth_epoch.max(self.revoked_at),
            denied_at: Some(now),
            ..self.tombstone(now)
        }
    }

    fn tombstone(&self, now: Timestamp) -> Self {
        Self {
            standing: Standing::Revoked,
            slot: self.slot.cleared(None),
            failures: 0,
            limited_at: None,
            contradicted_since: None,
            denied_once_at: None,
            due_at: None,
            ttl: Some(now + TOMBSTONE_LIFE),
            ..self.clone()
        }
    }
}
