//! Rows `authorizer#<appid>`.

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::Item;
use super::{Store, Swap, key, text};
use crate::error::Error;
use crate::id::AuthorizerAppId;
use crate::row::LeaseSlot;
use crate::row::authorizer::{Authorizer, Standing};
use crate::token::Secret;

impl Store {
    /// The row of an authorizer; [`Authorizer::unknown`] if there is none.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn authorizer(&self, appid: &AuthorizerAppId) -> Result<Authorizer, Error> {
        let item = self
            .get("read an authorizer", &key::authorizer(appid))
            .await?;
        Ok(read(appid, &item.unwrap_or_default()))
    }

    /// Writes an authorizer's row, if it still is in the generation that `row` was made from.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn swap_authorizer(&self, row: &Authorizer) -> Result<Swap<Authorizer>, Error> {
        let swap = self
            .swap("write an authorizer", write(row), row.generation)
            .await?;
        Ok(swap.map(|item| read(&row.appid, &item)))
    }
}

fn write(row: &Authorizer) -> Item {
    let mut item = Item::keyed(&key::authorizer(&row.appid));
    let status = match row.standing {
        Standing::Authorized => "authorized",
        Standing::Revoked => "revoked",
        Standing::ReauthorizationRequired => "reauthorization_required",
    };
    item.set_text("status", status);
    item.set_time("auth_epoch", row.auth_epoch);
    item.set_time("revoked_at", row.revoked_at);
    if let Some(token) = &row.refresh_token {
        item.set_text("refresh_token", token.expose());
    }
    let history = row.history.iter().map(|token| text(token.expose()));
    item.set_list("refresh_history", history.collect());
    if let Some(token) = &row.access_token {
        item.set_expiring("access_token", token);
    }
    if let Some(from) = row.doubted_from {
        item.set_time("doubted_from", from);
    }
    item.set_number("token_seq", row.token_seq);
    item.set_number("lease_seq", row.lease.seq);
    item.set_time("lease_until", row.lease.until);
    item.set_number("failures", row.failures.into());
    if let Some(failure) = &row.failure {
        item.set_failure(failure);
    }
    if let Some(due_at) = row.due_at {
        item.set_number("due_shard", key::shard(&row.appid));
        item.set_time("due_at", due_at);
    }
    let sets = row.permission_sets.iter();
    item.set_list(
        "permission_sets",
        sets.map(|id| AttributeValue::N(id.to_string())).collect(),
    );
    if let Some(name) = &row.name {
        item.set_text("name", name);
    }
    if let Some(reference) = &row.reference {
        item.set_text("reference", reference);
        item.set_time("reference_at", row.reference_at);
    }
    if let Some(ttl) = row.ttl {
        item.set_time("ttl", ttl);
    }
    item
}

fn read(appid: &AuthorizerAppId, item: &Item) -> Authorizer {
    let Some(generation) = item.number("generation") else {
        return Authorizer::unknown(appid.clone());
    };
    let secrets = |name| {
        item.list(name)
            .iter()
            .filter_map(|value| Secret::parse(value.as_s().ok()?))
            .collect()
    };
    let numbers = |name| {
        item.list(name)
            .iter()
            .filter_map(|value| value.as_n().ok()?.parse().ok())
            .collect()
    };
    Authorizer {
        appid: appid.clone(),
        generation,
        standing: match item.text("status") {
            Some("authorized") => Standing::Authorized,
            Some("reauthorization_required") => Standing::ReauthorizationRequired,
            _ => Standing::Revoked,
        },
        auth_epoch: item.time("auth_epoch").unwrap_or_default(),
        revoked_at: item.time("revoked_at").unwrap_or_default(),
        refresh_token: item.secret("refresh_token"),
        history: secrets("refresh_history"),
        access_token: item.expiring("access_token"),
        doubted_from: item.time("doubted_from"),
        token_seq: item.number("token_seq").unwrap_or_default(),
        lease: LeaseSlot {
            seq: item.number("lease_seq").unwrap_or_default(),
            until: item.time("lease_until").unwrap_or_default(),
        },
        failures: item
            .number("failures")
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or_default(),
        failure: item.failure(),
        due_at: item.time("due_at"),
        permission_sets: numbers("permission_sets"),
        name: item.text("name").map(str::to_owned),
        reference: item.text("reference").map(str::to_owned),
        reference_at: item.time("reference_at").unwrap_or_default(),
        ttl: item.time("ttl"),
    }
}
