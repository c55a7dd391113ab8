//! The release check (全网发布检测), as WeChat plays it with accounts of its own.
//!
//! The times are those of a real check of a mini program: the code comes by text eight seconds after
//! the authorization, and the withdrawal six seconds after that.
//!
//! Source: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/operation/thirdparty/releases_instructions.html>

use std::time::Duration;

use serde::Serialize;

use super::Simulator;
use crate::clock::sleep_real;
use crate::push::notice::{self, element};
use crate::push::{MessageOutcome, PushOutcome};
use crate::state::account::AccountKind;
use crate::state::checking::GROUPS;

/// A line of the report in WeChat's console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReleaseLine {
    /// The kind of the account that the line is about.
    pub kind: AccountKind,
    /// The line, as the console names it.
    pub name: &'static str,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

/// When the code is sent, after the authorization.
const CODE_AFTER_SECS: u64 = 8;

/// When the authorization is withdrawn: until then the text must have come.
const END_AFTER_SECS: u64 = 14;

/// How often to look for the text, in real time.
const LOOK: Duration = Duration::from_millis(50);

const OPENID: &str = "oRELEASE_CHECK_customer_0001";

const TEXT: &str = "TESTCOMPONENT_MSG_TYPE_TEXT";

impl Simulator {
    /// How many groups of accounts WeChat checks with; it picks one at random.
    pub const RELEASE_GROUPS: usize = GROUPS.len();

    /// Plays the check with the public account and the mini program of a group; answers the report.
    pub async fn release_check(&self, group: usize) -> Vec<ReleaseLine> {
        let ((account, _), (app, _)) = GROUPS
            .get(group)
            .or(GROUPS.first())
            .copied()
            .unwrap_or_default();
        self.add_account(account, "全网发布检测", AccountKind::OfficialAccount);
        self.add_account(app, "全网发布检测", AccountKind::MiniProgram);
        let (mut lines, of_app) = tokio::join!(
            self.check_account(account, AccountKind::OfficialAccount),
            self.check_account(app, AccountKind::MiniProgram)
        );
        lines.extend(of_app);
        lines
    }

    async fn check_account(&self, appid: &str, kind: AccountKind) -> Vec<ReleaseLine> {
        let mut lines = Vec::new();
        let mut line = |name, failure| {
            lines.push(ReleaseLine {
                kind,
                name,
                failure,
            });
        };
        line("组件ticket正确接收", undelivered(&self.push_ticket().await));
        // WeChat itself makes both.
        line("生成预授权码", None);
        let began = self.clock().now();
        let (code, authorized) = match self.authorize_unpushed(appid) {
            Ok(consent) => (consent.auth_code, self.push_xml(&consent.notice).await),
            Err(error) => {
                line("获取授权code", Some(error.to_string()));
                return lines;
            }
        };
        line("获取授权code", None);
        line("授权", undelivered(&authorized));
        if kind == AccountKind::OfficialAccount {
            let replied = self.push_text(appid, OPENID, TEXT).await;
            let replied = replied.unwrap_or_default();
            line(
                "返回普通文本消息",
                not_replied(&replied, &format!("{TEXT}_callback")),
            );
            let event = self.push_event(appid, "LOCATION").await;
            line("发送事件消息", not_replied(&event, "LOCATIONfrom_callback"));
        }
        self.clock().sleep_until(began + CODE_AFTER_SECS).await;
        let sent = self.check_code(appid, &code, began + END_AFTER_SECS).await;
        line("返回Api文本消息", sent);
        self.clock().sleep_until(began + END_AFTER_SECS).await;
        let withdrawn = self.revoke(appid).await.unwrap_or_default();
        line("取消授权", undelivered(&withdrawn));
        lines
    }

    /// Sends the code by text, and waits for the text of the account's own token; why it failed.
    async fn check_code(&self, appid: &str, code: &str, until: u64) -> Option<String> {
        let text = format!("QUERY_AUTH_CODE:{code}");
        let answered = self
            .push_text(appid, OPENID, &text)
            .await
            .unwrap_or_default();
        let first = answered.attempts.first();
        if first.is_none_or(|first| first.status != Some(200) || first.body_is_success)
            || answered.reply.is_some()
        {
            return Some(format!(
                "the text must be answered with an empty 200 at once: {first:?}"
            ));
        }
        let expected = format!("{code}_from_api");
        while self.clock().now() <= until {
            let sent = self.messages();
            let mut of_account = sent.iter().filter(|sent| sent.authorizer_appid == appid);
            if of_account.any(|sent| sent.touser == OPENID && sent.content == expected) {
                return None;
            }
            sleep_real(LOOK).await;
        }
        let secs = END_AFTER_SECS - CODE_AFTER_SECS;
        Some(format!(
            "no text came by message/custom/send within {secs} s"
        ))
    }

    async fn push_event(&self, appid: &str, event: &str) -> MessageOutcome {
        let now = self.clock().now();
        let user_name = {
            let state = self.state();
            let authorizer = state.authorizers.find(appid);
            authorizer.map(|authorizer| authorizer.account.user_name())
        };
        let xml = notice::event_message(&user_name.unwrap_or_default(), OPENID, now, event);
        self.push_message(appid, &xml).await.unwrap_or_default()
    }
}

fn undelivered(push: &PushOutcome) -> Option<String> {
    let attempts = &push.attempts;
    (!push.delivered).then(|| format!("the push was not answered by success: {attempts:?}"))
}

/// Why a passive reply is not the one with this content.
fn not_replied(outcome: &MessageOutcome, expected: &str) -> Option<String> {
    let Some(reply) = &outcome.reply else {
        return Some(format!("no reply that opens: {:?}", outcome.attempts));
    };
    if outcome.attempts.len() > 1 {
        return Some(format!("not at the first try: {:?}", outcome.attempts));
    }
    let content = element(reply, "Content").unwrap_or_default();
    (content != expected).then(|| format!("its Content is {content:?} and not {expected:?}"))
}
