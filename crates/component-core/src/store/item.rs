//! A row's attributes, written and read by name.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use component_api::code::Code;

use crate::row::{Cause, Failure, LeaseSlot, SecretVersion, TokenSlot};
use crate::time::Timestamp;
use crate::token::{Expiring, Secret};
use crate::wechat::refusal::{Endpoint, Refused};

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

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
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

    /// The token of the attribute `name`, with the lease on its renewal.
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

    /// Earlier versions wrote the code, followed by a sentence, and nothing else of the cause.
    fn failure(&self) -> Option<Failure> {
        let written = self.text("failure")?;
        let until = self.time("failure_until").unwrap_or_default();
        let refusals = self.number("failure_refusals");
        Some(Failure {
            cause: self.cause(written),
            since: self.time("failure_since").unwrap_or(until),
            refusals: refusals
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or_default(),
            until,
            secret: self
                .text("failure_secret_version")
                .map(SecretVersion::named),
        })
    }

    fn cause(&self, written: &str) -> Cause {
        let endpoint = self.text("failure_endpoint").and_then(Endpoint::parse);
        let errcode = self.text("failure_errcode").and_then(|n| n.parse().ok());
        match (endpoint, errcode) {
            (Some(endpoint), Some(errcode)) => Cause::Refused(Refused {
                endpoint,
                errcode,
                rid: self.text("failure_rid").map(str::to_owned),
                seen_from: self.text("failure_seen_from").map(str::to_owned),
            }),
            (Some(endpoint), None) => Cause::Unanswered(endpoint),
            (None, _) => {
                let written = written.strip_prefix("component-wide ").unwrap_or(written);
                let code = written.split_once(": ").map_or(written, |(code, _)| code);
                Cause::Other(Code::parse(code).unwrap_or(Code::WechatUnavailable))
            }
        }
    }

    fn set_failure(&mut self, failure: &Failure) {
        // The version before this one reads the code alone.
        self.set_text("failure", failure.cause.code().as_str());
        self.set_time("failure_since", failure.since);
        self.set_number("failure_refusals", failure.refusals.into());
        self.set_time("failure_until", failure.until);
        if let Some(version) = &failure.secret {
            self.set_text("failure_secret_version", version.as_str());
        }
        match &failure.cause {
            Cause::Refused(refused) => {
                self.set_text("failure_endpoint", refused.endpoint.as_str());
                // A text: an errcode may be negative.
                self.set_text("failure_errcode", &refused.errcode.to_string());
                let facts = [
                    ("failure_rid", &refused.rid),
                    ("failure_seen_from", &refused.seen_from),
                ];
                for (name, fact) in facts {
                    if let Some(fact) = fact {
                        self.set_text(name, fact);
                    }
                }
            }
            Cause::Unanswered(endpoint) => self.set_text("failure_endpoint", endpoint.as_str()),
            Cause::Other(_) => {}
        }
    }
}
