//! The seven functions, wired as their own `main.rs` does it.

use std::time::Duration;

use auth_callback::AuthCallback;
pub use auth_start::Pages;
use auth_start::{AuthStart, ReturnOrigins};
use authorizer_sync::AuthorizerSync;
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use component_core::bus::Bus;
use component_core::component::Component;
use component_core::credentials::Vault;
use component_core::store::Store;
use component_core::time::Clock;
use component_core::wechat::Wechat;
use merchant_pages::brand::Brand;
use message_receiver::{Accounts, MessageReceiver, ReplyFunction};
use ticket_receiver::TicketReceiver;
use token_getter::TokenGetter;
use token_refresher::TokenRefresher;

use crate::Error;
use crate::emulators::TABLE;
use crate::events::BUS;
use crate::reply::SharedReplies;
use crate::secrets::SECRET;

/// An instance of each function.
pub struct Functions {
    /// `POST /wechat/events`.
    pub ticket_receiver: TicketReceiver,
    /// `POST /wechat/{authorizer_appid}/messages`.
    pub message_receiver: MessageReceiver,
    /// `/auth/start`.
    pub auth_start: AuthStart,
    /// `/auth/callback`.
    pub auth_callback: AuthCallback,
    /// Behind the stream, and once a day.
    pub authorizer_sync: AuthorizerSync,
    /// Every five minutes.
    pub token_refresher: TokenRefresher,
    /// For the vendor's own functions.
    pub token_getter: TokenGetter,
}

/// What the functions are made of.
#[derive(Clone)]
pub struct Parts {
    /// A client of the table's database.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// A client of Secrets Manager.
    pub secretsmanager: aws_sdk_secretsmanager::Client,
    /// A client of EventBridge.
    pub eventbridge: aws_sdk_eventbridge::Client,
    /// The vendor's function that may reply to messages.
    pub replies: Option<SharedReplies>,
    /// The way to WeChat.
    pub wechat: SharedHttpConnector,
    /// Its API.
    pub wechat_url: String,
    /// Its pages, as a browser reaches them.
    pub pages: Pages,
    /// The time.
    pub clock: Clock,
    /// Origins that `return_to` may name.
    pub return_origins: ReturnOrigins,
    /// Whose pages merchants see.
    pub brand: Brand,
}

/// How long API Gateway, or a vendor's function, would wait.
pub const CALL_TIME: Duration = Duration::from_secs(15);

/// How long the functions behind the stream and the schedules may run.
pub const RUN_TIME: Duration = Duration::from_mins(4);

impl Functions {
    /// An instance of each, with clients and memories of its own, as different sandboxes have.
    ///
    /// # Errors
    /// What keeps one of them from starting.
    pub async fn start(parts: &Parts) -> Result<Self, Error> {
        let store = || Store::new(parts.dynamodb.clone(), TABLE.to_owned());
        let secrets = || parts.secretsmanager.clone();
        let open = || Vault::open(secrets(), SECRET.to_owned(), parts.clock.clone());
        let with = |vault: Vault| {
            let clock = parts.clock.clone();
            let wechat = Wechat::new(parts.wechat.clone(), &parts.wechat_url, clock.clone())?;
            Ok::<_, Error>(Component::new(store(), wechat, vault, clock))
        };
        let component = async || with(open().await?);
        Ok(Self {
            ticket_receiver: TicketReceiver {
                vault: open().await?,
                store: store(),
                clock: parts.clock.clone(),
            },
            message_receiver: message_receiver(parts).await?,
            auth_start: AuthStart {
                component: component().await?,
                pages: parts.pages.clone(),
                brand: parts.brand.clone(),
                return_origins: parts.return_origins.clone(),
            },
            auth_callback: AuthCallback {
                component: component().await?,
                brand: parts.brand.clone(),
            },
            authorizer_sync: AuthorizerSync {
                component: component().await?,
                bus: bus(parts),
            },
            token_refresher: TokenRefresher {
                component: component().await?,
                bus: bus(parts),
            },
            token_getter: TokenGetter {
                component: with(Vault::on_demand(
                    secrets(),
                    SECRET.to_owned(),
                    parts.clock.clone(),
                ))?,
            },
        })
    }
}

fn bus(parts: &Parts) -> Bus {
    Bus::new(parts.eventbridge.clone(), BUS.to_owned())
}

async fn message_receiver(parts: &Parts) -> Result<MessageReceiver, Error> {
    let (secrets, clock) = (parts.secretsmanager.clone(), parts.clock.clone());
    let replies = parts.replies.clone();
    Ok(MessageReceiver {
        vault: Vault::open(secrets, SECRET.to_owned(), clock.clone()).await?,
        store: Store::new(parts.dynamodb.clone(), TABLE.to_owned()),
        bus: bus(parts),
        replies: replies.map(|function| Box::new(function) as Box<dyn ReplyFunction>),
        accounts: Accounts::default(),
        clock,
    })
}
