//! The one way a token is renewed: take a lease on its row, call WeChat, keep what it gave.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::authorizer::{Authorizer, Renewal, Standing};
use crate::component::Component;
use crate::credentials::{Credentials, Vault};
use crate::error::Error;
use crate::id::{AuthorizerAppId, ComponentAppId};
use crate::lease::{Lease, LeaseSlot, Need, Turn};
use crate::store::{Store, Swap};
use crate::time::{Clock, Deadline, Timestamp};
use crate::token::{
    AuthorizerAccessToken, AuthorizerRefreshToken, ComponentAccessToken, Expiring, Secret,
};
use crate::wechat::{AuthorizerPage, CALL_TIMEOUT, Refusal, Wechat};

/// The tokens of one component: where they are kept and where they come from.
pub struct Tokens {
    /// The table.
    pub store: Store,
    /// The API.
    pub wechat: Wechat,
    /// The secret.
    pub vault: Vault,
    /// The time.
    pub clock: Clock,
    in_use: Mutex<Option<InUse>>,
}

/// A component token as it was read, for a while of calls.
#[derive(Clone)]
struct InUse {
    token: Expiring<ComponentAccessToken>,
    read_at: Timestamp,
}

/// What WeChat says of an authorizer when it is asked.
#[derive(Debug)]
pub enum AtWechat {
    /// It is authorized; the refresh token is there if a code was ever exchanged.
    Authorized(Option<Secret<AuthorizerRefreshToken>>),
    /// It is not.
    NotAuthorized,
}

/// What became of a change to a row.
#[derive(Debug)]
pub enum Kept<R> {
    /// It was made, and this is the row now.
    Changed(R),
    /// The row is such that there was nothing to change.
    Unchanged(R),
}

impl<R> Kept<R> {
    /// The row, either way.
    pub fn row(self) -> R {
        let (Self::Changed(row) | Self::Unchanged(row)) = self;
        row
    }
}

/// A row with a token that one caller at a time renews.
trait Leased: Sized {
    type Kind: Clone;

    fn token(&self) -> Option<&Expiring<Self::Kind>>;
    fn slot(&mut self) -> &mut LeaseSlot;
    fn failure(&self) -> Option<&str>;
    fn epoch(&self) -> Timestamp;
    /// Whether its token may be handed out at all.
    fn check(&self, now: Timestamp) -> Result<(), Error>;
    fn read(&self, store: &Store) -> impl Future<Output = Result<Self, Error>> + Send;
    fn swap(&self, store: &Store) -> impl Future<Output = Result<Swap<Self>, Error>> + Send;
}

/// Whose turn it was.
enum Taken<R: Leased> {
    Token(Expiring<R::Kind>),
    Lease(R, Lease),
}

/// A call of our own needs its token for this long at least.
const CALL_MARGIN: Duration = Duration::from_mins(1);

/// A component token that was read is used for so long without looking again: less than the five minutes for which
/// WeChat honours it after somebody has renewed it.
const MAX_IN_USE: Duration = Duration::from_mins(4);

/// Between two looks at a row that somebody else renews.
const POLL: Duration = Duration::from_millis(150);

/// The longest time for a renewal, its waiting included, however long the invocation may take: it bounds the lease, and
/// with it how long a crash keeps others from trying.
const MAX_RENEWAL: Duration = Duration::from_secs(20);

/// By this much a lease outlives its holder's deadline.
const LEASE_MARGIN: Duration = Duration::from_secs(1);

/// How often an authorizer's renewal starts over because the authorization changed under it.
const MAX_ROUNDS: u32 = 3;

/// WeChat is asked to push the ticket again at most once in this time.
const MIN_BETWEEN_PUSH_REQUESTS: Duration = Duration::from_mins(15);

impl Tokens {
    /// The tokens in `store`, renewed through `wechat` with the secret in `vault`.
    pub fn new(store: Store, wechat: Wechat, vault: Vault, clock: Clock) -> Self {
        Self {
            store,
            wechat,
            vault,
            clock,
            in_use: Mutex::new(None),
        }
    }

    /// A component access token that answers `need`; of fresh ones, one read.
    ///
    /// # Errors
    /// [`Error::NoVerifyTicket`], [`Error::Wechat`], [`Error::Store`], [`Error::Busy`], [`Error::Elsewhere`].
    pub async fn component_token(
        &self,
        need: &Need<ComponentAccessToken>,
        deadline: Deadline,
    ) -> Result<Expiring<ComponentAccessToken>, Error> {
        let token = self.fresh_component_token(need, deadline).await?;
        *self.in_use() = Some(InUse {
            token: token.clone(),
            read_at: self.clock.now(),
        });
        Ok(token)
    }

    async fn fresh_component_token(
        &self,
        need: &Need<ComponentAccessToken>,
        deadline: Deadline,
    ) -> Result<Expiring<ComponentAccessToken>, Error> {
        let deadline = deadline.or_after(MAX_RENEWAL);
        let row = self.store.component().await?;
        let (row, lease) = match self.take_turn(row, need, deadline).await? {
            Taken::Token(token) => return Ok(token),
            Taken::Lease(row, lease) => (row, lease),
        };
        let asked = self.ask_for_component_token(deadline).await;
        let next = |row: &Component| {
            Some(match &asked {
                Ok(token) => row.renewed(lease, token),
                Err(error) => row.failed(lease, &error.to_remember()),
            })
        };
        let kept = self.keep(row.clone(), next, deadline).await;
        match (asked, kept) {
            (Ok(token), kept) => {
                // WeChat gave a good token: that it could not be stored is trouble, but not this caller's.
                if let Err(error) = kept {
                    error.log("storing the component token");
                }
                Ok(token)
            }
            (Err(error), _) => self.ease(need, row.token(), error),
        }
    }

    /// An access token of an authorizer that answers `need`; of fresh ones, one read.
    ///
    /// # Errors
    /// [`Error::UnknownAuthorizer`], [`Error::AuthorizationRevoked`], [`Error::ReauthorizationRequired`], and those of
    /// [`Tokens::component_token`].
    pub async fn authorizer_token(
        &self,
        appid: &AuthorizerAppId,
        need: &Need<AuthorizerAccessToken>,
        deadline: Deadline,
    ) -> Result<Expiring<AuthorizerAccessToken>, Error> {
        let deadline = deadline.or_after(MAX_RENEWAL);
        for _round in 0..MAX_ROUNDS {
            let row = self.store.authorizer(appid).await?;
            let (row, lease) = match self.take_turn(row, need, deadline).await? {
                Taken::Token(token) => return Ok(token),
                Taken::Lease(row, lease) => (row, lease),
            };
            match self.renew_authorizer(&row, lease, deadline).await {
                Ok(Some(token)) => return Ok(token),
                Ok(None) => {}
                Err(error) => return self.ease(need, row.token(), error),
            }
        }
        Err(Error::Busy("this authorizer"))
    }

    /// Calls WeChat with a component token; once more with another, if WeChat refuses the first.
    ///
    /// # Errors
    /// Those of [`Tokens::component_token`] and of `call`.
    pub async fn as_component<T, F>(
        &self,
        deadline: Deadline,
        call: impl Fn(Secret<ComponentAccessToken>, ComponentAppId) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let credentials = self.vault.current().await;
        let component = &credentials.push.component_appid;
        let token = self.token_in_use(deadline).await?;
        match call(token.secret.clone(), component.clone()).await {
            Err(error) if error.is_refusal(&Refusal::AccessToken) => {
                let need = Need::Replacing(token.secret, CALL_MARGIN);
                let token = self.component_token(&need, deadline).await?;
                call(token.secret, component.clone()).await
            }
            answer => answer,
        }
    }

    /// Asks WeChat whether an authorizer is authorized: its info, and if that denies it, the list.
    ///
    /// # Errors
    /// Those of [`Tokens::as_component`].
    pub async fn ask_wechat(
        &self,
        appid: &AuthorizerAppId,
        deadline: Deadline,
    ) -> Result<AtWechat, Error> {
        let info = self
            .as_component(deadline, |token, component| async move {
                self.wechat
                    .get_authorizer_info(&token, &component, appid, deadline)
                    .await
            })
            .await;
        match info {
            Ok(info) => return Ok(AtWechat::Authorized(info.granted.refresh_token)),
            Err(error) if error.is_refusal(&Refusal::NotAuthorized) => {}
            Err(error) => return Err(error),
        }
        let mut offset = Some(0);
        while let Some(from) = offset {
            let page = self.list_page(from, deadline).await?;
            let mut listed = page.authorizers.into_iter();
            if let Some(listed) = listed.find(|listed| listed.authorizer == *appid) {
                return Ok(AtWechat::Authorized(listed.refresh_token));
            }
            offset = page.next;
        }
        Ok(AtWechat::NotAuthorized)
    }

    /// A page of WeChat's own list.
    ///
    /// # Errors
    /// Those of [`Tokens::as_component`].
    pub async fn list_page(
        &self,
        offset: u64,
        deadline: Deadline,
    ) -> Result<AuthorizerPage, Error> {
        self.as_component(deadline, |token, component| async move {
            self.wechat
                .get_authorizer_list(&token, &component, offset, deadline)
                .await
        })
        .await
    }

    /// Asks WeChat to push the ticket again, unless somebody did lately.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Wechat`].
    pub async fn request_ticket_push(&self, deadline: Deadline) -> Result<(), Error> {
        let now = self.clock.now();
        let claim = self
            .store
            .claim_push_request(now, MIN_BETWEEN_PUSH_REQUESTS);
        if !claim.await? {
            return Ok(());
        }
        tracing::warn!("asking WeChat to push the component verify ticket again");
        let credentials = self.vault.current().await;
        let component = &credentials.push.component_appid;
        self.wechat
            .start_push_ticket(component, &credentials.appsecret, deadline)
            .await
    }

    /// Applies a change to an authorizer's row however often somebody else is faster; `None` leaves it as it is.
    ///
    /// # Errors
    /// [`Error::Store`], if the table does not take it before the deadline.
    pub async fn change_authorizer(
        &self,
        row: Authorizer,
        change: impl Fn(&Authorizer) -> Option<Authorizer>,
        deadline: Deadline,
    ) -> Result<Kept<Authorizer>, Error> {
        self.keep(row, change, deadline).await
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
        let jitter: f64 = rand::random();
        self.clock.sleep(POLL.mul_f64(0.5 + jitter)).await;
        true
    }

    /// The stored token if it answers, or else the lease, or else what the holder of the lease makes of it.
    async fn take_turn<R: Leased>(
        &self,
        mut row: R,
        need: &Need<R::Kind>,
        deadline: Deadline,
    ) -> Result<Taken<R>, Error> {
        let mut awaited = None;
        loop {
            let now = self.clock.now();
            row.check(now)?;
            let slot = *row.slot();
            match need.turn(row.token(), slot, now, self.lease_end(deadline)) {
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
                    // He for whom we waited has failed just now; it would be no different for us.
                    let finished = slot.until == Timestamp::default();
                    if let (true, Some(failure)) =
                        (awaited == Some(slot.seq) && finished, row.failure())
                    {
                        let error = Error::remembered(failure);
                        return self.ease(need, row.token(), error).map(Taken::Token);
                    }
                    *row.slot() = taken;
                    row = match row.swap(&self.store).await {
                        Ok(Swap::Written(row)) => {
                            let lease = Lease {
                                epoch: row.epoch(),
                                seq: taken.seq,
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
    async fn keep<R: Leased>(
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

    /// A token that is good at all, where that is better than the error.
    fn ease<K: Clone>(
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

    async fn token_in_use(
        &self,
        deadline: Deadline,
    ) -> Result<Expiring<ComponentAccessToken>, Error> {
        let now = self.clock.now();
        let in_use = self.in_use().clone();
        match in_use {
            Some(InUse { token, read_at })
                if token.lasts(now, CALL_MARGIN) && read_at.until(now) < MAX_IN_USE =>
            {
                Ok(token)
            }
            _ => {
                let need = Need::Preferably(CALL_MARGIN);
                self.component_token(&need, deadline).await
            }
        }
    }

    fn in_use(&self) -> std::sync::MutexGuard<'_, Option<InUse>> {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask_for_component_token(
        &self,
        deadline: Deadline,
    ) -> Result<Expiring<ComponentAccessToken>, Error> {
        let credentials: Arc<Credentials> = self.vault.current().await;
        let component = &credentials.push.component_appid;
        let mut tried = None;
        while let Some(stored) = self.store.ticket().await? {
            if tried.as_ref() == Some(&stored.ticket) {
                break;
            }
            let asked = self
                .wechat
                .component_token(component, &credentials.appsecret, &stored.ticket, deadline)
                .await;
            match asked {
                Err(error) if error.is_refusal(&Refusal::Ticket) => tried = Some(stored.ticket),
                asked => return asked,
            }
        }
        if let Err(error) = self.request_ticket_push(deadline).await {
            error.log("asking for a ticket push");
        }
        Err(Error::NoVerifyTicket)
    }

    /// The recovery ladder: the row's refresh tokens from the current one back, then the one that WeChat names, even if
    /// it was refused before: only a token that is named and refused again is given up.
    ///
    /// `None` if the authorization changed meanwhile, so that the row must be looked at again.
    async fn renew_authorizer(
        &self,
        row: &Authorizer,
        lease: Lease,
        deadline: Deadline,
    ) -> Result<Option<Expiring<AuthorizerAccessToken>>, Error> {
        let appid = &row.appid;
        let (mut refused, mut named) = (Vec::new(), None);
        let mut row = row.clone();
        loop {
            let untried = row
                .candidates()
                .into_iter()
                .find(|token| !refused.contains(token));
            let candidate = match untried {
                Some(candidate) => candidate,
                None => match self.ask_wechat(appid, deadline).await {
                    Ok(AtWechat::Authorized(Some(token))) if named.as_ref() != Some(&token) => {
                        named = Some(token.clone());
                        token
                    }
                    Ok(AtWechat::Authorized(_)) => {
                        return self.give_up(row, lease, &refused, deadline).await;
                    }
                    Ok(AtWechat::NotAuthorized) => {
                        return self.note_revoked(row, lease, deadline).await;
                    }
                    Err(error) => return self.fail(row, lease, error, deadline).await,
                },
            };
            let refresh_token = &candidate;
            let answer = self
                .as_component(deadline, |token, component| async move {
                    self.wechat
                        .authorizer_token(&token, &component, appid, refresh_token, deadline)
                        .await
                })
                .await;
            match answer {
                Ok(renewal) => {
                    refused.retain(|token| *token != candidate);
                    let kept = self.keep_renewal(row, lease, &renewal, &refused, deadline);
                    return Ok(kept.await.then_some(renewal.access_token));
                }
                Err(error) if error.is_refusal(&Refusal::RefreshToken) => {
                    tracing::warn!(authorizer_appid = %appid, "WeChat refuses a refresh token; looking for another");
                    refused.push(candidate);
                    row = self.store.authorizer(appid).await?;
                    if row.auth_epoch != lease.epoch {
                        return Ok(None);
                    }
                }
                Err(error) if error.is_refusal(&Refusal::NotAuthorized) => {
                    return self.doubt(row, lease, error, deadline).await;
                }
                Err(error) => return self.fail(row, lease, error, deadline).await,
            }
        }
    }

    /// Stores what WeChat gave; whether it is the authorization's that stands.
    async fn keep_renewal(
        &self,
        row: Authorizer,
        lease: Lease,
        renewal: &Renewal,
        refused: &[Secret<AuthorizerRefreshToken>],
        deadline: Deadline,
    ) -> bool {
        let jitter = rand::random();
        let next = |row: &Authorizer| row.renewed(lease, renewal, refused, jitter);
        match self.keep(row, next, deadline).await {
            Ok(Kept::Changed(row)) => row.standing == Standing::Authorized,
            Ok(Kept::Unchanged(_over)) => false,
            Err(error) => {
                // The token is good: that it could not be stored is trouble, but not this caller's.
                error.log("storing an authorizer's tokens");
                true
            }
        }
    }

    /// WeChat has said that the account does not authorize the component: asks again before it counts as revoked.
    async fn doubt<T>(
        &self,
        row: Authorizer,
        lease: Lease,
        error: Error,
        deadline: Deadline,
    ) -> Result<Option<T>, Error> {
        match self.ask_wechat(&row.appid, deadline).await {
            Ok(AtWechat::NotAuthorized) => self.note_revoked(row, lease, deadline).await,
            Ok(AtWechat::Authorized(_)) | Err(_) => self.fail(row, lease, error, deadline).await,
        }
    }

    async fn fail<T>(
        &self,
        row: Authorizer,
        lease: Lease,
        error: Error,
        deadline: Deadline,
    ) -> Result<T, Error> {
        let retry_after =
            (!error.is_component_wide()).then(|| row.backoff(self.clock.now(), rand::random()));
        let failure = error.to_remember();
        let next = |row: &Authorizer| Some(row.failed(lease, &failure, retry_after));
        if let Err(error) = self.keep(row, next, deadline).await {
            error.log("noting a failed renewal");
        }
        Err(error)
    }

    async fn give_up<T>(
        &self,
        row: Authorizer,
        lease: Lease,
        refused: &[Secret<AuthorizerRefreshToken>],
        deadline: Deadline,
    ) -> Result<Option<T>, Error> {
        let now = self.clock.now();
        let next = |row: &Authorizer| row.exhausted(lease, refused, now);
        let row = self.keep(row, next, deadline).await?.row();
        match row.standing {
            Standing::ReauthorizationRequired if row.auth_epoch == lease.epoch => {
                tracing::error!(
                    authorizer_appid = %row.appid,
                    "WeChat refuses every refresh token of this authorizer: it must authorize again"
                );
                Err(Error::ReauthorizationRequired(row.appid))
            }
            _ => Ok(None),
        }
    }

    async fn note_revoked<T>(
        &self,
        row: Authorizer,
        lease: Lease,
        deadline: Deadline,
    ) -> Result<Option<T>, Error> {
        let now = self.clock.now();
        let next = |row: &Authorizer| row.vanished(lease.epoch, now);
        let row = self.keep(row, next, deadline).await?.row();
        match row.standing {
            Standing::Revoked => {
                tracing::warn!(authorizer_appid = %row.appid, "WeChat says that this authorizer has revoked its authorization");
                Err(Error::AuthorizationRevoked(row.appid))
            }
            _ => Ok(None),
        }
    }
}

impl Leased for Component {
    type Kind = ComponentAccessToken;

    fn token(&self) -> Option<&Expiring<ComponentAccessToken>> {
        self.access_token.as_ref()
    }

    fn slot(&mut self) -> &mut LeaseSlot {
        &mut self.lease
    }

    fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
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

    fn slot(&mut self) -> &mut LeaseSlot {
        &mut self.lease
    }

    fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
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
