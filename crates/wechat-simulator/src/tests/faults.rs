//! Each kind of fault, as a client sees it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{SHOP, World};
use crate::clock::sleep_real;
use crate::{Fault, FaultEffect, FaultError};

mod answers;

async fn spoil(world: &World, fault: Value) {
    world.call("/_sim/faults", fault).await;
}

/// The path and body of a call that exchanges a new code.
async fn exchange(world: &World) -> (String, Value) {
    let token = world.component_token().await;
    let code = world.simulator.authorize_unpushed(SHOP).unwrap().auth_code;
    let path = format!("/cgi-bin/component/api_query_auth?access_token={token}");
    (
        path,
        json!({"component_appid": "wx0123456789abcdef", "authorization_code": code}),
    )
}

fn exchanged(world: &World) -> bool {
    world
        .simulator
        .authorizer(SHOP)
        .unwrap()
        .refresh_token
        .is_some()
}

#[tokio::test]
async fn an_ordered_answer_comes_as_often_as_ordered_and_nothing_happens() {
    let world = World::start().await;
    let (path, body) = exchange(&world).await;
    spoil(
        &world,
        json!({"endpoint": "api_query_auth", "errcode": 45011, "times": 2}),
    )
    .await;
    spoil(&world, json!({"endpoint": "*", "http_status": 503})).await;
    spoil(
        &world,
        json!({"endpoint": "api_query_auth", "body": "garbage"}),
    )
    .await;
    for _ in 0..2 {
        assert_eq!(world.errcode(&path, body.clone()).await, 45011);
    }
    assert_eq!(world.post(&path, &body).await, Some((503, String::new())));
    assert_eq!(
        world.post(&path, &body).await,
        Some((200, "garbage".to_owned()))
    );
    assert!(!exchanged(&world));
    world.call(&path, body).await;
    assert!(exchanged(&world));
    assert_eq!(world.simulator.calls()["api_query_auth"], 5);
}

#[tokio::test]
async fn a_reset_closes_the_connection_before_the_effect() {
    let world = World::start().await;
    let (path, body) = exchange(&world).await;
    spoil(&world, json!({"endpoint": "api_query_auth", "reset": true})).await;
    assert_eq!(world.post(&path, &body).await, None);
    assert!(!exchanged(&world));
    world.call(&path, body).await;
    assert!(exchanged(&world));
}

#[tokio::test]
async fn a_lost_answer_closes_the_connection_after_the_effect() {
    let world = World::start().await;
    let (path, body) = exchange(&world).await;
    spoil(
        &world,
        json!({"endpoint": "api_query_auth", "answer_lost": true}),
    )
    .await;
    assert_eq!(world.post(&path, &body).await, None);
    assert!(exchanged(&world));
    assert_eq!(world.errcode(&path, body).await, 61010);
}

#[tokio::test]
async fn nothing_at_all_is_sent_when_the_connection_closes() {
    let world = World::start().await;
    let fault = Fault::new("api_component_token", FaultEffect::Reset);
    world.simulator.fault(fault);
    let address = world.base.trim_start_matches("http://");
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = b"POST /cgi-bin/component/api_component_token HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";
    stream.writable().await.unwrap();
    assert_eq!(stream.try_write(request).unwrap(), request.len());
    stream.readable().await.unwrap();
    assert!(matches!(stream.try_read(&mut [0; 16]), Ok(0) | Err(_)));
}

#[tokio::test]
async fn a_delay_passes_before_the_effect_which_happens_though_the_caller_hangs_up() {
    let world = World::start().await;
    let (path, body) = exchange(&world).await;
    let fault = Fault::delay("api_query_auth", Duration::from_millis(300));
    world.simulator.fault(fault);
    let early = tokio::time::timeout(Duration::from_millis(100), world.post(&path, &body)).await;
    assert!(early.is_err());
    assert!(!exchanged(&world));
    sleep_real(Duration::from_millis(400)).await;
    assert!(exchanged(&world));
}

#[tokio::test]
async fn a_late_answer_comes_after_the_effect() {
    let world = World::start().await;
    let (path, body) = exchange(&world).await;
    spoil(
        &world,
        json!({"endpoint": "api_query_auth", "answer_delay_ms": 300}),
    )
    .await;
    let early = tokio::time::timeout(Duration::from_millis(100), world.post(&path, &body)).await;
    assert!(early.is_err());
    assert!(exchanged(&world));
}

#[tokio::test]
async fn faults_are_listed_and_cleared() {
    let world = World::start().await;
    let fault = json!({"endpoint": "send", "errcode": 45011, "times": 2});
    spoil(&world, fault.clone()).await;
    let faults = world.get("/_sim/faults").await;
    assert_eq!(
        serde_json::from_str::<Value>(&faults).unwrap(),
        json!([fault])
    );
    let request = world.client.delete(format!("{}/_sim/faults", world.base));
    assert_eq!(request.send().await.unwrap().status().as_u16(), 200);
    assert_eq!(world.get("/_sim/faults").await, "[]");
    assert_eq!(world.simulator.faults(), []);
}

#[tokio::test]
async fn a_fault_that_could_never_spoil_a_call_is_refused() {
    let world = World::start().await;
    for (fault, why) in [
        (
            json!({"endpoint": "send", "errcode": -1, "times": 0}),
            "at least 1",
        ),
        (
            json!({"endpoint": "api_nothing", "errcode": -1}),
            "no endpoint is named",
        ),
    ] {
        let (status, answer) = world.post("/_sim/faults", &fault).await.unwrap();
        assert!(status == 400 && answer.contains(why), "{answer}");
    }
    let fault = Fault::new("api_nothing", FaultEffect::Reset);
    let refused = FaultError::UnknownEndpoint("api_nothing".to_owned());
    assert_eq!(world.simulator.try_fault(fault), Err(refused));
}
