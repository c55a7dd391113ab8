//! What merchants see when they are back from WeChat.

use component_api::code::Code;
use component_core::row::authorizer::Standing;
use http::{Response, StatusCode};
use merchant_pages::brand::Brand;
use merchant_pages::page::{Account, Action, Language, Mark, Message};

use crate::outcome::Outcome;

/// The result page; `query` is that of the link the merchant came by, if it is known.
pub(crate) fn result(
    language: Language,
    brand: &Brand,
    outcome: &Outcome,
    query: Option<&str>,
) -> Response<String> {
    // Relative to this page, so that a base path before both routes is kept.
    let start = query.map(|query| match query {
        "" => "start".to_owned(),
        query => format!("start?{query}"),
    });
    let text = outcome.text(language);
    let authorizer = outcome.authorizer();
    let action = match text.next {
        Next::Nothing => None,
        Next::LoadAgain => Some(Action::Link {
            text: language.of_two("重新检查", "Check again"),
            href: "",
        }),
        Next::StartAgain => start.as_deref().map(|href| Action::Link {
            text: language.of_two("重新授权", "Start again"),
            href,
        }),
    };
    Message {
        mark: text.mark,
        title: text.title,
        account: authorizer.map(|row| Account {
            name: row.name.as_deref(),
            appid: &row.appid,
        }),
        paragraphs: &[text.paragraph],
        action,
    }
    .response(outcome.status(), language, brand)
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
    LoadAgain,
    StartAgain,
}

impl Outcome {
    const fn status(&self) -> StatusCode {
        match self {
            Self::Connected(_) | Self::AlreadyConnected(_) | Self::Denied => StatusCode::OK,
            Self::Failed(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Expired
            | Self::Unconfirmed
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
    fn text(&self, language: Language) -> Text {
        let (mark, next, titles, paragraphs) = match self {
            Self::Connected(row) | Self::AlreadyConnected(row)
                if matches!(row.standing, Standing::ReauthorizationRequired) =>
            {
                (
                    Mark::Bad,
                    Next::StartAgain,
                    ("授权未完成", "Not connected yet"),
                    (
                        "微信没有为该账号开放接口权限。请先在微信公众平台取消授权，然后重新授权。",
                        "WeChat granted no API permission for this account. Withdraw the authorization on WeChat's platform and authorize again.",
                    ),
                )
            }
            Self::Connected(row) | Self::AlreadyConnected(row) if row.limited_at.is_some() => (
                Mark::Wait,
                Next::Nothing,
                (
                    "授权成功，但微信限制了该账号",
                    "Connected, but limited by WeChat",
                ),
                (
                    "您的账号已经接入，无需重新授权。请先在微信公众平台解除该账号的限制，之后会自动恢复。",
                    "Your account is connected; to authorize again does not help. Have WeChat lift its limit on this account: it then works by itself.",
                ),
            ),
            Self::Connected(_) => (
                Mark::Good,
                Next::Nothing,
                ("授权成功", "Connected"),
                (
                    "您的账号已经接入，可以关闭此页面。",
                    "Your account is connected. You may close this page.",
                ),
            ),
            Self::AlreadyConnected(_) => (
                Mark::Good,
                Next::Nothing,
                ("已完成授权", "Already connected"),
                (
                    "您的账号之前已经接入，无需再操作，可以关闭此页面。",
                    "Your account is connected, and there is nothing left to do. You may close this page.",
                ),
            ),
            Self::Denied => (
                Mark::Bad,
                Next::StartAgain,
                ("您未确认授权", "You did not authorize"),
                (
                    "账号没有接入，也没有任何更改。如需继续，请重新授权。",
                    "Nothing was connected, and nothing has changed. To go on, start again.",
                ),
            ),
            Self::Expired => (
                Mark::Wait,
                Next::StartAgain,
                ("授权页面已过期", "This page has expired"),
                (
                    "微信的授权页面只在一段时间内有效。请从授权链接重新开始。",
                    "WeChat's page is good for a while only. Start again from your authorization link.",
                ),
            ),
            Self::Unconfirmed => (
                Mark::Wait,
                Next::LoadAgain,
                ("微信尚未确认授权", "WeChat has not confirmed yet"),
                (
                    "确认通常在一分钟内到达，请稍后重新检查。如果一直没有确认，或您已取消授权，请从授权链接重新开始。",
                    "Its confirmation mostly comes within a minute: check again then. If it does not come, or you have withdrawn the authorization, start again from your authorization link.",
                ),
            ),
            Self::Used => (
                Mark::Bad,
                Next::StartAgain,
                ("此页面已使用过", "This page was used before"),
                (
                    "如果之前已显示授权成功，则无需再操作；否则请从授权链接重新开始。",
                    "If it said before that your account is connected, there is nothing left to do. If not, start again from your authorization link.",
                ),
            ),
            Self::OtherBrowser => (
                Mark::Bad,
                Next::Nothing,
                ("请使用同一浏览器", "Use the same browser"),
                (
                    "授权必须在同一浏览器中开始和完成，并允许使用 Cookie。请从授权链接重新开始。",
                    "An authorization must begin and end in the same browser, with cookies allowed. Start again from your authorization link.",
                ),
            ),
            Self::Malformed => (
                Mark::Bad,
                Next::Nothing,
                ("授权未完成", "Not connected"),
                (
                    "此页面只能由微信授权页跳转打开，请从授权链接重新开始。",
                    "This page opens only from WeChat's authorization page. Start again from your authorization link.",
                ),
            ),
            Self::Failed(error) if error.code() == Code::AccountLimited => (
                Mark::Bad,
                Next::LoadAgain,
                ("微信限制了该账号", "WeChat limits this account"),
                (
                    "您的确认没有丢失，重新授权无济于事。请先在微信公众平台解除该账号的限制，然后刷新此页面。",
                    "What you confirmed is not lost, and to authorize again does not help. Have WeChat lift its limit on this account, then load this page again.",
                ),
            ),
            Self::Failed(_) => (
                Mark::Wait,
                Next::LoadAgain,
                ("暂时无法完成授权", "This does not work at the moment"),
                (
                    "您的确认没有丢失，请稍后刷新此页面。",
                    "What you confirmed is not lost. Load this page again in a while.",
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
