//! The shipped row, in a form that the checker can compare; its tokens are numbers.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use component_api::id::AuthorizerAppId;
use component_core::row::authorizer::Authorizer;
use component_core::row::{LeaseSlot, TokenSlot};
use component_core::time::Timestamp;
use component_core::token::{AuthorizerAccessToken, AuthorizerRefreshToken, Expiring, Secret};

/// An authorizer's row as it was at some moment.
///
/// The checker ignores the generation. For a row that a worker holds, only one thing matters:
/// whether it is still the stored one. [`super::state::State`] tells that.
#[derive(Clone, Debug)]
pub(super) struct Row {
    authorizer: Arc<Authorizer>,
    key: u64,
}

/// A token of WeChat: the number of its authorization, and its number within that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Mark {
    pub(super) grant: u8,
    pub(super) number: u8,
}

/// An access token and when it expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Access {
    pub(super) mark: Mark,
    pub(super) until: u64,
}

const NUMBERS: u8 = 16;

static REFRESH: LazyLock<Vec<Secret<AuthorizerRefreshToken>>> = LazyLock::new(all);
static ACCESS: LazyLock<Vec<Secret<AuthorizerAccessToken>>> = LazyLock::new(all);

fn all<K>() -> Vec<Secret<K>> {
    (0..=u8::MAX)
        .map(|value| Secret::parse(&value.to_string()).unwrap())
        .collect()
}

impl Row {
    pub(super) fn new(authorizer: Authorizer) -> Self {
        let key = key(&authorizer);
        Self {
            authorizer: Arc::new(authorizer),
            key,
        }
    }

    pub(super) fn unknown() -> Self {
        let appid = AuthorizerAppId::parse("wxfedcba9876543210").unwrap();
        Self::new(Authorizer::unknown(appid))
    }

    pub(super) fn knows(&self, refresh: Mark) -> bool {
        self.candidates()
            .iter()
            .any(|token| Mark::of(token) == refresh)
    }

    pub(super) fn current(&self) -> Option<Mark> {
        self.refresh_token.as_ref().map(Mark::of)
    }

    pub(super) fn access(&self) -> Option<Access> {
        self.slot.token.as_ref().map(|token| Access {
            mark: Mark::of(&token.secret),
            until: token.expires_at.as_secs(),
        })
    }
}

impl Deref for Row {
    type Target = Authorizer;

    fn deref(&self) -> &Authorizer {
        &self.authorizer
    }
}

impl Hash for Row {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.key);
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.authorizer == other.authorizer
    }
}

impl Mark {
    pub(super) fn of<K>(secret: &Secret<K>) -> Self {
        let value: u8 = secret.expose().parse().unwrap();
        Self {
            grant: value / NUMBERS,
            number: value % NUMBERS,
        }
    }

    pub(super) fn refresh(self) -> Secret<AuthorizerRefreshToken> {
        REFRESH[self.index()].clone()
    }

    fn index(self) -> usize {
        assert!(self.number < NUMBERS && self.grant < u8::MAX / NUMBERS);
        usize::from(self.grant * NUMBERS + self.number)
    }
}

impl Access {
    /// The token as the functions read it from the answer to a call made at `asked_at`.
    pub(super) fn read(self, life_secs: u64, asked_at: u64) -> Expiring<AuthorizerAccessToken> {
        Expiring {
            secret: ACCESS[self.mark.index()].clone(),
            expires_at: Timestamp::from_secs(asked_at + life_secs),
        }
    }
}

/// A hash of every field except the generation and the names. A new field does not compile until it
/// is decided here.
fn key(row: &Authorizer) -> u64 {
    let Authorizer {
        appid: _,
        generation,
        standing,
        auth_epoch,
        revoked_at,
        refresh_token,
        history,
        slot,
        failures,
        due_at,
        permission_sets,
        name: _,
        user_name: _,
        is_mini_program: _,
        listed_at: _,
        reference: _,
        limited_at,
        contradicted_since,
        denied_once_at,
        denied_at,
        ttl,
        event_seq: _,
    } = row;
    let TokenSlot {
        token,
        token_seq,
        lease: LeaseSlot { seq, until },
        doubted_from,
        failure,
    } = slot;
    let mut hasher = DefaultHasher::new();
    (*generation == 0, *standing as u8, auth_epoch, revoked_at).hash(&mut hasher);
    refresh_token.as_ref().map(Mark::of).hash(&mut hasher);
    for token in history {
        Mark::of(token).hash(&mut hasher);
    }
    token
        .as_ref()
        .map(|token| (Mark::of(&token.secret), token.expires_at))
        .hash(&mut hasher);
    (history.len(), doubted_from, token_seq, seq, until).hash(&mut hasher);
    let failure = failure.as_ref().map(|failure| failure.until);
    (failures, failure, due_at, permission_sets, denied_at, ttl).hash(&mut hasher);
    (limited_at, contradicted_since, denied_once_at).hash(&mut hasher);
    hasher.finish()
}
