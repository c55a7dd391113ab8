//! What is printed at the start: where everything is, and what to do next.

use std::io::Write;
use std::path::Path;

use wechat_simulator::DEMO_APPIDS;

use crate::Error;

/// What runs, and where.
pub struct Panel<'a> {
    /// The functions, as a browser reaches them.
    pub app: &'a str,
    /// The functions, as a process on this machine reaches them.
    pub here: &'a str,
    /// The component.
    pub component: &'a str,
    /// The file with the table.
    pub data: Option<&'a Path>,
}

impl Panel<'_> {
    /// With the simulated WeChat at `wechat`, whose clock runs `speed` times as fast.
    ///
    /// # Errors
    /// If it cannot be printed.
    pub fn of_simulation(&self, wechat: &str, speed: u32) -> Result<(), Error> {
        let Self {
            app,
            here,
            component,
            data,
        } = self;
        let host = app.trim_start_matches("http://");
        let data = data.map_or_else(
            || "仅内存，退出即清空 in memory only".to_owned(),
            |file| file.display().to_string(),
        );
        let demo = DEMO_APPIDS.first().copied().unwrap_or_default();
        let network = if app == here {
            ""
        } else {
            "  网络 network        同一网络中的任何人都能访问和控制 anyone in this network can open and control it\n"
        };
        let text = format!(
            "
  微信第三方平台 · WeChat third-party platform

  服务地址 functions  {app}
  微信 WeChat         {wechat}   (模拟 simulated, component {component})
  数据 table          {data}
  时钟 clock          {speed} 倍速 times real time
{network}
  微信开放平台“开发资料”对应项 · as pasted into WeChat's console
    授权事件接收 URL       {app}/wechat/events
    消息与事件接收 URL     {app}/wechat/$APPID$/messages
    授权发起页域名         {host}

  接下来 · what next
    1. 打开授权页 open        {app}/auth/start
    2. 获取令牌 get a token   curl -s {here}/_local/token -d '{{\"authorizer_appid\":\"{demo}\"}}'
    3. 快进两小时 two hours   curl -s {wechat}/_sim/clock -d '{{\"advance_secs\":7200}}'
    4. 发消息 write to it     {wechat}/_sim/chat   (事件 events: {here}/_local/events)

  按 Ctrl-C 退出 · press Ctrl-C to stop
"
        );
        print(&text)
    }

    /// Against the real WeChat, of which `api` is the API, or another that the environment names.
    ///
    /// # Errors
    /// If it cannot be printed.
    pub fn of_wechat(&self, api: &str, is_real: bool) -> Result<(), Error> {
        let Self {
            app,
            here,
            component,
            data,
        } = self;
        let data = data.map(|file| file.display().to_string());
        let data = data.unwrap_or_default();
        let what = if is_real {
            "真实 real"
        } else {
            "由环境变量指定 named by the environment"
        };
        let text = format!(
            "
  微信第三方平台 · WeChat third-party platform

  服务地址 functions  {app}   (仅 HTTP，请用您的 HTTPS 代理转发 plain HTTP: for your TLS proxy)
  微信 WeChat         {api}   ({what}, component {component})
  数据 table          {data}   (含令牌，请妥善保管 holds tokens: keep it safe)

  微信开放平台“开发资料” · in WeChat's console; HOST 为您的域名 is your domain
    授权事件接收 URL       https://HOST/wechat/events
    消息与事件接收 URL     https://HOST/wechat/$APPID$/messages
    授权发起页域名         HOST
    白名单 IP 地址列表     本机的出口地址 the address from which this machine goes out

  接下来 · what next
    1. 等微信推送票据，十分钟内 wait for WeChat's ticket, within ten minutes
    2. 打开授权页 open        https://HOST/auth/start
    3. 获取令牌 get a token   curl -s {here}/_local/token -d '{{\"authorizer_appid\":\"wx..\"}}'
    4. 事件 events            {here}/_local/events   (仅限本机 this machine only)

  一个第三方平台只能由一处刷新令牌 · one component, one owner: stop every other stack of it.
  按 Ctrl-C 退出 · press Ctrl-C to stop
"
        );
        print(&text)
    }
}

/// The page at `/`, with the addresses that the panel has printed.
pub fn home(here: &str, wechat: Option<&str>) -> String {
    let demo = DEMO_APPIDS.first().copied().unwrap_or_default();
    let simulated = wechat.map_or_else(String::new, |wechat| {
        format!(
            "<li><a href=\"{wechat}/_sim/chat\">给账号发消息 write to an account</a>\
             <li><a href=\"{wechat}/\">微信模拟器 the simulated WeChat</a>\
             <li>快进两小时 two hours pass: <code>curl -s {wechat}/_sim/clock -d '{{\"advance_secs\":7200}}'</code>"
        )
    });
    format!(
        "<!DOCTYPE html><html lang=\"zh-CN\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>local</title><style>{HOME_STYLE}</style></head>\
         <body><main><h1>微信第三方平台 <span lang=\"en\">WeChat third-party platform</span></h1><ul>\
         <li><a href=\"/auth/start\">授权发起页 the start page</a>\
         <li>获取令牌 get a token: <code>curl -s {here}/_local/token -d '{{\"authorizer_appid\":\"{demo}\"}}'</code>\
         <li><a href=\"/_local/events\">事件总线 events on the bus</a>{simulated}</ul></main></body></html>"
    )
}

const HOME_STYLE: &str = "\
:root{color-scheme:light dark}body{max-width:44rem;margin:8vh auto;padding:0 1rem;font:16px/1.8 system-ui,sans-serif}\
h1{font-size:1.375rem}code{overflow-wrap:anywhere;font-size:.875rem}";

fn print(text: &str) -> Result<(), Error> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
