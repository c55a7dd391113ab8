//! Pushes of odd times and odd shapes.

use serde_json::json;

use super::receiving_world;
use crate::Settings;
use crate::cipher::AesKey;
use crate::push::notice::element;

#[tokio::test]
async fn a_create_time_at_the_end_of_time_is_pushed() {
    let (world, receiver) = receiving_world().await;
    let mut expected = Vec::new();
    for create_time in [u64::MAX, u64::MAX - 3600, u64::MAX / 2 + 1, 0] {
        let order = json!({"info_type": "authorized", "create_time": create_time});
        assert_eq!(world.call("/_sim/push", order).await["delivered"], true);
        expected.push(create_time.saturating_add(3600).to_string());
    }
    let pushes = receiver.opened();
    let ends = pushes
        .iter()
        .map(|xml| element(xml, "AuthorizationCodeExpiredTime").unwrap());
    assert_eq!(ends.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_clock_at_the_end_of_time_stops_nothing() {
    let (world, receiver) = receiving_world().await;
    world.call("/_sim/clock", json!({"now": u64::MAX})).await;
    world
        .call("/_sim/clock", json!({"advance_secs": u64::MAX}))
        .await;
    let token = world.component_token().await;
    world.authorize(&token).await;
    assert!(world.simulator.push_ticket().await.delivered);
    assert_eq!(receiver.opened().len(), 1);
}

/// Plain texts that a receiver may get, sealed right: other types, odd shapes, no XML.
const ODD_TEXTS: [&str; 9] = [
    // A trial mini program's authorization has no code.
    "<xml><AppId>wx0123456789abcdef</AppId><CreateTime>1700000100</CreateTime>\
     <InfoType>authorized</InfoType><AuthorizerAppid>wx1a2b3c4d5e6f7081</AuthorizerAppid></xml>",
    "<xml><AppId><![CDATA[wx0123456789abcdef]]></AppId><CreateTime>1700000400</CreateTime>\
     <InfoType><![CDATA[notify_third_fasteregister]]></InfoType><appid>wxffff</appid>\
     <status>0</status><auth_code><![CDATA[queryauthcode@@@x]]></auth_code><msg>OK</msg>\
     <info><name><![CDATA[A & B]]></name><code_type>1</code_type></info></xml>",
    "<xml><ToUserName>gh_0123456789ab</ToUserName><FromUserName>oX</FromUserName>\
     <CreateTime>1700000400</CreateTime><MsgType>event</MsgType><Event>subscribe</Event></xml>",
    "<xml><InfoType>order_path_apply_result_notify</InfoType><Name>A & B</Name></xml>",
    "<xml><InfoType><![CDATA[news]]></InfoType><Text><![CDATA[a]]]]><![CDATA[>b]]></Text></xml>",
    "<?xml version=\"1.0\"?>\n<!DOCTYPE xml [<!ENTITY a \"b\">]><xml><InfoType>&a;</InfoType></xml>",
    "<xml><InfoType>unclosed",
    "{\"Event\": \"channels_ec_order_new\", \"CreateTime\": 1700000400}",
    "",
];

#[tokio::test]
async fn any_text_is_pushed_as_it_is() {
    let (world, receiver) = receiving_world().await;
    for text in ODD_TEXTS {
        assert_eq!(
            world.call("/_sim/push", json!({"xml": text})).await["delivered"],
            true
        );
    }
    assert_eq!(receiver.opened(), ODD_TEXTS);
}

#[tokio::test]
async fn a_body_of_raw_xml_is_pushed_without_json_around_it() {
    let (world, receiver) = receiving_world().await;
    let xml = " <xml><InfoType>news</InfoType><Name>A & B</Name></xml>\n";
    let (status, answer) = world.post_text("/_sim/push", xml.to_owned()).await.unwrap();
    assert!(
        status == 200 && answer.contains("\"delivered\":true"),
        "{answer}"
    );
    assert_eq!(receiver.opened(), [xml]);
    assert!(world.get("/_sim/state").await.contains("\"kind\":\"news\""));
}

#[tokio::test]
async fn bytes_that_are_no_text_are_sealed_right_too() {
    let (world, receiver) = receiving_world().await;
    let order = json!({"xml_base64": "PHhtbD7/PC94bWw+"});
    assert_eq!(world.call("/_sim/push", order).await["delivered"], true);
    let requests = receiver.requests.lock().unwrap();
    let settings = Settings::example();
    let key = AesKey::parse(&settings.encoding_aes_key).unwrap();
    let encrypt = element(&requests[0].1, "Encrypt").unwrap();
    let opened = key.decrypt_bytes(encrypt, &settings.component_appid);
    assert_eq!(opened.unwrap(), b"<xml>\xff</xml>");
}
