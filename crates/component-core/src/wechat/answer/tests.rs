//! What WeChat answers, what it means, and what of it a reader of logs and errors sees.

use aws_smithy_runtime_api::client::result::ConnectorError;
use http::StatusCode;

use super::*;
use crate::error::Error;
use crate::wechat::error::WechatError;

const ENDPOINT: Endpoint = Endpoint::AuthorizerToken;

mod odd;

fn read_answer(body: &str) -> Result<Answer, Fault> {
    read(ENDPOINT, body.as_bytes())
}

#[test]
fn the_refused_address_is_read_from_the_message() {
    for seen in ["1.2.3.4", "::ffff:1.2.3.4"] {
        let errmsg = format!("access clientip is not registered requestIP: {seen} rid: 1a-2b-3c");
        let body = format!(r#"{{"errcode":61004,"errmsg":"{errmsg}"}}"#);
        let Err(Fault::Refused(refused)) = read_answer(&body) else {
            panic!("{body} is not read as a refusal");
        };
        assert_eq!(refused.seen_from.as_deref(), Some("1.2.3.4"));
        assert_eq!(refused.rid.as_deref(), Some("1a-2b-3c"));
    }
}

fn error(fault: Fault) -> Error {
    WechatError::new(ENDPOINT, fault).into()
}

fn refused(errcode: i64, errmsg: &str) -> Error {
    let body = format!(r#"{{"errcode":{errcode},"errmsg":"{errmsg}"}}"#);
    let answer = read_answer(&body);
    error(answer.err().expect("it is a refusal"))
}

/// No connection.
fn unreachable() -> Error {
    let refused = ConnectorError::io("refused".into());
    error(Fault::Unreachable(Box::new(refused)))
}

#[track_caller]
fn check_error(error: &Error, code: &str, status: StatusCode, component_wide: bool) {
    let got = (error.status(), error.is_component_wide());
    assert_eq!(error.code(), code, "{error:?}");
    assert_eq!(got, (status, component_wide), "{error:?}");
}

#[test]
fn every_refusal_has_its_code_and_is_the_components_trouble_or_not() {
    let answered = StatusCode::BAD_GATEWAY;
    for errcode in [61004, 61005, 61006] {
        check_error(&refused(errcode, ""), "wechat_rejected", answered, true);
    }
    // The endpoint names an account.
    for errcode in [
        40001, 42001, 40013, 40125, 45009, 45011, 61003, 61009, 61010, 61023, 99999,
    ] {
        check_error(&refused(errcode, ""), "wechat_rejected", answered, false);
    }
    check_error(&refused(50002, ""), "account_limited", answered, false);
}

#[test]
fn a_call_without_an_answer_is_unavailable_and_nobodys_trouble_but_its_own() {
    for error in [
        refused(-1, "system error"),
        error(Fault::Status(500)),
        error(Fault::Status(404)),
        error(Fault::Unreadable),
        unreachable(),
    ] {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        check_error(&error, "wechat_unavailable", status, false);
    }
}

#[test]
fn what_may_pass_is_tried_again_and_what_is_answered_is_not() {
    let refused = |errcode| {
        let body = format!(r#"{{"errcode":{errcode}}}"#);
        read_answer(&body).err().unwrap()
    };
    for (fault, transient) in [
        (refused(-1), true),
        (Fault::Status(500), true),
        (Fault::Status(503), true),
        (Fault::Unreadable, true),
        (Fault::Status(404), false),
        (refused(45009), false),
        (refused(61023), false),
        (refused(99999), false),
    ] {
        let error = WechatError::new(ENDPOINT, fault);
        assert_eq!(error.is_transient(), transient, "{error:?}");
    }
}

/// All that a log line or a caller can get of an error.
fn shown(error: &Error) -> String {
    let failure = error.to_failure(None, Timestamp::from_secs(1_700_000_000));
    let mut shown = format!("{error:?} {} {failure:?}", error.advice());
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        shown.push(' ');
        shown.push_str(&error.to_string());
        cause = error.source();
    }
    shown
}

#[test]
fn no_message_of_wechats_is_passed_on() {
    for errcode in [
        -1, 40001, 40013, 45009, 61003, 61004, 61005, 61009, 61023, 99999,
    ] {
        for errmsg in [
            "invalid refreshtoken@@@SECRET",
            "SECRET rid: SECRET",
            "requestIP: SECRET",
            "component_access_token=SECRET rid: 1a2b-3c SECRET",
        ] {
            let shown = shown(&refused(errcode, errmsg));
            assert!(!shown.contains("SECRET"), "{shown}");
            assert!(shown.contains(&errcode.to_string()), "{shown}");
        }
    }
}

#[test]
fn the_address_and_the_id_of_the_call_are_passed_on() {
    let errmsg = "access clientip is not registered requestIP: 203.0.113.7 rid: 1a2b-3c";
    let refused = refused(61004, errmsg);
    assert!(refused.advice().contains("203.0.113.7"));
    assert!(shown(&refused).contains("rid 1a2b-3c"));
}

fn fault(errcode: i64, errmsg: &str) -> Fault {
    let body = format!(r#"{{"errcode":{errcode},"errmsg":"{errmsg}"}}"#);
    read_answer(&body).err().unwrap()
}

#[track_caller]
fn check_may_have_taken_effect(error: &WechatError, expected: bool) {
    assert_eq!(error.may_have_taken_effect(), expected, "{error:?}");
}

#[test]
fn a_call_that_wechat_did_not_answer_may_have_taken_effect_and_a_refused_one_has_not() {
    let timed_out = ConnectorError::timeout("no answer".into());
    for (fault, expected) in [
        (Fault::Status(500), true),
        (Fault::Status(502), true),
        (Fault::Unreadable, true),
        (Fault::Unreachable(Box::new(timed_out)), true),
        (Fault::Status(404), false),
        (fault(-1, "system error"), false),
        (fault(45009, ""), false),
    ] {
        check_may_have_taken_effect(&WechatError::new(ENDPOINT, fault), expected);
    }
    // A try before the last one is not forgotten.
    let error = WechatError {
        unanswered: true,
        ..WechatError::new(ENDPOINT, fault(45009, ""))
    };
    check_may_have_taken_effect(&error, true);
}

#[track_caller]
fn check_says(errcode: i64, errmsg: &str, expected: &str) {
    assert_eq!(fault(errcode, errmsg).to_string(), expected);
}

#[test]
fn a_refusal_says_its_errcode_the_id_of_the_call_and_the_address_that_wechat_saw() {
    check_says(
        61004,
        "access clientip is not registered requestIP: 203.0.113.7 rid: 1a2b-3c",
        "refused with errcode 61004, rid 1a2b-3c, seen from 203.0.113.7",
    );
    check_says(61004, "no address here", "refused with errcode 61004");
    // An address matters only where it is refused.
    check_says(
        45009,
        "reach max api daily quota limit of 203.0.113.7 rid: 1a2b-3c",
        "refused with errcode 45009, rid 1a2b-3c",
    );
}
