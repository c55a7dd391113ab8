//! What merchants see before they go to WeChat.

use askama::Template;
use component_api::id::AuthorizerAppId;
use http::{Response, StatusCode};
use merchant_pages::page::{Action, Form, Language, Mark, Message, Page, Setting};
use url::Url;

use crate::device::Device;
use crate::link::{Link, LinkError, is_this_machine};
use crate::qr::Code;

/// The page that says who asks, and what will happen.
#[derive(Template)]
#[template(path = "start.html")]
struct StartPage<'a> {
    language: Language,
    vendor: &'a str,
    accounts: &'a str,
    only: Option<&'a AuthorizerAppId>,
    device: Device,
    return_host: Option<&'a str>,
    address: Option<&'a str>,
    code: Option<Code>,
    /// Whether no phone can open the address, since only this machine can.
    stays_here: bool,
}

/// Copies the link. Without it the button is hidden, and a tap on the link selects it whole.
const COPY_SCRIPT: &str = include_str!("../templates/copy.js");

/// The start page of `link`, whose own address is `address`.
pub(crate) fn start(
    setting: &Setting<'_>,
    link: &Link,
    device: Device,
    address: Option<&str>,
    origins: &[String],
) -> Response<String> {
    let (language, vendor) = (setting.language, setting.vendor);
    let accounts = accounts(language, &link.auth_type);
    let main = StartPage {
        language,
        vendor,
        accounts,
        only: link.biz_appid.as_ref(),
        device,
        return_host: link.return_to.as_ref().and_then(Url::host_str),
        address,
        code: match device {
            Device::Pc => address.and_then(Code::of),
            Device::Phone | Device::Wechat | Device::Enclosed => None,
        },
        stays_here: address
            .and_then(|address| Url::parse(address).ok())
            .is_some_and(|url| is_this_machine(&url)),
    };
    let title = match language {
        Language::Chinese => format!("将{accounts}授权给{vendor}"),
        Language::English => format!("Connect your {accounts} to {vendor}"),
    };
    let page = Page {
        setting,
        title: &title,
        form: match device {
            Device::Enclosed => Form::None,
            Device::Pc | Device::Phone | Device::Wechat => Form::LeadsTo(origins),
        },
        script: match device {
            Device::Phone | Device::Enclosed => address.map(|_| COPY_SCRIPT),
            Device::Pc | Device::Wechat => None,
        },
        foot: Some(language.of_two(
            "授权在微信官方页面完成，本页面不会要求您输入密码。",
            "You authorize on WeChat's own page. This page never asks for a password.",
        )),
    };
    page.response(StatusCode::OK, &main)
}

/// What WeChat will offer for authorization.
fn accounts(language: Language, auth_type: &str) -> &'static str {
    let (chinese, english) = match auth_type {
        "1" => ("公众号", "Official Account"),
        "2" => ("小程序", "Mini Program"),
        "3" => ("公众号或小程序", "Official Account or Mini Program"),
        "4" => ("小程序推客账号", "WeChat account"),
        "5" => ("视频号", "Channels account"),
        "6" => (
            "公众号、小程序或视频号",
            "Official Account, Mini Program or Channels account",
        ),
        "8" => ("带货助手账号", "WeChat account"),
        _ => ("账号", "WeChat account"),
    };
    language.of_two(chinese, english)
}

/// The page for a link that is refused.
pub(crate) fn refusal(setting: &Setting<'_>, error: LinkError) -> Response<String> {
    let (language, vendor) = (setting.language, setting.vendor);
    let what = match error {
        LinkError::Malformed(_) => {
            language.of_two("链接不完整或有误。", "The link is incomplete or wrong.")
        }
        LinkError::Unsigned => language.of_two(
            "链接已失效或被改动。",
            "The link is no longer valid, or it was changed.",
        ),
        LinkError::Expired => language.of_two("链接已过期。", "The link has expired."),
        LinkError::ForeignReturn => language.of_two(
            "链接有误：返回地址未登记。",
            "The link is wrong: its return address is not registered.",
        ),
    };
    let ask = match language {
        Language::Chinese => format!("请联系{vendor}获取新链接。"),
        Language::English => format!("Please ask {vendor} for a new link."),
    };
    let label = language.of_two("错误代码", "Error code");
    let code = match error {
        LinkError::Malformed(parameter) => format!("{label} {}({parameter})", error.code()),
        _ => format!("{label} {}", error.code()),
    };
    Message {
        mark: Mark::Bad,
        title: language.of_two("链接无法使用", "This link does not work"),
        account: None,
        paragraphs: &[what, &ask],
        action: None,
        back: None,
        small_print: Some(&code),
    }
    .response(StatusCode::BAD_REQUEST, setting)
}

/// The page for a click that could not be answered.
pub(crate) fn unavailable(setting: &Setting<'_>, origins: &[String]) -> Response<String> {
    let (language, vendor) = (setting.language, setting.vendor);
    let what = match language {
        Language::Chinese => format!("请稍后重试；如果仍然失败，请联系{vendor}。"),
        Language::English => format!("Try again in a while. If it still fails, tell {vendor}."),
    };
    Message {
        mark: Mark::Wait,
        title: language.of_two(
            "暂时无法打开微信授权页",
            "We can't start the authorization right now",
        ),
        account: None,
        paragraphs: &[&what],
        action: Some(Action::Post {
            text: language.of_two("重试", "Try again"),
            origins,
        }),
        back: None,
        small_print: None,
    }
    .response(StatusCode::SERVICE_UNAVAILABLE, setting)
}
