//! How long callers and flows wait, and for what.

use std::time::{Duration, Instant};

use component_core::row::need::Need;
use component_core::time::Deadline;
use local::emulators::secret;
use local::secrets::Outage;
use serde_json::{Value, json};
use wechat_simulator::{DEMO_APPIDS, Fault, FaultEffect, Settings};

use crate::world::rows::number;
use crate::world::{World, appid, deadline};

/// The functions wait fifty times as fast as the world's clock.
const PACE: u64 = 50;

#[tokio::test]
async fn what_wechat_has_just_refused_is_not_asked_again_for_each_caller() {
    for errcode in [45009, 45011, 61004, 40125] {
        let world = World::with_ticket().await;
        let fault = Fault::new("api_component_token", FaultEffect::Errcode(errcode));
        world.simulator.fault(fault.times(1));
        world.simulator.reset_calls();
        for _caller in 0..20 {
            let refused = world.ask(json!({ "component": true })).await.unwrap_err();
            assert_eq!(refused.code(), "wechat_rejected");
            assert!(refused.advice().contains(&errcode.to_string()));
        }
        assert_eq!(world.wechat_calls("api_component_token"), 1);
        // The quota of a minute is counted anew with each minute.
        world.clock.advance(if errcode == 45011 { 60 } else { 3 });
        world.ask(json!({ "component": true })).await.unwrap();
    }
}

/// The app secret was reset in WeChat's console, and the operator has not stored the new one yet.
async fn world_with_a_reset_app_secret() -> World {
    let world = World::with_authorizer().await;
    let reset = |settings: &mut Settings| settings.component_appsecret = "e".repeat(32);
    world.simulator.change_settings(reset);
    world.pass(Duration::from_hours(2)).await;
    world
}

/// Asks so often that the next try is minutes away.
async fn be_refused_for_long(world: &World, request: &Value) {
    for _try in 0..9 {
        world.ask(request.clone()).await.unwrap_err();
        world.clock.advance(300);
    }
    world.push_ticket().await;
    world.ask(request.clone()).await.unwrap_err();
    world.simulator.reset_calls();
}

#[tokio::test]
async fn a_new_version_of_the_secret_ends_what_wechat_refused_under_the_one_before() {
    for request in [
        json!({ "component": true }),
        json!({ "authorizer_appid": appid() }),
    ] {
        let world = world_with_a_reset_app_secret().await;
        be_refused_for_long(&world, &request).await;

        // Another mistake: it is tried once, by the first caller who sees it.
        world.clock.advance(60);
        world.emulators.secrets.put(secret(&Settings {
            component_appsecret: "f".repeat(32),
            ..Settings::example()
        }));
        for _caller in 0..5 {
            let refused = world.ask(request.clone()).await.unwrap_err();
            assert_eq!(refused.code(), "wechat_rejected");
            world.clock.advance(1);
        }
        assert_eq!(world.wechat_calls("api_component_token"), 1);

        let right = Settings {
            component_appsecret: "e".repeat(32),
            ..Settings::example()
        };
        world.emulators.secrets.put(secret(&right));
        // Callers look once a minute.
        world.ask(request.clone()).await.unwrap_err();
        assert_eq!(world.wechat_calls("api_component_token"), 1);
        world.clock.advance(60);
        world.ask(request).await.unwrap();
    }
}

#[tokio::test]
async fn a_caller_for_an_account_meets_no_failure_that_a_success_elsewhere_has_ended() {
    let world = world_with_a_reset_app_secret().await;
    let request = json!({ "authorizer_appid": appid() });
    be_refused_for_long(&world, &request).await;
    world.ask(request.clone()).await.unwrap_err();
    assert_eq!(world.wechat_calls("api_component_token"), 0);

    // The vendor takes the reset back, and the schedule tries.
    let back = |settings: &mut Settings| *settings = Settings::example();
    world.simulator.change_settings(back);
    let need = Need::lasting(Duration::from_mins(15)).by_schedule();
    let refresher = &world.functions.token_refresher.component;
    refresher.access_token(&need, deadline()).await.unwrap();
    world.ask(request).await.unwrap();
}

#[tokio::test]
async fn what_was_refused_for_this_address_is_tried_again_once_another_account_is_served() {
    let world = World::with_authorizer().await;
    world.authorize(DEMO_APPIDS[1]).await;
    world.pass(Duration::from_hours(2)).await;
    world.ask(json!({ "component": true })).await.unwrap();
    let fault = Fault::new("api_authorizer_token", FaultEffect::Errcode(61004));
    world.simulator.fault(fault.times(10));
    let request = json!({ "authorizer_appid": appid() });
    for _try in 0..10 {
        world.ask(request.clone()).await.unwrap_err();
        world.clock.advance(300);
    }
    world.ask(json!({ "component": true })).await.unwrap();
    let fault = Fault::new("api_authorizer_token", FaultEffect::Errcode(61004));
    world.simulator.fault(fault.times(1));
    world.ask(request.clone()).await.unwrap_err();
    world.clock.advance(1);
    world.ask(request.clone()).await.unwrap_err();
    world.token(DEMO_APPIDS[1]).await.unwrap();
    world.assert_good(&world.token(appid()).await.unwrap());
}

#[tokio::test]
async fn a_secret_that_cannot_be_looked_at_leaves_what_is_remembered() {
    let world = world_with_a_reset_app_secret().await;
    let request = json!({ "component": true });
    world.ask(request.clone()).await.unwrap_err();
    world.simulator.reset_calls();
    world.emulators.secrets.fail(Some(Outage::Broken));
    let refused = world.ask(request).await.unwrap_err();
    assert_eq!(refused.code(), "wechat_rejected");
    assert_eq!(world.wechat_calls("api_component_token"), 0);
}

#[tokio::test]
async fn a_lasting_refusal_is_retried_with_backoff_and_the_schedule_finds_its_end() {
    let world = World::with_authorizer().await;
    for (endpoint, request) in [
        ("api_component_token", json!({ "component": true })),
        (
            "api_authorizer_token",
            json!({ "authorizer_appid": appid() }),
        ),
    ] {
        world.pass(Duration::from_hours(2)).await;
        let fault = Fault::new(endpoint, FaultEffect::Errcode(45009));
        world.simulator.fault(fault.times(20));
        world.simulator.reset_calls();
        for _caller in 0..360 {
            world.clock.advance(10);
            let refused = world.ask(request.clone()).await.unwrap_err();
            assert_eq!(refused.code(), "wechat_rejected");
        }
        let calls = world.wechat_calls(endpoint);
        assert!((15..=20).contains(&calls), "{calls} calls in an hour");
        world.push_ticket().await;
        while world.wechat_calls(endpoint) < 20 {
            world
                .http
                .post(format!(
                    "{}/cgi-bin/component/{endpoint}",
                    world.parts.wechat_url
                ))
                .send()
                .await
                .unwrap();
        }
        // A row that was refused so often is put off for half an hour at most.
        world.pass(Duration::from_mins(30)).await;
        world.refresh().await;
        world.ask(request).await.unwrap();
    }
}

#[tokio::test]
async fn a_refused_ticket_is_sent_again_by_the_schedule_alone_until_it_is_pushed_again() {
    const ENDPOINT: &str = "api_component_token";
    let world = World::with_ticket().await;
    let fault = Fault::new(ENDPOINT, FaultEffect::Errcode(61006));
    world.simulator.fault(fault.times(2));
    world.fault("api_start_push_ticket", FaultEffect::Errcode(45009));
    for _caller in 0..20 {
        world.clock.advance(1);
        let refused = world.ask(json!({ "component": true })).await.unwrap_err();
        assert_eq!(refused.code(), "no_verify_ticket");
    }
    assert_eq!(world.wechat_calls(ENDPOINT), 1);
    assert_eq!(world.refresh().await["stopped"], "no_verify_ticket");
    assert_eq!(world.wechat_calls(ENDPOINT), 2);
    // WeChat pushes the same ticket again.
    world.push_ticket().await;
    world.ask(json!({ "component": true })).await.unwrap();
    assert_eq!(world.wechat_calls(ENDPOINT), 3);
}

#[tokio::test]
async fn a_token_that_is_still_good_costs_no_call_a_caller_while_wechat_refuses() {
    let world = World::with_authorizer().await;
    let first = world.token(appid()).await.unwrap();
    world.clock.advance(6950);
    world.push_ticket().await;
    let fault = Fault::new("api_authorizer_token", FaultEffect::Errcode(48001));
    world.simulator.fault(fault.times(1000));
    world.simulator.reset_calls();
    for _caller in 0..20 {
        assert_eq!(world.token(appid()).await.unwrap(), first);
    }
    assert_eq!(world.wechat_calls("api_authorizer_token"), 1);
}

#[tokio::test]
async fn a_caller_with_a_token_that_is_still_good_waits_for_one_call_to_a_wechat_that_hangs() {
    let world = World::with_authorizer().await;
    let first = world.token(appid()).await.unwrap();
    world.clock.advance(6950);
    world.push_ticket().await;
    let fault = Fault::delay("api_authorizer_token", Duration::from_secs(20));
    world.simulator.fault(fault.times(10));
    let asked = Instant::now();
    assert_eq!(world.token(appid()).await.unwrap(), first);
    // Five seconds: a call that is cut off earlier leaves the token in doubt without need.
    assert!(
        asked.elapsed() < Duration::from_millis(7500),
        "{:?}",
        asked.elapsed()
    );
}

#[tokio::test]
async fn a_promise_of_validity_holds_for_a_replaced_token_too() {
    let world = World::with_authorizer().await;
    world.token(appid()).await.unwrap();
    world.clock.advance(6950);
    world.push_ticket().await;
    let fault = Fault::new("api_authorizer_token", FaultEffect::Errcode(48001));
    world.simulator.fault(fault.times(1000));
    let request =
        json!({ "authorizer_appid": appid(), "rotate_if": "another", "min_valid_secs": 3600 });
    let refused = world.ask(request).await.unwrap_err();
    assert_eq!(refused.code(), "wechat_rejected");
}

#[tokio::test]
async fn a_crashed_exchange_holds_its_code_for_seconds_however_late_its_deadline() {
    let world = World::with_ticket().await;
    let consent = world.simulator.authorize_unpushed(appid()).unwrap();
    world.push_xml(&consent.notice).await;
    let batch = world.next_batch().expect("the notice is on the stream");
    let hanging = Fault::delay("api_query_auth", Duration::from_secs(30));
    world.simulator.fault(hanging);
    let functions = world.functions.clone();
    let event = batch.clone();
    let long = Deadline::after(Duration::from_mins(15));
    let dying = tokio::spawn(async move {
        let answer = functions.authorizer_sync.handle(&event, long).await;
        drop(answer);
    });
    let row = loop {
        let rows = world.rows().await;
        if let Some((_, row)) = rows.into_iter().find(|(pk, _)| pk.starts_with("code#")) {
            break row;
        }
        tokio::task::yield_now().await;
    };
    dying.abort();
    let held_back = number(&row, "lease_until") - world.clock.now();
    assert!(held_back <= 24 * PACE, "{held_back}");

    // The next worker finds the code free, and WeChat still takes it.
    world.clock.advance(held_back);
    world.sync(&batch).await.unwrap();
    world.assert_good(&world.token(appid()).await.unwrap());
}

#[tokio::test]
async fn a_denial_during_which_the_notice_arrives_is_told_at_once() {
    let world = World::with_ticket().await;
    let mut browser = crate::world::browser::Browser::default();
    let (back, notice) = world.consent(&mut browser, appid()).await;
    world.come_back(&browser, &back).await;
    world.simulator.revoke_unpushed(appid()).unwrap();
    world.clock.advance(7200);
    world.push_ticket().await;
    // The notice is handled while WeChat is asked for the token.
    let slow = Fault::delay("api_authorizer_token", Duration::from_millis(400));
    world.simulator.fault(slow);
    let asked = Instant::now();
    let (refused, ()) = tokio::join!(world.token(appid()), async {
        world.push_xml(&notice).await;
        world.deliver().await;
    });
    assert_eq!(refused.unwrap_err().code(), "authorization_revoked");
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
}
