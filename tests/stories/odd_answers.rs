//! Answers of WeChat's with odd fields: what they carry is kept, and what they refuse is noticed.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use http::StatusCode;
use serde_json::{Value, json};
use wechat_simulator::{AccountKind, AnswerPatch, Fault, FaultEffect};

use super::reconcile::{component_token, exchange_and_crash};
use crate::world::browser::{Browser, check_page};
use crate::world::rows::{number, text};
use crate::world::{World, appid, assert_tells_nothing};

const TWO_HOURS: Duration = Duration::from_hours(2);

/// No character: the first half of one.
const LONE_SURROGATE: &str = r#""\ud83d""#;

fn patch() -> AnswerPatch {
    AnswerPatch::new()
}

fn row_key(appid: &str) -> String {
    format!("authorizer#{appid}")
}

/// A browser alone brings a code, and the answer to its exchange is patched.
async fn check_exchange(case: &str, odd: AnswerPatch) {
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let (back, _) = world.consent(&mut browser, appid()).await;
    world.simulator.fault(Fault::patch("api_query_auth", odd));
    let page = world.come_back(&browser, &back).await;
    assert_eq!(page.status(), StatusCode::OK, "{case}");
    check_page(&page, StatusCode::OK, "授权成功");
    assert_eq!(world.wechat_calls("api_query_auth"), 1, "{case}");
    check_row(case, &world).await;
}

/// The account's row has the live refresh token and an access token of two hours.
async fn check_row(case: &str, world: &World) {
    let row = world.authorizer_row(appid()).await;
    let live = world.simulator.authorizer(appid()).unwrap().refresh_token;
    assert_eq!(live, Some(text(&row, "refresh_token")), "{case}");
    world.assert_good(&world.token(appid()).await.unwrap());
    let row = world.authorizer_row(appid()).await;
    let left = number(&row, "expires_at") - world.clock.now();
    assert_eq!(left, TWO_HOURS.as_secs(), "{case}");
}

#[tokio::test]
async fn an_exchange_keeps_what_it_gave_whatever_stands_in_the_other_fields() {
    let info = |name: &str| format!("/authorization_info/{name}");
    for (case, odd) in [
        ("sets null", patch().set(&info("func_info"), json!(null))),
        ("sets an object", patch().set(&info("func_info"), json!({}))),
        (
            "a set without an id",
            patch().set(&info("func_info"), json!([{}, 7, null])),
        ),
        (
            "a name of half a character",
            patch().raw(&info("nick_name"), LONE_SURROGATE),
        ),
        ("no UTF-8", patch().raw(&info("func_info"), [0xff, 0xfe])),
        ("not closed", patch().raw(&info("func_info"), "[{\"a\":")),
        ("no life", patch().remove(&info("expires_in"))),
        ("life null", patch().set(&info("expires_in"), json!(null))),
        ("life a float", patch().raw(&info("expires_in"), "7200.0")),
        (
            "life of no time",
            patch().set(&info("expires_in"), json!(0)),
        ),
        ("life of ages", patch().raw(&info("expires_in"), "1e999")),
        (
            "no access token",
            patch().set(&info("authorizer_access_token"), json!(null)),
        ),
        ("errcode null", patch().set("/errcode", json!(null))),
        ("errcode 0 as a text", patch().set("/errcode", json!("0"))),
    ] {
        check_exchange(case, odd).await;
    }
}

#[tokio::test]
async fn a_notice_tells_whose_code_it_is_if_the_exchange_does_not() {
    for odd in [json!(null), json!(""), json!("a shop")] {
        let world = World::with_ticket().await;
        let odd = patch().set("/authorization_info/authorizer_appid", odd);
        world.simulator.fault(Fault::patch("api_query_auth", odd));
        world.authorize(appid()).await;
        assert_eq!(world.wechat_calls("api_query_auth"), 1);
        check_row("by notice", &world).await;
    }
}

#[tokio::test]
async fn odd_info_does_not_keep_a_renewal_from_finding_the_right_refresh_token() {
    let world = World::with_authorizer().await;
    for (case, odd) in [
        (
            "a name of half a character",
            patch().raw("/authorizer_info/nick_name", LONE_SURROGATE),
        ),
        (
            "a name that is no UTF-8",
            patch().raw("/authorizer_info/nick_name", [0xff]),
        ),
        ("no account", patch().remove("/authorizer_info")),
        (
            "no appid",
            patch().remove("/authorization_info/authorizer_appid"),
        ),
        (
            "authorization null",
            patch().set("/authorization_info", json!(null)),
        ),
        ("no authorization", patch().remove("/authorization_info")),
        ("nothing", patch().set("", json!({}))),
        ("null", patch().set("", json!(null))),
        ("half of it", patch().raw("", r#"{"authorization_info":{"#)),
    ] {
        world.pass(TWO_HOURS).await;
        let stale = AttributeValue::S("refreshtoken@@@stale".to_owned());
        world.set(&row_key(appid()), "refresh_token", stale).await;
        let none = AttributeValue::L(Vec::new());
        world.set(&row_key(appid()), "refresh_history", none).await;
        let fault = Fault::patch("api_get_authorizer_info", odd);
        let fault = fault.for_account(appid()).lasting(1);
        world.simulator.fault(fault);
        let mut token = world.token(appid()).await;
        // If info tells nothing of the authorization, the list does, within two runs.
        for _run in 0..2 {
            if token.is_err() {
                world.pass(Duration::from_mins(6)).await;
                world.refresh().await;
                token = world.token(appid()).await;
            }
        }
        assert!(token.is_ok(), "{case}: {token:?}");
        check_row(case, &world).await;
        world.clock.advance(60);
    }
}

#[tokio::test]
async fn an_account_has_its_name_though_info_tells_nothing_else() {
    let world = World::with_ticket().await;
    let odd = patch()
        .remove("/authorization_info")
        .raw("/authorizer_info/signature", LONE_SURROGATE);
    let fault = Fault::patch("api_get_authorizer_info", odd).lasting(1);
    world.simulator.fault(fault.for_account(appid()));
    world.authorize(appid()).await;
    let row = world.authorizer_row(appid()).await;
    let account = world.simulator.authorizer(appid()).unwrap();
    assert_eq!(text(&row, "name"), account.nick_name);
}

#[tokio::test]
async fn a_withdrawal_whose_errcode_is_a_text_is_noticed_at_the_renewal() {
    for errcode in [json!("61003"), json!(" 61003 "), json!(61003.0)] {
        let world = World::with_authorizer().await;
        world.clock.advance(60);
        world.simulator.revoke_unpushed(appid()).unwrap();
        world.pass(TWO_HOURS).await;
        for endpoint in ["api_authorizer_token", "api_get_authorizer_info"] {
            let odd = patch().set("/errcode", errcode.clone());
            let odd = odd.set("/errmsg", json!(["not", "a text"]));
            world.simulator.fault(Fault::patch(endpoint, odd).times(3));
        }
        let refused = world.token(appid()).await.unwrap_err();
        assert_eq!(refused.code(), "authorization_revoked", "{errcode}");
        let row = world.authorizer_row(appid()).await;
        assert_eq!(text(&row, "status"), "revoked");
    }
}

#[tokio::test]
async fn a_used_up_quota_whose_errcode_is_a_text_is_not_called_against() {
    let world = World::with_authorizer().await;
    world.pass(TWO_HOURS).await;
    world.ask(json!({ "component": true })).await.unwrap();
    world.simulator.reset_calls();
    let used_up = FaultEffect::ErrcodeText("45009".to_owned());
    world.fault("api_authorizer_token", used_up);
    let refused = world.token(appid()).await.unwrap_err();
    assert_eq!(refused.code(), "wechat_rejected");
    assert_eq!(world.wechat_calls("api_authorizer_token"), 1);
}

#[tokio::test]
async fn a_new_refresh_token_is_kept_though_the_access_token_beside_it_is_odd() {
    let world = World::with_authorizer().await;
    let old = text(&world.authorizer_row(appid()).await, "refresh_token");
    world.pass(TWO_HOURS).await;
    let odd = patch()
        .set("/authorizer_access_token", json!(null))
        .set("/authorizer_refresh_token", json!("refreshtoken@@@new"));
    let fault = Fault::patch("api_authorizer_token", odd);
    world.simulator.fault(fault);
    let error = world.token(appid()).await.unwrap_err();
    assert_eq!(error.code(), "wechat_unavailable");
    assert_tells_nothing(&error);
    let row = world.authorizer_row(appid()).await;
    assert_eq!(text(&row, "refresh_token"), old);
    assert!(format!("{row:?}").contains("refreshtoken@@@new"));
    world.clock.advance(60);
    world.assert_good(&world.token(appid()).await.unwrap());
}

/// A page and two accounts, of which the table knows nothing.
async fn with_a_second_page() -> (World, Vec<String>) {
    let world = World::with_ticket().await;
    let component = component_token(&world).await;
    let appids: Vec<String> = (0..502).map(|number| format!("wx{number:016x}")).collect();
    for appid in &appids {
        let kind = AccountKind::MiniProgram;
        world.simulator.add_account(appid, "a shop", kind);
        let consent = world.simulator.authorize_unpushed(appid).unwrap();
        exchange_and_crash(&world, &component, &consent.auth_code).await;
    }
    world.simulator.reset_calls();
    (world, appids)
}

fn listed(done: &Value) -> u64 {
    done["listed"].as_u64().unwrap()
}

#[tokio::test]
async fn odd_entries_of_the_list_cost_neither_the_others_nor_the_later_pages() {
    let (world, appids) = with_a_second_page().await;
    let list = |odd| Fault::patch("api_get_authorizer_list", odd);

    // A page that cannot be read at all costs only itself.
    world
        .simulator
        .fault(list(patch().set("/list", json!(null))));
    assert_eq!(listed(&world.reconcile().await.unwrap()), 2);
    world.assert_good(&world.token(&appids[501]).await.unwrap());

    let odd = patch()
        .set("/total_count", json!("502"))
        .set("/list/0/auth_time", json!(null))
        .set("/list/1/auth_time", json!(""))
        .remove("/list/2/auth_time")
        .set("/list/3/auth_time", json!(1_558_000_607_000_u64))
        .set("/list/4/refresh_token", json!(null))
        .remove("/list/5/authorizer_appid")
        .set("/list/6", json!("odd"))
        .set("/list/7", json!(null))
        .raw("/list/8", [0xff]);
    world.simulator.fault(list(odd));
    world.simulator.reset_calls();
    assert_eq!(listed(&world.reconcile().await.unwrap()), 498);
    for (number, appid) in appids.iter().enumerate() {
        let row = world.row(&row_key(appid)).await;
        assert_eq!(row.is_none(), (5..9).contains(&number), "{number}");
    }
    for appid in [&appids[..4], &appids[9..12], &appids[499..]].concat() {
        world.assert_good(&world.token(&appid).await.unwrap());
    }
    // What was read without its refresh token, or not at all, comes with the next list, however many
    // it names.
    let odd = patch().remove("/total_count");
    world.simulator.fault(list(odd).times(3));
    world.simulator.reset_calls();
    assert_eq!(listed(&world.reconcile().await.unwrap()), 502);
    assert_eq!(world.wechat_calls("api_get_authorizer_list"), 3);
    for appid in &appids[..9] {
        world.assert_good(&world.token(appid).await.unwrap());
    }
}
