//! Pushes: sealed as WeChat seals them, and posted up to three times until accepted.

use std::time::Duration;

use reqwest::{Client, redirect};
use serde::Serialize;

use crate::cipher::{self, AesKey};
use crate::settings::Settings;

pub(crate) mod notice;

/// How long a receiver may take to answer.
///
/// Source: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/product/alarm.html>
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How many times a push is posted.
const ATTEMPTS: usize = 3;

/// The attempts of one push, and whether it was delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PushOutcome {
    /// One to three; none when no URL is set.
    pub attempts: Vec<Attempt>,
    /// Whether the last attempt was answered with HTTP 200 and exactly `success`.
    pub delivered: bool,
}

/// One post of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// None if no answer came within five seconds.
    pub status: Option<u16>,
    /// Whether the body was the seven bytes `success` and nothing else.
    pub body_is_success: bool,
}

/// The attempts of one message, pushed to an authorizer's message URL, and the reply.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MessageOutcome {
    /// One to three; none when no URL is set.
    pub attempts: Vec<Attempt>,
    /// Whether it was answered with HTTP 200 and nothing, `success`, or a reply that opens.
    pub delivered: bool,
    /// The passive reply's XML, decrypted.
    pub reply: Option<String>,
}

/// A push ready to be posted, to any address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedPush {
    /// `signature`, `timestamp`, `nonce`, `encrypt_type=aes` and `msg_signature`.
    pub query: String,
    /// The XML envelope with `<Encrypt>`.
    pub body: String,
}

/// A line of the push log.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PushRecord {
    pub(crate) pushed_at: u64,
    /// `InfoType`, or `MsgType` of a message.
    pub(crate) kind: String,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) delivered: bool,
}

/// The addressee of an envelope, which differs between the two URLs.
pub(crate) enum Addressee<'a> {
    /// The component, at the event URL.
    AppId(&'a str),
    /// The account's 原始 ID, at the message URL.
    ToUserName { user_name: &'a str, openid: &'a str },
}

/// The random parts of one push.
pub(crate) struct Salt {
    pub(crate) timestamp: u64,
    pub(crate) nonce: String,
    pub(crate) random: [u8; 16],
}

/// Encrypts and signs under the console's key and token.
pub(crate) fn seal(
    settings: &Settings,
    key: &AesKey,
    addressee: &Addressee<'_>,
    plaintext: &[u8],
    salt: &Salt,
) -> SealedPush {
    let encrypt = key.encrypt(salt.random, plaintext, &settings.component_appid);
    let (token, nonce, timestamp) = (&settings.token, &salt.nonce, salt.timestamp.to_string());
    let signature = cipher::sign(&[token, &timestamp, nonce]);
    let msg_signature = cipher::sign(&[token, &timestamp, nonce, &encrypt]);
    let (to, openid) = match addressee {
        Addressee::AppId(appid) => (notice::cdata("AppId", appid), String::new()),
        Addressee::ToUserName { user_name, openid } => (
            notice::cdata("ToUserName", user_name),
            format!("&openid={openid}"),
        ),
    };
    let encrypt = notice::cdata("Encrypt", &encrypt);
    SealedPush {
        query: format!(
            "signature={signature}&timestamp={timestamp}&nonce={nonce}{openid}&encrypt_type=aes&msg_signature={msg_signature}"
        ),
        body: format!("<xml>\n    {to}    {encrypt}</xml>\n"),
    }
}

/// What a receiver answered.
pub(crate) struct Reply {
    status: u16,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn is_ok(&self) -> bool {
        self.status == 200
    }

    pub(crate) fn is_success(&self) -> bool {
        self.body == b"success"
    }
}

/// Posts the same request until a reply is `taken`, at most three times. Returns that reply too.
pub(crate) async fn deliver(
    client: &Client,
    url: &str,
    sealed: &SealedPush,
    taken: impl Fn(&Reply) -> bool,
) -> (Vec<Attempt>, Option<Reply>) {
    let separator = if url.contains('?') { '&' } else { '?' };
    let address = format!("{url}{separator}{}", sealed.query);
    let mut attempts = Vec::new();
    while attempts.len() < ATTEMPTS {
        let reply = post(client, &address, &sealed.body).await;
        attempts.push(Attempt {
            status: reply.as_ref().map(|reply| reply.status),
            body_is_success: reply.as_ref().is_some_and(Reply::is_success),
        });
        if let Some(reply) = reply.filter(&taken) {
            return (attempts, Some(reply));
        }
    }
    (attempts, None)
}

async fn post(client: &Client, address: &str, body: &str) -> Option<Reply> {
    let response = client
        .post(address)
        .header("content-type", "text/xml")
        .body(body.to_owned())
        .send()
        .await
        .ok()?;
    let status = response.status().as_u16();
    let body = response.bytes().await.ok()?.to_vec();
    Some(Reply { status, body })
}

/// A client with WeChat's timeout, a new connection for every post, and no redirects.
///
/// # Errors
/// If no TLS verifier can be made from the system's roots.
pub(crate) fn client() -> Result<Client, reqwest::Error> {
    // The process may have a provider already; that one serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .redirect(redirect::Policy::none())
        .timeout(ANSWER_TIMEOUT)
        .build()
}
