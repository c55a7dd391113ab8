//! One authorization code -> an authorizer's tokens, once, however often the code is brought.

use std::time::Duration;

use crate::component::recovery::KnownToWechat;
use crate::component::token::Suspect;
use crate::component::{Component, Kept};
use crate::error::{Denied, Error};
use crate::push::notice::AuthorizationNotice;
use crate::release_check::user_name;
use crate::row::MAX_RENEWAL;
use crate::row::authorizer::{Authorizer, Denial, Evidence, GrantedTokens, Standing};
use crate::store::CodeClaim;
use crate::time::{Deadline, MAX_CLOCK_SKEW, Timestamp};
use crate::token::{AuthorizationCode, Secret};
use crate::wechat::refusal::Refusal;
use component_api::id::AuthorizerAppId;

/// Who brings an authorization code.
#[derive(Clone, Copy)]
pub enum Bringer<'a> {
    /// WeChat, by a notice: it tells whose code it is and when it was given.
    Notice {
        /// What it tells.
        notice: &'a AuthorizationNotice,
        /// The vendor's own name for the account, found by the pre-auth code.
        reference: Option<&'a str>,
        /// How often the notice was tried without success.
        failures: u64,
        /// When one call denied the authorization that no other call has denied yet.
        denied_once_at: Option<Timestamp>,
    },
    /// A browser that WeChat sent back.
    Redirect {
        /// When the merchant left for WeChat's page.
        since: Timestamp,
        /// The vendor's own name for the account.
        reference: Option<&'a str>,
    },
    /// A text of WeChat's release check, which is answered within seconds.
    Check {
        /// When the text came.
        at: Timestamp,
    },
}

/// What became of a code.
#[derive(Debug)]
pub enum Exchanged {
    /// The row holds this authorization, or one that was stored meanwhile. Callers read from its
    /// standing whether the merchant must authorize again.
    Stored(Box<Authorizer>),
    /// The row holds something newer, and what the code gave was not taken.
    Superseded(AuthorizerAppId),
    /// WeChat says that the account is not authorized any more.
    Denied(AuthorizerAppId),
}

/// The release check authorizes so long, at the most, before it sends the code by text.
const BEFORE_CHECK: Duration = Duration::from_mins(2);

/// How often to look whether another caller has exchanged a code: for about three seconds.
const MAX_LOOKS: u32 = 12;

impl Component {
    /// Exchanges a code, or finds that it was exchanged.
    ///
    /// # Errors
    /// [`Error::CodeSpent`] if WeChat refuses the code and only WeChat knows whose it was;
    /// [`Error::Busy`] if another caller exchanges it for too long; those of
    /// [`Component::as_component`].
    pub async fn exchange(
        &self,
        code: &Secret<AuthorizationCode>,
        bringer: Bringer<'_>,
        deadline: Deadline,
    ) -> Result<Exchanged, Error> {
        // A claim must not outlive its holder for long: the code it holds back dies in an hour, if not
        // in ten minutes.
        let deadline = deadline.or_after(MAX_RENEWAL);
        if let Bringer::Notice { notice, .. } = bringer
            && self.is_superseded(notice).await?
        {
            return Ok(Exchanged::Superseded(notice.authorizer.clone()));
        }
        let claim = loop {
            let until = self.lease_end(deadline);
            match self.store.claim_code(code, self.clock.now(), until).await? {
                CodeClaim::Taken(claim) => break claim,
                CodeClaim::Exchanged(authorizer) => match bringer {
                    Bringer::Notice { notice, .. } if notice.authorizer != authorizer => {
                        return self
                            .heal_misled(notice, &authorizer, bringer, deadline)
                            .await;
                    }
                    _ => return Box::pin(self.join(&authorizer, bringer, deadline)).await,
                },
                CodeClaim::Held => {
                    if !self.wait_for_other(deadline).await {
                        return Err(Error::Busy("this authorization code"));
                    }
                }
            }
        };
        let exchanged = Box::pin(self.exchange_claimed(code, bringer, deadline)).await;
        if exchanged.is_err()
            && let Err(error) = self.store.release_code(code, &claim).await
        {
            error.log("releasing an authorization code");
        }
        match (exchanged?, bringer) {
            (exchanged, Bringer::Notice { notice, .. })
                if *exchanged.authorizer() != notice.authorizer =>
            {
                let gave = exchanged.authorizer();
                Box::pin(self.heal_misled(notice, gave, bringer, deadline)).await
            }
            (exchanged, _) => Ok(exchanged),
        }
    }

    /// Takes an authorization whose notice brings no code, from what WeChat says of the account.
    ///
    /// # Errors
    /// [`Error::Untold`] if WeChat does not say it; those of [`Component::as_component`].
    pub(super) async fn learn(
        &self,
        notice: &AuthorizationNotice,
        bringer: Bringer<'_>,
        deadline: Deadline,
    ) -> Result<Exchanged, Error> {
        if self.is_superseded(notice).await? {
            return Ok(Exchanged::Superseded(notice.authorizer.clone()));
        }
        self.heal(notice, bringer, deadline).await
    }

    /// Waits a while for another caller to exchange a code, and answers the authorizer that it has
    /// connected.
    ///
    /// `None` also if the account is not connected: the authorization may be withdrawn, or its notice
    /// still in flight.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn await_exchange(
        &self,
        code: &Secret<AuthorizationCode>,
        deadline: Deadline,
    ) -> Result<Option<Authorizer>, Error> {
        for _look in 0..MAX_LOOKS {
            if let Some(row) = self.connected_by(code).await? {
                return Ok(Some(row));
            }
            if !self.wait_for_other(deadline).await {
                break;
            }
        }
        Ok(None)
    }

    /// The authorizer that a code has connected, whichever caller has exchanged it; `None` as above.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn connected_by(
        &self,
        code: &Secret<AuthorizationCode>,
    ) -> Result<Option<Authorizer>, Error> {
        let Some(appid) = self.store.exchanged_code(code).await? else {
            return Ok(None);
        };
        let row = self.store.authorizer(&appid).await?;
        Ok((row.standing != Standing::Revoked).then_some(row))
    }

    /// Whether the code is of an authorization that is over.
    async fn is_superseded(&self, notice: &AuthorizationNotice) -> Result<bool, Error> {
        let row = self.known(&notice.authorizer).await?;
        Ok(row.overtook(notice.created_at))
    }

    async fn exchange_claimed(
        &self,
        code: &Secret<AuthorizationCode>,
        bringer: Bringer<'_>,
        deadline: Deadline,
    ) -> Result<Exchanged, Error> {
        let expected = match bringer {
            Bringer::Notice { notice, .. } => Some(&notice.authorizer),
            Bringer::Redirect { .. } | Bringer::Check { .. } => None,
        };
        let answer = self
            .as_component_for(bringer.suspect(), deadline, |wechat| async move {
                wechat.query_auth(code, expected).await
            })
            .await;
        let exchanged = match (answer, bringer) {
            (Ok(authorization), _) => {
                let (authorizer, granted) = (authorization.authorizer, authorization.granted);
                self.keep_for_check(code, &authorizer, &granted).await;
                let bringer = bringer.of(&authorizer);
                self.keep_granted(&authorizer, &granted, bringer, deadline)
                    .await?
            }
            (Err(error), Bringer::Notice { notice, .. })
                if error.is_refusal(Refusal::Code) || error.is_refusal(Refusal::NotAuthorized) =>
            {
                self.heal(notice, bringer, deadline).await?
            }
            (Err(error), _) if error.is_refusal(Refusal::Code) => return Err(Error::CodeSpent),
            (Err(error), _) => return Err(error),
        };
        self.store.finish_code(code, exchanged.authorizer()).await?;
        Ok(exchanged)
    }

    /// Of an account of the release check, the access token is kept with the code too.
    async fn keep_for_check(
        &self,
        code: &Secret<AuthorizationCode>,
        appid: &AuthorizerAppId,
        granted: &GrantedTokens,
    ) {
        if let (Some(_), Some(token)) = (user_name(appid), &granted.access_token)
            && let Err(error) = self.store.keep_given(code, &token.secret).await
        {
            error.warn("keeping a token for the release check");
        }
    }

    /// Keeps what a code gave.
    async fn keep_granted(
        &self,
        appid: &AuthorizerAppId,
        granted: &GrantedTokens,
        bringer: Bringer<'_>,
        deadline: Deadline,
    ) -> Result<Exchanged, Error> {
        let row = self.read_at_last(appid, deadline).await?;
        let evidence = match bringer {
            Bringer::Notice { notice, .. } => Evidence::At(notice.created_at),
            Bringer::Redirect { since, .. } => Evidence::Since {
                since: since - MAX_CLOCK_SKEW,
                newer_than: self.newer_than(&row, granted, deadline).await,
            },
            // WeChat's info may hang for an account of the check, which does not wait.
            Bringer::Check { at } => Evidence::Since {
                since: at - BEFORE_CHECK,
                newer_than: granted.asked_at - MAX_CLOCK_SKEW,
            },
        };
        self.take(row, evidence, granted, bringer, deadline).await
    }

    /// Up to the returned moment, every event of the row is older than this exchange. If the row has a
    /// later event, WeChat is asked: if WeChat names the refresh token that the code gave, this
    /// exchange is the newest.
    async fn newer_than(
        &self,
        row: &Authorizer,
        granted: &GrantedTokens,
        deadline: Deadline,
    ) -> Timestamp {
        let older = granted.asked_at - MAX_CLOCK_SKEW;
        if !row.may_follow(older) {
            return older;
        }
        match self.ask_wechat(&row.appid, deadline).await {
            Ok(KnownToWechat::Authorized(token)) if token == granted.refresh_token => {
                row.revoked_at.max(row.auth_epoch)
            }
            Ok(_) | Err(_) => older,
        }
    }

    async fn take(
        &self,
        row: Authorizer,
        evidence: Evidence,
        granted: &GrantedTokens,
        bringer: Bringer<'_>,
        deadline: Deadline,
    ) -> Result<Exchanged, Error> {
        let appid = row.appid.clone();
        let moment = self.clock.moment();
        let next = |row: &Authorizer| {
            // First the name: it remembers whether the account was connected under another one.
            let named = bringer.name(row);
            let next = named
                .as_ref()
                .unwrap_or(row)
                .authorize(evidence, granted, moment);
            next.or_else(|| row.declined(evidence, granted, moment))
        };
        let next = self.believing(next);
        let row = match self
            .change_authorizer_at(row, next, bringer.at(), deadline)
            .await?
        {
            Kept::Changed(row) if row.standing != Standing::Revoked => row,
            Kept::Changed(_) | Kept::Unchanged(_) => return Ok(Exchanged::Superseded(appid)),
        };
        if row.standing == Standing::ReauthorizationRequired {
            tracing::error!(
                authorizer_appid = %appid,
                reference = row.reference(),
                "WeChat gave no refresh token for this authorizer: it must authorize again"
            );
        }
        Ok(Exchanged::Stored(Box::new(row)))
    }

    /// WeChat refused the code, or gave it for another account, or the notice brought none, or the row
    /// was revoked after the exchange. If the row lacks this authorization, WeChat is asked for its
    /// refresh token.
    async fn heal(
        &self,
        notice: &AuthorizationNotice,
        bringer: Bringer<'_>,
        deadline: Deadline,
    ) -> Result<Exchanged, Error> {
        let appid = &notice.authorizer;
        let row = self.known(appid).await?;
        if row.is_authorized_since(notice.created_at) {
            let next = self.believing(|row| bringer.name(row));
            let row = self
                .change_authorizer_at(row, next, bringer.at(), deadline)
                .await?
                .row();
            return Ok(Exchanged::Stored(Box::new(row)));
        }
        let known = self.ask_wechat(appid, deadline).await?;
        let now = self.clock.now();
        match known {
            KnownToWechat::Authorized(refresh_token) => {
                tracing::warn!(authorizer_appid = %appid, "this authorization's code is spent, or none came: asked WeChat for its refresh token");
                let granted = GrantedTokens {
                    refresh_token,
                    ..GrantedTokens::default()
                };
                let evidence = Evidence::At(notice.created_at);
                self.take(row, evidence, &granted, bringer, deadline).await
            }
            // It was withdrawn since, and the notice of that may be lost; or this call alone says so.
            KnownToWechat::NotAuthorized => match Denial::at(bringer.denied_once_at(), now) {
                Denial::Second => {
                    self.take_denial(row, deadline).await?;
                    Ok(Exchanged::Denied(appid.clone()))
                }
                Denial::First(_) => Err(Error::Untold {
                    appid: appid.clone(),
                    denied: Denied::Once,
                }),
            },
            // The list may have brought it, with no more than a bound of the time. Or what is stored is
            // the authorization before it, whose access token WeChat has ended.
            KnownToWechat::Untold if row.may_be_authorized_at(notice.created_at) => {
                self.confirm_untold(row, notice, bringer, deadline).await
            }
            KnownToWechat::Untold => Err(Error::Untold {
                appid: appid.clone(),
                denied: Denied::Not,
            }),
        }
    }

    /// The row has the authorization of a notice, or the one before it: its access token is got anew.
    async fn confirm_untold(
        &self,
        row: Authorizer,
        notice: &AuthorizationNotice,
        bringer: Bringer<'_>,
        deadline: Deadline,
    ) -> Result<Exchanged, Error> {
        let moment = self.clock.moment();
        let next = self.believing(|row| {
            let confirmed = row.confirm(notice.created_at);
            let confirmed = confirmed.map(|row| row.distrusted(moment));
            bringer
                .name(confirmed.as_ref().unwrap_or(row))
                .or(confirmed)
        });
        let kept = self.change_authorizer_at(row, next, bringer.at(), deadline);
        Ok(Exchanged::Stored(Box::new(kept.await?.row())))
    }

    /// The code of a notice gave another account: that one is kept, and the notice's is asked about.
    async fn heal_misled(
        &self,
        notice: &AuthorizationNotice,
        gave: &AuthorizerAppId,
        bringer: Bringer<'_>,
        deadline: Deadline,
    ) -> Result<Exchanged, Error> {
        tracing::warn!(authorizer_appid = %notice.authorizer, gave = %gave, "the code of this authorizer's notice gave another authorizer");
        self.heal(notice, bringer, deadline).await
    }

    /// The code was exchanged by another bringer: adds what this one knows.
    async fn join(
        &self,
        appid: &AuthorizerAppId,
        bringer: Bringer<'_>,
        deadline: Deadline,
    ) -> Result<Exchanged, Error> {
        let row = self.known(appid).await?;
        let next = self.believing(|row| {
            let confirmed = match bringer {
                Bringer::Notice { notice, .. } => row.confirm(notice.created_at),
                Bringer::Redirect { .. } | Bringer::Check { .. } => None,
            };
            let named = bringer.name(confirmed.as_ref().unwrap_or(row));
            named.or(confirmed)
        });
        let row = self
            .change_authorizer_at(row, next, bringer.at(), deadline)
            .await?
            .row();
        match bringer {
            _ if row.standing != Standing::Revoked => Ok(Exchanged::Stored(Box::new(row))),
            // A revocation was taken since, or WeChat denied the authorization: only WeChat knows which
            // came last.
            Bringer::Notice { notice, .. } => self.heal(notice, bringer, deadline).await,
            Bringer::Redirect { .. } | Bringer::Check { .. } => {
                Ok(Exchanged::Superseded(row.appid))
            }
        }
    }

    /// The row of an account, as far as its moments can be believed.
    async fn known(&self, appid: &AuthorizerAppId) -> Result<Authorizer, Error> {
        let row = self.store.authorizer(appid).await?;
        Ok(row.believable(self.clock.now()).unwrap_or(row))
    }

    /// What `change` makes of a row as far as its moments can be believed.
    fn believing(
        &self,
        change: impl Fn(&Authorizer) -> Option<Authorizer>,
    ) -> impl Fn(&Authorizer) -> Option<Authorizer> {
        let now = self.clock.now();
        move |row| match row.believable(now) {
            Some(known) => change(&known),
            None => change(row),
        }
    }

    /// Reads the row of an account for which WeChat has just given something: a read that fails is
    /// tried again as long as the deadline allows, so that what was given is not lost.
    async fn read_at_last(
        &self,
        appid: &AuthorizerAppId,
        deadline: Deadline,
    ) -> Result<Authorizer, Error> {
        loop {
            match self.known(appid).await {
                Err(error) if self.wait_for_other(deadline).await => {
                    error.warn("a read that will be tried again");
                }
                read => return read,
            }
        }
    }
}

impl Exchanged {
    /// Whose code it was.
    fn authorizer(&self) -> &AuthorizerAppId {
        match self {
            Self::Stored(row) => &row.appid,
            Self::Superseded(appid) | Self::Denied(appid) => appid,
        }
    }
}

impl Bringer<'_> {
    /// The row under the name that this one knows; `None` if that changes nothing.
    fn name(self, row: &Authorizer) -> Option<Authorizer> {
        let (reference, at) = match self {
            Self::Notice {
                notice, reference, ..
            } => (reference, notice.created_at),
            Self::Redirect { since, reference } => (reference, since),
            Self::Check { .. } => return None,
        };
        row.named(reference?, at)
    }

    /// What this bringer knows of the account that its code has given: a notice that names another
    /// one tells nothing but since when the code has existed.
    fn of(self, gave: &AuthorizerAppId) -> Self {
        match self {
            Self::Notice { notice, .. } if notice.authorizer != *gave => Self::Redirect {
                since: notice.created_at,
                reference: None,
            },
            known => known,
        }
    }

    /// When its authorization took place, if that is known.
    const fn at(self) -> Option<Timestamp> {
        match self {
            Self::Notice { notice, .. } => Some(notice.created_at),
            Self::Redirect { .. } | Self::Check { .. } => None,
        }
    }

    const fn denied_once_at(self) -> Option<Timestamp> {
        match self {
            Self::Notice { denied_once_at, .. } => denied_once_at,
            Self::Redirect { .. } | Self::Check { .. } => None,
        }
    }

    /// If this very code was refused before, a new component token is not tried again for it.
    fn suspect(self) -> Suspect {
        match self {
            Self::Notice { failures: 1.., .. } => Suspect::Account,
            Self::Notice { .. } | Self::Redirect { .. } | Self::Check { .. } => Suspect::Token,
        }
    }
}
