//! The component's own token: the newest ticket makes it.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use component_api::id::ComponentAppId;

use super::lease::Taken;
use super::{Component, InUse, MAX_ROUNDS};
use crate::error::Error;
use crate::row::component_token::ComponentToken;
use crate::row::need::Need;
use crate::row::{Issued, Lease};
use crate::time::Deadline;
use crate::token::{ComponentAccessToken, Expiring, OVERLAP};
use crate::wechat::error::WechatError;
use crate::wechat::refusal::Refusal;
use crate::wechat::session::Session;

/// A call of our own needs its token for this long at least.
const CALL_MARGIN: Duration = Duration::from_mins(1);

/// A component token that was read is used for so long without looking again: less than the five
/// minutes for which WeChat honours it after another caller has renewed it.
const MAX_IN_USE: Duration = Duration::from_mins(4);

/// WeChat is asked to push the ticket again at most once in this time.
const MIN_BETWEEN_PUSH_REQUESTS: Duration = Duration::from_mins(15);

/// What is most likely not right when WeChat refuses the access token of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suspect {
    /// The token: it is replaced, and the call repeated.
    Token,
    /// The account that the call names: WeChat has refused a new token for it, too.
    Account,
}

/// What has ended a token that WeChat refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EndedBy {
    /// Its time, or a renewal of this stack's.
    Us,
    /// A renewal that no row of this stack tells of.
    AnotherStack,
}

impl Component {
    /// A component access token that meets `need`. If the stored one does, this costs one read.
    ///
    /// # Errors
    /// [`Error::NoVerifyTicket`], [`Error::Wechat`], [`Error::Store`], [`Error::Secret`],
    /// [`Error::Busy`], [`Error::Remembered`].
    pub async fn access_token(
        &self,
        need: &Need<ComponentAccessToken>,
        deadline: Deadline,
    ) -> Result<Expiring<ComponentAccessToken>, Error> {
        // Boxed: to renew is seldom, and its state would be a part of every caller's.
        let (token, ended_by) = Box::pin(self.fresh_access_token(need, deadline)).await?;
        if ended_by == EndedBy::AnotherStack {
            self.say_displaced("a caller says that WeChat refuses")
                .await;
        }
        Ok(token)
    }

    /// Calls WeChat with a component token; once more with another, if WeChat refuses the first.
    ///
    /// # Errors
    /// Those of [`Component::access_token`] and of `call`.
    pub async fn as_component<T, F>(
        &self,
        deadline: Deadline,
        call: impl Fn(Session) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, WechatError>>,
    {
        self.as_component_for(Suspect::Token, deadline, call).await
    }

    /// The same for a call of which it is known what WeChat most likely means by refusing the token.
    pub(super) async fn as_component_for<T, F>(
        &self,
        suspect: Suspect,
        deadline: Deadline,
        call: impl Fn(Session) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, WechatError>>,
    {
        let credentials = self.vault.current().await?;
        let session = |token: &Expiring<ComponentAccessToken>| {
            let component = credentials.push.component_appid.clone();
            Session::new(
                self.wechat.clone(),
                component,
                token.secret.clone(),
                deadline,
            )
        };
        let token = self.token_in_use(deadline).await?;
        let refused = match call(session(&token)).await {
            Err(error) if error.is_refusal(Refusal::AccessToken) => error,
            answer => return Ok(answer?),
        };
        // A call that names no account tells whether the token works.
        if suspect == Suspect::Account && session(&token).get_authorizer_list(0).await.is_ok() {
            return Err(refused.into());
        }
        let need = Need::preferably(CALL_MARGIN).replacing(token.secret);
        let (token, ended_by) = Box::pin(self.fresh_access_token(&need, deadline)).await?;
        let answer = call(session(&token)).await;
        let accepted = !matches!(&answer, Err(error) if error.is_refusal(Refusal::AccessToken));
        if ended_by == EndedBy::AnotherStack && accepted {
            self.say_displaced("WeChat refuses").await;
        }
        Ok(answer?)
    }

    /// Asks WeChat to push the ticket again, unless another function did lately.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Secret`], [`Error::Wechat`].
    pub async fn request_ticket_push(&self, deadline: Deadline) -> Result<(), Error> {
        // Before the claim, which holds every other request back.
        let credentials = self.vault.current().await?;
        let now = self.clock.now();
        let claim = self
            .store
            .claim_push_request(now, MIN_BETWEEN_PUSH_REQUESTS);
        if !claim.await? {
            return Ok(());
        }
        tracing::warn!("asking WeChat to push the component verify ticket again");
        let component = &credentials.push.component_appid;
        self.wechat
            .start_push_ticket(component, &credentials.appsecret, deadline)
            .await?;
        Ok(())
    }

    /// A token that answers `need`, and what ended the one that WeChat has refused.
    async fn fresh_access_token(
        &self,
        need: &Need<ComponentAccessToken>,
        deadline: Deadline,
    ) -> Result<(Expiring<ComponentAccessToken>, EndedBy), Error> {
        let mut ended_by = EndedBy::Us;
        for _round in 0..MAX_ROUNDS {
            let before = deadline.remaining();
            let row = self.store.component_token().await?;
            let read_in = before.saturating_sub(deadline.remaining());
            let displaced = row.is_displaced(need, self.clock.now());
            let patience = self.patience(need, &row.slot, read_in, deadline);
            let (row, lease) = match self.take_turn(row, need, patience).await? {
                Taken::Token(token) => return Ok((self.use_from_now_on(token), ended_by)),
                Taken::Lease(row, lease) => (row, lease),
            };
            if displaced {
                ended_by = EndedBy::AnotherStack;
            }
            let renewed = self.renew_component(&row, lease, need, patience.renewal);
            match renewed.await {
                Ok(Some(token)) if self.is_answer(need, &token) => {
                    return Ok((self.use_from_now_on(token), ended_by));
                }
                Ok(_) => {}
                Err(error) => {
                    let token = self.ease(need, &row.slot, error)?;
                    return Ok((self.use_from_now_on(token), ended_by));
                }
            }
        }
        Err(Error::Busy("the component's token"))
    }

    fn use_from_now_on(
        &self,
        token: Expiring<ComponentAccessToken>,
    ) -> Expiring<ComponentAccessToken> {
        *self.in_use() = Some(InUse {
            token: token.clone(),
            read_at: self.clock.now(),
        });
        token
    }

    /// Asks WeChat for a token, stores it, and returns the row's token with its expiry cut to the time
    /// for which it can be trusted. A later lease may have stored that token.
    async fn renew_component(
        &self,
        row: &ComponentToken,
        lease: Lease,
        need: &Need<ComponentAccessToken>,
        deadline: Deadline,
    ) -> Result<Option<Expiring<ComponentAccessToken>>, Error> {
        let (asked_at, secret) = (self.clock.now(), self.vault.version());
        let asked = self.ask_for_component_token(need, deadline).await;
        let next = |row: &ComponentToken| {
            let slot = &row.slot;
            Some(row.with(match &asked {
                Ok(issued) => slot.renewed(lease, issued).slot,
                Err(error) => {
                    let failure = self.failure(error, slot.failure.as_ref(), secret.as_ref());
                    let failed = slot.failed(lease, &failure);
                    if error.may_have_taken_effect() {
                        failed.doubted(lease, asked_at + OVERLAP)
                    } else {
                        failed
                    }
                }
            }))
        };
        let kept = self.keep(row.clone(), next, deadline).await;
        match (asked, kept) {
            (Ok(_), Ok(kept)) => Ok(kept.row().slot.trusted(self.clock.now())),
            (Ok(issued), Err(error)) => {
                // The caller gets the token all the same: it works. The row will be renewed again.
                error.log("storing the component token");
                Ok(Some(issued.unstored(row.slot.lease.until)))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Two stacks that renew the tokens of one component end each other's, every five minutes and for
    /// ever.
    async fn say_displaced(&self, refuses: &str) {
        let credentials = self.vault.current().await.ok();
        let component = credentials.map(|credentials| credentials.push.component_appid.clone());
        tracing::error!(
            component_appid = component.as_ref().map(ComponentAppId::as_str),
            "{refuses} a component access token that should be good: another stack renews the tokens of this component, \
             and each ends the other's; give the other stack a component of its own, or let it ask this one's token getter"
        );
    }

    /// Sends the newest ticket, and each that comes while WeChat refuses the one before. One that it
    /// has refused is known to be of no use; only the schedule finds out whether that has changed.
    async fn ask_for_component_token(
        &self,
        need: &Need<ComponentAccessToken>,
        deadline: Deadline,
    ) -> Result<Issued<ComponentAccessToken>, Error> {
        let credentials = self.vault.current().await?;
        let component = &credentials.push.component_appid;
        let mut tried = None;
        while let Some(stored) = self.store.ticket().await? {
            let known_as_refused = stored.is_refused && !need.is_by_schedule();
            if tried.as_ref() == Some(&stored.ticket) || known_as_refused {
                break;
            }
            let asked = self
                .wechat
                .component_token(component, &credentials.appsecret, &stored.ticket, deadline)
                .await;
            match asked {
                Err(error) if error.is_refusal(Refusal::Ticket) => {
                    self.store.note_refused_ticket(&stored.ticket).await?;
                    tried = Some(stored.ticket);
                }
                asked => return Ok(asked?),
            }
        }
        if let Err(error) = self.request_ticket_push(deadline).await {
            error.log("asking for a ticket push");
        }
        Err(Error::NoVerifyTicket)
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
                let need = Need::preferably(CALL_MARGIN);
                self.access_token(&need, deadline).await
            }
        }
    }

    fn in_use(&self) -> MutexGuard<'_, Option<InUse>> {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
