//! WeChat's clock is believed as far as it can be right.

use aws_sdk_dynamodb::types::AttributeValue;
use local::kept;
use serde_json::json;
use wechat_simulator::{Fault, FaultEffect};

use super::{check_accepted, stored_ticket, ticket};
use crate::world::rows::{number, text};
use crate::world::{BEGINNING, World, appid};

const HOUR: u64 = 3600;

/// A moment in milliseconds.
const MILLIS: u64 = BEGINNING * 1000;

const TICKET: &str = "component#ticket";

async fn push(world: &World, plain: &str) {
    let sealed = world.sealed(plain);
    check_accepted(world, plain, &sealed.query, sealed.body).await;
}

async fn check_stored(world: &World, value: &str, create_time: u64) {
    let stored = stored_ticket(world).await.unwrap();
    assert_eq!(stored, (value.to_owned(), create_time));
}

async fn set(world: &World, pk: &str, name: &str, time: u64) {
    world
        .set(pk, name, AttributeValue::N(time.to_string()))
        .await;
}

/// `plain` with this for its `CreateTime`.
fn at(plain: &str, create_time: &str) -> String {
    let (before, rest) = plain.split_once("<CreateTime>").unwrap();
    let (_, after) = rest.split_once("</CreateTime>").unwrap();
    format!("{before}<CreateTime>{create_time}</CreateTime>{after}")
}

fn untimed(plain: &str) -> String {
    at(plain, "").replace("<CreateTime></CreateTime>", "")
}

#[tokio::test]
async fn a_ticket_of_a_time_that_cannot_be_is_stored_under_the_seals() {
    for told in [
        "1700000001000",
        "1700003602",
        "99999999999999999999",
        "0",
        "",
        "-5",
        "soon",
    ] {
        let world = World::new().await;
        push(&world, &at(&ticket("ticket@@@wrong", 1), told)).await;
        check_stored(&world, "ticket@@@wrong", BEGINNING).await;
        world.clock.advance(600);
        push(&world, &ticket("ticket@@@next", BEGINNING + 600)).await;
        check_stored(&world, "ticket@@@next", BEGINNING + 600).await;
    }
    let world = World::new().await;
    push(&world, &untimed(&ticket("ticket@@@untimed", 1))).await;
    check_stored(&world, "ticket@@@untimed", BEGINNING).await;
}

#[tokio::test]
async fn a_time_up_to_an_hour_after_the_seal_or_any_before_it_is_believed() {
    for told in [1, BEGINNING - 10 * HOUR, BEGINNING + HOUR] {
        for writing in [format!(" {told}\n"), format!("<![CDATA[ {told} ]]>")] {
            let world = World::new().await;
            push(&world, &at(&ticket("ticket@@@told", 1), &writing)).await;
            check_stored(&world, "ticket@@@told", told).await;
        }
    }
}

#[tokio::test]
async fn a_stored_ticket_that_lies_far_ahead_makes_room_for_any_other_in_one_write() {
    for (ahead, replaced) in [
        (MILLIS, true),
        (BEGINNING + 2 * HOUR + 1, true),
        (BEGINNING + 2 * HOUR, false),
    ] {
        let world = World::new().await;
        push(&world, &ticket("ticket@@@stored", BEGINNING)).await;
        set(&world, TICKET, "create_time", ahead).await;
        world.wire.calls();
        push(&world, &ticket("ticket@@@pushed", BEGINNING)).await;
        assert_eq!(world.wire.calls().into_values().sum::<u64>(), 1);
        if replaced {
            check_stored(&world, "ticket@@@pushed", BEGINNING).await;
        } else {
            check_stored(&world, "ticket@@@stored", ahead).await;
        }
    }
}

/// Makes WeChat refuse the stored ticket once, and push no other.
async fn refuse_ticket(world: &World) {
    world.fault("api_start_push_ticket", FaultEffect::Errcode(45009));
    let fault = Fault::new("api_component_token", FaultEffect::Errcode(61006));
    world.simulator.fault(fault.times(1));
    let error = world.ask(json!({ "component": true })).await.unwrap_err();
    assert_eq!(error.code(), "no_verify_ticket");
    world.clock.advance(3);
}

#[tokio::test]
async fn a_refused_ticket_makes_room_for_an_older_one_and_that_one_is_used() {
    let world = World::with_ticket().await;
    let (good, _) = stored_ticket(&world).await.unwrap();
    push(&world, &ticket("ticket@@@bad", BEGINNING + 60)).await;
    push(&world, &ticket(&good, BEGINNING + 30)).await;
    check_stored(&world, "ticket@@@bad", BEGINNING + 60).await;
    refuse_ticket(&world).await;
    let row = world.row(TICKET).await.unwrap();
    let refused = text(&row, "refused_sha256");
    assert!(refused.len() == 64 && !row.contains_key("refused_create_time"));
    world.wire.calls();
    push(&world, &ticket(&good, BEGINNING + 30)).await;
    assert_eq!(world.wire.calls().into_values().sum::<u64>(), 1);
    check_stored(&world, &good, BEGINNING + 30).await;
    world.ask(json!({ "component": true })).await.unwrap();
    // It is not the refused one, so it makes no room.
    push(&world, &ticket("ticket@@@older", BEGINNING)).await;
    check_stored(&world, &good, BEGINNING + 30).await;
}

#[tokio::test]
async fn a_refusal_that_the_version_before_has_noted_is_read() {
    let world = World::with_ticket().await;
    world.fault("api_start_push_ticket", FaultEffect::Errcode(45009));
    set(&world, TICKET, "refused_create_time", BEGINNING).await;
    let error = world.ask(json!({ "component": true })).await.unwrap_err();
    assert_eq!(error.code(), "no_verify_ticket");
    assert_eq!(world.wechat_calls("api_component_token"), 0);
    world.clock.advance(3);
    let (good, _) = stored_ticket(&world).await.unwrap();
    push(&world, &ticket(&good, BEGINNING - 1)).await;
    world.ask(json!({ "component": true })).await.unwrap();
}

#[tokio::test]
async fn a_ticket_far_ahead_that_was_refused_does_not_refuse_those_that_follow() {
    let world = World::with_ticket().await;
    let (good, _) = stored_ticket(&world).await.unwrap();
    set(&world, TICKET, "create_time", MILLIS).await;
    set(&world, TICKET, "refused_create_time", MILLIS).await;
    push(&world, &ticket(&good, BEGINNING)).await;
    world.ask(json!({ "component": true })).await.unwrap();
}

fn row_key() -> String {
    format!("authorizer#{}", appid())
}

/// An account that is authorized, and whose row has a moment in milliseconds.
async fn poisoned(moment: &str) -> World {
    let world = World::with_authorizer().await;
    world.token(appid()).await.unwrap();
    set(&world, &row_key(), moment, MILLIS).await;
    world.clock.advance(60);
    world
}

async fn bring(world: &World, plain: &str) {
    push(world, plain).await;
    assert_eq!(world.deliver().await, json!({ "batchItemFailures": [] }));
}

/// The row has no moment any more that cannot be.
async fn check_healed(world: &World, status: &str) {
    let row = world.authorizer_row(appid()).await;
    assert_eq!(text(&row, "status"), status);
    for moment in ["auth_epoch", "revoked_at"] {
        let moment = number(&row, moment);
        assert!(moment <= world.clock.now(), "{moment}");
    }
    if status == "authorized" {
        let known = world.simulator.authorizer(appid()).unwrap().refresh_token;
        assert_eq!(Some(text(&row, "refresh_token")), known);
        world.assert_good(&world.token(appid()).await.unwrap());
    } else {
        let error = world.token(appid()).await.unwrap_err();
        assert_eq!(error.code(), "authorization_revoked");
    }
}

#[tokio::test]
async fn a_notice_in_milliseconds_does_not_hide_those_that_follow() {
    let world = World::with_ticket().await;
    let consent = world.simulator.authorize_unpushed(appid()).unwrap();
    bring(&world, &at(&consent.notice, &MILLIS.to_string())).await;
    check_healed(&world, "authorized").await;
    world.clock.advance(60);
    bring(&world, &world.simulator.revoke_unpushed(appid()).unwrap()).await;
    check_healed(&world, "revoked").await;
    world.clock.advance(60);
    let consent = world.simulator.authorize_unpushed(appid()).unwrap();
    bring(&world, &untimed(&consent.notice)).await;
    check_healed(&world, "authorized").await;
    let row = world.authorizer_row(appid()).await;
    assert_eq!(number(&row, "auth_epoch"), BEGINNING + 120);
}

#[tokio::test]
async fn a_row_with_a_moment_far_ahead_takes_the_next_withdrawal() {
    for moment in ["auth_epoch", "revoked_at"] {
        let world = poisoned(moment).await;
        let notice = world.simulator.revoke_unpushed(appid()).unwrap();
        world.simulator.reset_calls();
        bring(&world, &notice).await;
        assert_eq!(world.wechat_calls("api_get_authorizer_info"), 1, "{moment}");
        check_healed(&world, "revoked").await;
    }
}

#[tokio::test]
async fn a_row_with_a_moment_far_ahead_takes_the_next_authorization() {
    for moment in ["auth_epoch", "revoked_at"] {
        let world = poisoned(moment).await;
        let consent = world.simulator.authorize_unpushed(appid()).unwrap();
        bring(&world, &consent.notice).await;
        check_healed(&world, "authorized").await;
        let row = world.authorizer_row(appid()).await;
        assert_eq!(number(&row, "auth_epoch"), BEGINNING + 60, "{moment}");
    }
}

#[tokio::test]
async fn a_row_with_a_moment_far_ahead_is_not_ended_by_a_withdrawal_that_is_over() {
    for moment in ["auth_epoch", "revoked_at"] {
        let world = World::with_authorizer().await;
        world.clock.advance(60);
        let late = world.simulator.revoke_unpushed(appid()).unwrap();
        world.clock.advance(60);
        world.authorize(appid()).await;
        set(&world, &row_key(), moment, MILLIS).await;
        bring(&world, &late).await;
        check_healed(&world, "authorized").await;
    }
}

#[tokio::test]
async fn a_tombstone_with_a_moment_far_ahead_is_opened_by_the_next_authorization() {
    for moment in ["auth_epoch", "revoked_at"] {
        let world = World::with_authorizer().await;
        world.clock.advance(60);
        world.revoke(appid()).await;
        set(&world, &row_key(), moment, MILLIS).await;
        world.clock.advance(60);
        world.authorize(appid()).await;
        check_healed(&world, "authorized").await;
    }
}

#[tokio::test]
async fn a_row_with_a_moment_far_ahead_is_healed_by_the_list_too() {
    let world = poisoned("auth_epoch").await;
    world.reconcile().await.unwrap();
    check_healed(&world, "authorized").await;
}

#[tokio::test]
async fn a_pending_notice_of_the_version_before_may_have_a_time_that_cannot_be() {
    let world = World::with_ticket().await;
    let consent = world.simulator.authorize_unpushed(appid()).unwrap();
    push(&world, &consent.notice).await;
    let rows = world.rows().await;
    let notice = rows.keys().find(|pk| pk.starts_with("notice#")).unwrap();
    set(&world, notice, "create_time", MILLIS).await;
    world.deliver().await;
    check_healed(&world, "authorized").await;
}

#[tokio::test]
async fn the_local_clock_does_not_start_at_a_time_that_cannot_be() {
    let world = World::with_authorizer().await;
    world.clock.advance(60);
    world.push_ticket().await;
    let latest = async || {
        let resumed = kept::resume(&world.emulators.dynamodb, BEGINNING).await;
        resumed.unwrap().latest
    };
    assert_eq!(latest().await, BEGINNING + 60);
    set(&world, &row_key(), "auth_epoch", MILLIS).await;
    assert_eq!(latest().await, BEGINNING);
    set(&world, &row_key(), "auth_epoch", BEGINNING + 30 * 24 * HOUR).await;
    assert_eq!(latest().await, BEGINNING + 30 * 24 * HOUR);
    world.push_ticket().await;
    set(&world, TICKET, "last_push_at", MILLIS).await;
    assert_eq!(latest().await, BEGINNING + 30 * 24 * HOUR);
}
