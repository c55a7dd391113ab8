//! What WeChat and the table can do to a call, and that no refresh token is lost by it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use component_core::error::Error;
use component_core::time::Deadline;
use http::StatusCode;
use serde_json::{Value, json};
use wechat_simulator::{AccountKind, Fault, FaultEffect};

use crate::wire::Cut;
use crate::world::{Browser, World, appid, assert_tells_nothing, deadline, text};

const HOUR: Duration = Duration::from_hours(1);

/// Longer than any lease or backoff.
const LULL: Duration = Duration::from_mins(31);

/// How a flow ends that meets one fault of a kind, and one that meets nothing else.
type Ends<O> = (FaultEffect, O, O);

/// What a getter answers: `Ok`, or an error of this code.
type Answer = Result<(), &'static str>;

const UNAVAILABLE: Answer = Err("wechat_unavailable");
const REJECTED: Answer = Err("wechat_rejected");
const NO_TICKET: Answer = Err("no_verify_ticket");

/// Faults that may pass, so that the same call is made again at once.
fn transient() -> Vec<FaultEffect> {
    vec![
        FaultEffect::Errcode(-1),
        FaultEffect::HttpStatus(500),
        FaultEffect::HttpStatus(504),
        FaultEffect::Body("<html>busy</html>".to_owned()),
        FaultEffect::Body("{}".to_owned()),
        FaultEffect::Reset,
        FaultEffect::AnswerLost,
    ]
}

fn errcodes<O: Copy>(errcodes: &[i64], once: O, for_long: O) -> Vec<Ends<O>> {
    let end = |errcode: &i64| (FaultEffect::Errcode(*errcode), once, for_long);
    errcodes.iter().map(end).collect()
}

fn passing<O: Copy>(once: O, for_long: O) -> Vec<Ends<O>> {
    let end = |effect| (effect, once, for_long);
    transient().into_iter().map(end).collect()
}

/// An account of its own for each case, so that one run over all of them can follow.
struct Case<O> {
    appid: String,
    effect: FaultEffect,
    once: bool,
    end: O,
    what: String,
}

fn cases<O: Copy>(table: Vec<Ends<O>>) -> Vec<Case<O>> {
    let mut cases = Vec::new();
    for (effect, once, for_long) in table {
        for (end, once) in [(once, true), (for_long, false)] {
            cases.push(Case {
                appid: account(cases.len()),
                effect: effect.clone(),
                once,
                end,
                what: format!("{effect:?}, once: {once}"),
            });
        }
    }
    cases
}

fn account(number: usize) -> String {
    format!("wx{number:016x}")
}

async fn authorize(world: &World, appid: &str) {
    let kind = AccountKind::MiniProgram;
    world.simulator.add_account(appid, "a shop", kind);
    world.authorize(appid).await;
}

fn row_key(appid: &str) -> String {
    format!("authorizer#{appid}")
}

async fn knows_live_token(world: &World, appid: &str) -> bool {
    let live = world.simulator.authorizer(appid).unwrap().refresh_token;
    let row = world.row(&row_key(appid)).await.unwrap_or_default();
    live.is_none_or(|live| holds(&row, &live))
}

fn holds(row: &HashMap<String, AttributeValue>, refresh_token: &str) -> bool {
    let history = row.get("refresh_history");
    let history = history.map_or(&[][..], |list| list.as_l().unwrap());
    let mut known = row.get("refresh_token").into_iter().chain(history);
    known.any(|token| token.as_s().unwrap() == refresh_token)
}

/// WeChat's live refresh tokens are in the rows, or else WeChat's list brings them back; and now that the trouble is over,
/// every account works again without a person.
async fn assert_nothing_lost<'a>(
    world: &World,
    accounts: impl IntoIterator<Item = (&'a str, &'a str)>,
) {
    let accounts: Vec<(&str, &str)> = accounts.into_iter().collect();
    let mut lost = false;
    for (appid, _) in &accounts {
        lost |= !knows_live_token(world, appid).await;
    }
    if lost {
        world.reconcile().await.unwrap();
    }
    assert_work(world, accounts).await;
}

/// After a lull and a run of the refresher, the getter's tokens are ones that WeChat accepts: now, and when they have to be
/// renewed.
async fn assert_work<'a>(
    world: &World,
    accounts: impl IntoIterator<Item = (&'a str, &'a str)> + Clone,
) {
    world.pass(LULL).await;
    world.refresh().await;
    for wait in [0, 7200] {
        world.clock.advance(wait);
        for (appid, what) in accounts.clone() {
            let token = world.token(appid).await;
            let token = token.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(world.simulator.token_works(&token), "{what}");
            assert!(knows_live_token(world, appid).await, "{what}");
        }
    }
}

async fn assert_works(world: &World, what: &str) {
    assert_work(world, [(appid(), what)]).await;
}

fn named<O>(cases: &[Case<O>]) -> Vec<(&str, &str)> {
    let mut named = Vec::new();
    for case in cases {
        named.push((case.appid.as_str(), case.what.as_str()));
    }
    named
}

#[track_caller]
fn assert_answer(answer: &Result<Value, Error>, expected: Answer, what: &str) {
    if let Err(error) = answer {
        assert_tells_nothing(error);
    }
    let seen = answer.as_ref().map(|_| ()).map_err(Error::code);
    assert_eq!(seen, expected, "{what}");
}

/// Once, and for longer than any call with all its tries.
fn meet(world: &World, endpoint: &str, effect: &FaultEffect, once: bool) {
    if once {
        let fault = Fault::new(endpoint, effect.clone());
        world.simulator.fault(fault);
    } else {
        world.fault(endpoint, effect.clone());
    }
    world.simulator.reset_calls();
}

#[tokio::test]
async fn a_component_token_survives_whatever_wechat_answers() {
    const ENDPOINT: &str = "api_component_token";
    let world = World::with_authorizer().await;
    let mut table = passing(Ok(()), UNAVAILABLE);
    table.extend(errcodes(&[61005, 61006], NO_TICKET, NO_TICKET));
    // 40001 means a wrong app secret here: nothing to be tried again.
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
        let token = component_token(&world).await;
        assert!(world.simulator.component_token_works(&token));
    }
    assert_works(&world, "the authorizer").await;
}

async fn component_token(world: &World) -> String {
    let answer = world.ask(json!({ "component": true })).await.unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_authorizers_tokens_survive_whatever_wechat_answers_to_a_refresh() {
    const ENDPOINT: &str = "api_authorizer_token";
    let world = World::with_ticket().await;
    let mut table = passing(Ok(()), UNAVAILABLE);
    // The component token is replaced, once.
    table.extend(errcodes(&[40001, 40014, 42001, 42006], Ok(()), REJECTED));
    let reauthorize = Err("reauthorization_required");
    table.extend(errcodes(&[61023], Ok(()), reauthorize));
    // WeChat's info says otherwise, so it is not revoked.
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
        let given_up = case.end == reauthorize;
        let kept = knows_live_token(&world, &case.appid).await;
        assert!(kept || given_up, "{}", case.what);
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
    // Not by the list: the notices themselves are still there.
    world.pass(LULL).await;
    assert_eq!(world.refresh().await["notices"], pending);
    assert_eq!(world.wechat_calls("api_get_authorizer_list"), 0);
    assert_work(&world, named(&cases)).await;
}

#[tokio::test]
async fn a_code_that_wechat_calls_spent_and_never_gave_a_token_for_needs_a_person() {
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
        // The next authorization ends it.
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
    table.extend(errcodes(&[40001, 42001], Ok(()), REJECTED));
    // Denied by the info, confirmed by the list.
    table.extend(errcodes(&[61003], Ok(()), Ok(())));
    let refusals = [45009, 48001, 61004, 61005, 61006, 61009, 99999];
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
    // Not by the list of the next day: whoever needs a token asks again.
    assert_work(&world, named(&cases)).await;
}

#[tokio::test]
async fn the_list_is_read_whatever_befell_the_run_before() {
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

/// The row has nothing but a refresh token that WeChat has never seen.
async fn forget_refresh_tokens(world: &World, appid: &str) {
    let dead = AttributeValue::S("refreshtoken@@@dead".to_owned());
    world.set(&row_key(appid), "refresh_token", dead).await;
    let none = AttributeValue::L(Vec::new());
    world.set(&row_key(appid), "refresh_history", none).await;
}

#[tokio::test]
async fn a_refresh_token_that_wechat_refuses_gives_way_to_the_one_it_names() {
    let world = World::with_authorizer().await;
    let live = text(&world.authorizer_row(appid()).await, "refresh_token");
    forget_refresh_tokens(&world, appid()).await;
    world.pass(HOUR * 2).await;
    world.simulator.reset_calls();
    assert_eq!(world.refresh().await["renewed"], 1);
    let row = world.authorizer_row(appid()).await;
    assert_eq!(text(&row, "refresh_token"), live);
    assert!(!holds(&row, "refreshtoken@@@dead"));
    let calls = world.new_wechat_calls();
    assert_eq!(calls["api_authorizer_token"], 2);
    assert_eq!(calls["api_get_authorizer_info"], 1);
    world.assert_good(&world.token(appid()).await.unwrap());
}

#[tokio::test]
async fn a_refresh_token_that_wechat_refuses_gives_way_to_the_one_before_it() {
    let world = World::with_authorizer().await;
    let live = text(&world.authorizer_row(appid()).await, "refresh_token");
    forget_refresh_tokens(&world, appid()).await;
    let history = AttributeValue::L(vec![AttributeValue::S(live.clone())]);
    world
        .set(&row_key(appid()), "refresh_history", history)
        .await;
    world.pass(HOUR * 2).await;
    world.simulator.reset_calls();
    world.assert_good(&world.token(appid()).await.unwrap());
    assert_eq!(world.wechat_calls("api_authorizer_token"), 2);
    assert_eq!(world.wechat_calls("api_get_authorizer_info"), 0);
    let row = world.authorizer_row(appid()).await;
    assert_eq!(text(&row, "refresh_token"), live);
    assert!(!holds(&row, "refreshtoken@@@dead"));
}

#[tokio::test]
async fn an_account_whose_every_refresh_token_is_refused_is_left_alone_until_it_authorizes_again() {
    let world = World::with_authorizer().await;
    world.pass(HOUR * 2).await;
    world.fault("api_authorizer_token", FaultEffect::Errcode(61023));
    assert_eq!(world.refresh().await["failed"], 1);
    let row = world.authorizer_row(appid()).await;
    assert_eq!(text(&row, "status"), "reauthorization_required");
    assert!(!row.contains_key("due_at"));
    assert!(!row.contains_key("ttl"));
    world.simulator.reset_calls();
    for _run in 0..3 {
        world.pass(HOUR).await;
        world.refresh().await;
        let refused = world.token(appid()).await.unwrap_err();
        assert_eq!(refused.code(), "reauthorization_required");
        assert!(refused.advice().contains(appid()));
    }
    assert_eq!(world.wechat_calls("api_authorizer_token"), 0);
    assert_eq!(world.wechat_calls("api_get_authorizer_info"), 0);
    world.end_faults("api_authorizer_token").await;
    world.authorize(appid()).await;
    assert_works(&world, "authorized again").await;
}

#[tokio::test]
async fn an_account_that_wechat_no_longer_lists_is_revoked_without_a_notice() {
    let world = World::with_authorizer().await;
    world.pass(HOUR * 2).await;
    world.simulator.revoke_unpushed(appid()).unwrap();
    world.simulator.reset_calls();
    let refused = world.token(appid()).await.unwrap_err();
    assert_eq!(refused.code(), "authorization_revoked");
    let calls = world.new_wechat_calls();
    assert_eq!(calls["api_authorizer_token"], 1);
    assert_eq!(calls["api_get_authorizer_info"], 1);
    assert_eq!(calls["api_get_authorizer_list"], 1);
    let row = world.authorizer_row(appid()).await;
    assert_eq!(text(&row, "status"), "revoked");
    assert!(row.contains_key("refresh_token"));
    // An authorization whose notice is late is not shut out by that.
    world.clock.advance(1);
    world.authorize(appid()).await;
    assert_works(&world, "authorized again").await;
}

#[tokio::test]
async fn refresh_tokens_that_wechat_rotates_are_followed_even_when_an_answer_is_lost() {
    let world = World::with_authorizer().await;
    world.simulator.set_rotate_refresh_tokens(true);
    let first = text(&world.authorizer_row(appid()).await, "refresh_token");
    for _renewal in 0..3 {
        world.pass(HOUR * 2).await;
        assert_eq!(world.refresh().await["renewed"], 1);
    }
    let row = world.authorizer_row(appid()).await;
    assert_ne!(text(&row, "refresh_token"), first);
    assert_works(&world, "rotated").await;

    for times in [1, 3] {
        let what = format!("{times} answers lost");
        world.pass(HOUR * 2).await;
        let lost = Fault::new("api_authorizer_token", FaultEffect::AnswerLost);
        world.simulator.fault(lost.times(times));
        let answer = world.ask(json!({ "authorizer_appid": appid() })).await;
        let expected = if times == 1 { Ok(()) } else { UNAVAILABLE };
        assert_answer(&answer, expected, &what);
        // Without the list: WeChat's info names the one that the answer would have brought.
        assert_works(&world, &what).await;
    }
}

#[tokio::test]
async fn a_refresh_that_meets_the_next_authorization_changes_nothing_of_it() {
    const ENDPOINT: &str = "api_authorizer_token";
    let pause = Duration::from_secs(1);
    // WeChat answers the old refresh token before the merchant confirms anew, or refuses it after that.
    for slow in [
        Fault::late_answer(ENDPOINT, pause),
        Fault::delay(ENDPOINT, pause),
    ] {
        let world = World::with_authorizer().await;
        world.pass(HOUR * 2).await;
        component_token(&world).await;
        world.simulator.fault(slow);
        world.simulator.reset_calls();
        let meanwhile = async {
            while world.wechat_calls(ENDPOINT) == 0 {
                tokio::task::yield_now().await;
            }
            world.authorize(appid()).await;
            world.authorizer_row(appid()).await
        };
        let (token, row) = tokio::join!(world.token(appid()), meanwhile);
        let token = token.unwrap();
        world.assert_good(&token);
        assert_eq!(world.authorizer_row(appid()).await, row);
        assert_eq!(text(&row, "access_token"), token);
        assert_eq!(world.wechat_calls(ENDPOINT), 1);
        assert_works(&world, "authorized meanwhile").await;
    }
}

#[tokio::test]
async fn a_component_token_that_somebody_else_has_replaced_is_replaced_once() {
    let world = World::with_authorizer().await;
    world.pass(HOUR * 2).await;
    let component = world.ask(json!({ "component": true })).await.unwrap();
    let ticket = world.row("component#ticket").await.unwrap();
    let elsewhere = json!({
        "component_appid": "wx0123456789abcdef",
        "component_appsecret": "0123456789abcdef0123456789abcdef",
        "component_verify_ticket": text(&ticket, "ticket"),
    });
    let url = format!(
        "{}/cgi-bin/component/api_component_token",
        world.parts.wechat_url
    );
    let call = world.http.post(url).body(elsewhere.to_string());
    call.send().await.unwrap();
    world.clock.advance(301);
    let token = component["access_token"].as_str().unwrap();
    assert!(!world.simulator.component_token_works(token));

    world.simulator.reset_calls();
    world.assert_good(&world.token(appid()).await.unwrap());
    let calls = world.new_wechat_calls();
    assert_eq!(calls["api_component_token"], 1);
    assert_eq!(calls["api_authorizer_token"], 2);
    assert_eq!(calls.len(), 2);
}

#[tokio::test]
async fn a_ticket_that_wechat_refuses_is_asked_for_again_once_in_fifteen_minutes() {
    let world = World::with_ticket().await;
    let bogus = AttributeValue::S("ticket@@@bogus".to_owned());
    world.set("component#ticket", "ticket", bogus.clone()).await;
    // What WeChat pushes does not come through.
    world.simulator.set_events_url("http://127.0.0.1:1/");
    for (wait, asked) in [(0, 1), (1, 1), (600, 1), (298, 1), (1, 2), (899, 2), (1, 3)] {
        world.clock.advance(wait);
        let answer = world.ask(json!({ "component": true })).await;
        assert_answer(&answer, NO_TICKET, &format!("{wait}"));
        assert_eq!(world.wechat_calls("api_start_push_ticket"), asked, "{wait}");
    }
}

#[tokio::test]
async fn a_ticket_that_comes_while_the_one_before_is_refused_is_used_at_once() {
    let world = World::with_ticket().await;
    for errcode in [61005, 61006] {
        world.pass(HOUR * 2).await;
        let refused = Fault::new("api_component_token", FaultEffect::Errcode(errcode));
        let refused = refused.after(Duration::from_millis(100));
        world.simulator.fault(refused);
        world.simulator.reset_calls();
        let pushes = async {
            // Every second push brings another ticket.
            while world.wechat_calls("api_component_token") == 0 {
                tokio::task::yield_now().await;
            }
            world.clock.advance(1);
            world.push_ticket().await;
            world.push_ticket().await;
        };
        let (answer, ()) = tokio::join!(world.ask(json!({ "component": true })), pushes);
        assert_answer(&answer, Ok(()), &format!("{errcode}"));
        assert_eq!(world.wechat_calls("api_component_token"), 2);
        assert_eq!(world.wechat_calls("api_start_push_ticket"), 0);
    }
}

#[tokio::test]
async fn a_refused_address_is_named_to_whoever_can_put_it_on_the_list() {
    let world = World::with_authorizer().await;
    world.pass(HOUR * 2).await;
    let elsewhere = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    world
        .simulator
        .change_settings(|settings| settings.allowed_ips = Some(vec![elsewhere]));
    for request in [
        json!({ "component": true }),
        json!({ "authorizer_appid": appid() }),
    ] {
        let error = world.ask(request).await.unwrap_err();
        assert_eq!(error.code(), "wechat_rejected");
        assert!(error.advice().contains("127.0.0.1"), "{}", error.advice());
        assert_tells_nothing(&error);
    }
    assert_eq!(world.refresh().await["stopped"], "wechat_rejected");
    world
        .simulator
        .change_settings(|settings| settings.allowed_ips = None);
    assert_works(&world, "the white-list").await;
}

#[tokio::test]
async fn a_wechat_that_does_not_answer_in_time_is_asked_again() {
    let late = |endpoint| Fault::late_answer(endpoint, Duration::from_secs(6));
    let refresh = async {
        let world = World::with_authorizer().await;
        world.simulator.set_rotate_refresh_tokens(true);
        world.pass(HOUR * 2).await;
        world.simulator.fault(late("api_authorizer_token"));
        world.assert_good(&world.token(appid()).await.unwrap());
        assert_works(&world, "a refresh").await;
    };
    let exchange = async {
        let world = World::with_ticket().await;
        world.simulator.fault(late("api_query_auth"));
        world.authorize(appid()).await;
        assert_works(&world, "an exchange").await;
    };
    let component = async {
        let world = World::with_ticket().await;
        world.simulator.fault(late("api_component_token"));
        world.ask(json!({ "component": true })).await.unwrap();
    };
    let click = async {
        let world = World::with_ticket().await;
        world.simulator.fault(late("api_create_preauthcode"));
        let clicked = world.click(&mut Browser::default(), "").await;
        assert_eq!(clicked.status(), StatusCode::SEE_OTHER);
    };
    // The deadline comes before the time-out: then it ends the call, and nothing is lost either.
    let hurried = async {
        let world = World::with_authorizer().await;
        world.simulator.set_rotate_refresh_tokens(true);
        world.pass(HOUR * 2).await;
        world.simulator.fault(late("api_authorizer_token"));
        let soon = Deadline::after(Duration::from_secs(1));
        let request = json!({ "authorizer_appid": appid() });
        let getter = &world.functions.token_getter;
        assert_answer(&getter.handle(&request, soon).await, UNAVAILABLE, "hurried");
        assert_works(&world, "hurried").await;
    };
    tokio::join!(refresh, exchange, component, click, hurried);
}

/// Runs `flow` and cuts the wire to the table while WeChat answers it.
async fn cut_during<T>(
    world: &World,
    endpoint: &str,
    cut: (&str, Cut, u32),
    flow: impl Future<Output = T>,
) -> T {
    let late = Fault::late_answer(endpoint, Duration::from_millis(30));
    world.simulator.fault(late);
    world.simulator.reset_calls();
    let cutter = async {
        while world.wechat_calls(endpoint) == 0 {
            tokio::task::yield_now().await;
        }
        world.wire.cut(cut.0, cut.1, cut.2);
    };
    tokio::join!(flow, cutter).0
}

/// A way in which the wire to the table fails, and an account for it.
struct Trouble {
    appid: String,
    cut: (&'static str, Cut, u32),
    what: String,
}

fn troubles() -> Vec<Trouble> {
    let mut cuts = Vec::new();
    for operation in ["PutItem", "UpdateItem", "GetItem"] {
        for cut in [Cut::Before, Cut::AnswerLost, Cut::Throttled] {
            // Once, and for as long as the SDK tries.
            cuts.extend([1, 3].map(|times| (operation, cut, times)));
        }
    }
    // For longer than anybody tries.
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

fn troubled(troubles: &[Trouble]) -> Vec<(&str, &str)> {
    let mut named = Vec::new();
    for trouble in troubles {
        named.push((trouble.appid.as_str(), trouble.what.as_str()));
    }
    named
}

#[tokio::test]
async fn a_renewal_survives_a_table_that_fails_before_it() {
    let world = World::with_ticket().await;
    world.simulator.set_rotate_refresh_tokens(true);
    let troubles = troubles();
    for trouble in &troubles {
        authorize(&world, &trouble.appid).await;
    }
    world.pass(HOUR * 2).await;
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
    let world = World::with_ticket().await;
    world.simulator.set_rotate_refresh_tokens(true);
    let troubles = troubles();
    for trouble in &troubles {
        authorize(&world, &trouble.appid).await;
    }
    world.pass(HOUR * 2).await;
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
async fn a_renewal_that_can_never_be_stored_is_answered_and_made_good_later() {
    let world = World::with_authorizer().await;
    for rotate in [false, true] {
        world.simulator.set_rotate_refresh_tokens(rotate);
        world.pass(HOUR * 2).await;
        component_token(&world).await;
        let request = json!({ "authorizer_appid": appid() });
        let soon = Deadline::after(Duration::from_millis(900));
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
async fn an_exchange_that_can_never_be_stored_is_made_good_by_its_notice() {
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
    // Whoever had the code is gone without a word, and his claim on it ends.
    assert_works(&world, "by its notice").await;
}

#[tokio::test]
async fn a_refresher_survives_a_table_that_fails() {
    let world = World::with_authorizer().await;
    world.simulator.set_rotate_refresh_tokens(true);
    for Trouble { cut, what, .. } in troubles() {
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
