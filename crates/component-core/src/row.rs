//! A row whose token is renewed: the token, the lease under which it is renewed, and why a renewal
//! failed. No I/O, no clock.

use std::time::Duration;

use component_api::code::Code;

use crate::time::Timestamp;
use crate::token::{Expiring, OVERLAP};
use crate::wechat::refusal::{Concern, Endpoint, Refusal, Refused};

pub mod authorizer;
pub mod component_token;
pub mod need;

/// A token that is renewed, as a row holds it.
///
/// The token is *in doubt* if WeChat may have issued another one that is not stored here. WeChat
/// honours the stored one for the overlap, five minutes, and nothing in the row tells its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSlot<K> {
    /// The newest token stored.
    pub token: Option<Expiring<K>>,
    /// The number of the lease whose holder stored it.
    pub token_seq: u64,
    /// The latest lease, held or free.
    pub lease: LeaseSlot,
    /// From this moment `token` may be dead: WeChat may have issued another one five minutes before.
    pub doubted_from: Option<Timestamp>,
    /// Why the last renewal failed, if it did.
    pub failure: Option<Failure>,
}

/// The latest lease on a row: until it ends, no other caller than its holder should renew the token.
///
/// The lease saves calls. It never guards what WeChat gave, since a holder can be slower than its
/// lease is long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaseSlot {
    /// The lease's number. It grows with every lease, and with every event after which answers to
    /// earlier leases must not count as the latest.
    pub seq: u64,
    /// When the lease ends. Zero: the holder has given it back. In the past: the holder let it
    /// expire, and other callers may take the next one.
    pub until: Timestamp,
}

/// A lease that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The epoch of the authorization under which it was taken; zero for the component's own token.
    pub epoch: Timestamp,
    /// Its number.
    pub seq: u64,
    /// The row's `token_seq` when it was taken.
    pub token_seq: u64,
}

/// An access token as WeChat gave it.
#[derive(Clone, Debug)]
pub struct Issued<K> {
    /// The token.
    pub token: Expiring<K>,
    /// When WeChat was asked for it. If two calls are in flight at once, either may be answered last,
    /// and its token ends the other's.
    pub asked_at: Timestamp,
    /// Whether an earlier try of the same call got no answer. WeChat may still answer that try, and
    /// issue another token.
    pub after_unanswered_try: bool,
}

/// A slot once WeChat has answered the holder of a lease.
#[derive(Debug)]
pub struct Renewed<K> {
    /// The slot now.
    pub slot: TokenSlot<K>,
    /// How the answer compares with those to other leases.
    pub order: Order,
    /// Whether another call may have reached WeChat after this one, so that the token in the slot
    /// is in doubt.
    pub overlapped: bool,
}

/// How an answer compares with those to other leases on the same row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// No later lease was taken.
    Last,
    /// A later lease was taken, and its holder has stored no token yet.
    Newest,
    /// The holder of a later lease has stored its token, or an event has ended all leases so far.
    Overtaken,
}

/// Why the last renewals of a token failed: facts alone. The error code and the advice to callers are
/// read from them when they are needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What ended the last of them.
    pub cause: Cause,
    /// When the first of them failed.
    pub since: Timestamp,
    /// How many times WeChat has refused, one after the other; zero if the last renewal failed for
    /// another reason.
    pub refusals: u32,
    /// Until then another try would fail alike: callers get this failure, and WeChat is not called.
    pub until: Timestamp,
    /// The version of the secret with which the last of them failed, if that is known. With a newer
    /// one another try may succeed.
    pub secret: Option<SecretVersion>,
}

/// A version of the component's secret: when it was made, and which it is. A greater one is newer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretVersion(String);

/// What ended a renewal without a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// WeChat refused a call.
    Refused(Refused),
    /// WeChat did not answer a call of this endpoint.
    Unanswered(Endpoint),
    /// The renewal failed without a failed call to WeChat, such as for want of a ticket.
    Other(Code),
}

/// The longest time for a renewal, its waiting included, however long the invocation may take: it
/// bounds the lease, and with it how long a crash keeps other callers from trying.
pub const MAX_RENEWAL: Duration = Duration::from_secs(20);

/// By this much a lease outlives its holder's deadline, which is itself up to three seconds before
/// the function's own.
pub const LEASE_MARGIN: Duration = Duration::from_secs(4);

/// No lease lasts longer; the second is for rounding.
pub const LONGEST_LEASE: Duration = MAX_RENEWAL
    .saturating_add(LEASE_MARGIN)
    .saturating_add(Duration::from_secs(1));

/// After the first refusal; doubled with each further one. Short enough to notice when the cause is
/// mended, and long enough that a thousand callers are no storm of calls.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// The schedule tries every five minutes whatever was refused, so no other caller need wait longer
/// than that. Trying more often would use up a day's quota of calls by calls that are refused.
const MAX_PAUSE: Duration = Duration::from_mins(5);

impl<K> Default for TokenSlot<K> {
    fn default() -> Self {
        Self {
            token: None,
            token_seq: 0,
            lease: LeaseSlot::default(),
            doubted_from: None,
            failure: None,
        }
    }
}

impl<K: Clone> TokenSlot<K> {
    /// The token, with its expiry moved forward to the moment from which it may be dead, by what the
    /// row tells at `now`.
    pub fn trusted(&self, now: Timestamp) -> Option<Expiring<K>> {
        let doubted_from = earliest(self.doubted_from, self.lease.abandoned_from(now));
        self.token.as_ref().map(|token| token.until(doubted_from))
    }

    /// The slot once its lease is taken at `now`. If the holder before let its lease expire, it may
    /// have been issued a token: that doubt is noted.
    #[must_use]
    pub fn leased(&self, lease: LeaseSlot, now: Timestamp) -> Self {
        Self {
            lease,
            doubted_from: earliest(self.doubted_from, self.lease.abandoned_from(now)),
            ..self.clone()
        }
    }

    /// The slot once WeChat has answered the holder of `lease`: the token of the lease with the
    /// largest number is stored.
    ///
    /// If another answer was stored while this call was in flight, or an earlier try of this call got
    /// no answer, WeChat may have served either call last. The other call's token dies with the
    /// overlap, so the stored one is in doubt.
    pub fn renewed(&self, lease: Lease, issued: &Issued<K>) -> Renewed<K> {
        let order = self.order(lease);
        let mut slot = self.clone();
        slot.lease = self.lease.released(lease.seq);
        if order == Order::Overtaken {
            // WeChat may have served this call after that of a holder which has not written yet: that
            // one is no longer the last, so that it keeps the doubt.
            slot.lease.seq += 1;
        } else {
            slot.token = Some(issued.token.clone());
            slot.token_seq = lease.seq;
            slot.failure = None;
        }
        if order == Order::Last {
            // If a later lease exists, its token will be newer than this one: then the doubt that was
            // noted when that lease was taken stays.
            slot.doubted_from = None;
        }
        let overlapped = lease.token_seq != self.token_seq || issued.after_unanswered_try;
        if overlapped {
            slot.doubt(issued.asked_at + OVERLAP);
        }
        Renewed {
            slot,
            order,
            overlapped,
        }
    }

    /// The slot when the holder of `lease` may have been issued a token that it never saw: the
    /// stored one is in doubt from `from` on.
    #[must_use]
    pub fn doubted(mut self, lease: Lease, from: Timestamp) -> Self {
        if self.order(lease) != Order::Overtaken {
            self.doubt(from);
        }
        self
    }

    /// The slot once the holder of `lease` has given up. The token stays.
    ///
    /// The failure is not noted if a later lease has brought a token: the renewal did not fail.
    #[must_use]
    pub fn failed(&self, lease: Lease, failure: &Failure) -> Self {
        let mut next = self.clone();
        next.lease = self.lease.released(lease.seq);
        if self.order(lease) != Order::Overtaken {
            next.failure = Some(failure.clone());
        }
        next
    }

    /// A slot with `token`, or without one, that ends all leases so far: answers that are in flight
    /// do not count any more.
    #[must_use]
    pub fn cleared(&self, token: Option<Expiring<K>>) -> Self {
        let lease = self.lease.superseded();
        Self {
            token,
            token_seq: lease.seq,
            lease,
            doubted_from: None,
            failure: None,
        }
    }

    /// How an answer to `lease` compares with those to other leases.
    pub fn order(&self, lease: Lease) -> Order {
        if lease.seq < self.token_seq {
            Order::Overtaken
        } else if lease.seq == self.lease.seq {
            Order::Last
        } else {
            Order::Newest
        }
    }

    /// Puts the token in doubt from `from` on; an earlier doubt stays.
    pub(crate) fn doubt(&mut self, from: Timestamp) {
        self.doubted_from = earliest(self.doubted_from, Some(from));
    }
}

impl LeaseSlot {
    /// The slot once the holder of `seq` has finished; that of a later holder is left alone.
    #[must_use]
    pub(crate) fn released(self, seq: u64) -> Self {
        let until = if self.seq == seq {
            Timestamp::default()
        } else {
            self.until
        };
        Self { until, ..self }
    }

    /// The slot when all leases so far are to count for nothing.
    #[must_use]
    pub(crate) fn superseded(self) -> Self {
        Self {
            seq: self.seq + 1,
            until: Timestamp::default(),
        }
    }

    /// If the holder has let the lease expire, WeChat may have issued a token to it, at the earliest
    /// when the lease was taken. Answers the moment from which that token ended the stored one.
    fn abandoned_from(self, now: Timestamp) -> Option<Timestamp> {
        let abandoned = self.until != Timestamp::default() && self.until <= now;
        abandoned.then(|| self.until + OVERLAP - LONGEST_LEASE)
    }
}

impl SecretVersion {
    /// The version `id`. Within one second the id decides, so that of two versions each function takes
    /// the same one for the newer.
    pub fn new(made_at: Timestamp, id: &str) -> Self {
        Self(format!("{:010}#{id}", made_at.as_secs()))
    }

    /// The version that a row names.
    pub(crate) fn named(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// As a row names it. Nothing of the secret is in it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Cause {
    /// Its code.
    pub fn code(&self) -> Code {
        match self {
            Self::Refused(refused) => refused.code(),
            Self::Unanswered(_) => Code::WechatUnavailable,
            Self::Other(code) => *code,
        }
    }
}

impl Failure {
    /// The failure `cause` at `now`, after the failure `before` it.
    ///
    /// If WeChat has refused, it would refuse again at once: so callers share the refusal for a while.
    /// Any other cause may be over at any moment.
    pub fn after(before: Option<&Self>, cause: Cause, now: Timestamp) -> Self {
        let since = before.map_or(now, |failure| failure.since);
        let refused = match &cause {
            Cause::Refused(refused) if refused.code() != Code::WechatUnavailable => refused,
            _ => {
                return Self {
                    cause,
                    since,
                    refusals: 0,
                    until: now,
                    secret: None,
                };
            }
        };
        let refusals_before = before.map_or(0, |failure| failure.refusals);
        let until = match refused.meaning() {
            Refusal::Limited => now + MAX_PAUSE,
            Refusal::MinuteQuota => next_minute(now),
            _ => now + pause_after(refusals_before),
        };
        Self {
            cause,
            since,
            refusals: refusals_before.saturating_add(1),
            until,
            secret: None,
        }
    }

    /// The same, met with this version of the secret: it is noted if callers share the failure.
    #[must_use]
    pub fn with(self, secret: Option<SecretVersion>) -> Self {
        let secret = secret.filter(|_| self.refusals > 0);
        Self { secret, ..self }
    }

    /// Whether WeChat has refused to give the component's own token.
    pub fn is_of_component_token(&self) -> bool {
        matches!(&self.cause, Cause::Refused(refused) if refused.endpoint == Endpoint::ComponentToken)
    }

    /// Whether WeChat, asked for any account, would have refused alike, and has given another one its
    /// token at `renewed_at`, after it had refused this one.
    pub fn is_over_since(&self, renewed_at: Timestamp) -> bool {
        let of_any_account = matches!(&self.cause, Cause::Refused(refused)
            if refused.endpoint == Endpoint::AuthorizerToken && refused.concerns() == Concern::Component);
        let pause = pause_after(self.refusals.saturating_sub(1));
        of_any_account && self.until < renewed_at + pause
    }
}

impl<K: Clone> Issued<K> {
    /// The token as far as it can be trusted when it could not be stored, and the lease ends at
    /// `lease_end`: then the next caller renews, and this token dies with the overlap.
    pub(crate) fn unstored(&self, lease_end: Timestamp) -> Expiring<K> {
        let tried = self.after_unanswered_try.then_some(self.asked_at);
        let from = earliest(tried, Some(lease_end)).map(|moment| moment + OVERLAP);
        self.token.until(from)
    }
}

/// How long callers share a refusal that came after so many others.
fn pause_after(refusals: u32) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(1 << refusals.min(10));
    pause.min(MAX_PAUSE)
}

/// When WeChat counts the calls of a minute anew.
pub fn next_minute(now: Timestamp) -> Timestamp {
    Timestamp::from_secs((now.as_secs() / 60 + 1) * 60)
}

/// The earlier of two moments, of which either may be missing.
fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests;
