//! Faults of one account, and answers with odd fields.

use serde_json::{Value, json};

use super::super::{SHOP, World};
use super::{exchange, exchanged, spoil};
use crate::{AnswerPatch, DEMO_APPIDS, Fault, FaultEffect};

/// Two authorized accounts with their refresh tokens.
async fn two_accounts(world: &World) -> (String, [(&'static str, Value); 2]) {
    let token = world.component_token().await;
    let mut accounts = [SHOP, DEMO_APPIDS[1]].map(|appid| (appid, Value::Null));
    for (appid, refresh_token) in &mut accounts {
        let code = world.simulator.authorize_unpushed(appid).unwrap().auth_code;
        let body = json!({"authorization_code": code});
        let answer = world.component("api_query_auth", &token, body).await;
        *refresh_token = answer["authorization_info"]["authorizer_refresh_token"].clone();
    }
    (token, accounts)
}

#[tokio::test]
async fn a_fault_of_one_account_spoils_no_call_of_another() {
    let world = World::start().await;
    let (token, [(shop, _), (other, _)]) = two_accounts(&world).await;
    let refused = json!({"endpoint": "api_get_authorizer_info", "authorizer_appid": shop,
        "errcode": 48001, "times": 2});
    spoil(&world, refused).await;
    let info = async |appid: &str| {
        let body = json!({"authorizer_appid": appid});
        let endpoint = "api_get_authorizer_info";
        world.component(endpoint, &token, body).await["errcode"].as_i64()
    };
    assert_eq!(info(other).await, None);
    assert_eq!(info(shop).await, Some(48001));
    assert_eq!(info(other).await, None);
    assert_eq!(info(shop).await, Some(48001));
    assert_eq!(info(shop).await, None);
}

#[tokio::test]
async fn a_fault_of_an_account_knows_its_code_and_its_access_token() {
    let world = World::start().await;
    let token = world.component_token().await;
    let [shop, other] = [SHOP, DEMO_APPIDS[1]]
        .map(|appid| world.simulator.authorize_unpushed(appid).unwrap().auth_code);
    let fault = Fault::new("*", FaultEffect::Errcode(-1)).for_account(SHOP);
    world.simulator.fault(fault.clone());
    let exchange = async |code: &str| {
        let body = json!({"authorization_code": code});
        world.component("api_query_auth", &token, body).await
    };
    assert!(exchange(&other).await.get("errcode").is_none());
    assert_eq!(exchange(&shop).await["errcode"], -1);
    let granted = exchange(&shop).await;
    let access_token = granted["authorization_info"]["authorizer_access_token"].as_str();
    world.simulator.fault(fault);
    let path = format!(
        "/cgi-bin/message/custom/send?access_token={}",
        access_token.unwrap()
    );
    assert_eq!(world.errcode(&path, json!({"touser": "oX"})).await, -1);
}

#[tokio::test]
async fn a_refresh_token_is_refused_for_a_while_though_info_names_it() {
    let world = World::start().await;
    let (token, [(shop, refresh_token), (other, other_token)]) = two_accounts(&world).await;
    let refused = json!({"endpoint": "api_authorizer_token", "authorizer_appid": shop,
        "errcode": 61023, "lasts_secs": 3600});
    spoil(&world, refused).await;
    let refresh = async |appid: &str, refresh_token: &Value| {
        let body = json!({"authorizer_appid": appid, "authorizer_refresh_token": refresh_token});
        world.component("api_authorizer_token", &token, body).await["errcode"].as_i64()
    };
    for _ in 0..3 {
        assert_eq!(refresh(shop, &refresh_token).await, Some(61023));
    }
    assert_eq!(refresh(other, &other_token).await, None);
    let body = json!({"authorizer_appid": shop});
    let info = world
        .component("api_get_authorizer_info", &token, body)
        .await;
    assert_eq!(
        info["authorization_info"]["authorizer_refresh_token"],
        refresh_token
    );
    world.simulator.clock().advance(3600);
    assert_eq!(refresh(shop, &refresh_token).await, None);
}

#[tokio::test]
async fn any_field_of_an_answer_is_changed_and_the_call_takes_effect() {
    let world = World::start().await;
    let (path, body) = exchange(&world).await;
    let fault = json!({"endpoint": "api_query_auth",
        "set": {"/authorization_info/func_info": null, "/authorization_info/expires_in": "7200"},
        "remove": ["/authorization_info/authorizer_access_token"]});
    spoil(&world, fault).await;
    let info = world.call(&path, body.clone()).await["authorization_info"].clone();
    assert_eq!(
        (
            &info["func_info"],
            &info["expires_in"],
            info.get("authorizer_access_token")
        ),
        (&Value::Null, &json!("7200"), None)
    );
    assert!(info["authorizer_refresh_token"].is_string());
    assert!(exchanged(&world));
    let fault = Fault::patch(
        "api_query_auth",
        AnswerPatch::new().set("errcode", json!("61010")),
    );
    world.simulator.fault(fault);
    assert_eq!(world.call(&path, body).await["errcode"], "61010");
}

#[tokio::test]
async fn an_answer_can_hold_what_is_no_json_and_no_text() {
    let world = World::start().await;
    let (token, [(shop, _), _]) = two_accounts(&world).await;
    let body = json!({"component_appid": "wx0123456789abcdef", "authorizer_appid": shop});
    let path = format!("/cgi-bin/component/api_get_authorizer_info?access_token={token}");
    let name = "/authorizer_info/nick_name";
    let surrogate = json!({"endpoint": "api_get_authorizer_info", "raw": {name: r#""\ud83d""#}});
    spoil(&world, surrogate).await;
    let (_, answer) = world.post(&path, &body).await.unwrap();
    assert!(answer.contains(r#""nick_name":"\ud83d""#));
    assert!(serde_json::from_str::<Value>(&answer).is_err());
    let bytes = json!({"endpoint": "api_get_authorizer_info", "raw_base64": {name: "/w=="}});
    spoil(&world, bytes).await;
    let request = world
        .client
        .post(format!("{}{path}", world.base))
        .body(body.to_string());
    let answer = request.send().await.unwrap().bytes().await.unwrap();
    assert!(answer.contains(&0xff));
}

#[tokio::test]
async fn an_errcode_can_come_as_a_string() {
    let world = World::start().await;
    let (path, body) = exchange(&world).await;
    spoil(
        &world,
        json!({"endpoint": "api_query_auth", "errcode": "61003"}),
    )
    .await;
    let answer = world.call(&path, body).await;
    assert_eq!(answer["errcode"], "61003");
    let expected = "component is not authorized by this account rid: ";
    assert!(answer["errmsg"].as_str().unwrap().starts_with(expected));
    assert!(!exchanged(&world));
}

#[tokio::test]
async fn a_page_of_the_list_can_have_odd_entries() {
    let world = World::start().await;
    let (token, _) = two_accounts(&world).await;
    let patch = json!({"endpoint": "api_get_authorizer_list",
        "set": {"/list/0/auth_time": "soon", "/list/-": 7}, "remove": ["/list/1/refresh_token"]});
    spoil(&world, patch).await;
    let body = json!({"offset": 0, "count": 500});
    let page = world
        .component("api_get_authorizer_list", &token, body)
        .await;
    assert_eq!(
        (&page["list"][0]["auth_time"], &page["list"][2]),
        (&json!("soon"), &json!(7))
    );
    assert!(page["list"][1].get("refresh_token").is_none());
}
