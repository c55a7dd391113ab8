//! A push as it arrives, and the only way to read it.

use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};

use crate::time::Timestamp;
use component_api::id::ComponentAppId;

pub mod cipher;
pub mod signature;

mod envelope;
mod fields;
pub mod message;
pub mod notice;
pub mod reply;

use cipher::{AesKey, Plain};
use message::OpenedMessage;
use notice::Notice;

/// What seals and opens pushes: the component's id, push token and AES key, as WeChat's console
/// shows them.
#[derive(Clone)]
pub struct PushKeys {
    /// The app id that every push must be made for.
    pub component_appid: ComponentAppId,
    /// The console's Token, which `msg_signature` proves.
    pub token: SecretString,
    /// The console's `EncodingAESKey`, decoded.
    pub aes_key: AesKey,
}

/// A request to the auth-event URL or to a message URL, not yet verified.
///
/// Its fields must not be logged: only what is opened is WeChat's.
pub struct SealedPush<'a> {
    seal: signature::Seal<'a>,
    body: &'a [u8],
}

/// What a push turned out to be.
pub struct OpenedPush {
    /// What WeChat says.
    pub notice: Notice,
    /// SHA-256 of the plain text in hex: the push's identity, the same for every repetition of it.
    pub sha256: String,
}

/// Why a push is not accepted; the greater, the further it has come.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum PushError {
    /// The query is incomplete, its timestamp is off, or the signature does not match.
    #[error("the push is not signed by WeChat")]
    Unsigned,
    /// It is signed, but it is too large, not encrypted, garbled, made for another app id, or has a
    /// DOCTYPE.
    #[error("the push is signed but cannot be read")]
    Unreadable,
}

/// The largest body that is read, in bytes; WeChat's pushes are under 2 KiB.
const MAX_BODY_BYTES: usize = 64 * 1024;

impl<'a> SealedPush<'a> {
    /// Takes the query and body of a request, if the query could be WeChat's.
    ///
    /// # Errors
    /// [`PushError::Unsigned`].
    pub fn parse(query: &'a str, body: &'a [u8], now: Timestamp) -> Result<Self, PushError> {
        let seal = signature::Seal::parse(query, now).ok_or(PushError::Unsigned)?;
        Ok(Self { seal, body })
    }

    /// Checks the signature, and only then decrypts and reads the body.
    ///
    /// What WeChat has sealed for this component is never refused for what it says, except for a
    /// DOCTYPE: a refusal would gain nothing, and may make WeChat stop the tickets.
    ///
    /// # Errors
    /// [`PushError::Unsigned`] if the signature does not match, [`PushError::Unreadable`] only if
    /// it does.
    pub fn open(&self, keys: &PushKeys) -> Result<OpenedPush, PushError> {
        let plain = self.open_frame(keys)?;
        let sealed_at = self.seal.sealed_at();
        let notice = Notice::parse(plain.message(), &keys.component_appid, sealed_at)
            .map_err(|_doctype| PushError::Unreadable)?;
        let sha256 = crate::digest::sha256_hex(plain.message());
        Ok(OpenedPush { notice, sha256 })
    }

    /// The same for a push to the message URL of an authorizer.
    ///
    /// # Errors
    /// As [`SealedPush::open`].
    pub fn open_message(&self, keys: &PushKeys) -> Result<OpenedMessage, PushError> {
        let plain = self.open_frame(keys)?;
        OpenedMessage::read(plain.message()).map_err(|_doctype| PushError::Unreadable)
    }

    fn open_frame(&self, keys: &PushKeys) -> Result<Plain, PushError> {
        let encrypt = envelope::find_encrypt(self.body);
        if !self.seal.matches(keys.token.expose_secret(), encrypt) {
            return Err(PushError::Unsigned);
        }
        if self.body.len() > MAX_BODY_BYTES {
            return Err(PushError::Unreadable);
        }
        envelope::check(self.body, encrypt, &keys.component_appid).ok_or(PushError::Unreadable)?;
        let plain =
            cipher::decrypt(&keys.aes_key, encrypt).map_err(|_garbled| PushError::Unreadable)?;
        if plain.appid() != keys.component_appid.as_str().as_bytes() {
            return Err(PushError::Unreadable);
        }
        Ok(plain)
    }
}

impl PushError {
    /// The HTTP status that refuses the push.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Unsigned => StatusCode::FORBIDDEN,
            Self::Unreadable => StatusCode::BAD_REQUEST,
        }
    }
}

#[cfg(test)]
mod tests;
