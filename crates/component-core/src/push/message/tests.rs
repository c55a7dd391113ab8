use serde::Deserialize;
use serde_json::{Value, json};

use super::*;

/// The contract by example.
const EXAMPLES: &str = include_str!("../../../../../tests/fixtures/messages.json");

#[derive(Deserialize)]
struct Example {
    name: String,
    detail_type: String,
    format: String,
    opened: String,
    message: Value,
}

fn account() -> AuthorizerAppId {
    AuthorizerAppId::parse("wxfedcba9876543210").unwrap()
}

fn read(text: &str) -> OpenedMessage {
    OpenedMessage::read(text.as_bytes()).unwrap()
}

fn json_of(text: &str) -> Value {
    let message = read(text).message.unwrap();
    serde_json::from_str(message.json.get()).unwrap()
}

fn id(text: &str) -> String {
    read(text).id(&account())
}

#[track_caller]
fn check_unread(text: &str) {
    assert!(read(text).message.is_none(), "{text}");
}

#[test]
fn the_examples_of_the_contract_are_read_as_it_says() {
    let examples: Vec<Example> = serde_json::from_str(EXAMPLES).unwrap();
    assert!(examples.len() >= 17);
    for example in examples {
        let message = read(&example.opened).message.unwrap();
        let read: Value = serde_json::from_str(message.json.get()).unwrap();
        assert_eq!(read, example.message, "{}", example.name);
        assert_eq!(message.format.as_str(), example.format, "{}", example.name);
        let is_event = example.detail_type == "Event Received";
        assert_eq!(message.is_event(), is_event, "{}", example.name);
    }
}

#[test]
fn a_list_keeps_its_shape_however_many_entries_it_has() {
    let of = |event: &str, inner: &str| {
        let text = format!("<xml><MsgType>event</MsgType><Event>{event}</Event>{inner}</xml>");
        let mut json = json_of(&text);
        for name in ["MsgType", "Event"] {
            json.as_object_mut().unwrap().remove(name);
        }
        json
    };
    let detail = of("wxa_media_check", "<detail/>");
    assert_eq!(detail, json!({ "detail": [] }));
    let waybill = of("add_waybill", "<GoodsDetail><n>1</n></GoodsDetail>");
    assert_eq!(waybill, json!({ "GoodsDetail": [{ "n": "1" }] }));
    let sent = of(
        "subscribe_msg_sent_event",
        "<SubscribeMsgSentEvent><List><MsgID>1</MsgID></List></SubscribeMsgSentEvent>",
    );
    let list = json!({ "SubscribeMsgSentEvent": { "List": [{ "MsgID": "1" }] } });
    assert_eq!(sent, list);
    // WeChat's own sample has the popup's element in the other event.
    let changed = of(
        "subscribe_msg_change_event",
        "<SubscribeMsgPopupEvent><List><TemplateId>T</TemplateId></List></SubscribeMsgPopupEvent>",
    );
    let list = json!({ "SubscribeMsgPopupEvent": { "List": [{ "TemplateId": "T" }] } });
    assert_eq!(changed, list);
    // Without a count beside it, an article is not taken for the whole list of items.
    let published = of(
        "PUBLISHJOBFINISH",
        "<PublishEventInfo><article_detail><item><idx>1</idx></item></article_detail></PublishEventInfo>",
    );
    let detail = json!({ "article_detail": { "item": [{ "idx": "1" }] } });
    assert_eq!(published, json!({ "PublishEventInfo": detail }));
    // Two levels of siblings.
    let appeal = of(
        "wxa_appeal_record",
        "<material><appeal_material><reason/><proof_material_id>a</proof_material_id></appeal_material></material>",
    );
    let material = json!([{ "appeal_material": { "reason": "", "proof_material_id": ["a"] } }]);
    assert_eq!(appeal, json!({ "material": material }));
    // The table is by event: elsewhere the same name is what it is.
    assert_eq!(of("other", "<detail/>"), json!({ "detail": "" }));
}

#[test]
fn two_photos_are_two_entries_and_none_are_an_empty_list() {
    let of = |list: &str| {
        json_of(&format!(
            "<xml><Event>pic_photo_or_album</Event><SendPicsInfo>{list}</SendPicsInfo></xml>"
        ))["SendPicsInfo"]["PicList"]
            .clone()
    };
    let photo = "<item><PicMd5Sum>1b</PicMd5Sum></item>";
    let one = json!({ "PicMd5Sum": "1b" });
    assert_eq!(of(&format!("<PicList>{photo}</PicList>")), json!([one]));
    let two = of(&format!("<PicList>{photo}{photo}</PicList>"));
    assert_eq!(two, json!([one, one]));
    assert_eq!(of("<PicList/>"), json!([]));
    assert_eq!(of("<PicList>\n</PicList>"), json!([]));
}

#[test]
fn text_is_kept_to_the_byte() {
    for (inside, text) in [
        ("<![CDATA[ a\r\n]]>", " a\r\n"),
        ("a<![CDATA[b]]>c", "abc"),
        ("1 &lt; 2 &amp; 3 &#65;&#x42;", "1 < 2 & 3 AB"),
        ("a&b=1&c", "a&b=1&c"),
        ("&unknown; &#xD800; &#0;", "&unknown; &#xD800; &#0;"),
        ("<!-- no text -->x", "x"),
        ("0010", "0010"),
        ("-1.50", "-1.50"),
    ] {
        let json = json_of(&format!("<xml><A>{inside}</A></xml>"));
        assert_eq!(json, json!({ "A": text }), "{inside}");
    }
    let read = OpenedMessage::read(b"<xml><A>\xff\xfe</A></xml>").unwrap();
    let json = read.message.unwrap().json;
    assert_eq!(json.get(), "{\"A\":\"\u{fffd}\u{fffd}\"}");
}

#[test]
fn what_is_neither_xml_nor_a_json_object_is_no_message() {
    for text in [
        "",
        "hello",
        "<xml>",
        "<xml></xml>",
        "<xml/>",
        "<xml>text</xml>",
        "<a><B>1</B></a>",
        "<xml><A>1</A></xml><xml><A>1</A></xml>",
        "<xml><A>1</B></xml>",
        "[1]",
        "{",
        "{\"a\":}",
        "\"text\"",
    ] {
        check_unread(text);
    }
    check_unread(&format!(
        "<xml>{}{}</xml>",
        "<a>".repeat(5000),
        "</a>".repeat(5000)
    ));
    check_unread(&format!(
        "{{\"a\":{}{}}}",
        "[".repeat(5000),
        "]".repeat(5000)
    ));
}

#[test]
fn a_doctype_is_refused_and_one_in_a_customers_text_is_text() {
    for text in [
        "<!DOCTYPE x><xml><A>1</A></xml>",
        "<xml><!DOCTYPE x><A>1</A></xml>",
        "<!doctype x [<!ENTITY a \"b\">]><xml><A>&a;</A></xml>",
    ] {
        assert!(OpenedMessage::read(text.as_bytes()).is_err(), "{text}");
    }
    let quoted = json_of("<xml><Content><![CDATA[<!DOCTYPE html>]]></Content></xml>");
    assert_eq!(quoted, json!({ "Content": "<!DOCTYPE html>" }));
}

#[test]
fn codes_and_tickets_are_taken_out_wherever_they_stand() {
    let json = json_of(
        "<xml><AuthorizationCode>S</AuthorizationCode><info><auth_code>S</auth_code><PreAuthCode>S</PreAuthCode>
         <code>kept</code></info><ComponentVerifyTicket>S</ComponentVerifyTicket><ticket>kept</ticket>
         <ApplyAuthorizationInfoNoitfy><ticket>S</ticket></ApplyAuthorizationInfoNoitfy></xml>",
    );
    let left =
        json!({ "info": { "code": "kept" }, "ticket": "kept", "ApplyAuthorizationInfoNoitfy": {} });
    assert_eq!(json, left);
    let json = json_of(
        r#"{"auth_code":"S","a":[{"PreAuthCode":"S"}],"ApplyAuthorizationInfoNoitfy":{"ticket":"S"},"ticket":"kept"}"#,
    );
    let left = json!({ "a": [{}], "ApplyAuthorizationInfoNoitfy": {}, "ticket": "kept" });
    assert_eq!(json, left);
}

#[test]
fn a_json_text_is_taken_as_it_is() {
    let text = r#"{"MsgType":"event","id":37051150584712089281234,"n":1.50, "a":{"b":[]}}"#;
    let message = read(&format!("\n{text} ")).message.unwrap();
    assert_eq!((message.json.get(), message.format), (text, Format::Json));
    assert!(message.is_event());
}

#[test]
fn a_message_is_known_by_its_id_and_an_event_by_its_text() {
    let message = |id: &str, content: &str| {
        format!("<xml><MsgType>text</MsgType><Content>{content}</Content><MsgId>{id}</MsgId></xml>")
    };
    assert_eq!(id(&message("1", "a")), id(&message("1", "b")));
    assert_ne!(id(&message("1", "a")), id(&message("2", "a")));
    // Another account's message may have the same id.
    let other = AuthorizerAppId::parse("wxfedcba9876543211").unwrap();
    assert_ne!(id(&message("1", "a")), read(&message("1", "a")).id(&other));
    // Two paid orders of one second differ deep inside only, whatever id they have.
    let paid = |order: &str| {
        format!(
            "<xml><MsgType>event</MsgType><MsgId>1</MsgId><Pay><Order>{order}</Order></Pay></xml>"
        )
    };
    assert_ne!(id(&paid("1")), id(&paid("2")));
    assert_eq!(id(&paid("1")), id(&paid("1")));
    // A message without an id, or with an empty one.
    assert_ne!(id(&message("", "a")), id(&message("", "b")));
    let of_json = |id: u64| format!(r#"{{"MsgType":"text","MsgId":{id},"t":{id}}}"#);
    assert_ne!(id(&of_json(1)), id(&of_json(2)));
    assert_ne!(id("no message"), id("no message at all"));
}
