//! The pages' HTML: Chinese, plain, without any external resource.

use std::fmt::Write;

use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};

use super::{PageError, authority, permission, redirect_address};
use crate::state::account::Account;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1a1a1a;--soft:#6b6b6b;--line:#e3e3e3;--card:#fff;--ground:#f4f4f4;--go:#07864b;--link:#07864b}\
@media(prefers-color-scheme:dark){:root{--ink:#ececec;--soft:#a0a0a0;--line:#3a3a3a;--card:#1f1f1f;--ground:#111;--link:#2fc87f}}\
*{box-sizing:border-box}\
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.6 system-ui,sans-serif}\
main{max-width:30rem;margin:8vh auto;padding:2rem;background:var(--card);border:1px solid var(--line);border-radius:12px}\
@media(max-width:32rem){body{background:var(--card)}main{margin:0;border:0;border-radius:0}}\
h1{margin:0 0 .5rem;font-size:1.375rem}h2{margin:1.5rem 0 .5rem;font-size:1.125rem}\
ul{margin:.5rem 0;padding-left:1.25rem}a{color:var(--link)}a,code{overflow-wrap:anywhere}\
section{margin-top:2rem;padding-top:2rem;border-top:1px solid var(--line)}\
p{margin:.5rem 0;color:var(--soft)}\
label{display:flex;gap:.75rem;align-items:center;padding:.75rem 0;border-top:1px solid var(--line)}\
input{width:1.25rem;height:1.25rem;accent-color:var(--go)}\
small{display:block;color:var(--soft);overflow-wrap:anywhere}\
.actions{display:flex;gap:.75rem;margin-top:1.5rem}\
button{flex:1;padding:.75rem;border:1px solid var(--line);border-radius:8px;background:none;color:inherit;font:inherit;cursor:pointer}\
button.go{background:var(--go);border-color:var(--go);color:#fff}\
:focus-visible{outline:3px solid var(--ink);outline-offset:2px}\
header{padding:.25rem;background:#8a5a00;color:#fff;text-align:center;font-weight:600;letter-spacing:.1em}\
.scan{width:fit-content;margin:1rem auto;padding:.5rem;background:#fff;border-radius:8px}.scan svg{display:block}\
.step{font-size:.875rem}footer{margin:1rem 0;text-align:center}";

/// What the consent page shows.
pub(super) struct Consent<'a> {
    /// 平台名称.
    pub(super) platform: &'a str,
    pub(super) pre_auth_code: &'a str,
    pub(super) redirect_uri: &'a str,
    pub(super) accounts: &'a [Account],
    /// On a PC: the address of the phone's page, to be scanned.
    pub(super) scan: Option<&'a Scan>,
}

/// The page for a phone, as the PC's page shows it.
pub(super) struct Scan {
    /// Its address.
    pub(super) address: String,
    /// Whether it is an address of this machine, which a phone cannot open.
    pub(super) is_loopback: bool,
}

/// The page on which a merchant chooses an account and confirms.
pub(super) fn consent(consent: &Consent<'_>) -> String {
    if consent.accounts.is_empty() {
        let body = "<h1>没有可授权的账号</h1><p>auth_type 与账号类型不符，没有可授权的账号。</p>";
        return page_with_way_back("没有可授权的账号", body, None, consent.redirect_uri);
    }
    let mut choices = String::new();
    for (index, account) in consent.accounts.iter().enumerate() {
        let checked = if index == 0 { " checked" } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(
            choices,
            "<label><input type=\"radio\" name=\"authorizer_appid\" value=\"{appid}\" required{checked}>\
             <span>{name}<small>{kind} · {appid}</small><small>权限集：{sets}</small></span></label>",
            appid = escape(&account.appid),
            name = escape(&account.nick_name),
            kind = account.kind.name(),
            sets = permission_sets(&account.permission_sets),
        );
    }
    let platform = escape(consent.platform);
    let body = format!(
        "<h1>授权给第三方平台</h1>\
         <p><strong>{platform}</strong>申请代您管理账号。授权后，该平台将获得所选账号下列权限集的接口权限。</p>{scan}\
         <form method=\"post\" action=\"/_sim/consent\">\
         <input type=\"hidden\" name=\"pre_auth_code\" value=\"{}\">\
         <input type=\"hidden\" name=\"redirect_uri\" value=\"{}\">{choices}\
         <div class=\"actions\"><button class=\"go\" name=\"decision\" value=\"confirm\">授权</button>\
         <button name=\"decision\" value=\"deny\" formnovalidate>取消</button></div></form>",
        escape(consent.pre_auth_code),
        escape(consent.redirect_uri),
        scan = consent.scan.map(scan_step).unwrap_or_default(),
    );
    page("微信公众平台账号授权（模拟）", &body, None)
}

fn permission_sets(ids: &[u32]) -> String {
    let names: Vec<_> = ids
        .iter()
        .map(|id| match permission::name(*id) {
            Some(name) => format!("{name}({id})"),
            None => format!("权限集 {id}"),
        })
        .collect();
    names.join("、")
}

/// The step that a PC has before the phone's: the account's administrator scans a code with WeChat.
fn scan_step(scan: &Scan) -> String {
    let code = QrCode::with_error_correction_level(&scan.address, EcLevel::L);
    let picture = code.map_or_else(
        |_too_long| String::new(),
        |code| {
            let drawn = code
                .render::<svg::Color<'_>>()
                .max_dimensions(232, 232)
                .build();
            // The XML declaration has no place in HTML.
            drawn
                .split_once("?>")
                .map_or(String::new(), |(_, svg)| svg.to_owned())
        },
    );
    let of_loopback = if scan.is_loopback {
        "这是本机地址，手机无法打开。"
    } else {
        ""
    };
    format!(
        "<div class=\"scan\" role=\"img\" aria-label=\"微信扫码授权\">{picture}</div>\
         <p class=\"step\">1. 账号管理员用微信扫码。（模拟，无需扫码。{of_loopback}）</p>\
         <p class=\"step\">2. 在手机上选择账号并确认。（模拟：请直接在下方操作。）</p>"
    )
}

/// The page after 取消: WeChat pushes nothing and redirects nowhere.
pub(super) fn denied(redirect_uri: &str) -> String {
    let body = "<h1>您已取消本次操作</h1><p>未作任何更改，可以关闭此页面。</p>";
    page_with_way_back("您已取消本次操作", body, None, redirect_uri)
}

/// WeChat's refusal, answered with HTTP 200.
pub(super) fn refusal(error: &PageError, redirect_uri: &str) -> String {
    let (name, text) = match error {
        PageError::ComponentAppid => ("component_appid", "第三方平台 AppID 不正确。".to_owned()),
        PageError::PreAuthCode => (
            "pre_auth_code",
            "预授权码无效、已使用或已过期，请返回重试。".to_owned(),
        ),
        PageError::AuthType => ("auth_type", "缺少授权类型，或授权类型不正确。".to_owned()),
        PageError::RedirectUri => ("redirect_uri", "回调地址不是完整的网址。".to_owned()),
        PageError::BizAppid => ("biz_appid", "指定的账号不存在。".to_owned()),
        PageError::AuthorizerAppid => ("authorizer_appid", "所选的账号不存在。".to_owned()),
        PageError::Domain { entry, redirect } => {
            ("domain", domain_text(entry.as_deref(), redirect))
        }
    };
    let body = format!("<h1>无法授权</h1><p>{}</p>", escape(&text));
    page_with_way_back("无法授权", &body, Some(name), redirect_uri)
}

fn domain_text(entry: Option<&str>, redirect: &str) -> String {
    format!(
        "请确认授权入口页所在域名，与授权后回调页所在域名相同，并且，此两者都必须与申请第三方平台时填写的授权发起页域名一致。\
         授权入口页所在域名：{}，授权后回调页所在域名：{redirect}",
        entry.unwrap_or("(空)"),
    )
}

/// A whole page around `body`.
pub(super) fn page(title: &str, body: &str, error: Option<&str>) -> String {
    page_with(title, body, error, "")
}

/// The same, with a link to the page that led here; WeChat's own has none.
fn page_with_way_back(title: &str, body: &str, error: Option<&str>, redirect_uri: &str) -> String {
    let back = redirect_address(redirect_uri);
    let (address, name) = match &back {
        Some(url) => (url.as_str(), authority(url).unwrap_or_default()),
        None => ("/", "首页".to_owned()),
    };
    let foot = format!(
        "<footer><a href=\"{}\">返回{}（模拟器提供的链接）</a></footer>",
        escape(address),
        escape(&name)
    );
    page_with(title, body, error, &foot)
}

fn page_with(title: &str, body: &str, error: Option<&str>, foot: &str) -> String {
    let error = error.map_or_else(String::new, |name| format!(" data-error=\"{name}\""));
    format!(
        "<!doctype html><html lang=\"zh-CN\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head><body>\
         <header>模拟 SIMULATED</header><main{error}>{body}</main>{foot}</body></html>"
    )
}

/// The text for HTML, also between quotes.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_the_consent_page() {
        let accounts: Vec<_> = Account::demo().collect();
        let odd = |accounts| {
            consent(&Consent {
                platform: "<b>",
                pre_auth_code: "\"><script>",
                redirect_uri: "https://h/?a=1&b='2'",
                accounts,
                scan: None,
            })
        };
        for html in [odd(&[]), odd(&accounts)] {
            assert!(!html.contains("<script>"));
            assert!(!html.contains("<b>"));
        }
        let html = odd(&accounts);
        assert!(html.contains("value=\"&quot;&gt;&lt;script&gt;\""));
        assert!(html.contains("value=\"https://h/?a=1&amp;b=&#39;2&#39;\""));
    }
}
