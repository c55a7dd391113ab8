//! What is refused at the message URL, and what is taken and goes nowhere.

use super::*;
use crate::world::log::Log;

#[track_caller]
fn check(answer: &(StatusCode, String), status: u16) {
    assert_eq!(answer.0.as_u16(), status);
    assert_eq!(answer.1, "this push is not accepted");
}

async fn post(world: &World, path: &str, query: &str, body: &str) -> (StatusCode, String) {
    let request = http::Request::post(format!("{path}?{query}"));
    let request = request.body(body.as_bytes().to_vec()).unwrap();
    let response = world.functions.message_receiver.handle(request).await;
    (response.status(), response.into_body())
}

#[tokio::test]
async fn what_is_not_sealed_right_is_refused_as_at_the_events_url() {
    let world = World::with_authorizer().await;
    let push = world.sealed(&message("1", "a"));
    let path = format!("/wechat/{}/messages", appid());
    let forged = push.query.replace("nonce=987654321", "nonce=987654322");
    check(&post(&world, &path, &forged, &push.body).await, 403);
    check(&post(&world, &path, "", &push.body).await, 403);
    check(&post(&world, &path, &push.query, "").await, 403);
    let broken = push.body.replace("</xml>", "");
    check(&post(&world, &path, &push.query, &broken).await, 400);
    let doctype = format!("<!DOCTYPE x>{}", push.body);
    check(&post(&world, &path, &push.query, &doctype).await, 400);
    let large = format!("{}{}", push.body, " ".repeat(64 * 1024));
    check(&post(&world, &path, &push.query, &large).await, 400);
    world.clock.advance(3601);
    check(&post(&world, &path, &push.query, &push.body).await, 403);
    let doctype = "<!DOCTYPE x><xml><MsgType>text</MsgType></xml>";
    check(&world.message(appid(), doctype).await, 400);
    assert_eq!(world.bus(), [Value::Null; 0]);
}

#[tokio::test]
async fn a_path_that_names_no_account_or_another_one_is_refused() {
    let world = World::with_authorizer().await;
    let push = world.sealed(&message("1", "a"));
    for malformed in [
        "/wechat/$APPID$/messages",
        "/wechat//messages",
        "/wechat/messages",
        "/wechat/wx1/messages",
        "/wechat/wxFEDCBA9876543210/messages",
        "/wechat/wx1a2b3c4d5e6f7081/message",
        "/",
    ] {
        check(&post(&world, malformed, &push.query, &push.body).await, 400);
    }
    let other = wechat_simulator::DEMO_APPIDS[1];
    world.authorize(other).await;
    let to = world.user_name(other).await;
    let plain =
        format!("<xml><ToUserName>{to}</ToUserName><MsgType>text</MsgType><MsgId>1</MsgId></xml>");
    check(&world.message(appid(), &plain).await, 400);
    assert_eq!(world.bus(), [Value::Null; 0]);
    world.send(other, &plain).await;
    assert_eq!(world.bus().len(), 1);
}

#[tokio::test]
async fn an_account_whose_own_id_is_not_known_gets_its_messages() {
    let world = World::with_ticket().await;
    world.fault(
        "api_get_authorizer_info",
        wechat_simulator::FaultEffect::Errcode(48001),
    );
    world.authorize(appid()).await;
    assert!(
        !world
            .authorizer_row(appid())
            .await
            .contains_key("user_name")
    );
    let plain = "<xml><ToUserName>gh_1</ToUserName><MsgType>text</MsgType><MsgId>1</MsgId></xml>";
    world.send(appid(), plain).await;
    assert_eq!(world.bus().len(), 1);
    // Nothing is ever learnt from a message.
    assert!(
        !world
            .authorizer_row(appid())
            .await
            .contains_key("user_name")
    );
}

#[tokio::test]
async fn a_message_to_an_account_that_has_not_authorized_is_taken_and_not_delivered() {
    let world = World::with_ticket().await;
    let log = Log::listen();
    world.send(appid(), &message("1", "a")).await;
    assert_eq!(log.lines("unknown_authorizer").len(), 1);
    world.authorize(appid()).await;
    // Unknown accounts are not remembered as such.
    world.send(appid(), &message("2", "a")).await;
    assert_eq!(world.bus().len(), 1);
    world.clock.advance(300);
    world.revoke(appid()).await;
    world.send(appid(), &message("3", "a")).await;
    assert_eq!(log.lines("authorization_revoked").len(), 1);
    assert_eq!(world.bus().len(), 1);
}

#[tokio::test]
async fn what_is_no_message_at_all_is_taken_and_logged() {
    let world = World::with_authorizer().await;
    let log = Log::listen();
    for plain in ["hello", "", "<xml></xml>", "<a>1</a>", "[1]"] {
        world.send(appid(), plain).await;
    }
    assert_eq!(log.lines("neither XML nor JSON").len(), 5);
    assert_eq!(world.bus(), [Value::Null; 0]);
}

#[tokio::test]
async fn the_schedule_passes_over_rows_that_it_cannot_read() {
    let world = World::with_authorizer().await;
    let pk = "message#of-a-version-to-come";
    let number = |n: u64| aws_sdk_dynamodb::types::AttributeValue::N(n.to_string());
    world.set(pk, "due_shard", number(16)).await;
    world.set(pk, "due_at", number(1)).await;
    let run = world.refresh().await;
    assert_eq!((&run["delivered"], &run["failed"]), (&json!(0), &json!(0)));
}
