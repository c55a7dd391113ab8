//! Rows `authorizer#<appid>`.

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::Item;
use super::{Expected, Store, Swap, key, outbox, text};
use crate::error::Error;
use crate::row::authorizer::{Authorizer, Reference, Standing, denied_at_of_undated};
use crate::time::Timestamp;
use crate::token::Secret;
use component_api::id::AuthorizerAppId;

/// The attribute that holds the access token.
const ACCESS_TOKEN: &str = "access_token";

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

    /// Writes `next` if the row is still in the generation of `before`. What siblings see of the
    /// change, which took place `at` some time, is written to the outbox with it.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) async fn swap_authorizer(
        &self,
        before: &Authorizer,
        next: &Authorizer,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<Swap<Authorizer>, Error> {
        let expected = match before.generation {
            0 if *before == Authorizer::unknown(before.appid.clone()) => Expected::Absent,
            0 => Expected::Imported,
            generation => Expected::Generation(generation),
        };
        let mut item = write(next);
        let event = before.change_to(next).map(|change| {
            let sequence = before.event_seq + 1;
            item.set_number("event_seq", sequence);
            outbox::write(next, sequence, change, at, now)
        });
        let swap = self.swap("write an authorizer", item, expected, event);
        Ok(swap.await?.map(|item| read(&next.appid, &item)))
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
    item.set_slot(ACCESS_TOKEN, &row.slot);
    item.set_number("failures", row.failures.into());
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
    if let Some(user_name) = &row.user_name {
        item.set_text("user_name", user_name);
    }
    if let Some(is_mini_program) = row.is_mini_program {
        item.set_number("mini_program", is_mini_program.into());
    }
    if row.event_seq > 0 {
        item.set_number("event_seq", row.event_seq);
    }
    set_moments(&mut item, row);
    if let Some(reference) = &row.reference {
        item.set_text("reference", &reference.name);
        item.set_time("reference_at", reference.at);
        if let Some(replaced_at) = reference.replaced_at {
            item.set_time("reference_replaced_at", replaced_at);
        }
    }
    item
}

fn set_moments(item: &mut Item, row: &Authorizer) {
    let moments = [
        ("listed_at", row.listed_at),
        ("limited_at", row.limited_at),
        ("contradicted_since", row.contradicted_since),
        ("denied_once_at", row.denied_once_at),
        ("denied_at", row.denied_at),
        ("ttl", row.ttl),
    ];
    for (name, moment) in moments {
        if let Some(moment) = moment {
            item.set_time(name, moment);
        }
    }
}

fn standing(item: &Item, has_refresh_token: bool) -> Standing {
    match item.text("status") {
        Some("authorized") => Standing::Authorized,
        Some("reauthorization_required") => Standing::ReauthorizationRequired,
        // An import by hand that brings a refresh token and nothing else.
        None if has_refresh_token => Standing::Authorized,
        _ => Standing::Revoked,
    }
}

fn read(appid: &AuthorizerAppId, item: &Item) -> Authorizer {
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
    let refresh_token = item.secret("refresh_token");
    let standing = standing(item, refresh_token.is_some());
    let auth_epoch = item.time("auth_epoch").unwrap_or_default();
    let revoked_at = item.time("revoked_at").unwrap_or_default();
    let ttl = item.time("ttl");
    // A tombstone of an earlier version has no `denied_at`. One made by a notice is younger than
    // the epoch, one made by a denial is not.
    let undated = standing == Standing::Revoked && revoked_at <= auth_epoch;
    let denied_at = || ttl.filter(|_| undated).map(denied_at_of_undated);
    Authorizer {
        appid: appid.clone(),
        generation: item.number("generation").unwrap_or_default(),
        standing,
        auth_epoch,
        revoked_at,
        refresh_token,
        history: secrets("refresh_history"),
        slot: item.slot(ACCESS_TOKEN),
        failures: item
            .number("failures")
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or_default(),
        due_at: item.time("due_at"),
        permission_sets: numbers("permission_sets"),
        name: item.text("name").map(str::to_owned),
        listed_at: item.time("listed_at"),
        user_name: item.text("user_name").map(str::to_owned),
        is_mini_program: item.number("mini_program").map(|number| number == 1),
        reference: item.text("reference").map(|name| Reference {
            name: name.to_owned(),
            at: item.time("reference_at").unwrap_or_default(),
            replaced_at: item.time("reference_replaced_at"),
        }),
        limited_at: item.time("limited_at"),
        contradicted_since: item.time("contradicted_since"),
        denied_once_at: item.time("denied_once_at"),
        denied_at: item.time("denied_at").or_else(denied_at),
        ttl,
        event_seq: item.number("event_seq").unwrap_or_default(),
    }
}
