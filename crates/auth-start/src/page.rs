//! What merchants see before they go to WeChat.

use askama::Template;
use http::{Response, StatusCode};
use merchant_pages::brand::{Brand, VendorName};
use merchant_pages::page::{Action, Form, Language, Mark, Message, Page};
use url::Url;

use crate::device::Device;
use crate::link::{Link, LinkError};
use crate::qr::Code;

/// The page that says who asks, and what will happen.
#[derive(Template)]
#[template(path = "start.html")]
struct StartPage<'a> {
    language: Language,
    title: &'a str,
    name: Option<&'a VendorName>,
    accounts: &'a str,
    device: Device,
    return_host: Option<&'a str>,
    address: Option<&'a str>,
    code: Option<Code>,
}

/// The start page of `link`, whose own address is `address`.
pub(crate) fn start(
    language: Language,
    brand: &Brand,
    link: &Link,
    device: Device,
    address: Option<&str>,
    origins: &[String],
) -> Response<String> {
    let (title, accounts) = wording(language, &link.auth_type);
    let main = StartPage {
        language,
        title,
        name: brand.name.as_ref(),
        accounts,
        device,
        return_host: link.return_to.as_ref().and_then(Url::host_str),
        address,
        code: match device {
            Device::Pc => address.and_then(Code::of),
            Device::Phone | Device::Wechat | Device::Enclosed => None,
        },
    };
    let page = Page {
        language,
        brand,
        title,
        form: match device {
            Device::Enclosed => Form::None,
            Device::Pc | Device::Phone | Device::Wechat => Form::LeadsTo(origins),
        },
    };
    page.response(StatusCode::OK, &main)
}

/// Title, and what WeChat will offer for authorization.
fn wording(language: Language, auth_type: &str) -> (&'static str, &'static str) {
    let (chinese, english) = match auth_type {
        "1" => (
            ("授权您的公众号", "公众号"),
            ("Authorize your official account", "official account"),
        ),
        "2" => (
            ("授权您的小程序", "小程序"),
            ("Authorize your mini program", "mini program"),
        ),
        "3" => (
            ("授权您的公众号或小程序", "公众号或小程序"),
            ("Authorize your account", "official account or mini program"),
        ),
        "5" => (
            ("授权您的视频号", "视频号"),
            ("Authorize your channel", "channel"),
        ),
        _ => (
            ("授权您的账号", "账号"),
            ("Authorize your account", "account on WeChat"),
        ),
    };
    (
        language.of_two(chinese.0, english.0),
        language.of_two(chinese.1, english.1),
    )
}

/// The page for a link that is refused.
pub(crate) fn refusal(language: Language, brand: &Brand, error: LinkError) -> Response<String> {
    let what = match error {
        LinkError::Malformed => {
            language.of_two("链接不完整或有误。", "The link is incomplete or wrong.")
        }
        LinkError::Unsigned => {
            language.of_two("链接的签名无效。", "The link's signature is not valid.")
        }
        LinkError::Expired => language.of_two("链接已过期。", "The link has expired."),
        LinkError::ForeignReturn => language.of_two(
            "链接的返回地址不被允许。",
            "The link's return address is not allowed.",
        ),
    };
    let ask = language.of_two(
        "请联系为您提供此链接的服务商，获取新的链接。",
        "Ask whoever gave you this link for a new one.",
    );
    Message {
        mark: Mark::Bad,
        title: language.of_two("链接无法使用", "This link does not work"),
        account: None,
        paragraphs: &[what, ask],
        action: None,
    }
    .response(StatusCode::BAD_REQUEST, language, brand)
}

/// The page for a click that could not be answered.
pub(crate) fn unavailable(
    language: Language,
    brand: &Brand,
    origins: &[String],
) -> Response<String> {
    Message {
        mark: Mark::Wait,
        title: language.of_two("暂时无法前往微信", "WeChat cannot be reached now"),
        account: None,
        paragraphs: &[language.of_two(
            "请稍后重试；如果仍然失败，请联系为您提供此链接的服务商。",
            "Try again in a while. If it still fails, tell whoever gave you this link.",
        )],
        action: Some(Action::Post {
            text: language.of_two("重试", "Try again"),
            origins,
        }),
    }
    .response(StatusCode::SERVICE_UNAVAILABLE, language, brand)
}
