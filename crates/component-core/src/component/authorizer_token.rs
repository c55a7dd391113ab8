//! An authorizer's tokens: its refresh token makes them, or an older one, or the one that WeChat names.

use super::lease::Taken;
use super::{Component, Kept};
use crate::component::recovery::{Candidate, KnownToWechat, RefreshCandidates};
use crate::error::Error;
use crate::row::Lease;
use crate::row::authorizer::{Authorizer, Renewal, Standing};
use crate::row::need::Need;
use crate::time::{Deadline, Timestamp};
use crate::token::{AuthorizerAccessToken, AuthorizerRefreshToken, Expiring, OVERLAP, Secret};
use crate::wechat::answer::AuthorizerPage;
use crate::wechat::refusal::Refusal;
use component_api::id::AuthorizerAppId;

/// How often an authorizer's renewal starts over because the authorization changed under it.
const MAX_ROUNDS: u32 = 3;

impl Component {
    /// An access token of an authorizer that answers `need`; of fresh ones, one read.
    ///
    /// # Errors
    /// [`Error::UnknownAuthorizer`], [`Error::AuthorizationRevoked`], [`Error::ReauthorizationRequired`], and those of
    /// [`Component::access_token`].
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
                // A token that is in doubt is good for minutes. Somebody who was promised more gets another; the schedule
                // leaves it to its next run, when what put it in doubt is over.
                Ok(Some(token))
                    if need.is_by_schedule() || need.is_eased_by(&token, self.clock.now()) =>
                {
                    return Ok(token);
                }
                Ok(_) => {}
                Err(error) => return self.ease(need, &row.slot, error),
            }
        }
        Err(Error::Busy("this authorizer"))
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

    /// Takes WeChat's word, asked for when the row was `seen` so and just received, that an account is not authorized.
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

    /// Asks WeChat whether an authorizer is authorized: its info, and if that denies it, the list.
    ///
    /// # Errors
    /// Those of [`Component::as_component`].
    pub async fn ask_wechat(
        &self,
        appid: &AuthorizerAppId,
        deadline: Deadline,
    ) -> Result<KnownToWechat, Error> {
        let info = self
            .as_component(deadline, |wechat| async move {
                wechat.get_authorizer_info(appid).await
            })
            .await;
        match info {
            Ok(info) => return Ok(KnownToWechat::Authorized(info.granted.refresh_token)),
            Err(error) if error.is_refusal(Refusal::NotAuthorized) => {}
            Err(error) => return Err(error),
        }
        let mut offset = Some(0);
        while let Some(from) = offset {
            let page = self.list_page(from, deadline).await?;
            let mut listed = page.authorizers.into_iter();
            if let Some(listed) = listed.find(|listed| listed.authorizer == *appid) {
                return Ok(KnownToWechat::Authorized(listed.refresh_token));
            }
            offset = page.next;
        }
        Ok(KnownToWechat::NotAuthorized)
    }

    /// A page of WeChat's own list.
    ///
    /// # Errors
    /// Those of [`Component::as_component`].
    pub async fn list_page(
        &self,
        offset: u64,
        deadline: Deadline,
    ) -> Result<AuthorizerPage, Error> {
        self.as_component(deadline, |wechat| async move {
            wechat.get_authorizer_list(offset).await
        })
        .await
    }

    /// Climbs the recovery ladder.
    ///
    /// `None` if the authorization changed meanwhile, so that the row must be looked at again.
    async fn renew_authorizer(
        &self,
        row: &Authorizer,
        lease: Lease,
        deadline: Deadline,
    ) -> Result<Option<Expiring<AuthorizerAccessToken>>, Error> {
        let appid = &row.appid;
        let mut ladder = RefreshCandidates::default();
        let mut row = row.clone();
        loop {
            let candidate = match self.next_rung(&row, &mut ladder, deadline).await {
                Ok(Candidate::Token(token)) => token,
                Ok(Candidate::NoneLeft) => {
                    return self.give_up(row, lease, ladder.refused(), deadline).await;
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
                    ladder.accept(&candidate);
                    let kept = self.keep_renewal(row, lease, &renewal, ladder.refused(), deadline);
                    let kept = kept.await;
                    return Ok(kept.then(|| renewal.access_token.trusted()));
                }
                Err(error) if error.is_refusal(Refusal::RefreshToken) => {
                    tracing::warn!(authorizer_appid = %appid, reference = row.reference(), "WeChat refuses a refresh token; looking for another");
                    ladder.refuse(candidate);
                    match self.store.authorizer(appid).await {
                        Ok(current) if current.is_overtaken(lease) => return Ok(None),
                        Ok(current) => row = current,
                        Err(error) => return self.fail(row, lease, error, None, deadline).await,
                    }
                }
                Err(error) if error.is_refusal(Refusal::NotAuthorized) => {
                    return self.doubt(row, lease, error, deadline).await;
                }
                Err(error) => {
                    return self.fail(row, lease, error, Some(asked_at), deadline).await;
                }
            }
        }
    }

    /// The next refresh token to try: one of the row's, or the one that WeChat names now.
    async fn next_rung(
        &self,
        row: &Authorizer,
        ladder: &mut RefreshCandidates,
        deadline: Deadline,
    ) -> Result<Candidate, Error> {
        Ok(match ladder.untried(row) {
            Some(untried) => Candidate::Token(untried),
            None => ladder.told(self.ask_wechat(&row.appid, deadline).await?),
        })
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
        let moment = self.clock.moment();
        let next = |row: &Authorizer| row.renewed(lease, renewal, refused, moment);
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
            Ok(KnownToWechat::NotAuthorized) => self.note_revoked(row, lease, deadline).await,
            Ok(KnownToWechat::Authorized(_)) | Err(_) => {
                self.fail(row, lease, error, None, deadline).await
            }
        }
    }

    /// Notes why a renewal failed, and if WeChat was `asked_at` some time for a token and may have given one that nobody
    /// saw, that the one before is in doubt.
    async fn fail<T>(
        &self,
        row: Authorizer,
        lease: Lease,
        error: Error,
        asked_at: Option<Timestamp>,
        deadline: Deadline,
    ) -> Result<T, Error> {
        let retry_after = (!error.is_component_wide()).then(|| row.backoff(self.clock.moment()));
        let surely_until = asked_at
            .filter(|_| error.may_have_taken_effect())
            .map(|asked_at| asked_at + OVERLAP);
        let next = |row: &Authorizer| {
            let failure = error.to_failure(row.slot.failure.as_ref(), self.clock.now());
            let next = row.failed(lease, &failure, retry_after);
            Some(match surely_until {
                Some(until) => next.doubted(lease, until),
                None => next,
            })
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
