//! Each file of `events/`, as Lambda would send it, through the function that the file is named
//! after.

use std::fs;
use std::path::Path;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use component_core::door;
use component_core::error::Error;
use http::{Request, StatusCode, header};
use serde_json::{Value, json};
use wechat_simulator::{AccountKind, DEMO_APPIDS};

use crate::world::browser::{Browser, location, parameter};
use crate::world::rows::{number, text};
use crate::world::{BEGINNING, HOST, World, appid, deadline};

/// The authorizer of the stored notices.
const AUTHORIZER: &str = "wxfedcba9876543210";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join("events").join(format!("{name}.json"))).unwrap()
}

/// The payload of an invocation.
pub(super) fn event(name: &str) -> Value {
    serde_json::from_str(&read(name)).unwrap()
}

/// The request that an HTTP function gets.
fn request(name: &str) -> Request<Vec<u8>> {
    door::request(event(name)).unwrap()
}

/// Sends an event to the ticket receiver.
async fn receive(world: &World, name: &str) -> (u16, String) {
    let answer = world.functions.ticket_receiver.handle(request(name)).await;
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/plain");
    (answer.status().as_u16(), answer.into_body())
}

async fn check_taken(world: &World, name: &str) {
    let answer = receive(world, name).await;
    assert_eq!(answer, (200, "success".to_owned()), "{name}");
}

/// Asks the token getter.
async fn get(world: &World, name: &str) -> Result<Value, Error> {
    world.ask(event(name)).await
}

/// Sends an event to the message receiver.
async fn write(world: &World, name: &str) -> (u16, String) {
    let receiver = &world.functions.message_receiver;
    let answer = receiver.handle(request(name)).await;
    (answer.status().as_u16(), answer.into_body())
}

#[tokio::test]
async fn ticket_receiver_stores_a_ticket() {
    let world = World::new().await;
    check_taken(&world, "ticket-receiver-ticket").await;
    let row = world.row("component#ticket").await.unwrap();
    assert_eq!(text(&row, "ticket"), "ticket@@@EXAMPLE-ticket_0001");
    assert_eq!(number(&row, "create_time"), BEGINNING - 1);
}

#[tokio::test]
async fn ticket_receiver_stores_a_ticket_that_another_implementation_sealed() {
    // This push was made with wechatpy 1.8.18 and pycryptodome.
    let world = World::new().await;
    check_taken(&world, "ticket-receiver-by-wechatpy").await;
    let row = world.row("component#ticket").await.unwrap();
    assert_eq!(text(&row, "ticket"), "ticket@@@sealed-by-wechatpy_0001");
    assert_eq!(number(&row, "create_time"), BEGINNING);
}

#[tokio::test]
async fn ticket_receiver_stores_an_authorization() {
    let world = World::new().await;
    check_taken(&world, "ticket-receiver-authorized").await;
    let rows = world.rows().await;
    let (_, row) = rows.first_key_value().unwrap();
    assert_eq!(text(row, "info_type"), "authorized");
    assert_eq!(text(row, "authorizer_appid"), AUTHORIZER);
    let code = text(row, "authorization_code");
    assert_eq!(code, "queryauthcode@@@EXAMPLE-code_0001");
    assert_eq!(rows.len(), 1);
}

#[tokio::test]
async fn ticket_receiver_stores_a_revocation_that_came_in_base64() {
    const NAME: &str = "ticket-receiver-unauthorized";
    assert_eq!(event(NAME)["isBase64Encoded"], true);
    let world = World::new().await;
    check_taken(&world, NAME).await;
    let rows = world.rows().await;
    let (_, row) = rows.first_key_value().unwrap();
    assert_eq!(text(row, "info_type"), "unauthorized");
    assert_eq!(text(row, "authorizer_appid"), AUTHORIZER);
    assert_eq!(rows.len(), 1);
}

#[tokio::test]
async fn ticket_receiver_stores_a_notice_of_another_kind() {
    let world = World::new().await;
    check_taken(&world, "ticket-receiver-unknown").await;
    let rows = world.rows().await;
    let (_, row) = rows.first_key_value().unwrap();
    assert!(!text(row, "content").contains("@@@"));
    assert_eq!(rows.len(), 1);
}

#[tokio::test]
async fn ticket_receiver_refuses_a_forgery() {
    let world = World::new().await;
    let answer = receive(&world, "ticket-receiver-forged").await;
    assert_eq!(answer, (403, "this push is not accepted".to_owned()));
    assert!(world.rows().await.is_empty());
}

#[tokio::test]
async fn message_receiver_delivers_a_text_and_an_event_that_another_implementation_sealed() {
    // These pushes were made with wechatpy 1.8.18 and pycryptodome.
    let world = World::with_authorizer().await;
    for name in ["message-receiver-text", "message-receiver-event"] {
        let answer = write(&world, name).await;
        assert_eq!(answer, (200, "success".to_owned()), "{name}");
    }
    let events = world.emulators.bus.events();
    let [text, event] = &events[events.len() - 2..] else {
        panic!("{events:?}");
    };
    assert_eq!(text["detail-type"], "Message Received");
    assert_eq!(text["detail"]["message"]["Content"], "你好 😀");
    assert_eq!(event["detail-type"], "Event Received");
    assert_eq!(event["detail"]["message"]["EventKey"], "menu-1");
}

#[tokio::test]
async fn message_receiver_stores_a_code_of_the_release_check_for_the_authorizer_sync() {
    let world = World::with_ticket().await;
    let answer = write(&world, "message-receiver-release-check").await;
    assert_eq!(answer, (200, String::new()));
    let stream = event("authorizer-sync-release-check");
    let pk = &stream["Records"][0]["dynamodb"]["Keys"]["pk"]["S"];
    assert!(world.row(pk.as_str().unwrap()).await.is_some());
    // The simulated WeChat did not make this code: the record is to come again.
    let failed = world.sync(&stream).await.unwrap();
    let number = &stream["Records"][0]["dynamodb"]["SequenceNumber"];
    assert_eq!(
        failed,
        json!({ "batchItemFailures": [{ "itemIdentifier": number }] })
    );
    assert_eq!(world.wechat_calls("api_query_auth"), 1);
}

#[tokio::test]
async fn auth_start_shows_a_page_and_changes_nothing() {
    let world = World::with_ticket().await;
    let before = world.rows().await;
    let visit = request("auth-start-visit");
    let page = world.functions.auth_start.handle(visit, deadline()).await;
    assert_eq!(page.status(), StatusCode::OK);
    assert!(page.body().contains("前往微信授权"));
    assert!(page.headers().get(header::SET_COOKIE).is_none());
    assert_eq!(world.rows().await, before);
    assert!(world.simulator.calls().is_empty());
}

#[tokio::test]
async fn auth_start_leads_a_click_to_wechat_and_back_here() {
    let world = World::with_ticket().await;
    let click = request("auth-start-click");
    let answer = world.functions.auth_start.handle(click, deadline()).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert!(answer.headers().contains_key(header::SET_COOKIE));
    let page = location(&answer);
    assert_eq!(page.path(), "/cgi-bin/componentloginpage");
    let back = parameter(&page, "redirect_uri");
    let state = back.strip_prefix(&format!("https://{HOST}/auth/callback?state="));
    let row = world.row(&format!("start#{}", state.unwrap())).await;
    assert_eq!(text(&row.unwrap(), "reference"), "shop-42");
    assert_eq!(world.wechat_calls("api_create_preauthcode"), 1);
}

#[tokio::test]
async fn auth_callback_refuses_an_unknown_state() {
    const NAME: &str = "auth-callback-unknown-state";
    let world = World::with_ticket().await;
    let before = world.rows().await;
    let back = request(NAME);
    let page = world.functions.auth_callback.handle(back, deadline()).await;
    assert_eq!(page.status(), StatusCode::BAD_REQUEST);
    assert!(page.body().contains("This page has expired"));
    assert_eq!(world.rows().await, before);
    assert!(world.simulator.calls().is_empty());
}

#[tokio::test]
async fn authorizer_sync_settles_the_notices_of_the_stream() {
    let world = World::with_ticket().await;
    let kind = AccountKind::OfficialAccount;
    world.simulator.add_account(AUTHORIZER, "a shop", kind);
    world.authorize(AUTHORIZER).await;
    check_taken(&world, "ticket-receiver-authorized").await;
    check_taken(&world, "ticket-receiver-unauthorized").await;

    // The records of the stream are those of these two notices.
    let stream = event("authorizer-sync-stream");
    let records = stream["Records"].as_array().unwrap();
    for record in records {
        let pk = &record["dynamodb"]["Keys"]["pk"]["S"];
        assert!(world.row(pk.as_str().unwrap()).await.is_some());
    }
    let answer = world.sync(&stream).await.unwrap();
    assert_eq!(answer, json!({ "batchItemFailures": [] }));
    let row = world.authorizer_row(AUTHORIZER).await;
    assert_eq!(text(&row, "status"), "revoked");
    assert_eq!(number(&row, "revoked_at"), 1_700_000_200);
    for record in records {
        let pk = &record["dynamodb"]["Keys"]["pk"]["S"];
        let row = world.row(pk.as_str().unwrap()).await.unwrap();
        assert_eq!(text(&row, "outcome"), "taken");
        assert!(!row.contains_key("authorization_code"));
    }
}

#[tokio::test]
async fn authorizer_sync_reconciles_once_a_day() {
    let world = World::with_authorizer().await;
    // No notice came for this account: WeChat has a refresh token for it, and the table has none.
    let mut browser = Browser::default();
    let (back, _lost) = world.consent(&mut browser, DEMO_APPIDS[1]).await;
    world.come_back(&browser, &back).await;
    let pk = format!("authorizer#{}", DEMO_APPIDS[1]);
    let delete = world.emulators.dynamodb.delete_item();
    let delete = delete.table_name(local::emulators::TABLE);
    let delete = delete.key("pk", AttributeValue::S(pk));
    delete.send().await.unwrap();

    let daily = event("authorizer-sync-daily");
    let summary = world.sync(&daily).await.unwrap();
    assert_eq!(summary["listed"], 2, "{summary}");
    let row = world.authorizer_row(DEMO_APPIDS[1]).await;
    assert_eq!(text(&row, "status"), "authorized");
    let token = world.token(DEMO_APPIDS[1]).await.unwrap();
    world.assert_good(&token);
}

#[tokio::test]
async fn token_refresher_renews_on_its_schedule() {
    let world = World::with_authorizer().await;
    let first = world.token(appid()).await.unwrap();
    world.pass(Duration::from_mins(90)).await;
    let refresher = &world.functions.token_refresher;
    let schedule = event("token-refresher-schedule");
    let summary = refresher.handle(&schedule, deadline()).await.unwrap();
    assert_eq!(summary["renewed"], 1, "{summary}");
    assert_eq!(summary["failed"], 0, "{summary}");
    let second = world.token(appid()).await.unwrap();
    assert_ne!(second, first);
    world.assert_good(&second);
}

#[tokio::test]
async fn token_getter_answers_an_authorizer_s_token() {
    let world = World::with_authorizer().await;
    let answer = get(&world, "token-getter-authorizer").await.unwrap();
    assert_eq!(answer["authorizer_appid"], appid());
    assert!(answer["expires_at"].as_u64().unwrap() >= BEGINNING + 600);
    world.assert_good(answer["access_token"].as_str().unwrap());
}

#[tokio::test]
async fn token_getter_answers_the_component_s_token() {
    let world = World::with_ticket().await;
    let answer = get(&world, "token-getter-component").await.unwrap();
    let token = answer["access_token"].as_str().unwrap();
    assert!(world.simulator.component_token_works(token));
    assert!(answer.get("authorizer_appid").is_none());
}

#[tokio::test]
async fn token_getter_refuses_what_it_does_not_understand() {
    let world = World::with_authorizer().await;
    let refused = get(&world, "token-getter-malformed").await.unwrap_err();
    assert_eq!(refused.code(), "invalid_request");
}

#[test]
fn every_event_has_the_name_of_a_crate_and_is_used_here() {
    let names = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(root().join(folder)).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    let crates = names("crates");
    let here = include_str!("events.rs");
    let events = names("events");
    assert!(!events.is_empty());
    for event in events {
        let name = event.strip_suffix(".json").unwrap();
        let its = |one: &String| name.starts_with(&format!("{one}-"));
        assert!(crates.iter().any(its), "no crate has the name of {event}");
        assert!(here.contains(&format!("\"{name}\"")), "{event} is not used");
    }
}

#[test]
fn every_http_event_is_what_the_gateway_sends() {
    for name in [
        "auth-callback-unknown-state",
        "auth-start-click",
        "auth-start-visit",
        "message-receiver-event",
        "message-receiver-release-check",
        "message-receiver-text",
        "ticket-receiver-authorized",
        "ticket-receiver-by-wechatpy",
        "ticket-receiver-forged",
        "ticket-receiver-ticket",
        "ticket-receiver-unauthorized",
        "ticket-receiver-unknown",
    ] {
        let event = event(name);
        let http = &event["requestContext"]["http"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        assert_eq!(event["version"], "2.0", "{name}");
        let mut path = text(&event["rawPath"]);
        for (parameter, value) in event["pathParameters"].as_object().into_iter().flatten() {
            path = path.replace(value.as_str().unwrap(), &format!("{{{parameter}}}"));
        }
        let route = format!("{} {path}", text(&http["method"]));
        assert_eq!(event["routeKey"], route, "{name}");
        let request = request(name);
        assert_eq!(request.method().as_str(), http["method"], "{name}");
        assert_eq!(request.uri().path(), event["rawPath"], "{name}");
        let query = request.uri().query().unwrap();
        assert_eq!(query, event["rawQueryString"], "{name}");
    }
}
