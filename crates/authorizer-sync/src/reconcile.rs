//! WeChat's list -> the table: adds and repairs, says what is absent, deletes nothing.

use std::collections::HashSet;
use std::time::Duration;

use component_api::id::AuthorizerAppId;
use component_core::component::Kept;
use component_core::component::recovery::KnownToWechat;
use component_core::error::Error;
use component_core::row::MAX_RENEWAL;
use component_core::row::authorizer::{Authorizer, Standing};
use component_core::store::{DUE_SHARDS, Due};
use component_core::time::Deadline;
use component_core::wechat::answer::ListedAuthorizer;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use crate::AuthorizerSync;

/// What one run did.
#[derive(Default)]
struct Summary {
    listed: u64,
    changed: u64,
    absent: u64,
    reauthorization_required: u64,
    failed: u64,
    /// The first failure.
    failure: Option<Error>,
    /// How many have failed since the last success.
    failed_in_a_row: u32,
}

/// Rows compared at a time.
const AT_ONCE: usize = 8;

/// After this many failures in a row the table or WeChat is down, and the run stops.
const MAX_FAILED_IN_A_ROW: u32 = 16;

/// Later than every due time.
const EVER: Duration = Duration::from_hours(100 * 365 * 24);

impl AuthorizerSync {
    /// Compares WeChat's list with the table.
    ///
    /// # Errors
    /// The error that stops the run. If none does, the first failure with one authorizer, once all
    /// are compared.
    pub(crate) async fn reconcile(&self, deadline: Deadline) -> Result<Value, Error> {
        let mut summary = Summary::default();
        let mut listed = HashSet::new();
        let mut offset = Some(0);
        while let Some(from) = offset {
            let page = self.component.list_page(from, deadline).await?;
            listed.extend(
                page.authorizers
                    .iter()
                    .map(|entry| entry.authorizer.number()),
            );
            let mut compared = stream::iter(page.authorizers)
                .map(|entry| self.compare(entry, deadline))
                .buffer_unordered(AT_ONCE);
            while let Some((appid, kept)) = compared.next().await {
                match kept {
                    Ok(kept) => summary.compared(kept),
                    Err(error) => summary.failed(&appid, error)?,
                }
            }
            offset = page.next;
        }
        self.look_for_absent(&listed, &mut summary, deadline)
            .await?;
        summary.answer()
    }

    async fn compare(
        &self,
        entry: ListedAuthorizer,
        deadline: Deadline,
    ) -> (AuthorizerAppId, Result<Kept<Authorizer>, Error>) {
        let kept = self
            .take_listed(&entry, deadline.or_after(MAX_RENEWAL))
            .await;
        (entry.authorizer, kept)
    }

    async fn take_listed(
        &self,
        entry: &ListedAuthorizer,
        deadline: Deadline,
    ) -> Result<Kept<Authorizer>, Error> {
        let component = &self.component;
        let before = component.store.authorizer(&entry.authorizer).await?;
        // The jitter spreads the renewals that one run makes due.
        let moment = component.clock.moment();
        let next =
            |row: &Authorizer| row.listed(entry.auth_time, entry.refresh_token.as_ref(), moment);
        component.change_authorizer(before, next, deadline).await
    }

    /// The list has no documented order, so an entry may move from one page to another while it is
    /// read. An authorizer is revoked only if it is absent twice and WeChat denies it when asked.
    async fn look_for_absent(
        &self,
        listed: &HashSet<u64>,
        summary: &mut Summary,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let mut absent = self.absent_from(listed).await?;
        if absent.is_empty() {
            return Ok(());
        }
        let mut offset = Some(0);
        while let Some(from) = offset {
            let page = self.component.list_page(from, deadline).await?;
            for entry in &page.authorizers {
                absent.retain(|appid| *appid != entry.authorizer);
            }
            offset = page.next;
        }
        for appid in absent {
            summary.absent += 1;
            match self.ask_for(&appid, deadline.or_after(MAX_RENEWAL)).await {
                Ok(()) => summary.failed_in_a_row = 0,
                Err(error) => summary.failed(&appid, error)?,
            }
        }
        Ok(())
    }

    async fn ask_for(&self, appid: &AuthorizerAppId, deadline: Deadline) -> Result<(), Error> {
        let component = &self.component;
        let row = component.store.authorizer(appid).await?;
        tracing::warn!(authorizer_appid = %appid, reference = row.reference(), "this authorizer is absent from WeChat's list");
        if let KnownToWechat::NotAuthorized = component.ask_wechat(appid, deadline).await? {
            component.take_denial(row, deadline).await?;
        }
        Ok(())
    }

    /// The authorizers that are authorized in the table but not in `listed`.
    async fn absent_from(&self, listed: &HashSet<u64>) -> Result<Vec<AuthorizerAppId>, Error> {
        let ever = self.component.clock.now() + EVER;
        let mut absent = Vec::new();
        for shard in 0..DUE_SHARDS {
            let mut start = None;
            loop {
                let page = self.component.store.due(shard, ever, start).await?;
                for due in page.due {
                    match due {
                        Due::Authorizer(appid) if !listed.contains(&appid.number()) => {
                            absent.push(appid);
                        }
                        Due::Authorizer(_) | Due::Notice(_) => {}
                    }
                }
                match page.next {
                    Some(next) => start = Some(next),
                    None => break,
                }
            }
        }
        Ok(absent)
    }
}

impl Summary {
    fn compared(&mut self, kept: Kept<Authorizer>) {
        self.listed += 1;
        self.failed_in_a_row = 0;
        if let Kept::Changed(row) = &kept {
            self.changed += 1;
            tracing::info!(authorizer_appid = %row.appid, reference = row.reference(), "took this authorizer over from WeChat's list");
        }
        let row = kept.row();
        if row.standing == Standing::ReauthorizationRequired {
            self.reauthorization_required += 1;
            tracing::error!(authorizer_appid = %row.appid, reference = row.reference(), "this authorizer must authorize again: WeChat lists no refresh token that works");
        }
    }

    /// A failure with one authorizer does not stop the run. A failure of the whole component does,
    /// and so do too many in a row.
    fn failed(&mut self, appid: &AuthorizerAppId, error: Error) -> Result<(), Error> {
        self.failed += 1;
        self.failed_in_a_row += 1;
        let of_component = error.is_component_wide() && !matches!(error, Error::Store { .. });
        if of_component || self.failed_in_a_row == MAX_FAILED_IN_A_ROW {
            return Err(error);
        }
        tracing::warn!(authorizer_appid = %appid, code = error.code().as_str(), "this one failed; the next run compares it again");
        error.log("comparing an authorizer with WeChat's list");
        self.failure.get_or_insert(error);
        Ok(())
    }

    /// Logs the counts; the first failure, if there is one, is the answer.
    fn answer(self) -> Result<Value, Error> {
        let Self {
            listed,
            changed,
            absent,
            reauthorization_required,
            failed,
            failure,
            failed_in_a_row: _,
        } = self;
        tracing::info!(
            listed,
            changed,
            absent,
            reauthorization_required,
            failed,
            "reconciled with WeChat's list"
        );
        if let Some(error) = failure {
            return Err(error);
        }
        Ok(json!({
            "listed": listed,
            "changed": changed,
            "absent": absent,
            "reauthorization_required": reauthorization_required,
        }))
    }
}
