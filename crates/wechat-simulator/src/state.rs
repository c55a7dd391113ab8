//! All that WeChat remembers, as plain data with its rules: no I/O; the time is passed in.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use crate::cipher::AesKey;
use crate::fault::Faults;
use crate::mint::Mint;
use crate::push::PushRecord;
use crate::settings::Settings;

// The component's side.
pub(crate) mod component;
pub(crate) mod quota;
pub(crate) mod token;
pub(crate) mod usage;

// The accounts' side.
pub(crate) mod account;
pub(crate) mod authorization;
pub(crate) mod authorizers;
pub(crate) mod chat;
pub(crate) mod checking;
pub(crate) mod options;
pub(crate) mod status;

/// How many pushes the log keeps.
const PUSH_LOG_LEN: usize = 200;

/// One simulated WeChat, behind one lock that is never held over an await.
pub(crate) struct State {
    pub(crate) settings: Settings,
    /// 授权事件接收 URL.
    pub(crate) events_url: Option<String>,
    /// 消息与事件接收 URL, with a literal `$APPID$`.
    pub(crate) messages_url: Option<String>,
    /// Whether a ticket is pushed every ten minutes.
    pub(crate) ticket_pushes: bool,
    pub(crate) component: component::Component,
    pub(crate) authorizers: authorizers::Authorizers,
    pub(crate) usage: usage::Usage,
    /// The IP addresses that pushes come from, as `getcallbackip` answers them.
    pub(crate) callback_ips: Vec<String>,
    pub(crate) faults: Faults,
    pub(crate) calls: BTreeMap<String, u64>,
    pub(crate) messages: Vec<SentMessage>,
    /// What was said on the page for customers.
    pub(crate) chat: chat::Chat,
    pub(crate) pushes: VecDeque<PushRecord>,
    pub(crate) mint: Mint,
}

/// A customer-service message that an authorizer access token sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SentMessage {
    /// The account it was sent for.
    pub authorizer_appid: String,
    /// The receiver's openid.
    pub touser: String,
    /// `text` or another type.
    pub msgtype: String,
    /// The text, empty for other types.
    pub content: String,
    /// Unix seconds.
    pub sent_at: u64,
}

impl State {
    pub(crate) fn new(settings: Settings, mint: Mint) -> Self {
        Self {
            settings,
            events_url: None,
            messages_url: None,
            ticket_pushes: true,
            component: component::Component::default(),
            authorizers: authorizers::Authorizers::with_demo_accounts(),
            usage: usage::Usage::default(),
            callback_ips: vec!["127.0.0.1".to_owned()],
            faults: Faults::default(),
            calls: BTreeMap::new(),
            messages: Vec::new(),
            chat: chat::Chat::default(),
            pushes: VecDeque::new(),
            mint,
        }
    }

    /// Adds a push to the log, and drops the oldest if the log is full.
    pub(crate) fn record_push(&mut self, record: PushRecord) {
        if self.pushes.len() >= PUSH_LOG_LEN {
            self.pushes.pop_front();
        }
        self.pushes.push_back(record);
    }

    /// The key in the console.
    ///
    /// If that key is unusable, a random one takes its place, so no receiver can open the pushes.
    pub(crate) fn key(&mut self) -> AesKey {
        AesKey::parse(&self.settings.encoding_aes_key).unwrap_or_else(|_| {
            tracing::error!(
                "encoding_aes_key is not 43 characters of base64: no receiver can open the pushes"
            );
            AesKey::random(&mut self.mint)
        })
    }
}
