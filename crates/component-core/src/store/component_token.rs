//! The row `component#token`.

use super::item::Item;
use super::key::COMPONENT_TOKEN;
use super::{Store, Swap};
use crate::error::Error;
use crate::row::LeaseSlot;
use crate::row::component_token::ComponentToken;

impl Store {
    /// The component token's row; the default if there is none.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn component(&self) -> Result<ComponentToken, Error> {
        let item = self
            .get("read the component token", COMPONENT_TOKEN)
            .await?;
        Ok(item.as_ref().map(read).unwrap_or_default())
    }

    /// Writes the component token's row, if it still is in the generation that `row` was made from.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn swap_component(
        &self,
        row: &ComponentToken,
    ) -> Result<Swap<ComponentToken>, Error> {
        let swap = self
            .swap("write the component token", write(row), row.generation)
            .await?;
        Ok(swap.map(|item| read(&item)))
    }
}

fn write(row: &ComponentToken) -> Item {
    let mut item = Item::keyed(COMPONENT_TOKEN);
    if let Some(token) = &row.access_token {
        item.set_expiring("access_token", token);
    }
    if let Some(from) = row.doubted_from {
        item.set_time("doubted_from", from);
    }
    item.set_number("token_seq", row.token_seq);
    item.set_number("lease_seq", row.lease.seq);
    item.set_time("lease_until", row.lease.until);
    if let Some(failure) = &row.failure {
        item.set_failure(failure);
    }
    item
}

fn read(item: &Item) -> ComponentToken {
    ComponentToken {
        generation: item.number("generation").unwrap_or_default(),
        access_token: item.expiring("access_token"),
        doubted_from: item.time("doubted_from"),
        token_seq: item.number("token_seq").unwrap_or_default(),
        lease: LeaseSlot {
            seq: item.number("lease_seq").unwrap_or_default(),
            until: item.time("lease_until").unwrap_or_default(),
        },
        failure: item.failure(),
    }
}
