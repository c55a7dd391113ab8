//! A stored notice -> its authorizer's row.

use std::time::Duration;

use crate::authorizer::{Authorizer, Revocation};
use crate::error::Error;
use crate::exchange::{Bringer, Exchanged};
use crate::id::AuthorizerAppId;
use crate::ladder::AtWechat;
use crate::push::notice::{AuthorizationChange, AuthorizationNotice};
use crate::renew::Tokens;
use crate::store::PendingNotice;
use crate::time::Deadline;

/// What became of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The row says what the notice says.
    Taken,
    /// Something newer stands.
    Superseded,
}

/// Codes are to be exchanged in seconds: one this old has waited for something.
const LATE: Duration = Duration::from_mins(5);

/// After the first failure; doubled with each further one.
const FIRST_BACKOFF: Duration = Duration::from_secs(30);

/// A code dies after an hour, so it is tried again well within it.
const MAX_BACKOFF: Duration = Duration::from_mins(10);

impl Tokens {
    /// Handles a stored notice: exchanges its code, or takes its revocation. Any number of times; it answers whose notice
    /// it was, unless it was handled before.
    ///
    /// # Errors
    /// Those of [`Tokens::exchange`]; the notice then stays pending.
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
            AuthorizationChange::Authorized(grant) | AuthorizationChange::Updated(grant) => self
                .exchange(&grant.code, Bringer::Notice(notice), deadline)
                .await
                .map(|exchanged| match exchanged {
                    Exchanged::Stored(_) => Outcome::Taken,
                    Exchanged::Superseded(_) => Outcome::Superseded,
                }),
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
    /// Those of [`Tokens::as_component`]; nothing depends on it.
    pub async fn describe(&self, appid: &AuthorizerAppId, deadline: Deadline) -> Result<(), Error> {
        let info = self
            .as_component(deadline, |token, component| async move {
                self.wechat
                    .get_authorizer_info(&token, &component, appid, deadline)
                    .await
            })
            .await?;
        let row = self.store.authorizer(appid).await?;
        let next = |row: &Authorizer| {
            let mut next = Authorizer {
                name: info.name.clone().or_else(|| row.name.clone()),
                ..row.clone()
            };
            if !info.granted.permission_sets.is_empty() {
                next.permission_sets
                    .clone_from(&info.granted.permission_sets);
            }
            (next != *row && row.generation > 0).then_some(next)
        };
        self.change_authorizer(row, next, deadline).await?;
        Ok(())
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
                AtWechat::Authorized(_) => Ok(Outcome::Superseded),
                AtWechat::NotAuthorized => {
                    let seen = row.clone();
                    let next = |row: &Authorizer| row.vanished(&seen, now);
                    self.change_authorizer(row, next, deadline).await?;
                    Ok(Outcome::Taken)
                }
            };
        }
        let next = |row: &Authorizer| match row.revoke(at, now) {
            Revocation::Tombstone(next) => Some(*next),
            // It became equal while we wrote: the next try asks.
            Revocation::Ask | Revocation::Ignore => None,
        };
        let row = self.change_authorizer(row, next, deadline).await?.row();
        match row.revoke(at, now) {
            Revocation::Ask => Err(Error::Busy("this authorizer")),
            _ if row.revoked_at >= at => Ok(Outcome::Taken),
            _ => Ok(Outcome::Superseded),
        }
    }
}

impl Outcome {
    /// As it stands in the table and the log.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Superseded => "superseded",
        }
    }
}

fn backoff(pending: &PendingNotice) -> Duration {
    let doublings = u32::try_from(pending.failures.min(10)).unwrap_or_default();
    FIRST_BACKOFF
        .saturating_mul(1 << doublings)
        .min(MAX_BACKOFF)
}
