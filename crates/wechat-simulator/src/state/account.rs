//! A 公众号 or 小程序: what WeChat tells a component about it.

use serde_json::{Value, json};
use sha1_smol::Sha1;

use super::checking;

/// The accounts in every new simulator: two 公众号, then two 小程序.
pub const DEMO_APPIDS: [&str; 4] = [
    "wx1a2b3c4d5e6f7081",
    "wx2b3c4d5e6f708192",
    "wx3c4d5e6f708192a3",
    "wx4d5e6f708192a3b4",
];

const DEMO_NAMES: [&str; 4] = ["青禾书店", "山海茶社", "青禾书店商城", "拾光咖啡"];

/// What kind of account a merchant authorizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    /// 公众号: `auth_type` 1.
    OfficialAccount,
    /// 小程序: `auth_type` 2.
    MiniProgram,
}

impl AccountKind {
    /// The Chinese name, for the consent page.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OfficialAccount => "公众号",
            Self::MiniProgram => "小程序",
        }
    }

    /// Says whether the consent page lists such an account under `auth_type`.
    ///
    /// 1 公众号, 2 小程序, 3 both, 4 小程序推客, 5 视频号, 6 all, 8 带货助手.
    pub(crate) fn fits(self, auth_type: u8) -> bool {
        match auth_type {
            1 => self == Self::OfficialAccount,
            2 | 4 => self == Self::MiniProgram,
            3 | 6 => true,
            _ => false,
        }
    }

    /// Ids of the permission sets that a merchant grants by default.
    fn permission_sets(self) -> &'static [u32] {
        match self {
            Self::OfficialAccount => &[1, 2, 3, 4, 7, 11, 15, 24, 26],
            Self::MiniProgram => &[17, 18, 19, 25, 30, 31, 36, 37],
        }
    }
}

/// One account, authorized or not.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) appid: String,
    pub(crate) nick_name: String,
    pub(crate) kind: AccountKind,
    /// Ids of the permission sets that the merchant grants with the next confirmation.
    pub(crate) permission_sets: Vec<u32>,
}

impl Account {
    /// An account whose merchant grants the permission sets that are usual for its kind.
    pub(crate) fn new(appid: &str, nick_name: &str, kind: AccountKind) -> Self {
        Self {
            appid: appid.to_owned(),
            nick_name: nick_name.to_owned(),
            kind,
            permission_sets: kind.permission_sets().to_vec(),
        }
    }

    /// The four built-in accounts.
    pub(crate) fn demo() -> impl Iterator<Item = Self> {
        let kinds = [
            AccountKind::OfficialAccount,
            AccountKind::OfficialAccount,
            AccountKind::MiniProgram,
            AccountKind::MiniProgram,
        ];
        DEMO_APPIDS
            .into_iter()
            .zip(DEMO_NAMES)
            .zip(kinds)
            .map(|((appid, name), kind)| Self::new(appid, name, kind))
    }

    /// The account's original id (原始 ID): WeChat's own of an account of the release check, else
    /// derived from its appid.
    pub(crate) fn user_name(&self) -> String {
        if let Some(user_name) = checking::user_name(&self.appid) {
            return user_name.to_owned();
        }
        let digest = Sha1::from(&self.appid).digest().to_string();
        format!("gh_{}", digest.split_at(12).0)
    }

    /// `authorizer_info` of `api_get_authorizer_info`.
    pub(crate) fn authorizer_info(&self) -> Value {
        let mut info = json!({
            "nick_name": self.nick_name,
            "head_img": format!("https://wx.qlogo.cn/mmopen/{}/0", self.user_name()),
            "service_type_info": {"id": 2, "name": "服务号"},
            "verify_type_info": {"id": 0, "name": "微信认证"},
            "user_name": self.user_name(),
            "principal_name": format!("{}有限公司", self.nick_name),
            "alias": "",
            "signature": "",
            "business_info": {"open_pay": 0, "open_shake": 0, "open_scan": 0, "open_card": 0, "open_store": 0},
            "qrcode_url": format!("https://mmbiz.qpic.cn/{}/0", self.user_name()),
            "account_status": 1,
            "idc": 1,
        });
        if let (AccountKind::MiniProgram, Some(fields)) = (self.kind, info.as_object_mut()) {
            fields.insert(
                "service_type_info".to_owned(),
                json!({"id": 0, "name": "普通小程序"}),
            );
            fields.insert(
                "MiniProgramInfo".to_owned(),
                json!({
                    "network": {
                        "RequestDomain": [], "WsRequestDomain": [], "UploadDomain": [],
                        "DownloadDomain": [], "UDPDomain": [], "TCPDomain": [],
                    },
                    "categories": [{"first": "生活服务", "second": "综合生活服务平台"}],
                    "visit_status": 0,
                }),
            );
        }
        info
    }
}

/// `func_info`, as `api_query_auth` and `api_get_authorizer_info` give it.
pub(crate) fn func_info(permission_sets: &[u32]) -> Value {
    permission_sets
        .iter()
        .map(|id| json!({"funcscope_category": {"id": id}}))
        .collect()
}

/// Says whether `appid` is `wx` and 16 lower-case hexadecimal digits.
pub(crate) fn is_appid(appid: &str) -> bool {
    appid.strip_prefix("wx").is_some_and(|digits| {
        digits.len() == 16
            && digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_mini_program_has_mini_program_info() {
        for account in Account::demo() {
            assert!(is_appid(&account.appid));
            assert_eq!(
                account.authorizer_info().get("MiniProgramInfo").is_some(),
                account.kind == AccountKind::MiniProgram,
            );
        }
    }

    #[test]
    fn auth_type_selects_the_kind() {
        let fitting = |auth_type| Account::demo().filter(|a| a.kind.fits(auth_type)).count();
        let counts: Vec<_> = [1, 2, 3, 4, 5, 6, 8].into_iter().map(fitting).collect();
        assert_eq!(counts, [2, 2, 4, 2, 0, 4, 0]);
    }

    #[test]
    fn an_appid_has_sixteen_lower_case_digits() {
        assert!(is_appid("wx0123456789abcdef"));
        for wrong in [
            "",
            "wx",
            "wx0123456789abcdeF",
            "wx0123456789abcde",
            "0123456789abcdefgh",
        ] {
            assert!(!is_appid(wrong), "{wrong}");
        }
    }
}
