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

/// How long a tombstone orders late notices.
pub(super) const TOMBSTONE_LIFE: Duration = Duration::from_hours(90 * 24);

impl Authorizer {
    /// What an `unauthorized` notice of the time `at` means for the row.
    pub fn revoke(&self, at: Timestamp, now: Timestamp) -> Revocation {
        if at < self.auth_epoch || at <= self.revoked_at {
            return Revocation::Ignore;
        }
        if at == self.auth_epoch && self.standing != Standing::Revoked {
            return Revocation::Ask;
        }
        Revocation::Tombstone(Box::new(self.tombstone(at, now)))
    }

    /// The row once WeChat has told the holder of `lease` that the account is not authorized; `None` if the lease is not
    /// the newest any more, so that it may have been another authorization that WeChat denied.
    ///
    /// When it was revoked is not known; the epoch itself, the earliest it can have been, keeps the way free for a later
    /// authorization whose notice is still under way.
    pub fn denied(&self, lease: Lease, now: Timestamp) -> Option<Self> {
        let newest = lease.seq == self.lease.seq;
        (newest && self.standing != Standing::Revoked)
            .then(|| self.tombstone(self.auth_epoch.max(self.revoked_at), now))
    }

    /// The row once WeChat was asked about it as it was `seen`, and says that it is not authorized; `None` if WeChat has
    /// given something for it since.
    pub fn vanished(&self, seen: &Self, now: Timestamp) -> Option<Self> {
        let unchanged = self.auth_epoch == seen.auth_epoch && self.token_seq == seen.token_seq;
        (unchanged && self.standing != Standing::Revoked)
            .then(|| self.tombstone(self.auth_epoch.max(self.revoked_at), now))
    }

    fn tombstone(&self, at: Timestamp, now: Timestamp) -> Self {
        let mut next = self.clone();
        next.standing = Standing::Revoked;
        next.revoked_at = at;
        next.access_token = None;
        next.doubted_from = None;
        next.lease = next.lease.superseded();
        next.token_seq = next.lease.seq;
        next.failures = 0;
        next.failure = None;
        next.due_at = None;
        next.ttl = Some(now + TOMBSTONE_LIFE);
        next
    }
}
