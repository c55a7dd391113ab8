//! Answers with odd fields, through the calls that they answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use component_api::id::ComponentAppId;

use super::*;
use crate::row::authorizer::Renewal;
use crate::time::{Clock, Deadline};
use crate::wechat::Wechat;
use crate::wechat::session::Session;

mod list;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const APPID: &str = "wxfedcba9876543210";
const OTHER: &str = "wx00000000000000ff";
const REFRESH: &str = "refreshtoken@@@r";

/// What a field that is not used may hold, and one that is used too.
const ODD: [&[u8]; 34] = [
    b"null",
    b"true",
    b"{}",
    b"[]",
    b"\"\"",
    b"\"x\"",
    b"-1",
    b"0.5",
    b"007",
    b"1e999",
    b"99999999999999999999999999",
    b"NaN",
    b"-Infinity",
    b"undefined",
    b"",
    b"\"\\ud83d\"",
    b"\"\\ude00 \\ud83d\\ud83d\\ude00\"",
    b"\"\\ud83d\\n\"",
    b"\"\\u12\"",
    b"\"\\x \\' \\/ \"",
    b"\"a\x00\x01\r\n\tb\"",
    b"\"\xff\xfe\"",
    b"\"\xe4\xb8\"",
    b"\xff\xfe",
    b"\"\xed\xa0\xbd\"",
    b"\"the \"best\" shop\"",
    b"{\"id\":{\"id\":[{}]}}",
    b"[null,\"x\",7,[],{}]",
    b"[{\"funcscope_category\":null},{\"funcscope_category\":{}}]",
    b"{\"authorizer_refresh_token\":\"refreshtoken@@@other\"}",
    b"\"{\\\"authorizer_refresh_token\\\":\\\"refreshtoken@@@other\\\"}\"",
    b"[1,]",
    b"1 2",
    b"'x'",
];

/// Answers every call alike, and counts them.
#[derive(Clone, Debug)]
struct Canned {
    body: Vec<u8>,
    calls: Arc<AtomicU32>,
}

impl HttpConnector for Canned {
    fn call(&self, _request: HttpRequest) -> HttpConnectorFuture {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let status = 200.try_into().unwrap();
        let body = SdkBody::from(self.body.clone());
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, body)))
    }
}

impl Canned {
    fn new(body: &[u8]) -> Self {
        Self {
            body: body.to_vec(),
            calls: Arc::default(),
        }
    }

    fn session(&self) -> Session {
        let http = SharedHttpConnector::new(self.clone());
        let clock = Clock::told(|| NOW, 10_000);
        Session::new(
            Wechat::new(http, "http://wechat.test", clock).unwrap(),
            ComponentAppId::parse("wx0123456789abcdef").unwrap(),
            Secret::parse("73_component").unwrap(),
            Deadline::after(Duration::from_mins(1)),
        )
    }
}

fn appid() -> AuthorizerAppId {
    AuthorizerAppId::parse(APPID).unwrap()
}

fn sent() -> Secret<AuthorizerRefreshToken> {
    Secret::parse(REFRESH).unwrap()
}

async fn exchange(body: &[u8]) -> Result<Authorization, WechatError> {
    let code = Secret::parse("queryauthcode@@@c").unwrap();
    Canned::new(body).session().query_auth(&code, None).await
}

async fn renew(body: &[u8]) -> Result<Renewal, WechatError> {
    let session = Canned::new(body).session();
    session.authorizer_token(&appid(), &sent()).await
}

async fn info(body: &[u8]) -> Result<AuthorizerInfo, WechatError> {
    let session = Canned::new(body).session();
    session.get_authorizer_info(&appid()).await
}

fn shown(body: &[u8]) -> String {
    let shown = String::from_utf8_lossy(body);
    shown.chars().take(400).collect()
}

/// `template` with `odd` in the place of `?`.
fn filled(template: &str, odd: &[u8]) -> Vec<u8> {
    let (before, after) = template.split_once('?').unwrap();
    [before.as_bytes(), odd, after.as_bytes()].concat()
}

/// Everything of [`ODD`], and what is too long to be written out.
fn odd_values() -> Vec<Vec<u8>> {
    let mut values: Vec<_> = ODD.iter().map(|odd| odd.to_vec()).collect();
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}7{}", open.repeat(20_000), close.repeat(20_000));
        values.push(deep.into_bytes());
    }
    values.push(format!("\"{}\"", "x".repeat(20_000)).into_bytes());
    values.push(format!("[{}1]", "1,".repeat(20_000)).into_bytes());
    values
}

/// The answer of `api_query_auth` where `fields` stand in `authorization_info`.
fn grant(fields: &str) -> String {
    format!(r#"{{"authorization_info":{{{fields}}}}}"#)
}

fn owner() -> String {
    format!(r#""authorizer_appid":"{APPID}""#)
}

fn refresh() -> String {
    format!(r#""authorizer_refresh_token":"{REFRESH}""#)
}

#[tokio::test]
async fn whatever_stands_in_another_field_an_exchange_keeps_the_refresh_token() {
    let (owner, refresh) = (owner(), refresh());
    let known = format!("{owner},{refresh}");
    for template in [
        grant(&format!(
            r#"{owner},"authorizer_access_token":?,"expires_in":7200,{refresh}"#
        )),
        grant(&format!(
            r#"{owner},"authorizer_access_token":"t","expires_in":?,{refresh}"#
        )),
        grant(&format!(r#"{owner},"func_info":?,{refresh}"#)),
        grant(&format!(r#""func_info":[?,{{}}],{known}"#)),
        grant(&format!(
            r#""func_info":[{{"funcscope_category":?}}],{known}"#
        )),
        format!(r#"{{"nick_name":?,"authorization_info":{{{known}}}}}"#),
        format!(r#"{{"errmsg":?,"errcode":0,"authorization_info":{{{known}}}}}"#),
    ] {
        for odd in odd_values() {
            let body = filled(&template, &odd);
            let got = exchange(&body).await;
            let got = got.unwrap_or_else(|error| panic!("{}: {error:?}", shown(&body)));
            assert_eq!(got.authorizer, appid(), "{}", shown(&body));
            let kept = got.granted.refresh_token == Some(sent());
            assert!(kept, "{}", shown(&body));
            let sets = got.granted.permission_sets;
            assert!(sets.is_none_or(|sets| sets.len() <= 1000));
        }
    }
}

#[tokio::test]
async fn whatever_stands_in_another_field_info_keeps_the_refresh_token() {
    let (owner, refresh) = (owner(), refresh());
    for template in [
        format!(r#"{{"authorizer_info":?,"authorization_info":{{{owner},{refresh}}}}}"#),
        format!(r#"{{"authorizer_info":{{"nick_name":?}},"authorization_info":{{{refresh}}}}}"#),
        format!(r#"{{"authorization_info":{{"authorizer_appid":?,{refresh}}}}}"#),
        format!(r#"{{"authorization_info":{{"func_info":?,{refresh}}},"authorizer_info":null}}"#),
    ] {
        for odd in odd_values() {
            let body = filled(&template, &odd);
            let got = info(&body).await;
            let got = got.unwrap_or_else(|error| panic!("{}: {error:?}", shown(&body)));
            let told = got.granted.and_then(|granted| granted.refresh_token);
            assert!(told == Some(sent()), "{}", shown(&body));
            assert!(got.name.is_none_or(|name| name.chars().count() <= 200));
        }
    }
}

#[tokio::test]
async fn whatever_stands_in_another_field_a_renewal_brings_its_token() {
    for template in [
        r#"{"authorizer_access_token":"t","expires_in":?,"authorizer_refresh_token":"refreshtoken@@@r"}"#,
        r#"{"errmsg":?,"authorizer_access_token":"t","authorizer_refresh_token":"refreshtoken@@@r"}"#,
        r#"{"authorizer_refresh_token":?,"authorizer_access_token":"t"}"#,
    ] {
        for odd in odd_values() {
            let body = filled(template, &odd);
            let got = renew(&body).await;
            let got = got.unwrap_or_else(|error| panic!("{}: {error:?}", shown(&body)));
            assert_eq!(got.access_token.token.secret.expose(), "t");
        }
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_anywhere_is_no_grant_without_a_refresh_token() {
    let known = format!(
        r#"{},"expires_in":7200,{},"func_info":[{{}}]"#,
        owner(),
        refresh()
    );
    let exchanged = grant(&known);
    let told =
        format!(r#"{{"authorizer_info":{{"nick_name":"a"}},"authorization_info":{{{known}}}}}"#);
    for end in 0..exchanged.len() {
        if let Ok(got) = exchange(&exchanged.as_bytes()[..end]).await {
            assert!(got.granted.refresh_token == Some(sent()), "{end}");
        }
    }
    for end in 0..told.len() {
        if let Ok(got) = info(&told.as_bytes()[..end]).await {
            let granted = got.granted;
            assert!(
                granted.is_none_or(|granted| granted.refresh_token == Some(sent())),
                "{end}"
            );
        }
    }
}

#[tokio::test]
async fn what_stands_around_the_answer_does_not_matter() {
    let answer = grant(&format!("{},{}", owner(), refresh()));
    for (before, after) in [
        ("\u{feff}", ""),
        ("\r\n\t ", "\n"),
        ("\u{feff} ", ""),
        ("", "}"),
        ("", "garbage"),
        ("", "<!-- 1.2.3.4 -->"),
        ("", r#"{"errcode":61003}"#),
        ("", "\0\0"),
    ] {
        let body = format!("{before}{answer}{after}");
        assert!(exchange(body.as_bytes()).await.is_ok(), "{body:?}");
    }
}

#[tokio::test]
async fn of_fields_that_come_twice_the_last_that_can_be_read_counts() {
    for (fields, expected) in [
        (
            r#""authorizer_refresh_token":"a","authorizer_refresh_token":"b""#,
            "b",
        ),
        (
            r#""authorizer_refresh_token":"a","authorizer_refresh_token":"""#,
            "a",
        ),
        (
            r#""authorizer_refresh_token":"a","authorizer_refresh_token":null"#,
            "a",
        ),
        (
            r#""authorizer_refresh_token":"a","authorizer_refresh_token":"b c""#,
            "a",
        ),
        (r#""authorizer_refresh_token":" a\n""#, "a"),
    ] {
        for body in [
            grant(&format!("{},{fields}", owner())),
            format!(
                r#"{{"authorization_info":{{{},{fields}}},"authorization_info":null}}"#,
                owner()
            ),
        ] {
            let got = exchange(body.as_bytes()).await.unwrap();
            let got = got.granted.refresh_token.unwrap();
            assert_eq!(got.expose(), expected, "{body}");
        }
    }
}

#[tokio::test]
async fn an_empty_refresh_token_is_none_and_an_odd_one_is_no_answer() {
    for (refresh_token, is_answer) in [
        (r#""""#, true),
        ("null", true),
        (r#"" ""#, true),
        ("7", false),
        ("{}", false),
        (r#""a b""#, false),
        (r#""\ud83d""#, false),
        ("", false),
    ] {
        let fields = format!(r#""authorizer_refresh_token":{refresh_token},{}"#, owner());
        let answer = grant(&fields);
        let exchanged = exchange(answer.as_bytes()).await.ok();
        let told = info(answer.as_bytes()).await.unwrap().granted;
        for granted in [exchanged.map(|exchanged| exchanged.granted), told] {
            let got = granted.map(|granted| granted.refresh_token.is_none());
            assert_eq!(got, is_answer.then_some(true), "{answer}");
        }
        // Either way the one that was sent stays.
        let renewed = format!(
            r#"{{"authorizer_access_token":"t","authorizer_refresh_token":{refresh_token}}}"#
        );
        let renewed = renew(renewed.as_bytes()).await.unwrap();
        assert!(renewed.refresh_token == sent(), "{answer}");
    }
}

#[tokio::test]
async fn a_renewal_without_an_access_token_still_tells_a_new_refresh_token() {
    for none in [r#""""#, "null", "7", r#""a b""#] {
        for (refresh_token, told) in [("new", Some("new")), (REFRESH, None), ("", None)] {
            let body = format!(
                r#"{{"authorizer_access_token":{none},"authorizer_refresh_token":"{refresh_token}"}}"#
            );
            let error = renew(body.as_bytes()).await.unwrap_err();
            let got = error.refresh_token().map(Secret::expose);
            assert_eq!(got, told, "{body}");
            assert!(error.may_have_taken_effect());
        }
    }
}

#[tokio::test]
async fn a_code_whose_owner_is_not_named_is_of_the_account_that_was_expected() {
    let code = Secret::parse("queryauthcode@@@c").unwrap();
    let expected = AuthorizerAppId::parse(OTHER).unwrap();
    for owner in [
        "",
        "null",
        r#""""#,
        "7",
        r#""wx""#,
        r#""WXFEDCBA9876543210""#,
    ] {
        let fields = format!(r#""authorizer_appid":{owner},{}"#, refresh());
        let body = grant(&fields);
        assert!(exchange(body.as_bytes()).await.is_err(), "{body}");
        let session = Canned::new(body.as_bytes()).session();
        let got = session.query_auth(&code, Some(&expected)).await.unwrap();
        assert_eq!(got.authorizer, expected, "{body}");
    }
    let body = grant(&format!("{},{}", owner(), refresh()));
    let session = Canned::new(body.as_bytes()).session();
    let got = session.query_auth(&code, Some(&expected)).await.unwrap();
    assert_eq!(got.authorizer, appid());
    for nothing in [
        "{}",
        r#"{"authorization_info":null}"#,
        r#"{"authorization_info":[]}"#,
    ] {
        let session = Canned::new(nothing.as_bytes()).session();
        assert!(session.query_auth(&code, Some(&expected)).await.is_err());
    }
}

#[tokio::test]
async fn an_errcode_is_a_number_in_whatever_form_it_comes() {
    for (errcode, expected) in [
        ("61003", 61003),
        (r#""61003""#, 61003),
        (r#"" 61003 ""#, 61003),
        ("61003.0", 61003),
        (r#""61003.0""#, 61003),
        ("6.1003e4", 61003),
        ("-1", -1),
        (r#""-1""#, -1),
        (r#"61003,"errcode":null"#, 61003),
    ] {
        let granted = format!(r#""authorization_info":{{{},{}}}"#, owner(), refresh());
        for rest in [
            r#""errmsg":"no""#,
            r#""errmsg":null"#,
            r#""errmsg":{"a":[]}"#,
            r#""errmsg":7"#,
            r#""errmsg":"\ud83d""#,
            granted.as_str(),
        ] {
            let body = format!(r#"{{"errcode":{errcode},{rest}}}"#);
            let error = exchange(body.as_bytes()).await.unwrap_err();
            let refused = error.refused().unwrap_or_else(|| panic!("{body}"));
            assert_eq!(refused.errcode, expected, "{body}");
        }
    }
    for success in [
        "0", r#""0""#, "null", r#""""#, "0.0", "-0", "{}", "[]", "false", r#""ok""#,
    ] {
        let body = format!(
            r#"{{"errcode":{success},"authorization_info":{{{},{}}}}}"#,
            owner(),
            refresh()
        );
        assert!(exchange(body.as_bytes()).await.is_ok(), "{body}");
    }
}

#[tokio::test]
async fn a_refusal_is_tried_once_and_garbage_three_times() {
    for (body, calls) in [
        (r#"{"errcode":"45009","errmsg":["no"]}"#, 1),
        (r#"{"errcode":"-1"}"#, 3),
        ("<html><style>a{b:c}</style>", 3),
        ("", 3),
        ("null", 3),
        ("[]", 3),
        ("\"{}\"", 3),
        ("{}", 3),
        (r#"{"errcode":4500"#, 3),
    ] {
        let canned = Canned::new(body.as_bytes());
        let renewed = canned.session().authorizer_token(&appid(), &sent()).await;
        assert!(renewed.is_err(), "{body}");
        assert_eq!(canned.calls.load(Ordering::Relaxed), calls, "{body}");
    }
}

#[tokio::test]
async fn a_token_without_a_sensible_life_has_the_documented_one() {
    for (expires_in, life) in [
        ("7200", 7200),
        ("7199", 7199),
        (r#""7100""#, 7100),
        (r#"" 600 ""#, 600),
        ("7100.9", 7100),
        ("7.1e3", 7100),
        (r#""7100.0""#, 7100),
        ("1", 1),
        ("0", 7200),
        ("0.9", 7200),
        ("-1", 7200),
        ("7201", 7200),
        ("7200000", 7200),
        ("18446744073709551616", 7200),
        ("1e999", 7200),
        ("NaN", 7200),
        ("null", 7200),
        ("true", 7200),
        ("{}", 7200),
        (r#""""#, 7200),
        (r#""soon""#, 7200),
        ("", 7200),
    ] {
        let body = format!(r#"{{"authorizer_access_token":"t","expires_in":{expires_in}}}"#);
        let renewed = renew(body.as_bytes()).await.unwrap();
        let expires_at = renewed.access_token.token.expires_at;
        assert_eq!(NOW.until(expires_at).as_secs(), life, "{expires_in}");
        let body = format!(r#"{{"pre_auth_code":"c","expires_in":{expires_in}}}"#);
        let session = Canned::new(body.as_bytes()).session();
        let code = session.create_preauthcode().await.unwrap();
        let life = life.min(1800);
        assert_eq!(NOW.until(code.expires_at).as_secs(), life, "{expires_in}");
    }
}

#[tokio::test]
async fn permission_sets_are_read_one_by_one() {
    let set = |id: &str| format!(r#"{{"funcscope_category":{{"id":{id}}}}}"#);
    for (func_info, expected) in [
        ("null".to_owned(), None),
        ("{}".to_owned(), None),
        ("7".to_owned(), None),
        (r#"["?",{}]"#.to_owned(), None),
        ("[]".to_owned(), Some(vec![])),
        (format!("[{}]", set("1")), Some(vec![1])),
        (
            format!("[{},{}]", set(r#""2""#), set("3.0")),
            Some(vec![2, 3]),
        ),
        (format!("[{},{}]", set("-1"), set("4")), Some(vec![4])),
        (format!("[{},{}]", set("1e30"), set("5")), Some(vec![5])),
        (
            format!("[{},null,7,{}]", set("null"), set("6")),
            Some(vec![6]),
        ),
        (
            format!(r#"[{{}},{{"funcscope_category":[]}},{}]"#, set("7")),
            Some(vec![7]),
        ),
        (format!("[{},]", set(r#"8,"name":"\ud83d""#)), Some(vec![8])),
    ] {
        let fields = format!(r#"{},{},"func_info":{func_info}"#, owner(), refresh());
        let got = exchange(grant(&fields).as_bytes()).await.unwrap();
        assert_eq!(got.granted.permission_sets, expected, "{func_info}");
    }
}

/// What info tells of the account, and whether it grants a refresh token, if it tells of a grant.
async fn check_info(fields: &str, account: [Option<&str>; 2], granted: Option<bool>) {
    let body = format!("{{{fields}}}");
    let got = info(body.as_bytes()).await.unwrap();
    let names = [got.name.as_deref(), got.user_name.as_deref()];
    assert_eq!(names, account, "{body}");
    let got = got.granted.map(|granted| granted.refresh_token.is_some());
    assert_eq!(got, granted, "{body}");
}

#[tokio::test]
async fn info_tells_of_the_account_the_grant_both_or_neither() {
    for (account, name, user_name) in [
        ("null", None, None),
        ("[]", None, None),
        (r#"{"nick_name":"","user_name":7}"#, None, None),
        (
            r#"{"nick_name":"a","user_name":"gh_1"}"#,
            Some("a"),
            Some("gh_1"),
        ),
        (r#"{"nick_name":"a\ud83d"}"#, Some("a\u{fffd}"), None),
        (
            r#"{"nick_name":"\ud83d\ude00\u4e2d"}"#,
            Some("\u{1f600}中"),
            None,
        ),
    ] {
        let fields = format!(r#""authorizer_info":{account}"#);
        check_info(&fields, [name, user_name], None).await;
    }
    for (grant, granted) in [
        (format!("{{{}}}", refresh()), Some(true)),
        (format!("{{{}}}", owner()), Some(false)),
        // What names neither the account nor a token does not say that there is none.
        (r#"{"authorizer_refresh_token":""}"#.to_owned(), None),
        ("{}".to_owned(), None),
        ("null".to_owned(), None),
        ("7".to_owned(), None),
    ] {
        let fields = format!(r#""authorization_info":{grant}"#);
        check_info(&fields, [None, None], granted).await;
    }
    check_info("", [None, None], None).await;
    let of_another = grant(&format!(r#""authorizer_appid":"{OTHER}",{}"#, refresh()));
    assert!(info(of_another.as_bytes()).await.is_err());
}
