//! The vendor's function that may reply to a message.

use std::future::Future;
use std::pin::Pin;

use component_api::id::AuthorizerAppId;
use component_core::push::message::Message;
use component_core::push::reply::{self, Addresses};
use component_core::time::{Deadline, Timestamp};

/// A function of the vendor: it gets the `detail` of a message's event, and answers a reply.
pub trait ReplyFunction: Send + Sync {
    /// Asks it once; the answer is JSON.
    fn ask<'a>(
        &'a self,
        detail: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, AskError>> + Send + 'a>>;
}

/// Why the function has not answered.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It could not be called, or was throttled.
    #[error("it could not be called")]
    Uncalled(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It was called, and failed.
    #[error("it has failed: {0}")]
    Failed(String),
}

/// What the function is asked about.
pub struct Asked<'a> {
    /// The account.
    pub account: &'a AuthorizerAppId,
    /// The message.
    pub message: &'a Message,
    /// The `detail` of its event.
    pub detail: &'a str,
}

/// The function's reply as XML; `None` if it has none, or none in time.
pub(crate) async fn ask(
    function: &dyn ReplyFunction,
    asked: &Asked<'_>,
    now: Timestamp,
    deadline: Deadline,
) -> Option<String> {
    let answer = tokio::time::timeout(deadline.remaining(), function.ask(asked.detail)).await;
    let answer = match answer {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return without(asked, &chain(&error)),
        Err(_late) => return without(asked, "it has not answered in time"),
    };
    let addresses = Addresses {
        to: asked.message.from.as_deref().unwrap_or_default(),
        from: asked.message.to.as_deref().unwrap_or_default(),
        at: now,
    };
    match reply::xml(&answer, addresses) {
        Ok(reply) => reply,
        Err(no_reply) => without(asked, &no_reply.to_string()),
    }
}

fn without(asked: &Asked<'_>, why: &str) -> Option<String> {
    tracing::warn!(authorizer_appid = %asked.account, "no reply of the reply function: {why}");
    None
}

fn chain(error: &AskError) -> String {
    let mut chain = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        chain.push_str(": ");
        chain.push_str(&cause.to_string());
        source = cause.source();
    }
    chain
}
