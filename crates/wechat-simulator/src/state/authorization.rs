//! One authorization of an account, and what its confirmation changes.

use super::account::AccountKind;
use super::token::AccessTokens;

/// One authorization: from the merchant's confirmation to the next one, or to the revocation.
pub(crate) struct Authorization {
    /// Numbers the authorizations of all accounts; a code belongs to one of them.
    pub(super) epoch: u64,
    /// When the merchant confirmed, in Unix seconds.
    pub(crate) auth_time: u64,
    pub(crate) confirmation: Confirmation,
    /// Ids of the permission sets that the merchant granted.
    pub(crate) permission_sets: Vec<u32>,
    /// None until the code is exchanged.
    pub(crate) refresh_token: Option<String>,
    pub(crate) access_tokens: AccessTokens,
}

/// An authorization that a simulator of an earlier run has given. It holds a secret: no `Debug`.
#[derive(Clone)]
pub struct Remembered {
    /// The account's appid.
    pub appid: String,
    /// The account's name, if it is known; a demo account keeps its own.
    pub name: Option<String>,
    /// The kind of the account.
    pub kind: AccountKind,
    /// The refresh token that is live.
    pub refresh_token: String,
    /// When the merchant confirmed, in Unix seconds.
    pub auth_time: u64,
    /// Ids of the permission sets that the merchant granted.
    pub permission_sets: Vec<u32>,
}

/// What a confirmation changes, and so which notice WeChat pushes.
///
/// Source: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/authorize_event.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Confirmation {
    /// The account was not authorized: `authorized`.
    New,
    /// The account granted other permission sets: `updateauthorized`.
    OtherSets,
    /// The account granted the same permission sets: nothing is pushed.
    SameSets,
}

impl Confirmation {
    pub(crate) fn is_pushed(self) -> bool {
        match self {
            Self::New | Self::OtherSets => true,
            Self::SameSets => false,
        }
    }

    /// What it changes to grant `permission_sets` after the authorization `before`.
    pub(super) fn after(before: Option<&Authorization>, permission_sets: &[u32]) -> Self {
        match before {
            None => Self::New,
            Some(before) if before.permission_sets == permission_sets => Self::SameSets,
            Some(_) => Self::OtherSets,
        }
    }
}
