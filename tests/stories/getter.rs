//! The token getter: what it answers to its callers, and what an answer costs.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use component_core::error::Error;
use component_core::time::Deadline;
use local::functions::Functions;
use local::secrets::Outage;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use wechat_simulator::{AnswerPatch, Fault, FaultEffect};

use crate::world::rows::{number, text};
use crate::world::wire::Cut;
use crate::world::{World, appid, assert_tells_nothing, deadline};

const HOUR: Duration = Duration::from_hours(1);

fn row_key() -> String {
    format!("authorizer#{}", appid())
}

async fn ask(functions: &Functions, request: &Value) -> Result<Value, Error> {
    functions.token_getter.handle(request, deadline()).await
}

#[track_caller]
fn check_code(answer: Result<Value, Error>, code: &str) {
    let error = answer.expect_err(code);
    assert_eq!(error.code(), code);
    assert_tells_nothing(&error);
}

#[tokio::test]
async fn a_malformed_request_is_refused_before_anything_is_read() {
    let world = World::with_authorizer().await;
    world.wire.calls();
    world.simulator.reset_calls();
    let with = |name: &str, value: Value| json!({ "authorizer_appid": appid(), name: value });
    for request in [
        Value::Null,
        json!(true),
        json!(1),
        json!("wx1a2b3c4d5e6f7081"),
        json!([]),
        json!([{ "component": true }]),
        json!({}),
        json!({ "authorizer_appid": appid(), "component": true }),
        json!({ "authorizer_appid": appid(), "component": false }),
        json!({ "component": false }),
        json!({ "component": "true" }),
        json!({ "component": 1 }),
        json!({ "component": null }),
        json!({ "authorizer_appid": null }),
        json!({ "authorizer_appid": "" }),
        json!({ "authorizer_appid": "wx1a2b3c4d5e6f708" }),
        json!({ "authorizer_appid": "WX1A2B3C4D5E6F7081" }),
        json!({ "authorizer_appid": " wx1a2b3c4d5e6f7081" }),
        json!({ "authorizer_appid": [appid()] }),
        json!({ "min_valid_secs": 300 }),
        with("minValidSecs", json!(300)),
        with("", json!(1)),
        with("min_valid_secs", json!(-1)),
        with("min_valid_secs", json!(3601)),
        with("min_valid_secs", json!(1.5)),
        with("min_valid_secs", json!(1e300)),
        with("min_valid_secs", json!("300")),
        with("min_valid_secs", Value::Null),
        with("rotate_if", json!("")),
        with("rotate_if", json!(1)),
        with("rotate_if", Value::Null),
        with("rotate_if", json!("two words")),
        with("rotate_if", json!("73_".repeat(1000))),
    ] {
        let answer = world.ask(request.clone()).await;
        assert!(answer.is_err(), "{request}");
        check_code(answer, "invalid_request");
    }
    assert_eq!(world.wire.calls().len(), 0);
    assert_eq!(world.new_wechat_calls().len(), 0);
}

#[tokio::test]
async fn an_answer_has_the_three_fields_and_the_components_two() {
    let world = World::with_authorizer().await;
    let answer = world
        .ask(json!({ "authorizer_appid": appid() }))
        .await
        .unwrap();
    let token = world.simulator.authorizer(appid()).unwrap().access_token;
    let expires_at = world.clock.now() + 7200;
    assert_eq!(
        answer,
        json!({ "access_token": token, "expires_at": expires_at, "authorizer_appid": appid() })
    );
    let answer = world.ask(json!({ "component": true })).await.unwrap();
    let fields: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["access_token", "expires_at"]);
    let token = answer["access_token"].as_str().unwrap();
    assert!(world.simulator.component_token_works(token));
}

#[tokio::test]
async fn every_way_to_have_no_token_has_its_own_error() {
    let world = World::new().await;
    let request = || json!({ "authorizer_appid": appid() });
    check_code(world.ask(request()).await, "unknown_authorizer");
    check_code(
        world.ask(json!({ "component": true })).await,
        "no_verify_ticket",
    );

    world.push_ticket().await;
    world.authorize(appid()).await;
    let lost = Cut::Before;
    world.wire.cut("GetItem", lost, 3);
    check_code(world.ask(request()).await, "store_unavailable");

    world.pass(HOUR * 2).await;
    let cut_off = world.without_wechat().await;
    check_code(ask(&cut_off, &request()).await, "wechat_unavailable");
    world.fault("api_authorizer_token", FaultEffect::Errcode(48001));
    check_code(world.ask(request()).await, "wechat_rejected");
    world.end_faults("api_authorizer_token").await;
    world.clock.advance(60);
    world.fault("api_authorizer_token", FaultEffect::Errcode(61023));
    let unnamed = AnswerPatch::new().remove("/authorization_info/authorizer_refresh_token");
    let unnamed = Fault::patch("api_get_authorizer_info", unnamed);
    world.simulator.fault(unnamed.times(u32::MAX));
    check_code(world.ask(request()).await, "reauthorization_required");
    world.simulator.clear_faults();
    check_code(world.ask(request()).await, "reauthorization_required");

    world.authorize(appid()).await;
    world.clock.advance(1);
    world.revoke(appid()).await;
    world.simulator.reset_calls();
    check_code(world.ask(request()).await, "authorization_revoked");
    // A tombstone that has expired is ignored, even if DynamoDB has not deleted it yet.
    world.pass(HOUR * 24 * 90).await;
    check_code(world.ask(request()).await, "unknown_authorizer");
    assert_eq!(world.new_wechat_calls().len(), 0);
}

#[tokio::test]
async fn an_answer_is_good_for_as_long_as_was_asked() {
    let world = World::with_authorizer().await;
    let first = world.token(appid()).await.unwrap();
    world.clock.advance(6800);
    world.simulator.reset_calls();
    let lasting = |secs: u64| json!({ "authorizer_appid": appid(), "min_valid_secs": secs });
    for request in [
        json!({ "authorizer_appid": appid() }),
        lasting(0),
        lasting(400),
    ] {
        let answer = world.ask(request.clone()).await.unwrap();
        assert_eq!(answer["access_token"], first, "{request}");
    }
    assert_eq!(world.new_wechat_calls().len(), 0);
    let answer = world.ask(lasting(401)).await.unwrap();
    assert_ne!(answer["access_token"], first);
    assert_eq!(answer["expires_at"], world.clock.now() + 7200);
    let answer = world.ask(lasting(3600)).await.unwrap();
    world.assert_good(answer["access_token"].as_str().unwrap());
    assert_eq!(world.wechat_calls("api_authorizer_token"), 1);

    // The same holds for the component token.
    let component = |secs: u64| json!({ "component": true, "min_valid_secs": secs });
    let before = world.ask(component(0)).await.unwrap();
    world.simulator.reset_calls();
    let after = world.ask(component(600)).await.unwrap();
    assert_ne!(before["access_token"], after["access_token"]);
    assert_eq!(world.wechat_calls("api_component_token"), 1);
}

#[tokio::test]
async fn a_token_is_good_before_and_not_at_its_last_second() {
    let world = World::with_authorizer().await;
    let first = world.token(appid()).await.unwrap();
    let zero = || json!({ "authorizer_appid": appid(), "min_valid_secs": 0 });
    world.clock.advance(7199);
    world.push_ticket().await;
    assert_eq!(world.ask(zero()).await.unwrap()["access_token"], first);
    world.assert_good(&first);
    world.clock.advance(1);
    assert_ne!(world.ask(zero()).await.unwrap()["access_token"], first);
}

#[tokio::test]
async fn only_the_stored_token_is_rotated_when_a_caller_finds_it_refused() {
    let world = World::with_authorizer().await;
    let rotate = |token: &Value| json!({ "authorizer_appid": appid(), "rotate_if": token });
    let first = world
        .ask(json!({ "authorizer_appid": appid() }))
        .await
        .unwrap();
    world.simulator.reset_calls();
    let second = world.ask(rotate(&first["access_token"])).await.unwrap();
    assert_ne!(first["access_token"], second["access_token"]);
    world.assert_good(second["access_token"].as_str().unwrap());
    assert_eq!(world.wechat_calls("api_authorizer_token"), 1);
    for old in [first["access_token"].clone(), json!("73_never_seen")] {
        assert_eq!(world.ask(rotate(&old)).await.unwrap(), second);
    }
    assert_eq!(world.wechat_calls("api_authorizer_token"), 1);

    let rotate = |token: &Value| json!({ "component": true, "rotate_if": token });
    let first = world.ask(json!({ "component": true })).await.unwrap();
    world.simulator.reset_calls();
    let second = world.ask(rotate(&first["access_token"])).await.unwrap();
    assert_ne!(first["access_token"], second["access_token"]);
    assert_eq!(
        world.ask(rotate(&first["access_token"])).await.unwrap(),
        second
    );
    assert_eq!(world.wechat_calls("api_component_token"), 1);
}

/// Twenty callers ask each of five instances at once; returns the answer that all of them got.
async fn ask_at_once(world: &World, request: &Value) -> Value {
    let mut callers = JoinSet::new();
    for _instance in 0..5 {
        let functions = Arc::new(Functions::start(&world.parts).await.unwrap());
        for _caller in 0..20 {
            let (functions, request) = (functions.clone(), request.clone());
            callers.spawn(async move { ask(&functions, &request).await });
        }
    }
    let mut answers: Vec<Value> = callers
        .join_all()
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let answer = answers.pop().unwrap();
    assert_eq!(answers.len(), 99);
    assert!(answers.iter().all(|other| *other == answer));
    answer
}

#[tokio::test]
async fn a_hundred_callers_of_a_stale_token_are_one_call() {
    let world = World::with_authorizer().await;
    world.pass(HOUR * 2).await;
    world.simulator.reset_calls();
    let component = ask_at_once(&world, &json!({ "component": true })).await;
    let token = component["access_token"].as_str().unwrap();
    assert!(world.simulator.component_token_works(token));
    let answer = ask_at_once(&world, &json!({ "authorizer_appid": appid() })).await;
    let token = answer["access_token"].as_str().unwrap();
    world.assert_good(token);
    let rotate = json!({ "authorizer_appid": appid(), "rotate_if": token });
    let rotated = ask_at_once(&world, &rotate).await;
    assert_ne!(rotated["access_token"], token);
    world.assert_good(rotated["access_token"].as_str().unwrap());
    let calls = world.new_wechat_calls();
    assert_eq!(calls["api_component_token"], 1);
    assert_eq!(calls["api_authorizer_token"], 2);
    assert_eq!(calls.len(), 2);
}

#[tokio::test]
async fn a_hundred_callers_who_find_both_tokens_stale_are_one_call_for_each() {
    let world = World::with_authorizer().await;
    world.pass(HOUR * 2).await;
    world.simulator.reset_calls();
    let answer = ask_at_once(&world, &json!({ "authorizer_appid": appid() })).await;
    world.assert_good(answer["access_token"].as_str().unwrap());
    let calls = world.new_wechat_calls();
    assert_eq!(calls["api_component_token"], 1);
    assert_eq!(calls["api_authorizer_token"], 1);
}

#[tokio::test]
async fn callers_that_wait_for_a_renewal_that_fails_share_its_error() {
    let world = World::with_authorizer().await;
    world.pass(HOUR * 2).await;
    world.ask(json!({ "component": true })).await.unwrap();
    world.simulator.reset_calls();
    let refused = Fault::new("api_authorizer_token", FaultEffect::Errcode(61004));
    world
        .simulator
        .fault(refused.after(Duration::from_millis(300)));
    let mut callers = JoinSet::new();
    for _caller in 0..20 {
        let functions = world.functions.clone();
        let request = json!({ "authorizer_appid": appid() });
        callers.spawn(async move { ask(&functions, &request).await });
    }
    for answer in callers.join_all().await {
        let error = answer.unwrap_err();
        assert_eq!(error.code(), "wechat_rejected");
        assert!(error.advice().contains("white-list"), "{}", error.advice());
        assert_tells_nothing(&error);
    }
    assert_eq!(world.wechat_calls("api_authorizer_token"), 1);
}

/// A worker has taken the lease and crashed.
async fn crash_holding_the_lease(world: &World, pk: &str) {
    let row = world.row(pk).await.unwrap();
    let until = AttributeValue::N((world.clock.now() + 600).to_string());
    let seq = AttributeValue::N((number(&row, "lease_seq") + 1).to_string());
    let generation = AttributeValue::N((number(&row, "generation") + 1).to_string());
    world.set(pk, "lease_until", until).await;
    world.set(pk, "lease_seq", seq).await;
    world.set(pk, "generation", generation).await;
}

#[tokio::test]
async fn a_crashed_holder_keeps_no_caller_waiting_longer_than_its_lease() {
    let world = World::with_authorizer().await;
    let first = world.token(appid()).await.unwrap();
    world.clock.advance(7000);
    world.push_ticket().await;
    crash_holding_the_lease(&world, &row_key()).await;
    crash_holding_the_lease(&world, "component#token").await;
    world.simulator.reset_calls();
    let soon = || Deadline::after(Duration::from_millis(400));
    let getter = &world.functions.token_getter;
    // If waiting brings no renewal, a token that is still good is served, and no other.
    let request = json!({ "authorizer_appid": appid() });
    let answer = getter.handle(&request, soon()).await.unwrap();
    assert_eq!(answer["access_token"], first);
    let insisting = json!({ "authorizer_appid": appid(), "min_valid_secs": 300 });
    check_code(
        getter.handle(&insisting, soon()).await,
        "wechat_unavailable",
    );
    world.clock.advance(200);
    check_code(getter.handle(&request, soon()).await, "wechat_unavailable");
    let component = json!({ "component": true });
    check_code(
        getter.handle(&component, soon()).await,
        "wechat_unavailable",
    );
    assert_eq!(world.new_wechat_calls().len(), 0);

    world.clock.advance(400);
    let answer = world.ask(request).await.unwrap();
    world.assert_good(answer["access_token"].as_str().unwrap());
    let calls = world.new_wechat_calls();
    assert_eq!(calls["api_component_token"], 1);
    assert_eq!(calls["api_authorizer_token"], 1);
}

#[tokio::test]
async fn while_wechat_or_the_table_fails_a_token_that_lasts_long_enough_is_served() {
    let world = World::with_authorizer().await;
    let first = world.token(appid()).await.unwrap();
    let cut_off = world.without_wechat().await;
    let default = json!({ "authorizer_appid": appid() });
    let insisting = json!({ "authorizer_appid": appid(), "min_valid_secs": 300 });
    let modest = json!({ "authorizer_appid": appid(), "min_valid_secs": 100 });
    let rotating = json!({ "authorizer_appid": appid(), "rotate_if": first });
    let before = text(&world.authorizer_row(appid()).await, "refresh_token");
    world.clock.advance(7000);
    for good_enough in [&default, &modest] {
        let answer = ask(&cut_off, good_enough).await.unwrap();
        assert_eq!(answer["access_token"], first);
        assert_eq!(answer["expires_at"], world.clock.now() + 200);
    }
    check_code(ask(&cut_off, &insisting).await, "wechat_unavailable");
    check_code(ask(&cut_off, &rotating).await, "wechat_unavailable");
    world.wire.cut("PutItem", Cut::Before, 1000);
    let answer = ask(&world.functions, &default).await.unwrap();
    assert_eq!(answer["access_token"], first);
    check_code(ask(&world.functions, &insisting).await, "store_unavailable");
    world.wire.mend();
    world.clock.advance(200);
    check_code(ask(&cut_off, &default).await, "wechat_unavailable");

    // The refresh token is unchanged, and WeChat works again.
    let row = world.authorizer_row(appid()).await;
    assert_eq!(text(&row, "refresh_token"), before);
    world.push_ticket().await;
    world.assert_good(&world.token(appid()).await.unwrap());
}

/// An outage is met by an instance that has not fetched the secret.
#[tokio::test]
async fn without_secrets_manager_fresh_tokens_are_served_and_a_renewal_has_its_error() {
    let world = World::with_authorizer().await;
    let secrets = &world.emulators.secrets;
    let component = json!({ "component": true });
    let authorizer = json!({ "authorizer_appid": appid() });
    for outage in [Outage::Denied, Outage::Broken, Outage::Hangs] {
        let functions = Functions::start(&world.parts).await.unwrap();
        secrets.fail(Some(outage));
        ask(&functions, &component).await.unwrap();
        let fresh = ask(&functions, &authorizer).await.unwrap();
        let refused = &fresh["access_token"];
        world.assert_good(refused.as_str().unwrap());
        let before = world.rows().await;
        let rotating = json!({ "authorizer_appid": appid(), "rotate_if": refused });
        let error = ask(&functions, &rotating).await.unwrap_err();
        assert_eq!(error.code(), "store_unavailable", "{outage:?}");
        assert!(error.advice().contains("log"), "{}", error.advice());
        assert_tells_nothing(&error);
        // A token that is good, if not for long, is better than the error.
        world.clock.advance(7000);
        assert_eq!(ask(&functions, &authorizer).await.unwrap(), fresh);
        let insisting = json!({ "component": true, "min_valid_secs": 3600 });
        check_code(ask(&functions, &insisting).await, "store_unavailable");
        // No other caller is held back: not a row has changed.
        assert_eq!(world.rows().await, before);

        secrets.fail(None);
        world.push_ticket().await;
        let renewed = ask(&functions, &rotating).await.unwrap();
        assert_ne!(renewed["access_token"], *refused);
        // The secret was fetched once, and is kept.
        secrets.fail(Some(outage));
        let refused = &renewed["access_token"];
        let rotating = json!({ "authorizer_appid": appid(), "rotate_if": refused });
        ask(&functions, &rotating).await.unwrap();
        world.pass(HOUR * 2).await;
        let insisting = json!({ "authorizer_appid": appid(), "min_valid_secs": 3600 });
        ask(&functions, &insisting).await.unwrap();
        secrets.fail(None);
    }
}
