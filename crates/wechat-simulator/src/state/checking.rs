//! WeChat's own accounts, with which it checks a component before its release.
//!
//! Source: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/operation/thirdparty/releases_instructions.html>

/// An account's appid and original id.
pub(crate) type Identity = (&'static str, &'static str);

/// The five groups: a public account and a mini program each.
pub(crate) const GROUPS: [(Identity, Identity); 5] = [
    (
        ("wx570bc396a51b8ff8", "gh_3c884a361561"),
        ("wxd101a85aa106f53e", "gh_8dad206e9538"),
    ),
    (
        ("wx9252c5e0bb1836fc", "gh_c0f28a78b318"),
        ("wxc39235c15087f6f3", "gh_905ae9d01059"),
    ),
    (
        ("wx8e1097c5bc82cde9", "gh_3f222ed8d140"),
        ("wx7720d01d4b2a4500", "gh_393666f1fdf4"),
    ),
    (
        ("wx14550af28c71a144", "gh_26128078e9ab"),
        ("wx05d483572dcd5d8b", "gh_39abb5d4e1b7"),
    ),
    (
        ("wxa35b9c23cfe664eb", "gh_2b3713f184a6"),
        ("wx5910277cae6fd970", "gh_7818dcb60240"),
    ),
];

/// The original id of one of these accounts.
pub(crate) fn user_name(appid: &str) -> Option<&'static str> {
    let mut accounts = GROUPS.iter().flat_map(|(account, app)| [account, app]);
    let (_, user_name) = accounts.find(|(known, _)| *known == appid)?;
    Some(user_name)
}
