//! Options, quotas and the addresses of pushes.

use serde_json::{Value, json};

use super::{SHOP, World};
use crate::DEMO_APPIDS;

async fn access_token(world: &World, token: &str) -> String {
    let tokens = world.authorize(token).await;
    tokens["authorizer_access_token"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn an_option_set_by_one_path_is_read_by_the_other() {
    let world = World::start().await;
    let component = world.component_token().await;
    let account = access_token(&world, &component).await;
    let named = json!({"authorizer_appid": SHOP, "option_name": "location_report"});
    let old = world
        .component("api_get_authorizer_option", &component, named.clone())
        .await;
    let expected = json!({"authorizer_appid": SHOP, "option_name": "location_report",
        "option_value": "0"});
    assert_eq!(old, expected);
    let path = format!("/cgi-bin/component/set_authorizer_option?access_token={account}");
    let value = json!({"option_name": "location_report", "option_value": "2"});
    assert_eq!(world.errcode(&path, value.clone()).await, 0);
    let old = world
        .component("api_get_authorizer_option", &component, named.clone())
        .await;
    assert_eq!(old["option_value"], "2");
    let mut order = named.clone();
    order["option_value"] = json!("1");
    let set = world
        .component("api_set_authorizer_option", &component, order)
        .await;
    assert_eq!(set["errcode"], 0);
    let path = format!("/cgi-bin/component/get_authorizer_option?access_token={account}");
    let expected = json!({"option_name": "location_report", "option_value": "1"});
    assert_eq!(
        world
            .call(&path, json!({"option_name": "location_report"}))
            .await,
        expected
    );
    let path = format!("/cgi-bin/component/get_authorizer_option?access_token={component}");
    assert_eq!(world.call(&path, named).await, expected);
}

#[tokio::test]
async fn a_wrong_option_call_is_refused() {
    let world = World::start().await;
    let component = world.component_token().await;
    let account = access_token(&world, &component).await;
    let old = "api_set_authorizer_option";
    for (token, appid, name, value, errcode) in [
        (&component, SHOP, "weather", json!("1"), 61012),
        (&component, SHOP, "voice_recognize", json!("2"), 61013),
        (&component, SHOP, "voice_recognize", json!(1), 61013),
        (&component, SHOP, "voice_recognize", Value::Null, 61013),
        (
            &component,
            DEMO_APPIDS[1],
            "voice_recognize",
            json!("1"),
            61003,
        ),
        (&component, "", "voice_recognize", json!("1"), 40013),
        (&account, SHOP, "voice_recognize", json!("1"), 61014),
    ] {
        let body = json!({"authorizer_appid": appid, "option_name": name, "option_value": value});
        let answer = world.component(old, token, body).await;
        assert_eq!(answer["errcode"], errcode, "{appid} {name} {value}");
    }
    let path = "/cgi-bin/component/get_authorizer_option";
    let body = json!({"option_name": "voice_recognize"});
    assert_eq!(world.errcode(path, body.clone()).await, 41001);
    let path = format!("{path}?access_token={component}");
    assert_eq!(world.errcode(&path, body).await, 40013);
}

#[tokio::test]
async fn the_addresses_of_pushes_are_told_to_either_token() {
    let world = World::start().await;
    let component = world.component_token().await;
    let account = access_token(&world, &component).await;
    let path = "/cgi-bin/getcallbackip?access_token=";
    for token in [&component, &account] {
        assert_eq!(
            world.get(&format!("{path}{token}")).await,
            r#"{"ip_list":["127.0.0.1"]}"#
        );
    }
    assert!(world.get(&format!("{path}forged")).await.contains("40001"));
    assert_eq!(
        world
            .errcode(&format!("{path}{component}"), json!({}))
            .await,
        43001
    );
    let change = json!({"callback_ips": ["203.0.113.1", "101.226.103.0/25"]});
    world.call("/_sim/settings", change).await;
    let list = world.get(&format!("{path}{component}")).await;
    assert_eq!(list, r#"{"ip_list":["203.0.113.1","101.226.103.0/25"]}"#);
}

#[tokio::test]
async fn the_quota_of_a_path_is_told_to_its_own_token() {
    let world = World::start().await;
    let component = world.component_token().await;
    let account = access_token(&world, &component).await;
    let quota = async |token: &str, cgi_path: &str| {
        let path = format!("/cgi-bin/openapi/quota/get?access_token={token}");
        let answer = world.call(&path, json!({"cgi_path": cgi_path})).await;
        (answer["errcode"].as_i64().unwrap(), answer["quota"].clone())
    };
    let token_path = "/cgi-bin/component/api_component_token";
    let used = json!({"daily_limit": 2000, "used": 1, "remain": 1999});
    assert_eq!(quota(&component, token_path).await, (0, used));
    let send = "/cgi-bin/message/custom/send";
    world
        .call(
            &format!("{send}?access_token={account}"),
            json!({"touser": ""}),
        )
        .await;
    let used = json!({"daily_limit": 1_000_000, "used": 1, "remain": 999_999});
    assert_eq!(quota(&account, send).await, (0, used));
    for (token, cgi_path, errcode) in [
        (&component, send, 76022),
        (&account, token_path, 76022),
        (&account, "/cgi-bin/nothing", 76021),
        (&account, "cgi-bin/message/custom/send", 76003),
    ] {
        assert_eq!(quota(token, cgi_path).await.0, errcode, "{cgi_path}");
    }
    let clear = format!("/cgi-bin/clear_quota?access_token={account}");
    assert_eq!(world.errcode(&clear, json!({"appid": SHOP})).await, 0);
    assert_eq!(quota(&account, send).await.1["used"], 0);
    assert_eq!(world.simulator.calls()["quota/get"], 7);
}

#[tokio::test]
async fn an_unknown_path_is_refused_as_wechat_does() {
    let world = World::start().await;
    for path in [
        "/sns/oauth2/component/access_token",
        "/nothing",
        "/cgi-bin/nothing",
    ] {
        let answer = world.call(path, json!({})).await;
        assert_eq!(answer["errcode"], 40066, "{path}");
        assert!(
            answer["errmsg"]
                .as_str()
                .unwrap()
                .starts_with("invalid url rid: ")
        );
        assert!(world.get(path).await.contains("40066"));
    }
    assert_eq!(world.simulator.calls().len(), 1);
    let (status, answer) = world.post("/_sim/fault", &json!({})).await.unwrap();
    assert!(status == 404 && answer.contains("no control call at /_sim/fault"));
    let (status, answer) = world.post("/_sim/state", &json!({})).await.unwrap();
    assert!(
        status == 405 && answer.contains("does not take POST"),
        "{answer}"
    );
}
