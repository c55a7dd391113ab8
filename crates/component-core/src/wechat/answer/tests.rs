//! What WeChat answers, what it means, and what of it anybody gets to see.

use aws_smithy_runtime_api::client::result::ConnectorError;
use http::StatusCode;

use super::*;
use crate::error::Error;
use crate::wechat::error::WechatError;

const ENDPOINT: Endpoint = Endpoint::AuthorizerToken;

fn read_token(body: &str) -> Result<ComponentToken, Fault> {
    read(ENDPOINT, body.as_bytes())
}

#[test]
fn the_refused_address_is_read_from_the_message() {
    for seen in ["1.2.3.4", "::ffff:1.2.3.4"] {
        let errmsg = format!("access clientip is not registered requestIP: {seen} rid: 1a-2b-3c");
        let body = format!(r#"{{"errcode":61004,"errmsg":"{errmsg}"}}"#);
        let Err(Fault::Refused(refused)) = read_token(&body) else {
            panic!("{body} is not read as a refusal");
        };
        assert_eq!(refused.seen_from.as_deref(), Some("1.2.3.4"));
        assert_eq!(refused.rid.as_deref(), Some("1a-2b-3c"));
    }
}

#[test]
fn garbage_is_no_answer() {
    for garbage in ["", "<html>", "{}", "[]", "{\"component_access_token\":1}"] {
        assert!(
            matches!(read_token(garbage), Err(Fault::Unreadable)),
            "{garbage}"
        );
    }
}

#[test]
fn a_number_may_come_as_a_string() {
    let answer = r#"{"component_access_token":"t","expires_in":"7200","errcode":0}"#;
    assert_eq!(read_token(answer).map(|a| a.expires_in).ok(), Some(7200));
}

fn error(fault: Fault) -> Error {
    WechatError::new(ENDPOINT, fault).into()
}

fn refused(errcode: i64, errmsg: &str) -> Error {
    let body = format!(r#"{{"errcode":{errcode},"errmsg":"{errmsg}"}}"#);
    let answer = read_token(&body);
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
    for errcode in [
        40001, 42001, 40013, 40125, 45009, 45011, 61004, 61005, 61006,
    ] {
        check_error(&refused(errcode, ""), "wechat_rejected", answered, true);
    }
    for errcode in [61003, 61009, 61010, 61023, 99999] {
        check_error(&refused(errcode, ""), "wechat_rejected", answered, false);
    }
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
        read_token(&body).err().unwrap()
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
