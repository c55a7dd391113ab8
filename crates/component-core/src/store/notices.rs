//! Rows `notice#<sha256 of the plain text>`.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::value::RawValue;

use super::item::Item;
use super::{Store, failure, key, refused_put, refused_update, text, time};
use crate::error::Error;
use crate::push::notice::{AuthorizationChange, AuthorizationNotice, Grant, OtherNotice};
use crate::time::{MAX_AHEAD, Timestamp};
use component_api::id::AuthorizerAppId;

/// A notice that is not handled yet.
#[derive(Debug)]
pub struct PendingNotice {
    /// SHA-256 of its plain text.
    pub sha256: String,
    /// What WeChat said.
    pub notice: AuthorizationNotice,
    /// How many tries have failed.
    pub failures: u64,
    /// When one call denied the authorization that no other call has denied yet.
    pub denied_once_at: Option<Timestamp>,
}

/// A notice that is not handled yet.
#[derive(Debug)]
pub enum Pending {
    /// Of an authorization.
    Authorization(PendingNotice),
    /// Of another kind.
    Other(PendingOther),
}

/// A notice of another kind, which is to be passed on.
#[derive(Debug)]
pub struct PendingOther {
    /// SHA-256 of its plain text.
    pub sha256: String,
    /// WeChat's name of the kind.
    pub info_type: Option<String>,
    /// What it says; `None` once the bus has it.
    pub content: Option<Box<RawValue>>,
    /// The authorization that it brings, if it does.
    pub registered: Option<PendingNotice>,
    /// How many tries have failed.
    pub failures: u64,
}

impl PendingOther {
    /// The account that it is about, as far as it brings an authorization, or itself.
    pub fn account(&self) -> &str {
        let registered = self.registered.as_ref();
        registered.map_or(&self.sha256, |pending| pending.notice.authorizer.as_str())
    }
}

/// How long the stream may take for a notice. After that the refresher handles it.
const STREAM_TIME: Duration = Duration::from_mins(1);

/// After this time a notice may be deleted: what it says can be fetched from WeChat again.
const LIFE: Duration = Duration::from_hours(7 * 24);

impl Store {
    /// Stores a notice until it is handled: one row, however often WeChat pushes it.
    ///
    /// # Errors
    /// [`Error::Store`]; then WeChat must push it again.
    pub async fn put_notice(
        &self,
        sha256: &str,
        notice: &AuthorizationNotice,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut item = Item::keyed(&key::notice(sha256));
        item.set_text("info_type", notice.change.info_type());
        item.set_text("authorizer_appid", notice.authorizer.as_str());
        item.set_time("create_time", notice.created_at);
        if let AuthorizationChange::Authorized(grant) | AuthorizationChange::Updated(grant) =
            &notice.change
        {
            if let Some(code) = &grant.code {
                item.set_text("authorization_code", code.expose());
            }
            if let Some(code) = &grant.pre_auth_code {
                item.set_text("pre_auth_code", code.expose());
            }
        }
        let shard = key::perishable_shard(&notice.authorizer);
        self.put_pending(item, shard, now).await
    }

    /// The same for a notice of another kind.
    ///
    /// # Errors
    /// [`Error::Store`]; then WeChat must push it again.
    pub async fn put_other_notice(
        &self,
        sha256: &str,
        notice: &OtherNotice,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut item = Item::keyed(&key::notice(sha256));
        if let Some(info_type) = &notice.info_type {
            item.set_text("info_type", info_type);
        }
        // Whatever its `info_type` says: JSON at this URL may say that of an authorization.
        item.set_number("other", 1);
        item.set_text("content", notice.json.get());
        item.set_time("create_time", notice.created_at);
        if let Some((account, code)) = &notice.registered {
            item.set_text("authorizer_appid", account.as_str());
            item.set_text("authorization_code", code.expose());
        }
        let shard = key::perishable_shard_of(sha256);
        self.put_pending(item, shard, now).await
    }

    async fn put_pending(&self, mut item: Item, shard: u64, now: Timestamp) -> Result<(), Error> {
        item.set_time("received_at", now);
        item.set_number("due_shard", shard);
        item.set_time("due_at", now + STREAM_TIME);
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
            Err(error) if refused_put(&error).is_none() => Err(failure("store a notice", error)),
            _ => Ok(()),
        }
    }

    /// The notice, if it is still to be handled.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) async fn pending_notice(&self, sha256: &str) -> Result<Option<Pending>, Error> {
        let item = self.get("read a notice", &key::notice(sha256)).await?;
        Ok(item.as_ref().and_then(|item| read(sha256, item)))
    }

    /// The bus has a notice of another kind: takes its content out of the table.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) async fn notice_is_published(&self, sha256: &str) -> Result<(), Error> {
        self.update_notice(sha256, "REMOVE content", &[]).await
    }

    /// The code of a notice of another kind is exchanged: takes it out of the table.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) async fn notice_is_exchanged(&self, sha256: &str) -> Result<(), Error> {
        self.update_notice(sha256, "REMOVE authorization_code", &[])
            .await
    }

    /// Marks a notice as handled and deletes the code it carried.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) async fn finish_notice(
        &self,
        sha256: &str,
        outcome: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.update_notice(
            sha256,
            "SET outcome = :outcome, handled_at = :at REMOVE due_shard, due_at, authorization_code, pre_auth_code, content",
            &[(":outcome", text(outcome)), (":at", time(now))],
        )
        .await
    }

    /// Postpones a notice that could not be handled.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) async fn postpone_notice(
        &self,
        sha256: &str,
        until: Timestamp,
        denied_once_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        let mut values = vec![
            (":until", time(until)),
            (":one", AttributeValue::N("1".to_owned())),
        ];
        let expression = match denied_once_at {
            Some(at) => {
                values.push((":denied", time(at)));
                "SET due_at = :until, denied_once_at = :denied ADD failures :one"
            }
            None => "SET due_at = :until ADD failures :one",
        };
        self.update_notice(sha256, expression, &values).await
    }

    async fn update_notice(
        &self,
        sha256: &str,
        expression: &str,
        values: &[(&str, AttributeValue)],
    ) -> Result<(), Error> {
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(&key::notice(sha256)))
            .update_expression(expression)
            .condition_expression("attribute_exists(due_at)");
        for (name, value) in values {
            update = update.expression_attribute_values(*name, value.clone());
        }
        match update.send().await {
            Err(error) if refused_update(&error).is_none() => {
                Err(failure("update a notice", error))
            }
            _ => Ok(()),
        }
    }
}

fn read(sha256: &str, item: &Item) -> Option<Pending> {
    item.time("due_at")?;
    let grant = || Grant {
        code: item.secret("authorization_code"),
        pre_auth_code: item.secret("pre_auth_code"),
    };
    // The version before this one believed every time that WeChat told.
    let received_at = item.time("received_at");
    let created_at = item.time("create_time")?;
    let created_at = match received_at {
        Some(received_at) if created_at > received_at + MAX_AHEAD => received_at,
        _ => created_at,
    };
    let of = |change| {
        Some(PendingNotice {
            sha256: sha256.to_owned(),
            notice: AuthorizationNotice {
                created_at,
                authorizer: AuthorizerAppId::parse(item.text("authorizer_appid")?).ok()?,
                change,
            },
            failures: item.number("failures").unwrap_or_default(),
            denied_once_at: item.time("denied_once_at"),
        })
    };
    let info_type = item.text("info_type");
    let known = info_type.filter(|_| item.number("other").is_none());
    let change = match known {
        Some("authorized") => AuthorizationChange::Authorized(grant()),
        Some("updateauthorized") => AuthorizationChange::Updated(grant()),
        Some("unauthorized") => AuthorizationChange::Unauthorized,
        _ => {
            let content = item.text("content").map(str::to_owned);
            let registered = AuthorizationChange::Authorized(grant());
            return Some(Pending::Other(PendingOther {
                sha256: sha256.to_owned(),
                info_type: info_type.map(str::to_owned),
                content: content.and_then(|content| RawValue::from_string(content).ok()),
                registered: grant().code.and_then(|_| of(registered)),
                failures: item.number("failures").unwrap_or_default(),
            }));
        }
    };
    of(change).map(Pending::Authorization)
}
