//! Two stacks on one component end each other's tokens: each of them logs it.

use std::sync::Arc;
use std::time::Duration;

use component_core::row::need::Need;
use http::StatusCode;
use local::emulators::{Emulators, secret};
use local::functions::{Functions, Parts};
use local::secrets::SecretsManager;
use serde_json::json;
use wechat_simulator::{FaultEffect, Settings};

use crate::world::log::Log;
use crate::world::{World, deadline};

const COMPLAINT: &str = "another stack renews the tokens of this component";

/// A second stack for the same component, with a table of its own, such as a test stack next to
/// production.
async fn another_stack(world: &World) -> Arc<Functions> {
    let connector = component_core::http::connector(world.http.clone());
    let settings = Settings::example();
    let secrets = SecretsManager::new(secret(&settings), world.clock.clone());
    let emulators = Emulators::start(&connector, None, secrets);
    let emulators = emulators.await.unwrap();
    let parts = Parts {
        dynamodb: emulators.dynamodb,
        secretsmanager: emulators.secretsmanager,
        ..world.parts.clone()
    };
    Arc::new(Functions::start(&parts).await.unwrap())
}

/// WeChat pushes to one address only, so the operator of two stacks forwards the pushes.
async fn pass_the_ticket_on(world: &World, other: &Functions) {
    let ticket = world.row("component#ticket").await.unwrap();
    let plain = format!(
        "<xml><AppId>wx0123456789abcdef</AppId><CreateTime>{}</CreateTime><InfoType>component_verify_ticket</InfoType><ComponentVerifyTicket>{}</ComponentVerifyTicket></xml>",
        world.clock.now(),
        ticket["ticket"].as_s().unwrap()
    );
    let push = world.sealed(&plain);
    let request = http::Request::post(format!("/wechat/events?{}", push.query));
    let request = request.body(push.body.into()).unwrap();
    let response = other.ticket_receiver.handle(request).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn two_stacks_that_end_each_others_tokens_are_named_in_the_log_of_both() {
    let log = Log::listen();
    let world = World::with_authorizer().await;
    let other = another_stack(&world).await;
    pass_the_ticket_on(&world, &other).await;
    assert_eq!(log.lines(COMPLAINT), [""; 0]);
    for stack in [&other, &world.functions] {
        // One stack renews. Five minutes later WeChat refuses the token of the other.
        let need = Need::lasting(Duration::from_secs(7199));
        let renewed = stack
            .token_refresher
            .component
            .access_token(&need, deadline());
        renewed.await.unwrap();
        world.pass(Duration::from_secs(301)).await;
        pass_the_ticket_on(&world, &other).await;
        let complaints = log.lines(COMPLAINT).len();
        for stack in [&world.functions, &other] {
            let sync = &stack.authorizer_sync;
            sync.handle(&json!({}), deadline()).await.unwrap();
        }
        assert_eq!(log.lines(COMPLAINT).len(), complaints + 1);
    }
    for line in log.lines(COMPLAINT) {
        assert!(line.contains("ERROR"), "{line}");
        assert!(line.contains("wx0123456789abcdef"), "{line}");
    }
}

#[tokio::test]
async fn a_stack_whose_own_answers_get_lost_does_not_suspect_another() {
    let log = Log::listen();
    let world = World::with_authorizer().await;
    // WeChat issues tokens whose answers get lost; the token before expires in five minutes.
    world.fault("api_component_token", FaultEffect::AnswerLost);
    world.pass(Duration::from_secs(6301)).await;
    world.refresh().await;
    world.end_faults("api_component_token").await;
    world.pass(Duration::from_secs(301)).await;
    world.reconcile().await.unwrap();
    assert_eq!(log.lines(COMPLAINT), [""; 0]);
    assert!(!log.lines("WARN").is_empty(), "it did fail");
}
