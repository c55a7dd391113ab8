//! The row `component#token`.

use super::item::Item;
use super::key::COMPONENT_TOKEN;
use super::{Expected, Store, Swap};
use crate::error::Error;
use crate::row::component_token::ComponentToken;

/// The attribute that holds the token.
const ACCESS_TOKEN: &str = "access_token";

impl Store {
    /// The component token's row; the default if there is none.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) async fn component_token(&self) -> Result<ComponentToken, Error> {
        let item = self
            .get("read the component token", COMPONENT_TOKEN)
            .await?;
        Ok(item.as_ref().map(read).unwrap_or_default())
    }

    /// Writes `next` if the row is still in the generation of `before`.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) async fn swap_component_token(
        &self,
        before: &ComponentToken,
        next: &ComponentToken,
    ) -> Result<Swap<ComponentToken>, Error> {
        let mut item = Item::keyed(COMPONENT_TOKEN);
        item.set_slot(ACCESS_TOKEN, &next.slot);
        let expected = match before.generation {
            0 if *before == ComponentToken::default() => Expected::Absent,
            0 => Expected::Imported,
            generation => Expected::Generation(generation),
        };
        let swap = self.swap("write the component token", item, expected, None);
        Ok(swap.await?.map(|item| read(&item)))
    }
}

fn read(item: &Item) -> ComponentToken {
    ComponentToken {
        generation: item.number("generation").unwrap_or_default(),
        slot: item.slot(ACCESS_TOKEN),
    }
}
