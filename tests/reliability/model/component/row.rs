//! The shipped row, in a form that the checker can compare; its tokens are numbers.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use component_core::row::component_token::ComponentToken;
use component_core::row::need::{Need, Turn};
use component_core::row::{Failure, Issued, Lease, LeaseSlot, TokenSlot};
use component_core::time::Timestamp;
use component_core::token::{ComponentAccessToken, Expiring, Secret};

use super::wechat::LIFE_SECS;
use crate::reliability::model::worker::LEASE;

/// The component's row as it was at some moment.
///
/// The checker ignores the generation: a write on an older row is made again on the stored one.
#[derive(Clone, Debug)]
pub(super) struct Row {
    row: Arc<ComponentToken>,
    key: u64,
}

impl Row {
    pub(super) fn new(row: ComponentToken) -> Self {
        let key = key(&row);
        Self {
            row: Arc::new(row),
            key,
        }
    }

    /// The number of the stored token.
    pub(super) fn number(&self) -> Option<u8> {
        self.slot.token.as_ref().map(number)
    }

    /// The need of a caller to whom WeChat has refused the stored token.
    pub(super) fn replacing(
        &self,
        need: Need<ComponentAccessToken>,
    ) -> Option<Need<ComponentAccessToken>> {
        let token = self.slot.token.as_ref()?;
        Some(need.replacing(token.secret.clone()))
    }

    /// Whose turn it is.
    pub(super) fn turn(
        &self,
        need: &Need<ComponentAccessToken>,
        now: Timestamp,
    ) -> Turn<ComponentAccessToken> {
        need.turn(&self.slot, now, now + LEASE)
    }
}

impl Deref for Row {
    type Target = ComponentToken;

    fn deref(&self) -> &ComponentToken {
        &self.row
    }
}

impl Hash for Row {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.key);
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.row == other.row
    }
}

/// A token as the functions read it from the answer to a call made at `asked_at`.
pub(super) fn issued(
    number: u8,
    asked_at: u64,
    after_unanswered_try: bool,
) -> Issued<ComponentAccessToken> {
    Issued {
        token: Expiring {
            secret: Secret::parse(&number.to_string()).unwrap(),
            expires_at: Timestamp::from_secs(asked_at + LIFE_SECS),
        },
        asked_at: Timestamp::from_secs(asked_at),
        after_unanswered_try,
    }
}

/// The number of a token.
pub(super) fn number(token: &Expiring<ComponentAccessToken>) -> u8 {
    token.secret.expose().parse().unwrap()
}

/// The row with this doubt and no other.
pub(super) fn with_doubt(row: &ComponentToken, doubted_from: Option<Timestamp>) -> ComponentToken {
    row.with(TokenSlot {
        doubted_from,
        ..row.slot.clone()
    })
}

/// The lease, as if no answer had come while its holder called.
pub(super) fn alone(lease: Lease, row: &ComponentToken) -> Lease {
    Lease {
        token_seq: row.slot.token_seq,
        ..lease
    }
}

/// The lease, as if no later lease had brought a token.
pub(super) fn not_overtaken(lease: Lease, row: &ComponentToken) -> Lease {
    Lease {
        seq: lease.seq.max(row.slot.token_seq),
        ..lease
    }
}

/// A hash of every field except the generation and what is only told to callers. A new field does
/// not compile until it is decided here.
fn key(row: &ComponentToken) -> u64 {
    let ComponentToken { generation, slot } = row;
    let TokenSlot {
        token,
        token_seq,
        lease: LeaseSlot { seq, until },
        doubted_from,
        failure,
    } = slot;
    let mut hasher = DefaultHasher::new();
    (*generation == 0, doubted_from, token_seq, seq, until).hash(&mut hasher);
    let token = token.as_ref();
    token
        .map(|token| (number(token), token.expires_at))
        .hash(&mut hasher);
    let failure = failure.as_ref();
    failure
        .map(
            |Failure {
                 cause: _,
                 since: _,
                 refusals,
                 until,
                 secret: _,
             }| (refusals, until),
        )
        .hash(&mut hasher);
    hasher.finish()
}
