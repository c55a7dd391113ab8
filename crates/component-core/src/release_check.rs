//! The accounts with which WeChat checks a component before its release (全网发布检测): WeChat picks one
//! of the five groups at random.
//!
//! Source: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/operation/thirdparty/releases_instructions.html>
//! (its Chinese text; the English one has a wrong name in the second group).

use component_api::id::AuthorizerAppId;

/// App id and `user_name`: of each group the public account, then the mini program.
const ACCOUNTS: [(&str, &str); 10] = [
    ("wx570bc396a51b8ff8", "gh_3c884a361561"),
    ("wxd101a85aa106f53e", "gh_8dad206e9538"),
    ("wx9252c5e0bb1836fc", "gh_c0f28a78b318"),
    ("wxc39235c15087f6f3", "gh_905ae9d01059"),
    ("wx8e1097c5bc82cde9", "gh_3f222ed8d140"),
    ("wx7720d01d4b2a4500", "gh_393666f1fdf4"),
    ("wx14550af28c71a144", "gh_26128078e9ab"),
    ("wx05d483572dcd5d8b", "gh_39abb5d4e1b7"),
    ("wxa35b9c23cfe664eb", "gh_2b3713f184a6"),
    ("wx5910277cae6fd970", "gh_7818dcb60240"),
];

/// The `user_name` of an account of the check; `None` of any other account.
pub fn user_name(account: &AuthorizerAppId) -> Option<&'static str> {
    let mut accounts = ACCOUNTS.into_iter();
    let (_, user_name) = accounts.find(|(appid, _)| *appid == account.as_str())?;
    Some(user_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_the_ten_accounts_has_an_app_id_and_a_name_of_its_own() {
        let named = ACCOUNTS.map(|(appid, name)| {
            assert!(name.starts_with("gh_"));
            let account = AuthorizerAppId::parse(appid).unwrap();
            assert_eq!(user_name(&account), Some(name));
            name
        });
        let distinct: std::collections::BTreeSet<_> = named.iter().collect();
        assert_eq!(distinct.len(), 10);
        let other = AuthorizerAppId::parse("wxfedcba9876543210").unwrap();
        assert_eq!(user_name(&other), None);
    }
}
