//! How many calls and requests each flow may cost.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use component_core::aws::Aws;
use component_core::time::Clock;
use component_core::wechat::Wechat;
use serde_json::json;
use tokio::time::Instant;

use crate::world::browser::Browser;
use crate::world::{World, appid};

const HOUR: Duration = Duration::from_hours(1);

/// A server that takes connections and never answers.
#[derive(Debug)]
struct Silent;

impl HttpConnector for Silent {
    fn call(&self, _request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn opening_connections_costs_a_start_a_second_at_most() {
    let http = SharedHttpConnector::new(Silent);
    let aws = Aws {
        region: "us-east-1".to_owned(),
        credentials: Credentials::new("test", "test", None, None, "test"),
        dynamodb_url: None,
        secretsmanager_url: None,
        eventbridge_url: None,
        http: http.clone(),
    };
    let wechat = Wechat::new(http, "https://wechat.example", Clock::system()).unwrap();
    let began = Instant::now();
    wechat.warm().await;
    assert_eq!(began.elapsed().as_secs(), 1);
    aws.warm_dynamodb().await;
    assert_eq!(began.elapsed().as_secs(), 2);
}

fn counts(expected: &[(&str, u64)]) -> BTreeMap<String, u64> {
    expected
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

#[tokio::test]
async fn a_ticket_push_costs_one_write_and_no_read() {
    let world = World::with_ticket().await;
    for _push in 0..3 {
        world.clock.advance(600);
        world.wire.calls();
        world.simulator.reset_calls();
        world.push_ticket().await;
        assert_eq!(world.wire.calls(), counts(&[("UpdateItem", 1)]));
        assert_eq!(world.new_wechat_calls(), counts(&[]));
    }
}

#[tokio::test]
async fn a_notice_push_costs_one_write_and_no_read() {
    let world = World::with_ticket().await;
    let consent = world.simulator.authorize_unpushed(appid()).unwrap();
    world.wire.calls();
    world.push_xml(&consent.notice).await;
    assert_eq!(world.wire.calls(), counts(&[("PutItem", 1)]));
    assert_eq!(world.new_wechat_calls(), counts(&[]));
}

#[tokio::test]
async fn a_fresh_token_costs_one_read() {
    let world = World::with_authorizer().await;
    world.ask(json!({ "component": true })).await.unwrap();
    world.simulator.reset_calls();
    for request in [
        json!({ "authorizer_appid": appid() }),
        json!({ "component": true }),
    ] {
        world.wire.calls();
        world.ask(request).await.unwrap();
        assert_eq!(world.wire.calls(), counts(&[("GetItem", 1)]));
    }
    assert_eq!(world.new_wechat_calls(), counts(&[]));
}

#[tokio::test]
async fn a_refresh_costs_one_call_two_writes_and_one_read_an_authorizer() {
    const AUTHORIZERS: u64 = 40;
    let world = World::with_ticket().await;
    let one = |number: u64| format!("wx{number:016x}");
    for number in 0..AUTHORIZERS {
        let kind = wechat_simulator::AccountKind::OfficialAccount;
        world.simulator.add_account(&one(number), "a shop", kind);
        world.authorize(&one(number)).await;
    }
    world.pass(HOUR * 2).await;
    world.ask(json!({ "component": true })).await.unwrap();
    world.wire.calls();
    world.simulator.reset_calls();
    assert_eq!(world.refresh().await["renewed"], AUTHORIZERS);
    assert_eq!(
        world.new_wechat_calls(),
        counts(&[("api_authorizer_token", AUTHORIZERS)])
    );
    let mut calls = world.wire.calls();
    // A run also reads the index's shards, the ticket's watch, and the component token twice.
    assert_eq!(calls.remove("Query"), Some(32));
    assert_eq!(calls.remove("UpdateItem"), Some(1));
    assert!(calls.remove("GetItem").unwrap() <= AUTHORIZERS + 3);
    assert_eq!(calls, counts(&[("PutItem", AUTHORIZERS * 2)]));
}

#[tokio::test]
async fn a_visit_costs_nothing_and_a_click_one_call_one_read_and_at_most_two_writes() {
    let world = World::with_ticket().await;
    world.ask(json!({ "component": true })).await.unwrap();
    world.wire.calls();
    world.simulator.reset_calls();
    let visit = Browser::default().request("GET", "/auth/start");
    let deadline = crate::world::deadline();
    world.functions.auth_start.handle(visit, deadline).await;
    assert_eq!(world.wire.calls(), counts(&[]));
    assert_eq!(world.new_wechat_calls(), counts(&[]));
    world.click(&mut Browser::default(), "").await;
    assert_eq!(
        world.wire.calls(),
        counts(&[("GetItem", 1), ("PutItem", 1)])
    );
    assert_eq!(
        world.new_wechat_calls(),
        counts(&[("api_create_preauthcode", 1)])
    );
    // A link with a reference costs one more write, by which the notice finds the reference.
    world.click(&mut Browser::default(), "reference=a").await;
    let mut calls = world.wire.calls();
    // The component token may still be in memory.
    assert!(calls.remove("GetItem").unwrap_or_default() <= 1);
    assert_eq!(calls, counts(&[("PutItem", 2)]));
    assert_eq!(
        world.new_wechat_calls(),
        counts(&[("api_create_preauthcode", 1)])
    );
}
