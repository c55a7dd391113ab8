//! What WeChat and the table can do to a call; no refresh token is lost by it.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use component_core::error::Error;
use serde_json::{Value, json};
use wechat_simulator::{AccountKind, Fault, FaultEffect};

use crate::world::{World, appid, assert_tells_nothing};

mod refusals;
mod table;
mod wechat;

const HOUR: Duration = Duration::from_hours(1);

/// Longer than any lease or backoff.
const LULL: Duration = Duration::from_mins(31);

/// A fault, and the result of a flow that meets it once, and that meets it in every call.
type Ends<O> = (FaultEffect, O, O);

/// The result of a getter: `Ok`, or an error of this code.
type Answer = Result<(), &'static str>;

const UNAVAILABLE: Answer = Err("wechat_unavailable");
const REJECTED: Answer = Err("wechat_rejected");
const NO_TICKET: Answer = Err("no_verify_ticket");

/// Faults that may pass, so that the call is retried at once.
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

/// One case, with an account of its own, so that one run covers all cases.
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

/// Asserts that WeChat's refresh tokens are in the rows, or that WeChat's list brings them back.
/// After the trouble, every account works again without a person.
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

/// After a lull and a run of the refresher, WeChat accepts the getter's tokens: now, and after the
/// next renewal.
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
    let seen = answer
        .as_ref()
        .map(|_| ())
        .map_err(|error| error.code().as_str());
    assert_eq!(seen, expected, "{what}");
}

/// Makes calls of an endpoint meet a fault: once, or for longer than any call with all its retries.
fn meet(world: &World, endpoint: &str, effect: &FaultEffect, once: bool) {
    if once {
        let fault = Fault::new(endpoint, effect.clone());
        world.simulator.fault(fault);
    } else {
        world.fault(endpoint, effect.clone());
    }
    world.simulator.reset_calls();
}

async fn component_token(world: &World) -> String {
    let answer = world.ask(json!({ "component": true })).await.unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

/// Replaces the refresh tokens of a row by one that WeChat has never seen.
async fn forget_refresh_tokens(world: &World, appid: &str) {
    let dead = AttributeValue::S("refreshtoken@@@dead".to_owned());
    world.set(&row_key(appid), "refresh_token", dead).await;
    let none = AttributeValue::L(Vec::new());
    world.set(&row_key(appid), "refresh_history", none).await;
}
