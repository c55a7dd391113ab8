//! The keys of the table's rows, and the shard of the index `due` that each one is in.

use super::State;
use crate::token::{AuthorizationCode, PreAuthCode, Secret};
use std::ops::Range;

use component_api::id::AuthorizerAppId;

/// The newest verify ticket.
pub(super) const TICKET: &str = "component#ticket";

/// The component's own access token.
pub(super) const COMPONENT_TOKEN: &str = "component#token";

const AUTHORIZER: &str = "authorizer#";
const NOTICE: &str = "notice#";
const MESSAGE: &str = "message#";
const RELEASE: &str = "release#";
const EVENT: &str = "event#";

/// The shards that authorizers are spread over.
pub const DUE_SHARDS: Range<u64> = 0..16;

/// The shards of what is perishable, which is handled first: notices, whose codes die in an hour, and
/// what the bus has not taken. Versions before this one put notices into [`DUE_SHARDS`].
pub const PERISHABLE_SHARDS: Range<u64> = 16..32;

/// The identity of a notice (SHA-256 of its plain text) in a key of the table, as a stream record
/// has it.
pub fn notice_key(pk: &str) -> Option<&str> {
    pk.strip_prefix(NOTICE)
}

/// Which event of which account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventKey {
    /// The account.
    pub account: AuthorizerAppId,
    /// The event's number: those of one account are counted.
    pub sequence: u64,
}

/// The event that a key of the table names, as a stream record has it.
pub fn event_key(pk: &str) -> Option<EventKey> {
    let (account, sequence) = pk.strip_prefix(EVENT)?.split_once('#')?;
    Some(EventKey {
        account: AuthorizerAppId::parse(account).ok()?,
        sequence: sequence.parse().ok()?,
    })
}

/// An event that the bus has not taken.
pub(super) fn event(account: &AuthorizerAppId, sequence: u64) -> String {
    format!("{EVENT}{account}#{sequence}")
}

/// The identity of a code of the release check in a key of the table, as a stream record has it.
pub fn release_key(pk: &str) -> Option<&str> {
    pk.strip_prefix(RELEASE)
}

/// A code of the release check, by its SHA-256.
pub(super) fn release(sha256: &str) -> String {
    format!("{RELEASE}{sha256}")
}

/// The identity of a message in a key of the table.
pub(super) fn message_key(pk: &str) -> Option<&str> {
    pk.strip_prefix(MESSAGE)
}

/// A message, by its identity.
pub(super) fn message(id: &str) -> String {
    format!("{MESSAGE}{id}")
}

/// The app id in the key of an authorizer's row.
pub(super) fn authorizer_key(pk: &str) -> Option<AuthorizerAppId> {
    AuthorizerAppId::parse(pk.strip_prefix(AUTHORIZER)?).ok()
}

/// An authorizer's row.
pub(super) fn authorizer(appid: &AuthorizerAppId) -> String {
    format!("{AUTHORIZER}{appid}")
}

/// The claim on an authorization code, and its outcome.
pub(super) fn code(code: &Secret<AuthorizationCode>) -> String {
    format!("code#{}", code.sha256())
}

/// A notice, by the SHA-256 of its plain text.
pub(super) fn notice(sha256: &str) -> String {
    format!("{NOTICE}{sha256}")
}

/// For whom a pre-auth code was fetched.
pub(super) fn preauth(code: &Secret<PreAuthCode>) -> String {
    format!("preauth#{}", code.sha256())
}

/// One attempt to authorize.
pub(super) fn start(state: &State) -> String {
    format!("start#{}", state.as_str())
}

/// The shard of an authorizer.
pub(super) fn shard(appid: &AuthorizerAppId) -> u64 {
    appid.number() % DUE_SHARDS.end
}

/// The shard of a notice that is about no authorizer, by its SHA-256.
pub(super) fn perishable_shard_of(sha256: &str) -> u64 {
    let digit = sha256.chars().next().and_then(|digit| digit.to_digit(16));
    PERISHABLE_SHARDS.start + u64::from(digit.unwrap_or_default())
}

/// The shard of what is perishable about an authorizer.
pub(super) fn perishable_shard(appid: &AuthorizerAppId) -> u64 {
    PERISHABLE_SHARDS.start + shard(appid)
}
