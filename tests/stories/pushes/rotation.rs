//! The operator changes the secret while pushes arrive.

use std::sync::Arc;
use std::time::Duration;

use local::emulators::secret;
use local::functions::{Functions, Parts};
use serde_json::json;
use wechat_simulator::Settings;

use super::{SUCCESS, post, seal_under, ticket};
use crate::world::log::Log;
use crate::world::wire::{Cut, Wire};
use crate::world::{World, deadline};

const DAY: u64 = 24 * 3600;

/// The token and key of the console, named by a letter; the world begins with `a`.
fn keys(letter: char) -> Settings {
    Settings {
        token: format!("token{letter}"),
        encoding_aes_key: letter.to_string().repeat(43),
        ..Settings::example()
    }
}

async fn world() -> World {
    World::with(keys('a')).await
}

/// Stores these as the current and the previous version of the secret.
fn put(world: &World, current: &str, previous: &str) {
    for version in [previous, current] {
        world.emulators.secrets.put(version.to_owned());
    }
}

/// The operator rotates the secret: `to` is current now, `from` previous.
fn rotate(world: &World, from: &Settings, to: &Settings) {
    put(world, &secret(to), &secret(from));
}

/// The status that a push under these keys gets now.
async fn push(world: &World, functions: &Functions, keys: &Settings) -> u16 {
    let now = world.clock.now();
    let value = format!("ticket@@@{now}");
    let sealed = seal_under(keys, &ticket(&value, now), now);
    let answered = post(functions, &sealed.query, sealed.body).await;
    assert_eq!(answered.body == SUCCESS, answered.status == 200);
    answered.status
}

async fn check_push(world: &World, keys: &Settings, status: u16) {
    let before = world.rows().await;
    let seen = push(world, &world.functions, keys).await;
    assert_eq!(seen, status, "a push under {}", keys.token);
    if status != 200 {
        assert_eq!(world.rows().await, before);
    }
}

/// A new instance of the functions, and the wire between it and Secrets Manager.
async fn watched(world: &World) -> (Arc<Functions>, Wire) {
    let wire = Wire::default();
    let config = world.parts.secretsmanager.config();
    let inner = config.http_client().unwrap();
    let config = config.to_builder().http_client(wire.around(inner));
    let parts = Parts {
        secretsmanager: aws_sdk_secretsmanager::Client::from_conf(config.build()),
        ..world.parts.clone()
    };
    let functions = Arc::new(Functions::start(&parts).await.unwrap());
    wire.calls();
    (functions, wire)
}

fn fetches(wire: &Wire) -> u64 {
    wire.calls().remove("GetSecretValue").unwrap_or_default()
}

#[tokio::test]
async fn a_rotation_is_picked_up_with_the_first_push_that_needs_it() {
    let world = world().await;
    let [a, b] = ['a', 'b'].map(keys);
    check_push(&world, &a, 200).await;
    check_push(&world, &b, 403).await;
    world.clock.advance(60);
    rotate(&world, &a, &b);
    check_push(&world, &b, 200).await;
    check_push(&world, &a, 200).await;
}

#[tokio::test]
async fn pushes_under_older_keys_than_the_previous_are_refused() {
    let world = world().await;
    let [a, b, c] = ['a', 'b', 'c'].map(keys);
    rotate(&world, &a, &b);
    check_push(&world, &b, 200).await;
    world.clock.advance(60);
    rotate(&world, &b, &c);
    check_push(&world, &c, 200).await;
    check_push(&world, &b, 200).await;
    check_push(&world, &a, 403).await;
    world.clock.advance(60);
    check_push(&world, &a, 403).await;
    check_push(&world, &b, 200).await;
}

#[tokio::test]
async fn a_new_instance_takes_pushes_under_the_previous_keys() {
    let world = world().await;
    let [a, b] = ['a', 'b'].map(keys);
    rotate(&world, &a, &b);
    let (fresh, _) = watched(&world).await;
    assert_eq!(push(&world, &fresh, &a).await, 200);
    assert_eq!(push(&world, &fresh, &b).await, 200);
}

#[tokio::test]
async fn a_rotated_aes_key_alone_is_picked_up() {
    let world = world().await;
    let a = keys('a');
    let b = Settings {
        encoding_aes_key: "b".repeat(43),
        ..a.clone()
    };
    rotate(&world, &a, &b);
    check_push(&world, &b, 200).await;
    check_push(&world, &a, 200).await;
    let c = Settings {
        encoding_aes_key: "c".repeat(43),
        ..a.clone()
    };
    // The signature is right, but the key is unknown to the functions.
    check_push(&world, &c, 400).await;
}

#[tokio::test]
async fn a_rotated_token_alone_is_picked_up() {
    let world = world().await;
    let a = keys('a');
    let b = Settings {
        token: "tokenb".to_owned(),
        ..a.clone()
    };
    rotate(&world, &a, &b);
    check_push(&world, &b, 200).await;
    check_push(&world, &a, 200).await;
}

#[tokio::test]
async fn good_pushes_fetch_nothing() {
    let world = world().await;
    let (functions, wire) = watched(&world).await;
    for _push in 0..5 {
        world.clock.advance(600);
        assert_eq!(push(&world, &functions, &keys('a')).await, 200);
    }
    assert_eq!(fetches(&wire), 0);
}

#[tokio::test]
async fn forged_pushes_cause_one_fetch_a_minute() {
    const STAGES: u64 = 2;
    let world = world().await;
    let (functions, wire) = watched(&world).await;
    for _minute in 0..3 {
        for _forgery in 0..20 {
            assert_eq!(push(&world, &functions, &keys('z')).await, 403);
        }
        world.clock.advance(59);
        assert_eq!(push(&world, &functions, &keys('z')).await, 403);
        assert_eq!(fetches(&wire), STAGES);
        world.clock.advance(1);
    }
}

#[tokio::test]
async fn forged_pushes_at_once_cause_one_fetch() {
    let world = world().await;
    let (functions, wire) = watched(&world).await;
    let forged = keys('z');
    let one = || push(&world, &functions, &forged);
    let statuses = tokio::join!(one(), one(), one(), one());
    assert_eq!(statuses, (403, 403, 403, 403));
    assert_eq!(fetches(&wire), 2);
}

#[tokio::test]
async fn a_query_that_cannot_be_wechat_s_causes_no_fetch() {
    let world = world().await;
    let (functions, wire) = watched(&world).await;
    for query in ["", "timestamp=1700000001&nonce=n&msg_signature=0"] {
        assert_eq!(post(&functions, query, "<xml/>").await.status, 403);
    }
    assert_eq!(fetches(&wire), 0);
}

#[tokio::test]
async fn after_a_forged_push_a_rotation_is_picked_up_a_minute_later() {
    let world = world().await;
    let [a, b, z] = ['a', 'b', 'z'].map(keys);
    check_push(&world, &z, 403).await;
    rotate(&world, &a, &b);
    check_push(&world, &b, 403).await;
    world.clock.advance(59);
    check_push(&world, &b, 403).await;
    check_push(&world, &a, 200).await;
    world.clock.advance(1);
    check_push(&world, &b, 200).await;
    check_push(&world, &a, 200).await;
}

#[tokio::test]
async fn a_malformed_new_secret_leaves_the_old_one_in_use() {
    let world = world().await;
    let [a, b] = ['a', 'b'].map(keys);
    let short = Settings {
        encoding_aes_key: "b".repeat(42),
        ..b.clone()
    };
    for malformed in ["null", " ", "not JSON", "{}", "[]", &secret(&short)] {
        world.clock.advance(60);
        put(&world, malformed, &secret(&a));
        check_push(&world, &b, 403).await;
        check_push(&world, &a, 200).await;
    }
}

#[tokio::test]
async fn a_corrected_secret_is_picked_up_after_a_malformed_one() {
    let world = world().await;
    let [a, b] = ['a', 'b'].map(keys);
    put(&world, "{}", &secret(&a));
    check_push(&world, &b, 403).await;
    world.clock.advance(60);
    // The malformed version is now the previous one.
    put(&world, &secret(&b), "{}");
    check_push(&world, &b, 200).await;
    // WeChat rotated from `a` to `b`, whatever the secret was in between.
    check_push(&world, &a, 200).await;
}

#[tokio::test]
async fn where_the_current_version_is_malformed_new_instances_use_the_previous_one() {
    let world = world().await;
    let a = keys('a');
    for malformed in ["null", "{}", &secret(&a).replace("wx", "xw")] {
        put(&world, malformed, &secret(&a));
        // Its age does not end the version that is used.
        world.clock.advance(40 * DAY);
        let log = Log::listen();
        let fresh = Functions::start(&world.parts).await.unwrap();
        let read = log.lines("reading the component's current secret failed");
        assert!(!read.is_empty() && read[0].contains("ERROR"), "{read:?}");
        drop(log);
        world.push_ticket().await;
        let request = json!({ "component": true });
        let answer = fresh.token_getter.handle(&request, deadline()).await;
        assert!(answer.is_ok(), "{answer:?}");
        assert_eq!(push(&world, &fresh, &a).await, 200);
    }
}

#[tokio::test]
async fn pushes_under_the_previous_keys_are_accepted_for_thirty_days() {
    let world = world().await;
    let [a, b] = ['a', 'b'].map(keys);
    rotate(&world, &a, &b);
    let (fresh, wire) = watched(&world).await;
    world.clock.advance(30 * DAY - 1);
    check_push(&world, &b, 200).await;
    check_push(&world, &a, 200).await;
    assert_eq!(push(&world, &fresh, &a).await, 200);
    wire.calls();
    world.clock.advance(1);
    // What is in memory says so, whether or not Secrets Manager answers.
    wire.cut("*", Cut::Throttled, u32::MAX);
    assert_eq!(push(&world, &fresh, &a).await, 403);
    assert_eq!(push(&world, &fresh, &b).await, 200);
    check_push(&world, &a, 403).await;
    check_push(&world, &b, 200).await;
}

#[tokio::test]
async fn after_a_leak_the_secret_ends_the_previous_keys_at_once() {
    let world = world().await;
    let [a, b] = ['a', 'b'].map(keys);
    let ending = secret(&b).replace('}', ",\"accept_previous\":false}");
    put(&world, &ending, &secret(&a));
    check_push(&world, &b, 200).await;
    check_push(&world, &a, 403).await;
    let (fresh, _) = watched(&world).await;
    assert_eq!(push(&world, &fresh, &a).await, 403);
    assert_eq!(push(&world, &fresh, &b).await, 200);
}

#[tokio::test]
async fn a_secret_that_cannot_be_fetched_stays_in_use() {
    let world = world().await;
    let [a, b] = ['a', 'b'].map(keys);
    let (functions, wire) = watched(&world).await;
    rotate(&world, &a, &b);
    for cut in [Cut::Before, Cut::Throttled] {
        wire.cut("*", cut, u32::MAX);
        assert_eq!(push(&world, &functions, &b).await, 403);
        assert_eq!(push(&world, &functions, &a).await, 200);
        wire.mend();
        world.clock.advance(60);
    }
    assert_eq!(push(&world, &functions, &b).await, 200);
}

#[tokio::test]
async fn the_other_functions_pick_a_rotation_up_within_five_minutes() {
    let world = world().await;
    let rotated = Settings {
        component_appsecret: "f".repeat(32),
        ..keys('a')
    };
    let console = rotated.component_appsecret.clone();
    let change = |settings: &mut Settings| settings.component_appsecret = console;
    world.simulator.change_settings(change);
    rotate(&world, &keys('a'), &rotated);
    world.pass(Duration::from_mins(5)).await;
    let answer = world.ask(json!({ "component": true })).await.unwrap();
    let token = answer["access_token"].as_str().unwrap();
    assert!(world.simulator.component_token_works(token));
}
