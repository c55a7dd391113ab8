//! From lease to answer: what a renewal makes of a row.

use std::time::Duration;

use super::{Authorizer, Renewal, Standing, due};
use crate::row::{Failure, Lease, LeaseSlot, Order};
use crate::time::{Moment, Timestamp};
use crate::token::{AuthorizerRefreshToken, Secret};

/// After the first failed renewal; doubled with each further one.
const FIRST_BACKOFF: Duration = Duration::from_mins(1);

/// At most this long between two tries for one authorizer.
const MAX_BACKOFF: Duration = Duration::from_mins(30);

impl Authorizer {
    /// The row once its lease is taken at `now`.
    ///
    /// If the holder never comes back, WeChat may have issued a token to it, and the stored one
    /// dies: so the row is due when the lease ends.
    #[must_use]
    pub fn leased(&self, lease: LeaseSlot, now: Timestamp) -> Self {
        Self {
            slot: self.slot.leased(lease, now),
            due_at: self.due_at.map(|due_at| due_at.min(lease.until)),
            ..self.clone()
        }
    }

    /// The row once WeChat has answered the holder of `lease`, having refused the tokens `refused`
    /// on the way; `None` if the answer belongs to an authorization that is over.
    ///
    /// Within one authorization the access token of the highest lease wins, and no refresh token is
    /// dropped but those that WeChat refused. After renewals that overlapped the row is due for one
    /// more.
    pub fn renewed(
        &self,
        lease: Lease,
        renewal: &Renewal,
        refused: &[Secret<AuthorizerRefreshToken>],
        moment: Moment,
    ) -> Option<Self> {
        let issued = &renewal.access_token;
        let Some(mut next) = self.after(lease, refused) else {
            return self.renewed_beside(renewal);
        };
        let renewed = self.slot.renewed(lease, issued);
        if renewed.order == Order::Overtaken || self.standing == Standing::Revoked {
            next.keep_beside(&renewal.refresh_token);
            if next.standing == Standing::ReauthorizationRequired {
                // It was given up without this token, which was not tried yet: so it is due at once.
                next.restore(Moment {
                    now: Timestamp::default(),
                    ..moment
                });
            }
            if next.standing == Standing::Authorized {
                next.overlapped(Timestamp::default(), issued.asked_at);
            }
            return Some(next);
        }
        next.install(&renewal.refresh_token);
        next.slot = renewed.slot;
        next.standing = Standing::Authorized;
        next.failures = 0;
        let due_at = due(&issued.token, moment.jitter);
        // If a later lease exists, its token is newer than this one: keep the due time that lease
        // set.
        next.due_at = Some(match (renewed.order, self.due_at) {
            (Order::Newest, Some(of_later)) => of_later.min(due_at),
            _ => due_at,
        });
        if renewed.overlapped {
            next.overlapped(Timestamp::default(), issued.asked_at);
        }
        Some(next)
    }

    /// The row when an answer of an authorization that is over was got with the very refresh token
    /// that is stored: WeChat's list had named it before the code's exchange stored it. Either call
    /// may have reached WeChat last, so the row is due.
    fn renewed_beside(&self, renewal: &Renewal) -> Option<Self> {
        self.is_authorized_by(&renewal.refresh_token).then(|| {
            let mut next = self.clone();
            next.overlapped(Timestamp::default(), renewal.access_token.asked_at);
            next
        })
    }

    /// The row once WeChat has refused every refresh token that the holder of `lease` knew; `None`
    /// if that was under an authorization that is over.
    ///
    /// A token that came in meanwhile has not been tried: then the row is due again instead of given
    /// up.
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
    /// `retry_after` puts off the next try. Without it the failure was not this authorizer's, and
    /// the row stays due.
    #[must_use]
    pub fn failed(&self, lease: Lease, failure: &Failure, retry_after: Option<Timestamp>) -> Self {
        let mut next = self.clone();
        if self.is_over(lease) {
            // Whatever failed was not the renewal of the authorization that is stored.
            next.slot.lease = self.slot.lease.released(lease.seq);
            return next;
        }
        next.slot = self.slot.failed(lease, failure);
        if self.slot.order(lease) != Order::Overtaken
            && let (Some(retry_after), Some(_)) = (retry_after, next.due_at)
        {
            next.failures = next.failures.saturating_add(1);
            next.due_at = Some(retry_after);
        }
        next
    }

    /// The row when the holder of `lease` may have been issued an access token that it never saw:
    /// the stored one is in doubt from `from` on.
    #[must_use]
    pub fn doubted(self, lease: Lease, from: Timestamp) -> Self {
        if self.is_over(lease) {
            return self;
        }
        Self {
            slot: self.slot.doubted(lease, from),
            ..self
        }
    }

    /// When to try again after the coming failure: doubling, with full jitter in the upper half.
    pub fn backoff(&self, moment: Moment) -> Timestamp {
        let doubled = FIRST_BACKOFF.saturating_mul(1 << self.failures.min(10));
        moment.now + doubled.min(MAX_BACKOFF).mul_f64(0.5 + moment.jitter / 2.0)
    }

    /// Whether the holder of `lease` has nothing more to do: a later lease has brought its token, or
    /// the authorization is over.
    pub fn is_overtaken(&self, lease: Lease) -> bool {
        self.is_over(lease) || self.slot.order(lease) == Order::Overtaken
    }

    /// The row without the lease and without what WeChat refused to its holder; `None` if the lease
    /// is over.
    fn after(&self, lease: Lease, refused: &[Secret<AuthorizerRefreshToken>]) -> Option<Self> {
        if self.is_over(lease) {
            return None;
        }
        let mut next = self.clone();
        next.slot.lease = self.slot.lease.released(lease.seq);
        next.forget(refused);
        Some(next)
    }
}
