//! Authorizations: what an exchanged code, or WeChat's list, makes of a row.

use std::cmp::Ordering;
use std::time::Duration;

use super::{Authorizer, Evidence, GrantedTokens, Standing};
use crate::time::{MAX_CLOCK_SKEW, Moment, Timestamp};
use crate::token::{ACCESS_TOKEN_LIFE, AuthorizerRefreshToken, Secret};

/// What an authorization that is taken means for the tokens of a row.
///
/// The first line that fits decides. A token is *issued later* if it expires later, since WeChat
/// gives all of them the same life. A granted refresh token is the one that WeChat gave; if it gave
/// none, the stored one stays.
///
/// | stored | granted | refresh token | access token | lease | due |
/// |---|---|---|---|---|---|
/// | access token issued later than the granted one | any | stored, granted beside | stored | as it was | as it was |
/// | authorized by the granted refresh token | no access token | stored | stored | as it was | as it was |
/// | tombstone: WeChat denied it when asked, or later | any | granted | none | free | now |
/// | tombstone of the very second of the notice | any | granted | none | free | now |
/// | authorized by another refresh token, never used | any | granted | none | free | now |
/// | anything else | any | granted | granted | free | before it expires |
///
/// In the last four lines another call may have used the granted refresh token (see
/// [`CallUnderWay`]). Then the lease keeps its end, the row is due at that end, and the access token
/// is in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weighed {
    /// What is stored is as new as what is granted, or newer.
    StoredIsNewer,
    /// What is granted takes the place of what is stored.
    GrantedIsNewer(AccessToken, CallUnderWay),
}

/// Whether the granted access token can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AccessToken {
    /// It can.
    Granted,
    /// The authorization may be over: the next renewal asks WeChat.
    Untrusted,
}

/// Whether another call with the granted refresh token may have reached WeChat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallUnderWay {
    None,
    /// WeChat's list had named the refresh token, and a renewal with it has ended in the same
    /// second, or is in flight.
    WithTheSameToken,
}

/// The time over which accounts are renewed that a list has brought.
const SPREAD: Duration = Duration::from_hours(1);

/// A page of the list that is in use is younger than this.
const LONGEST_WALK: Duration = Duration::from_hours(1);

impl Authorizer {
    /// The row once an authorization was granted; `None` if a newer one is stored, or a revocation
    /// that may be newer.
    pub fn authorize(
        &self,
        evidence: Evidence,
        granted: &GrantedTokens,
        moment: Moment,
    ) -> Option<Self> {
        let mut next = Self {
            auth_epoch: self.epoch_after(evidence)?,
            ..self.clone()
        };
        let (access_token, under_way) = match self.weigh(evidence, granted) {
            Weighed::StoredIsNewer => {
                if let Some(token) = &granted.refresh_token {
                    next.keep_beside(token);
                }
                return Some(next);
            }
            Weighed::GrantedIsNewer(access_token, under_way) => (access_token, under_way),
        };
        if let Some(token) = &granted.refresh_token {
            next.install(token);
        }
        next.slot = self.slot.cleared(match access_token {
            AccessToken::Granted => granted.access_token.clone(),
            AccessToken::Untrusted => None,
        });
        if let Some(permission_sets) = &granted.permission_sets {
            next.permission_sets.clone_from(permission_sets);
        }
        next.restore(moment);
        if under_way == CallUnderWay::WithTheSameToken && next.due_at.is_some() {
            // The next renewal waits until that call must have taken effect.
            next.slot.lease.until = self.slot.lease.until;
            next.overlapped(self.slot.lease.until, granted.asked_at);
        }
        Some(next)
    }

    /// The epoch once an authorization is taken; `None` if it is older than what is stored, or may
    /// be.
    fn epoch_after(&self, evidence: Evidence) -> Option<Timestamp> {
        match evidence {
            Evidence::At(at) => (!self.overtook(at)).then_some(at),
            Evidence::Since { since, newer_than } => {
                let lower_bound = since.max(self.auth_epoch).max(self.revoked_at);
                (!self.may_follow(newer_than)).then_some(lower_bound)
            }
        }
    }

    /// Reads the table of [`Weighed`].
    fn weigh(&self, evidence: Evidence, granted: &GrantedTokens) -> Weighed {
        let age = self.compare_age(granted);
        if age == Some(Ordering::Greater) || self.is_named_by(granted) {
            return Weighed::StoredIsNewer;
        }
        let untrusted = self.was_denied_since(granted.asked_at)
            || self.was_revoked_in_the_second_of(evidence)
            || self.awaits_another(granted);
        let access_token = if untrusted {
            AccessToken::Untrusted
        } else {
            AccessToken::Granted
        };
        let stored_before = granted
            .refresh_token
            .as_ref()
            .is_some_and(|token| self.knows(token));
        let renewed_with_it =
            age == Some(Ordering::Equal) || self.slot.lease.seq > self.slot.token_seq;
        let under_way = if stored_before && renewed_with_it {
            CallUnderWay::WithTheSameToken
        } else {
            CallUnderWay::None
        };
        Weighed::GrantedIsNewer(access_token, under_way)
    }

    /// The row once WeChat's time of an authorization is known whose code was exchanged before;
    /// `None` if that changes nothing, or the row is a tombstone: then only WeChat knows which came
    /// last.
    pub fn confirm(&self, at: Timestamp) -> Option<Self> {
        if self.standing == Standing::Revoked || self.auth_epoch >= at {
            return None;
        }
        Some(Self {
            auth_epoch: at,
            ..self.clone()
        })
    }

    /// The row with what is kept of a grant that [`Authorizer::authorize`] does not take; `None` if
    /// that is nothing.
    ///
    /// A notice that is too old changes nothing. A browser's code may be newer than the row can
    /// tell: then the stored access token may be dead, and the next one is got with the refresh
    /// token that WeChat still takes.
    pub fn declined(
        &self,
        evidence: Evidence,
        granted: &GrantedTokens,
        moment: Moment,
    ) -> Option<Self> {
        if let Evidence::At(_) = evidence {
            return None;
        }
        let kept = self.beside(granted.refresh_token.as_ref()?)?;
        Some(kept.distrusted(moment))
    }

    /// Whether the row records an authorization or a revocation later than `at`, the time of an
    /// authorization: to exchange its code could only harm what is stored.
    pub fn overtook(&self, at: Timestamp) -> bool {
        at < self.auth_epoch || at < self.revoked_at
    }

    /// Whether the row records an authorization or a revocation that may be later than `bound`, the
    /// latest moment known to lie before an authorization of unknown time.
    pub fn may_follow(&self, bound: Timestamp) -> bool {
        self.overtook(bound)
    }

    /// Whether the authorization of the time `at` is stored, or a newer one.
    pub fn is_authorized_since(&self, at: Timestamp) -> bool {
        self.standing == Standing::Authorized && self.auth_epoch >= at
    }

    /// Whether the authorization of the time `at` may be the stored one, of whose time no more than a
    /// bound is known.
    pub fn may_be_authorized_at(&self, at: Timestamp) -> bool {
        self.standing == Standing::Authorized && self.auth_epoch + MAX_CLOCK_SKEW * 2 >= at
    }

    /// The row with a refresh token that WeChat gave kept beside the current one; `None` if it is
    /// known.
    pub fn beside(&self, token: &Secret<AuthorizerRefreshToken>) -> Option<Self> {
        let mut next = self.clone();
        next.keep_beside(token);
        (next != *self).then_some(next)
    }

    /// The row once WeChat's list names the account; `None` if that changes nothing.
    pub fn listed(
        &self,
        auth_time: Timestamp,
        refresh_token: Option<&Secret<AuthorizerRefreshToken>>,
        moment: Moment,
    ) -> Option<Self> {
        let granted = GrantedTokens {
            refresh_token: refresh_token.cloned(),
            ..GrantedTokens::default()
        };
        // WeChat does not say that this time and the notice's are the same second.
        let evidence = Evidence::Since {
            since: auth_time - MAX_CLOCK_SKEW,
            newer_than: if self.was_denied_alone(moment.now - LONGEST_WALK) {
                auth_time.max(self.auth_epoch)
            } else {
                auth_time
            },
        };
        let unknown = refresh_token.filter(|token| !self.knows(token));
        match self.standing {
            // Never heard of, or a revocation older than the authorization that the list tells of,
            // or a denial that WeChat has taken back.
            Standing::Revoked => {
                let mut next = self.authorize(evidence, &granted, moment)?;
                next.listed_at = Some(moment.now);
                next.spread(moment);
                Some(next)
            }
            // A notice got lost: the tokens here are of the authorization before.
            _ if unknown.is_some() && auth_time > self.auth_epoch => {
                self.authorize(evidence, &granted, moment)
            }
            Standing::ReauthorizationRequired => {
                let mut next = self.clone();
                next.install(unknown?);
                next.restore(moment);
                next.spread(moment);
                Some(next)
            }
            // A notice got lost and its code was never exchanged: what is older is of the
            // authorization before.
            Standing::Authorized if refresh_token.is_none() && self.has_token_before(auth_time) => {
                let mut next = self.clone();
                next.slot.token = None;
                next.slot.doubted_from = None;
                next.due_at = next.due_at.min(Some(moment.now));
                Some(next)
            }
            // Imported by hand, without a time to look at it.
            Standing::Authorized if self.refresh_token.is_some() && self.due_at.is_none() => {
                let mut next = self.clone();
                if let Some(token) = unknown {
                    next.keep_beside(token);
                }
                next.due_at = Some(moment.now);
                next.spread(moment);
                Some(next)
            }
            Standing::Authorized => self.beside(unknown?),
        }
    }

    /// Puts off what the list has made due at once, each row by another part of [`SPREAD`]: a list of
    /// a hundred thousand accounts must not become a hundred thousand renewals at once. A caller who
    /// asks for the token earlier renews it.
    fn spread(&mut self, moment: Moment) {
        if self.due_at.is_some_and(|due_at| due_at <= moment.now) {
            self.due_at = Some(moment.now + SPREAD.mul_f64(moment.jitter));
        }
    }

    /// Whether the access token was issued before an authorization of the time `at`, which then
    /// ended it.
    fn has_token_before(&self, at: Timestamp) -> bool {
        let token = self.slot.token.as_ref();
        token.is_some_and(|token| at > self.auth_epoch && token.expires_at < at + ACCESS_TOKEN_LIFE)
    }

    /// Whether another refresh token than the granted one is stored and was never used: the list
    /// named it, perhaps later.
    fn awaits_another(&self, granted: &GrantedTokens) -> bool {
        self.standing == Standing::Authorized
            && self.slot.token.is_none()
            && self.refresh_token != granted.refresh_token
    }

    /// Whether WeChat has merely named the stored refresh token: then the access token is of the
    /// same authorization.
    fn is_named_by(&self, granted: &GrantedTokens) -> bool {
        let named = granted.refresh_token.as_ref();
        granted.access_token.is_none() && named.is_some_and(|named| self.is_authorized_by(named))
    }

    /// Whether only WeChat knows which of the two came last: the next renewal asks WeChat.
    fn was_revoked_in_the_second_of(&self, evidence: Evidence) -> bool {
        self.standing == Standing::Revoked && evidence == Evidence::At(self.revoked_at)
    }

    /// Whether the stored access token is newer than the granted one. If so it belongs to the same
    /// authorization or a later one, because WeChat ends the earlier one before it issues the code.
    fn compare_age(&self, granted: &GrantedTokens) -> Option<Ordering> {
        let stored = self.slot.token.as_ref()?.expires_at;
        let granted = granted.access_token.as_ref()?.expires_at;
        (self.standing == Standing::Authorized).then(|| stored.cmp(&granted))
    }

    /// The row without its access token, which may be dead, and due for another; a tombstone stays
    /// as it is.
    pub(crate) fn distrusted(mut self, moment: Moment) -> Self {
        if self.standing == Standing::Revoked {
            return self;
        }
        let until = self.slot.lease.until;
        self.slot = self.slot.cleared(None);
        self.restore(moment);
        if until > Timestamp::default() {
            // The next renewal waits until the call in flight must have taken effect.
            self.slot.lease.until = until;
            self.due_at = Some(until);
        }
        self
    }
}
