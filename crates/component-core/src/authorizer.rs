//! One authorizer as it stands in the table, and every change that may come over it. No I/O, no clock.

use std::cmp::Ordering;
use std::time::Duration;

use crate::id::AuthorizerAppId;
use crate::lease::{Failure, Lease, LeaseSlot, earliest};
use crate::time::Timestamp;
use crate::token::{
    AuthorizerAccessToken, AuthorizerRefreshToken, Expiring, Issued, OVERLAP, Secret,
};

/// An authorizer's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorizer {
    /// Whose row it is.
    pub appid: AuthorizerAppId,
    /// Grows with every write of the row: a write that read an older one is refused.
    pub generation: u64,
    /// Whether the component may act for it.
    pub standing: Standing,
    /// `CreateTime` of the newest authorization taken, or a moment known to lie before it.
    pub auth_epoch: Timestamp,
    /// `CreateTime` of the newest revocation taken; zero if there was none.
    pub revoked_at: Timestamp,
    /// The refresh token to use.
    pub refresh_token: Option<Secret<AuthorizerRefreshToken>>,
    /// Refresh tokens that WeChat gave and has not refused, newest first, without the one above.
    pub history: Vec<Secret<AuthorizerRefreshToken>>,
    /// The newest access token.
    pub access_token: Option<Expiring<AuthorizerAccessToken>>,
    /// From then on `access_token` may be dead: see [`Authorizer::doubted`].
    pub doubted_from: Option<Timestamp>,
    /// The lease whose answer `access_token` is.
    pub token_seq: u64,
    /// Who renews it.
    pub lease: LeaseSlot,
    /// Renewals that failed in a row.
    pub failures: u32,
    /// Why the last renewal failed, if it did.
    pub failure: Option<Failure>,
    /// When the refresher should look at it; never, if it may not or need not.
    pub due_at: Option<Timestamp>,
    /// Ids of the permission sets that the authorizer granted (`func_info`).
    pub permission_sets: Vec<u64>,
    /// The account's name (`nick_name`).
    pub name: Option<String>,
    /// The vendor's own name for it, from the link it came by.
    pub reference: Option<String>,
    /// When it was authorized by that link, as far as is known.
    pub reference_at: Timestamp,
    /// When a tombstone may be forgotten.
    pub ttl: Option<Timestamp>,
}

/// Whether the component may act for an authorizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Authorized,
    /// The authorizer has withdrawn it; the row is a tombstone that orders what comes late.
    Revoked,
    /// WeChat refuses every refresh token we have: the authorizer must go through the page again.
    ReauthorizationRequired,
}

/// What WeChat says is granted: by an exchanged code, or in its list.
#[derive(Clone, Debug, Default)]
pub struct Granted {
    /// When WeChat was asked: what it was asked later, it may have answered otherwise.
    pub asked_at: Timestamp,
    /// Absent from the list, and for accounts without API permission.
    pub access_token: Option<Expiring<AuthorizerAccessToken>>,
    /// Absent, in the list too, until a code was exchanged.
    pub refresh_token: Option<Secret<AuthorizerRefreshToken>>,
    /// Empty if WeChat did not say.
    pub permission_sets: Vec<u64>,
}

/// When an authorization took place, as far as its source can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// WeChat's `CreateTime` of a notice.
    At(Timestamp),
    /// A browser came back with a code that was good, or WeChat's list names the account. The time that orders it comes
    /// with the notice.
    Since {
        /// A moment that surely lies before it.
        since: Timestamp,
        /// The authorization is known to be newer than any revocation, and any other authorization, up to this moment.
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

/// Two clocks may differ by this much: WeChat's own among them, and ours.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_mins(1);

/// Authorizer tokens are renewed when they have this long to live; jitter comes on top.
///
/// The old token lives five minutes more, so this leaves several runs of the schedule for failures.
/// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/ticket-token/getAuthorizerAccessToken.html>
pub const AUTHORIZER_REFRESH_MARGIN: Duration = Duration::from_mins(30);

/// Up to this much earlier, so that authorizers that came together do not stay together.
pub const MAX_JITTER: Duration = Duration::from_mins(10);

/// How long WeChat honours an access token.
/// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/ticket-token/getAuthorizerAccessToken.html>
const ACCESS_TOKEN_LIFE: Duration = Duration::from_hours(2);

/// How long a tombstone orders late notices.
const TOMBSTONE_LIFE: Duration = Duration::from_hours(90 * 24);

/// The most refresh tokens kept beside the current one.
///
/// WeChat does not rotate them, so in practice there are none or one. The bound keeps a row far below DynamoDB's 400 KB
/// even if it began to, two hours after two hours; then the oldest goes first.
const MAX_HISTORY: usize = 32;

/// After the first failed renewal; doubled with each further one.
const FIRST_BACKOFF: Duration = Duration::from_mins(1);

/// At most this long between two tries for one authorizer.
const MAX_BACKOFF: Duration = Duration::from_mins(30);

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
            access_token: None,
            doubted_from: None,
            token_seq: 0,
            lease: LeaseSlot::default(),
            failures: 0,
            failure: None,
            due_at: None,
            permission_sets: Vec::new(),
            name: None,
            reference: None,
            reference_at: Timestamp::default(),
            ttl: None,
        }
    }

    /// Whether nothing was ever known of it, or what was is forgotten by `now` (DynamoDB deletes days late).
    pub fn is_forgotten(&self, now: Timestamp) -> bool {
        self.generation == 0 || self.ttl.is_some_and(|ttl| ttl <= now)
    }

    /// The refresh tokens to try, best first.
    pub fn candidates(&self) -> Vec<Secret<AuthorizerRefreshToken>> {
        self.refresh_token
            .iter()
            .chain(&self.history)
            .cloned()
            .collect()
    }

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

    /// The row once an authorization was granted; `None` if a newer one, or a revocation that may be newer, stands.
    ///
    /// Whatever tokens stood before are of no more use at WeChat, but an unrefused refresh token is kept beside; and so is
    /// the granted one, if WeChat was asked for what stands after it was asked for what was granted.
    pub fn authorize(
        &self,
        evidence: Evidence,
        granted: &Granted,
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
        granted: &Granted,
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

    /// Whether `token` is the refresh token of the authorization that stands here.
    pub fn stands_by(&self, token: &Secret<AuthorizerRefreshToken>) -> bool {
        self.standing == Standing::Authorized && self.refresh_token.as_ref() == Some(token)
    }

    /// Whether the authorization of the time `at` stands here, or a newer one does.
    pub fn stands_since(&self, at: Timestamp) -> bool {
        self.standing == Standing::Authorized && self.auth_epoch >= at
    }

    /// The row under the vendor's own name for it, which came with an authorization of the time `at`; `None` if a newer
    /// one has named it, or so already.
    ///
    /// A browser knows no more than when its way began, and a notice the very time: whatever comes in whatever order, the
    /// newest notice's name stays.
    pub fn named(&self, reference: &str, at: Timestamp) -> Option<Self> {
        if at < self.reference_at {
            return None;
        }
        let next = Self {
            reference: Some(reference.to_owned()),
            reference_at: at,
            ..self.clone()
        };
        (next != *self).then_some(next)
    }

    /// The row with a refresh token that WeChat gave kept beside what stands; `None` if it is known.
    pub fn beside(&self, token: &Secret<AuthorizerRefreshToken>) -> Option<Self> {
        let mut next = self.clone();
        next.keep_beside(token);
        (next != *self).then_some(next)
    }

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

    /// The row once WeChat's list names the account; `None` if that changes nothing.
    pub fn listed(
        &self,
        auth_time: Timestamp,
        refresh_token: Option<&Secret<AuthorizerRefreshToken>>,
        now: Timestamp,
        jitter: f64,
    ) -> Option<Self> {
        let granted = Granted {
            refresh_token: refresh_token.cloned(),
            ..Granted::default()
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

    /// Whether a lease was taken under an authorization that is over. One that is still the newest is not, whatever its
    /// epoch: authorizations and revocations supersede it, while a confirmation only learns the time of the same one.
    pub(crate) fn is_over(&self, lease: Lease) -> bool {
        lease.epoch != self.auth_epoch && lease.seq != self.lease.seq
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
    fn awaits_another(&self, granted: &Granted) -> bool {
        self.standing == Standing::Authorized
            && self.access_token.is_none()
            && self.refresh_token != granted.refresh_token
    }

    /// Whether WeChat has merely named the refresh token that stands: then the access token is of the same authorization.
    fn is_named_by(&self, granted: &Granted) -> bool {
        let named = granted.refresh_token.as_ref();
        granted.access_token.is_none() && named.is_some_and(|named| self.stands_by(named))
    }

    /// Whether only WeChat knows which of the two came last: it is asked with the refresh token.
    fn was_revoked_in_the_second_of(&self, evidence: Evidence) -> bool {
        self.standing == Standing::Revoked && evidence == Evidence::At(self.revoked_at)
    }

    /// How the access token here compares in age to the granted one; greater if WeChat was asked for it later. Then it is of
    /// the same authorization or a later one: an earlier one was over before the code of the granted one existed.
    fn compare_age(&self, granted: &Granted) -> Option<Ordering> {
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

    /// Makes the row due at `due_at`, and its token no newer than what somebody else may have got when WeChat was `asked_at`
    /// some time for one of the two: so long, and the overlap, it is surely good.
    fn doubt(&mut self, due_at: Timestamp, asked_at: Timestamp) {
        self.lease.seq += 1;
        self.due_at = Some(due_at);
        self.doubted_from = earliest(self.doubted_from, asked_at + OVERLAP);
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

    /// Makes the row one that is renewed; or, without a refresh token, one that cannot be.
    fn restore(&mut self, now: Timestamp, jitter: f64) {
        let renewable = self.refresh_token.is_some();
        self.standing = if renewable {
            Standing::Authorized
        } else {
            Standing::ReauthorizationRequired
        };
        let due_at = self.access_token.as_ref().map_or(now, |t| due(t, jitter));
        self.due_at = renewable.then_some(due_at);
        self.failures = 0;
        self.failure = None;
        self.ttl = None;
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
