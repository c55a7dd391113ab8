//! The getter's process starts and serves fresh tokens while Secrets Manager cannot be reached.

use std::time::{Duration, Instant};

use local::secrets::Outage;
use serde_json::{Value, json};
use wechat_simulator::{Settings, SimClock};

use crate::world::gate::Gate;
use crate::world::processes::{Function, Outcome, Process};
use crate::world::{World, appid};

/// A call of Secrets Manager takes at most 3.5 seconds with its retries; the rest is for a busy
/// machine.
const GIVES_UP: Duration = Duration::from_secs(10);

#[track_caller]
fn token(outcome: Outcome) -> String {
    let Outcome::Answered(answer) = outcome else {
        panic!("{outcome:?}");
    };
    answer["access_token"].as_str().unwrap().to_owned()
}

#[track_caller]
fn check_failed(outcome: Outcome) {
    let Outcome::Failed(error) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(error["errorType"], "store_unavailable", "{error}");
    let advice = error["errorMessage"].as_str().unwrap();
    assert!(advice.contains("try again"), "{advice}");
}

fn rotate(refused: &str) -> Value {
    json!({ "authorizer_appid": appid(), "rotate_if": refused })
}

#[tokio::test]
async fn the_getter_starts_and_serves_fresh_tokens_without_secrets_manager() {
    let world = World::on(SimClock::system(1), 1, Settings::example()).await;
    world.push_ticket().await;
    world.authorize(appid()).await;
    let gate = Gate::open(&world).await;
    let secrets = &world.emulators.secrets;
    for outage in [Outage::Hangs, Outage::Denied, Outage::Broken] {
        secrets.fail(Some(outage));
        let getter = Process::start(Function::TokenGetter, &gate.url).await;
        let began = Instant::now();
        let component = token(getter.invoke(&json!({ "component": true })).await);
        assert!(world.simulator.component_token_works(&component));
        let request = json!({ "authorizer_appid": appid() });
        let stored = token(getter.invoke(&request).await);
        world.assert_good(&stored);
        check_failed(getter.invoke(&rotate(&stored)).await);
        let took = began.elapsed();
        assert!(took < GIVES_UP, "{outage:?}: {took:?}");

        secrets.fail(None);
        let renewed = token(getter.invoke(&rotate(&stored)).await);
        assert_ne!(renewed, stored);
        // Once fetched, the secret is kept.
        secrets.fail(Some(outage));
        let renewed_again = token(getter.invoke(&rotate(&renewed)).await);
        world.assert_good(&renewed_again);
    }
}
