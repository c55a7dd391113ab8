//! How an authorizer's access token is renewed: by the stored refresh token, by one stored before it,
//! or by the one that WeChat names.

use std::sync::atomic::Ordering;

use component_api::id::AuthorizerAppId;

use super::lease::Taken;
use super::recovery::{Candidate, KnownToWechat, RefreshCandidates};
use super::token::Suspect;
use super::{Component, Kept, MAX_ROUNDS};
use crate::error::{Denied, Error};
use crate::row::authorizer::{Authorizer, Denial, Renewal, Setback, Standing};
use crate::row::need::Need;
use crate::row::{Cause, Failure, Lease, next_minute};
use crate::time::{Deadline, Timestamp};
use crate::token::{AuthorizerAccessToken, AuthorizerRefreshToken, Expiring, OVERLAP, Secret};
use crate::wechat::refusal::{Concern, Refusal, Refused};

/// An access token, and where it comes from.
#[derive(Debug)]
pub enum Obtained {
    /// It was stored.
    Stored(Expiring<AuthorizerAccessToken>),
    /// WeChat was asked for it.
    Renewed(Expiring<AuthorizerAccessToken>),
}

const CONTRADICTED: Setback = Setback::Contradicted {
    denied_once_at: None,
};

impl Component {
    /// An access token of an authorizer that meets `need`. If the stored one does, this costs one
    /// read.
    ///
    /// # Errors
    /// [`Error::UnknownAuthorizer`], [`Error::AuthorizationRevoked`],
    /// [`Error::ReauthorizationRequired`], [`Error::Untold`], and those of
    /// [`Component::access_token`].
    pub async fn authorizer_token(
        &self,
        appid: &AuthorizerAppId,
        need: &Need<AuthorizerAccessToken>,
        deadline: Deadline,
    ) -> Result<Expiring<AuthorizerAccessToken>, Error> {
        let (Obtained::Stored(token) | Obtained::Renewed(token)) =
            self.obtain(appid, need, deadline).await?;
        Ok(token)
    }

    /// The same, and whether WeChat was asked for it.
    ///
    /// # Errors
    /// Those of [`Component::authorizer_token`].
    pub async fn obtain(
        &self,
        appid: &AuthorizerAppId,
        need: &Need<AuthorizerAccessToken>,
        deadline: Deadline,
    ) -> Result<Obtained, Error> {
        for _round in 0..MAX_ROUNDS {
            let before = deadline.remaining();
            let row = self.store.authorizer(appid).await?;
            let read_in = before.saturating_sub(deadline.remaining());
            let patience = self.patience(need, &row.slot, read_in, deadline);
            let (row, lease) = match self.take_turn(row, need, patience).await? {
                Taken::Token(token) => return Ok(Obtained::Stored(token)),
                Taken::Lease(row, lease) => (row, lease),
            };
            let renewed = Box::pin(self.renew_authorizer(&row, lease, patience.renewal));
            match renewed.await {
                Ok(Some(token)) if self.is_answer(need, &token) => {
                    return Ok(Obtained::Renewed(token));
                }
                Ok(_) => {}
                Err(error) => {
                    let eased = self.ease(need, &row.slot, error)?;
                    return Ok(Obtained::Stored(eased));
                }
            }
        }
        Err(Error::Busy("this authorizer"))
    }

    /// Applies `change` to an authorizer's row. If another caller writes the row first, `change` is
    /// applied to what that caller wrote. If `change` answers `None`, the row stays as it is.
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

    /// The same for a change that took place `at` some time, as its notice says.
    ///
    /// # Errors
    /// As [`Component::change_authorizer`].
    pub(super) async fn change_authorizer_at(
        &self,
        row: Authorizer,
        change: impl Fn(&Authorizer) -> Option<Authorizer>,
        at: Option<Timestamp>,
        deadline: Deadline,
    ) -> Result<Kept<Authorizer>, Error> {
        self.keep_at(row, change, at, deadline).await
    }

    /// Makes a row a tombstone because WeChat says that the account is not authorized. `seen` is the
    /// row as it was before WeChat was asked: if it has changed since, nothing is written.
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
        let suspect = suspect(row.slot.failure.as_ref());
        let mut candidates = RefreshCandidates::default();
        let mut refusal = None;
        let mut row = row.clone();
        loop {
            let candidate = self.next_candidate(&row, &mut candidates, deadline).await;
            let Ok(Candidate::Token(candidate)) = candidate else {
                let refused = candidates.refused();
                return self
                    .end_without_token(row, lease, candidate, (refused, refusal), deadline)
                    .await;
            };
            let (refresh_token, asked_at) = (&candidate, self.clock.now());
            let answer = self
                .as_component_for(suspect, deadline, |wechat| async move {
                    wechat.authorizer_token(appid, refresh_token).await
                })
                .await;
            match answer {
                Ok(renewal) => {
                    candidates.accept(&candidate);
                    let refused = candidates.refused();
                    return Ok(self
                        .keep_renewal(row, lease, &renewal, refused, deadline)
                        .await);
                }
                Err(error) if error.is_refusal(Refusal::RefreshToken) => {
                    tracing::warn!(authorizer_appid = %appid, reference = row.reference(), "WeChat refuses a refresh token; looking for another");
                    candidates.refuse(candidate);
                    refusal = Some(error);
                    row = match self.store.authorizer(appid).await {
                        Ok(current) if current.is_overtaken(lease) => return Ok(None),
                        Ok(current) => current,
                        Err(error) => {
                            let setback = Setback::Account;
                            return self.fail(row, lease, error, setback, None, deadline).await;
                        }
                    };
                }
                Err(error) if error.is_denial() => {
                    return self.confirm_denial(row, lease, error, deadline).await;
                }
                Err(error) => {
                    return self.fail_asked(row, lease, error, asked_at, deadline).await;
                }
            }
        }
    }

    /// What the renewal comes to if there is no refresh token to try: `refused` are those that WeChat
    /// has refused, and the last of its refusals.
    async fn end_without_token<T>(
        &self,
        row: Authorizer,
        lease: Lease,
        candidate: Result<Candidate, Error>,
        (refused, refusal): (&[Secret<AuthorizerRefreshToken>], Option<Error>),
        deadline: Deadline,
    ) -> Result<Option<T>, Error> {
        let (error, setback) = match candidate {
            Ok(Candidate::Denied) => return self.note_denial(row, lease, deadline).await,
            Ok(Candidate::Untold) => untold(&row.appid, None),
            Ok(Candidate::Contradicted) => {
                let error = refusal.unwrap_or(Error::ReauthorizationRequired(row.appid.clone()));
                (error, CONTRADICTED)
            }
            Ok(Candidate::Token(_) | Candidate::NoneLeft) => {
                return self.give_up(row, lease, refused, deadline).await;
            }
            Err(error) => {
                let setback = setback(&error, self.clock.now());
                (error, setback)
            }
        };
        self.fail(row, lease, error, setback, None, deadline).await
    }

    /// Stores WeChat's answer, and returns the row's token with its expiry cut to the time for which
    /// it can be trusted. A later lease may have stored that token. Returns `None` if the row's
    /// authorization has changed.
    async fn keep_renewal(
        &self,
        row: Authorizer,
        lease: Lease,
        renewal: &Renewal,
        refused: &[Secret<AuthorizerRefreshToken>],
        deadline: Deadline,
    ) -> Option<Expiring<AuthorizerAccessToken>> {
        let moment = self.clock.moment();
        self.renewed_at
            .fetch_max(moment.now.as_secs(), Ordering::Relaxed);
        let lease_end = row.slot.lease.until;
        let next = |row: &Authorizer| row.renewed(lease, renewal, refused, moment);
        match self.keep(row, next, deadline).await {
            Ok(Kept::Changed(row)) if row.standing == Standing::Authorized => {
                row.slot.trusted(self.clock.now())
            }
            Ok(_) => None,
            Err(error) => {
                // The caller gets the token all the same: it works. The row will be renewed again.
                error.log("storing an authorizer's tokens");
                Some(renewal.access_token.unstored(lease_end))
            }
        }
    }

    /// WeChat has refused a renewal because the account has not authorized the component. The row
    /// becomes a tombstone only if WeChat says the same when it is asked about the account.
    async fn confirm_denial<T>(
        &self,
        row: Authorizer,
        lease: Lease,
        error: Error,
        deadline: Deadline,
    ) -> Result<Option<T>, Error> {
        let setback = match self.ask_wechat(&row.appid, deadline).await {
            Ok(KnownToWechat::NotAuthorized) => {
                return self.note_revoked(row, lease, deadline).await;
            }
            Ok(KnownToWechat::Authorized(_) | KnownToWechat::Untold) => CONTRADICTED,
            Err(_) => Setback::Account,
        };
        self.fail(row, lease, error, setback, None, deadline).await
    }

    /// One call has denied the authorization: the second one, a minute later or more, counts.
    async fn note_denial<T>(
        &self,
        row: Authorizer,
        lease: Lease,
        deadline: Deadline,
    ) -> Result<Option<T>, Error> {
        match row.denial(self.clock.now()) {
            Denial::Second => self.note_revoked(row, lease, deadline).await,
            Denial::First(at) => {
                let (error, setback) = untold(&row.appid, Some(at));
                self.fail(row, lease, error, setback, None, deadline).await
            }
        }
    }

    /// Notes why the call of a renewal, begun at `asked_at`, failed.
    async fn fail_asked<T>(
        &self,
        row: Authorizer,
        lease: Lease,
        error: Error,
        asked_at: Timestamp,
        deadline: Deadline,
    ) -> Result<T, Error> {
        let setback = setback(&error, self.clock.now());
        let asked_at = Some(asked_at);
        self.fail(row, lease, error, setback, asked_at, deadline)
            .await
    }

    /// Notes why a renewal failed, and keeps a refresh token that came all the same. If WeChat was
    /// `asked_at` some time for a token, and may have issued one that was never seen, the stored one
    /// is in doubt.
    async fn fail<T>(
        &self,
        row: Authorizer,
        lease: Lease,
        error: Error,
        setback: Setback,
        asked_at: Option<Timestamp>,
        deadline: Deadline,
    ) -> Result<T, Error> {
        let moment = self.clock.moment();
        let doubted_from = asked_at
            .filter(|_| error.may_have_taken_effect())
            .map(|asked_at| asked_at + OVERLAP);
        let secret = self.vault.version();
        let next = |row: &Authorizer| {
            let failure = self.failure(&error, row.slot.failure.as_ref(), secret.as_ref());
            let mut next = row.failed(lease, &failure, setback, moment);
            if let Some(from) = doubted_from {
                next = next.doubted(lease, from);
            }
            // What WeChat gave beside the failure is kept, if the authorization is still the same.
            let given = error.refresh_token().filter(|_| !row.is_over(lease));
            Some(given.and_then(|token| next.beside(token)).unwrap_or(next))
        };
        match self.keep(row, next, deadline).await.map(Kept::row) {
            Ok(row) if row.standing == Standing::ReauthorizationRequired => {
                tracing::error!(
                    authorizer_appid = %row.appid,
                    reference = row.reference(),
                    "WeChat has refused for a day what it names itself as right for this authorizer: it must authorize again"
                );
                Err(Error::ReauthorizationRequired(row.appid))
            }
            Ok(_) => Err(error),
            Err(unwritten) => {
                unwritten.log("noting a failed renewal");
                Err(error)
            }
        }
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

/// What a failed call has set back.
fn setback(error: &Error, now: Timestamp) -> Setback {
    let meaning = error.refused().map(Refused::meaning);
    match meaning {
        Some(Refusal::MinuteQuota) => Setback::Component {
            until: Some(next_minute(now)),
        },
        _ if error.is_component_wide() => Setback::Component { until: None },
        Some(Refusal::Limited) => Setback::Limited,
        _ => Setback::Account,
    }
}

/// WeChat does not tell whether an account is authorized, or only one call has denied it.
fn untold(appid: &AuthorizerAppId, denied_once_at: Option<Timestamp>) -> (Error, Setback) {
    let denied = match denied_once_at {
        Some(_) => Denied::Once,
        None => Denied::Not,
    };
    let error = Error::Untold {
        appid: appid.clone(),
        denied,
    };
    (error, Setback::Contradicted { denied_once_at })
}

/// If this very account was refused for its access token before, a new one did not help: then the
/// token is not suspected first.
fn suspect(failure: Option<&Failure>) -> Suspect {
    match failure.map(|failure| &failure.cause) {
        Some(Cause::Refused(refused))
            if refused.meaning() == Refusal::AccessToken
                && refused.concerns() == Concern::Account =>
        {
            Suspect::Account
        }
        _ => Suspect::Token,
    }
}
