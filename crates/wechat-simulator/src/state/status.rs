//! Whether WeChat still serves an account.

use crate::errcode::Refusal;

/// What the account's owner or WeChat has done to the account, apart from any authorization.
///
/// It hides the authorization and does not end it: with [`Normal`](Self::Normal) again, the same
/// tokens are good as long as they have not expired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountStatus {
    /// WeChat serves the account.
    #[default]
    Normal,
    /// 冻结: calls that name the account are refused with 50002; the list still names it.
    Frozen,
    /// 注销: calls that name the account are refused with 40013; the list does not name it.
    Deregistered,
    /// 迁移, to another account: calls that name the old one are refused with 50002; the list does
    /// not name it.
    Migrated,
}

impl AccountStatus {
    /// Refuses a call that names the account, unless WeChat serves it.
    pub(crate) fn check(self) -> Result<(), Refusal> {
        match self {
            Self::Normal => Ok(()),
            Self::Frozen | Self::Migrated => Err(Refusal::USER_LIMITED),
            Self::Deregistered => Err(Refusal::INVALID_APPID),
        }
    }

    /// Whether `api_get_authorizer_list` names the account.
    pub(crate) fn is_listed(self) -> bool {
        match self {
            Self::Normal | Self::Frozen => true,
            Self::Deregistered | Self::Migrated => false,
        }
    }
}
