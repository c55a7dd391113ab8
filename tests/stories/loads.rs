//! Many callers, many accounts, slow answers: what one waits for costs little, and holds up no other.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use component_core::component::lease::RENEWAL_TIME;
use component_core::time::Deadline;
use futures_util::future::join_all;
use serde_json::json;
use wechat_simulator::{AccountKind, DEMO_APPIDS, Fault, FaultEffect, Settings, SimClock};

use super::reconcile::{component_token, exchange_and_crash};
use super::sick_accounts::due_accounts;
use crate::world::rows::{number, text};
use crate::world::{BEGINNING, World, appid};

const HOUR: Duration = Duration::from_hours(1);

const RENEW: &str = "api_authorizer_token";
const INFO: &str = "api_get_authorizer_info";

/// Lets other tasks run until it is so.
async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    while !is_so().await {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn two_hundred_callers_of_one_renewal_read_little_and_lose_hardly_a_race() {
    const CALLERS: u64 = 200;
    // Callers wait in the time in which WeChat answers.
    let world = World::on(SimClock::hand_moved(BEGINNING), 1, Settings::example()).await;
    world.push_ticket().await;
    world.authorize(appid()).await;
    world.pass(HOUR * 2).await;
    component_token(&world).await;
    let two_seconds = Duration::from_secs(2);
    world
        .simulator
        .fault(Fault::late_answer(RENEW, two_seconds));
    world.simulator.reset_calls();
    world.wire.calls();
    let tokens = join_all((0..CALLERS).map(|_| world.token(appid()))).await;
    for token in tokens {
        world.assert_good(&token.unwrap());
    }
    assert_eq!(world.wechat_calls(RENEW), 1);
    let calls = world.wire.calls();
    assert!(calls["GetItem"] <= 5 * CALLERS, "{calls:?}");
    // The lease, the answer, and what lost a race.
    assert!(calls["PutItem"] <= 2 + CALLERS / 10, "{calls:?}");
}

#[tokio::test]
async fn one_slow_renewal_holds_up_no_other() {
    const ACCOUNTS: u64 = 40;
    let (world, appids) = due_accounts(ACCOUNTS).await;
    let slow = &appids[0];
    let hangs = Fault::late_answer(RENEW, Duration::from_secs(3));
    world.simulator.fault(hangs.for_account(slow));
    let before = number(&world.authorizer_row(slow).await, "expires_at");
    world.simulator.reset_calls();
    let others = async {
        until(async || world.wechat_calls(RENEW) == ACCOUNTS).await;
        number(&world.authorizer_row(slow).await, "expires_at")
    };
    let (run, meanwhile) = tokio::join!(world.refresh(), others);
    assert_eq!(meanwhile, before, "the slow one was still under way");
    assert_eq!(run["renewed"], ACCOUNTS);
}

#[tokio::test]
async fn a_run_begins_no_renewal_that_it_cannot_finish_and_says_what_is_left() {
    const ACCOUNTS: u64 = 30;
    let (world, appids) = due_accounts(ACCOUNTS).await;
    let slow = Fault::delay(RENEW, Duration::from_millis(300));
    world.simulator.fault(slow.times(1000));
    world.simulator.reset_calls();
    let soon = Deadline::after(RENEWAL_TIME + Duration::from_millis(450));
    let refresher = &world.functions.token_refresher;
    let run = refresher.handle(&json!({}), soon).await.unwrap();
    let renewed = run["renewed"].as_u64().unwrap();
    assert!(renewed > 0 && renewed < ACCOUNTS, "{run}");
    assert_eq!(world.wechat_calls(RENEW), renewed);
    assert_eq!(run["cut"], true);
    assert_eq!(run["left"], ACCOUNTS - renewed);
    let mut good = 0;
    for appid in &appids {
        let row = world.authorizer_row(appid).await;
        assert!(!row.contains_key("doubted_from"));
        good += u64::from(number(&row, "expires_at") > world.clock.now());
    }
    assert_eq!(good, renewed);
}

#[tokio::test]
async fn a_renewal_of_the_run_is_counted_and_a_fresh_token_that_it_finds_is_not() {
    let world = World::with_authorizer().await;
    // Due, as far as the index tells, while its token is fresh.
    let now = world.clock.now().to_string();
    let due = AttributeValue::N(now);
    let pk = format!("authorizer#{}", appid());
    world.set(&pk, "due_at", due).await;
    assert_eq!(world.refresh().await["renewed"], 0);
    assert_eq!(world.wechat_calls(RENEW), 0);
    world.pass(HOUR * 2).await;
    assert_eq!(world.refresh().await["renewed"], 1);
}

#[tokio::test]
async fn one_slow_exchange_holds_up_no_other_merchant_of_its_batch() {
    let world = World::with_ticket().await;
    component_token(&world).await;
    let [slow, other] = [DEMO_APPIDS[0], DEMO_APPIDS[1]];
    for appid in [slow, other] {
        let consent = world.simulator.authorize_unpushed(appid).unwrap();
        assert!(world.push_xml(&consent.notice).await.delivered);
    }
    // The first exchange is that of the first record.
    let hangs = Fault::late_answer("api_query_auth", Duration::from_secs(3));
    world.simulator.fault(hangs);
    let batch = world.next_batch().unwrap();
    assert_eq!(batch["Records"].as_array().unwrap().len(), 2);
    let rows = || async {
        let keys = [slow, other].map(|appid| format!("authorizer#{appid}"));
        let [one, other] = keys.each_ref().map(|pk| world.row(pk));
        (one.await.is_some(), other.await.is_some())
    };
    let meanwhile = async {
        until(async || {
            let (one, other) = rows().await;
            one || other
        })
        .await;
        rows().await
    };
    let (done, (one, other)) = tokio::join!(world.sync(&batch), meanwhile);
    assert!(one != other, "both were there at once");
    assert_eq!(done.unwrap(), json!({ "batchItemFailures": [] }));
}

#[tokio::test]
async fn a_name_that_could_not_be_got_is_asked_for_again_with_the_user_name() {
    let world = World::with_ticket().await;
    world.fault(INFO, FaultEffect::Errcode(48001));
    world.authorize(appid()).await;
    assert!(!world.authorizer_row(appid()).await.contains_key("name"));
    world.end_faults(INFO).await;
    world.pass(HOUR * 24).await;
    world.reconcile().await.unwrap();
    let row = world.authorizer_row(appid()).await;
    let account = world.simulator.authorizer(appid()).unwrap();
    assert_eq!(text(&row, "name"), account.nick_name);
    assert!(text(&row, "user_name").starts_with("gh_"));
    world.simulator.reset_calls();
    world.reconcile().await.unwrap();
    assert_eq!(world.wechat_calls(INFO), 0);
}

#[tokio::test]
async fn an_authorization_with_fewer_permission_sets_takes_the_others_away() {
    let world = World::with_authorizer().await;
    let sets = async || {
        let row = world.authorizer_row(appid()).await;
        let sets = row["permission_sets"].as_l().unwrap();
        let mut sets: Vec<u32> = sets
            .iter()
            .map(|set| set.as_n().unwrap().parse().unwrap())
            .collect();
        sets.sort_unstable();
        sets
    };
    assert!(sets().await.len() > 2);
    for fewer in [&[1, 7][..], &[7]] {
        world.clock.advance(60);
        world.simulator.set_permission_sets(appid(), fewer).unwrap();
        world.authorize(appid()).await;
        assert_eq!(sets().await, fewer);
    }
}

#[tokio::test]
async fn what_the_list_makes_due_is_spread_over_the_refreshers_time() {
    const ACCOUNTS: u64 = 60;
    let world = World::with_ticket().await;
    let component = component_token(&world).await;
    let appids: Vec<String> = (1..=ACCOUNTS).map(|n| format!("wx{n:016x}")).collect();
    for appid in &appids {
        let kind = AccountKind::MiniProgram;
        world.simulator.add_account(appid, "a shop", kind);
        let consent = world.simulator.authorize_unpushed(appid).unwrap();
        exchange_and_crash(&world, &component, &consent.auth_code).await;
    }
    let now = world.clock.now();
    world.reconcile().await.unwrap();
    let mut in_quarters = [0; 4];
    for appid in &appids {
        let due_at = number(&world.authorizer_row(appid).await, "due_at");
        let quarter = due_at.saturating_sub(now) / (15 * 60);
        in_quarters[usize::try_from(quarter).unwrap().min(3)] += 1;
    }
    assert!(in_quarters.iter().all(|due| *due > 0), "{in_quarters:?}");
}
