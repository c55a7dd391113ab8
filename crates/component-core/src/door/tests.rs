use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use url::form_urlencoded;

use super::*;

fn event() -> Value {
    json!({
        "version": "2.0",
        "rawPath": "/auth/start",
        "rawQueryString": "reference=shop-42",
        "cookies": ["theme=dark", "name=value"],
        "headers": {"Host": "auth.vendor.example", "x-forwarded-proto": "https"},
        "requestContext": {
            "domainName": "d-1.execute-api.us-east-1.amazonaws.com",
            "http": {"method": "POST", "path": "/auth/start"},
        },
        "body": "a=b",
        "isBase64Encoded": false,
    })
}

/// The event with another value at `pointer`, or without the field if it is `None`.
fn with(pointer: &str, value: impl Into<Option<Value>>) -> Value {
    let mut event = event();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = event.pointer_mut(parent).unwrap();
    let fields = parent.as_object_mut().unwrap();
    match value.into() {
        Some(value) => drop(fields.insert(name.to_owned(), value)),
        None => drop(fields.remove(name)),
    }
    event
}

#[track_caller]
fn good(event: Value) -> Request<Vec<u8>> {
    request(event).unwrap()
}

#[track_caller]
fn check_refused(event: Value) {
    let told = event.to_string();
    let refusal = request(event).expect_err(&told).answer();
    assert_eq!(refusal.status(), StatusCode::BAD_REQUEST, "{told}");
    assert_eq!(refusal.headers()[CONTENT_TYPE], "text/plain");
    assert_eq!(refusal.body(), UNREADABLE);
}

fn values<'a>(request: &'a Request<Vec<u8>>, name: &str) -> Vec<&'a [u8]> {
    let values = request.headers().get_all(name).into_iter();
    values.map(HeaderValue::as_bytes).collect()
}

#[test]
fn a_request_is_what_the_event_says() {
    let request = good(event());
    assert_eq!(request.method(), Method::POST);
    assert_eq!(request.uri(), "/auth/start?reference=shop-42");
    assert_eq!(request.headers()[HOST], "auth.vendor.example");
    assert_eq!(
        values(&request, "cookie"),
        [&b"theme=dark"[..], b"name=value"]
    );
    assert_eq!(request.headers()["x-forwarded-proto"], "https");
    assert_eq!(request.body(), b"a=b");
}

#[test]
fn what_an_event_may_lack_is_empty() {
    let none = [None, Some(Value::Null)];
    for none in none {
        let request = good(with("/rawPath", none.clone()));
        assert_eq!(request.uri().path(), "/auth/start");
        let request = good(with("/rawQueryString", none.clone()));
        assert_eq!(request.uri(), "/auth/start");
        let request = good(with("/body", none.clone()));
        assert_eq!(request.body(), b"");
        let request = good(with("/isBase64Encoded", none.clone()));
        assert_eq!(request.body(), b"a=b");
        let request = good(with("/cookies", none.clone()));
        assert!(!request.headers().contains_key(COOKIE));
        for pointer in ["/headers", "/headers/Host"] {
            let request = good(with(pointer, none.clone()));
            let host = "d-1.execute-api.us-east-1.amazonaws.com";
            assert_eq!(request.headers()[HOST], host);
        }
        good(with("/requestContext/domainName", none));
    }
    assert_eq!(
        good(with("/rawQueryString", json!(""))).uri(),
        "/auth/start"
    );
}

#[test]
fn an_event_that_is_none_of_an_http_api_is_refused() {
    for event in [
        Value::Null,
        json!([]),
        json!("GET /auth/start"),
        json!({}),
        json!({"httpMethod": "GET", "path": "/auth/start"}),
        json!({"component": true}),
    ] {
        check_refused(event);
    }
    for (pointer, wrong) in [
        ("/requestContext", None),
        ("/requestContext/http", None),
        ("/requestContext/http/method", None),
        ("/requestContext/http/method", Some(json!(""))),
        ("/requestContext/http/method", Some(json!("G\u{0}T"))),
        ("/requestContext/http/method", Some(json!(7))),
        ("/rawPath", Some(json!(7))),
        ("/rawPath", Some(json!(""))),
        ("/rawPath", Some(json!("https://evil.example/"))),
        ("/rawPath", Some(json!("/".repeat(70_000)))),
        ("/rawQueryString", Some(json!({}))),
        ("/rawQueryString", Some(json!("\u{0}".repeat(30_000)))),
        ("/headers", Some(json!([]))),
        ("/headers/Host", Some(json!(["a"]))),
        ("/cookies", Some(json!("name=value"))),
        ("/cookies", Some(json!([7]))),
        ("/body", Some(json!({"a": "b"}))),
        ("/isBase64Encoded", Some(json!("true"))),
    ] {
        check_refused(with(pointer, wrong));
    }
    let many: Map<String, Value> = (0..40_000).map(|n| (n.to_string(), json!(""))).collect();
    check_refused(with("/headers", json!(many)));
}

#[test]
fn a_body_in_base64_is_decoded_and_garbage_refused() {
    let encoded = |body: &str| {
        let mut event = with("/body", json!(body));
        event["isBase64Encoded"] = json!(true);
        event
    };
    assert_eq!(good(encoded("")).body(), b"");
    assert_eq!(good(encoded("AP8=")).body(), &[0, 255]);
    for garbage in ["A", "AP8", "AP8=\n", "A P8=", "%%%%", "AP8=AP8=", "店"] {
        check_refused(encoded(garbage));
    }
}

#[track_caller]
fn check_query(raw: &str, query: &str) {
    let request = good(with("/rawQueryString", json!(raw)));
    assert_eq!(request.uri().query(), Some(query), "{raw}");
}

#[test]
fn a_query_stays_as_it_was_sent_and_what_no_address_holds_is_escaped() {
    let push = "signature=1a&timestamp=1700000001&nonce=9-_8&encrypt_type=aes&msg_signature=2b";
    let held = "a=%22b%3c&&=%zz%&c=1+2/3?{|}~!$'()*,;:@[]^`\\";
    for same in [push, held, "?", "&&&", "=", "%00"] {
        check_query(same, same);
    }
    check_query("a=\"b\"", "a=%22b%22");
    check_query("a=<b>", "a=%3Cb%3E");
    check_query("a=b c\td", "a=b%20c%09d");
    check_query("a=\u{0}\u{7f}", "a=%00%7F");
    check_query("a=b#c", "a=b%23c");
    check_query("a=店é", "a=%E5%BA%97%C3%A9");
    check_query("a=\r\nSet-Cookie: b", "a=%0D%0ASet-Cookie:%20b");
}

#[test]
fn a_path_keeps_what_it_says() {
    for (raw, path) in [
        ("/", "/"),
        ("/pay/auth/start", "/pay/auth/start"),
        ("//evil.example/auth/start", "//evil.example/auth/start"),
        (
            "/a b?c#d/\u{0}\"<店>`{}",
            "/a%20b%3Fc%23d/%00%22%3C%E5%BA%97%3E%60%7B%7D",
        ),
    ] {
        let request = good(with("/rawPath", json!(raw)));
        assert_eq!(request.uri().path(), path, "{raw}");
        assert_eq!(request.uri().query(), Some("reference=shop-42"));
        assert!(request.uri().authority().is_none());
    }
}

#[test]
fn headers_that_http_does_not_allow_are_left_out() {
    let mut event = event();
    event["headers"] = json!({
        "host": "a.example", "HOST": "b.example", "": "x", "a b": "x", "店": "x", "a\u{0}": "x",
        "x-nul": "a\u{0}b", "x-line": "a\r\nx-more: b", "x-null": null, "x-far": "店", "x-tab": "a\tb",
        "cookie": "name=other",
    });
    event["cookies"] = json!(["name=value", "bad=\n", "far=店", null, ""]);
    let request = good(event);
    let names: Vec<&str> = request.headers().keys().map(HeaderName::as_str).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    assert_eq!(values(&request, "host").len(), 2);
    assert_eq!(values(&request, "x-tab"), [b"a\tb"]);
    let cookies = [&b"name=value"[..], "far=店".as_bytes(), b""];
    assert_eq!(values(&request, "cookie"), cookies);
    // Bytes that are no text: who asks for the text finds none.
    assert!(request.headers()["x-far"].to_str().is_err());
}

#[test]
fn an_answer_is_what_the_response_says() {
    let mut page = Response::new("<h1>店</h1>".to_owned());
    *page.status_mut() = StatusCode::SEE_OTHER;
    for (name, value) in [
        ("location", "/a"),
        ("vary", "a"),
        ("vary", "b"),
        ("set-cookie", "c=d"),
        ("set-cookie", "e=f, g"),
    ] {
        let value = HeaderValue::from_static(value);
        page.headers_mut().append(name, value);
    }
    let expected = json!({
        "statusCode": 303,
        "headers": {"location": "/a", "vary": "a, b"},
        "cookies": ["c=d", "e=f, g"],
        "body": "<h1>店</h1>",
        "isBase64Encoded": false,
    });
    assert_eq!(response(page), expected);
    let image = response(Response::new(vec![0, 255]));
    assert_eq!(
        (&image["body"], &image["isBase64Encoded"]),
        (&json!("AP8="), &json!(true))
    );
}

/// Text of any bytes, as a gateway may decode them, and more often of those that are special.
fn any_text(chance: &mut StdRng) -> String {
    const SPECIAL: &str = "\"<>#?%&=/\\ {}`|^\u{0}\r\n\t\u{7f}\u{80}\u{ff}店\u{fffd}\u{10ffff}";
    let special: Vec<char> = SPECIAL.chars().collect();
    let length = chance.random_range(0..40);
    let any = |_| match chance.random_range(0..3) {
        0 => special[chance.random_range(0..special.len())],
        1 => char::from(chance.random_range(0..=255_u8)),
        _ => char::from(chance.random_range(b'a'..=b'z')),
    };
    (0..length).map(any).collect()
}

/// Some JSON, which may be of a type that no event has there.
fn any_value(chance: &mut StdRng) -> Value {
    match chance.random_range(0..12) {
        0 => Value::Null,
        1 => json!(chance.random::<bool>()),
        2 => json!(chance.random::<i64>()),
        3 => (0..chance.random_range(0..4))
            .map(|_| any_value(chance))
            .collect(),
        4 | 5 => (0..chance.random_range(0..4))
            .map(|_| (any_text(chance), any_value(chance)))
            .collect(),
        _ => json!(any_text(chance)),
    }
}

#[test]
fn every_event_has_an_answer() {
    const POINTERS: [&str; 12] = [
        "/rawPath",
        "/rawQueryString",
        "/cookies",
        "/headers",
        "/headers/Host",
        "/headers/x-forwarded-proto",
        "/requestContext",
        "/requestContext/domainName",
        "/requestContext/http",
        "/requestContext/http/method",
        "/body",
        "/isBase64Encoded",
    ];
    let mut chance = StdRng::seed_from_u64(1);
    let mut taken = BTreeMap::new();
    for _event in 0..20_000 {
        let pointer = POINTERS[chance.random_range(0..POINTERS.len())];
        let event = with(pointer, any_value(&mut chance));
        let answered = request(event).map(|request| {
            let (parts, body) = request.into_parts();
            let mut echo = Response::new(body);
            *echo.headers_mut() = parts.headers;
            response(echo)
        });
        *taken.entry((pointer, answered.is_ok())).or_insert(0) += 1;
    }
    // Each field was taken and refused, except those without which an event is none or whose every
    // value is one.
    assert!(taken.len() > POINTERS.len() + 6, "{taken:?}");
}

#[test]
fn every_query_means_what_it_meant() {
    let mut chance = StdRng::seed_from_u64(2);
    for _query in 0..20_000 {
        let raw = any_text(&mut chance);
        let path = format!("/{}", any_text(&mut chance));
        let mut event = with("/rawQueryString", json!(raw));
        event["rawPath"] = json!(path);
        let request = good(event);
        let query = request.uri().query().unwrap_or_default();
        let pairs = |query: &str| -> Vec<(String, String)> {
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect()
        };
        assert_eq!(pairs(query), pairs(&raw), "{raw:?}");
    }
}
