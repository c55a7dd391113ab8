//! From lease to answer: what a renewal makes of a row.

use std::time::Duration;

use super::{Authorizer, Renewal, Standing, due};
use crate::row::{Failure, Lease, LeaseSlot, Order};
use crate::time::{Moment, Timestamp};
use crate::token::{AuthorizerRefreshToken, Secret};

/// What kind of failure has set a renewal back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Setback {
    /// The component's trouble: the account has done nothing, and is looked at again soon.
    Component {
        /// Not before this moment, if WeChat has told one.
        until: Option<Timestamp>,
    },
    /// The account's, of a kind that may pass in minutes.
    Account,
    /// WeChat limits the account itself.
    Limited,
    /// WeChat refuses what it names itself as right, or does not tell what is right instead.
    Contradicted {
        /// If one call has denied the authorization: when that was first so.
        denied_once_at: Option<Timestamp>,
    },
}

/// After the first failed renewal; doubled with each further one.
const FIRST_BACKOFF: Duration = Duration::from_mins(1);

/// At most this long between two tries for one authorizer.
const MAX_BACKOFF: Duration = Duration::from_mins(30);

/// If WeChat contradicts itself, or does not tell what is authorized: most often that is over in
/// minutes, and sometimes never.
const CONTRADICTED_BACKOFF: [Duration; 5] = [
    Duration::from_mins(5),
    Duration::from_mins(15),
    Duration::from_hours(1),
    Duration::from_hours(3),
    Duration::from_hours(6),
];

/// WeChat lifts a limit after hours or days, and tells no platform.
const LIMITED_BACKOFF: [Duration; 4] = [
    Duration::from_mins(30),
    Duration::from_hours(1),
    Duration::from_hours(3),
    Duration::from_hours(6),
];

/// For so long a refresh token that WeChat names and refuses is kept and tried.
const LONGEST_CONTRADICTION: Duration = Duration::from_hours(24);

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
        next.forget_setbacks();
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

    /// The row once the holder of `lease` has given up for now; what it has stays. It is always put
    /// off, so that no row is the head of its shard in the next run again.
    ///
    /// If WeChat has contradicted itself for a day, the row is given up, with its tokens.
    #[must_use]
    pub fn failed(
        &self,
        lease: Lease,
        failure: &Failure,
        setback: Setback,
        moment: Moment,
    ) -> Self {
        let mut next = self.clone();
        if self.is_over(lease) {
            // Whatever failed was not the renewal of the authorization that is stored.
            next.slot.lease = self.slot.lease.released(lease.seq);
            return next;
        }
        next.slot = self.slot.failed(lease, failure);
        if self.slot.order(lease) == Order::Overtaken || next.due_at.is_none() {
            return next;
        }
        next.due_at = Some(moment.now + self.backoff(setback, moment.jitter));
        match setback {
            Setback::Component { until } => {
                next.due_at = next.due_at.max(until);
                return next;
            }
            Setback::Account => {}
            Setback::Limited => next.limited_at = next.limited_at.or(Some(moment.now)),
            Setback::Contradicted { denied_once_at } => {
                next.denied_once_at = denied_once_at.or(next.denied_once_at);
                let since = *next.contradicted_since.get_or_insert(moment.now);
                if since + LONGEST_CONTRADICTION <= moment.now {
                    next.standing = Standing::ReauthorizationRequired;
                    next.due_at = None;
                }
            }
        }
        next.failures = next.failures.saturating_add(1);
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

    /// How long to wait after the coming failure, with jitter in the upper half.
    pub(super) fn backoff(&self, setback: Setback, jitter: f64) -> Duration {
        let step = usize::try_from(self.failures).unwrap_or(usize::MAX);
        let of = |steps: &[Duration]| {
            let last = steps.last().copied().unwrap_or(FIRST_BACKOFF);
            steps.get(step).copied().unwrap_or(last)
        };
        let whole = match setback {
            Setback::Component { .. } => FIRST_BACKOFF,
            Setback::Account => FIRST_BACKOFF
                .saturating_mul(1 << self.failures.min(10))
                .min(MAX_BACKOFF),
            Setback::Contradicted { .. } => return of(&CONTRADICTED_BACKOFF),
            Setback::Limited => of(&LIMITED_BACKOFF),
        };
        whole.mul_f64(0.5 + jitter / 2.0)
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
