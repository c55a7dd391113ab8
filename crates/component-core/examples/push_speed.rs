//! How long it takes to open a push of about 500 bytes, beside the bare primitives on the same bytes:
//!
//! ```text
//! cargo run --release -p component-core --example push_speed
//! ```

use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use aes::Aes256;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeDecrypt, KeyIvInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use component_api::id::ComponentAppId;
use component_core::push::cipher::{self, AesKey};
use component_core::push::{PushKeys, SealedPush, signature};
use component_core::time::Timestamp;
use secrecy::SecretString;
use sha1::{Digest, Sha1};

const KEY: &str = "Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3B";
const TOKEN: &str = "exampleToken1";
const TIMESTAMP: &str = "1700000001";
const ROUNDS: u32 = 20_000;
const SAMPLES: usize = 15;

const TICKET: &str = "<xml><AppId><![CDATA[wx0123456789abcdef]]></AppId><CreateTime>1700000000</CreateTime><InfoType><![CDATA[component_verify_ticket]]></InfoType><ComponentVerifyTicket><![CDATA[ticket@@@YRgw02QaaPlKaQ3MJdH0sNrJSDJawY9t0yVkNxc18yxUdD3F4k0qQTsVlYTBIm327M_EyqjNe2PHy1b_Zs1gtQ]]></ComponentVerifyTicket></xml>";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let keys = PushKeys {
        component_appid: ComponentAppId::parse("wx0123456789abcdef")?,
        token: SecretString::from(TOKEN),
        aes_key: AesKey::parse(KEY).ok_or("a key")?,
    };
    let content = "你好，请问这件外套还有 L 码吗？".repeat(5) + "谢谢！";
    let message = format!(
        "<xml><ToUserName><![CDATA[gh_0123456789ab]]></ToUserName><FromUserName><![CDATA[oEXAMPLE_openid_000000000001]]></FromUserName><CreateTime>1700000300</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{content}]]></Content><MsgId>23456789012345678</MsgId></xml>"
    );
    let mut out = std::io::stdout();
    for (name, plain) in [("a ticket", TICKET), ("a message", &message)] {
        let encrypt = cipher::encrypt(
            &keys.aes_key,
            &[7; 16],
            plain.as_bytes(),
            &keys.component_appid,
        );
        let signature = signature::sign(TOKEN, TIMESTAMP, "1", &encrypt);
        let signature = String::from_utf8(signature.to_vec())?;
        let query = format!(
            "signature=0&timestamp={TIMESTAMP}&nonce=1&encrypt_type=aes&msg_signature={signature}"
        );
        let body = format!("<xml><Encrypt><![CDATA[{encrypt}]]></Encrypt></xml>");
        let now = Timestamp::from_secs(1_700_000_001);
        let bare = fastest(|| drop(black_box(primitives(black_box(&encrypt)))));
        let opened = fastest(|| {
            let sealed = SealedPush::parse(&query, black_box(body.as_bytes()), now);
            let Ok(sealed) = sealed else { return };
            if name == "a ticket" {
                drop(black_box(sealed.open(&keys)));
            } else {
                drop(black_box(sealed.open_message(&keys)));
            }
        });
        writeln!(
            out,
            "{name} of {} bytes: {opened:.2?}, {:.2} times its primitives ({bare:.2?})",
            plain.len(),
            opened.as_secs_f64() / bare.as_secs_f64()
        )?;
    }
    Ok(())
}

/// SHA-1, base64 and AES-256-CBC over a sealed text, without any check.
fn primitives(encrypt: &str) -> Option<Vec<u8>> {
    let mut sha1 = Sha1::new();
    for part in [TIMESTAMP, "1", encrypt, TOKEN] {
        sha1.update(part);
    }
    black_box(sha1.finalize());
    let mut frame = STANDARD.decode(encrypt).ok()?;
    let key = [7_u8; 32];
    let iv = [7_u8; 16];
    cbc::Decryptor::<Aes256>::new((&key).into(), (&iv).into())
        .decrypt_padded::<NoPadding>(&mut frame)
        .ok()?;
    Some(frame)
}

/// The time of one run, in the fastest of several samples.
#[expect(
    clippy::disallowed_methods,
    reason = "a measurement reads the machine's clock"
)]
fn fastest(mut run: impl FnMut()) -> Duration {
    let samples = (0..SAMPLES).map(|_| {
        let began = Instant::now();
        for _round in 0..ROUNDS {
            run();
        }
        began.elapsed() / ROUNDS
    });
    samples.min().unwrap_or_default()
}
