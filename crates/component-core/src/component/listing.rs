//! WeChat's list, walked once for all accounts that wait for it.

use std::collections::BTreeSet;

use component_api::id::AuthorizerAppId;

use super::{Component, Kept};
use crate::error::Error;
use crate::row::authorizer::Authorizer;
use crate::time::{Deadline, MAX_CLOCK_SKEW};
use crate::wechat::answer::ListedAuthorizer;

impl Component {
    /// Walks the list until every account in `waiting` is found, or the list ends: WeChat does not
    /// tell by their info whether they are authorized, or one call has denied it. That the list does
    /// not name an account proves nothing, since a page may be odd or entries may shift: the second
    /// denial counts.
    ///
    /// For the schedules alone: no caller waits for the whole list.
    ///
    /// # Errors
    /// Those of [`Component::as_component`]. A row that cannot be written is left to the next walk.
    pub async fn ask_the_list(
        &self,
        mut waiting: BTreeSet<AuthorizerAppId>,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let mut offset = Some(0);
        while let Some(from) = offset {
            if waiting.is_empty() {
                return Ok(());
            }
            let page = self.list_page(from, deadline).await?;
            for entry in page.authorizers {
                if waiting.remove(&entry.authorizer)
                    && let Err(error) = self.take_listed(&entry, deadline).await
                {
                    error.log("keeping what WeChat's list says of an authorizer");
                }
            }
            offset = page.next;
        }
        for appid in waiting {
            tracing::warn!(authorizer_appid = %appid, "WeChat tells nothing of this authorizer, and its list does not name it");
        }
        Ok(())
    }

    /// What an entry of WeChat's list makes of its account's row.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn take_listed(
        &self,
        entry: &ListedAuthorizer,
        deadline: Deadline,
    ) -> Result<Kept<Authorizer>, Error> {
        let before = self.store.authorizer(&entry.authorizer).await?;
        // The jitter spreads what comes in one run over the refreshers' time.
        let moment = self.clock.moment();
        let auth_time = entry.auth_time.believable(moment.now);
        let refresh_token = entry.refresh_token.as_ref();
        let next = |row: &Authorizer| match row.believable(moment.now) {
            Some(known) => {
                let listed = known.listed(auth_time, refresh_token, moment);
                // The list tells since when, if nothing else.
                listed.or_else(|| known.confirm(auth_time - MAX_CLOCK_SKEW))
            }
            None => row.listed(auth_time, refresh_token, moment),
        };
        self.change_authorizer(before, next, deadline).await
    }
}
