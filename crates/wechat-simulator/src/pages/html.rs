//! The pages' HTML: Chinese, plain, without any external resource.

use std::fmt::Write;

use super::PageError;
use crate::state::account::Account;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1a1a1a;--soft:#6b6b6b;--line:#e3e3e3;--card:#fff;--ground:#f4f4f4;--go:#07864b}\
@media(prefers-color-scheme:dark){:root{--ink:#ececec;--soft:#a0a0a0;--line:#3a3a3a;--card:#1f1f1f;--ground:#111;--go:#0b9f5a}}\
*{box-sizing:border-box}\
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.6 system-ui,sans-serif}\
main{max-width:30rem;margin:8vh auto;padding:2rem;background:var(--card);border:1px solid var(--line);border-radius:12px}\
@media(max-width:32rem){main{margin:0;min-height:100vh;border:0;border-radius:0}}\
h1{margin:0 0 .5rem;font-size:1.375rem}h2{margin:1.5rem 0 .5rem;font-size:1.125rem}\
ul{margin:.5rem 0;padding-left:1.25rem}a{color:var(--go)}a,code{overflow-wrap:anywhere}\
section{margin-top:2rem;padding-top:2rem;border-top:1px solid var(--line)}\
p{margin:.5rem 0;color:var(--soft)}\
label{display:flex;gap:.75rem;align-items:center;padding:.75rem 0;border-top:1px solid var(--line)}\
input{width:1.25rem;height:1.25rem;accent-color:var(--go)}\
small{display:block;color:var(--soft);overflow-wrap:anywhere}\
.actions{display:flex;gap:.75rem;margin-top:1.5rem}\
button{flex:1;padding:.75rem;border:1px solid var(--line);border-radius:8px;background:none;color:inherit;font:inherit;cursor:pointer}\
button.go{background:var(--go);border-color:var(--go);color:#fff}";

/// The page on which a merchant chooses an account and confirms.
pub(crate) fn consent(pre_auth_code: &str, redirect_uri: &str, accounts: &[Account]) -> String {
    if accounts.is_empty() {
        return page(
            "没有可授权的账号",
            "<h1>没有可授权的账号</h1><p>没有符合授权类型的账号。</p>",
            None,
        );
    }
    let mut choices = String::new();
    for (index, account) in accounts.iter().enumerate() {
        let checked = if index == 0 { " checked" } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(
            choices,
            "<label><input type=\"radio\" name=\"authorizer_appid\" value=\"{appid}\" required{checked}>\
             <span>{name}<small>{kind} · {appid}</small></span></label>",
            appid = escape(&account.appid),
            name = escape(&account.nick_name),
            kind = account.kind.name(),
        );
    }
    let body = format!(
        "<h1>授权给第三方平台</h1><p>选择要授权的账号。授权后，第三方平台将获得该账号的接口权限。</p>\
         <form method=\"post\" action=\"/_sim/consent\">\
         <input type=\"hidden\" name=\"pre_auth_code\" value=\"{}\">\
         <input type=\"hidden\" name=\"redirect_uri\" value=\"{}\">{choices}\
         <div class=\"actions\"><button class=\"go\" name=\"decision\" value=\"confirm\">授权</button>\
         <button name=\"decision\" value=\"deny\" formnovalidate>取消</button></div></form>",
        escape(pre_auth_code),
        escape(redirect_uri),
    );
    page("微信公众平台账号授权（模拟）", &body, None)
}

/// The page after 取消: WeChat pushes nothing and redirects nowhere.
pub(crate) fn denied() -> String {
    page(
        "已取消授权",
        "<h1>已取消授权</h1><p>可以关闭此页面。</p>",
        None,
    )
}

/// WeChat's refusal, answered with HTTP 200.
pub(crate) fn refusal(error: &PageError) -> String {
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
    page("无法授权", &body, Some(name))
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
    let error = error.map_or_else(String::new, |name| format!(" data-error=\"{name}\""));
    format!(
        "<!doctype html><html lang=\"zh-CN\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head><body><main{error}>{body}</main></body></html>"
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
        let html = consent("\"><script>", "https://h/?a=1&b='2'", &[]);
        assert!(!html.contains("<script>"));
        let accounts: Vec<_> = Account::demo().collect();
        let html = consent("\"><script>", "https://h/?a=1&b='2'", &accounts);
        assert!(html.contains("value=\"&quot;&gt;&lt;script&gt;\""));
        assert!(html.contains("value=\"https://h/?a=1&amp;b=&#39;2&#39;\""));
    }
}
