//! A row's attributes, written and read by name.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::row::{Failure, LeaseSlot, TokenSlot};
use crate::time::Timestamp;
use crate::token::{Expiring, Secret};

#[derive(Clone, Default)]
pub(super) struct Item(HashMap<String, AttributeValue>);

impl From<HashMap<String, AttributeValue>> for Item {
    fn from(attributes: HashMap<String, AttributeValue>) -> Self {
        Self(attributes)
    }
}

#[expect(clippy::implicit_hasher, reason = "the SDK's own map")]
impl From<Item> for HashMap<String, AttributeValue> {
    fn from(item: Item) -> Self {
        item.0
    }
}

impl Item {
    pub(super) fn keyed(pk: &str) -> Self {
        let mut item = Self::default();
        item.set_text("pk", pk);
        item
    }

    pub(super) fn pk(&self) -> &str {
        self.text("pk").unwrap_or_default()
    }

    pub(super) fn set_text(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), super::text(value));
    }

    pub(super) fn set_number(&mut self, name: &str, value: u64) {
        self.0
            .insert(name.to_owned(), AttributeValue::N(value.to_string()));
    }

    pub(super) fn set_time(&mut self, name: &str, value: Timestamp) {
        self.set_number(name, value.as_secs());
    }

    pub(super) fn set_list(&mut self, name: &str, values: Vec<AttributeValue>) {
        if !values.is_empty() {
            self.0.insert(name.to_owned(), AttributeValue::L(values));
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_s().ok().map(String::as_str)
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.as_n().ok()?.parse().ok()
    }

    pub(super) fn time(&self, name: &str) -> Option<Timestamp> {
        self.number(name).map(Timestamp::from_secs)
    }

    pub(super) fn list(&self, name: &str) -> &[AttributeValue] {
        self.0
            .get(name)
            .and_then(|value| value.as_l().ok())
            .map_or(&[], Vec::as_slice)
    }

    pub(super) fn secret<K>(&self, name: &str) -> Option<Secret<K>> {
        self.text(name).and_then(Secret::parse)
    }

    /// The token of the attribute `name`, and who renews it.
    pub(super) fn slot<K>(&self, name: &str) -> TokenSlot<K> {
        TokenSlot {
            token: self.expiring(name),
            token_seq: self.number("token_seq").unwrap_or_default(),
            lease: LeaseSlot {
                seq: self.number("lease_seq").unwrap_or_default(),
                until: self.time("lease_until").unwrap_or_default(),
            },
            doubted_from: self.time("doubted_from"),
            failure: self.failure(),
        }
    }

    pub(super) fn set_slot<K>(&mut self, name: &str, slot: &TokenSlot<K>) {
        if let Some(token) = &slot.token {
            self.set_text(name, token.secret.expose());
            self.set_time("expires_at", token.expires_at);
        }
        self.set_number("token_seq", slot.token_seq);
        self.set_number("lease_seq", slot.lease.seq);
        self.set_time("lease_until", slot.lease.until);
        if let Some(from) = slot.doubted_from {
            self.set_time("doubted_from", from);
        }
        if let Some(failure) = &slot.failure {
            self.set_failure(failure);
        }
    }

    fn expiring<K>(&self, name: &str) -> Option<Expiring<K>> {
        Some(Expiring {
            secret: self.secret(name)?,
            expires_at: self.time("expires_at")?,
        })
    }

    fn failure(&self) -> Option<Failure> {
        Some(Failure {
            error: self.text("failure")?.to_owned(),
            refusals: self
                .number("failure_refusals")
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or_default(),
            until: self.time("failure_until").unwrap_or_default(),
        })
    }

    fn set_failure(&mut self, failure: &Failure) {
        self.set_text("failure", &failure.error);
        self.set_number("failure_refusals", failure.refusals.into());
        self.set_time("failure_until", failure.until);
    }
}
