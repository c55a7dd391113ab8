//! Seals and opens what travels in `<Encrypt>`: AES-256-CBC, padding to 32 bytes, SHA-1 signatures.
//!
//! Source: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/Technical_Plan.html>

use data_encoding::{BASE64, BASE64_NOPAD, Encoding};
use libaes::Cipher;
use sha1_smol::Sha1;

use crate::mint::Mint;

/// Padding fills to a multiple of this many bytes, although AES blocks have 16.
const PAD_BLOCK: usize = 32;
/// Random bytes before the length.
const RANDOM_LEN: usize = 16;
/// Random bytes and the big-endian length of the message.
const HEAD_LEN: usize = RANDOM_LEN + 4;

/// Why an `EncodingAESKey` or a sealed text cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CipherError {
    /// Not 43 characters of base64 for 32 bytes.
    Key,
    /// Not base64, or not whole blocks.
    Encoding,
    /// The padding, the length or the text does not fit: most often the wrong key.
    Content,
    /// Made for another component.
    AppId,
}

/// The key behind a console's `EncodingAESKey`.
#[derive(Clone)]
pub(crate) struct AesKey([u8; 32]);

impl AesKey {
    /// Parses 43 characters. The last may carry two extra bits, as in Tencent's own samples.
    pub(crate) fn parse(encoding_aes_key: &str) -> Result<Self, CipherError> {
        let bytes = lenient_base64()?
            .decode(encoding_aes_key.as_bytes())
            .map_err(|_| CipherError::Key)?;
        bytes.try_into().map(Self).map_err(|_| CipherError::Key)
    }

    /// A key that no receiver has.
    pub(crate) fn random(mint: &mut Mint) -> Self {
        let (first, second) = (mint.sealing_bytes(), mint.sealing_bytes());
        let mut key = [0; 32];
        key.iter_mut()
            .zip(first.into_iter().chain(second))
            .for_each(|(byte, random)| *byte = random);
        Self(key)
    }

    /// Encrypts `message` for `appid` behind 16 `random` bytes.
    pub(crate) fn encrypt(&self, random: [u8; RANDOM_LEN], message: &[u8], appid: &str) -> String {
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
        let mut full = Vec::with_capacity(HEAD_LEN + message.len() + appid.len() + PAD_BLOCK);
        full.extend_from_slice(&random);
        full.extend_from_slice(&length.to_be_bytes());
        full.extend_from_slice(message);
        full.extend_from_slice(appid.as_bytes());
        let pad = PAD_BLOCK - full.len() % PAD_BLOCK;
        full.resize(full.len() + pad, u8::try_from(pad).unwrap_or_default());
        BASE64.encode(&self.cipher().cbc_encrypt(self.iv(), &full))
    }

    /// Decrypts a text that was sealed for `appid`.
    pub(crate) fn decrypt(&self, encrypted: &str, appid: &str) -> Result<String, CipherError> {
        let message = self.decrypt_bytes(encrypted, appid)?;
        String::from_utf8(message).map_err(|_| CipherError::Content)
    }

    /// Decrypts what was sealed for `appid`, text or not.
    pub(crate) fn decrypt_bytes(
        &self,
        encrypted: &str,
        appid: &str,
    ) -> Result<Vec<u8>, CipherError> {
        let sealed = BASE64
            .decode(encrypted.as_bytes())
            .map_err(|_| CipherError::Encoding)?;
        if sealed.is_empty() || sealed.len() % 16 != 0 {
            return Err(CipherError::Encoding);
        }
        let padded = self.cipher().cbc_decrypt(self.iv(), &sealed);
        let full = strip_padding(&padded).ok_or(CipherError::Content)?;
        let (message, made_for) = split_message(full).ok_or(CipherError::Content)?;
        if made_for != appid.as_bytes() {
            return Err(CipherError::AppId);
        }
        Ok(message.to_vec())
    }

    fn cipher(&self) -> Cipher {
        let mut cipher = Cipher::new_256(&self.0);
        cipher.set_auto_padding(false);
        cipher
    }

    fn iv(&self) -> &[u8] {
        self.0.split_at(16).0
    }
}

/// Hex SHA-1 over the sorted parts.
///
/// `signature` is that of token, timestamp and nonce; `msg_signature` adds the sealed text.
pub(crate) fn sign(parts: &[&str]) -> String {
    let mut sorted = parts.to_vec();
    sorted.sort_unstable();
    Sha1::from(sorted.concat()).digest().to_string()
}

fn lenient_base64() -> Result<Encoding, CipherError> {
    let mut spec = BASE64_NOPAD.specification();
    spec.check_trailing_bits = false;
    spec.encoding().map_err(|_| CipherError::Key)
}

fn strip_padding(padded: &[u8]) -> Option<&[u8]> {
    let pad = usize::from(*padded.last()?);
    if !(1..=PAD_BLOCK).contains(&pad) || pad > padded.len() {
        return None;
    }
    let (full, padding) = padded.split_at(padded.len() - pad);
    padding
        .iter()
        .all(|&byte| usize::from(byte) == pad)
        .then_some(full)
}

fn split_message(full: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = full.split_at_checked(HEAD_LEN)?;
    let length = u32::from_be_bytes(head.get(RANDOM_LEN..)?.try_into().ok()?);
    rest.split_at_checked(usize::try_from(length).ok()?)
}

#[cfg(test)]
mod tests;
