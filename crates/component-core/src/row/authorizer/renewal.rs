//! From lease to answer: what a renewal makes of a row.

use std::time::Duration;

use super::{Authorizer, Renewal, Standing, due};
use crate::row::{Failure, Lease, LeaseSlot, earliest};
use crate::time::Timestamp;
use crate::token::{AuthorizerRefreshToken, Secret};

/// After the first failed renewal; doubled with each further one.
const FIRST_BACKOFF: Duration = Duration::from_mins(1);

/// At most this long between two tries for one authorizer.
const MAX_BACKOFF: Duration = Duration::from_mins(30);

impl Authorizer {
    /// The row once its lease is taken at `now`, with the doubt that the holder before has left. If nothing more is heard of
    /// this one, WeChat may have made another token for him, and the stored one dies: so the row is due then.
    #[must_use]
    pub fn leased(&self, slot: LeaseSlot, now: Timestamp) -> Self {
        Self {
            lease: slot,
            doubted_from: self.lease.doubted_from(self.doubted_from, now),
            due_at: self.due_at.map(|due_at| due_at.min(slot.until)),
            ..self.clone()
        }
    }

    /// The row once WeChat has answered the holder of `lease`, having refused the tokens `refused` on the way; `None` if
    /// the answer belongs to an authorization that is over.
    ///
    /// Within one authorization the access token of the highest lease wins, and no refresh token is dropped but those
    /// that WeChat refused. But if another answer came while this one was under way, or none to a try before it, either call
    /// may have reached WeChat last, and the other's token dies with the five minutes' overlap: then the row is due for one
    /// more renewal, and its token in doubt.
    pub fn renewed(
        &self,
        lease: Lease,
        renewal: &Renewal,
        refused: &[Secret<AuthorizerRefreshToken>],
        jitter: f64,
    ) -> Option<Self> {
        let issued = &renewal.access_token;
        let Some(mut next) = self.after(lease, refused) else {
            return self.renewed_beside(renewal);
        };
        let newest = lease.seq >= next.token_seq && next.standing != Standing::Revoked;
        if !newest {
            next.keep_beside(&renewal.refresh_token);
            if next.standing == Standing::ReauthorizationRequired {
                // It was given up without this token: not tried yet, so due at once.
                next.restore(Timestamp::default(), jitter);
            }
            if next.standing == Standing::Authorized {
                next.doubt(Timestamp::default(), issued.asked_at);
            }
            return Some(next);
        }
        next.install(&renewal.refresh_token);
        next.access_token = Some(issued.token.clone());
        next.token_seq = lease.seq;
        next.standing = Standing::Authorized;
        next.failures = 0;
        next.failure = None;
        let due_at = due(&issued.token, jitter);
        // What the holder of a later lease got, or will get, is WeChat's newer one: for him the row is due already, and for one
        // who was lost it is in doubt.
        let is_last = lease.seq == self.lease.seq;
        next.doubted_from = self.doubted_from.filter(|_| !is_last);
        next.due_at = Some(match self.due_at {
            Some(of_later) if !is_last => of_later.min(due_at),
            _ => due_at,
        });
        if lease.token_seq != self.token_seq || issued.in_doubt {
            next.doubt(Timestamp::default(), issued.asked_at);
        }
        Some(next)
    }

    /// The row when an answer that counts no more was got with the very refresh token that stands: WeChat had named it before
    /// it was stored. Either call may have reached WeChat last, so the row is due.
    fn renewed_beside(&self, renewal: &Renewal) -> Option<Self> {
        self.stands_by(&renewal.refresh_token).then(|| {
            let mut next = self.clone();
            next.doubt(Timestamp::default(), renewal.access_token.asked_at);
            next
        })
    }

    /// The row once WeChat has refused every refresh token that the holder of `lease` knew; `None` if that was under an
    /// authorization that is over.
    ///
    /// A token that came in meanwhile has not been tried: then the row is due again instead of given up.
    pub fn exhausted(
        &self,
        lease: Lease,
        refused: &[Secret<AuthorizerRefreshToken>],
        now: Timestamp,
    ) -> Option<Self> {
        let mut next = self.after(lease, refused)?;
        if next.standing == Standing::Authorized {
            if next.refresh_token.is_some() {
                next.due_at = Some(now);
            } else {
                next.standing = Standing::ReauthorizationRequired;
                next.due_at = None;
            }
        }
        Some(next)
    }

    /// The row once the holder of `lease` has given up for now; what it has stays.
    ///
    /// `retry_after` puts off the next try; without it the failure was not this authorizer's, and it stays due.
    #[must_use]
    pub fn failed(&self, lease: Lease, failure: &Failure, retry_after: Option<Timestamp>) -> Self {
        let mut next = self.clone();
        next.lease = next.lease.released(lease.seq);
        // Somebody has had an answer since, and it is of his authorization or lease: he did not fail.
        if self.is_overtaken(lease) {
            return next;
        }
        next.failure = Some(failure.clone());
        if let (Some(retry_after), Some(_)) = (retry_after, next.due_at) {
            next.failures = next.failures.saturating_add(1);
            next.due_at = Some(retry_after);
        }
        next
    }

    /// The row when the holder of `lease` may have been given an access token that he never saw: then the one before is
    /// surely good until `until` only.
    #[must_use]
    pub fn doubted(self, lease: Lease, until: Timestamp) -> Self {
        if self.is_overtaken(lease) {
            return self;
        }
        Self {
            doubted_from: earliest(self.doubted_from, until),
            ..self
        }
    }

    /// When to try again after the coming failure: doubling, with full jitter in the upper half.
    pub fn backoff(&self, now: Timestamp, jitter: f64) -> Timestamp {
        let doubled = FIRST_BACKOFF.saturating_mul(1 << self.failures.min(10));
        now + doubled.min(MAX_BACKOFF).mul_f64(0.5 + jitter / 2.0)
    }

    /// Whether the holder of `lease` has nothing more to do: a later one has had his answer, or the authorization is over.
    pub fn is_overtaken(&self, lease: Lease) -> bool {
        self.is_over(lease) || lease.seq < self.token_seq
    }

    /// The row without the lease and without what WeChat refused to its holder; `None` if the lease is over.
    fn after(&self, lease: Lease, refused: &[Secret<AuthorizerRefreshToken>]) -> Option<Self> {
        if self.is_over(lease) {
            return None;
        }
        let mut next = self.clone();
        next.lease = next.lease.released(lease.seq);
        next.forget(refused);
        Some(next)
    }
}
