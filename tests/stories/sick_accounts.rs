//! Accounts that WeChat refuses, limits or contradicts itself about: none harms another, and none is
//! given up for what may pass.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use http::StatusCode;
use serde_json::{Value, json};
use wechat_simulator::{AccountKind, AccountStatus, AnswerPatch, Fault, FaultEffect};

use crate::world::browser::{Browser, check_page};
use crate::world::log::Log;
use crate::world::rows::{number, text};
use crate::world::wire::Cut;
use crate::world::{World, appid, deadline};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

const RENEW: &str = "api_authorizer_token";
const INFO: &str = "api_get_authorizer_info";

/// Accounts in one shard of the index, all due for renewal.
pub(super) async fn due_accounts(count: u64) -> (World, Vec<String>) {
    let world = World::with_ticket().await;
    let appids: Vec<String> = (1..=count).map(|n| format!("wx{:016x}", n * 16)).collect();
    for appid in &appids {
        let kind = AccountKind::OfficialAccount;
        world.simulator.add_account(appid, "a shop", kind);
        world.authorize(appid).await;
    }
    world.pass(HOUR * 2).await;
    world.ask(json!({ "component": true })).await.unwrap();
    (world, appids)
}

/// WeChat refuses every call of an endpoint for one account, for ever.
fn refuse(world: &World, appid: &str, endpoint: &str, errcode: i64) {
    let fault = Fault::new(endpoint, FaultEffect::Errcode(errcode));
    world
        .simulator
        .fault(fault.for_account(appid).times(u32::MAX));
}

/// WeChat refuses every call of an endpoint, for ever.
fn refuse_all(world: &World, endpoint: &str, errcode: i64) {
    let fault = Fault::new(endpoint, FaultEffect::Errcode(errcode));
    world.simulator.fault(fault.times(u32::MAX));
}

async fn ask_code(world: &World, appid: &str) -> String {
    let error = world.token(appid).await.unwrap_err();
    error.code().to_string()
}

async fn status(world: &World, appid: &str) -> String {
    text(&world.authorizer_row(appid).await, "status")
}

/// The refresher runs every five minutes of this time.
async fn run_for(world: &World, time: Duration) -> Vec<Value> {
    let mut runs = Vec::new();
    for _run in 0..time.as_secs() / 300 {
        world.pass(5 * MINUTE).await;
        runs.push(world.refresh().await);
    }
    runs
}

// Whose trouble a refusal is.

#[tokio::test]
async fn an_account_that_is_refused_whatever_the_code_holds_up_no_other() {
    for errcode in [40013, 41002, 48001, 40001, 45009, 50002, 61007, 99999] {
        let (world, appids) = due_accounts(20).await;
        refuse(&world, &appids[0], RENEW, errcode);
        let done = world.refresh().await;
        let told = (&done["renewed"], &done["failed"], &done["stopped"]);
        assert_eq!(told, (&json!(19), &json!(1), &Value::Null), "{errcode}");
        // It is not the head of its shard in the next run.
        let row = world.authorizer_row(&appids[0]).await;
        assert!(number(&row, "due_at") > world.clock.now(), "{errcode}");
        let again = world.refresh().await;
        assert_eq!(again["failed"], 0, "{errcode}");
    }
}

#[tokio::test]
async fn eight_accounts_that_are_refused_alike_stop_the_run_which_says_how_many_are_left() {
    let (world, _) = due_accounts(40).await;
    refuse_all(&world, RENEW, 40013);
    let log = Log::listen();
    let done = world.refresh().await;
    assert_eq!(done["stopped"], "wechat_rejected");
    let failed = done["failed"].as_u64().unwrap();
    // Seven more may be in flight when the eighth answer comes.
    assert!((8..=15).contains(&failed), "{failed}");
    assert_eq!(done["left"], 40 - failed);
    assert_eq!(log.lines("this run of the refresher").len(), 1);
    assert_eq!(log.lines("this run has left rows").len(), 1);
}

#[tokio::test]
async fn one_merchant_who_tries_again_and_again_stops_no_run() {
    let (world, appids) = due_accounts(3).await;
    refuse(&world, appid(), "api_query_auth", 40013);
    for _try in 0..10 {
        world.clock.advance(1);
        let consent = world.simulator.authorize_unpushed(appid()).unwrap();
        assert!(world.push_xml(&consent.notice).await.delivered);
        world.deliver().await;
    }
    world.pass(5 * MINUTE).await;
    let run = world.refresh().await;
    assert_eq!(run["stopped"], Value::Null, "{run}");
    assert_eq!(run["renewed"], appids.len());
}

#[tokio::test]
async fn one_success_between_refusals_goes_on_with_the_run() {
    let (world, mut appids) = due_accounts(40).await;
    // The run takes them as they became due: so every second one is refused in that order.
    let mut due_at = BTreeMap::new();
    for appid in &appids {
        let row = world.authorizer_row(appid).await;
        due_at.insert(appid.clone(), number(&row, "due_at"));
    }
    appids.sort_by_key(|appid| (due_at[appid], appid.clone()));
    for appid in appids.iter().step_by(2) {
        refuse(&world, appid, RENEW, 48001);
    }
    let done = world.refresh().await;
    assert_eq!(
        (&done["renewed"], &done["failed"]),
        (&json!(20), &json!(20))
    );
    assert_eq!(done["stopped"], Value::Null);
}

#[tokio::test]
async fn an_account_whose_token_wechat_refuses_costs_one_component_token_and_accuses_no_stack() {
    let (world, appids) = due_accounts(3).await;
    refuse(&world, &appids[0], RENEW, 40001);
    let log = Log::listen();
    world.simulator.reset_calls();
    run_for(&world, HOUR).await;
    assert_eq!(world.wechat_calls("api_component_token"), 1);
    assert_eq!(log.lines("another stack"), [""; 0]);
    for appid in &appids[1..] {
        world.assert_good(&world.token(appid).await.unwrap());
    }
}

#[tokio::test]
async fn a_minutes_quota_is_waited_out_and_said() {
    let (world, _) = due_accounts(20).await;
    let fault = Fault::new(RENEW, FaultEffect::Errcode(45011));
    world.simulator.fault(fault.times(1));
    let log = Log::listen();
    let done = world.refresh().await;
    assert_eq!((&done["renewed"], &done["failed"]), (&json!(19), &json!(1)));
    assert_eq!(done["stopped"], Value::Null);
    assert_eq!(log.lines("quota of this minute").len(), 1);
}

#[tokio::test]
async fn a_throttled_row_is_its_own_trouble_and_many_in_a_row_end_the_run() {
    let (world, appids) = due_accounts(20).await;
    let of_row = format!("PutItem authorizer#{}", appids[3]);
    world.wire.cut(&of_row, Cut::Throttled, u32::MAX);
    let done = world.refresh().await;
    assert_eq!((&done["renewed"], &done["failed"]), (&json!(19), &json!(1)));
    assert_eq!(done["stopped"], Value::Null);
    world.wire.mend();

    world.pass(HOUR * 2).await;
    world.ask(json!({ "component": true })).await.unwrap();
    world.wire.cut("PutItem", Cut::Throttled, u32::MAX);
    let done = world.refresh().await;
    assert_eq!(done["stopped"], "store_unavailable");
    world.wire.mend();
}

#[tokio::test]
async fn a_withdrawal_is_taken_also_in_a_run_without_a_component_token() {
    let (world, appids) = due_accounts(2).await;
    world.clock.advance(1);
    let unauthorized = world.simulator.revoke_unpushed(&appids[0]).unwrap();
    assert!(world.push_xml(&unauthorized).await.delivered);
    world.pass(HOUR * 2).await;
    refuse_all(&world, "api_component_token", 40125);
    let done = world.refresh().await;
    assert_eq!(
        (&done["notices"], &done["stopped"]),
        (&json!(1), &json!("wechat_rejected"))
    );
    assert_eq!(status(&world, &appids[0]).await, "revoked");
}

#[tokio::test]
async fn a_code_that_is_refused_for_its_account_is_tried_eight_times_in_its_hour_and_holds_up_no_other()
 {
    let (world, appids) = due_accounts(5).await;
    world
        .simulator
        .add_account("wx00000000000000f0", "new", AccountKind::OfficialAccount);
    let consent = world
        .simulator
        .authorize_unpushed("wx00000000000000f0")
        .unwrap();
    refuse(&world, "wx00000000000000f0", "api_query_auth", 40013);
    assert!(world.push_xml(&consent.notice).await.delivered);
    // As the event source mapping brings it: three times.
    let batch = world.next_batch().unwrap();
    for _try in 0..3 {
        world.sync(&batch).await.unwrap();
    }
    let runs = run_for(&world, 50 * MINUTE).await;
    assert!(runs.iter().all(|run| run["stopped"] == Value::Null));
    assert!(world.wechat_calls("api_query_auth") >= 8 + 5);
    for appid in &appids {
        world.assert_good(&world.token(appid).await.unwrap());
    }
    world.simulator.clear_faults();
    world.pass(5 * MINUTE).await;
    world.refresh().await;
    world.assert_good(&world.token("wx00000000000000f0").await.unwrap());
}

// Accounts that WeChat limits.

#[tokio::test]
async fn a_limited_account_is_called_limited_and_its_good_token_is_served() {
    for (status_of, errcode) in [
        (AccountStatus::Frozen, 50002),
        (AccountStatus::Migrated, 50002),
    ] {
        let (world, appids) = due_accounts(1).await;
        let appid = appids[0].as_str();
        world.token(appid).await.unwrap();
        world
            .simulator
            .set_account_status(appid, status_of)
            .unwrap();
        // Thirty minutes left: it is due, and good.
        world.pass(HOUR + 30 * MINUTE).await;
        world.refresh().await;
        world.token(appid).await.unwrap();
        let row = world.authorizer_row(appid).await;
        assert_eq!(text(&row, "status"), "authorized");
        let limited_at = number(&row, "limited_at");
        // Then it is over.
        world.pass(HOUR).await;
        let error = world.token(appid).await.unwrap_err();
        assert_eq!(error.code(), "account_limited", "{errcode}");
        assert!(
            error.advice().contains("does not help"),
            "{}",
            error.advice()
        );
        world.simulator.reset_calls();
        run_for(&world, HOUR * 24).await;
        let calls = world.wechat_calls(RENEW);
        assert!((4..=8).contains(&calls), "{calls} calls in a day");
        assert_eq!(
            number(&world.authorizer_row(appid).await, "limited_at"),
            limited_at
        );
        world
            .simulator
            .set_account_status(appid, AccountStatus::Normal)
            .unwrap();
        run_for(&world, HOUR * 7).await;
        world.assert_good(&world.token(appid).await.unwrap());
        assert!(!world.authorizer_row(appid).await.contains_key("limited_at"));
    }
}

#[tokio::test]
async fn the_result_page_says_that_wechat_limits_the_account() {
    for (endpoint, errcode, status, title) in [
        (INFO, 50002, 200, "授权成功，但微信限制了该账号"),
        (INFO, 48004, 200, "授权成功，但微信限制了该账号"),
        ("api_query_auth", 50002, 503, "微信限制了该账号"),
        ("api_query_auth", 48004, 503, "微信限制了该账号"),
    ] {
        let world = World::with_ticket().await;
        let mut browser = Browser::default();
        let (back, _) = world.consent(&mut browser, appid()).await;
        refuse(&world, appid(), endpoint, errcode);
        let page = world.come_back(&browser, &back).await;
        check_page(&page, StatusCode::from_u16(status).unwrap(), title);
        // Once the limit is lifted, the same page connects the account.
        world.simulator.clear_faults();
        world.clock.advance(600);
        let page = world.come_back(&browser, &back).await;
        assert_eq!(page.status(), StatusCode::OK);
        world.assert_good(&world.token(appid()).await.unwrap());
    }
}

#[tokio::test]
async fn a_missing_permission_after_a_withdrawal_is_asked_about_like_a_denial() {
    let (world, appids) = due_accounts(1).await;
    world.simulator.revoke_unpushed(&appids[0]).unwrap();
    refuse(&world, &appids[0], RENEW, 61007);
    assert_eq!(ask_code(&world, &appids[0]).await, "authorization_revoked");
    assert_eq!(status(&world, &appids[0]).await, "revoked");
}

// WeChat contradicts itself.

#[tokio::test]
async fn ten_minutes_of_refused_refresh_tokens_that_wechat_names_itself_mark_no_account() {
    let (world, appids) = due_accounts(40).await;
    refuse_all(&world, RENEW, 61023);
    for appid in &appids {
        assert_eq!(ask_code(&world, appid).await, "wechat_rejected");
        assert_eq!(status(&world, appid).await, "authorized");
    }
    run_for(&world, 10 * MINUTE).await;
    world.simulator.clear_faults();
    run_for(&world, 15 * MINUTE).await;
    for appid in &appids {
        world.assert_good(&world.token(appid).await.unwrap());
        assert!(
            !world
                .authorizer_row(appid)
                .await
                .contains_key("contradicted_since")
        );
    }
}

#[tokio::test]
async fn a_day_of_a_refused_refresh_token_that_wechat_names_itself_marks_the_account() {
    let (world, appids) = due_accounts(1).await;
    refuse_all(&world, RENEW, 61023);
    run_for(&world, HOUR * 23).await;
    assert_eq!(status(&world, &appids[0]).await, "authorized");
    run_for(&world, HOUR * 8).await;
    assert_eq!(status(&world, &appids[0]).await, "reauthorization_required");
}

#[tokio::test]
async fn a_day_of_denials_while_info_names_the_account_marks_it_and_an_hour_does_not() {
    let (world, appids) = due_accounts(1).await;
    refuse_all(&world, RENEW, 61003);
    run_for(&world, HOUR).await;
    assert_eq!(status(&world, &appids[0]).await, "authorized");
    run_for(&world, HOUR * 31).await;
    assert_eq!(status(&world, &appids[0]).await, "reauthorization_required");
}

#[tokio::test]
async fn an_account_whose_info_cannot_be_read_is_not_called_day_and_night() {
    let (world, appids) = due_accounts(1).await;
    refuse_all(&world, RENEW, 61023);
    let garbage = AnswerPatch::new().raw("", "garbage");
    world
        .simulator
        .fault(Fault::patch(INFO, garbage).times(u32::MAX));
    world.simulator.reset_calls();
    run_for(&world, HOUR * 24).await;
    assert!(
        world.wechat_calls(RENEW) <= 10,
        "{} calls",
        world.wechat_calls(RENEW)
    );
    assert_eq!(status(&world, &appids[0]).await, "authorized");
}

#[tokio::test]
async fn one_denial_by_info_is_no_withdrawal() {
    let (world, appids) = due_accounts(1).await;
    // The refresh token is refused once, and the info once denies an authorization that is there.
    let refused = Fault::new(RENEW, FaultEffect::Errcode(61023));
    world.simulator.fault(refused.times(1));
    let denied = Fault::new(INFO, FaultEffect::Errcode(61003));
    world.simulator.fault(denied.times(1));
    world.token(&appids[0]).await.unwrap_err();
    assert_eq!(status(&world, &appids[0]).await, "authorized");
    run_for(&world, 10 * MINUTE).await;
    world.assert_good(&world.token(&appids[0]).await.unwrap());
}

#[tokio::test]
async fn no_caller_waits_for_the_whole_list() {
    let (world, appids) = due_accounts(1).await;
    world.simulator.revoke_unpushed(&appids[0]).unwrap();
    world.simulator.reset_calls();
    assert_eq!(ask_code(&world, &appids[0]).await, "authorization_revoked");
    assert_eq!(world.wechat_calls("api_get_authorizer_list"), 0);
}

#[tokio::test]
async fn an_account_whose_exchange_was_lost_and_whose_info_cannot_be_read_comes_back_within_minutes()
 {
    let world = World::with_authorizer().await;
    let appid = "wx00000000000000f0";
    world
        .simulator
        .add_account(appid, "new", AccountKind::OfficialAccount);
    let consent = world.simulator.authorize_unpushed(appid).unwrap();
    let lost = Fault::new("api_query_auth", FaultEffect::AnswerLost);
    world.simulator.fault(lost.times(1));
    refuse(&world, appid, INFO, 48001);
    assert!(world.push_xml(&consent.notice).await.delivered);
    world.deliver().await;
    world.token(appid).await.unwrap_err();
    world.simulator.reset_calls();
    run_for(&world, 10 * MINUTE).await;
    // One walk of the list for all that wait.
    assert!(world.wechat_calls("api_get_authorizer_list") <= 2);
    world.assert_good(&world.token(appid).await.unwrap());
    let pending = world.rows().await;
    let mut notices = pending.iter().filter(|(pk, _)| pk.starts_with("notice#"));
    run_for(&world, 10 * MINUTE).await;
    assert!(
        notices.all(|(_, row)| !row.contains_key("due_at") || row.contains_key("outcome")) || {
            let rows = world.rows().await;
            rows.iter()
                .filter(|(pk, _)| pk.starts_with("notice#"))
                .all(|(_, row)| row.contains_key("outcome"))
        }
    );
}

// One code, one account.

#[tokio::test]
async fn a_code_that_gives_another_account_keeps_that_one_and_settles_the_notices_own_by_asking() {
    let world = World::with_ticket().await;
    let [named, gave] = ["wx00000000000000f0", "wx0000000000000f00"];
    for appid in [named, gave] {
        world
            .simulator
            .add_account(appid, "new", AccountKind::OfficialAccount);
    }
    let log = Log::listen();
    let of_gave = world.simulator.authorize_unpushed(gave).unwrap();
    world.simulator.authorize_unpushed(named).unwrap();
    let misled = of_gave.notice.replace(gave, named);
    assert!(world.push_xml(&misled).await.delivered);
    world.deliver().await;
    world.assert_good(&world.token(gave).await.unwrap());
    assert_eq!(log.lines("gave another authorizer").len(), 1);
    // The named account's own code was never exchanged, so WeChat knows no refresh token of it.
    assert_eq!(ask_code(&world, named).await, "reauthorization_required");
}

// Rows that were imported by hand.

async fn import(world: &World, appid: &str, fields: &[(&str, &str)]) {
    let put = world.emulators.dynamodb.put_item();
    let mut put = put
        .table_name(local::emulators::TABLE)
        .item("pk", AttributeValue::S(format!("authorizer#{appid}")));
    for (name, value) in fields {
        put = put.item(*name, AttributeValue::S((*value).to_owned()));
    }
    put.send().await.unwrap();
}

#[tokio::test]
async fn a_row_that_was_imported_by_hand_is_read_kept_and_renewed() {
    let (world, appids) = due_accounts(1).await;
    let row = world.authorizer_row(&appids[0]).await;
    let refresh_token = text(&row, "refresh_token");
    for status in [Some("authorized"), None] {
        let mut fields = vec![
            ("refresh_token", refresh_token.as_str()),
            ("name", "imported"),
            ("reference", "shop-1"),
        ];
        fields.extend(status.map(|status| ("status", status)));
        import(&world, &appids[0], &fields).await;
        world.assert_good(&world.token(&appids[0]).await.unwrap());
        let row = world.authorizer_row(&appids[0]).await;
        assert_eq!(text(&row, "refresh_token"), refresh_token);
        assert_eq!(text(&row, "name"), "imported");
        assert_eq!(text(&row, "reference"), "shop-1");
        assert_eq!(number(&row, "generation"), 2);
        assert!(row.contains_key("due_at") || status.is_some());
    }
}

#[tokio::test]
async fn an_imported_row_that_nobody_asks_for_is_made_due_by_the_list() {
    let (world, appids) = due_accounts(1).await;
    let row = world.authorizer_row(&appids[0]).await;
    let refresh_token = text(&row, "refresh_token");
    let fields = [("refresh_token", refresh_token.as_str())];
    import(&world, &appids[0], &fields).await;
    world.reconcile().await.unwrap();
    let row = world.authorizer_row(&appids[0]).await;
    assert!(row.contains_key("due_at"));
    run_for(&world, HOUR + 5 * MINUTE).await;
    assert!(
        world
            .authorizer_row(&appids[0])
            .await
            .contains_key("access_token")
    );
}

#[tokio::test]
async fn a_row_that_no_condition_fits_is_an_error_and_no_loop_without_end() {
    let world = World::with_ticket().await;
    let appid = "wx00000000000000f0";
    world
        .simulator
        .add_account(appid, "new", AccountKind::OfficialAccount);
    import(&world, appid, &[]).await;
    let consent = world.simulator.authorize_unpushed(appid).unwrap();
    assert!(world.push_xml(&consent.notice).await.delivered);
    let answer = tokio::time::timeout(Duration::from_secs(30), world.deliver()).await;
    answer.expect("it ends");
    let request = json!({ "authorizer_appid": appid });
    let getter = &world.functions.token_getter;
    getter.handle(&request, deadline()).await.unwrap_err();
}
