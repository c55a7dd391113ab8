//! The daily run of the authorizer sync, which compares the table with WeChat's list.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use component_core::time::Deadline;
use local::emulators::TABLE;
use serde_json::{Value, json};
use wechat_simulator::{AccountKind, DEMO_APPIDS, FaultEffect};

use crate::world::log::Log;
use crate::world::rows::{number, text};
use crate::world::wire::Cut;
use crate::world::{World, appid};

const HOUR: Duration = Duration::from_hours(1);

fn summary(listed: u64, changed: u64, absent: u64, unusable: u64) -> Value {
    json!({
        "listed": listed,
        "changed": changed,
        "absent": absent,
        "reauthorization_required": unusable,
    })
}

/// Exchanges a code as a function does that crashes right after the call.
pub(super) async fn exchange_and_crash(world: &World, component: &str, code: &str) {
    let url = format!(
        "{}/cgi-bin/component/api_query_auth?component_access_token={component}",
        world.parts.wechat_url
    );
    let body = json!({ "component_appid": "wx0123456789abcdef", "authorization_code": code });
    let call = world.http.post(url).body(body.to_string());
    let answer = call.send().await.unwrap().text().await.unwrap();
    assert!(answer.contains("authorizer_refresh_token"), "{answer}");
}

pub(super) async fn component_token(world: &World) -> String {
    let answer = world.ask(json!({ "component": true })).await.unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

async fn delete(world: &World, pk: &str) {
    let delete = world.emulators.dynamodb.delete_item().table_name(TABLE);
    let delete = delete.key("pk", AttributeValue::S(pk.to_owned()));
    delete.send().await.unwrap();
}

async fn remove(world: &World, pk: &str, attribute: &str) {
    let update = world.emulators.dynamodb.update_item().table_name(TABLE);
    let update = update
        .key("pk", AttributeValue::S(pk.to_owned()))
        .update_expression("REMOVE #attribute")
        .expression_attribute_names("#attribute", attribute);
    update.send().await.unwrap();
}

fn row_key() -> String {
    format!("authorizer#{}", appid())
}

#[tokio::test]
async fn an_empty_table_is_a_working_stack_again_after_one_run_over_2000_authorizers() {
    const ACCOUNTS: u64 = 2000;
    /// One in so many codes was never exchanged: WeChat lists the account without a refresh token.
    const WITHOUT: u64 = 125;
    let log = Log::listen();
    let world = World::with_ticket().await;
    let component = component_token(&world).await;
    let one = |number: u64| format!("wx{:016x}", number * 7);
    for number in 0..ACCOUNTS {
        let (appid, kind) = (one(number), AccountKind::MiniProgram);
        world.simulator.add_account(&appid, "a shop", kind);
        let consent = world.simulator.authorize_unpushed(&appid).unwrap();
        if number % WITHOUT != 0 {
            exchange_and_crash(&world, &component, &consent.auth_code).await;
        }
    }
    world.simulator.reset_calls();
    let enough = Deadline::after(Duration::from_mins(4));
    let sync = &world.functions.authorizer_sync;
    let done = sync.handle(&json!({}), enough).await.unwrap();
    assert_eq!(done, summary(ACCOUNTS, ACCOUNTS, 0, ACCOUNTS / WITHOUT));
    assert_eq!(world.wechat_calls("api_get_authorizer_list"), 4);
    assert_eq!(world.new_wechat_calls().len(), 1);
    for number in (0..ACCOUNTS).step_by(25) {
        let answer = world.token(&one(number)).await;
        if number % WITHOUT == 0 {
            assert_eq!(answer.unwrap_err().code(), "reauthorization_required");
            let named = log.lines(&one(number));
            assert!(
                named
                    .iter()
                    .any(|line| line.contains("must authorize again"))
            );
        } else {
            world.assert_good(&answer.unwrap());
        }
    }

    // A row that is right is not written again.
    world.wire.calls();
    let done = sync.handle(&json!({}), enough).await.unwrap();
    assert_eq!(done, summary(ACCOUNTS, 0, 0, ACCOUNTS / WITHOUT));
    let calls = world.wire.calls();
    assert_eq!(calls.get("PutItem"), None);
    assert_eq!(calls.get("UpdateItem"), None);
}

#[tokio::test]
async fn an_account_listed_without_a_refresh_token_must_authorize_again() {
    let world = World::with_ticket().await;
    world.simulator.authorize_unpushed(appid()).unwrap();
    for changed in [1, 0] {
        assert_eq!(world.reconcile().await.unwrap(), summary(1, changed, 0, 1));
        let row = world.authorizer_row(appid()).await;
        assert_eq!(text(&row, "status"), "reauthorization_required");
        assert!(!row.contains_key("due_at"));
        let refused = world.token(appid()).await.unwrap_err();
        assert_eq!(refused.code(), "reauthorization_required");
    }
    world.simulator.reset_calls();
    world.pass(HOUR).await;
    world.refresh().await;
    assert_eq!(world.wechat_calls("api_authorizer_token"), 0);
    world.authorize(appid()).await;
    world.assert_good(&world.token(appid()).await.unwrap());
    assert_eq!(world.reconcile().await.unwrap(), summary(1, 0, 0, 0));
}

#[tokio::test]
async fn an_empty_list_is_no_reason_to_delete_anything() {
    let world = World::with_authorizer().await;
    assert_eq!(world.reconcile().await.unwrap(), summary(1, 0, 0, 0));
    let before = world.rows().await;
    world.fault(
        "api_get_authorizer_list",
        FaultEffect::Body(r#"{"total_count":0,"list":[]}"#.to_owned()),
    );
    // The list lacks the account twice, but WeChat says "authorized" when it is asked by name.
    assert_eq!(world.reconcile().await.unwrap(), summary(0, 0, 1, 0));
    world.end_faults("api_get_authorizer_list").await;
    assert_eq!(world.rows().await, before);
    world.assert_good(&world.token(appid()).await.unwrap());
}

#[tokio::test]
async fn an_authorization_whose_notice_got_lost_is_taken_from_the_list() {
    let world = World::with_authorizer().await;
    world.clock.advance(60);
    world.revoke(appid()).await;
    world.clock.advance(60);
    let component = component_token(&world).await;
    let consent = world.simulator.authorize_unpushed(appid()).unwrap();
    exchange_and_crash(&world, &component, &consent.auth_code).await;
    assert_eq!(world.reconcile().await.unwrap(), summary(1, 1, 0, 0));
    let row = world.authorizer_row(appid()).await;
    assert_eq!(text(&row, "status"), "authorized");
    assert!(!row.contains_key("ttl"));
    world.assert_good(&world.token(appid()).await.unwrap());

    // The same without a revocation: the tokens in the row belong to the authorization before.
    world.clock.advance(60);
    let consent = world.simulator.authorize_unpushed(appid()).unwrap();
    exchange_and_crash(&world, &component, &consent.auth_code).await;
    assert_eq!(world.reconcile().await.unwrap(), summary(1, 1, 0, 0));
    world.assert_good(&world.token(appid()).await.unwrap());
    // The notice comes late, and the token still works.
    world.push_xml(&consent.notice).await;
    world.deliver().await;
    world.assert_good(&world.token(appid()).await.unwrap());
}

#[tokio::test]
async fn a_revocation_whose_notice_got_lost_is_taken_from_the_list() {
    let world = World::with_authorizer().await;
    let [_, other, ..] = DEMO_APPIDS;
    world.authorize(other).await;
    world.clock.advance(60);
    world.simulator.revoke_unpushed(appid()).unwrap();
    world.simulator.reset_calls();
    assert_eq!(world.reconcile().await.unwrap(), summary(1, 0, 1, 0));
    // The list is read to compare, and again to make sure; then WeChat is asked by name.
    assert_eq!(world.wechat_calls("api_get_authorizer_list"), 2);
    assert_eq!(world.wechat_calls("api_get_authorizer_info"), 1);
    let refused = world.token(appid()).await.unwrap_err();
    assert_eq!(refused.code(), "authorization_revoked");
    let row = world.authorizer_row(appid()).await;
    assert_eq!(text(&row, "status"), "revoked");
    assert!(row.contains_key("refresh_token"));
    world.assert_good(&world.token(other).await.unwrap());
    assert_eq!(world.reconcile().await.unwrap(), summary(1, 0, 0, 0));
    // An account that was revoked can authorize again, even if the date of the revocation is
    // unknown.
    world.clock.advance(60);
    world.authorize(appid()).await;
    world.assert_good(&world.token(appid()).await.unwrap());
}

#[tokio::test]
async fn a_refresh_token_that_the_row_has_lost_comes_back() {
    let world = World::with_authorizer().await;
    let live = text(&world.authorizer_row(appid()).await, "refresh_token");
    for attribute in ["refresh_token", "access_token", "expires_at", "auth_epoch"] {
        remove(&world, &row_key(), attribute).await;
        world.reconcile().await.unwrap();
        let row = world.authorizer_row(appid()).await;
        assert_eq!(text(&row, "refresh_token"), live, "{attribute}");
        world.assert_good(&world.token(appid()).await.unwrap());
        world.pass(HOUR * 2).await;
        assert_eq!(world.refresh().await["renewed"], 1, "{attribute}");
    }
    delete(&world, &row_key()).await;
    assert_eq!(world.reconcile().await.unwrap(), summary(1, 1, 0, 0));
    let row = world.authorizer_row(appid()).await;
    assert_eq!(text(&row, "refresh_token"), live);
    world.assert_good(&world.token(appid()).await.unwrap());

    // A refresh token that WeChat does not name is also kept.
    let other = AttributeValue::S("refreshtoken@@@other".to_owned());
    world.set(&row_key(), "refresh_token", other).await;
    assert_eq!(world.reconcile().await.unwrap(), summary(1, 1, 0, 0));
    let row = world.authorizer_row(appid()).await;
    assert!(format!("{row:?}").contains("refreshtoken@@@other"));
    assert!(format!("{row:?}").contains(&live));
    world.pass(HOUR * 2).await;
    assert_eq!(world.refresh().await["renewed"], 1);
    world.assert_good(&world.token(appid()).await.unwrap());
}

#[tokio::test]
async fn a_run_deletes_nothing_and_writes_nothing_that_is_fine() {
    let world = World::with_authorizer().await;
    for appid in &DEMO_APPIDS[1..] {
        world.authorize(appid).await;
    }
    world.clock.advance(60);
    world.revoke(DEMO_APPIDS[3]).await;
    world.reconcile().await.unwrap();
    let before = world.rows().await;
    world.wire.calls();
    for event in [json!({}), json!({ "detail-type": "Scheduled Event" })] {
        let done = world.sync(&event).await.unwrap();
        assert_eq!(done, summary(3, 0, 0, 0));
    }
    let calls = world.wire.calls();
    for write in ["PutItem", "UpdateItem", "DeleteItem"] {
        assert_eq!(calls.get(write), None);
    }
    assert_eq!(world.rows().await, before);
}

#[tokio::test]
async fn a_run_that_the_table_cuts_off_is_completed_by_the_next() {
    let world = World::with_ticket().await;
    let component = component_token(&world).await;
    for appid in DEMO_APPIDS {
        let consent = world.simulator.authorize_unpushed(appid).unwrap();
        exchange_and_crash(&world, &component, &consent.auth_code).await;
    }
    for (operation, cut, times) in [
        ("GetItem", Cut::Before, 12),
        ("PutItem", Cut::Throttled, 12),
        ("PutItem", Cut::AnswerLost, 12),
        ("Query", Cut::Before, 3),
    ] {
        world.wire.cut(operation, cut, times);
        if let Err(error) = world.reconcile().await {
            assert_eq!(error.code(), "store_unavailable", "{operation}");
        }
        world.wire.mend();
    }
    assert_eq!(world.reconcile().await.unwrap(), summary(4, 0, 0, 0));
    for appid in DEMO_APPIDS {
        world.assert_good(&world.token(appid).await.unwrap());
        assert_eq!(number(&world.authorizer_row(appid).await, "failures"), 0);
    }
}

#[tokio::test]
async fn a_row_that_fails_costs_no_other_its_turn() {
    let world = World::with_authorizer().await;
    let [gone, fine, lost @ ..] = DEMO_APPIDS;
    world.authorize(fine).await;
    world.clock.advance(60);
    world.simulator.revoke_unpushed(gone).unwrap();
    let component = component_token(&world).await;
    for appid in lost {
        let consent = world.simulator.authorize_unpushed(appid).unwrap();
        exchange_and_crash(&world, &component, &consent.auth_code).await;
    }
    let read = format!("GetItem authorizer#{}", lost[0]);
    world.wire.cut(&read, Cut::Before, 3);
    assert_eq!(
        world.reconcile().await.unwrap_err().code(),
        "store_unavailable"
    );
    let refused = world.token(gone).await.unwrap_err();
    assert_eq!(refused.code(), "authorization_revoked");
    assert_eq!(world.reconcile().await.unwrap(), summary(3, 1, 0, 0));
    for appid in [fine, lost[0], lost[1]] {
        world.assert_good(&world.token(appid).await.unwrap());
    }
}

#[tokio::test]
async fn a_refusal_of_the_component_ends_the_run() {
    let world = World::with_ticket().await;
    for appid in DEMO_APPIDS {
        world.authorize(appid).await;
    }
    world.clock.advance(60);
    for appid in DEMO_APPIDS {
        world.simulator.revoke_unpushed(appid).unwrap();
    }
    world.simulator.reset_calls();
    world.fault("api_get_authorizer_list", FaultEffect::Errcode(45009));
    let refused = world.reconcile().await.unwrap_err();
    assert_eq!(refused.code(), "wechat_rejected");
    assert_eq!(world.wechat_calls("api_get_authorizer_list"), 1);
    assert_eq!(world.wechat_calls("api_get_authorizer_info"), 0);
    world.end_faults("api_get_authorizer_list").await;
    // What WeChat says of one account does not end the run, and withdraws nothing.
    world.fault("api_get_authorizer_info", FaultEffect::Errcode(48001));
    world.simulator.reset_calls();
    assert_eq!(world.reconcile().await.unwrap(), summary(0, 0, 4, 0));
    assert_eq!(world.wechat_calls("api_get_authorizer_info"), 4);
    assert_eq!(
        text(&world.authorizer_row(appid()).await, "status"),
        "authorized"
    );
    world.end_faults("api_get_authorizer_info").await;
    assert_eq!(world.reconcile().await.unwrap(), summary(0, 0, 4, 0));
    assert_eq!(
        text(&world.authorizer_row(appid()).await, "status"),
        "revoked"
    );
}

#[tokio::test]
async fn an_authorization_that_was_never_exchanged_ends_the_trust_in_the_one_before() {
    let world = World::with_authorizer().await;
    world.clock.advance(3600);
    // Neither the notice nor the redirect of this authorization ever comes.
    drop(world.simulator.authorize_unpushed(appid()).unwrap());
    world.pass(HOUR / 12).await;
    world.reconcile().await.unwrap();
    let refused = world.token(appid()).await.unwrap_err();
    assert_eq!(refused.code(), "reauthorization_required");
}
