//! The cipher of pushes and replies: AES-256-CBC with WeChat's own framing and padding.
//!
//! Source: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/Technical_Plan.html>

use aes::Aes256;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::engine::{DecodePaddingMode, Engine};
use secrecy::zeroize::Zeroizing;

use component_api::id::ComponentAppId;

/// The decoded `EncodingAESKey`.
#[derive(Clone)]
pub struct AesKey(Zeroizing<[u8; 32]>);

/// A decrypted and well-formed frame.
pub(super) struct Plain {
    frame: Vec<u8>,
    message_end: usize,
}

/// A cipher text that is not WeChat's framing under this key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Garbled;

/// 43 characters carry 258 bits, so the last two bits mean nothing. In three of four keys they are
/// not zero, as in Tencent's sample code, and a strict decoder refuses the key.
const KEY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Random bytes before the frame's length field.
const RANDOM_BYTES: usize = 16;

/// Where the message begins: after the random bytes and a four-byte big-endian length.
const HEADER_BYTES: usize = RANDOM_BYTES + 4;

/// The block size of the padding, which is not AES's 16: a pad of up to 32 bytes is genuine.
const PAD_BLOCK: usize = 32;

impl AesKey {
    /// Decodes the 43 characters of an `EncodingAESKey`.
    pub fn parse(encoding_aes_key: &str) -> Option<Self> {
        if encoding_aes_key.len() != 43 {
            return None;
        }
        let mut key = Zeroizing::new([0; 32]);
        let bytes = Zeroizing::new(KEY_BASE64.decode(encoding_aes_key).ok()?);
        if bytes.len() != key.len() {
            return None;
        }
        key.copy_from_slice(&bytes);
        Some(Self(key))
    }

    fn iv(&self) -> [u8; 16] {
        let mut iv = [0; 16];
        for (to, from) in iv.iter_mut().zip(self.0.iter()) {
            *to = *from;
        }
        iv
    }
}

impl Plain {
    /// The message, exactly as long as the frame says.
    pub(super) fn message(&self) -> &[u8] {
        self.frame
            .get(HEADER_BYTES..self.message_end)
            .unwrap_or_default()
    }

    /// The app id after the message: the component that the push was made for.
    pub(super) fn appid(&self) -> &[u8] {
        self.frame.get(self.message_end..).unwrap_or_default()
    }
}

/// Decrypts an `Encrypt` text and takes its frame apart.
///
/// # Errors
/// [`Garbled`], the same for everything that can be wrong, so that no sender learns about the
/// padding.
pub(super) fn decrypt(key: &AesKey, encrypt: &str) -> Result<Plain, Garbled> {
    let mut frame = STANDARD.decode(encrypt).map_err(|_base64| Garbled)?;
    cbc::Decryptor::<Aes256>::new((&*key.0).into(), (&key.iv()).into())
        .decrypt_padded::<NoPadding>(&mut frame)
        .map_err(|_not_whole_blocks| Garbled)?;
    let pad = usize::from(*frame.last().ok_or(Garbled)?);
    let body_bytes = frame.len().checked_sub(pad).ok_or(Garbled)?;
    let padding = frame.get(body_bytes..).ok_or(Garbled)?;
    let consistent = padding.iter().all(|byte| usize::from(*byte) == pad);
    if !(1..=PAD_BLOCK).contains(&pad) || !consistent {
        return Err(Garbled);
    }
    frame.truncate(body_bytes);
    let length = frame
        .get(RANDOM_BYTES..HEADER_BYTES)
        .and_then(|bytes| <[u8; 4]>::try_from(bytes).ok())
        .and_then(|bytes| usize::try_from(u32::from_be_bytes(bytes)).ok())
        .ok_or(Garbled)?;
    let message_end = HEADER_BYTES.checked_add(length).ok_or(Garbled)?;
    if message_end > frame.len() {
        return Err(Garbled);
    }
    Ok(Plain { frame, message_end })
}

/// Frames and encrypts a message for, or as, the component `appid`; `random` must be new for each
/// message.
pub fn encrypt(
    key: &AesKey,
    random: &[u8; RANDOM_BYTES],
    message: &[u8],
    appid: &ComponentAppId,
) -> String {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut frame = Vec::with_capacity(HEADER_BYTES + message.len() + 18 + PAD_BLOCK);
    frame.extend_from_slice(random);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(message);
    frame.extend_from_slice(appid.as_str().as_bytes());
    let pad = PAD_BLOCK - frame.len() % PAD_BLOCK;
    frame.resize(frame.len() + pad, u8::try_from(pad).unwrap_or_default());
    let blocks = frame.len();
    let cipher = cbc::Encryptor::<Aes256>::new((&*key.0).into(), (&key.iv()).into());
    // Whole blocks in place: there is always room.
    let sealed = cipher.encrypt_padded::<NoPadding>(&mut frame, blocks);
    STANDARD.encode(sealed.unwrap_or_default())
}

#[cfg(test)]
mod tests;
