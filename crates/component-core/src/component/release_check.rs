//! A text of WeChat's release check -> a text to its customer, by the account's own token.

use std::time::Duration;

use super::Component;
use super::exchange::Bringer;
use crate::error::Error;
use crate::row::need::Need;
use crate::store::PendingCheck;
use crate::time::Deadline;
use crate::token::{AuthorizerAccessToken, Secret};

/// What follows the code in the text that the check waits for.
const SUFFIX: &str = "_from_api";

impl Component {
    /// Answers a text of the release check: exchanges its code, or finds what another caller got for
    /// it, and sends the text that WeChat waits for.
    ///
    /// # Errors
    /// Those of [`Component::exchange`] and of the sending.
    pub async fn answer_check(
        &self,
        check: &PendingCheck,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let token = self.token_of_check(check, deadline).await?;
        let content = format!("{}{SUFFIX}", check.code.expose());
        self.wechat
            .send_text(&token, &check.openid, &content, deadline)
            .await?;
        let took = check.received_at.until(self.clock.now());
        tracing::info!(authorizer_appid = %check.account, took_secs = took.as_secs(), "the release check's text is answered");
        self.store.delete_check(check).await
    }

    /// What the code gave works although the authorization was withdrawn meanwhile, so the row is
    /// asked only if nothing is known of the code.
    async fn token_of_check(
        &self,
        check: &PendingCheck,
        deadline: Deadline,
    ) -> Result<Secret<AuthorizerAccessToken>, Error> {
        let bringer = Bringer::Check {
            at: check.received_at,
        };
        let exchanged = self.exchange(&check.code, bringer, deadline).await;
        if let Some(token) = self.store.given(&check.code).await? {
            return Ok(token);
        }
        match exchanged {
            Ok(_) | Err(Error::CodeSpent) => {}
            Err(error) => return Err(error),
        }
        let need = Need::preferably(Duration::ZERO);
        let token = self
            .authorizer_token(&check.account, &need, deadline)
            .await?;
        Ok(token.secret)
    }
}
