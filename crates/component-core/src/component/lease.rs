//! Whose turn it is: the lease on a row, waiting for its holder, and the write that keeps what WeChat gave.

use std::time::Duration;

use super::{Component, Kept};
use crate::error::Error;
use crate::row::authorizer::{Authorizer, Standing};
use crate::row::component_token::ComponentToken;
use crate::row::need::{Need, Turn};
use crate::row::{Failure, LEASE_MARGIN, Lease, LeaseSlot, MAX_RENEWAL};
use crate::store::{Store, Swap};
use crate::time::{Deadline, Timestamp};
use crate::token::{AuthorizerAccessToken, ComponentAccessToken, Expiring};
use crate::wechat::CALL_TIMEOUT;

/// A row with a token that one caller at a time renews.
pub(super) trait Leased: Sized {
    type Kind: Clone;

    fn token(&self) -> Option<&Expiring<Self::Kind>>;
    /// From when on it may be dead, if somebody may have renewed it unseen.
    fn doubted_from(&self) -> Option<Timestamp>;
    /// The lease whose answer the token is.
    fn token_seq(&self) -> u64;
    fn slot(&self) -> LeaseSlot;
    #[must_use]
    fn leased(&self, slot: LeaseSlot, now: Timestamp) -> Self;
    fn failure(&self) -> Option<&Failure>;
    fn epoch(&self) -> Timestamp;
    /// Whether its token may be handed out at all.
    fn check(&self, now: Timestamp) -> Result<(), Error>;
    fn read(&self, store: &Store) -> impl Future<Output = Result<Self, Error>> + Send;
    fn swap(&self, store: &Store) -> impl Future<Output = Result<Swap<Self>, Error>> + Send;
}

/// Whose turn it was.
pub(super) enum Taken<R: Leased> {
    Token(Expiring<R::Kind>),
    Lease(R, Lease),
}

/// Between two looks at a row that somebody else renews.
const POLL: Duration = Duration::from_millis(150);

/// For somebody who has a token that is good, if not for long, WeChat is not waited for longer than this.
const EASED_PATIENCE: Duration = Duration::from_secs(3);

impl Component {
    /// The stored token if it answers, or else the lease, or else what the holder of the lease makes of it.
    pub(super) async fn take_turn<R: Leased>(
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
            let until = self.lease_end(deadline);
            // What is in doubt is renewed first; where that fails, it is still better than nothing.
            let doubted_from = row.doubted_from();
            let sure = row
                .token()
                .map(|token| slot.vouched(token, doubted_from, now));
            match need.turn(sure.as_ref(), row.token_seq(), slot, now, until) {
                Turn::Serve(token) => return Ok(Taken::Token(token)),
                Turn::Wait => {
                    awaited = Some(slot.seq);
                    if !self.wait_for_other(deadline).await {
                        let busy = Error::Busy("this token");
                        return self.ease(need, row.token(), busy).map(Taken::Token);
                    }
                    row = match row.read(&self.store).await {
                        Ok(row) => row,
                        Err(error) => return self.ease(need, row.token(), error).map(Taken::Token),
                    };
                }
                Turn::Renew(taken) => {
                    // He for whom we waited has failed just now, or somebody has a moment ago.
                    let just_failed =
                        awaited == Some(slot.seq) && slot.until == Timestamp::default();
                    if let Some(failure) = row.failure()
                        && (just_failed || need.shares(failure, now))
                    {
                        let error = Error::remembered(&failure.error);
                        return self.ease(need, row.token(), error).map(Taken::Token);
                    }
                    row = match row.leased(taken, now).swap(&self.store).await {
                        Ok(Swap::Written(row)) => {
                            let lease = Lease {
                                epoch: row.epoch(),
                                seq: taken.seq,
                                token_seq: row.token_seq(),
                            };
                            return Ok(Taken::Lease(row, lease));
                        }
                        Ok(Swap::Lost(row)) => row,
                        Err(error) => return self.ease(need, row.token(), error).map(Taken::Token),
                    };
                }
            }
        }
    }

    /// Writes what `change` makes of a row, however often somebody else is faster and as long as the deadline allows.
    pub(super) async fn keep<R: Leased>(
        &self,
        mut row: R,
        change: impl Fn(&R) -> Option<R>,
        deadline: Deadline,
    ) -> Result<Kept<R>, Error> {
        loop {
            let Some(next) = change(&row) else {
                return Ok(Kept::Unchanged(row));
            };
            match next.swap(&self.store).await {
                Ok(Swap::Written(row)) => return Ok(Kept::Changed(row)),
                Ok(Swap::Lost(current)) => row = current,
                Err(error) => {
                    error.log("a write that will be tried again");
                    if !self.wait_for_other(deadline).await {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// How long to wait for another token, given the one that is there.
    pub(super) fn patience<K: Clone>(
        &self,
        need: &Need<K>,
        token: Option<&Expiring<K>>,
        deadline: Deadline,
    ) -> Deadline {
        let now = self.clock.now();
        if token.is_some_and(|token| need.is_eased_by(token, now)) {
            deadline.or_after(EASED_PATIENCE)
        } else {
            deadline.or_after(MAX_RENEWAL)
        }
    }

    /// A token that is good at all, where that is better than the error.
    pub(super) fn ease<K: Clone>(
        &self,
        need: &Need<K>,
        token: Option<&Expiring<K>>,
        error: Error,
    ) -> Result<Expiring<K>, Error> {
        match token {
            Some(token) if need.is_eased_by(token, self.clock.now()) => {
                error.log("renewing a token that is still good");
                Ok(token.clone())
            }
            _ => Err(error),
        }
    }

    /// When a lease ends that is taken now by somebody who must have finished at `deadline`.
    pub(crate) fn lease_end(&self, deadline: Deadline) -> Timestamp {
        let answered_by = self.clock.now() + CALL_TIMEOUT;
        answered_by.max(self.clock.at(deadline)) + LEASE_MARGIN
    }

    /// Waits a moment for somebody else's work, if the deadline leaves one.
    pub(crate) async fn wait_for_other(&self, deadline: Deadline) -> bool {
        if deadline.remaining() < POLL * 2 {
            return false;
        }
        let spread = 0.5 + self.clock.jitter();
        self.clock.sleep(POLL.mul_f64(spread)).await;
        true
    }
}

impl Leased for ComponentToken {
    type Kind = ComponentAccessToken;

    fn token(&self) -> Option<&Expiring<ComponentAccessToken>> {
        self.access_token.as_ref()
    }

    fn doubted_from(&self) -> Option<Timestamp> {
        self.doubted_from
    }

    fn token_seq(&self) -> u64 {
        self.token_seq
    }

    fn slot(&self) -> LeaseSlot {
        self.lease
    }

    fn leased(&self, slot: LeaseSlot, now: Timestamp) -> Self {
        Self::leased(self, slot, now)
    }

    fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    fn epoch(&self) -> Timestamp {
        Timestamp::default()
    }

    fn check(&self, _now: Timestamp) -> Result<(), Error> {
        Ok(())
    }

    async fn read(&self, store: &Store) -> Result<Self, Error> {
        store.component().await
    }

    async fn swap(&self, store: &Store) -> Result<Swap<Self>, Error> {
        store.swap_component(self).await
    }
}

impl Leased for Authorizer {
    type Kind = AuthorizerAccessToken;

    fn token(&self) -> Option<&Expiring<AuthorizerAccessToken>> {
        self.access_token.as_ref()
    }

    fn doubted_from(&self) -> Option<Timestamp> {
        self.doubted_from
    }

    fn token_seq(&self) -> u64 {
        self.token_seq
    }

    fn slot(&self) -> LeaseSlot {
        self.lease
    }

    fn leased(&self, slot: LeaseSlot, now: Timestamp) -> Self {
        Self::leased(self, slot, now)
    }

    fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
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

    async fn swap(&self, store: &Store) -> Result<Swap<Self>, Error> {
        store.swap_authorizer(self).await
    }
}
