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
        let text = format!(
            "
  微信第三方平台 · WeChat third-party platform

  服务地址 functions  {app}
  微信 WeChat         {wechat}   (模拟 simulated, component {component})
  数据 table          {data}
  时钟 clock          {speed} 倍速 x

  微信开放平台“开发资料”对应项 · as pasted into WeChat's console
    授权事件接收 URL       {app}/wechat/events
    消息与事件接收 URL     {app}/wechat/$APPID$/messages
    授权发起页域名         {host}

  接下来 · what next
    1. 打开授权页 open        {app}/auth/start
    2. 获取令牌 get a token   curl -s {here}/_local/token -d '{{\"authorizer_appid\":\"{demo}\"}}'
    3. 快进两小时 two hours   curl -s {wechat}/_sim/clock -d '{{\"advance_secs\":7200}}'
    4. 发消息 write to it     {wechat}/_sim/chat   (事件 events: {here}/_local/events)

  按 Ctrl-C 退出 ends it.
"
        );
        print(&text)
    }

    /// Against the real WeChat, of which `api` is the API.
    ///
    /// # Errors
    /// If it cannot be printed.
    pub fn of_wechat(&self, api: &str) -> Result<(), Error> {
        let Self {
            app,
            here,
            component,
            data,
        } = self;
        let data = data.map(|file| file.display().to_string());
        let data = data.unwrap_or_default();
        let text = format!(
            "
  微信第三方平台 · WeChat third-party platform

  服务地址 functions  {app}   (仅 HTTP，请用您的 HTTPS 代理转发 plain HTTP: for your TLS proxy)
  微信 WeChat         {api}   (真实 real, component {component})
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
  按 Ctrl-C 退出 ends it.
"
        );
        print(&text)
    }
}

fn print(text: &str) -> Result<(), Error> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
