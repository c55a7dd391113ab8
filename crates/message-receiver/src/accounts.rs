//! What is known of the accounts that messages are for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use component_api::code::Code;
use component_api::id::AuthorizerAppId;
use component_core::error::Error;
use component_core::row::authorizer::Standing;
use component_core::store::Store;
use component_core::time::{Clock, Deadline, Timestamp};

use super::in_time;

/// The accounts whose messages were let through lately.
#[derive(Default)]
pub struct Accounts {
    kept: Mutex<HashMap<AuthorizerAppId, (Timestamp, Account)>>,
    /// Whether the vendor was told that mini programs show hardly any reply.
    warned: AtomicBool,
}

/// What the table says of an account.
#[derive(Clone, Debug)]
pub(crate) enum Account {
    /// Its messages pass.
    Lets {
        /// Its own id, where it is known, as messages name it.
        user_name: Option<String>,
        /// The vendor's own name for it.
        reference: Option<String>,
        /// Whether it is a mini program.
        is_mini_program: bool,
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
        let known = self.kept().get(appid).cloned();
        if let Some((read_at, account)) = &known
            && read_at.until(now) < KEPT
        {
            return Ok(account.clone());
        }
        let row = match in_time(by, store.authorizer(appid)).await {
            Ok(row) => row,
            // What was known five minutes ago is better than nothing.
            Err(error) => {
                let (_, account) = known.ok_or(error)?;
                return Ok(account);
            }
        };
        let account = match row.standing {
            Standing::Revoked if row.is_forgotten(now) => Account::Stops(Code::UnknownAuthorizer),
            Standing::Revoked => Account::Stops(Code::AuthorizationRevoked),
            Standing::Authorized | Standing::ReauthorizationRequired => Account::Lets {
                user_name: row.user_name.clone(),
                reference: row.reference().map(str::to_owned),
                is_mini_program: row.is_mini_program == Some(true),
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

    /// Whether this is the first time that the vendor is to be warned of a mini program's replies.
    pub(crate) fn are_first_warned(&self) -> bool {
        !self.warned.swap(true, Ordering::Relaxed)
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<AuthorizerAppId, (Timestamp, Account)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
