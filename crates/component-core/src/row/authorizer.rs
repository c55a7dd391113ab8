//! The row of one authorizer. What authorizations, renewals and revocations make of it has a file
//! each. No I/O, no clock.

use std::time::Duration;

use super::{Issued, Lease, TokenSlot};
use crate::time::{Moment, Timestamp};
use crate::token::{AuthorizerAccessToken, AuthorizerRefreshToken, Expiring, OVERLAP, Secret};
use component_api::id::AuthorizerAppId;

mod authorize;
mod change;
mod renewal;
mod revocation;

pub use change::Change;
pub use renewal::Setback;
pub use revocation::{Denial, Revocation, denied_at_of_undated};

/// An authorizer's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorizer {
    /// The account.
    pub appid: AuthorizerAppId,
    /// Grows with every write of the row: a write that read an older one is refused.
    pub generation: u64,
    /// What the merchant did.
    pub standing: Standing,
    /// The *epoch*: `CreateTime` of the newest authorization taken, or a moment known to lie before
    /// it.
    pub auth_epoch: Timestamp,
    /// `CreateTime` of the newest revocation taken; zero if there was none.
    pub revoked_at: Timestamp,
    /// The refresh token to use.
    pub refresh_token: Option<Secret<AuthorizerRefreshToken>>,
    /// Refresh tokens that WeChat gave and has not refused, newest first, without the one above.
    pub history: Vec<Secret<AuthorizerRefreshToken>>,
    /// The access token, and who renews it.
    pub slot: TokenSlot<AuthorizerAccessToken>,
    /// Renewals that failed in a row.
    pub failures: u32,
    /// When the refresher should look at it; never, if it may not or need not.
    pub due_at: Option<Timestamp>,
    /// Ids of the permission sets that the authorizer granted (`func_info`).
    pub permission_sets: Vec<u64>,
    /// The account's name (`nick_name`).
    pub name: Option<String>,
    /// When the list brought the account, whose name is then asked for a day later.
    pub listed_at: Option<Timestamp>,
    /// The account's own id (`user_name`, `gh_..`), by which WeChat addresses messages to it.
    pub user_name: Option<String>,
    /// Whether it is a mini program, which shows hardly any passive reply.
    pub is_mini_program: Option<bool>,
    /// The vendor's own name for the account.
    pub reference: Option<Reference>,
    /// Since when WeChat limits the account itself (50002, 48004); it says nothing about what the
    /// merchant did.
    pub limited_at: Option<Timestamp>,
    /// Since when WeChat refuses every refresh token, or the authorization, and either names it itself
    /// as right or does not tell what is.
    pub contradicted_since: Option<Timestamp>,
    /// When one call of WeChat's denied the authorization that no other call has denied yet.
    pub denied_once_at: Option<Timestamp>,
    /// For a tombstone that WeChat's word made, without a notice: when WeChat denied the
    /// authorization.
    pub denied_at: Option<Timestamp>,
    /// When a tombstone may be forgotten.
    pub ttl: Option<Timestamp>,
    /// How many changes siblings were told of: the `sequence` of the last event.
    pub event_seq: u64,
}

/// The vendor's own name for an account, from the link by which it was authorized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The name.
    pub name: String,
    /// When the account was authorized by that link, as far as is known.
    pub at: Timestamp,
    /// Since when it is the name in place of another one, under which the account was authorized.
    pub replaced_at: Option<Timestamp>,
}

/// What the merchant did: whether the component may act for the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Authorized,
    /// The merchant has withdrawn the authorization. The row is a *tombstone*, which orders what
    /// comes late.
    Revoked,
    /// WeChat refuses every refresh token that is stored: the merchant must authorize again.
    ReauthorizationRequired,
}

/// What WeChat says is granted: by an exchanged code, or in its list.
#[derive(Clone, Debug, Default)]
pub struct GrantedTokens {
    /// When WeChat was asked. An answer to a later question may differ.
    pub asked_at: Timestamp,
    /// Absent from the list, and for accounts without API permission.
    pub access_token: Option<Expiring<AuthorizerAccessToken>>,
    /// Absent, in the list too, until a code was exchanged.
    pub refresh_token: Option<Secret<AuthorizerRefreshToken>>,
    /// `None` if WeChat did not say.
    pub permission_sets: Option<Vec<u64>>,
}

/// When an authorization took place, as far as its source can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// WeChat's `CreateTime` of a notice.
    At(Timestamp),
    /// A browser came back with a code that worked, or WeChat's list names the account. The time
    /// that orders the authorization comes with its notice.
    Since {
        /// A moment that certainly lies before it.
        since: Timestamp,
        /// The authorization is known to be newer than any revocation, and any other authorization,
        /// up to this moment.
        newer_than: Timestamp,
    },
}

/// What WeChat answered to a refresh token.
#[derive(Clone, Debug)]
pub struct Renewal {
    /// The new access token.
    pub access_token: Issued<AuthorizerAccessToken>,
    /// The refresh token that worked, or the one WeChat sent instead of it.
    pub refresh_token: Secret<AuthorizerRefreshToken>,
}

/// Authorizer tokens are renewed when they have this long to live; jitter comes on top.
///
/// The old token lives five minutes more, so this leaves several runs of the schedule for failures.
/// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/ticket-token/getAuthorizerAccessToken.html>
pub const AUTHORIZER_REFRESH_MARGIN: Duration = Duration::from_mins(30);

/// Up to this much earlier, so that authorizers that came together do not stay together.
pub const MAX_JITTER: Duration = Duration::from_mins(10);

/// So long after a list has brought an account its name is asked for: the daily run does it.
const BEFORE_NAMING: Duration = Duration::from_hours(12);

/// The most refresh tokens kept beside the current one.
///
/// WeChat does not rotate them, so in practice there are none or one. The bound keeps a row far
/// below DynamoDB's 400 KB even if WeChat began to rotate them every two hours; then the oldest goes
/// first.
const MAX_HISTORY: usize = 32;

impl Authorizer {
    /// The row of an account of which nothing is known: nothing is granted, and everything is newer.
    pub fn unknown(appid: AuthorizerAppId) -> Self {
        Self {
            appid,
            generation: 0,
            standing: Standing::Revoked,
            auth_epoch: Timestamp::default(),
            revoked_at: Timestamp::default(),
            refresh_token: None,
            history: Vec::new(),
            slot: TokenSlot::default(),
            failures: 0,
            due_at: None,
            permission_sets: Vec::new(),
            name: None,
            listed_at: None,
            user_name: None,
            is_mini_program: None,
            reference: None,
            limited_at: None,
            contradicted_since: None,
            denied_once_at: None,
            denied_at: None,
            ttl: None,
            event_seq: 0,
        }
    }

    /// Whether nothing was ever known of the account, or what was is forgotten by `now` (DynamoDB
    /// deletes days late). A row that was imported by hand is known, though no generation stands in
    /// it.
    pub fn is_forgotten(&self, now: Timestamp) -> bool {
        let unknown = self.generation == 0 && self.standing == Standing::Revoked;
        unknown || self.ttl.is_some_and(|ttl| ttl <= now)
    }

    /// The row without those of WeChat's moments that lie too far ahead of `now`: they count as not
    /// known, zero. `None` if all can be believed.
    ///
    /// Otherwise one wrong `CreateTime` would make every later notice an old one. Such a row tells
    /// nothing of what came last, so WeChat is asked when its next notice is settled.
    pub fn believable(&self, now: Timestamp) -> Option<Self> {
        let reference = self.reference.clone().map(|reference| Reference {
            at: reference.at.believable(now),
            ..reference
        });
        let known = Self {
            auth_epoch: self.auth_epoch.believable(now),
            revoked_at: self.revoked_at.believable(now),
            reference,
            ..self.clone()
        };
        (known != *self).then_some(known)
    }

    /// The refresh tokens to try, best first.
    pub fn candidates(&self) -> Vec<Secret<AuthorizerRefreshToken>> {
        self.refresh_token
            .iter()
            .chain(&self.history)
            .cloned()
            .collect()
    }

    /// Whether the row is authorized with `token` as its refresh token.
    pub fn is_authorized_by(&self, token: &Secret<AuthorizerRefreshToken>) -> bool {
        self.standing == Standing::Authorized && self.refresh_token.as_ref() == Some(token)
    }

    /// Whether the account's name, or the id by which messages name it, is to be asked for: it could
    /// not be got so far, and what a list has brought at once is not asked about at once.
    pub fn wants_a_name(&self, now: Timestamp) -> bool {
        let nameless = self.name.is_none() || self.user_name.is_none();
        let just_listed = self.listed_at.is_some_and(|at| now < at + BEFORE_NAMING);
        nameless && !just_listed
    }

    /// The vendor's own name for the account.
    pub fn reference(&self) -> Option<&str> {
        let reference = self.reference.as_ref();
        reference.map(|reference| reference.name.as_str())
    }

    /// The row under the vendor's own name for it, which came with an authorization of the time
    /// `at`; `None` if a newer one has named it, or so already.
    ///
    /// A browser tells only when it set out, and a notice tells the very time. In whatever order
    /// they come, the newest notice's name stays.
    pub fn named(&self, reference: &str, at: Timestamp) -> Option<Self> {
        let known = self.reference.as_ref();
        if known.is_some_and(|known| at < known.at) {
            return None;
        }
        let connected = known.filter(|_| self.standing == Standing::Authorized);
        let replaced_at = connected.and_then(|known| {
            if known.name == reference {
                known.replaced_at
            } else {
                Some(at)
            }
        });
        let next = Self {
            reference: Some(Reference {
                name: reference.to_owned(),
                at,
                replaced_at,
            }),
            ..self.clone()
        };
        (next != *self).then_some(next)
    }

    /// Whether a lease was taken under an authorization that is over. One that is still the newest
    /// is not, whatever its epoch: authorizations and revocations supersede it, while a confirmation
    /// only learns the time of the same authorization.
    pub(crate) fn is_over(&self, lease: Lease) -> bool {
        lease.epoch != self.auth_epoch && lease.seq != self.slot.lease.seq
    }

    /// Two renewals overlapped, and WeChat may have replaced the stored token. Makes the row due at
    /// `due_at` and distrusts the token from `asked_at` plus the overlap on.
    fn overlapped(&mut self, due_at: Timestamp, asked_at: Timestamp) {
        self.slot.lease.seq += 1;
        self.slot.doubt(asked_at + OVERLAP);
        self.due_at = Some(due_at);
    }

    /// Makes the row one that is renewed; or, without a refresh token, one that cannot be.
    fn restore(&mut self, moment: Moment) {
        let renewable = self.refresh_token.is_some();
        self.standing = if renewable {
            Standing::Authorized
        } else {
            Standing::ReauthorizationRequired
        };
        let token = self.slot.token.as_ref();
        let due_at = token.map_or(moment.now, |token| due(token, moment.jitter));
        self.due_at = renewable.then_some(due_at);
        self.slot.failure = None;
        self.forget_setbacks();
        self.denied_at = None;
        self.ttl = None;
    }

    /// WeChat has given something for the account: whatever it had against it is over.
    fn forget_setbacks(&mut self) {
        self.failures = 0;
        self.limited_at = None;
        self.contradicted_since = None;
        self.denied_once_at = None;
    }

    fn knows(&self, token: &Secret<AuthorizerRefreshToken>) -> bool {
        self.refresh_token
            .iter()
            .chain(&self.history)
            .any(|known| known == token)
    }

    /// Makes `token` the current one and keeps the one before it.
    fn install(&mut self, token: &Secret<AuthorizerRefreshToken>) {
        if self.refresh_token.as_ref() == Some(token) {
            return;
        }
        self.history.retain(|known| known != token);
        if let Some(before) = self.refresh_token.replace(token.clone()) {
            self.history.insert(0, before);
        }
        self.history.truncate(MAX_HISTORY);
    }

    fn keep_beside(&mut self, token: &Secret<AuthorizerRefreshToken>) {
        if self.refresh_token.is_none() {
            self.refresh_token = Some(token.clone());
        } else if !self.knows(token) {
            self.history.insert(0, token.clone());
            self.history.truncate(MAX_HISTORY);
        }
    }

    fn forget(&mut self, refused: &[Secret<AuthorizerRefreshToken>]) {
        self.history.retain(|known| !refused.contains(known));
        if self
            .refresh_token
            .as_ref()
            .is_some_and(|token| refused.contains(token))
        {
            self.refresh_token = if self.history.is_empty() {
                None
            } else {
                Some(self.history.remove(0))
            };
        }
    }
}

fn due(token: &Expiring<AuthorizerAccessToken>, jitter: f64) -> Timestamp {
    token.expires_at - AUTHORIZER_REFRESH_MARGIN - MAX_JITTER.mul_f64(jitter)
}

#[cfg(test)]
mod tests;
