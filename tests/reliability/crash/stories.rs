//! What may be under way when a process is killed: how it comes to that, and what comes next by itself.

use serde_json::{Value, json};
use wechat_simulator::DEMO_APPIDS;

use super::scene::{HOURS, Scene, ask, pushed};
use crate::world::appid;
use crate::world::processes::{Function, Outcome, Process};

/// After the killed try, as `MaximumRetryAttempts` in template.yaml has it.
const STREAM_RETRIES: u32 = 3;

/// After the killed try, as WeChat does it.
const PUSH_RETRIES: u32 = 2;

/// All tokens that were given so long ago are over.
const ALL_OVER: u64 = 3 * HOURS;

/// An authorizer token that was given so long ago is due, and good for a while; the component's is not even due.
const DUE: u64 = 6000;

/// Nothing that was given so long ago is due, and it was not given in this very second.
const LATELY: u64 = 60;

const REFRESH: &str = "token-refresher-schedule";

/// What is under way when a process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Story {
    /// The refresher finds three authorizers due, with nothing left that is good.
    RefreshLate,
    /// The same, ahead of time.
    RefreshAhead,
    /// The getter is asked for an authorizer's token, and all are over.
    StaleAuthorizer,
    /// The getter is asked for the component's, which is over.
    StaleComponent,
    /// The getter is told that WeChat has refused the stored one.
    Refused,
    /// The sync is brought the notice of a first authorization.
    Authorized,
    /// And of a further one, which has ended all tokens of the one before.
    Reauthorized,
    /// And of a revocation.
    Revoked,
    /// The daily run finds an authorization of which no notice ever told.
    Reconcile,
    /// A merchant comes back from WeChat's page.
    Redirect,
    /// WeChat pushes a ticket; the one before is too old.
    Ticket,
    /// WeChat pushes the notice of an authorization.
    Notice,
}

impl Story {
    pub(super) const ALL: [Self; 12] = [
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
    ];

    /// Who is killed.
    pub(super) const fn function(self) -> Function {
        match self {
            Self::RefreshLate | Self::RefreshAhead => Function::TokenRefresher,
            Self::StaleAuthorizer | Self::StaleComponent | Self::Refused => Function::TokenGetter,
            Self::Authorized | Self::Reauthorized | Self::Revoked | Self::Reconcile => {
                Function::AuthorizerSync
            }
            Self::Redirect => Function::AuthCallback,
            Self::Ticket | Self::Notice => Function::TicketReceiver,
        }
    }

    /// Everything up to the event.
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
        }
    }

    /// What comes next by itself: the schedule, the stream, WeChat's own retries, the next caller.
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
            Self::Ticket => push(&again, &scene.event).await,
            Self::Notice => {
                push(&again, &scene.event).await;
                // Once, however often it was pushed.
                let batch = scene.world.next_batch().unwrap();
                assert_eq!(batch["Records"].as_array().unwrap().len(), 1);
                let sync = Process::start(Function::AuthorizerSync, &scene.gate.url).await;
                deliver(&sync, &batch).await;
            }
        }
    }
}

/// The stream brings a batch again that a killed process has had.
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

/// WeChat pushes again what a killed process has had.
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
