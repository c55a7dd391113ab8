//! The page at `/`: what the simulator is, and what it serves. Chinese first, then English.

use std::fmt::Write;

use super::html::{escape, page};
use crate::endpoint;

/// An address that the page names: method, path, and what it is for in both languages.
pub(crate) struct Entry {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    chinese: &'static str,
    english: &'static str,
}

const fn entry(
    method: &'static str,
    path: &'static str,
    chinese: &'static str,
    english: &'static str,
) -> Entry {
    Entry {
        method,
        path,
        chinese,
        english,
    }
}

/// The pages. Those of a merchant want the query of an authorization link.
pub(crate) const PAGES: [Entry; 4] = [
    entry(
        "GET",
        "/_sim/chat",
        "给账号发消息",
        "write to an account as its customer",
    ),
    entry(
        "GET",
        "/cgi-bin/componentloginpage",
        "PC 授权页",
        "authorization page on a PC",
    ),
    entry(
        "GET",
        "/wxaopen/safe/bindcomponent",
        "手机授权页（新）",
        "authorization page on a phone, new address",
    ),
    entry(
        "GET",
        "/safe/bindcomponent",
        "手机授权页（旧）",
        "authorization page on a phone, old address",
    ),
];

/// The control API. A test checks that each of these is served.
pub(crate) const CONTROL: [Entry; 19] = [
    entry(
        "POST",
        "/_sim/release-check",
        "全网发布检测",
        "play the release check",
    ),
    entry(
        "GET",
        "/_sim/state",
        "账号、设置与最近的推送",
        "accounts, settings, latest pushes",
    ),
    entry(
        "GET",
        "/_sim/calls",
        "各接口的调用次数",
        "number of calls to each endpoint",
    ),
    entry(
        "GET",
        "/_sim/messages",
        "已发送的客服消息",
        "messages sent by custom/send",
    ),
    entry("GET", "/_sim/faults", "尚未发生的故障", "remaining faults"),
    entry("GET", "/_sim/clock", "模拟时钟", "the simulator's clock"),
    entry("POST", "/_sim/faults", "安排故障", "order a fault"),
    entry("DELETE", "/_sim/faults", "清除故障", "drop all faults"),
    entry(
        "POST",
        "/_sim/push",
        "推送票据、通知或任意内容",
        "push a ticket, a notice or any text",
    ),
    entry(
        "POST",
        "/_sim/message",
        "推送粉丝消息",
        "push a follower's message",
    ),
    entry(
        "POST",
        "/_sim/authorize",
        "商家确认授权",
        "confirm as the merchant",
    ),
    entry(
        "POST",
        "/_sim/revoke",
        "商家取消授权",
        "revoke as the merchant",
    ),
    entry(
        "POST",
        "/_sim/consent",
        "授权页的表单",
        "the form of the authorization page",
    ),
    entry("POST", "/_sim/accounts", "添加账号", "add an account"),
    entry(
        "POST",
        "/_sim/status",
        "冻结、注销、迁移账号",
        "freeze, deregister or migrate an account",
    ),
    entry("POST", "/_sim/clock", "调整时钟", "move the clock"),
    entry("POST", "/_sim/settings", "修改设置", "change settings"),
    entry(
        "POST",
        "/_sim/calls/reset",
        "调用次数归零",
        "count calls from zero",
    ),
    entry("GET", "/", "本页", "this page"),
];

/// The whole page.
pub(super) fn home(component_appid: &str) -> String {
    let appid = escape(component_appid);
    let mut paths = String::new();
    for path in endpoint::paths() {
        // Writing to a string cannot fail.
        let _ = write!(paths, "<li><code>{path}</code></li>");
    }
    let body = format!(
        "<h1>微信开放平台模拟器</h1>\
         <p>这是一个模拟的微信开放平台，供第三方平台（component）测试使用。它不连接微信，数据只在内存中。\
         第三方平台 AppID：<code>{appid}</code></p>\
         <h2>页面</h2><p>授权页请从第三方平台的授权链接进入。</p>{}\
         <h2>控制接口</h2><p>请求与应答均为 JSON，例如 <code>curl 本机地址/_sim/clock -d '{{\"advance_secs\": 7200}}'</code></p>{}\
         <h2>微信接口</h2><ul>{paths}</ul>\
         <section lang=\"en\"><h1>WeChat Open Platform simulator</h1>\
         <p>This is a simulated WeChat Open Platform, to test a third-party platform (component) against. \
         It does not connect to WeChat, and keeps its data in memory only. \
         The component's AppID is <code>{appid}</code>.</p>\
         <h2>Pages</h2><p>Enter those of a merchant by an authorization link of the component.</p>{}\
         <h2>Control API</h2><p>JSON in and out, for example <code>curl this-host/_sim/clock -d '{{\"advance_secs\": 7200}}'</code>. \
         The documentation of the crate <code>wechat-simulator</code> has every field.</p>{}\
         <h2>WeChat's endpoints</h2><p>They are listed above.</p></section>",
        list(&PAGES, |entry| entry.chinese),
        list(&CONTROL, |entry| entry.chinese),
        list(&PAGES, |entry| entry.english),
        list(&CONTROL, |entry| entry.english),
    );
    page("微信开放平台模拟器", &body, None)
}

fn list(entries: &[Entry], text: impl Fn(&Entry) -> &'static str) -> String {
    let mut items = String::from("<ul>");
    for entry in entries {
        let (method, path, text) = (entry.method, entry.path, text(entry));
        // Writing to a string cannot fail.
        let _ = if method == "GET" {
            write!(items, "<li><a href=\"{path}\">{path}</a> {text}</li>")
        } else {
            write!(items, "<li><code>{method} {path}</code> {text}</li>")
        };
    }
    items + "</ul>"
}
