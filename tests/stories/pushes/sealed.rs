//! What WeChat has sealed for this component is acknowledged whatever it says, and handled as far as
//! it can be.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use component_core::push::cipher;
use serde_json::json;
use wechat_simulator::Settings;

use super::{FOREIGN, SUCCESS, answer, post, stored_ticket, ticket};
use crate::world::log::Log;
use crate::world::rows::{number, text};
use crate::world::{BEGINNING, World, appid};

/// A text that stands in every secret of these tests.
const MARK: &str = "SECRET";

async fn check_success(world: &World, plain: &[u8]) {
    let sealed = world.sealed_bytes(plain);
    let answered = post(&world.functions, &sealed.query, sealed.body).await;
    let shown = String::from_utf8_lossy(plain);
    assert_eq!(answered, answer(200, SUCCESS), "{shown}");
}

/// It is acknowledged, changes no ticket and no account, and the log tells its kind and app id and
/// nothing else.
async fn check_only_logged(world: &World, plain: impl AsRef<[u8]>, kind: &str, appid: &str) {
    let plain = plain.as_ref();
    let before = others(world).await;
    let log = Log::listen();
    check_success(world, plain).await;
    let shown = String::from_utf8_lossy(plain);
    assert_eq!(others(world).await, before, "{shown}");
    let [line] = <[String; 1]>::try_from(log.lines("a push")).expect(&shown);
    assert!(line.contains(&format!("kind={kind:?}")), "{line}");
    assert!(line.contains(&format!("appid={appid:?}")), "{line}");
    assert!(!line.contains(MARK), "{line}");
}

/// The rows that are no notices.
async fn others(world: &World) -> BTreeMap<String, HashMap<String, AttributeValue>> {
    let mut rows = world.rows().await;
    rows.retain(|pk, _| !pk.starts_with("notice#"));
    rows
}

fn component() -> String {
    Settings::example().component_appid
}

/// `plain` without this element.
#[track_caller]
fn without(plain: &str, name: &str) -> String {
    let (before, rest) = plain.split_once(&format!("<{name}>")).unwrap();
    let (_, after) = rest.split_once(&format!("</{name}>")).unwrap();
    format!("{before}{after}")
}

fn unauthorized(appid: &str) -> String {
    ticket(MARK, BEGINNING)
        .replace("component_verify_ticket", "unauthorized")
        .replace(
            "</xml>",
            &format!("<AuthorizerAppid>{appid}</AuthorizerAppid></xml>"),
        )
}

#[tokio::test]
async fn a_push_of_no_kind_or_of_no_xml_is_logged_and_acknowledged() {
    let world = World::with_ticket().await;
    for plain in [
        &b""[..],
        b" ",
        b"SECRET",
        b"{\"ToUserName\":\"gh_1\",\"Event\":\"SECRET\"}",
        b"\xff\xfeSECRET",
        b"<xml><List><OrderId>SECRET</OrderId><InfoType>unauthorized</InfoType></List></xml>",
        b"<xml>",
        b"<push><InfoType>SECRET</InfoType></push>",
    ] {
        check_only_logged(&world, plain, "", "").await;
    }
    let event = "<xml><ToUserName>gh_SECRET</ToUserName><MsgType>event</MsgType><Event>weapp_audit_success</Event></xml>";
    check_only_logged(&world, event, "weapp_audit_success", "").await;
    let audit = "<xml><InfoType>order_path_audit_result_notify</InfoType><List>SECRET</List></xml>";
    check_only_logged(&world, audit, "order_path_audit_result_notify", "").await;
}

#[tokio::test]
async fn a_notice_whose_own_fields_cannot_be_found_is_logged_and_acknowledged() {
    let world = World::with_authorizer().await;
    let plain = ticket(MARK, BEGINNING);
    let kind = "component_verify_ticket";
    check_only_logged(&world, without(&plain, "ComponentVerifyTicket"), kind, "").await;
    check_only_logged(&world, plain.replace(MARK, ""), kind, "").await;
    check_only_logged(&world, plain.replace(MARK, "SECRET two"), kind, "").await;
    check_only_logged(&world, &plain[..plain.len() - 40], kind, "").await;
    let twice = plain.replace(
        "</xml>",
        "<ComponentVerifyTicket>SECRET</ComponentVerifyTicket></xml>",
    );
    check_only_logged(&world, twice, kind, "").await;
    let foreign = plain.replace(&component(), FOREIGN);
    check_only_logged(&world, foreign, kind, FOREIGN).await;
    for (named, logged_as) in [
        ("", ""),
        ("wxSHORT", "wxSHORT"),
        ("gh_0123456789ab", "gh_0123456789ab"),
    ] {
        check_only_logged(&world, unauthorized(named), "unauthorized", logged_as).await;
    }
    let nested = unauthorized("").replace(
        "<AuthorizerAppid></AuthorizerAppid>",
        &format!(
            "<Info><AuthorizerAppid>{}</AuthorizerAppid></Info>",
            appid()
        ),
    );
    check_only_logged(&world, nested, "unauthorized", "").await;
    let quoted = unauthorized("").replace(
        "<AuthorizerAppid></AuthorizerAppid>",
        &format!(
            "<Info><![CDATA[<AuthorizerAppid>{}</AuthorizerAppid>]]></Info>",
            appid()
        ),
    );
    check_only_logged(&world, quoted, "unauthorized", "").await;
    let two = unauthorized(appid()).replace(
        "</xml>",
        "<AuthorizerAppid>wx0000000000000000</AuthorizerAppid></xml>",
    );
    check_only_logged(&world, two, "unauthorized", "").await;
}

#[tokio::test]
async fn a_ticket_is_stored_whatever_else_stands_in_its_push() {
    let world = World::new().await;
    for (index, other) in [
        "<Remark>A & B</Remark>",
        "<Remark><![CDATA[a <![CDATA[b]]> c]]></Remark>",
        "<Remark>&#xD83D;&#xDE00; &nothing;</Remark>",
        "<Remark>1 < 2 <br> </b></Remark>",
        "<Remark><ComponentVerifyTicket>ticket@@@other</ComponentVerifyTicket></Remark>",
        "<Remark",
    ]
    .into_iter()
    .enumerate()
    {
        let value = format!("ticket@@@{index}");
        let plain = ticket(&value, BEGINNING).replace("</xml>", &format!("{other}</xml>"));
        check_success(&world, plain.as_bytes()).await;
        let stored = stored_ticket(&world).await.unwrap();
        assert_eq!(stored, (value, BEGINNING), "{plain}");
    }
    let nameless = without(&ticket("ticket@@@nameless", BEGINNING), "AppId");
    check_success(&world, nameless.as_bytes()).await;
    let cut = ticket("ticket@@@cut", BEGINNING).replace("</xml>", "<Remark><![CDATA[cut \u{7528}");
    check_success(&world, &cut.as_bytes()[..cut.len() - 1]).await;
    let stored = stored_ticket(&world).await.unwrap();
    assert_eq!(stored, ("ticket@@@cut".to_owned(), BEGINNING));
}

#[tokio::test]
async fn a_code_is_exchanged_whatever_else_stands_in_its_notice() {
    let world = World::with_ticket().await;
    for other in [
        &b"<Remark>A & B</Remark>"[..],
        b"<Remark>\xc4\xe3\xba\xc3</Remark>",
        b"<Remark><AuthorizationCode>other</AuthorizationCode></Remark>",
    ] {
        world.clock.advance(60);
        let consent = world.simulator.authorize_unpushed(appid()).unwrap();
        let plain = consent.notice.replace("</xml>", "");
        check_success(&world, &[plain.as_bytes(), other, b"</xml>"].concat()).await;
        world.deliver().await;
        world.assert_good(&world.token(appid()).await.unwrap());
    }
    assert_eq!(world.wechat_calls("api_query_auth"), 3);
}

/// Exchanges a code as a program beside the functions would.
async fn exchange_elsewhere(world: &World, code: &str) {
    let token = world.ask(json!({ "component": true })).await.unwrap();
    let token = token["access_token"].as_str().unwrap();
    let url = format!(
        "{}/cgi-bin/component/api_query_auth?component_access_token={token}",
        world.parts.wechat_url
    );
    let body = json!({ "component_appid": component(), "authorization_code": code });
    let request = world.http.post(url).body(body.to_string());
    let answer = request.send().await.unwrap().text().await.unwrap();
    assert!(answer.contains("authorizer_refresh_token"));
    world.simulator.reset_calls();
}

#[tokio::test]
async fn an_authorization_without_a_code_is_settled_by_asking_for_the_account() {
    for change in ["authorized", "updateauthorized"] {
        let world = World::with_ticket().await;
        let consent = world.simulator.authorize_unpushed(appid()).unwrap();
        exchange_elsewhere(&world, &consent.auth_code).await;
        let plain = without(&consent.notice, "AuthorizationCode");
        let plain = plain.replace("[authorized]", &format!("[{change}]"));
        check_success(&world, plain.as_bytes()).await;
        assert_eq!(world.deliver().await, json!({ "batchItemFailures": [] }));
        assert_eq!(world.wechat_calls("api_query_auth"), 0);
        assert!(world.wechat_calls("api_get_authorizer_info") >= 1);
        let row = world.authorizer_row(appid()).await;
        assert_eq!(number(&row, "auth_epoch"), BEGINNING);
        world.assert_good(&world.token(appid()).await.unwrap());
    }
}

#[tokio::test]
async fn an_authorization_without_a_code_that_is_over_changes_nothing() {
    let world = World::with_ticket().await;
    let consent = world.simulator.authorize_unpushed(appid()).unwrap();
    world.clock.advance(60);
    world.authorize(appid()).await;
    let token = world.token(appid()).await.unwrap();
    world.simulator.reset_calls();
    let late = without(&consent.notice, "AuthorizationCode");
    check_success(&world, late.as_bytes()).await;
    world.deliver().await;
    assert_eq!(world.wechat_calls("api_query_auth"), 0);
    let row = world.authorizer_row(appid()).await;
    assert_eq!(number(&row, "auth_epoch"), BEGINNING + 60);
    assert_eq!(world.token(appid()).await.unwrap(), token);
}

#[tokio::test]
async fn an_authorization_without_a_code_of_which_info_tells_nothing_is_found_by_the_list() {
    let world = World::with_ticket().await;
    let consent = world.simulator.authorize_unpushed(appid()).unwrap();
    exchange_elsewhere(&world, &consent.auth_code).await;
    let info = "api_get_authorizer_info";
    world.fault(info, wechat_simulator::FaultEffect::Errcode(48001));
    let plain = without(&consent.notice, "AuthorizationCode");
    check_success(&world, plain.as_bytes()).await;
    world.deliver().await;
    for _run in 0..3 {
        world.pass(std::time::Duration::from_mins(5)).await;
        world.refresh().await;
    }
    world.assert_good(&world.token(appid()).await.unwrap());
    let rows = world.rows().await;
    let mut notices = rows.iter().filter(|(pk, _)| pk.starts_with("notice#"));
    assert!(notices.all(|(_, row)| text(row, "outcome") == "taken"));
}

#[tokio::test]
async fn a_push_in_another_components_frame_is_refused_whatever_it_says() {
    let world = World::with_ticket().await;
    let key = cipher::AesKey::parse(&Settings::example().encoding_aes_key).unwrap();
    let foreign = component_api::id::ComponentAppId::parse(FOREIGN).unwrap();
    for plain in ["", "{}", "<xml><List/></xml>"] {
        let encrypt = cipher::encrypt(&key, b"0123456789abcdef", plain.as_bytes(), &foreign);
        let query = super::signed(&encrypt);
        super::check_refused(&world, plain, &query, super::envelope(&encrypt), 400).await;
    }
}
