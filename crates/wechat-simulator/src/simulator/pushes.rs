//! What the simulator pushes, by schedule or on order: tickets, notices, messages.

use super::{SimError, Simulator};
use crate::cipher;
use crate::push::notice::{self, Notice, element};
use crate::push::{
    Addressee, MessageOutcome, PushOutcome, PushRecord, Reply, Salt, SealedPush, deliver, seal,
};
use crate::state::State;

/// How often WeChat pushes a ticket, in seconds.
///
/// Source: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/component_verify_ticket.html>
const TICKET_PUSH_INTERVAL_SECS: u64 = 600;

impl Simulator {
    /// Pushes the ticket. Every second push carries a new one.
    pub async fn push_ticket(&self) -> PushOutcome {
        let xml = self.ticket_unpushed();
        self.push_xml(&xml).await
    }

    /// The XML of the next ticket push, for a caller that delivers it itself.
    pub fn ticket_unpushed(&self) -> String {
        let now = self.clock().now();
        let state = &mut *self.state();
        let ticket = state.component.next_ticket(now, &mut state.mint);
        Notice::ComponentVerifyTicket { ticket }.to_xml(&state.settings.component_appid, now)
    }

    /// Pushes a ticket now and every ten minutes of the clock, without end.
    ///
    /// While the push service is off, no ticket is pushed.
    pub async fn run_ticket_pushes(&self) {
        loop {
            if self.state().ticket_pushes {
                self.push_ticket().await;
            }
            let next = self.clock().now() + TICKET_PUSH_INTERVAL_SECS;
            self.clock().sleep_until(next).await;
        }
    }

    /// Seals a plain text for the event URL as WeChat would.
    pub fn seal(&self, plaintext: &str, timestamp: u64, nonce: &str) -> SealedPush {
        self.seal_bytes(plaintext.as_bytes(), timestamp, nonce)
    }

    /// Seals any bytes for the event URL, which need not be text.
    pub fn seal_bytes(&self, plaintext: &[u8], timestamp: u64, nonce: &str) -> SealedPush {
        let mut state = self.state();
        let salt = Salt {
            timestamp,
            nonce: nonce.to_owned(),
            random: state.mint.sealing_bytes(),
        };
        let key = state.key();
        let addressee = Addressee::AppId(&state.settings.component_appid);
        seal(&state.settings, &key, &addressee, plaintext, &salt)
    }

    /// Pushes any text to the event URL: XML of any shape, or none.
    pub async fn push_xml(&self, plaintext: &str) -> PushOutcome {
        self.push_bytes(plaintext.as_bytes()).await
    }

    /// Pushes any bytes to the event URL, which need not be text.
    pub async fn push_bytes(&self, plaintext: &[u8]) -> PushOutcome {
        let now = self.clock().now();
        let nonce = self.state().mint.nonce();
        let sealed = self.seal_bytes(plaintext, now, &nonce);
        let url = self.state().events_url.clone();
        let Some((url, client)) = url.and_then(|url| Some((url, self.client()?))) else {
            return PushOutcome::default();
        };
        let taken = |reply: &Reply| reply.is_ok() && reply.is_success();
        let (attempts, reply) = deliver(client, &url, &sealed, taken).await;
        let delivered = reply.is_some();
        let text = String::from_utf8_lossy(plaintext);
        let kind = element(&text, "InfoType").or_else(|| element(&text, "Event"));
        self.log(PushRecord {
            pushed_at: now,
            kind: kind.unwrap_or("unknown").to_owned(),
            attempts: attempts.clone(),
            delivered,
        });
        PushOutcome {
            attempts,
            delivered,
        }
    }

    /// Pushes an account's message to the message URL and opens the reply.
    ///
    /// The envelope's `openid` is the plain XML's `FromUserName`.
    ///
    /// # Errors
    /// [`SimError::UnknownAccount`].
    pub async fn push_message(
        &self,
        authorizer_appid: &str,
        plaintext: &str,
    ) -> Result<MessageOutcome, SimError> {
        let now = self.clock().now();
        let (url, sealed) = {
            let state = &mut *self.state();
            let sealed = seal_message(state, authorizer_appid, plaintext, now)?;
            (state.messages_url.clone(), sealed)
        };
        let (Some(url), Some(client)) = (url, self.client()) else {
            return Ok(MessageOutcome::default());
        };
        let url = url.replace("$APPID$", authorizer_appid);
        let taken = |reply: &Reply| {
            let plain = reply.body.is_empty() || reply.is_success();
            reply.is_ok() && (plain || self.open(&reply.body).is_some())
        };
        let (attempts, reply) = deliver(client, &url, &sealed, taken).await;
        let delivered = reply.is_some();
        let kind = element(plaintext, "MsgType").unwrap_or("unknown");
        self.log(PushRecord {
            pushed_at: now,
            kind: format!("message {kind}"),
            attempts: attempts.clone(),
            delivered,
        });
        Ok(MessageOutcome {
            attempts,
            delivered,
            reply: reply.and_then(|reply| self.open(&reply.body)),
        })
    }

    /// Pushes a follower's text to the account, as [`push_message`](Self::push_message) does.
    ///
    /// # Errors
    /// [`SimError::UnknownAccount`].
    pub async fn push_text(
        &self,
        authorizer_appid: &str,
        openid: &str,
        text: &str,
    ) -> Result<MessageOutcome, SimError> {
        let now = self.clock().now();
        let xml = {
            let mut state = self.state();
            let authorizer = state.authorizers.find(authorizer_appid);
            let user_name = authorizer
                .ok_or(SimError::UnknownAccount)?
                .account
                .user_name();
            let message_id = state.mint.message_id();
            notice::text_message(&user_name, openid, now, text, message_id)
        };
        self.push_message(authorizer_appid, &xml).await
    }

    /// Verifies and decrypts a passive reply. None if WeChat would not show it.
    pub fn open(&self, reply: &[u8]) -> Option<String> {
        let xml = std::str::from_utf8(reply).ok()?;
        let encrypt = element(xml, "Encrypt")?;
        let mut state = self.state();
        let signature = cipher::sign(&[
            &state.settings.token,
            element(xml, "TimeStamp")?,
            element(xml, "Nonce")?,
            encrypt,
        ]);
        if element(xml, "MsgSignature")? != signature {
            return None;
        }
        let key = state.key();
        key.decrypt(encrypt, &state.settings.component_appid).ok()
    }

    fn log(&self, record: PushRecord) {
        tracing::info!(
            kind = record.kind,
            attempts = record.attempts.len(),
            delivered = record.delivered,
            "pushed"
        );
        self.state().record_push(record);
    }
}

fn seal_message(
    state: &mut State,
    authorizer_appid: &str,
    plaintext: &str,
    now: u64,
) -> Result<SealedPush, SimError> {
    let authorizer = state
        .authorizers
        .find(authorizer_appid)
        .ok_or(SimError::UnknownAccount)?;
    let user_name = authorizer.account.user_name();
    let salt = Salt {
        timestamp: now,
        nonce: state.mint.nonce(),
        random: state.mint.sealing_bytes(),
    };
    let key = state.key();
    let addressee = Addressee::ToUserName {
        user_name: &user_name,
        openid: element(plaintext, "FromUserName").unwrap_or_default(),
    };
    let plaintext = plaintext.as_bytes();
    Ok(seal(&state.settings, &key, &addressee, plaintext, &salt))
}
