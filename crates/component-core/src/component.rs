//! The one way a token is renewed: take a lease on its row, call WeChat, keep what it gave.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use crate::credentials::Vault;
use crate::store::Store;
use crate::time::{Clock, Timestamp};
use crate::token::{ComponentAccessToken, Expiring};
use crate::wechat::Wechat;

pub mod exchange;
pub mod recovery;
pub mod release_check;
pub mod streak;

pub mod authorizer_token;
pub mod lease;
mod listing;
mod publish;
mod settle;
mod token;

/// The component: the table that keeps its tokens, WeChat that issues them, its secret, its clock.
pub struct Component {
    /// The table.
    pub store: Store,
    /// The API.
    pub wechat: Wechat,
    /// The secret.
    pub vault: Vault,
    /// The time.
    pub clock: Clock,
    in_use: Mutex<Option<InUse>>,
    /// When WeChat last gave an authorizer's token, as far as this instance knows; Unix seconds.
    renewed_at: AtomicU64,
}

/// A component token as it was read, for a while of calls.
#[derive(Clone)]
struct InUse {
    token: Expiring<ComponentAccessToken>,
    read_at: Timestamp,
}

/// How often a renewal starts over because its answer does not meet the caller's need: the
/// authorization changed under it, or the token came in doubt.
const MAX_ROUNDS: u32 = 3;

/// What became of a change to a row.
#[derive(Debug)]
pub enum Kept<R> {
    /// It was made, and this is the row now.
    Changed(R),
    /// The row is such that there was nothing to change.
    Unchanged(R),
}

impl<R> Kept<R> {
    /// The row, either way.
    pub fn row(self) -> R {
        let (Self::Changed(row) | Self::Unchanged(row)) = self;
        row
    }
}

impl Component {
    /// The component whose tokens are in `store`, renewed through `wechat` with the secret in `vault`.
    pub fn new(store: Store, wechat: Wechat, vault: Vault, clock: Clock) -> Self {
        Self {
            store,
            wechat,
            vault,
            clock,
            in_use: Mutex::new(None),
            renewed_at: AtomicU64::new(0),
        }
    }
}
