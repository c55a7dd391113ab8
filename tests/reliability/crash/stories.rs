//! What may be in flight when a process is killed, how that is prepared, and what happens next.

use http::StatusCode;
use local::events::Trouble;
use serde_json::{Value, json};
use wechat_simulator::DEMO_APPIDS;

use super::scene::{HOURS, Scene, ask, file, pushed, written};
use crate::world::appid;
use crate::world::processes::{Function, Outcome, Process};

/// Retries after the killed try, as `MaximumRetryAttempts` in template.yaml says.
const STREAM_RETRIES: u32 = 3;

/// Retries of WeChat after the killed try.
const PUSH_RETRIES: u32 = 2;

/// At this age, every token has expired.
const ALL_OVER: u64 = 3 * HOURS;

/// At this age, an authorizer token is due but still good, and the component token is not due.
const DUE: u64 = 6000;

/// At this age, nothing is due, and the second of the authorization is over.
const LATELY: u64 = 60;

/// A customer's text.
const MESSAGE: &str =
    "<xml><FromUserName>o1</FromUserName><MsgType>text</MsgType><MsgId>1</MsgId></xml>";

const REFRESH: &str = "token-refresher-schedule";

/// What is in flight when a process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Story {
    /// The refresher finds three authorizers due, whose tokens have expired.
    RefreshLate,
    /// The same, before the tokens expire.
    RefreshAhead,
    /// The getter is asked for an authorizer's token; all tokens have expired.
    StaleAuthorizer,
    /// The getter is asked for the component token, which has expired.
    StaleComponent,
    /// The getter is told that WeChat has refused the stored token.
    Refused,
    /// The sync gets the notice of a first authorization.
    Authorized,
    /// The sync gets the notice of another authorization, which has ended all earlier tokens.
    Reauthorized,
    /// The sync gets the notice of a revocation.
    Revoked,
    /// The daily run finds an authorization whose notice never came.
    Reconcile,
    /// A merchant comes back from WeChat's page.
    Redirect,
    /// WeChat pushes a ticket; the stored one has expired.
    Ticket,
    /// WeChat pushes the notice of an authorization.
    Notice,
    /// A customer writes to an account.
    Message,
    /// The sync puts the events of an account on the bus.
    Events,
    /// The refresher delivers what the bus had not taken.
    Kept,
}

impl Story {
    pub(super) const ALL: [Self; 15] = [
        Self::RefreshLate,
        Self::RefreshAhead,
        Self::StaleAuthorizer,
        Self::StaleComponent,
        Self::Refused,
        Self::Authorized,
        Self::Reauthorized,
        Self::Revoked,
        Self::Reconcile,
        Self::Redirect,
        Self::Ticket,
        Self::Notice,
        Self::Message,
        Self::Events,
        Self::Kept,
    ];

    /// The function that is killed.
    pub(super) const fn function(self) -> Function {
        match self {
            Self::RefreshLate | Self::RefreshAhead | Self::Kept => Function::TokenRefresher,
            Self::StaleAuthorizer | Self::StaleComponent | Self::Refused => Function::TokenGetter,
            Self::Authorized
            | Self::Reauthorized
            | Self::Revoked
            | Self::Reconcile
            | Self::Events => Function::AuthorizerSync,
            Self::Message => Function::MessageReceiver,
            Self::Redirect => Function::AuthCallback,
            Self::Ticket | Self::Notice => Function::TicketReceiver,
        }
    }

    /// Prepares the world and the event.
    pub(super) async fn prepare(self) -> Scene {
        let three = &DEMO_APPIDS[..3];
        match self {
            Self::RefreshLate => Scene::of(three, ALL_OVER).await.file(REFRESH),
            Self::RefreshAhead => Scene::of(three, DUE).await.file(REFRESH),
            Self::StaleAuthorizer => {
                let scene = Scene::of(&[appid()], ALL_OVER).await;
                scene.event(json!({ "authorizer_appid": appid() }))
            }
            Self::StaleComponent => {
                let scene = Scene::of(&[appid()], ALL_OVER).await;
                scene.event(json!({ "component": true }))
            }
            Self::Refused => {
                let scene = Scene::of(&[appid()], LATELY).await;
                let refused = scene.world.token(appid()).await.unwrap();
                scene.event(json!({ "authorizer_appid": appid(), "rotate_if": refused }))
            }
            Self::Authorized => Scene::of(&[], 0).await.consent().await.stream(),
            Self::Reauthorized => {
                let scene = Scene::of(&[appid()], ALL_OVER).await;
                scene.consent().await.stream()
            }
            Self::Revoked => {
                let scene = Scene::of(&[appid()], LATELY).await;
                let pushed = scene.world.simulator.revoke(appid()).await.unwrap();
                assert!(pushed.delivered);
                scene.stream()
            }
            Self::Reconcile => {
                let scene = Scene::of(&[DEMO_APPIDS[1]], ALL_OVER).await;
                scene.exchange_elsewhere().await;
                scene.file("authorizer-sync-daily")
            }
            Self::Redirect => Scene::of(&[], 0).await.redirect().await,
            Self::Ticket => Scene::of(&[appid()], 13 * HOURS).await.ticket().await,
            Self::Notice => {
                let scene = Scene::of(&[], 0).await;
                let consent = scene.world.simulator.authorize_unpushed(appid()).unwrap();
                let push = scene.world.sealed(&consent.notice);
                scene.event(pushed(&push.query, &push.body))
            }
            Self::Message => {
                let scene = Scene::of(&[appid()], LATELY).await;
                let push = scene.world.sealed(MESSAGE);
                scene.event(written(&push.query, &push.body))
            }
            Self::Events => {
                let scene = Scene::of(&[appid()], LATELY).await;
                let pushed = scene.world.simulator.revoke(appid()).await.unwrap();
                assert!(pushed.delivered);
                // The notice is settled, which puts the event on the stream.
                scene.world.deliver().await;
                scene.stream()
            }
            Self::Kept => {
                let scene = Scene::of(&[appid()], LATELY).await;
                let world = &scene.world;
                world.emulators.bus.fail(Trouble::Down, u32::MAX);
                assert_eq!(world.message(appid(), MESSAGE).await.0, StatusCode::OK);
                world.emulators.bus.mend();
                scene.kept_are_due().await;
                scene.file(REFRESH)
            }
        }
    }

    /// What happens next without a person: the schedule, the stream, WeChat's retries, the next
    /// caller.
    pub(super) async fn go_on(self, scene: &Scene) {
        let again = Process::start(self.function(), &scene.gate.url).await;
        match self {
            Self::RefreshLate | Self::RefreshAhead => {
                while !scene.is_refreshed().await {
                    let run = again.invoke(&scene.event).await;
                    assert!(matches!(run, Outcome::Answered(_)), "{run:?}");
                }
            }
            Self::StaleAuthorizer | Self::StaleComponent | Self::Refused => {
                drop(ask(&again, &scene.event).await);
            }
            Self::Authorized | Self::Reauthorized | Self::Revoked => {
                deliver(&again, &scene.event).await;
            }
            Self::Reconcile => loop {
                if let Outcome::Answered(_) = again.invoke(&scene.event).await {
                    break;
                }
            },
            Self::Redirect => {
                let notice = scene.notice.as_deref().unwrap();
                assert!(scene.world.push_xml(notice).await.delivered);
                let sync = Process::start(Function::AuthorizerSync, &scene.gate.url).await;
                deliver(&sync, &scene.world.next_batch().unwrap()).await;
            }
            Self::Message => {
                push(&again, &scene.event).await;
                // The schedule may find what the killed process left.
                scene.kept_are_due().await;
                let refresher = Process::start(Function::TokenRefresher, &scene.gate.url).await;
                drop(refresher.invoke(&file(REFRESH)).await);
                scene.check_bus(1, 2).await;
            }
            Self::Events => {
                deliver(&again, &scene.event).await;
                scene.check_bus(0, 3).await;
            }
            Self::Kept => {
                scene.kept_are_due().await;
                drop(again.invoke(&scene.event).await);
                scene.check_bus(1, 2).await;
            }
            Self::Ticket => push(&again, &scene.event).await,
            Self::Notice => {
                push(&again, &scene.event).await;
                // The notice is on the stream once, however often it was pushed.
                let batch = scene.world.next_batch().unwrap();
                assert_eq!(batch["Records"].as_array().unwrap().len(), 1);
                let sync = Process::start(Function::AuthorizerSync, &scene.gate.url).await;
                deliver(&sync, &batch).await;
            }
        }
    }
}

/// The stream retries the batch of a killed process.
async fn deliver(sync: &Process, batch: &Value) {
    for _retry in 0..STREAM_RETRIES {
        match sync.invoke(batch).await {
            Outcome::Answered(answer) if answer == json!({ "batchItemFailures": [] }) => return,
            Outcome::Answered(_) => {}
            failed => panic!("{failed:?}"),
        }
    }
    panic!("the stream has given up");
}

/// WeChat retries the push of a killed process.
async fn push(receiver: &Process, event: &Value) {
    for _retry in 0..PUSH_RETRIES {
        if let Outcome::Answered(answer) = receiver.invoke(event).await
            && answer["body"] == "success"
        {
            return;
        }
    }
    panic!("WeChat has given up");
}
