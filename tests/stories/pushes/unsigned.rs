//! Queries that WeChat would not send, or not at this time: 403.

use super::{
    NONCE, check_accepted, check_refused, encrypt, envelope, query, signed, ticket, value,
};
use crate::world::{BEGINNING, World};

fn sealed() -> String {
    let component = wechat_simulator::Settings::example().component_appid;
    encrypt(ticket("ticket@@@good", BEGINNING).as_bytes(), &component)
}

/// Each query is refused with a correct body; the correct query is taken.
async fn check(rows: &[(&str, String)]) {
    let world = World::with_ticket().await;
    let encrypt = sealed();
    for (what, query) in rows {
        check_refused(&world, what, query, envelope(&encrypt), 403).await;
    }
    check_accepted(&world, "good", &signed(&encrypt), envelope(&encrypt)).await;
}

/// A correct query with one parameter replaced.
fn with(name: &str, to: &str) -> String {
    let good = signed(&sealed());
    let from = format!("{name}={}", value(&good, name));
    let replaced = good.replace(&from, &format!("{name}={to}"));
    assert_ne!(replaced, good);
    replaced
}

/// A query that is correctly signed at another time.
fn at(timestamp: &str) -> String {
    query(timestamp, NONCE, &sealed())
}

/// A query that is correctly signed with another nonce.
fn with_nonce(nonce: &str) -> String {
    query(&BEGINNING.to_string(), nonce, &sealed())
}

#[tokio::test]
async fn a_missing_parameter_is_refused() {
    let good = signed(&sealed());
    let without = |name: &str| good.replace(&format!("{name}="), &format!("not_{name}="));
    check(&[
        ("no query", String::new()),
        ("no timestamp", without("timestamp")),
        ("no nonce", without("nonce")),
        ("no msg_signature", without("msg_signature")),
        // The signature does not cover the body.
        (
            "signature alone",
            good.replace("msg_signature=", "signature="),
        ),
        ("another case", good.replace("nonce=", "Nonce=")),
        ("a name in escapes", good.replace("nonce=", "nonc%65=")),
    ])
    .await;
}

#[tokio::test]
async fn a_repeated_parameter_is_refused() {
    let good = signed(&sealed());
    let whole = format!("{good}&signature=0");
    let mut rows = Vec::new();
    for name in [
        "signature",
        "timestamp",
        "nonce",
        "encrypt_type",
        "msg_signature",
    ] {
        let again = value(&whole, name);
        rows.push((name, format!("{whole}&{name}={again}")));
        rows.push((name, format!("{whole}&{name}=1")));
        rows.push((name, format!("{name}=1&{whole}")));
    }
    check(&rows).await;
}

#[tokio::test]
async fn an_empty_parameter_is_refused() {
    check(&[
        ("signature", format!("{}&signature=", signed(&sealed()))),
        ("encrypt_type", with("encrypt_type", "")),
        ("msg_signature", with("msg_signature", "")),
        ("timestamp", with("timestamp", "")),
        ("nonce", with("nonce", "")),
        // The signature covers the empty parameter.
        ("timestamp, signed", at("")),
        ("nonce, signed", with_nonce("")),
        ("a bare name", with_nonce("").replace("nonce=", "nonce")),
    ])
    .await;
}

#[tokio::test]
async fn a_push_in_another_mode_is_refused() {
    check(&[
        ("plain", with("encrypt_type", "raw")),
        ("capitals", with("encrypt_type", "AES")),
    ])
    .await;
}

#[tokio::test]
async fn a_signature_that_is_off_by_one_digit_is_refused() {
    let good = signed(&sealed());
    let signature = value(&good, "msg_signature");
    let mut rows = Vec::new();
    for index in [0, 1, 20, 38, 39] {
        let digit = u8::from_str_radix(&signature[index..=index], 16).unwrap();
        let (head, tail) = (&signature[..index], &signature[index + 1..]);
        let off = format!("{head}{:x}{tail}", digit ^ 1);
        rows.push(("off by one", with("msg_signature", &off)));
    }
    check(&rows).await;
}

#[tokio::test]
async fn a_signature_in_capitals_or_of_another_length_is_refused() {
    let good = signed(&sealed());
    let signature = value(&good, "msg_signature");
    check(&[
        ("capitals", with("msg_signature", &signature.to_uppercase())),
        ("short at the end", with("msg_signature", &signature[..39])),
        (
            "short at the beginning",
            with("msg_signature", &signature[1..]),
        ),
        ("long", with("msg_signature", &format!("{signature}0"))),
        ("one digit", with("msg_signature", &signature[..1])),
        ("zeros", with("msg_signature", &"0".repeat(40))),
        ("not hex", with("msg_signature", &"z".repeat(40))),
        ("not ASCII", with("msg_signature", &"%E4%BD%A0".repeat(5))),
    ])
    .await;
}

#[tokio::test]
async fn a_signature_of_something_else_is_refused() {
    let world = World::with_ticket().await;
    let encrypt = sealed();
    let good = signed(&encrypt);
    for (what, query) in [
        ("another body", signed("AAAA")),
        (
            "another time",
            good.replace("timestamp=1700000001", "timestamp=1700000002"),
        ),
        ("another nonce", good.replace(NONCE, "987654322")),
    ] {
        assert_ne!(query, good);
        check_refused(&world, what, &query, envelope(&encrypt), 403).await;
    }
}

#[tokio::test]
async fn a_timestamp_that_is_not_ten_digits_is_refused() {
    check(&[
        ("a word", at("now")),
        ("a letter among them", at("1700000o01")),
        ("nine digits", at("170000000")),
        ("eleven digits", at("17000000010")),
        ("a zero before", at("01700000001")),
        ("milliseconds", at("1700000001000")),
        ("a sign", at("+170000000")),
        ("a fraction", at("170000000.")),
        ("in escapes", at("%317000000")),
        ("another script's digits", at("१७०")),
    ])
    .await;
}

#[tokio::test]
async fn a_timestamp_over_an_hour_off_is_refused_either_way() {
    check(&[
        ("too old", at(&(BEGINNING - 3601).to_string())),
        ("too new", at(&(BEGINNING + 3601).to_string())),
        ("the epoch", at("0000000000")),
        ("the end of ten digits", at("9999999999")),
    ])
    .await;
    let world = World::new().await;
    for timestamp in [BEGINNING - 3600, BEGINNING + 3600] {
        let query = at(&timestamp.to_string());
        check_accepted(&world, "an hour", &query, envelope(&sealed())).await;
    }
}

#[tokio::test]
async fn an_illegal_nonce_is_refused() {
    check(&[
        ("65 characters", with_nonce(&"n".repeat(65))),
        ("a dot", with_nonce("a.b")),
        ("a blank in an escape", with_nonce("a%20b")),
        ("a plus", with_nonce("a+b")),
        ("a slash", with_nonce("a/b")),
        ("an equals sign", with_nonce("a=b")),
    ])
    .await;
    let world = World::new().await;
    for nonce in ["n", &"n".repeat(64), "Aa0_-"] {
        check_accepted(&world, nonce, &with_nonce(nonce), envelope(&sealed())).await;
    }
}
