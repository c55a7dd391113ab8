//! A reply function at an address: it gets the contract's JSON by POST, and answers it.

use std::pin::Pin;
use std::sync::Arc;

use message_receiver::{AskError, ReplyFunction};
use url::Url;

/// A handler that a vendor tries without AWS.
pub struct ReplyUrl {
    /// The way to it.
    pub http: reqwest::Client,
    /// Its address.
    pub url: Url,
}

/// One reply function for several instances of the receiver.
#[derive(Clone)]
pub struct SharedReplies(pub Arc<dyn ReplyFunction>);

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, AskError>> + Send + 'a>>;

impl ReplyUrl {
    async fn post(&self, detail: &str) -> Result<Vec<u8>, AskError> {
        let json = "application/json";
        let call = self.http.post(self.url.clone());
        let call = call.header(http::header::CONTENT_TYPE, json);
        let answer = call.body(detail.to_owned()).send().await;
        let answer = answer.map_err(|error| AskError::Uncalled(error.into()))?;
        if !answer.status().is_success() {
            return Err(AskError::Failed(format!("status {}", answer.status())));
        }
        let body = answer.bytes().await;
        let body = body.map_err(|error| AskError::Uncalled(error.into()))?;
        Ok(body.to_vec())
    }
}

impl ReplyFunction for ReplyUrl {
    fn ask<'a>(&'a self, detail: &'a str) -> Answer<'a> {
        Box::pin(self.post(detail))
    }
}

impl ReplyFunction for SharedReplies {
    fn ask<'a>(&'a self, detail: &'a str) -> Answer<'a> {
        self.0.ask(detail)
    }
}
