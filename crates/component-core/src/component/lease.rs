//! Whose turn it is: the lease on a row, waiting for its holder, and the write that keeps what
//! WeChat gave.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Component, Kept};
use crate::error::Error;
use crate::row::authorizer::{Authorizer, Standing};
use crate::row::component_token::ComponentToken;
use crate::row::need::{Need, Turn};
use crate::row::{Failure, LEASE_MARGIN, Lease, LeaseSlot, MAX_RENEWAL, SecretVersion, TokenSlot};
use crate::store::{Store, Swap};
use crate::time::{Deadline, Timestamp};
use crate::token::{AuthorizerAccessToken, ComponentAccessToken, Expiring};
use crate::wechat::CALL_TIMEOUT;

/// A row with a token that one caller at a time renews.
pub(super) trait Row: Sized {
    type Kind: Clone;

    /// Whether its renewal needs the component's token, which another row holds.
    const NEEDS_COMPONENT_TOKEN: bool;

    fn slot(&self) -> &TokenSlot<Self::Kind>;
    #[must_use]
    fn leased(&self, lease: LeaseSlot, now: Timestamp) -> Self;
    /// Grows with every write of the row.
    fn generation(&self) -> u64;
    /// The authorization that the row holds.
    fn epoch(&self) -> Timestamp;
    /// Whether its token may be handed out at all.
    fn check(&self, now: Timestamp) -> Result<(), Error>;
    fn read(&self, store: &Store) -> impl Future<Output = Result<Self, Error>> + Send;
    /// Writes `next` if the table still holds this row. `at` is when the change took place.
    fn swap(
        &self,
        next: &Self,
        store: &Store,
        at: Timestamp,
        now: Timestamp,
    ) -> impl Future<Output = Result<Swap<Self>, Error>> + Send;
}

/// Whose turn it was.
pub(super) enum Taken<R: Row> {
    Token(Expiring<R::Kind>),
    Lease(R, Lease),
}

/// Counts compare-and-sets that failed although no other caller has written the row: one may be
/// chance, a second one is a row that no condition fits.
#[derive(Default)]
struct Unwritable {
    losses: u32,
}

impl Unwritable {
    fn lost<R: Row>(&mut self, before: &R, current: &R) -> Result<(), Error> {
        if before.generation() != current.generation() {
            self.losses = 0;
            return Ok(());
        }
        self.losses += 1;
        if self.losses < 2 {
            return Ok(());
        }
        Err(Error::Store {
            doing: "write a row that has no generation",
            source: "its condition fails though no other caller has written it".into(),
        })
    }
}

/// What a wait has brought.
enum Waited<R: Row> {
    /// The row, read again or not.
    Row(R),
    /// The time is up, and the stored token has to do.
    Eased(Expiring<R::Kind>),
}

/// What competing for a lease has brought.
enum Competed<R: Row> {
    /// The lease, or the stored token that has to do.
    Won(Taken<R>),
    /// The row as another caller has made it.
    Lost(R),
}

/// How long a caller waits for what, in the machine's time.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// Until then for another caller's renewal.
    pub(super) wait: Deadline,
    /// Until then for a renewal of its own.
    pub(super) renewal: Deadline,
    /// At most this long before it competes for the lease.
    pause: Duration,
}

/// Before the first look again at a row that another caller renews; doubled before each further one.
const FIRST_POLL: Duration = Duration::from_millis(700);

/// Before a write that failed is tried again, or a code that another worker exchanges is looked at.
const RETRY: Duration = Duration::from_millis(250);

/// At most this long between two looks.
const MAX_POLL: Duration = Duration::from_millis(1200);

/// Before a caller competes for a lease, it waits up to this long and looks again: of callers that
/// come at once, most then find the lease taken.
const BEFORE_COMPETING: Duration = Duration::from_millis(100);

/// Where the table answers slowly, callers who came together write together for longer: then they
/// pause for this many times as long as they waited for the row, and no longer than [`MAX_POLL`].
const SLOW_READS: u32 = 4;

/// A caller who has a token that is good, if not for long, waits for another caller's renewal no
/// longer than this.
const EASED_PATIENCE: Duration = Duration::from_secs(3);

/// A renewal that has less time is not begun: one whole call to WeChat, and the write of its answer.
/// A call that is cut off leaves the stored token in doubt.
pub const RENEWAL_TIME: Duration = CALL_TIMEOUT.saturating_add(Duration::from_millis(750));

impl Component {
    /// The stored token if it answers, or else the lease, or else what the lease holder makes of it.
    pub(super) async fn take_turn<R: Row>(
        &self,
        mut row: R,
        need: &Need<R::Kind>,
        patience: Patience,
    ) -> Result<Taken<R>, Error> {
        let mut awaited = None;
        let mut poll = FIRST_POLL;
        let mut looked_again = need.is_by_schedule();
        let mut unwritable = Unwritable::default();
        loop {
            let now = self.clock.now();
            row.check(now)?;
            let slot = row.slot();
            match need.turn(slot, now, self.lease_end(patience.renewal)) {
                Turn::Serve(token) => return Ok(Taken::Token(token)),
                Turn::Wait => {
                    awaited = Some(slot.lease.seq);
                    looked_again = true;
                    row = match self.look_again(row, need, patience.wait, poll).await? {
                        Waited::Row(row) => row,
                        Waited::Eased(token) => return Ok(Taken::Token(token)),
                    };
                    poll = (poll * 2).min(MAX_POLL);
                }
                Turn::Renew(taken) => {
                    let just_failed =
                        awaited == Some(slot.lease.seq) && slot.lease.until == Timestamp::default();
                    if let Some(error) = self.hindrance(&row, need, just_failed, patience).await {
                        return self.ease(need, slot, error).map(Taken::Token);
                    }
                    if !looked_again {
                        looked_again = true;
                        self.clock.spread(patience.pause).await;
                        if let Ok(current) = row.read(&self.store).await {
                            row = current;
                        }
                        continue;
                    }
                    let competed = self.compete(row, taken, need, &mut unwritable, patience);
                    row = match competed.await? {
                        Competed::Won(taken) => return Ok(taken),
                        Competed::Lost(current) => current,
                    };
                }
            }
        }
    }

    /// Competes for the lease.
    async fn compete<R: Row>(
        &self,
        row: R,
        lease: LeaseSlot,
        need: &Need<R::Kind>,
        unwritable: &mut Unwritable,
        patience: Patience,
    ) -> Result<Competed<R>, Error> {
        let now = self.clock.now();
        let lost = match row
            .swap(&row.leased(lease, now), &self.store, now, now)
            .await
        {
            Ok(Swap::Written(row)) => {
                let lease = lease_on(&row);
                return Ok(Competed::Won(Taken::Lease(row, lease)));
            }
            Ok(Swap::Lost(current)) => {
                unwritable.lost(&row, &current)?;
                return Ok(Competed::Lost(current));
            }
            Ok(Swap::Conflict) if self.wait_for_other(patience.wait).await => {
                let current = row.read(&self.store).await;
                return Ok(Competed::Lost(current.unwrap_or(row)));
            }
            Ok(Swap::Conflict) => Error::Busy("this token"),
            Err(error) => error,
        };
        let eased = self.ease(need, row.slot(), lost)?;
        Ok(Competed::Won(Taken::Token(eased)))
    }

    /// Why no renewal is begun now: the one that we waited for has `just_failed`, or another one within
    /// its pause; there is no secret; there is no time.
    async fn hindrance<R: Row>(
        &self,
        row: &R,
        need: &Need<R::Kind>,
        just_failed: bool,
        patience: Patience,
    ) -> Option<Error> {
        if let Some(failure) = &row.slot().failure {
            // Boxed: to share a failure is seldom, and the look's state would be a part of every
            // caller's.
            let shares = need.shares(failure, self.clock.now());
            if just_failed || shares && !Box::pin(self.is_mended::<R>(failure)).await {
                return Some(Error::Remembered(failure.clone()));
            }
        }
        // Before the lease: a caller without the secret holds no other back, and the time of the fetch
        // is not that of the call.
        if let Err(error) = self.vault.current().await {
            return Some(error);
        }
        let busy = patience.renewal.remaining() < RENEWAL_TIME;
        busy.then_some(Error::Busy("the time that a renewal takes"))
    }

    /// Whether the cause of a failure is known to be over: the secret has a newer version than the one
    /// that failed; what concerned every account has not kept WeChat from giving another one its
    /// token; or the component's own token, for want of which an authorizer's row holds the failure,
    /// has come.
    async fn is_mended<R: Row>(&self, failure: &Failure) -> bool {
        if failure.secret.is_some() && self.vault.newest_version().await > failure.secret {
            return true;
        }
        let renewed_at = Timestamp::from_secs(self.renewed_at.load(Ordering::Relaxed));
        if failure.is_over_since(renewed_at) {
            return true;
        }
        R::NEEDS_COMPONENT_TOKEN
            && failure.is_of_component_token()
            && matches!(self.store.component_token().await, Ok(row) if row.slot.failure.is_none())
    }

    /// What a row remembers of an error, after the failure `before`, with the version of the secret
    /// that was in use when WeChat was asked.
    pub(super) fn failure(
        &self,
        error: &Error,
        before: Option<&Failure>,
        secret: Option<&SecretVersion>,
    ) -> Failure {
        let failure = error.to_failure(before, self.clock.now());
        match error {
            Error::Remembered(first) => failure.with(first.secret.clone()),
            _ => failure.with(secret.cloned()),
        }
    }

    /// Waits about `poll` and reads the row again. A read that fails is no news: the caller looks
    /// again as long as its patience lasts.
    async fn look_again<R: Row>(
        &self,
        row: R,
        need: &Need<R::Kind>,
        wait: Deadline,
        poll: Duration,
    ) -> Result<Waited<R>, Error> {
        if !self.wait_for(poll, wait).await {
            let busy = Error::Busy("this token");
            return self.ease(need, row.slot(), busy).map(Waited::Eased);
        }
        match row.read(&self.store).await {
            Ok(row) => Ok(Waited::Row(row)),
            Err(error) if wait.remaining() < poll => {
                self.ease(need, row.slot(), error).map(Waited::Eased)
            }
            Err(error) => {
                error.warn("a read that will be tried again");
                Ok(Waited::Row(row))
            }
        }
    }

    /// Writes what `change` makes of a row, however often another caller is faster and as long as the
    /// deadline allows.
    pub(super) async fn keep<R: Row>(
        &self,
        row: R,
        change: impl Fn(&R) -> Option<R>,
        deadline: Deadline,
    ) -> Result<Kept<R>, Error> {
        self.keep_at(row, change, None, deadline).await
    }

    /// The same for a change that took place `at` some time, if that is known; otherwise now.
    pub(super) async fn keep_at<R: Row>(
        &self,
        mut row: R,
        change: impl Fn(&R) -> Option<R>,
        at: Option<Timestamp>,
        deadline: Deadline,
    ) -> Result<Kept<R>, Error> {
        let mut unwritable = Unwritable::default();
        loop {
            let Some(next) = change(&row) else {
                return Ok(Kept::Unchanged(row));
            };
            let now = self.clock.now();
            match row.swap(&next, &self.store, at.unwrap_or(now), now).await {
                Ok(Swap::Written(row)) => return Ok(Kept::Changed(row)),
                Ok(Swap::Lost(current)) => {
                    unwritable.lost(&row, &current)?;
                    row = current;
                }
                Ok(Swap::Conflict) => {
                    if !self.wait_for_other(deadline).await {
                        return Err(Error::Busy("this row"));
                    }
                    row = row.read(&self.store).await.unwrap_or(row);
                }
                Err(error) => {
                    error.warn("a write that will be tried again");
                    if !self.wait_for_other(deadline).await {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// How long to wait, given the stored token: a caller who can be served it waits for no more than
    /// one call to WeChat.
    pub(super) fn patience<K: Clone>(
        &self,
        need: &Need<K>,
        slot: &TokenSlot<K>,
        read_in: Duration,
        deadline: Deadline,
    ) -> Patience {
        let now = self.clock.now();
        let pause = (read_in * SLOW_READS).clamp(BEFORE_COMPETING, MAX_POLL);
        let renewal = deadline.or_after(MAX_RENEWAL);
        let token = slot.token.as_ref();
        if token.is_some_and(|token| need.is_eased_by(token, now)) && !need.is_by_schedule() {
            Patience {
                wait: renewal.or_after(EASED_PATIENCE),
                renewal: renewal.or_after(RENEWAL_TIME + Duration::from_millis(250)),
                pause,
            }
        } else {
            Patience {
                wait: renewal,
                renewal,
                pause,
            }
        }
    }

    /// The stored token, where one that is in doubt or short-lived is better than the error.
    pub(super) fn ease<K: Clone>(
        &self,
        need: &Need<K>,
        slot: &TokenSlot<K>,
        error: Error,
    ) -> Result<Expiring<K>, Error> {
        match &slot.token {
            Some(token) if need.is_eased_by(token, self.clock.now()) => {
                error.warn("renewing a token that is still good");
                Ok(token.clone())
            }
            _ => Err(error),
        }
    }

    /// Whether a token that a renewal has brought answers the caller. One that is in doubt is good for
    /// minutes: a caller who was promised more gets another, while the schedule leaves it to its next
    /// run, when what put it in doubt is over.
    pub(super) fn is_answer<K: Clone>(&self, need: &Need<K>, token: &Expiring<K>) -> bool {
        need.is_by_schedule() || need.is_eased_by(token, self.clock.now())
    }

    /// When a lease ends that is taken now by a caller who must have finished at `deadline`.
    pub(crate) fn lease_end(&self, deadline: Deadline) -> Timestamp {
        let answered_by = self.clock.now() + CALL_TIMEOUT;
        answered_by.max(self.clock.at(deadline)) + LEASE_MARGIN
    }

    /// Waits a moment for another caller's work, if the deadline leaves one.
    pub(crate) async fn wait_for_other(&self, deadline: Deadline) -> bool {
        self.wait_for(RETRY, deadline).await
    }

    /// Waits about `time`, if the deadline leaves so much.
    async fn wait_for(&self, time: Duration, deadline: Deadline) -> bool {
        let left = deadline.remaining();
        if left < RETRY * 2 {
            return false;
        }
        let spread = time.mul_f64(0.75 + self.clock.jitter() / 2.0);
        self.clock
            .sleep(spread.min(left.saturating_sub(RETRY)))
            .await;
        true
    }
}

/// The lease that has just been taken on a row.
fn lease_on<R: Row>(row: &R) -> Lease {
    let slot = row.slot();
    Lease {
        epoch: row.epoch(),
        seq: slot.lease.seq,
        token_seq: slot.token_seq,
    }
}

impl Row for ComponentToken {
    type Kind = ComponentAccessToken;

    const NEEDS_COMPONENT_TOKEN: bool = false;

    fn slot(&self) -> &TokenSlot<ComponentAccessToken> {
        &self.slot
    }

    fn leased(&self, lease: LeaseSlot, now: Timestamp) -> Self {
        Self::leased(self, lease, now)
    }

    fn generation(&self) -> u64 {
        self.generation
    }

    fn epoch(&self) -> Timestamp {
        Timestamp::default()
    }

    fn check(&self, _now: Timestamp) -> Result<(), Error> {
        Ok(())
    }

    async fn read(&self, store: &Store) -> Result<Self, Error> {
        store.component_token().await
    }

    async fn swap(
        &self,
        next: &Self,
        store: &Store,
        _at: Timestamp,
        _now: Timestamp,
    ) -> Result<Swap<Self>, Error> {
        store.swap_component_token(self, next).await
    }
}

impl Row for Authorizer {
    type Kind = AuthorizerAccessToken;

    const NEEDS_COMPONENT_TOKEN: bool = true;

    fn slot(&self) -> &TokenSlot<AuthorizerAccessToken> {
        &self.slot
    }

    fn leased(&self, lease: LeaseSlot, now: Timestamp) -> Self {
        Self::leased(self, lease, now)
    }

    fn generation(&self) -> u64 {
        self.generation
    }

    fn epoch(&self) -> Timestamp {
        self.auth_epoch
    }

    fn check(&self, now: Timestamp) -> Result<(), Error> {
        let appid = self.appid.clone();
        match self.standing {
            Standing::Authorized => Ok(()),
            Standing::Revoked if self.is_forgotten(now) => Err(Error::UnknownAuthorizer(appid)),
            Standing::Revoked => Err(Error::AuthorizationRevoked(appid)),
            Standing::ReauthorizationRequired => Err(Error::ReauthorizationRequired(appid)),
        }
    }

    async fn read(&self, store: &Store) -> Result<Self, Error> {
        store.authorizer(&self.appid).await
    }

    async fn swap(
        &self,
        next: &Self,
        store: &Store,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<Swap<Self>, Error> {
        let swap = store.swap_authorizer(self, next, at, now).await?;
        if let (Swap::Written(_), Some(from), Some(to)) =
            (&swap, self.reference(), next.reference())
            && from != to
        {
            tracing::info!(authorizer_appid = %self.appid, from, to, "the reference of this authorizer has changed");
        }
        Ok(swap)
    }
}
