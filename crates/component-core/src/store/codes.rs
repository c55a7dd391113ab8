//! Rows `code#<sha256 of the code>`.

use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;

use super::item::Item;
use super::{Store, WRITTEN_BY, failure, key, nonce, refused_update, text, time};
use crate::error::Error;
use crate::time::Timestamp;
use crate::token::{AuthorizationCode, AuthorizerAccessToken, Secret};
use component_api::id::AuthorizerAppId;

/// Who may exchange an authorization code.
#[derive(Debug)]
pub(crate) enum CodeClaim {
    /// The caller, which names this claim to release it.
    Taken(String),
    /// Another caller, whose claim has not expired.
    Held,
    /// No caller: the code was exchanged before, for this authorizer.
    Exchanged(AuthorizerAppId),
}

/// A claim outlives its code, which lives an hour.
const LIFE: Duration = Duration::from_hours(24);

impl Store {
    /// Claims the right to exchange a code, until `until`.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) async fn claim_code(
        &self,
        code: &Secret<AuthorizationCode>,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<CodeClaim, Error> {
        const DOING: &str = "claim an authorization code";
        let nonce = nonce();
        let claim = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(&key::code(code)))
            .update_expression("SET lease_until = :until, written_by = :nonce, #ttl = :ttl")
            .condition_expression(
                "attribute_not_exists(authorizer_appid) AND (attribute_not_exists(lease_until) OR lease_until <= :now)",
            )
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":until", time(until))
            .expression_attribute_values(":nonce", text(&nonce))
            .expression_attribute_values(":ttl", time(now + LIFE))
            .expression_attribute_values(":now", time(now))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = claim else {
            return Ok(CodeClaim::Taken(nonce));
        };
        let current = match refused_update(&error) {
            Some(current) => current,
            None => self.get(DOING, &key::code(code)).await?.unwrap_or_default(),
        };
        if let Some(authorizer) = authorizer(&current) {
            return Ok(CodeClaim::Exchanged(authorizer));
        }
        if current.text(WRITTEN_BY) == Some(nonce.as_str()) {
            return Ok(CodeClaim::Taken(nonce));
        }
        match refused_update(&error) {
            Some(_) => Ok(CodeClaim::Held),
            None => Err(failure(DOING, error)),
        }
    }

    /// Notes for which authorizer a code was exchanged, also if another caller has claimed it
    /// since.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) async fn finish_code(
        &self,
        code: &Secret<AuthorizationCode>,
        authorizer: &AuthorizerAppId,
    ) -> Result<(), Error> {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(&key::code(code)))
            .update_expression("SET authorizer_appid = :appid")
            .expression_attribute_values(":appid", text(authorizer.as_str()))
            .send()
            .await
            .map_err(|error| failure("finish an authorization code", error))?;
        Ok(())
    }

    /// Keeps the access token that a code of the release check gave: its authorization is withdrawn
    /// within seconds, and the row loses the token before the check is answered.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) async fn keep_given(
        &self,
        code: &Secret<AuthorizationCode>,
        token: &Secret<AuthorizerAccessToken>,
    ) -> Result<(), Error> {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(&key::code(code)))
            .update_expression("SET access_token = :token")
            .expression_attribute_values(":token", text(token.expose()))
            .send()
            .await
            .map_err(|error| failure("keep what an authorization code gave", error))?;
        Ok(())
    }

    /// The access token that a code of the release check gave, if it was exchanged.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) async fn given(
        &self,
        code: &Secret<AuthorizationCode>,
    ) -> Result<Option<Secret<AuthorizerAccessToken>>, Error> {
        let item = self
            .get("read an authorization code", &key::code(code))
            .await?;
        Ok(item.and_then(|item| item.secret("access_token")))
    }

    /// For which authorizer a code was exchanged, if it was.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) async fn exchanged_code(
        &self,
        code: &Secret<AuthorizationCode>,
    ) -> Result<Option<AuthorizerAppId>, Error> {
        let item = self
            .get("read an authorization code", &key::code(code))
            .await?;
        Ok(item.as_ref().and_then(authorizer))
    }

    /// Releases the right to exchange a code, if the caller still has it.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) async fn release_code(
        &self,
        code: &Secret<AuthorizationCode>,
        claim: &str,
    ) -> Result<(), Error> {
        let release = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(&key::code(code)))
            .update_expression("REMOVE lease_until")
            .condition_expression("written_by = :nonce")
            .expression_attribute_values(":nonce", text(claim))
            .send()
            .await;
        match release {
            Err(error) if refused_update(&error).is_none() => {
                Err(failure("release an authorization code", error))
            }
            _ => Ok(()),
        }
    }
}

fn authorizer(item: &Item) -> Option<AuthorizerAppId> {
    AuthorizerAppId::parse(item.text("authorizer_appid")?).ok()
}
