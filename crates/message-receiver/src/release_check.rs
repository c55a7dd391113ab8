//! WeChat's release check (全网发布检测), which it plays with accounts of its own before a component
//! may serve all. No I/O.
//!
//! Source: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/operation/thirdparty/releases_instructions.html>

use component_api::id::AuthorizerAppId;
use component_core::push::PushError;
use component_core::push::message::Message;
use component_core::release_check::user_name;
use component_core::token::{AuthorizationCode, Secret};

/// What the check wants.
#[derive(Debug, PartialEq)]
pub(crate) enum Check<'a> {
    /// A passive reply with this text.
    Reply(String),
    /// That the code is exchanged, and a text sent to the customer by the account's own token.
    Code {
        /// The code.
        code: Secret<AuthorizationCode>,
        /// The customer.
        openid: &'a str,
    },
}

/// The text that is replied to.
const TEXT: &str = "TESTCOMPONENT_MSG_TYPE_TEXT";

/// What stands before a code.
const CODE: &str = "QUERY_AUTH_CODE:";

/// What the check wants, if this message is its; other messages to its accounts are not.
///
/// # Errors
/// [`PushError::Unreadable`] if the message is for another account than the one of the path.
pub(crate) fn read<'a>(
    account: &AuthorizerAppId,
    message: &'a Message,
) -> Result<Option<Check<'a>>, PushError> {
    let Some(user_name) = user_name(account) else {
        return Ok(None);
    };
    if message.to.as_deref().is_some_and(|to| to != user_name) {
        return Err(PushError::Unreadable);
    }
    let content = message.content.as_deref().unwrap_or_default();
    if message.is_event() {
        let event = message.event.as_deref().unwrap_or_default();
        return Ok(Some(Check::Reply(format!("{event}from_callback"))));
    }
    if content == TEXT {
        return Ok(Some(Check::Reply(format!("{TEXT}_callback"))));
    }
    let code = content.strip_prefix(CODE).and_then(Secret::parse);
    let openid = message.from.as_deref();
    Ok(code
        .zip(openid)
        .map(|(code, openid)| Check::Code { code, openid }))
}
