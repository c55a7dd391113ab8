//! Rows `release#<sha256 of the code>`: what WeChat's release check waits for.

use std::time::Duration;

use component_api::id::AuthorizerAppId;

use super::item::Item;
use super::{Store, failure, key, refused_put, text};
use crate::error::Error;
use crate::time::Timestamp;
use crate::token::{AuthorizationCode, Secret};

/// A text of the release check that is to be answered by the account's own token.
pub struct PendingCheck {
    /// The code that the text has brought.
    pub code: Secret<AuthorizationCode>,
    /// The customer who wrote it.
    pub openid: String,
    /// The account of the check.
    pub account: AuthorizerAppId,
    /// When it came.
    pub received_at: Timestamp,
}

/// As long as the code lives.
const LIFE: Duration = Duration::from_hours(1);

impl Store {
    /// Stores a text of the release check until it is answered.
    ///
    /// # Errors
    /// [`Error::Store`]; then WeChat must send it again.
    pub async fn put_check(
        &self,
        code: &Secret<AuthorizationCode>,
        openid: &str,
        account: &AuthorizerAppId,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut item = Item::keyed(&key::release(&code.sha256()));
        item.set_text("authorization_code", code.expose());
        item.set_text("openid", openid);
        item.set_text("authorizer_appid", account.as_str());
        item.set_time("received_at", now);
        item.set_time("ttl", now + LIFE);
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item.into()))
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .await;
        match put {
            Err(error) if refused_put(&error).is_none() => {
                Err(failure("store a text of the release check", error))
            }
            _ => Ok(()),
        }
    }

    /// The text, if it is not answered.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn pending_check(&self, sha256: &str) -> Result<Option<PendingCheck>, Error> {
        let doing = "read a text of the release check";
        let item = self.get(doing, &key::release(sha256)).await?;
        Ok(item.as_ref().and_then(read))
    }

    /// The text is answered: deletes it, with its code.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) async fn delete_check(&self, check: &PendingCheck) -> Result<(), Error> {
        self.client
            .delete_item()
            .table_name(&self.table)
            .key("pk", text(&key::release(&check.code.sha256())))
            .send()
            .await
            .map_err(|error| failure("delete a text of the release check", error))?;
        Ok(())
    }
}

fn read(item: &Item) -> Option<PendingCheck> {
    Some(PendingCheck {
        code: item.secret("authorization_code")?,
        openid: item.text("openid")?.to_owned(),
        account: AuthorizerAppId::parse(item.text("authorizer_appid")?).ok()?,
        received_at: item.time("received_at")?,
    })
}
