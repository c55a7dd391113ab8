//! Authorizations: what an exchanged code, or WeChat's list, makes of a row.

use std::cmp::Ordering;
use std::time::Duration;

use super::revocation::TOMBSTONE_LIFE;
use super::{Authorizer, Evidence, GrantedTokens, Standing};
use crate::time::{MAX_CLOCK_SKEW, Timestamp};
use crate::token::{AuthorizerRefreshToken, Secret};

/// How long WeChat honours an access token.
/// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/ticket-token/getAuthorizerAccessToken.html>
const ACCESS_TOKEN_LIFE: Duration = Duration::from_hours(2);

impl Authorizer {
    /// The row once an authorization was granted; `None` if a newer one, or a revocation that may be newer, stands.
    ///
    /// Whatever tokens stood before are of no more use at WeChat, but an unrefused refresh token is kept beside; and so is
    /// the granted one, if WeChat was asked for what stands after it was asked for what was granted.
    pub fn authorize(
        &self,
        evidence: Evidence,
        granted: &GrantedTokens,
        now: Timestamp,
        jitter: f64,
    ) -> Option<Self> {
        let mut next = self.clone();
        match evidence {
            Evidence::At(at) if self.overtook(at) => return None,
            Evidence::At(at) => next.auth_epoch = at,
            Evidence::Since { newer_than, .. } if self.may_follow(newer_than) => return None,
            Evidence::Since { since, .. } => {
                next.auth_epoch = since.max(self.auth_epoch).max(self.revoked_at);
            }
        }
        let age = self.compare_age(granted);
        if age == Some(Ordering::Greater) || self.is_named_by(granted) {
            if let Some(token) = &granted.refresh_token {
                next.keep_beside(token);
            }
            return Some(next);
        }
        if let Some(token) = &granted.refresh_token {
            next.install(token);
        }
        let sure = !self.was_denied_since(granted.asked_at)
            && !self.awaits_another(granted)
            && !self.was_revoked_in_the_second_of(evidence);
        next.access_token = granted.access_token.clone().filter(|_| sure);
        next.doubted_from = None;
        if !granted.permission_sets.is_empty() {
            next.permission_sets.clone_from(&granted.permission_sets);
        }
        // An answer that is still on its way belongs to a lower lease now, if not to an older epoch.
        next.lease = next.lease.superseded();
        next.token_seq = next.lease.seq;
        next.restore(now, jitter);
        let known = granted
            .refresh_token
            .as_ref()
            .is_some_and(|token| self.knows(token));
        if known
            && next.due_at.is_some()
            && (age == Some(Ordering::Equal) || self.lease.seq > self.token_seq)
        {
            // It was renewed already, or is just now; the next renewal waits until that call must have taken effect.
            next.lease.until = self.lease.until;
            next.doubt(self.lease.until, granted.asked_at);
        }
        Some(next)
    }

    /// The row once WeChat's time of an authorization is known whose code was exchanged before; `None` if that changes
    /// nothing, or the row is a tombstone: then only WeChat knows which came last.
    pub fn confirm(&self, at: Timestamp) -> Option<Self> {
        if self.standing == Standing::Revoked || self.auth_epoch >= at {
            return None;
        }
        Some(Self {
            auth_epoch: at,
            ..self.clone()
        })
    }

    /// The row with what is kept of a grant that [`Authorizer::authorize`] does not take; `None` if that is nothing.
    ///
    /// A notice that is too old changes nothing. A browser's code may be newer than can be told: then the access token that
    /// stands may be dead, and the next one is got with whichever refresh token WeChat still takes.
    pub fn declined(
        &self,
        evidence: Evidence,
        granted: &GrantedTokens,
        now: Timestamp,
        jitter: f64,
    ) -> Option<Self> {
        if let Evidence::At(_) = evidence {
            return None;
        }
        let kept = self.beside(granted.refresh_token.as_ref()?)?;
        Some(kept.distrusted(now, jitter))
    }

    /// Whether an authorization of the time `at` is over: to exchange its code could only harm what stands.
    pub fn overtook(&self, at: Timestamp) -> bool {
        at < self.auth_epoch || at < self.revoked_at
    }

    /// Whether what stands here may be younger than something of the time `moment`.
    pub fn may_follow(&self, moment: Timestamp) -> bool {
        self.revoked_at > moment || self.auth_epoch > moment
    }

    /// Whether the authorization of the time `at` stands here, or a newer one does.
    pub fn stands_since(&self, at: Timestamp) -> bool {
        self.standing == Standing::Authorized && self.auth_epoch >= at
    }

    /// The row with a refresh token that WeChat gave kept beside what stands; `None` if it is known.
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
        now: Timestamp,
        jitter: f64,
    ) -> Option<Self> {
        let granted = GrantedTokens {
            refresh_token: refresh_token.cloned(),
            ..GrantedTokens::default()
        };
        // WeChat does not say that this time and the notice's are the same second.
        let evidence = Evidence::Since {
            since: auth_time - MAX_CLOCK_SKEW,
            newer_than: auth_time,
        };
        let unknown = refresh_token.filter(|token| !self.knows(token));
        match self.standing {
            // Never heard of, or a revocation older than the authorization that the list tells of.
            Standing::Revoked => self.authorize(evidence, &granted, now, jitter),
            // A notice got lost: the tokens here are of the authorization before.
            _ if unknown.is_some() && auth_time > self.auth_epoch => {
                self.authorize(evidence, &granted, now, jitter)
            }
            Standing::ReauthorizationRequired => {
                let mut next = self.clone();
                next.install(unknown?);
                next.restore(now, jitter);
                Some(next)
            }
            // A notice got lost and its code was never exchanged: what is older is of the authorization before.
            Standing::Authorized if refresh_token.is_none() && self.has_token_before(auth_time) => {
                let mut next = self.clone();
                next.access_token = None;
                next.doubted_from = None;
                next.due_at = next.due_at.min(Some(now));
                Some(next)
            }
            Standing::Authorized => self.beside(unknown?),
        }
    }

    /// Whether WeChat denied the authorization when it was asked at or after `moment`: of such a tombstone nobody knows
    /// when it was revoked, so an answer that was asked for before may raise it, but only to ask WeChat again.
    fn was_denied_since(&self, moment: Timestamp) -> bool {
        let undated = self.standing == Standing::Revoked && self.revoked_at <= self.auth_epoch;
        undated && self.ttl.is_some_and(|ttl| ttl >= moment + TOMBSTONE_LIFE)
    }

    /// Whether the access token was given before an authorization of the time `at`, which then ended it.
    fn has_token_before(&self, at: Timestamp) -> bool {
        let token = self.access_token.as_ref();
        token.is_some_and(|token| at > self.auth_epoch && token.expires_at < at + ACCESS_TOKEN_LIFE)
    }

    /// Whether another refresh token than the granted one stands here and was never used: the list named it, perhaps later.
    fn awaits_another(&self, granted: &GrantedTokens) -> bool {
        self.standing == Standing::Authorized
            && self.access_token.is_none()
            && self.refresh_token != granted.refresh_token
    }

    /// Whether WeChat has merely named the refresh token that stands: then the access token is of the same authorization.
    fn is_named_by(&self, granted: &GrantedTokens) -> bool {
        let named = granted.refresh_token.as_ref();
        granted.access_token.is_none() && named.is_some_and(|named| self.stands_by(named))
    }

    /// Whether only WeChat knows which of the two came last: it is asked with the refresh token.
    fn was_revoked_in_the_second_of(&self, evidence: Evidence) -> bool {
        self.standing == Standing::Revoked && evidence == Evidence::At(self.revoked_at)
    }

    /// How the access token here compares in age to the granted one; greater if WeChat was asked for it later. Then it is of
    /// the same authorization or a later one: an earlier one was over before the code of the granted one existed.
    fn compare_age(&self, granted: &GrantedTokens) -> Option<Ordering> {
        let here = self.access_token.as_ref()?.expires_at;
        let granted = granted.access_token.as_ref()?.expires_at;
        (self.standing == Standing::Authorized).then(|| here.cmp(&granted))
    }

    /// The row without its access token, which may be dead, and due for another; a tombstone stays as it is.
    fn distrusted(mut self, now: Timestamp, jitter: f64) -> Self {
        if self.standing == Standing::Revoked {
            return self;
        }
        let until = self.lease.until;
        self.access_token = None;
        self.doubted_from = None;
        // An answer that is still on its way counts no more.
        self.lease = self.lease.superseded();
        self.token_seq = self.lease.seq;
        self.restore(now, jitter);
        if until > Timestamp::default() {
            // The next renewal waits until that call must have taken effect.
            self.lease.until = until;
            self.due_at = Some(until);
        }
        self
    }
}
