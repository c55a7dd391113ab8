//! What a merchant does: confirms and revokes, with or without the notice.

use super::{SimError, Simulator};
use crate::push::PushOutcome;
use crate::push::notice::{GrantNotice, Notice};
use crate::state::State;
use crate::state::authorization::Confirmation;
use crate::state::authorizers::AUTH_CODE_LIFE_SECS;
use crate::state::status::AccountStatus;

/// A merchant's confirmation whose notice was pushed. Its code is a secret: no `Debug`.
pub struct Consent {
    /// What the redirect carries as `auth_code`, and the notice too.
    pub auth_code: String,
    /// What the redirect carries as `expires_in`, in seconds.
    pub expires_in: u64,
    /// The attempts to push the notice.
    ///
    /// There are none if the merchant confirmed the same permission sets again.
    pub push: PushOutcome,
}

/// A merchant's confirmation whose notice is not pushed yet. Its code is a secret: no `Debug`.
pub struct UnpushedConsent {
    /// What the redirect carries as `auth_code`, and the notice too.
    pub auth_code: String,
    /// What the redirect carries as `expires_in`, in seconds.
    pub expires_in: u64,
    /// The notice's XML, for [`Simulator::push_xml`].
    ///
    /// If the merchant confirmed the same permission sets again, WeChat does not push it: see
    /// [`AuthorizerView::notice_is_pushed`](crate::AuthorizerView::notice_is_pushed).
    pub notice: String,
}

impl Simulator {
    /// A merchant opens the link and confirms for this account; the notice is pushed.
    ///
    /// # Errors
    /// [`SimError::PreAuthCode`], [`SimError::UnknownAccount`] and [`SimError::NotServed`].
    pub async fn consent(
        &self,
        pre_auth_code: &str,
        authorizer_appid: &str,
    ) -> Result<Consent, SimError> {
        let granted = self.consent_unpushed(pre_auth_code, authorizer_appid)?;
        let push = if self.notice_is_pushed(authorizer_appid) {
            self.push_xml(&granted.notice).await
        } else {
            PushOutcome::default()
        };
        Ok(Consent {
            auth_code: granted.auth_code,
            expires_in: granted.expires_in,
            push,
        })
    }

    /// As [`consent`](Self::consent), but nothing is pushed.
    ///
    /// # Errors
    /// [`SimError::PreAuthCode`], [`SimError::UnknownAccount`] and [`SimError::NotServed`].
    pub fn consent_unpushed(
        &self,
        pre_auth_code: &str,
        authorizer_appid: &str,
    ) -> Result<UnpushedConsent, SimError> {
        let now = self.clock().now();
        {
            let mut state = self.state();
            if !state.component.pre_auth_code_is_open(now, pre_auth_code) {
                return Err(SimError::PreAuthCode);
            }
            require_served(&state, authorizer_appid)?;
            state.component.use_pre_auth_code(pre_auth_code);
        }
        self.grant(Some(pre_auth_code), authorizer_appid, now)
    }

    /// The merchant authorizes without a pre-auth code; nothing is pushed.
    ///
    /// # Errors
    /// [`SimError::UnknownAccount`] and [`SimError::NotServed`].
    pub fn authorize_unpushed(&self, authorizer_appid: &str) -> Result<UnpushedConsent, SimError> {
        self.grant(None, authorizer_appid, self.clock().now())
    }

    /// The merchant revokes: all tokens end at once, and the notice is pushed.
    ///
    /// # Errors
    /// [`SimError::UnknownAccount`] and [`SimError::NotAuthorized`].
    pub async fn revoke(&self, authorizer_appid: &str) -> Result<PushOutcome, SimError> {
        let notice = self.revoke_unpushed(authorizer_appid)?;
        Ok(self.push_xml(&notice).await)
    }

    /// As [`revoke`](Self::revoke), but nothing is pushed. Returns the notice's XML.
    ///
    /// # Errors
    /// [`SimError::UnknownAccount`] and [`SimError::NotAuthorized`].
    pub fn revoke_unpushed(&self, authorizer_appid: &str) -> Result<String, SimError> {
        let now = self.clock().now();
        let mut state = self.state();
        state
            .authorizers
            .find(authorizer_appid)
            .ok_or(SimError::UnknownAccount)?;
        if !state.authorizers.revoke(authorizer_appid) {
            return Err(SimError::NotAuthorized);
        }
        let notice = Notice::Unauthorized {
            authorizer_appid: authorizer_appid.to_owned(),
        };
        Ok(notice.to_xml(&state.settings.component_appid, now))
    }

    /// Whether WeChat pushes a notice of the account's latest confirmation.
    pub(crate) fn notice_is_pushed(&self, authorizer_appid: &str) -> bool {
        self.authorizer(authorizer_appid)
            .is_some_and(|view| view.notice_is_pushed)
    }

    fn grant(
        &self,
        pre_auth_code: Option<&str>,
        authorizer_appid: &str,
        now: u64,
    ) -> Result<UnpushedConsent, SimError> {
        let state = &mut *self.state();
        require_served(state, authorizer_appid)?;
        let grant = state
            .authorizers
            .authorize(now, authorizer_appid, &mut state.mint)
            .ok_or(SimError::UnknownAccount)?;
        let fields = GrantNotice {
            authorizer_appid: authorizer_appid.to_owned(),
            authorization_code: grant.auth_code.clone(),
            expires_at: grant.expires_at,
            pre_auth_code: pre_auth_code.map(ToOwned::to_owned),
        };
        let notice = match grant.confirmation {
            Confirmation::New => Notice::Authorized(fields),
            Confirmation::OtherSets | Confirmation::SameSets => Notice::UpdateAuthorized(fields),
        };
        Ok(UnpushedConsent {
            auth_code: grant.auth_code,
            expires_in: AUTH_CODE_LIFE_SECS,
            notice: notice.to_xml(&state.settings.component_appid, now),
        })
    }
}

/// The merchant can confirm for an account only while WeChat serves it.
fn require_served(state: &State, authorizer_appid: &str) -> Result<(), SimError> {
    let authorizer = state.authorizers.find(authorizer_appid);
    let authorizer = authorizer.ok_or(SimError::UnknownAccount)?;
    if authorizer.status == AccountStatus::Normal {
        Ok(())
    } else {
        Err(SimError::NotServed)
    }
}
