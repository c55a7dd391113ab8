//! Rows `preauth#<sha256 of the pre-auth code>`.

use std::time::Duration;

use super::item::Item;
use super::{Store, key};
use crate::error::Error;
use crate::time::Timestamp;
use crate::token::{PreAuthCode, Secret};

/// As long as a notice may wait to be handled. The reference of a code never changes, so a late
/// read does no harm.
const LIFE: Duration = Duration::from_hours(7 * 24);

impl Store {
    /// Stores for whom a pre-auth code was fetched: WeChat's notice brings back the code alone.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn put_reference(
        &self,
        code: &Secret<PreAuthCode>,
        reference: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut item = Item::keyed(&key::preauth(code));
        item.set_text("reference", reference);
        item.set_time("ttl", now + LIFE);
        self.put("store whom a pre-auth code is for", item).await
    }

    /// The vendor's own name for the account that authorized by a pre-auth code, if the link gave
    /// one.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) async fn reference(
        &self,
        code: &Secret<PreAuthCode>,
    ) -> Result<Option<String>, Error> {
        let item = self
            .get("read whom a pre-auth code is for", &key::preauth(code))
            .await?;
        Ok(item.and_then(|item| item.text("reference").map(str::to_owned)))
    }
}
