//! What the table can do to a request, before WeChat answers or just after.

use std::time::Duration;

use component_core::component::lease::RENEWAL_TIME;
use component_core::time::Deadline;
use http::StatusCode;
use serde_json::json;
use wechat_simulator::{AccountKind, Fault};

use super::{
    HOUR, account, assert_answer, assert_work, assert_works, authorize, component_token,
    knows_live_token,
};
use crate::world::browser::Browser;
use crate::world::wire::Cut;
use crate::world::{World, appid, assert_tells_nothing, deadline};

/// Runs `flow`, and makes the table fail while WeChat answers.
async fn cut_during<T>(
    world: &World,
    endpoint: &str,
    cut: (&str, Cut, u32),
    flow: impl Future<Output = T>,
) -> T {
    let late = Fault::late_answer(endpoint, Duration::from_millis(30));
    world.simulator.fault(late);
    world.simulator.reset_calls();
    let mut called = false;
    let cutter = async {
        while world.wechat_calls(endpoint) == 0 {
            tokio::task::yield_now().await;
        }
        called = true;
        world.wire.cut(cut.0, cut.1, cut.2);
        std::future::pending().await
    };
    let result = tokio::select! {
        result = flow => result,
        never = cutter => never,
    };
    assert!(called, "the flow did not call {endpoint}");
    result
}

/// One way in which the table fails, and an account for it.
struct Trouble {
    appid: String,
    cut: (&'static str, Cut, u32),
    what: String,
}

fn troubles() -> Vec<Trouble> {
    let mut cuts = Vec::new();
    for operation in ["PutItem", "UpdateItem", "GetItem"] {
        for cut in [Cut::Before, Cut::AnswerLost, Cut::Throttled] {
            // Once, and in all tries of the SDK.
            cuts.extend([1, 3].map(|times| (operation, cut, times)));
        }
    }
    // No answer in time.
    cuts.extend(["PutItem", "UpdateItem", "GetItem"].map(|operation| (operation, Cut::Hangs, 1)));
    // A compare-and-set that fails because another worker was faster: once, and several times.
    cuts.extend([1, 4].map(|times| ("PutItem", Cut::Raced, times)));
    // For longer than any flow retries.
    cuts.push(("*", Cut::Before, 12));
    let mut troubles = Vec::new();
    for cut in cuts {
        troubles.push(Trouble {
            appid: account(troubles.len()),
            cut,
            what: format!("{cut:?}"),
        });
    }
    troubles
}

/// Each account has authorized, and its token has expired.
async fn with_stale_tokens(troubles: &[Trouble]) -> World {
    let world = World::with_ticket().await;
    world.simulator.set_rotate_refresh_tokens(true);
    for trouble in troubles {
        authorize(&world, &trouble.appid).await;
    }
    world.pass(HOUR * 2).await;
    world
}

fn troubled(troubles: &[Trouble]) -> Vec<(&str, &str)> {
    let mut named = Vec::new();
    for trouble in troubles {
        named.push((trouble.appid.as_str(), trouble.what.as_str()));
    }
    named
}

#[tokio::test]
async fn a_renewal_survives_a_table_that_fails_before_it() {
    let troubles = troubles();
    let world = with_stale_tokens(&troubles).await;
    for Trouble { appid, cut, what } in &troubles {
        world.wire.cut(cut.0, cut.1, cut.2);
        let answer = world.ask(json!({ "authorizer_appid": appid })).await;
        if cut.2 == 1 {
            assert_answer(&answer, Ok(()), what);
        } else if answer.is_err() {
            assert_answer(&answer, Err("store_unavailable"), what);
        }
        world.wire.mend();
    }
    assert_work(&world, troubled(&troubles)).await;
}

#[tokio::test]
async fn a_renewal_survives_a_table_that_fails_when_wechat_has_answered() {
    let troubles = troubles();
    let world = with_stale_tokens(&troubles).await;
    component_token(&world).await;
    for Trouble { appid, cut, what } in &troubles {
        let flow = world.token(appid);
        let token = cut_during(&world, "api_authorizer_token", *cut, flow).await;
        world.wire.mend();
        world.assert_good(&token.unwrap());
        assert!(knows_live_token(&world, appid).await, "{what}");
    }
    assert_work(&world, troubled(&troubles)).await;
}

#[tokio::test]
async fn a_renewal_that_can_never_be_stored_is_answered_and_repaired_later() {
    let world = World::with_authorizer().await;
    for rotate in [false, true] {
        world.simulator.set_rotate_refresh_tokens(rotate);
        world.pass(HOUR * 2).await;
        component_token(&world).await;
        let request = json!({ "authorizer_appid": appid() });
        // Less is too little for a call, and none would be begun.
        let soon = Deadline::after(RENEWAL_TIME + Duration::from_millis(300));
        let flow = world.functions.token_getter.handle(&request, soon);
        let down = ("*", Cut::Before, 1000);
        let answer = cut_during(&world, "api_authorizer_token", down, flow).await;
        world.wire.mend();
        world.assert_good(answer.unwrap()["access_token"].as_str().unwrap());
        assert_works(&world, &format!("rotate: {rotate}")).await;
    }
}

#[tokio::test]
async fn an_exchange_survives_a_table_that_fails_before_it() {
    let world = World::with_ticket().await;
    let troubles = troubles();
    for Trouble { appid, cut, what } in &troubles {
        let kind = AccountKind::MiniProgram;
        world.simulator.add_account(appid, "a shop", kind);
        let consent = world.simulator.authorize_unpushed(appid).unwrap();
        assert!(world.push_xml(&consent.notice).await.delivered);
        world.wire.cut(cut.0, cut.1, cut.2);
        let answer = world.deliver().await;
        let failed = answer["batchItemFailures"].as_array().unwrap().len();
        assert!(failed == 0 || cut.2 > 1, "{what}");
        world.wire.mend();
    }
    assert_work(&world, troubled(&troubles)).await;
}

#[tokio::test]
async fn an_exchange_survives_a_table_that_fails_when_wechat_has_answered() {
    let world = World::with_ticket().await;
    component_token(&world).await;
    let troubles = troubles();
    for Trouble { appid, cut, what } in &troubles {
        let kind = AccountKind::MiniProgram;
        world.simulator.add_account(appid, "a shop", kind);
        let consent = world.simulator.authorize_unpushed(appid).unwrap();
        assert!(world.push_xml(&consent.notice).await.delivered);
        cut_during(&world, "api_query_auth", *cut, world.deliver()).await;
        world.wire.mend();
        assert!(knows_live_token(&world, appid).await, "{what}");
    }
    assert_work(&world, troubled(&troubles)).await;
}

#[tokio::test]
async fn an_exchange_that_can_never_be_stored_is_repaired_by_its_notice() {
    let world = World::with_ticket().await;
    component_token(&world).await;
    let mut browser = Browser::default();
    let (back, notice) = world.consent(&mut browser, appid()).await;
    let request = browser.request("GET", &back);
    let soon = Deadline::after(Duration::from_millis(900));
    let flow = world.functions.auth_callback.handle(request, soon);
    let down = ("*", Cut::Before, 1000);
    let page = cut_during(&world, "api_query_auth", down, flow).await;
    assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE);
    world.wire.mend();
    assert!(world.push_xml(&notice).await.delivered);
    // The callback failed without a trace, and its claim on the code expires.
    assert_works(&world, "by its notice").await;
}

#[tokio::test]
async fn a_click_survives_a_table_that_fails() {
    let world = World::with_ticket().await;
    for Trouble { cut, what, .. } in troubles() {
        world.pass(HOUR * 2).await;
        world.wire.cut(cut.0, cut.1, cut.2);
        let clicked = world.click(&mut Browser::default(), "").await;
        let sorry = cut.2 > 1 && clicked.status().is_server_error();
        assert!(sorry || clicked.status() == StatusCode::SEE_OTHER, "{what}");
        world.wire.mend();
        world.clock.advance(30);
        let clicked = world.click(&mut Browser::default(), "").await;
        assert_eq!(clicked.status(), StatusCode::SEE_OTHER, "{what}");
    }
}

#[tokio::test]
async fn a_refresher_survives_a_table_that_fails() {
    let world = World::with_authorizer().await;
    world.simulator.set_rotate_refresh_tokens(true);
    let mut troubles = troubles();
    for cut in [Cut::Before, Cut::AnswerLost, Cut::Throttled, Cut::Hangs] {
        troubles.push(Trouble {
            appid: appid().to_owned(),
            cut: ("Query", cut, 1),
            what: format!("Query {cut:?}"),
        });
    }
    for Trouble { cut, what, .. } in troubles {
        world.pass(HOUR * 2).await;
        world.wire.cut(cut.0, cut.1, cut.2);
        let refresher = &world.functions.token_refresher;
        let answer = refresher.handle(&json!({}), deadline()).await;
        if let Err(error) = &answer {
            assert_eq!(error.code(), "store_unavailable", "{what}");
            assert_tells_nothing(error);
        }
        assert!(answer.is_ok() || cut.2 > 1, "{what}");
        world.wire.mend();
        world.clock.advance(1000);
        world.assert_good(&world.token(appid()).await.unwrap());
        assert!(knows_live_token(&world, appid()).await, "{what}");
    }
    assert_works(&world, "the refresher").await;
}
