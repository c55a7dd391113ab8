//! A stored notice -> its authorizer's row.

use std::time::Duration;

use crate::component::Component;
use crate::component::exchange::{Bringer, Exchanged};
use crate::component::recovery::KnownToWechat;
use crate::error::Error;
use crate::push::notice::{AuthorizationChange, AuthorizationNotice, GrantedCode};
use crate::row::authorizer::{Authorizer, Revocation};
use crate::store::PendingNotice;
use crate::time::Deadline;
use component_api::id::AuthorizerAppId;

/// What became of a notice.
#[derive(Debug)]
enum Outcome {
    /// The row now says what the notice says.
    Taken(Box<Authorizer>),
    /// The row, or WeChat, knows something newer.
    Superseded,
}

/// Codes are to be exchanged in seconds: one this old has waited for something.
const LATE: Duration = Duration::from_mins(5);

/// After the first failure; doubled with each further one.
const FIRST_BACKOFF: Duration = Duration::from_secs(30);

/// A code dies after an hour, so it is tried again well within it.
const MAX_BACKOFF: Duration = Duration::from_mins(10);

impl Component {
    /// Handles a stored notice: exchanges its code, or takes its revocation. It may be called any
    /// number of times, and answers whose notice it was, unless that was handled before.
    ///
    /// # Errors
    /// Those of [`Component::exchange`]; the notice then stays pending.
    pub async fn settle_notice(
        &self,
        sha256: &str,
        deadline: Deadline,
    ) -> Result<Option<AuthorizerAppId>, Error> {
        let Some(pending) = self.store.pending_notice(sha256).await? else {
            return Ok(None);
        };
        let notice = &pending.notice;
        let age = notice.created_at.until(self.clock.now());
        if age > LATE {
            tracing::warn!(authorizer_appid = %notice.authorizer, age_secs = age.as_secs(), "a notice is handled late");
        }
        let outcome = match &notice.change {
            AuthorizationChange::Authorized(grant) | AuthorizationChange::Updated(grant) => {
                self.authorize(notice, grant, deadline).await
            }
            AuthorizationChange::Unauthorized => self.revoke(notice, deadline).await,
        };
        match outcome {
            Ok(outcome) => {
                let now = self.clock.now();
                self.store
                    .finish_notice(sha256, outcome.as_str(), now)
                    .await?;
                tracing::info!(
                    authorizer_appid = %notice.authorizer,
                    reference = outcome.reference(),
                    info_type = notice.change.info_type(),
                    outcome = outcome.as_str(),
                    "a notice is handled"
                );
                Ok(Some(pending.notice.authorizer))
            }
            Err(error) => {
                let until = self.clock.now() + backoff(&pending);
                if let Err(error) = self.store.postpone_notice(sha256, until).await {
                    error.log("putting a notice off");
                }
                Err(error)
            }
        }
    }

    /// Asks WeChat for the name and the permission sets of an authorizer and keeps them.
    ///
    /// # Errors
    /// Those of [`Component::as_component`]; no token depends on it.
    pub async fn describe(
        &self,
        appid: &AuthorizerAppId,
        deadline: Deadline,
    ) -> Result<Authorizer, Error> {
        let info = self
            .as_component(deadline, |wechat| async move {
                wechat.get_authorizer_info(appid).await
            })
            .await?;
        let row = self.store.authorizer(appid).await?;
        let next = |row: &Authorizer| {
            let mut next = Authorizer {
                name: info.name.clone().or_else(|| row.name.clone()),
                ..row.clone()
            };
            if let Some(granted) = &info.granted
                && !granted.permission_sets.is_empty()
            {
                next.permission_sets.clone_from(&granted.permission_sets);
            }
            (next != *row && row.generation > 0).then_some(next)
        };
        Ok(self.change_authorizer(row, next, deadline).await?.row())
    }

    async fn authorize(
        &self,
        notice: &AuthorizationNotice,
        grant: &GrantedCode,
        deadline: Deadline,
    ) -> Result<Outcome, Error> {
        let reference = match &grant.pre_auth_code {
            Some(code) => self.store.reference(code).await?,
            None => None,
        };
        let bringer = Bringer::Notice {
            notice,
            reference: reference.as_deref(),
        };
        match self.exchange(&grant.code, bringer, deadline).await? {
            Exchanged::Stored(row) => Ok(Outcome::Taken(row)),
            Exchanged::Superseded(_) | Exchanged::Denied(_) => Ok(Outcome::Superseded),
        }
    }

    async fn revoke(
        &self,
        notice: &AuthorizationNotice,
        deadline: Deadline,
    ) -> Result<Outcome, Error> {
        let appid = &notice.authorizer;
        let at = notice.created_at;
        let row = self.store.authorizer(appid).await?;
        let now = self.clock.now();
        if row.revoke(at, now) == Revocation::Ask {
            return match self.ask_wechat(appid, deadline).await? {
                KnownToWechat::Authorized(_) => Ok(Outcome::Superseded),
                KnownToWechat::NotAuthorized => {
                    let row = self.take_denial(row, deadline).await?;
                    Ok(Outcome::Taken(Box::new(row)))
                }
            };
        }
        let next = |row: &Authorizer| match row.revoke(at, now) {
            Revocation::Tombstone(next) => Some(*next),
            // It became equal before the write: the next try asks.
            Revocation::Ask | Revocation::Ignore => None,
        };
        let row = self.change_authorizer(row, next, deadline).await?.row();
        match row.revoke(at, now) {
            Revocation::Ask => Err(Error::Busy("this authorizer")),
            _ if row.revoked_at >= at => Ok(Outcome::Taken(Box::new(row))),
            _ => Ok(Outcome::Superseded),
        }
    }
}

impl Outcome {
    /// As it stands in the table and the log.
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Taken(_) => "taken",
            Self::Superseded => "superseded",
        }
    }

    fn reference(&self) -> Option<&str> {
        match self {
            Self::Taken(row) => row.reference(),
            Self::Superseded => None,
        }
    }
}

fn backoff(pending: &PendingNotice) -> Duration {
    let doublings = u32::try_from(pending.failures.min(10)).unwrap_or_default();
    FIRST_BACKOFF
        .saturating_mul(1 << doublings)
        .min(MAX_BACKOFF)
}
