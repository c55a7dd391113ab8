//! What merchants see when they are back from WeChat.

use component_api::code::Code;
use component_core::row::authorizer::Standing;
use http::{Response, StatusCode};
use merchant_pages::page::{Account, Action, Back, Language, Mark, Message, Setting};

use crate::outcome::Outcome;

/// The result page; `query` is that of the link the merchant came by, if it is known.
pub(crate) fn result(
    setting: &Setting<'_>,
    outcome: &Outcome,
    query: Option<&str>,
    looks_again: bool,
) -> Response<String> {
    let (language, vendor) = (setting.language, setting.vendor);
    // Relative to this page, so that a base path before both routes is kept.
    let start = query.map(|query| match query {
        "" => "start".to_owned(),
        query => format!("start?{query}"),
    });
    let mut text = outcome.text(language, start.is_some());
    if !looks_again && outcome.waits() {
        // WeChat tells nothing of an account that confirms the same permission sets once more.
        text.paragraph = language.of_two(
            "微信还没有通知结果。如果该账号此前已授权给{vendor}，授权仍然有效，无需再操作；否则请重新打开授权链接。",
            "WeChat has not told the result. If this account was connected to {vendor} before, it still is, and there is nothing left to do. If not, open your authorization link again.",
        );
    }
    let authorizer = outcome.authorizer();
    let action = match text.next {
        Next::Nothing | Next::GoBack => None,
        // It does so by itself.
        Next::LoadAgain if looks_again => None,
        Next::LoadAgain => Some(Action::Link {
            text: language.of_two("重新检查", "Check again"),
            href: "",
        }),
        Next::StartAgain => start.as_deref().map(|href| Action::Link {
            text: language.of_two("重新授权", "Start again"),
            href,
        }),
    };
    let back = match (text.next, &setting.brand.url) {
        (Next::GoBack | Next::StartAgain, Some(url)) => Some((
            match language {
                Language::Chinese => format!("返回{vendor}"),
                Language::English => format!("Return to {vendor}"),
            },
            url.to_string(),
        )),
        _ => None,
    };
    Message {
        mark: text.mark,
        title: text.title,
        account: authorizer.map(|row| Account {
            name: row.name.as_deref(),
            appid: &row.appid,
        }),
        paragraphs: &[&text.paragraph.replace("{vendor}", &in_a_line(setting))],
        action,
        back: back.as_ref().map(|(text, href)| Back { text, href }),
        small_print: None,
    }
    .response(outcome.status(), setting)
}

/// Who asks, as a part of a sentence. A host may begin a line of its own: no Chinese word breaks
/// there, and the browser must not break the host instead.
fn in_a_line(setting: &Setting<'_>) -> String {
    match setting.brand.name {
        Some(_) => setting.vendor.to_owned(),
        None => format!("\u{200b}{}", setting.vendor),
    }
}

/// What a page says, in one language.
struct Text {
    mark: Mark,
    title: &'static str,
    paragraph: &'static str,
    next: Next,
}

/// What the merchant can do.
#[derive(Clone, Copy)]
enum Next {
    Nothing,
    GoBack,
    LoadAgain,
    StartAgain,
}

impl Outcome {
    const fn status(&self) -> StatusCode {
        match self {
            Self::Connected(_)
            | Self::ConnectedBefore(_)
            | Self::AlreadyConnected(_)
            | Self::ConnectedElsewhere(_)
            | Self::Denied => StatusCode::OK,
            Self::Failed(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Expired
            | Self::Unconfirmed
            | Self::ConfirmedElsewhere
            | Self::Used
            | Self::OtherBrowser
            | Self::Malformed => StatusCode::BAD_REQUEST,
        }
    }

    /// What happened, and what to do.
    #[expect(
        clippy::too_many_lines,
        reason = "a table: what is said in either language, one outcome after the other"
    )]
    fn text(&self, language: Language, can_start: bool) -> Text {
        let authorizer = self.authorizer();
        let (mark, next, titles, paragraphs) = match self {
            _ if authorizer
                .is_some_and(|row| row.standing == Standing::ReauthorizationRequired) =>
            {
                (
                    Mark::Bad,
                    Next::StartAgain,
                    ("授权未完成", "Not connected yet"),
                    (
                        "微信未返回该账号的授权凭据。请在微信公众平台“授权管理”中取消授权后，再重新授权。",
                        "WeChat returned no credentials for this account. Withdraw the authorization at mp.weixin.qq.com, then authorize again.",
                    ),
                )
            }
            _ if authorizer.is_some_and(|row| row.limited_at.is_some()) => (
                Mark::Wait,
                Next::Nothing,
                (
                    "授权成功，但微信限制了该账号",
                    "Connected, but limited by WeChat",
                ),
                (
                    "账号已授权，无需重新授权。请登录微信公众平台，解除对该账号的限制，之后会自动恢复。",
                    "The account is connected; to authorize again does not help. Have WeChat lift its limit on the account: it then works by itself.",
                ),
            ),
            Self::Connected(_) => (
                Mark::Good,
                Next::GoBack,
                ("授权成功", "Connected"),
                (
                    "已授权给{vendor}，可以关闭本页。",
                    "Your account is connected to {vendor}. You may close this page.",
                ),
            ),
            Self::ConnectedBefore(_) => (
                Mark::Good,
                Next::GoBack,
                ("该账号此前已授权", "Already connected"),
                (
                    "该账号此前已授权给{vendor}，继续有效，可以关闭本页。",
                    "This account was connected to {vendor} before, by another link. It stays connected; you may close this page.",
                ),
            ),
            Self::AlreadyConnected(_) => (
                Mark::Good,
                Next::GoBack,
                ("该账号已授权", "Already connected"),
                (
                    "已授权给{vendor}，无需重复操作，可以关闭本页。",
                    "Your account is connected to {vendor}. There is nothing left to do; you may close this page.",
                ),
            ),
            Self::Denied => (
                Mark::Neutral,
                Next::StartAgain,
                ("授权未完成", "Not authorized"),
                (
                    "您没有在微信中确认，未作任何更改。",
                    "You did not confirm in WeChat, and nothing was changed.",
                ),
            ),
            Self::Expired => (
                Mark::Wait,
                Next::StartAgain,
                ("授权页已失效", "This page has expired"),
                if can_start {
                    (
                        "停留超过 30 分钟，微信授权页已失效。",
                        "WeChat's page is valid for 30 minutes.",
                    )
                } else {
                    (
                        "停留超过 30 分钟，微信授权页已失效，请重新打开授权链接。",
                        "WeChat's page is valid for 30 minutes. Please open your authorization link again.",
                    )
                },
            ),
            Self::Unconfirmed => (
                Mark::Wait,
                Next::LoadAgain,
                ("正在等待微信确认", "Waiting for WeChat"),
                (
                    "通常一分钟内完成，本页会自动刷新。如果长时间没有结果，请重新打开授权链接。",
                    "This usually takes less than a minute, and this page refreshes by itself. If nothing happens, open your authorization link again.",
                ),
            ),
            Self::Used => (
                Mark::Neutral,
                Next::StartAgain,
                (
                    "本次授权已处理",
                    "This authorization has already been processed",
                ),
                (
                    "如果之前已显示授权成功，则无需再操作；否则请重新授权。",
                    "If it said before that your account is connected, there is nothing left to do. If not, start again.",
                ),
            ),
            Self::OtherBrowser => (
                Mark::Neutral,
                Next::Nothing,
                (
                    "请返回原页面查看结果",
                    "Return to the page where you started",
                ),
                (
                    "如果您已在微信中确认，授权会在一分钟内自动生效，无需重做。",
                    "If you have confirmed in WeChat, the authorization takes effect by itself within a minute. There is no need to do it again.",
                ),
            ),
            Self::ConfirmedElsewhere => (
                Mark::Wait,
                Next::LoadAgain,
                ("正在等待微信确认", "Waiting for WeChat"),
                (
                    "您已在微信中确认，授权会在一分钟内自动生效，无需重做。请返回原页面查看结果。",
                    "You have confirmed in WeChat, and the authorization takes effect by itself within a minute. Return to the page where you started.",
                ),
            ),
            Self::ConnectedElsewhere(_) => (
                Mark::Good,
                Next::Nothing,
                ("授权成功", "Connected"),
                (
                    "已授权给{vendor}。请返回原页面继续，本页可以关闭。",
                    "The account is connected to {vendor}. Return to the page where you started; you may close this one.",
                ),
            ),
            Self::Malformed => (
                Mark::Bad,
                Next::Nothing,
                ("请勿直接打开本页", "Do not open this page directly"),
                (
                    "请使用服务商提供的授权链接。",
                    "Please use your service provider's authorization link.",
                ),
            ),
            Self::Failed(error) if error.code() == Code::AccountLimited => (
                Mark::Bad,
                Next::LoadAgain,
                ("微信限制了该账号", "WeChat limits this account"),
                (
                    "您的确认没有丢失，无需重新授权。请登录微信公众平台，解除对该账号的限制，再重新检查。",
                    "Your approval is not lost, and to authorize again does not help. Have WeChat lift its limit on this account, then check again.",
                ),
            ),
            Self::Failed(_) => (
                Mark::Wait,
                Next::LoadAgain,
                ("授权已提交，暂未处理完成", "We couldn't finish yet"),
                (
                    "无需重新扫码，请稍后重新检查。",
                    "Your approval is not lost. Please check again in a minute.",
                ),
            ),
        };
        Text {
            mark,
            title: language.of_two(titles.0, titles.1),
            paragraph: language.of_two(paragraphs.0, paragraphs.1),
            next,
        }
    }
}
