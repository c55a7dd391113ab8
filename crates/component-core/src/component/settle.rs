//! A stored notice -> its authorizer's row.

use std::time::Duration;

use crate::bus::{Bus, Event};
use crate::component::exchange::{Bringer, Exchanged};
use crate::component::recovery::KnownToWechat;
use crate::component::{Component, Kept, publish};
use crate::error::{Denied, Error};
use crate::push::notice::{AuthorizationChange, AuthorizationNotice, Grant};
use crate::row::authorizer::{Authorizer, Evidence, GrantedTokens, Revocation};
use crate::store::{Pending, PendingNotice, PendingOther};
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

/// While its code lives, a notice is tried in every run of the schedule, which comes each five
/// minutes.
const MAX_BACKOFF: Duration = Duration::from_secs(270);

/// What WeChat says of the life of an authorization code.
/// Source: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/Authorization_Process_Technical_Description.html>
const CODE_LIFE: Duration = Duration::from_hours(1);

/// Once its code is dead, a notice is tried this seldom at least.
const MAX_LATE_BACKOFF: Duration = Duration::from_hours(1);

impl Component {
    /// A stored notice, unless it was handled before.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn pending_notice(&self, sha256: &str) -> Result<Option<Pending>, Error> {
        self.store.pending_notice(sha256).await
    }

    /// Handles a stored notice: exchanges its code, or takes its revocation; answers whose it was. It
    /// may be called any number of times.
    ///
    /// # Errors
    /// Those of [`Component::exchange`]; the notice then stays pending.
    pub async fn settle(
        &self,
        pending: PendingNotice,
        deadline: Deadline,
    ) -> Result<AuthorizerAppId, Error> {
        let sha256 = pending.sha256.as_str();
        let notice = &pending.notice;
        let age = notice.created_at.until(self.clock.now());
        if age > LATE {
            tracing::warn!(authorizer_appid = %notice.authorizer, age_secs = age.as_secs(), "a notice is handled late");
        }
        let outcome = match &notice.change {
            AuthorizationChange::Authorized(grant) | AuthorizationChange::Updated(grant) => {
                self.authorize(&pending, grant, deadline).await
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
                Ok(pending.notice.authorizer)
            }
            Err(error) => {
                let now = self.clock.now();
                let until = now + backoff(&pending, age);
                let denied_once_at = match &error {
                    Error::Untold {
                        denied: Denied::Once,
                        ..
                    } => pending.denied_once_at.or(Some(now)),
                    _ => pending.denied_once_at,
                };
                let postponed = self.store.postpone_notice(sha256, until, denied_once_at);
                if let Err(error) = postponed.await {
                    error.log("putting a notice off");
                }
                Err(error)
            }
        }
    }

    /// Passes a notice of another kind on to the bus, which has `time` for it, and exchanges the code
    /// that it may bring, as that of an authorization: the code dies in an hour, whatever the bus does.
    ///
    /// # Errors
    /// Those of [`Component::exchange`], [`Error::Bus`], [`Error::Store`]; the notice then stays
    /// pending.
    pub async fn pass_on(
        &self,
        other: &PendingOther,
        bus: &Bus,
        time: Duration,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let published = self.publish_notice(other, bus, time, deadline).await;
        let exchanged = self.exchange_registered(other, deadline).await;
        match exchanged.and(published) {
            Ok(()) => {
                let (sha256, now) = (&other.sha256, self.clock.now());
                self.store.finish_notice(sha256, "published", now).await
            }
            Err(error) => {
                let until = self.clock.now() + publish::backoff(other.failures);
                let postponed = self.store.postpone_notice(&other.sha256, until, None);
                if let Err(error) = postponed.await {
                    error.log("putting a notice off");
                }
                Err(error)
            }
        }
    }

    /// Publishes a notice of another kind, unless that was done before.
    async fn publish_notice(
        &self,
        other: &PendingOther,
        bus: &Bus,
        time: Duration,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let Some(content) = &other.content else {
            return Ok(());
        };
        let (sha256, info_type) = (other.sha256.as_str(), other.info_type.as_deref());
        let credentials = self.vault.current().await?;
        let component = &credentials.push.component_appid;
        let event = Event::of_notice(sha256, component, info_type, content);
        bus.put(&event, deadline.or_after(time)).await?;
        tracing::info!(info_type, "a notice is on the bus");
        self.store.notice_is_published(sha256).await
    }

    /// Exchanges the code of a fast registration, unless that was done before.
    async fn exchange_registered(
        &self,
        other: &PendingOther,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let Some(registered) = &other.registered else {
            return Ok(());
        };
        let AuthorizationChange::Authorized(grant) = &registered.notice.change else {
            return Ok(());
        };
        let outcome = self.authorize(registered, grant, deadline).await?;
        tracing::info!(
            authorizer_appid = %registered.notice.authorizer,
            outcome = outcome.as_str(),
            "a fast registration is handled"
        );
        self.store.notice_is_exchanged(&other.sha256).await
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
                user_name: info.user_name.clone().or_else(|| row.user_name.clone()),
                is_mini_program: info.is_mini_program.or(row.is_mini_program),
                ..row.clone()
            };
            if let Some(granted) = &info.granted
                && let Some(permission_sets) = &granted.permission_sets
            {
                next.permission_sets.clone_from(permission_sets);
            }
            (next != *row && row.generation > 0).then_some(next)
        };
        Ok(self.change_authorizer(row, next, deadline).await?.row())
    }

    async fn authorize(
        &self,
        pending: &PendingNotice,
        grant: &Grant,
        deadline: Deadline,
    ) -> Result<Outcome, Error> {
        let reference = match &grant.pre_auth_code {
            Some(code) => self.store.reference(code).await?,
            None => None,
        };
        let bringer = Bringer::Notice {
            notice: &pending.notice,
            reference: reference.as_deref(),
            failures: pending.failures,
            denied_once_at: pending.denied_once_at,
        };
        let exchanged = match &grant.code {
            Some(code) => self.exchange(code, bringer, deadline).await?,
            None => self.learn(&pending.notice, bringer, deadline).await?,
        };
        match exchanged {
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
        if row.believable(now).is_some() {
            return self.revoke_unknown(notice, row, deadline).await;
        }
        if row.revoke(at, now) == Revocation::Ask {
            return match self.ask_wechat(appid, deadline).await? {
                KnownToWechat::Untold => Err(Error::Untold {
                    appid: appid.clone(),
                    denied: Denied::Not,
                }),
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
        let row = self
            .change_authorizer_at(row, next, Some(at), deadline)
            .await?
            .row();
        match row.revoke(at, now) {
            Revocation::Ask => Err(Error::Busy("this authorizer")),
            _ if row.revoked_at >= at => Ok(Outcome::Taken(Box::new(row))),
            _ => Ok(Outcome::Superseded),
        }
    }

    /// The row has moments that cannot be believed: only WeChat knows whether the revocation is the
    /// last that happened. Whatever WeChat says, the row then has a moment that can.
    async fn revoke_unknown(
        &self,
        notice: &AuthorizationNotice,
        row: Authorizer,
        deadline: Deadline,
    ) -> Result<Outcome, Error> {
        let (appid, at, moment) = (&notice.authorizer, notice.created_at, self.clock.moment());
        tracing::warn!(authorizer_appid = %appid, "this authorizer's row has a time that lies ahead: asking WeChat what came last");
        // WeChat is about to tell what came after all that is known.
        let newer_than = row
            .believable(moment.now)
            .map_or(moment.now, |known| known.auth_epoch.max(known.revoked_at));
        let granted = match self.ask_wechat(appid, deadline).await? {
            KnownToWechat::Untold => {
                return Err(Error::Untold {
                    appid: appid.clone(),
                    denied: Denied::Not,
                });
            }
            KnownToWechat::NotAuthorized => None,
            KnownToWechat::Authorized(refresh_token) => Some(GrantedTokens {
                asked_at: moment.now,
                refresh_token,
                ..GrantedTokens::default()
            }),
        };
        let next = |row: &Authorizer| {
            // Another caller may have mended it meanwhile: then the next try goes by the rules.
            let row = row.believable(moment.now)?;
            let Some(granted) = &granted else {
                return Some(row.withdrawn(at, moment.now));
            };
            let evidence = Evidence::Since {
                since: at,
                newer_than,
            };
            row.authorize(evidence, granted, moment)
        };
        match self
            .change_authorizer_at(row, next, Some(at), deadline)
            .await?
        {
            Kept::Changed(row) if granted.is_none() => Ok(Outcome::Taken(Box::new(row))),
            Kept::Changed(_) => Ok(Outcome::Superseded),
            Kept::Unchanged(_) => Err(Error::Busy("this authorizer")),
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

fn backoff(pending: &PendingNotice, age: Duration) -> Duration {
    let doublings = u32::try_from(pending.failures.min(10)).unwrap_or_default();
    let most = if age < CODE_LIFE {
        MAX_BACKOFF
    } else {
        MAX_LATE_BACKOFF
    };
    FIRST_BACKOFF.saturating_mul(1 << doublings).min(most)
}

#[cfg(test)]
mod tests {
    use component_api::id::AuthorizerAppId;

    use super::*;
    use crate::time::Timestamp;

    fn pending(failures: u64) -> PendingNotice {
        PendingNotice {
            notice: AuthorizationNotice {
                authorizer: AuthorizerAppId::parse("wxfedcba9876543210").unwrap(),
                created_at: Timestamp::default(),
                change: AuthorizationChange::Unauthorized,
            },
            sha256: String::new(),
            failures,
            denied_once_at: None,
        }
    }

    /// The stream tries three times at once, and the schedule every five minutes what is due.
    #[test]
    fn a_code_is_tried_at_least_eight_times_in_its_hour_and_four_times_in_ten_minutes() {
        const RUN: u64 = 300;
        let (mut tries, mut due_at) = (vec![0, 0, 0], 0);
        for failures in 0..3 {
            due_at = backoff(&pending(failures), Duration::ZERO).as_secs();
        }
        for now in (1..12).map(|run| run * RUN) {
            if due_at <= now {
                let failures = u64::try_from(tries.len()).unwrap();
                let age = Duration::from_secs(now);
                due_at = now + backoff(&pending(failures), age).as_secs();
                tries.push(now);
            }
        }
        assert!(tries.len() >= 8, "{tries:?}");
        assert!(tries[3] <= 600, "{tries:?}");
    }

    #[test]
    fn a_notice_whose_code_is_dead_is_tried_once_an_hour() {
        let late = backoff(&pending(20), Duration::from_hours(2));
        assert_eq!(late, Duration::from_hours(1));
    }
}
