//! What is known of the accounts that messages are for.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use component_api::code::Code;
use component_api::id::AuthorizerAppId;
use component_core::error::Error;
use component_core::row::authorizer::Standing;
use component_core::store::Store;
use component_core::time::{Clock, Deadline, Timestamp};

/// The accounts whose messages were let through lately.
#[derive(Default)]
pub struct Accounts(Mutex<HashMap<AuthorizerAppId, (Timestamp, Account)>>);

/// What the table says of an account.
#[derive(Clone, Debug)]
pub(crate) enum Account {
    /// Its messages pass.
    Lets {
        /// Its own id, where it is known, as messages name it.
        user_name: Option<String>,
        /// The vendor's own name for it.
        reference: Option<String>,
    },
    /// They do not, for this reason.
    Stops(Code),
}

/// An account that lets messages pass is not looked at again for so long. One that stops them is:
/// it may authorize at any moment.
const KEPT: Duration = Duration::from_mins(5);

/// With more accounts, memory would grow.
const MAX_KEPT: usize = 2_000;

impl Accounts {
    /// What is known of an account, read from the table unless it was read lately.
    pub(crate) async fn know(
        &self,
        appid: &AuthorizerAppId,
        store: &Store,
        clock: &Clock,
        by: Deadline,
    ) -> Result<Account, Error> {
        let now = clock.now();
        if let Some((read_at, account)) = self.kept().get(appid)
            && read_at.until(now) < KEPT
        {
            return Ok(account.clone());
        }
        let read = tokio::time::timeout(by.remaining(), store.authorizer(appid));
        let row = read.await.unwrap_or(Err(Error::Busy("the table")))?;
        let account = match row.standing {
            Standing::Revoked if row.is_forgotten(now) => Account::Stops(Code::UnknownAuthorizer),
            Standing::Revoked => Account::Stops(Code::AuthorizationRevoked),
            Standing::Authorized | Standing::ReauthorizationRequired => Account::Lets {
                user_name: row.user_name.clone(),
                reference: row.reference().map(str::to_owned),
            },
        };
        let mut kept = self.kept();
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        match &account {
            Account::Lets { .. } => kept.insert(appid.clone(), (now, account.clone())),
            Account::Stops(_) => kept.remove(appid),
        };
        Ok(account)
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<AuthorizerAppId, (Timestamp, Account)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
