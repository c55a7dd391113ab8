//! Notices of other kinds than authorizations: what WeChat tells of registrations, filings, audits.

use std::time::Duration;

use http::StatusCode;
use local::events::Trouble;
use serde_json::{Value, json};
use wechat_simulator::AccountKind;

use crate::world::World;
use crate::world::rows::text;

const MINUTE: Duration = Duration::from_mins(1);

const REGISTERED: &str = "wx0000000000000042";

const FILING: &str = "<xml><AppId>wx0123456789abcdef</AppId><CreateTime>1700000000</CreateTime><InfoType>notify_apply_icpfiling_result</InfoType><authorizer_appid>wxfedcba9876543210</authorizer_appid><beian_status>1024</beian_status></xml>";

fn registration(code: &str) -> String {
    format!(
        "<xml><AppId>wx0123456789abcdef</AppId><CreateTime>1700000000</CreateTime><InfoType>notify_third_fasteregister</InfoType><appid>{REGISTERED}</appid><status>0</status><auth_code>{code}</auth_code><info><name>Example Co</name></info></xml>"
    )
}

fn notices(world: &World) -> Vec<Value> {
    let events = world.emulators.bus.events().into_iter();
    let notices = events.filter(|event| event["detail-type"] == "Notice Received");
    notices.map(|event| event["detail"].clone()).collect()
}

#[tokio::test]
async fn a_notice_of_another_kind_is_passed_on_once() {
    let world = World::with_ticket().await;
    for _push in 0..3 {
        assert!(world.push_xml(FILING).await.delivered);
    }
    world.deliver().await;
    let [notice] = notices(&world).try_into().unwrap();
    let expected = json!({
        "id": component_core::digest::sha256_hex(FILING.as_bytes()),
        "component_appid": "wx0123456789abcdef",
        "info_type": "notify_apply_icpfiling_result",
        "notice": {
            "AppId": "wx0123456789abcdef", "CreateTime": "1700000000",
            "InfoType": "notify_apply_icpfiling_result",
            "authorizer_appid": "wxfedcba9876543210", "beian_status": "1024",
        },
    });
    assert_eq!(notice, expected);
    let rows = world.rows().await;
    let (_, row) = rows
        .iter()
        .find(|(pk, _)| pk.starts_with("notice#"))
        .unwrap();
    assert_eq!(text(row, "outcome"), "published");
    assert!(!row.contains_key("content") && !row.contains_key("due_at"));
}

#[tokio::test]
async fn an_event_at_the_events_url_has_no_info_type() {
    let world = World::with_ticket().await;
    let event = "<xml><MsgType>event</MsgType><Event>weapp_audit_success</Event></xml>";
    assert!(world.push_xml(event).await.delivered);
    world.deliver().await;
    assert_eq!(notices(&world)[0]["info_type"], Value::Null);
    assert_eq!(notices(&world)[0]["notice"]["Event"], "weapp_audit_success");
}

#[tokio::test]
async fn what_cannot_be_read_is_taken_and_goes_nowhere() {
    let world = World::with_ticket().await;
    for plain in ["hello", "<xml><InfoType>new</InfoType>", "<xml></xml>"] {
        assert!(world.push_xml(plain).await.delivered, "{plain}");
    }
    assert_eq!(world.deliver().await, Value::Null);
    let (status, _) = world.receive("", "").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_bus_that_is_down_leaves_it_to_the_schedule() {
    let world = World::with_ticket().await;
    world.emulators.bus.fail(Trouble::Down, 2);
    assert!(world.push_xml(FILING).await.delivered);
    assert_eq!(world.deliver().await, json!({ "batchItemFailures": [] }));
    world.pass(5 * MINUTE).await;
    world.refresh().await;
    assert_eq!(notices(&world), [Value::Null; 0]);
    world.pass(5 * MINUTE).await;
    assert_eq!(world.refresh().await["delivered"], 1);
    assert_eq!(notices(&world).len(), 1);
}

#[tokio::test]
async fn a_mini_program_that_is_registered_fast_is_connected_by_its_code() {
    // The ordinary notice may come before or after, or never.
    for order in [
        &["registration"][..],
        &["registration", "authorized"],
        &["authorized", "registration"],
    ] {
        let world = World::with_ticket().await;
        world
            .simulator
            .add_account(REGISTERED, "new", AccountKind::MiniProgram);
        let consent = world.simulator.authorize_unpushed(REGISTERED).unwrap();
        for kind in order {
            let plain = match *kind {
                "registration" => registration(&consent.auth_code),
                _ => consent.notice.clone(),
            };
            assert!(world.push_xml(&plain).await.delivered);
            assert_eq!(world.deliver().await, json!({ "batchItemFailures": [] }));
        }
        assert_eq!(world.wechat_calls("api_query_auth"), 1, "{order:?}");
        world.assert_good(&world.token(REGISTERED).await.unwrap());
        let [notice] = notices(&world).try_into().unwrap();
        assert_eq!(notice["notice"]["info"], json!({ "name": "Example Co" }));
        let rows = format!(
            "{:?} {notice}",
            world
                .rows()
                .await
                .iter()
                .filter(|(pk, _)| pk.starts_with("notice#"))
                .collect::<Vec<_>>()
        );
        assert!(!rows.contains("@@@"), "{rows}");
    }
}

#[tokio::test]
async fn a_bus_that_is_down_holds_up_no_code() {
    let world = World::with_ticket().await;
    world
        .simulator
        .add_account(REGISTERED, "new", AccountKind::MiniProgram);
    let consent = world.simulator.authorize_unpushed(REGISTERED).unwrap();
    world.emulators.bus.fail(Trouble::Down, u32::MAX);
    assert!(
        world
            .push_xml(&registration(&consent.auth_code))
            .await
            .delivered
    );
    world.deliver().await;
    world.assert_good(&world.token(REGISTERED).await.unwrap());
    world.emulators.bus.mend();
    world.pass(5 * MINUTE).await;
    world.refresh().await;
    assert_eq!(notices(&world).len(), 1);
    assert_eq!(world.wechat_calls("api_query_auth"), 1);
}

#[tokio::test]
async fn json_that_names_itself_as_an_authorization_is_passed_on_and_changes_nothing() {
    let world = World::with_authorizer().await;
    let appid = crate::world::appid();
    let json = format!(r#"{{"InfoType":"unauthorized","AuthorizerAppid":"{appid}"}}"#);
    assert!(world.push_xml(&json).await.delivered);
    world.deliver_all().await;
    assert_eq!(notices(&world)[0]["info_type"], "unauthorized");
    world.assert_good(&world.token(appid).await.unwrap());
}

#[tokio::test]
async fn a_kind_that_is_not_known_may_name_another_app_id() {
    let world = World::with_ticket().await;
    let foreign = FILING.replace("wx0123456789abcdef", "wxfedcba9876543211");
    assert!(world.push_xml(&foreign).await.delivered);
    world.deliver().await;
    assert_eq!(notices(&world)[0]["notice"]["AppId"], "wxfedcba9876543211");
}

#[tokio::test]
async fn a_registration_whose_code_cannot_be_exchanged_now_is_told_once_and_exchanged_later() {
    let world = World::with_ticket().await;
    world
        .simulator
        .add_account(REGISTERED, "new", AccountKind::MiniProgram);
    let consent = world.simulator.authorize_unpushed(REGISTERED).unwrap();
    world.fault(
        "api_query_auth",
        wechat_simulator::FaultEffect::HttpStatus(502),
    );
    assert!(
        world
            .push_xml(&registration(&consent.auth_code))
            .await
            .delivered
    );
    let failed = world.deliver().await;
    assert_eq!(failed["batchItemFailures"].as_array().unwrap().len(), 1);
    world.end_faults("api_query_auth").await;
    world.pass(5 * MINUTE).await;
    world.refresh().await;
    world.assert_good(&world.token(REGISTERED).await.unwrap());
    assert_eq!(notices(&world).len(), 1);
}
