//! Each answer, and each missing answer, of WeChat to each of the calls.

use std::time::Duration;

use component_core::time::Deadline;
use http::StatusCode;
use serde_json::{Value, json};
use wechat_simulator::{AccountKind, Fault, FaultEffect};

use super::{
    HOUR, LULL, NO_TICKET, REJECTED, UNAVAILABLE, assert_answer, assert_nothing_lost, assert_work,
    assert_works, authorize, cases, component_token, errcodes, forget_refresh_tokens,
    knows_live_token, meet, named, passing,
};
use crate::world::browser::Browser;
use crate::world::rows::text;
use crate::world::{World, appid};

#[tokio::test]
async fn a_component_token_survives_whatever_wechat_answers() {
    const ENDPOINT: &str = "api_component_token";
    let world = World::with_authorizer().await;
    let mut table = passing(Ok(()), UNAVAILABLE);
    table.extend(errcodes(&[61005, 61006], NO_TICKET, NO_TICKET));
    // Here 40001 means a wrong app secret, which no retry can change.
    let refusals = [
        40001, 40013, 40125, 42001, 45009, 45011, 61004, 61009, 61010, 61011, 61023, 99999,
    ];
    table.extend(errcodes(&refusals, REJECTED, REJECTED));
    for case in cases(table) {
        world.pass(HOUR * 2).await;
        meet(&world, ENDPOINT, &case.effect, case.once);
        let answer = world.ask(json!({ "component": true })).await;
        assert_answer(&answer, case.end, &case.what);
        let calls = world.wechat_calls(ENDPOINT);
        assert!(calls <= 3, "{}: {calls} calls", case.what);
        world.end_faults(ENDPOINT).await;
        // A quota of the minute is full until the next one.
        world.clock.advance(60);
        world.push_ticket().await;
        let token = component_token(&world).await;
        assert!(world.simulator.component_token_works(&token));
    }
    assert_works(&world, "the authorizer").await;
}

#[tokio::test]
async fn an_authorizers_tokens_survive_whatever_wechat_answers_to_a_refresh() {
    const ENDPOINT: &str = "api_authorizer_token";
    let world = World::with_ticket().await;
    let mut table = passing(Ok(()), UNAVAILABLE);
    // The component token is replaced once.
    table.extend(errcodes(&[40001, 40014, 42001, 42006], Ok(()), REJECTED));
    // WeChat's info names the refresh token that is refused, which may pass.
    table.extend(errcodes(&[61023], Ok(()), REJECTED));
    // WeChat's info says "authorized", so the row is not revoked.
    table.extend(errcodes(&[61003], REJECTED, REJECTED));
    let refusals = [
        40013, 45009, 45011, 48001, 61004, 61005, 61006, 61009, 61010, 61014, 99999,
    ];
    table.extend(errcodes(&refusals, REJECTED, REJECTED));
    table.push((FaultEffect::HttpStatus(404), UNAVAILABLE, UNAVAILABLE));
    let cases = cases(table);
    for case in &cases {
        authorize(&world, &case.appid).await;
    }
    world.pass(HOUR * 2).await;
    for case in &cases {
        meet(&world, ENDPOINT, &case.effect, case.once);
        let answer = world.ask(json!({ "authorizer_appid": case.appid })).await;
        assert_answer(&answer, case.end, &case.what);
        let calls = world.wechat_calls(ENDPOINT);
        assert!(calls <= 3, "{}: {calls} calls", case.what);
        world.end_faults(ENDPOINT).await;
        let kept = knows_live_token(&world, &case.appid).await;
        assert!(kept, "{}", case.what);
    }
    assert_nothing_lost(&world, named(&cases)).await;
}

#[tokio::test]
async fn a_token_that_is_still_good_is_served_whatever_wechat_answers() {
    let world = World::with_ticket().await;
    let mut table = passing((), ());
    let refusals = [
        40001, 45009, 48001, 61003, 61004, 61005, 61006, 61009, 61010,
    ];
    table.extend(errcodes(&refusals, (), ()));
    let cases = cases(table);
    for case in &cases {
        authorize(&world, &case.appid).await;
    }
    world.clock.advance(7000);
    world.push_ticket().await;
    let expires_at = world.clock.now() + 200;
    for case in &cases {
        let before = world.simulator.authorizer(&case.appid).unwrap();
        let requests = [
            ("api_component_token", json!({ "component": true })),
            (
                "api_authorizer_token",
                json!({ "authorizer_appid": case.appid }),
            ),
        ];
        for (endpoint, request) in requests {
            meet(&world, endpoint, &case.effect, false);
            let answer = world.ask(request).await;
            let answer = answer.unwrap_or_else(|error| panic!("{}: {error}", case.what));
            if answer.get("authorizer_appid").is_some() {
                assert_eq!(answer["access_token"], before.access_token.clone().unwrap());
                assert_eq!(answer["expires_at"], expires_at, "{}", case.what);
            }
            world.end_faults(endpoint).await;
        }
    }
    assert_nothing_lost(&world, named(&cases)).await;
}

#[tokio::test]
async fn a_click_survives_whatever_wechat_answers() {
    const ENDPOINT: &str = "api_create_preauthcode";
    let world = World::with_ticket().await;
    let (there, sorry) = (StatusCode::SEE_OTHER, StatusCode::SERVICE_UNAVAILABLE);
    let mut table = passing(there, sorry);
    table.extend(errcodes(&[40001, 42001], there, sorry));
    let refusals = [45009, 61004, 61005, 61006, 61009, 61010, 61023, 99999];
    table.extend(errcodes(&refusals, sorry, sorry));
    for case in cases(table) {
        meet(&world, ENDPOINT, &case.effect, case.once);
        let clicked = world.click(&mut Browser::default(), "").await;
        assert_eq!(clicked.status(), case.end, "{}", case.what);
        assert!(world.wechat_calls(ENDPOINT) <= 3, "{}", case.what);
        world.end_faults(ENDPOINT).await;
        let clicked = world.click(&mut Browser::default(), "").await;
        assert_eq!(clicked.status(), there);
    }
}

#[tokio::test]
async fn a_code_survives_whatever_wechat_answers_to_its_exchange() {
    const ENDPOINT: &str = "api_query_auth";
    const HANDLED: usize = 0;
    const PENDING: usize = 1;
    let world = World::with_ticket().await;
    let mut table = passing(HANDLED, PENDING);
    table.extend(errcodes(&[40001, 42001], HANDLED, PENDING));
    let refusals = [40013, 45009, 45011, 61004, 61005, 61006, 61023, 99999];
    table.extend(errcodes(&refusals, PENDING, PENDING));
    let cases = cases(table);
    let mut pending = 0;
    for case in &cases {
        let kind = AccountKind::MiniProgram;
        world.simulator.add_account(&case.appid, "a shop", kind);
        let consent = world.simulator.authorize_unpushed(&case.appid).unwrap();
        assert!(world.push_xml(&consent.notice).await.delivered);
        meet(&world, ENDPOINT, &case.effect, case.once);
        let answer = world.deliver().await;
        let failed = answer["batchItemFailures"].as_array().unwrap().len();
        assert_eq!(failed, case.end, "{}", case.what);
        assert!(world.wechat_calls(ENDPOINT) <= 3, "{}", case.what);
        world.end_faults(ENDPOINT).await;
        pending += case.end;
    }
    // The notices are still pending, so the list is not needed.
    world.pass(LULL).await;
    assert_eq!(world.refresh().await["notices"], pending);
    assert_eq!(world.wechat_calls("api_get_authorizer_list"), 0);
    assert_work(&world, named(&cases)).await;
}

#[tokio::test]
async fn a_code_that_wechat_calls_spent_without_a_token_needs_another_authorization() {
    let world = World::with_ticket().await;
    for errcode in [61003, 61009, 61010] {
        world.clock.advance(1);
        let consent = world.simulator.authorize_unpushed(appid()).unwrap();
        world.push_xml(&consent.notice).await;
        let refusal = Fault::new("api_query_auth", FaultEffect::Errcode(errcode));
        world.simulator.fault(refusal);
        world.deliver().await;
        let row = world.authorizer_row(appid()).await;
        assert!(!row.contains_key("access_token"));
        // The next authorization repairs the account.
        world.clock.advance(1);
        world.authorize(appid()).await;
        assert_works(&world, &format!("{errcode}")).await;
    }
}

#[tokio::test]
async fn the_question_for_another_refresh_token_is_asked_until_it_is_answered() {
    const ENDPOINT: &str = "api_get_authorizer_info";
    let world = World::with_ticket().await;
    let mut table = passing(Ok(()), UNAVAILABLE);
    for (effect, once, _) in &mut table {
        if *effect == FaultEffect::Body("{}".to_owned()) {
            *once = UNAVAILABLE;
        }
    }
    table.extend(errcodes(&[40001, 42001], Ok(()), UNAVAILABLE));
    // Info that denies the authorization, or tells nothing of it, leaves the list to the schedule.
    table.extend(errcodes(
        &[48001, 61003, 61009, 99999],
        UNAVAILABLE,
        UNAVAILABLE,
    ));
    let refusals = [45009, 61004, 61005, 61006];
    table.extend(errcodes(&refusals, REJECTED, REJECTED));
    let cases = cases(table);
    for case in &cases {
        authorize(&world, &case.appid).await;
        forget_refresh_tokens(&world, &case.appid).await;
    }
    world.pass(HOUR * 2).await;
    for case in &cases {
        meet(&world, ENDPOINT, &case.effect, case.once);
        let answer = world.ask(json!({ "authorizer_appid": case.appid })).await;
        assert_answer(&answer, case.end, &case.what);
        let row = world.authorizer_row(&case.appid).await;
        assert_eq!(text(&row, "status"), "authorized", "{}", case.what);
        world.end_faults(ENDPOINT).await;
    }
    // The daily reconcile is not needed: the next run of the refresher asks again.
    assert_work(&world, named(&cases)).await;
}

#[tokio::test]
async fn the_list_is_read_whatever_failed_in_the_run_before() {
    const ENDPOINT: &str = "api_get_authorizer_list";
    let world = World::with_authorizer().await;
    let mut table = passing(Ok(()), UNAVAILABLE);
    table.extend(errcodes(&[40001, 42001], Ok(()), REJECTED));
    let refusals = [45009, 61003, 61004, 61005, 61006, 99999];
    table.extend(errcodes(&refusals, REJECTED, REJECTED));
    for case in cases(table) {
        forget_refresh_tokens(&world, appid()).await;
        meet(&world, ENDPOINT, &case.effect, case.once);
        assert_answer(&world.reconcile().await, case.end, &case.what);
        let row = world.authorizer_row(appid()).await;
        assert_eq!(text(&row, "status"), "authorized", "{}", case.what);
        let repaired = knows_live_token(&world, appid()).await;
        assert_eq!(repaired, case.end.is_ok(), "{}", case.what);
        world.end_faults(ENDPOINT).await;
    }
    world.reconcile().await.unwrap();
    assert!(knows_live_token(&world, appid()).await);
    assert_works(&world, "the list").await;
}

#[tokio::test]
async fn a_wechat_that_does_not_answer_in_time_is_asked_again() {
    let late = |endpoint| Fault::late_answer(endpoint, Duration::from_secs(6));
    // Boxed, since five worlds do not fit on the stack of a test.
    let refresh = Box::pin(async {
        let world = World::with_authorizer().await;
        world.simulator.set_rotate_refresh_tokens(true);
        world.pass(HOUR * 2).await;
        world.simulator.fault(late("api_authorizer_token"));
        world.assert_good(&world.token(appid()).await.unwrap());
        assert_works(&world, "a refresh").await;
    });
    let exchange = Box::pin(async {
        let world = World::with_ticket().await;
        world.simulator.fault(late("api_query_auth"));
        world.authorize(appid()).await;
        assert_works(&world, "an exchange").await;
    });
    let component = Box::pin(async {
        let world = World::with_ticket().await;
        world.simulator.fault(late("api_component_token"));
        world.ask(json!({ "component": true })).await.unwrap();
    });
    let click = Box::pin(async {
        let world = World::with_ticket().await;
        world.simulator.fault(late("api_create_preauthcode"));
        let clicked = world.click(&mut Browser::default(), "").await;
        assert_eq!(clicked.status(), StatusCode::SEE_OTHER);
    });
    // If the deadline comes before the time-out, it ends the call, and nothing is lost either.
    let hurried = Box::pin(async {
        let world = World::with_authorizer().await;
        world.simulator.set_rotate_refresh_tokens(true);
        world.pass(HOUR * 2).await;
        world.simulator.fault(late("api_authorizer_token"));
        let soon = Deadline::after(Duration::from_secs(1));
        let request = json!({ "authorizer_appid": appid() });
        let getter = &world.functions.token_getter;
        assert_answer(&getter.handle(&request, soon).await, UNAVAILABLE, "hurried");
        assert_works(&world, "hurried").await;
    });
    tokio::join!(refresh, exchange, component, click, hurried);
}

#[tokio::test]
async fn a_question_that_wechat_does_not_answer_in_time_is_asked_again() {
    let late = |endpoint| Fault::late_answer(endpoint, Duration::from_secs(6));
    let question = async {
        let world = World::with_authorizer().await;
        forget_refresh_tokens(&world, appid()).await;
        world.pass(HOUR * 2).await;
        world.simulator.fault(late("api_get_authorizer_info"));
        world.assert_good(&world.token(appid()).await.unwrap());
    };
    let list = async {
        let world = World::with_authorizer().await;
        forget_refresh_tokens(&world, appid()).await;
        world.simulator.fault(late("api_get_authorizer_list"));
        world.reconcile().await.unwrap();
        assert!(knows_live_token(&world, appid()).await);
    };
    let push = async {
        let world = World::with_ticket().await;
        world.clock.advance(1501);
        world.simulator.fault(late("api_start_push_ticket"));
        world.refresh().await;
        assert_eq!(world.wechat_calls("api_start_push_ticket"), 2);
    };
    tokio::join!(question, list, push);
}

#[tokio::test]
async fn a_ticket_push_is_asked_for_whatever_wechat_answered_before_and_no_run_waits_for_it() {
    const ENDPOINT: &str = "api_start_push_ticket";
    let world = World::with_authorizer().await;
    // WeChat pushes no ticket unless it is asked.
    let mut table = passing((), ());
    table.extend(errcodes(&[40001, 40125, 45009, 61004, 99999], (), ()));
    for case in cases(table) {
        world.clock.advance(1501);
        meet(&world, ENDPOINT, &case.effect, case.once);
        let run = world.refresh().await;
        assert_eq!(run["stopped"], Value::Null, "{}", case.what);
        let calls = world.wechat_calls(ENDPOINT);
        assert!((1..=3).contains(&calls), "{}: {calls} calls", case.what);
        world.end_faults(ENDPOINT).await;
        world.assert_good(&world.token(appid()).await.unwrap());
    }
}

#[tokio::test]
async fn a_token_is_not_trusted_once_a_renewal_may_have_ended_it() {
    let whose = [
        (
            "api_authorizer_token",
            json!({ "authorizer_appid": appid() }),
        ),
        ("api_component_token", json!({ "component": true })),
    ];
    for (endpoint, request) in whose {
        let world = World::with_authorizer().await;
        world.pass(HOUR + HOUR / 12).await;
        let mut lasting = request.clone();
        lasting["min_valid_secs"] = json!(3600);
        world.fault(endpoint, FaultEffect::AnswerLost);
        let answer = world.ask(lasting).await;
        assert_answer(&answer, UNAVAILABLE, endpoint);
        world.end_faults(endpoint).await;
        world.pass(HOUR / 10).await;
        let answer = world.ask(request).await.unwrap();
        let token = answer["access_token"].as_str().unwrap();
        let works =
            world.simulator.token_works(token) || world.simulator.component_token_works(token);
        assert!(works, "{endpoint}: a dead token is served");
    }
}

#[tokio::test]
async fn a_token_is_not_trusted_once_a_holder_was_lost_while_renewing_it() {
    let world = World::with_authorizer().await;
    world.pass(HOUR + HOUR / 12).await;
    // WeChat takes the call, and the lease holder is lost before the answer.
    let late = Fault::late_answer("api_authorizer_token", Duration::from_secs(2));
    world.simulator.fault(late);
    let request = json!({ "authorizer_appid": appid(), "min_valid_secs": 3600 });
    let dies = tokio::time::timeout(Duration::from_secs(1), world.ask(request)).await;
    assert!(dies.is_err());
    assert_eq!(world.wechat_calls("api_authorizer_token"), 1);
    // In this world the lost holder's lease lasts twelve and a half minutes.
    world.pass(HOUR / 3).await;
    // The token is also not served while the next holder renews it.
    let slow = Fault::delay("api_authorizer_token", Duration::from_millis(300));
    world.simulator.fault(slow);
    world.simulator.reset_calls();
    let second = async {
        while world.wechat_calls("api_authorizer_token") == 0 {
            tokio::task::yield_now().await;
        }
        world.token(appid()).await
    };
    let (first, second) = tokio::join!(world.token(appid()), second);
    for token in [first, second] {
        world.assert_good(&token.unwrap());
    }
    assert_eq!(world.wechat_calls("api_authorizer_token"), 1);
}

#[tokio::test]
async fn a_token_in_doubt_is_better_than_none_while_wechat_is_down() {
    for (endpoint, request) in [
        (
            "api_authorizer_token",
            json!({ "authorizer_appid": appid() }),
        ),
        ("api_component_token", json!({ "component": true })),
    ] {
        let world = World::with_authorizer().await;
        world.pass(HOUR * 2).await;
        let lost = Fault::new(endpoint, FaultEffect::AnswerLost);
        world.simulator.fault(lost);
        let first = world.ask(request.clone()).await.unwrap();
        // The answer promises no more than is certain.
        assert!(first["expires_at"].as_u64().unwrap() <= world.clock.now() + 300);
        world.fault(endpoint, FaultEffect::HttpStatus(503));
        world.clock.advance(1800);
        let later = world.ask(request.clone()).await;
        let later = later.unwrap_or_else(|error| panic!("{endpoint}: {error}"));
        assert_eq!(later["access_token"], first["access_token"], "{endpoint}");
        world.end_faults(endpoint).await;
        let renewed = world.ask(request).await.unwrap();
        assert_ne!(renewed["access_token"], first["access_token"], "{endpoint}");
    }
}

#[tokio::test]
async fn a_caller_that_asks_for_an_hour_gets_it_although_an_answer_was_lost() {
    let world = World::with_authorizer().await;
    world.pass(HOUR + HOUR / 12).await;
    let lost = Fault::new("api_authorizer_token", FaultEffect::AnswerLost);
    world.simulator.fault(lost);
    let request = json!({ "authorizer_appid": appid(), "min_valid_secs": 3600 });
    let answer = world.ask(request).await.unwrap();
    assert!(answer["expires_at"].as_u64().unwrap() >= world.clock.now() + 3600);
}
