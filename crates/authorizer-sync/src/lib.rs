//! notices -> authorizers, as the table's stream brings them; and once a day WeChat's own list ->
//! the table.

use component_core::component::Component;
use component_core::error::Error;
use component_core::row::authorizer::Standing;
use component_core::store::notice_key;
use component_core::time::Deadline;
use serde_json::{Value, json};

mod reconcile;

/// Brings the table in line with what WeChat says.
pub struct AuthorizerSync {
    /// The table and WeChat.
    pub component: Component,
}

impl AuthorizerSync {
    /// Handles a batch of the stream if the event has `Records`; reconciles with WeChat's list on
    /// any other object.
    ///
    /// # Errors
    /// Those of the reconciliation. If records of a batch fail, the answer names them, and the
    /// stream brings them again.
    pub async fn handle(&self, event: &Value, deadline: Deadline) -> Result<Value, Error> {
        match event.get("Records").and_then(Value::as_array) {
            Some(records) => Ok(self.settle(records, deadline).await),
            None => self.reconcile(deadline).await,
        }
    }

    /// Source: <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>
    async fn settle(&self, records: &[Value], deadline: Deadline) -> Value {
        let mut failures = Vec::new();
        for record in records {
            let text = |path| record.pointer(path).and_then(Value::as_str);
            let inserted = text("/eventName") == Some("INSERT");
            let Some(sha256) = text("/dynamodb/Keys/pk/S").and_then(notice_key) else {
                continue;
            };
            if inserted && let Err(error) = self.settle_one(sha256, deadline).await {
                error.log("handling a notice");
                failures.push(json!({ "itemIdentifier": text("/dynamodb/SequenceNumber") }));
            }
        }
        json!({ "batchItemFailures": failures })
    }

    async fn settle_one(&self, sha256: &str, deadline: Deadline) -> Result<(), Error> {
        let Some(appid) = self.component.settle_notice(sha256, deadline).await? else {
            return Ok(());
        };
        // The name is optional: WeChat refuses it for some accounts, such as those of its release
        // check.
        let row = self.component.store.authorizer(&appid).await?;
        if row.standing == Standing::Authorized
            && row.name.is_none()
            && let Err(error) = self.component.describe(&appid, deadline).await
        {
            tracing::warn!(authorizer_appid = %appid, reference = row.reference(), "no name for this authorizer: {error}");
        }
        Ok(())
    }
}
