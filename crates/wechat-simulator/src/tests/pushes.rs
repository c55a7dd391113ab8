//! Pushes as a receiver sees them, and ordered pushes.

use serde_json::json;

use super::{NOW, Receiver, SHOP, World};
use crate::cipher::{AesKey, sign};
use crate::push::notice::{cdata, element};
use crate::{Attempt, Settings};

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

#[tokio::test]
async fn a_create_time_at_the_end_of_time_is_pushed() {
    let (world, receiver) = receiving_world().await;
    let mut expected = Vec::new();
    for create_time in [u64::MAX, u64::MAX - 3600, u64::MAX / 2 + 1, 0] {
        let order = json!({"info_type": "authorized", "create_time": create_time});
        assert_eq!(world.call("/_sim/push", order).await["delivered"], true);
        expected.push(create_time.saturating_add(3600).to_string());
    }
    let pushes = receiver.opened();
    let ends = pushes
        .iter()
        .map(|xml| element(xml, "AuthorizationCodeExpiredTime").unwrap());
    assert_eq!(ends.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_clock_at_the_end_of_time_stops_nothing() {
    let (world, receiver) = receiving_world().await;
    world.call("/_sim/clock", json!({"now": u64::MAX})).await;
    world
        .call("/_sim/clock", json!({"advance_secs": u64::MAX}))
        .await;
    let token = world.component_token().await;
    world.authorize(&token).await;
    assert!(world.simulator.push_ticket().await.delivered);
    assert_eq!(receiver.opened().len(), 1);
}

/// Plain texts that a receiver may get, sealed right: other types, odd shapes, no XML.
const ODD_TEXTS: [&str; 9] = [
    // A trial mini program's authorization has no code.
    "<xml><AppId>wx0123456789abcdef</AppId><CreateTime>1700000100</CreateTime>\
     <InfoType>authorized</InfoType><AuthorizerAppid>wx1a2b3c4d5e6f7081</AuthorizerAppid></xml>",
    "<xml><AppId><![CDATA[wx0123456789abcdef]]></AppId><CreateTime>1700000400</CreateTime>\
     <InfoType><![CDATA[notify_third_fasteregister]]></InfoType><appid>wxffff</appid>\
     <status>0</status><auth_code><![CDATA[queryauthcode@@@x]]></auth_code><msg>OK</msg>\
     <info><name><![CDATA[A & B]]></name><code_type>1</code_type></info></xml>",
    "<xml><ToUserName>gh_0123456789ab</ToUserName><FromUserName>oX</FromUserName>\
     <CreateTime>1700000400</CreateTime><MsgType>event</MsgType><Event>subscribe</Event></xml>",
    "<xml><InfoType>order_path_apply_result_notify</InfoType><Name>A & B</Name></xml>",
    "<xml><InfoType><![CDATA[news]]></InfoType><Text><![CDATA[a]]]]><![CDATA[>b]]></Text></xml>",
    "<?xml version=\"1.0\"?>\n<!DOCTYPE xml [<!ENTITY a \"b\">]><xml><InfoType>&a;</InfoType></xml>",
    "<xml><InfoType>unclosed",
    "{\"Event\": \"channels_ec_order_new\", \"CreateTime\": 1700000400}",
    "",
];

#[tokio::test]
async fn any_text_is_pushed_as_it_is() {
    let (world, receiver) = receiving_world().await;
    for text in ODD_TEXTS {
        assert_eq!(
            world.call("/_sim/push", json!({"xml": text})).await["delivered"],
            true
        );
    }
    assert_eq!(receiver.opened(), ODD_TEXTS);
}

#[tokio::test]
async fn a_body_of_raw_xml_is_pushed_without_json_around_it() {
    let (world, receiver) = receiving_world().await;
    let xml = " <xml><InfoType>news</InfoType><Name>A & B</Name></xml>\n";
    let (status, answer) = world.post_text("/_sim/push", xml.to_owned()).await.unwrap();
    assert!(
        status == 200 && answer.contains("\"delivered\":true"),
        "{answer}"
    );
    assert_eq!(receiver.opened(), [xml]);
    assert!(world.get("/_sim/state").await.contains("\"kind\":\"news\""));
}

#[tokio::test]
async fn bytes_that_are_no_text_are_sealed_right_too() {
    let (world, receiver) = receiving_world().await;
    let order = json!({"xml_base64": "PHhtbD7/PC94bWw+"});
    assert_eq!(world.call("/_sim/push", order).await["delivered"], true);
    let requests = receiver.requests.lock().unwrap();
    let settings = Settings::example();
    let key = AesKey::parse(&settings.encoding_aes_key).unwrap();
    let encrypt = element(&requests[0].1, "Encrypt").unwrap();
    let opened = key.decrypt_bytes(encrypt, &settings.component_appid);
    assert_eq!(opened.unwrap(), b"<xml>\xff</xml>");
}
