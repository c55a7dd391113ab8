//! Pushes as a receiver sees them, and ordered pushes.

use serde_json::json;

use super::{NOW, Receiver, SHOP, World};
use crate::cipher::{AesKey, sign};
use crate::push::notice::{cdata, element};
use crate::{Attempt, Settings};

mod odd;

#[tokio::test]
async fn a_wrong_answer_is_tried_three_times_with_the_same_request() {
    let world = World::start().await;
    let wrong = [(200, "\"success\""), (201, "success"), (500, "")];
    let (receiver, url) = Receiver::start(&wrong).await;
    world.simulator.set_events_url(&url);
    let outcome = world.simulator.push_ticket().await;
    let attempt = |status, body_is_success| Attempt {
        status: Some(status),
        body_is_success,
    };
    let expected = [attempt(200, false), attempt(201, true), attempt(500, false)];
    assert_eq!(
        (outcome.attempts.as_slice(), outcome.delivered),
        (&expected[..], false)
    );
    let requests = receiver.requests.lock().unwrap();
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| *request == requests[0]));
}

#[tokio::test]
async fn success_ends_the_tries() {
    let world = World::start().await;
    let (receiver, url) = Receiver::start(&[(500, "later")]).await;
    world.simulator.set_events_url(&url);
    let outcome = world.simulator.push_ticket().await;
    assert_eq!((outcome.attempts.len(), outcome.delivered), (2, true));
    let pushes = receiver.opened();
    assert_eq!(pushes.len(), 2);
    assert_eq!(element(&pushes[0], "CreateTime"), Some("1700000000"));
}

#[tokio::test]
async fn an_unreachable_receiver_counts_as_three_attempts_without_a_status() {
    let world = World::start().await;
    assert_eq!(world.simulator.push_ticket().await.attempts, []);
    world.simulator.set_events_url("http://127.0.0.1:1/events");
    let outcome = world.simulator.push_ticket().await;
    assert_eq!((outcome.attempts.len(), outcome.delivered), (3, false));
    assert!(
        outcome
            .attempts
            .iter()
            .all(|attempt| attempt.status.is_none())
    );
}

#[tokio::test]
async fn tickets_come_every_ten_minutes_while_the_service_is_on() {
    let world = World::start().await;
    let (receiver, url) = Receiver::start(&[]).await;
    world.simulator.set_events_url(&url);
    let pushing = world.simulator.clone();
    let task = tokio::spawn(async move { pushing.run_ticket_pushes().await });
    assert_eq!(receiver.wait_for(1).await.len(), 1);
    world.simulator.clock().advance(600);
    let pushes = receiver.wait_for(2).await;
    let tickets: Vec<_> = pushes
        .iter()
        .map(|xml| element(xml, "ComponentVerifyTicket"))
        .collect();
    assert_eq!(tickets[0], tickets[1]);
    task.abort();
}

#[tokio::test]
async fn start_push_ticket_pushes_one_at_once() {
    let world = World::start().await;
    let (receiver, url) = Receiver::start(&[]).await;
    world.simulator.set_events_url(&url);
    let path = "/cgi-bin/component/api_start_push_ticket";
    let mut body = json!({"component_appid": "wx0123456789abcdef", "component_secret": "wrong"});
    assert_eq!(world.errcode(path, body.clone()).await, 40125);
    body["component_secret"] = json!(Settings::example().component_appsecret);
    assert_eq!(world.errcode(path, body).await, 0);
    let pushes = receiver.wait_for(1).await;
    assert_eq!(
        element(&pushes[0], "InfoType"),
        Some("component_verify_ticket")
    );
}

async fn receiving_world() -> (World, Receiver) {
    let world = World::start().await;
    let (receiver, url) = Receiver::start(&[]).await;
    let change = json!({"events_url": url});
    world.call("/_sim/settings", change).await;
    (world, receiver)
}

#[tokio::test]
async fn a_push_can_be_repeated_old_or_of_any_text() {
    let (world, receiver) = receiving_world().await;
    let order =
        json!({"info_type": "component_verify_ticket", "times": 2, "create_time": 1_600_000_000});
    let answer = world.call("/_sim/push", order).await;
    let attempt = json!({"status": 200, "body_is_success": true});
    let expected = json!({"attempts": [attempt, attempt], "delivered": true});
    assert_eq!(answer, expected);
    let order = json!({"xml": "<xml><InfoType>news</InfoType></xml>"});
    world.call("/_sim/push", order).await;
    let pushes = receiver.opened();
    assert_eq!(pushes[0], pushes[1]);
    assert_eq!(element(&pushes[0], "CreateTime"), Some("1600000000"));
    assert_eq!(pushes[2], "<xml><InfoType>news</InfoType></xml>");
    let requests = receiver.requests.lock().unwrap();
    assert_ne!(requests[0], requests[1]);
}

#[tokio::test]
async fn an_ordered_notice_authorizes_unless_it_is_stale() {
    let (world, receiver) = receiving_world().await;
    let token = world.component_token().await;
    let orders = [
        json!({"info_type": "authorized"}),
        json!({"info_type": "updateauthorized", "create_time": NOW - 60}),
        json!({"info_type": "unauthorized"}),
    ];
    for mut order in orders {
        order["authorizer_appid"] = json!(SHOP);
        world.call("/_sim/push", order).await;
    }
    let pushes = receiver.opened();
    let exchange = async |xml: &str| {
        let body = json!({"authorization_code": element(xml, "AuthorizationCode")});
        world.component("api_query_auth", &token, body).await
    };
    assert_eq!(exchange(&pushes[1]).await["errcode"], 61010);
    let exchanged = exchange(&pushes[0]).await;
    assert_eq!(exchanged["authorization_info"]["authorizer_appid"], SHOP);
    assert!(world.simulator.authorizer(SHOP).unwrap().authorized);
}

#[tokio::test]
async fn a_bad_order_is_refused() {
    let world = World::start().await;
    for (path, body, status) in [
        ("/_sim/push", json!({}), 400),
        ("/_sim/push", json!({"info_type": "nothing"}), 400),
        ("/_sim/push", json!({"xml": "<xml/>", "times": 0}), 400),
        (
            "/_sim/push",
            json!({"xml": "<xml/>", "info_type": "authorized"}),
            400,
        ),
        ("/_sim/push", json!({"xml_base64": "?"}), 400),
        (
            "/_sim/push",
            json!({"info_type": "authorized", "create_time": -1}),
            400,
        ),
        (
            "/_sim/push",
            json!({"info_type": "authorized", "create_time": 1e30}),
            400,
        ),
        (
            "/_sim/push",
            json!({"info_type": "authorized", "create_time": "soon"}),
            400,
        ),
        (
            "/_sim/push",
            json!({"info_type": "authorized", "authorizer_appid": "wx00"}),
            404,
        ),
        ("/_sim/revoke", json!({"authorizer_appid": "wx00"}), 404),
        ("/_sim/revoke", json!({"authorizer_appid": SHOP}), 400),
        (
            "/_sim/authorize",
            json!({"authorizer_appid": SHOP, "pre_auth_code": "x"}),
            400,
        ),
        (
            "/_sim/accounts",
            json!({"appid": "wx00", "name": "x", "kind": "mini_program"}),
            400,
        ),
        ("/_sim/settings", json!({"encoding_aes_key": "short"}), 400),
        ("/_sim/faults", json!({"endpont": "*"}), 400),
    ] {
        let (answered, _) = world.post(path, &body).await.unwrap();
        assert_eq!(answered, status, "{path} {body}");
    }
}

#[tokio::test]
async fn state_clock_and_calls_are_shown_without_secrets() {
    let world = World::start().await;
    let token = world.component_token().await;
    let tokens = world.authorize(&token).await;
    let account = json!({"appid": "wxaaaaaaaaaaaaaaaa", "name": "新店", "kind": "mini_program"});
    world.call("/_sim/accounts", account).await;
    let state = world.get("/_sim/state").await;
    assert!(state.contains("新店") && state.contains("\"code_exchanged\":true"));
    for secret in ["authorizer_access_token", "authorizer_refresh_token"] {
        assert!(!state.contains(tokens[secret].as_str().unwrap()));
    }
    assert_eq!(
        world.call("/_sim/clock", json!({"advance_secs": 60})).await["now"],
        NOW + 60
    );
    assert_eq!(
        world.call("/_sim/clock", json!({"now": NOW})).await["now"],
        NOW
    );
    assert_eq!(world.get("/_sim/clock").await, format!("{{\"now\":{NOW}}}"));
    let calls = json!({"api_component_token": 1, "api_query_auth": 1});
    assert_eq!(world.get("/_sim/calls").await, calls.to_string());
    world.call("/_sim/calls/reset", json!({})).await;
    assert_eq!(world.get("/_sim/calls").await, "{}");
}

#[tokio::test]
async fn a_message_is_pushed_to_the_account_and_its_reply_opened() {
    let world = World::start().await;
    let settings = Settings::example();
    let key = AesKey::parse(&settings.encoding_aes_key).unwrap();
    let encrypt = key.encrypt(
        *b"fedcba9876543210",
        b"<xml>hello</xml>",
        &settings.component_appid,
    );
    let signature = sign(&[&settings.token, "1700000301", "135792468", &encrypt]);
    let reply = format!(
        "<xml>{}{}<TimeStamp>1700000301</TimeStamp>{}</xml>",
        cdata("Encrypt", &encrypt),
        cdata("MsgSignature", &signature),
        cdata("Nonce", "135792468"),
    );
    let (receiver, url) = Receiver::start(&[(200, "no"), (200, reply.leak()), (200, "")]).await;
    world
        .simulator
        .set_messages_url(&url.replace("events", "$APPID$/messages"));
    let outcome = world.simulator.push_text(SHOP, "oX", "hi").await.unwrap();
    assert_eq!((outcome.attempts.len(), outcome.delivered), (2, true));
    assert_eq!(outcome.reply.as_deref(), Some("<xml>hello</xml>"));
    let order = json!({"authorizer_appid": SHOP, "text": "hi again"});
    assert_eq!(world.call("/_sim/message", order).await["delivered"], true);
    assert!(world.simulator.push_text("wx00", "oX", "hi").await.is_err());
    let requests = receiver.requests.lock().unwrap();
    let (query, body) = &requests[0];
    assert!(query.contains("&openid=oX&encrypt_type=aes&"));
    assert!(element(body, "ToUserName").unwrap().starts_with("gh_"));
    let encrypt = element(body, "Encrypt").unwrap();
    let xml = key.decrypt(encrypt, &settings.component_appid).unwrap();
    assert_eq!(element(&xml, "Content"), Some("hi"));
}
