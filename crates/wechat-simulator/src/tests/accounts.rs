//! Accounts that WeChat no longer serves.

use serde_json::{Value, json};

use super::{SHOP, World};
use crate::{AccountStatus, SimError};

/// What every call that names the account is answered, and how long the list is.
async fn errcodes(world: &World, token: &str, tokens: &Value) -> (Vec<Option<i64>>, usize) {
    let refresh = json!({"authorizer_appid": SHOP,
        "authorizer_refresh_token": tokens["authorizer_refresh_token"]});
    let info = json!({"authorizer_appid": SHOP});
    let mut errcodes = Vec::new();
    for (endpoint, body) in [
        ("api_authorizer_token", refresh),
        ("api_get_authorizer_info", info),
    ] {
        let answer = world.component(endpoint, token, body).await;
        errcodes.push(answer["errcode"].as_i64());
    }
    let access_token = tokens["authorizer_access_token"].as_str().unwrap();
    let path = format!("/cgi-bin/message/custom/send?access_token={access_token}");
    let message = json!({"touser": "oX", "msgtype": "text", "text": {"content": "x"}});
    errcodes.push(Some(world.errcode(&path, message).await));
    let body = json!({"offset": 0, "count": 500});
    let page = world
        .component("api_get_authorizer_list", token, body)
        .await;
    (errcodes, page["list"].as_array().unwrap().len())
}

#[tokio::test]
async fn an_account_that_is_not_served_is_refused_until_it_is_served_again() {
    let world = World::start().await;
    let token = world.component_token().await;
    let tokens = world.authorize(&token).await;
    let access_token = tokens["authorizer_access_token"].as_str().unwrap();
    for (status, errcode, listed) in [
        ("frozen", 50002, 1),
        ("deregistered", 40013, 0),
        ("migrated", 50002, 0),
    ] {
        let order = json!({"authorizer_appid": SHOP, "status": status});
        world.call("/_sim/status", order).await;
        let expected = (vec![Some(errcode); 3], listed);
        assert_eq!(
            errcodes(&world, &token, &tokens).await,
            expected,
            "{status}"
        );
        assert!(!world.simulator.token_works(access_token));
        let state = world.get("/_sim/state").await;
        assert!(state.contains(&format!("\"status\":\"{status}\"")));
    }
    world
        .simulator
        .set_account_status(SHOP, AccountStatus::Normal)
        .unwrap();
    let expected = (vec![None, None, Some(0)], 1);
    assert_eq!(errcodes(&world, &token, &tokens).await, expected);
}

#[tokio::test]
async fn a_code_of_a_frozen_account_is_exchanged_only_later() {
    let world = World::start().await;
    let token = world.component_token().await;
    let code = world.simulator.authorize_unpushed(SHOP).unwrap().auth_code;
    let exchange = async || {
        let body = json!({"authorization_code": code});
        world.component("api_query_auth", &token, body).await["errcode"].as_i64()
    };
    world
        .simulator
        .set_account_status(SHOP, AccountStatus::Frozen)
        .unwrap();
    assert_eq!(exchange().await, Some(50002));
    world
        .simulator
        .set_account_status(SHOP, AccountStatus::Normal)
        .unwrap();
    assert_eq!(exchange().await, None);
}

#[tokio::test]
async fn no_merchant_confirms_for_an_account_that_is_not_served() {
    let world = World::start().await;
    world
        .simulator
        .set_account_status(SHOP, AccountStatus::Deregistered)
        .unwrap();
    let refused = world.simulator.authorize_unpushed(SHOP).err();
    assert_eq!(refused, Some(SimError::NotServed));
    let token = world.component_token().await;
    let code = world.pre_auth_code(&token).await.replace('@', "%40");
    let path = format!(
        "/safe/bindcomponent?component_appid=wx0123456789abcdef&pre_auth_code={code}\
         &redirect_uri=https%3A%2F%2Fapp.example.com%2F&auth_type=3"
    );
    assert!(!world.get(&path).await.contains(SHOP));
    let page = world.get(&format!("{path}&biz_appid={SHOP}")).await;
    assert!(page.contains("data-error=\"biz_appid\""));
    for order in [
        json!({"authorizer_appid": "wx00", "status": "frozen"}),
        json!({"authorizer_appid": SHOP, "status": "melted"}),
    ] {
        let (status, _) = world.post("/_sim/status", &order).await.unwrap();
        assert!(status == 404 || status == 400);
    }
}
