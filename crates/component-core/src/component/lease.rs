//! Whose turn it is: the lease on a row, waiting for its holder, and the write that keeps what
//! WeChat gave.

use std::time::Duration;

use super::{Component, Kept};
use crate::error::Error;
use crate::row::authorizer::{Authorizer, Standing};
use crate::row::component_token::ComponentToken;
use crate::row::need::{Need, Turn};
use crate::row::{LEASE_MARGIN, Lease, LeaseSlot, MAX_RENEWAL, TokenSlot};
use crate::store::{Store, Swap};
use crate::time::{Deadline, Timestamp};
use crate::token::{AuthorizerAccessToken, ComponentAccessToken, Expiring};
use crate::wechat::CALL_TIMEOUT;

/// A row with a token that one caller at a time renews.
pub(super) trait Row: Sized {
    type Kind: Clone;

    fn slot(&self) -> &TokenSlot<Self::Kind>;
    #[must_use]
    fn leased(&self, lease: LeaseSlot, now: Timestamp) -> Self;
    /// The authorization that the row holds.
    fn epoch(&self) -> Timestamp;
    /// Whether its token may be handed out at all.
    fn check(&self, now: Timestamp) -> Result<(), Error>;
    fn read(&self, store: &Store) -> impl Future<Output = Result<Self, Error>> + Send;
    /// Writes `next` if the table still holds this row.
    fn swap(
        &self,
        next: &Self,
        store: &Store,
    ) -> impl Future<Output = Result<Swap<Self>, Error>> + Send;
}

/// Whose turn it was.
pub(super) enum Taken<R: Row> {
    Token(Expiring<R::Kind>),
    Lease(R, Lease),
}

/// Between two looks at a row that another caller renews.
const POLL: Duration = Duration::from_millis(150);

/// A caller who has a token that is good, if not for long, waits for WeChat no longer than this.
const EASED_PATIENCE: Duration = Duration::from_secs(3);

impl Component {
    /// The stored token if it answers, or else the lease, or else what the lease holder makes of it.
    pub(super) async fn take_turn<R: Row>(
        &self,
        mut row: R,
        need: &Need<R::Kind>,
        deadline: Deadline,
    ) -> Result<Taken<R>, Error> {
        let mut awaited = None;
        loop {
            let now = self.clock.now();
            row.check(now)?;
            let slot = row.slot();
            match need.turn(slot, now, self.lease_end(deadline)) {
                Turn::Serve(token) => return Ok(Taken::Token(token)),
                Turn::Wait => {
                    awaited = Some(slot.lease.seq);
                    if !self.wait_for_other(deadline).await {
                        return self
                            .ease(need, slot, Error::Busy("this token"))
                            .map(Taken::Token);
                    }
                    row = match row.read(&self.store).await {
                        Ok(row) => row,
                        Err(error) => return self.ease(need, slot, error).map(Taken::Token),
                    };
                }
                Turn::Renew(taken) => {
                    // The renewal we waited for has failed, or another one failed within its pause.
                    let just_failed =
                        awaited == Some(slot.lease.seq) && slot.lease.until == Timestamp::default();
                    if let Some(failure) = &slot.failure
                        && (just_failed || need.shares(failure, now))
                    {
                        let error = Error::Remembered(failure.clone());
                        return self.ease(need, slot, error).map(Taken::Token);
                    }
                    row = match row.swap(&row.leased(taken, now), &self.store).await {
                        Ok(Swap::Written(row)) => {
                            let lease = Lease {
                                epoch: row.epoch(),
                                seq: taken.seq,
                                token_seq: row.slot().token_seq,
                            };
                            return Ok(Taken::Lease(row, lease));
                        }
                        Ok(Swap::Lost(row)) => row,
                        Err(error) => return self.ease(need, slot, error).map(Taken::Token),
                    };
                }
            }
        }
    }

    /// Writes what `change` makes of a row, however often another caller is faster and as long as the
    /// deadline allows.
    pub(super) async fn keep<R: Row>(
        &self,
        mut row: R,
        change: impl Fn(&R) -> Option<R>,
        deadline: Deadline,
    ) -> Result<Kept<R>, Error> {
        loop {
            let Some(next) = change(&row) else {
                return Ok(Kept::Unchanged(row));
            };
            match row.swap(&next, &self.store).await {
                Ok(Swap::Written(row)) => return Ok(Kept::Changed(row)),
                Ok(Swap::Lost(current)) => row = current,
                Err(error) => {
                    error.warn("a write that will be tried again");
                    if !self.wait_for_other(deadline).await {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// How long to wait for another token, given the stored one.
    pub(super) fn patience<K: Clone>(
        &self,
        need: &Need<K>,
        slot: &TokenSlot<K>,
        deadline: Deadline,
    ) -> Deadline {
        let now = self.clock.now();
        let token = slot.token.as_ref();
        if token.is_some_and(|token| need.is_eased_by(token, now)) {
            deadline.or_after(EASED_PATIENCE)
        } else {
            deadline.or_after(MAX_RENEWAL)
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
        if deadline.remaining() < POLL * 2 {
            return false;
        }
        let spread = 0.5 + self.clock.jitter();
        self.clock.sleep(POLL.mul_f64(spread)).await;
        true
    }
}

impl Row for ComponentToken {
    type Kind = ComponentAccessToken;

    fn slot(&self) -> &TokenSlot<ComponentAccessToken> {
        &self.slot
    }

    fn leased(&self, lease: LeaseSlot, now: Timestamp) -> Self {
        Self::leased(self, lease, now)
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

    async fn swap(&self, next: &Self, store: &Store) -> Result<Swap<Self>, Error> {
        store.swap_component_token(self, next).await
    }
}

impl Row for Authorizer {
    type Kind = AuthorizerAccessToken;

    fn slot(&self) -> &TokenSlot<AuthorizerAccessToken> {
        &self.slot
    }

    fn leased(&self, lease: LeaseSlot, now: Timestamp) -> Self {
        Self::leased(self, lease, now)
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

    async fn swap(&self, next: &Self, store: &Store) -> Result<Swap<Self>, Error> {
        store.swap_authorizer(self, next).await
    }
}
