//! What WeChat answers, what it means, and what of it anybody gets to see.

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
    read_token(&body).err().unwrap()
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

const ASKED_AT: Timestamp = Timestamp::from_secs(1_700_000_000);

/// What an `authorization_info` with these fields grants: the access token and its life in seconds,
/// the refresh token, and the permission sets.
#[track_caller]
fn check_granted(fields: &str, access: Option<(&str, u64)>, refresh: Option<&str>, sets: &[u64]) {
    let answer =
        format!(r#"{{"authorization_info":{{"authorizer_appid":"wxfedcba9876543210"{fields}}}}}"#);
    let answer: QueryAuth = read(ENDPOINT, answer.as_bytes()).unwrap();
    let granted = answer.authorization_info.granted(ASKED_AT);
    let given = granted.access_token.as_ref().map(|token| {
        let life = ASKED_AT.until(token.expires_at);
        (token.secret.expose(), life.as_secs())
    });
    assert_eq!(given, access, "{fields}");
    let given = granted.refresh_token.as_ref().map(Secret::expose);
    assert_eq!(given, refresh, "{fields}");
    assert_eq!(granted.permission_sets, sets, "{fields}");
    assert_eq!(granted.asked_at, ASKED_AT);
}

#[test]
fn what_is_granted_is_read_whichever_of_it_is_there() {
    let sets =
        r#","func_info":[{"funcscope_category":{"id":1}},{"funcscope_category":{"id":"15"}}]"#;
    let refresh = r#","authorizer_refresh_token":"r""#;
    for (expires_in, secs) in [("7200", 7200), ("\"7199\"", 7199), ("\" 60 \"", 60)] {
        let access = format!(r#","authorizer_access_token":"a","expires_in":{expires_in}"#);
        let all = format!("{access}{refresh}{sets}");
        check_granted(&all, Some(("a", secs)), Some("r"), &[1, 15]);
    }
    check_granted(&format!("{refresh}{sets}"), None, Some("r"), &[1, 15]);
    check_granted("", None, None, &[]);
    // An access token without `expires_in` is none, nor is a blank one.
    check_granted(r#","authorizer_access_token":"a""#, None, None, &[]);
    let blank = r#","authorizer_access_token":"","expires_in":7200,"authorizer_refresh_token":"""#;
    check_granted(blank, None, None, &[]);
}

/// What an entry of the list says: of which account, its refresh token and since when.
#[track_caller]
fn check_listed(entry: &str, expected: Option<(&str, Option<&str>, u64)>) {
    let answer = format!(r#"{{"total_count":"1","list":[{entry}]}}"#);
    let answer: AuthorizerList = read(ENDPOINT, answer.as_bytes()).unwrap();
    assert_eq!(answer.total_count, 1);
    let listed = answer.list.into_iter().find_map(Listed::read);
    let listed = listed.as_ref().map(|listed| {
        let refresh_token = listed.refresh_token.as_ref().map(Secret::expose);
        let auth_time = listed.auth_time.as_secs();
        (listed.authorizer.as_str(), refresh_token, auth_time)
    });
    assert_eq!(listed, expected, "{entry}");
}

#[test]
fn an_entry_of_the_list_is_read_with_or_without_its_token_and_time() {
    let appid = "wxfedcba9876543210";
    let at = 1_700_000_100;
    for (fields, refresh, auth_time) in [
        (
            r#","refresh_token":"r","auth_time":1700000100"#,
            Some("r"),
            at,
        ),
        (
            r#","refresh_token":"r","auth_time":"1700000100""#,
            Some("r"),
            at,
        ),
        (r#","refresh_token":"","auth_time":1700000100"#, None, at),
        (r#","auth_time":1700000100"#, None, at),
        ("", None, 0),
    ] {
        let entry = format!(r#"{{"authorizer_appid":"{appid}"{fields}}}"#);
        check_listed(&entry, Some((appid, refresh, auth_time)));
    }
    check_listed(r#"{"authorizer_appid":"gh_0123456789ab"}"#, None);
}
