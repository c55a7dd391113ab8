//! WeChat's release check (全网发布检测).

use std::sync::Arc;
use std::time::Duration;

use local::triggers::{self, Mapping, Stream};
use wechat_simulator::{AccountKind, Fault, FaultEffect, ReleaseLine, Settings, SimClock};

use super::*;

/// Three seconds of the check pass in one: fast, and with seconds to spare.
const SPEED: u32 = 3;

const ACCOUNT: &str = "wx570bc396a51b8ff8";

const USER_NAME: &str = "gh_3c884a361561";

/// A world whose time runs, and whose stream is brought by itself.
async fn running() -> World {
    let world = World::on(SimClock::system(SPEED), SPEED, Settings::example()).await;
    for mapping in Mapping::ALL {
        let stream = Stream::open(world.emulators.database.clone(), mapping).unwrap();
        tokio::spawn(triggers::run_stream(Arc::clone(&world.functions), stream));
    }
    world
}

fn failed(report: &[ReleaseLine]) -> Vec<(AccountKind, &'static str)> {
    let failed = report.iter().filter(|line| line.failure.is_some());
    failed.map(|line| (line.kind, line.name)).collect()
}

fn text_of(content: &str) -> String {
    format!(
        "<xml><ToUserName>{USER_NAME}</ToUserName><FromUserName>o1</FromUserName><MsgType>text</MsgType><Content>{content}</Content><MsgId>1</MsgId></xml>"
    )
}

/// The texts that an account has sent by the API.
fn sent(world: &World) -> Vec<String> {
    let messages = world.simulator.messages().into_iter();
    messages.map(|sent| sent.content).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_the_check_passes_for_a_public_account_and_a_mini_program() {
    let world = running().await;
    let report = world.simulator.release_check(0).await;
    assert_eq!(failed(&report), [], "{report:#?}");
    let names: Vec<_> = report.iter().map(|line| line.name).collect();
    let of_app = [
        "组件ticket正确接收",
        "生成预授权码",
        "获取授权code",
        "授权",
        "返回Api文本消息",
        "取消授权",
    ];
    assert_eq!(names[8..], of_app);
    assert_eq!(names[4..6], ["返回普通文本消息", "发送事件消息"]);
    assert_eq!(world.bus().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_passes_though_info_hangs_for_its_accounts() {
    let world = running().await;
    let hangs = Fault::delay("api_get_authorizer_info", Duration::from_mins(1));
    world.simulator.fault(hangs.times(u32::MAX));
    let report = world.simulator.release_check(1).await;
    assert_eq!(failed(&report), [], "{report:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_names_the_line_that_fails() {
    let world = running().await;
    let refused = Fault::new("send", FaultEffect::Errcode(48001));
    world.simulator.fault(refused.times(u32::MAX));
    let report = world.simulator.release_check(2).await;
    let both = [AccountKind::OfficialAccount, AccountKind::MiniProgram];
    assert_eq!(failed(&report), both.map(|kind| (kind, "返回Api文本消息")));

    let world = running().await;
    world
        .simulator
        .set_messages_url("http://127.0.0.1:9/$APPID$");
    let report = world.simulator.release_check(3).await;
    let names: Vec<_> = failed(&report).into_iter().map(|(_, name)| name).collect();
    assert_eq!(
        names,
        [
            "返回普通文本消息",
            "发送事件消息",
            "返回Api文本消息",
            "返回Api文本消息"
        ]
    );
}

#[tokio::test]
async fn the_code_is_exchanged_once_whoever_brings_it_first() {
    for text_first in [true, false] {
        let world = World::with_ticket().await;
        world
            .simulator
            .add_account(ACCOUNT, "check", AccountKind::OfficialAccount);
        let consent = world.simulator.authorize_unpushed(ACCOUNT).unwrap();
        let text = text_of(&format!("QUERY_AUTH_CODE:{}", consent.auth_code));
        if !text_first {
            world.push_xml(&consent.notice).await;
            world.deliver().await;
        }
        let answer = world.message(ACCOUNT, &text).await;
        assert_eq!(answer, (StatusCode::OK, String::new()));
        assert_eq!(world.deliver().await, json!({ "batchItemFailures": [] }));
        if text_first {
            world.push_xml(&consent.notice).await;
            world.deliver().await;
        }
        assert_eq!(sent(&world), [format!("{}_from_api", consent.auth_code)]);
        assert_eq!(world.wechat_calls("api_query_auth"), 1);
        // Its code is not left in the table.
        let rows = world.rows().await;
        assert!(!rows.keys().any(|pk| pk.starts_with("release#")));
    }
}

#[tokio::test]
async fn one_account_of_the_check_does_not_wait_for_the_other() {
    const APP: (&str, &str) = ("wxd101a85aa106f53e", "gh_8dad206e9538");
    let world = World::with_ticket().await;
    world.ask(json!({ "component": true })).await.unwrap();
    let mut codes = Vec::new();
    for (appid, user_name) in [(ACCOUNT, USER_NAME), APP] {
        world
            .simulator
            .add_account(appid, "check", AccountKind::OfficialAccount);
        let code = world.simulator.authorize_unpushed(appid).unwrap().auth_code;
        let text = text_of(&format!("QUERY_AUTH_CODE:{code}")).replace(USER_NAME, user_name);
        assert_eq!(world.message(appid, &text).await.0, StatusCode::OK);
        codes.push(code);
    }
    let hangs = Fault::delay("api_query_auth", Duration::from_mins(1));
    world.simulator.fault(hangs.times(1));
    let batch = world.next_batch().unwrap();
    let began = std::time::Instant::now();
    let functions = Arc::clone(&world.functions);
    let answering = tokio::spawn(async move {
        let deadline = crate::world::deadline();
        functions.authorizer_sync.handle(&batch, deadline).await
    });
    while sent(&world).is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(began.elapsed() < Duration::from_secs(4));
    answering.abort();
}

#[tokio::test]
async fn a_row_that_is_a_tombstone_again_does_not_stop_the_answer() {
    let world = World::with_ticket().await;
    world
        .simulator
        .add_account(ACCOUNT, "check", AccountKind::OfficialAccount);
    let consent = world.simulator.authorize_unpushed(ACCOUNT).unwrap();
    world.push_xml(&consent.notice).await;
    world.deliver().await;
    let text = text_of(&format!("QUERY_AUTH_CODE:{}", consent.auth_code));
    world.message(ACCOUNT, &text).await;
    // The withdrawal is told before the text is answered; WeChat has not carried it out.
    let now = world.clock.now();
    let unauthorized = format!(
        "<xml><InfoType>unauthorized</InfoType><CreateTime>{}</CreateTime><AuthorizerAppid>{ACCOUNT}</AuthorizerAppid></xml>",
        now + 1
    );
    world.push_xml(&unauthorized).await;
    world.deliver().await;
    assert_eq!(text_status(&world).await, "revoked");
    assert_eq!(sent(&world), [format!("{}_from_api", consent.auth_code)]);
}

async fn text_status(world: &World) -> String {
    text(&world.authorizer_row(ACCOUNT).await, "status")
}

#[tokio::test]
async fn the_texts_and_events_of_the_check_are_answered_at_once_and_by_no_other_rule() {
    // No account is authorized, and the bus and the table are down.
    let world = World::with_ticket().await;
    world
        .wire
        .cut("*", crate::world::wire::Cut::Before, u32::MAX);
    let (status, body) = world
        .message(ACCOUNT, &text_of("TESTCOMPONENT_MSG_TYPE_TEXT"))
        .await;
    assert_eq!(status, StatusCode::OK);
    let reply = world.simulator.open(body.as_bytes()).unwrap();
    assert!(
        reply.contains("<Content><![CDATA[TESTCOMPONENT_MSG_TYPE_TEXT_callback]]></Content>"),
        "{reply}"
    );
    assert!(
        reply.contains("<ToUserName><![CDATA[o1]]></ToUserName>"),
        "{reply}"
    );
    assert!(
        reply.contains(&format!(
            "<FromUserName><![CDATA[{USER_NAME}]]></FromUserName>"
        )),
        "{reply}"
    );
    let event = event("VIEW", &format!("<ToUserName>{USER_NAME}</ToUserName>"));
    let (_, body) = world.message(ACCOUNT, &event).await;
    let reply = world.simulator.open(body.as_bytes()).unwrap();
    assert!(reply.contains("<![CDATA[VIEWfrom_callback]]>"), "{reply}");
    // The code is to be stored: WeChat must send it again.
    let (status, _) = world
        .message(ACCOUNT, &text_of("QUERY_AUTH_CODE:queryauthcode@@@x"))
        .await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    world.wire.mend();
}

#[tokio::test]
async fn no_other_account_is_answered_as_the_checks_are() {
    let world = World::with_authorizer().await;
    world
        .send(appid(), &message("1", "TESTCOMPONENT_MSG_TYPE_TEXT"))
        .await;
    world
        .send(appid(), &message("2", "QUERY_AUTH_CODE:x"))
        .await;
    assert_eq!(world.bus().len(), 2);
    let rows = world.rows().await;
    assert!(!rows.keys().any(|pk| pk.starts_with("release#")));
    // Nor is a text for another account under a path of the check's.
    let foreign = text_of("TESTCOMPONENT_MSG_TYPE_TEXT").replace(USER_NAME, "gh_1");
    let (status, _) = world.message(ACCOUNT, &foreign).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_follows_the_first_colon_is_the_code() {
    let world = World::with_ticket().await;
    let code = "queryauthcode@@@QUERY_AUTH_CODE:E:D";
    world
        .message(ACCOUNT, &text_of(&format!("QUERY_AUTH_CODE:{code}")))
        .await;
    let rows = world.rows().await;
    let row = rows
        .iter()
        .find(|(pk, _)| pk.starts_with("release#"))
        .unwrap()
        .1;
    assert_eq!(text(row, "authorization_code"), code);
}
