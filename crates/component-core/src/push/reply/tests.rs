use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::push::message::to_value;

/// The contract by example.
const EXAMPLES: &str = include_str!("../../../../../tests/fixtures/replies.json");

#[derive(Deserialize)]
struct Example {
    name: String,
    answer: Value,
    xml: Option<String>,
}

const ADDRESSES: Addresses<'_> = Addresses {
    to: "oEXAMPLE_openid_000000000001",
    from: "gh_0123456789ab",
    at: Timestamp::from_secs(1_700_000_301),
};

fn xml_of(answer: &Value) -> Result<Option<String>, NoReply> {
    xml(answer.to_string().as_bytes(), ADDRESSES)
}

#[track_caller]
fn check(answer: &Value, expected: NoReply) {
    assert_eq!(xml_of(answer), Err(expected), "{answer}");
}

/// The order of an element's children tells nothing.
#[test]
fn the_examples_of_the_contract_are_written_as_it_says() {
    let examples: Vec<Example> = serde_json::from_str(EXAMPLES).unwrap();
    assert!(examples.len() >= 13);
    for example in examples {
        let written = xml_of(&example.answer).ok().flatten();
        let read = |xml: &Option<String>| xml.as_ref().map(|xml| to_value(xml));
        assert_eq!(read(&written), read(&example.xml), "{}", example.name);
        let length = |xml: &Option<String>| xml.as_ref().map(String::len);
        assert_eq!(length(&written), length(&example.xml), "{}", example.name);
    }
}

#[test]
fn an_answer_of_a_wrong_shape_is_no_reply() {
    check(&json!("text"), NoReply::UnknownShape);
    check(&json!([]), NoReply::UnknownShape);
    check(&json!({ "reply": {}, "answer": {} }), NoReply::UnknownShape);
    check(&json!({ "Reply": {} }), NoReply::UnknownShape);
    for wrong in [json!("text"), json!([]), json!(1), json!(null)] {
        check(&json!({ "reply": wrong }), NoReply::WrongType);
        check(&json!({ "answer": wrong }), NoReply::WrongType);
    }
    for wrong in [json!({}), json!(""), json!(" "), json!(1), json!(null)] {
        check(&json!({ "xml": wrong }), NoReply::WrongType);
    }
    check(&json!({ "answer": {} }), NoReply::WrongType);
    for wrong in [json!(null), json!(""), json!(1), json!({})] {
        check(
            &json!({ "reply": { "MsgType": wrong } }),
            NoReply::NoMsgType,
        );
    }
    let not_json = xml(b"<xml/>", ADDRESSES);
    assert_eq!(not_json, Err(NoReply::NotJson));
}

#[test]
fn what_xml_cannot_hold_is_no_reply() {
    for name in ["", "1a", "a b", "a<", "a>b", "-a", "a\"b", "a/b"] {
        check(&json!({ "answer": { name: 1 } }), NoReply::NotXml);
    }
    for text in ["\u{0}", "a\u{8}b", "\u{ffff}"] {
        check(&json!({ "answer": { "a": text } }), NoReply::NotXml);
    }
    let mut deep = json!(1);
    for _level in 0..100 {
        deep = json!({ "a": deep });
    }
    check(&json!({ "answer": deep }), NoReply::NotXml);
    let huge = "x".repeat(MAX_XML_BYTES);
    check(&json!({ "answer": { "a": huge } }), NoReply::TooLarge);
    check(&json!({ "xml": huge + "<a/>" }), NoReply::TooLarge);
}

#[test]
fn the_addresses_are_ours_whatever_the_function_says() {
    let reply = json!({ "reply": {
        "MsgType": "text", "Content": "x", "ToUserName": "other", "CreateTime": 1, "FromUserName": null,
    }});
    let written = to_value(&xml_of(&reply).unwrap().unwrap());
    let expected = json!({
        "ToUserName": ADDRESSES.to, "FromUserName": ADDRESSES.from, "CreateTime": "1700000301",
        "MsgType": "text", "Content": "x",
    });
    assert_eq!(written, expected);
}

#[test]
fn booleans_and_numbers_are_bare() {
    let answer = json!({ "answer": { "a": true, "b": -1.5, "c": [1, null, "x"] } });
    let expected = "<xml><a>true</a><b>-1.5</b><c>1</c><c><![CDATA[x]]></c></xml>";
    assert_eq!(xml_of(&answer), Ok(Some(expected.to_owned())));
}
