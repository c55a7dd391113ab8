//! The token refresher: what it renews, what it leaves, and when it stops.

use std::collections::BTreeSet;
use std::time::Duration;

use component_core::time::Deadline;
use serde_json::{Value, json};
use wechat_simulator::{AccountKind, Fault, FaultEffect};

use crate::world::rows::{number, text};
use crate::world::wire::Cut;
use crate::world::{World, appid, deadline};

const HOUR: Duration = Duration::from_hours(1);

/// Authorizes accounts that share one shard of the index.
async fn authorize_many(world: &World, numbers: std::ops::Range<u64>) -> Vec<String> {
    let appids: Vec<String> = numbers.map(|n| format!("wx{:016x}", n * 16)).collect();
    for appid in &appids {
        let kind = AccountKind::OfficialAccount;
        world.simulator.add_account(appid, "a shop", kind);
        world.authorize(appid).await;
    }
    appids
}

async fn run(world: &World, event: &Value, deadline: Deadline) -> Value {
    let refresher = &world.functions.token_refresher;
    refresher.handle(event, deadline).await.unwrap()
}

fn summary(renewed: u64, notices: u64, failed: u64, stopped: Option<&str>) -> Value {
    json!({ "renewed": renewed, "notices": notices, "delivered": 0, "failed": failed, "stopped": stopped })
}

#[tokio::test]
async fn only_what_is_due_is_renewed_whatever_the_event_says() {
    let world = World::with_ticket().await;
    let early = authorize_many(&world, 1..5).await;
    world.pass(HOUR).await;
    let late = authorize_many(&world, 5..8).await;
    assert_eq!(world.refresh().await, summary(0, 0, 0, None));
    // Tokens are due 30 to 40 minutes before they expire: the first one now, the others in an hour.
    world.pass(HOUR / 2).await;
    world.simulator.reset_calls();
    let scheduled = json!({ "source": "aws.scheduler", "detail-type": "Scheduled Event" });
    let done = run(&world, &scheduled, deadline()).await;
    assert_eq!(done, summary(4, 0, 0, None));
    assert_eq!(world.wechat_calls("api_authorizer_token"), 4);
    for event in [json!({}), json!({ "Records": [] }), json!({ "a": [1] })] {
        assert_eq!(
            run(&world, &event, deadline()).await,
            summary(0, 0, 0, None)
        );
    }
    world.simulator.reset_calls();
    for appid in early.iter().chain(&late) {
        world.assert_good(&world.token(appid).await.unwrap());
    }
    world.pass(HOUR).await;
    assert_eq!(world.refresh().await, summary(3, 0, 0, None));
}

#[tokio::test]
async fn authorizers_that_came_together_do_not_stay_together() {
    let world = World::with_ticket().await;
    let appids = authorize_many(&world, 1..17).await;
    for _round in 0..2 {
        let mut due = BTreeSet::new();
        for appid in &appids {
            let row = world.authorizer_row(appid).await;
            let margin = number(&row, "expires_at") - number(&row, "due_at");
            assert!((1800..=2400).contains(&margin), "{margin}");
            due.insert(margin);
        }
        assert!(due.len() > 8, "{due:?}");
        world.pass(HOUR * 2).await;
        assert_eq!(world.refresh().await["renewed"], 16);
    }
}

#[tokio::test]
async fn a_refusal_of_the_component_stops_a_run_at_once_and_the_next_one_resumes() {
    let world = World::with_ticket().await;
    let appids = authorize_many(&world, 1..21).await;
    for errcode in [45009, 61004, 61005, 61006, 40001] {
        world.pass(HOUR * 2).await;
        world.ask(json!({ "component": true })).await.unwrap();
        world.simulator.reset_calls();
        let fault = Fault::new("api_authorizer_token", FaultEffect::Errcode(errcode));
        world.simulator.fault(fault.times(u32::MAX));
        let done = world.refresh().await;
        assert_eq!(done["stopped"], "wechat_rejected", "{errcode}");
        assert_eq!(done["renewed"], 0);
        let calls = world.wechat_calls("api_authorizer_token");
        // An address or a ticket can only be the component's. Of the others, eight accounts in a row
        // tell. Calls already in flight are made. If the component token was refused, each is made
        // twice.
        let most = match errcode {
            61004..=61006 => 8,
            40001 => 30,
            _ => 15,
        };
        assert!((1..=most).contains(&calls), "{errcode}: {calls} calls");
        world.simulator.clear_faults();
        // A refused row is put off a little, so that it is not the first of the next run again.
        world.clock.advance(60);
        assert_eq!(world.refresh().await["renewed"], 20, "{errcode}");
    }
    for appid in &appids {
        world.assert_good(&world.token(appid).await.unwrap());
    }
}

#[tokio::test]
async fn without_a_component_token_no_authorizer_is_tried() {
    let world = World::with_ticket().await;
    authorize_many(&world, 1..4).await;
    world.pass(HOUR * 2).await;
    for (effect, stopped) in [
        (FaultEffect::Errcode(40125), "wechat_rejected"),
        (FaultEffect::Errcode(61005), "no_verify_ticket"),
        (FaultEffect::HttpStatus(503), "wechat_unavailable"),
    ] {
        world.simulator.reset_calls();
        world.fault("api_component_token", effect);
        let done = world.refresh().await;
        assert_eq!((&done["renewed"], &done["failed"]), (&json!(0), &json!(0)));
        assert_eq!(
            (&done["stopped"], &done["left"]),
            (&json!(stopped), &json!(3))
        );
        assert!(world.wechat_calls("api_component_token") <= 3);
        assert_eq!(world.wechat_calls("api_authorizer_token"), 0);
        world.end_faults("api_component_token").await;
    }
    assert_eq!(world.refresh().await, summary(3, 0, 0, None));
}

#[tokio::test]
async fn one_failing_authorizer_is_put_off_and_stops_no_other() {
    let world = World::with_ticket().await;
    let appids = authorize_many(&world, 1..7).await;
    world.pass(HOUR * 2).await;
    let fault = Fault::new("api_authorizer_token", FaultEffect::Errcode(48001));
    world.simulator.fault(fault.clone());
    assert_eq!(world.refresh().await, summary(5, 0, 1, None));
    let mut troubled = None;
    for appid in &appids {
        if number(&world.authorizer_row(appid).await, "failures") == 1 {
            assert_eq!(troubled.replace(appid), None);
        }
    }
    let troubled = troubled.unwrap();
    // Each failure doubles the backoff, up to half an hour.
    let mut longest = 0;
    for failures in 1..=8_u64 {
        let row = world.authorizer_row(troubled).await;
        assert_eq!(number(&row, "failures"), failures);
        assert_eq!(text(&row, "status"), "authorized");
        let wait = number(&row, "due_at") - world.clock.now();
        let doubled = (60 << (failures - 1)).min(1800);
        assert!((doubled / 2..=doubled).contains(&wait), "{wait}");
        longest = longest.max(wait);
        world.clock.advance(wait - 1);
        assert_eq!(world.refresh().await["failed"], 0);
        world.clock.advance(1);
        // The other authorizers are due again by now; renew them.
        for other in &appids {
            if other != troubled {
                world.token(other).await.unwrap();
            }
        }
        world.simulator.fault(fault.clone());
        assert_eq!(world.refresh().await["failed"], 1);
    }
    assert!(longest >= 900);
    world.pass(HOUR / 2).await;
    world.refresh().await;
    let row = world.authorizer_row(troubled).await;
    assert_eq!(number(&row, "failures"), 0);
    assert!(!row.contains_key("failure"));
    world.assert_good(&world.token(troubled).await.unwrap());
}

#[tokio::test]
async fn a_notice_that_the_stream_did_not_bring_is_swept() {
    let world = World::with_authorizer().await;
    world.clock.advance(1);
    let unauthorized = world.simulator.revoke_unpushed(appid()).unwrap();
    assert!(world.push_xml(&unauthorized).await.delivered);
    world.clock.advance(1);
    let other = wechat_simulator::DEMO_APPIDS[1];
    let authorized = world.simulator.authorize_unpushed(other).unwrap();
    assert!(world.push_xml(&authorized.notice).await.delivered);
    // The refresher leaves notices to the stream for a minute.
    world.clock.advance(58);
    assert_eq!(world.refresh().await, summary(0, 0, 0, None));
    world.clock.advance(2);
    assert_eq!(world.refresh().await, summary(0, 2, 0, None));
    let refused = world.token(appid()).await.unwrap_err();
    assert_eq!(refused.code(), "authorization_revoked");
    world.assert_good(&world.token(other).await.unwrap());
    world.pass(HOUR).await;
    let run = world.refresh().await;
    assert_eq!((&run["renewed"], &run["notices"]), (&json!(0), &json!(0)));
    // If the stream brings the notices after all, they are already handled.
    world.simulator.reset_calls();
    world.deliver().await;
    assert_eq!(world.wechat_calls("api_query_auth"), 0);
}

#[tokio::test]
async fn a_notice_that_fails_is_tried_again_while_its_code_lives() {
    let world = World::with_ticket().await;
    let consent = world.simulator.authorize_unpushed(appid()).unwrap();
    world.push_xml(&consent.notice).await;
    world.ask(json!({ "component": true })).await.unwrap();
    let mut tries = 0;
    for _run in 0..24 {
        world.clock.advance(120);
        world.simulator.reset_calls();
        let busy = Fault::new("api_query_auth", FaultEffect::Errcode(-1));
        world.simulator.fault(busy.times(3));
        if world.refresh().await["failed"] == 1 {
            tries += 1;
        } else {
            world.end_faults("api_query_auth").await;
        }
    }
    assert!((5..=12).contains(&tries), "{tries}");
    world.clock.advance(11 * 60);
    world.push_ticket().await;
    world.refresh().await;
    world.assert_good(&world.token(appid()).await.unwrap());
}

#[tokio::test]
async fn when_no_ticket_comes_for_25_minutes_wechat_is_asked_once_in_15() {
    let world = World::with_ticket().await;
    // WeChat's pushes do not arrive.
    let door = format!("{}/lost", world.parts.wechat_url);
    world.simulator.set_events_url(&door);
    let mut asked_at = Vec::new();
    let mut minutes = 0;
    for wait in [10, 15, 1, 1, 13, 1, 14, 1, 1] {
        minutes += wait;
        world.clock.advance(wait * 60);
        world.simulator.reset_calls();
        world.refresh().await;
        if world.wechat_calls("api_start_push_ticket") == 1 {
            asked_at.push(minutes);
        }
    }
    assert_eq!(asked_at, [26, 41, 56]);
}

#[tokio::test]
async fn a_ticket_that_wechat_is_asked_for_comes_and_ends_the_silence() {
    let world = World::new().await;
    world.refresh().await;
    assert_eq!(world.wechat_calls("api_start_push_ticket"), 1);
    while world
        .row("component#ticket")
        .await
        .is_none_or(|row| !row.contains_key("ticket"))
    {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.refresh().await, summary(0, 0, 0, None));
    world.ask(json!({ "component": true })).await.unwrap();
    world.clock.advance(26 * 60);
    world.push_ticket().await;
    world.refresh().await;
    assert_eq!(world.wechat_calls("api_start_push_ticket"), 1);
}

#[tokio::test]
async fn a_run_whose_time_is_up_stops_without_an_error() {
    let world = World::with_ticket().await;
    let appids = authorize_many(&world, 1..21).await;
    world.pass(HOUR * 2).await;
    world.simulator.reset_calls();
    let over = Deadline::after(Duration::ZERO);
    let done = run(&world, &json!({}), over).await;
    assert_eq!(done["renewed"], 0);
    assert_eq!(world.wechat_calls("api_authorizer_token"), 0);

    world.pass(HOUR / 2).await;
    assert_eq!(world.refresh().await["stopped"], Value::Null);
    for appid in appids {
        world.assert_good(&world.token(&appid).await.unwrap());
    }
}

#[tokio::test]
async fn a_table_that_cannot_be_read_is_an_error_and_the_next_run_resumes() {
    let world = World::with_authorizer().await;
    world.pass(HOUR * 2).await;
    for operation in ["GetItem", "Query"] {
        world.wire.cut(operation, Cut::Before, 1000);
        let refresher = &world.functions.token_refresher;
        let error = refresher.handle(&json!({}), deadline()).await.unwrap_err();
        assert_eq!(error.code(), "store_unavailable", "{operation}");
        world.wire.mend();
    }
    assert_eq!(world.refresh().await, summary(1, 0, 0, None));
}
