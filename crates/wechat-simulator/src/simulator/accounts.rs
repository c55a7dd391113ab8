//! The accounts: what WeChat knows of them, and what happens to them apart from authorizing.

use super::{SimError, Simulator};
use crate::state::account::{Account, AccountKind};
use crate::state::authorization::Remembered;
use crate::state::authorizers::Authorizer;
use crate::state::status::AccountStatus;

/// What WeChat knows of one account. Its tokens are secrets: the view has no `Debug`.
#[derive(Clone)]
pub struct AuthorizerView {
    /// The account's appid.
    pub authorizer_appid: String,
    /// The account's name.
    pub nick_name: String,
    /// Whether the account authorizes the component now.
    pub authorized: bool,
    /// The live refresh token. None until a code is exchanged.
    pub refresh_token: Option<String>,
    /// The latest access token, good or not.
    pub access_token: Option<String>,
    /// When the merchant confirmed, in Unix seconds.
    pub auth_time: Option<u64>,
    /// Whether WeChat still serves the account.
    pub status: AccountStatus,
    /// Ids of the granted permission sets; empty if the account is not authorized.
    pub permission_sets: Vec<u32>,
    /// Whether WeChat pushes a notice of the latest confirmation.
    ///
    /// If the merchant confirmed the same permission sets again, it does not.
    pub notice_is_pushed: bool,
}

impl Simulator {
    /// Reminds the simulator of an authorization of an earlier run, which it has forgotten.
    ///
    /// The refresh token works again; access tokens and codes do not.
    pub fn remember(&self, remembered: Remembered) {
        self.state().authorizers.remember(remembered);
    }

    /// Adds an account that a merchant can authorize, or renames one.
    pub fn add_account(&self, appid: &str, name: &str, kind: AccountKind) {
        let account = Account::new(appid, name, kind);
        self.state().authorizers.add(account);
    }

    /// Freezes, deregisters or migrates an account, or lets WeChat serve it again.
    ///
    /// # Errors
    /// [`SimError::UnknownAccount`].
    pub fn set_account_status(&self, appid: &str, status: AccountStatus) -> Result<(), SimError> {
        let state = &mut *self.state();
        let authorizer = state.authorizers.find_mut(appid);
        authorizer.ok_or(SimError::UnknownAccount)?.status = status;
        Ok(())
    }

    /// Sets the permission sets that the merchant grants with the next confirmation.
    ///
    /// # Errors
    /// [`SimError::UnknownAccount`].
    pub fn set_permission_sets(&self, appid: &str, set_ids: &[u32]) -> Result<(), SimError> {
        let state = &mut *self.state();
        let authorizer = state.authorizers.find_mut(appid);
        let account = &mut authorizer.ok_or(SimError::UnknownAccount)?.account;
        account.permission_sets = set_ids.to_vec();
        account.permission_sets.sort_unstable();
        account.permission_sets.dedup();
        Ok(())
    }

    /// What WeChat knows of the account; None if there is no such account.
    pub fn authorizer(&self, appid: &str) -> Option<AuthorizerView> {
        self.state().authorizers.find(appid).map(view)
    }

    /// Every account, authorized or not, by appid.
    pub fn authorizers(&self) -> Vec<AuthorizerView> {
        self.state().authorizers.all().map(view).collect()
    }
}

fn view(authorizer: &Authorizer) -> AuthorizerView {
    let authorization = authorizer.authorization.as_ref();
    AuthorizerView {
        authorizer_appid: authorizer.account.appid.clone(),
        nick_name: authorizer.account.nick_name.clone(),
        authorized: authorization.is_some(),
        refresh_token: authorization.and_then(|granted| granted.refresh_token.clone()),
        access_token: authorization
            .and_then(|granted| granted.access_tokens.newest())
            .map(ToOwned::to_owned),
        auth_time: authorization.map(|granted| granted.auth_time),
        status: authorizer.status,
        permission_sets: authorization
            .map(|granted| granted.permission_sets.clone())
            .unwrap_or_default(),
        notice_is_pushed: authorization.is_some_and(|granted| granted.confirmation.is_pushed()),
    }
}
