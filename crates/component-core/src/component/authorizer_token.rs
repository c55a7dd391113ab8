//! An authorizer's tokens: its refresh token makes them, or an older one, or the one that WeChat
//! names.

use component_api::id::AuthorizerAppId;

use super::lease::Taken;
use super::recovery::{Candidate, KnownToWechat, RefreshCandidates};
use super::{Component, Kept, MAX_ROUNDS};
use crate::error::Error;
use crate::row::Lease;
use crate::row::authorizer::{Authorizer, Renewal, Standing};
use crate::row::need::Need;
use crate::time::{Deadline, Timestamp};
use crate::token::{AuthorizerAccessToken, AuthorizerRefreshToken, Expiring, OVERLAP, Secret};
use crate::wechat::refusal::Refusal;

impl Component {
    /// An access token of an authorizer that answers `need`; of fresh ones, one read.
    ///
    /// # Errors
    /// [`Error::UnknownAuthorizer`], [`Error::AuthorizationRevoked`],
    /// [`Error::ReauthorizationRequired`], and those of [`Component::access_token`].
    pub async fn authorizer_token(
        &self,
        appid: &AuthorizerAppId,
        need: &Need<AuthorizerAccessToken>,
        deadline: Deadline,
    ) -> Result<Expiring<AuthorizerAccessToken>, Error> {
        for _round in 0..MAX_ROUNDS {
            let row = self.store.authorizer(appid).await?;
            let deadline = self.patience(need, &row.slot, deadline);
            let (row, lease) = match self.take_turn(row, need, deadline).await? {
                Taken::Token(token) => return Ok(token),
                Taken::Lease(row, lease) => (row, lease),
            };
            match self.renew_authorizer(&row, lease, deadline).await {
                Ok(Some(token)) if self.is_answer(need, &token) => return Ok(token),
                Ok(_) => {}
                Err(error) => return self.ease(need, &row.slot, error),
            }
        }
        Err(Error::Busy("this authorizer"))
    }

    /// Applies a change to an authorizer's row however often another caller is faster; `None` leaves
    /// it as it is.
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

    /// Takes WeChat's word that an account is not authorized: WeChat was asked when the row was
    /// `seen` so, and has just answered.
    ///
    /// # Errors
    /// [`Error::Store`], as [`Component::change_authorizer`].
    pub async fn take_denial(
        &self,
        seen: Authorizer,
        deadline: Deadline,
    ) -> Result<Authorizer, Error> {
        let now = self.clock.now();
        let next = |row: &Authorizer| row.vanished(&seen, now);
        let kept = self.change_authorizer(seen.clone(), next, deadline);
        Ok(kept.await?.row())
    }

    /// Tries one refresh token after the other.
    ///
    /// `None` if the authorization changed meanwhile, so that the row must be looked at again.
    async fn renew_authorizer(
        &self,
        row: &Authorizer,
        lease: Lease,
        deadline: Deadline,
    ) -> Result<Option<Expiring<AuthorizerAccessToken>>, Error> {
        let appid = &row.appid;
        let mut candidates = RefreshCandidates::default();
        let mut row = row.clone();
        loop {
            let candidate = match self.next_candidate(&row, &mut candidates, deadline).await {
                Ok(Candidate::Token(token)) => token,
                Ok(Candidate::NoneLeft) => {
                    let refused = candidates.refused();
                    return self.give_up(row, lease, refused, deadline).await;
                }
                Ok(Candidate::NotAuthorized) => {
                    return self.note_revoked(row, lease, deadline).await;
                }
                Err(error) => return self.fail(row, lease, error, None, deadline).await,
            };
            let (refresh_token, asked_at) = (&candidate, self.clock.now());
            let answer = self
                .as_component(deadline, |wechat| async move {
                    wechat.authorizer_token(appid, refresh_token).await
                })
                .await;
            match answer {
                Ok(renewal) => {
                    candidates.accept(&candidate);
                    let refused = candidates.refused();
                    let kept = self.keep_renewal(row, lease, &renewal, refused, deadline);
                    return Ok(kept.await);
                }
                Err(error) if error.is_refusal(Refusal::RefreshToken) => {
                    tracing::warn!(authorizer_appid = %appid, reference = row.reference(), "WeChat refuses a refresh token; looking for another");
                    candidates.refuse(candidate);
                    match self.store.authorizer(appid).await {
                        Ok(current) if current.is_overtaken(lease) => return Ok(None),
                        Ok(current) => row = current,
                        Err(error) => return self.fail(row, lease, error, None, deadline).await,
                    }
                }
                Err(error) if error.is_refusal(Refusal::NotAuthorized) => {
                    return self.confirm_denial(row, lease, error, deadline).await;
                }
                Err(error) => {
                    return self.fail(row, lease, error, Some(asked_at), deadline).await;
                }
            }
        }
    }

    /// Stores what WeChat gave. The answer is the stored token as far as it can be trusted, which is
    /// a newer one if a later lease has brought it; `None` if the authorization that is stored is
    /// another one.
    async fn keep_renewal(
        &self,
        row: Authorizer,
        lease: Lease,
        renewal: &Renewal,
        refused: &[Secret<AuthorizerRefreshToken>],
        deadline: Deadline,
    ) -> Option<Expiring<AuthorizerAccessToken>> {
        let moment = self.clock.moment();
        let lease_end = row.slot.lease.until;
        let next = |row: &Authorizer| row.renewed(lease, renewal, refused, moment);
        match self.keep(row, next, deadline).await {
            Ok(Kept::Changed(row)) if row.standing == Standing::Authorized => {
                row.slot.trusted(self.clock.now())
            }
            Ok(_) => None,
            Err(error) => {
                // The token is good: that it could not be stored is not this caller's trouble.
                error.log("storing an authorizer's tokens");
                Some(renewal.access_token.unstored(lease_end))
            }
        }
    }

    /// WeChat has said that the account does not authorize the component: asks again before it
    /// counts as revoked.
    async fn confirm_denial<T>(
        &self,
        row: Authorizer,
        lease: Lease,
        error: Error,
        deadline: Deadline,
    ) -> Result<Option<T>, Error> {
        match self.ask_wechat(&row.appid, deadline).await {
            Ok(KnownToWechat::NotAuthorized) => self.note_revoked(row, lease, deadline).await,
            Ok(KnownToWechat::Authorized(_)) | Err(_) => {
                self.fail(row, lease, error, None, deadline).await
            }
        }
    }

    /// Notes why a renewal failed, and keeps a refresh token that came all the same. If WeChat was
    /// `asked_at` some time for a token, and may have issued one that was never seen, the stored one
    /// is in doubt.
    async fn fail<T>(
        &self,
        row: Authorizer,
        lease: Lease,
        error: Error,
        asked_at: Option<Timestamp>,
        deadline: Deadline,
    ) -> Result<T, Error> {
        let retry_after = (!error.is_component_wide()).then(|| row.backoff(self.clock.moment()));
        let doubted_from = asked_at
            .filter(|_| error.may_have_taken_effect())
            .map(|asked_at| asked_at + OVERLAP);
        let next = |row: &Authorizer| {
            let before = row.slot.failure.as_ref();
            let failure = error.to_failure(before, self.clock.now());
            let mut next = row.failed(lease, &failure, retry_after);
            if let Some(from) = doubted_from {
                next = next.doubted(lease, from);
            }
            // What WeChat gave beside the failure is kept, if the authorization is still the same.
            let given = error.refresh_token().filter(|_| !row.is_over(lease));
            Some(given.and_then(|token| next.beside(token)).unwrap_or(next))
        };
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
            Standing::ReauthorizationRequired if !row.is_over(lease) => {
                tracing::error!(
                    authorizer_appid = %row.appid,
                    reference = row.reference(),
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
        let next = |row: &Authorizer| row.denied(lease, now);
        let row = self.keep(row, next, deadline).await?.row();
        match row.standing {
            Standing::Revoked => {
                tracing::warn!(authorizer_appid = %row.appid, reference = row.reference(), "WeChat says that this authorizer has revoked its authorization");
                Err(Error::AuthorizationRevoked(row.appid))
            }
            _ => Ok(None),
        }
    }
}
