//! The endpoints' answers and refusals.

use serde_json::json;

use super::{NOW, SHOP, World, credentials};
use crate::{DEMO_APPIDS, Settings};

const TOKEN_PATH: &str = "/cgi-bin/component/api_component_token";

#[tokio::test]
async fn a_component_token_needs_the_right_credentials() {
    let world = World::start().await;
    let cases = [
        ("component_appid", "wxffffffffffffffff", 40013),
        ("component_appid", "", 41018),
        ("component_appsecret", "", 41004),
        (
            "component_appsecret",
            "ffffffffffffffffffffffffffffffff",
            40125,
        ),
        ("component_verify_ticket", "ticket@@@forged", 61006),
        ("component_verify_ticket", "", 61006),
    ];
    for (field, value, errcode) in cases {
        let mut body = credentials("ticket@@@x");
        body[field] = json!(value);
        assert_eq!(
            world.errcode(TOKEN_PATH, body).await,
            errcode,
            "{field} {value}"
        );
    }
}

#[tokio::test]
async fn a_ticket_is_good_for_twelve_hours() {
    let world = World::start().await;
    world.simulator.push_ticket().await;
    let ticket = {
        let state = &mut *world.simulator.state();
        state.component.next_ticket(NOW, &mut state.mint)
    };
    world.simulator.clock().advance(43_199);
    let answer = world.call(TOKEN_PATH, credentials(&ticket)).await;
    assert_eq!(answer["expires_in"], 7200);
    assert!(answer.get("errcode").is_none());
    world.simulator.clock().advance(1);
    assert_eq!(world.errcode(TOKEN_PATH, credentials(&ticket)).await, 61005);
}

#[tokio::test]
async fn the_daily_quota_ends_and_can_be_cleared_with_the_secret() {
    let settings = Settings {
        component_token_daily_quota: 1,
        ..Settings::example()
    };
    let world = World::start_with(settings).await;
    world.component_token().await;
    assert_eq!(
        world.errcode(TOKEN_PATH, credentials("ticket@@@x")).await,
        45009
    );
    let body = json!({
        "component_appid": "wx0123456789abcdef",
        "appsecret": "0123456789abcdef0123456789abcdef",
    });
    let path = "/cgi-bin/component/clear_quota/v2";
    assert_eq!(world.errcode(path, body).await, 0);
    world.component_token().await;
}

#[tokio::test]
async fn a_component_token_proves_itself_by_both_names_and_nothing_else_does() {
    let world = World::start().await;
    let token = world.component_token().await;
    let authorizer = world.authorize(&token).await;
    let authorizer = authorizer["authorizer_access_token"].as_str().unwrap();
    let path = "/cgi-bin/component/api_create_preauthcode";
    let body = json!({"component_appid": "wx0123456789abcdef"});
    for name in ["access_token", "component_access_token"] {
        let answer = world
            .call(&format!("{path}?{name}={token}"), body.clone())
            .await;
        assert_eq!(answer["expires_in"], 1800);
    }
    for (query, errcode) in [
        (String::new(), 41001),
        ("?access_token=".to_owned(), 41001),
        ("?access_token=forged".to_owned(), 40001),
        (format!("?access_token={authorizer}"), 61014),
    ] {
        let path = format!("{path}{query}");
        assert_eq!(world.errcode(&path, body.clone()).await, errcode, "{query}");
    }
    world.simulator.clock().advance(7200);
    let expired = world
        .errcode(&format!("{path}?access_token={token}"), body)
        .await;
    assert_eq!(expired, 42001);
}

#[tokio::test]
async fn a_replaced_component_token_lives_five_minutes_more() {
    let world = World::start().await;
    let old = world.component_token().await;
    world.component_token().await;
    world.simulator.clock().advance(299);
    assert!(world.simulator.component_token_works(&old));
    world.simulator.clock().advance(1);
    let answer = world
        .component("api_create_preauthcode", &old, json!({}))
        .await;
    assert_eq!(answer["errcode"], 40001);
    assert!(answer["errmsg"].as_str().unwrap().contains(" rid: "));
}

#[tokio::test]
async fn the_form_of_a_call_is_checked() {
    let world = World::start().await;
    let answer = world.get(TOKEN_PATH).await;
    assert!(answer.contains("43002"), "{answer}");
    for (body, errcode) in [("", "44002"), ("a=b", "47001"), ("[]", "47001")] {
        let (_, answer) = world.post_text(TOKEN_PATH, body.to_owned()).await.unwrap();
        assert!(answer.contains(errcode), "{body}: {answer}");
    }
    assert_eq!(
        world
            .errcode("/cgi-bin/component/api_nothing", json!({}))
            .await,
        40066
    );
}

#[tokio::test]
async fn a_caller_outside_the_white_list_is_told_its_address() {
    let world = World::start().await;
    world
        .call("/_sim/settings", json!({"allowed_ips": ["192.0.2.1"]}))
        .await;
    let answer = world.call(TOKEN_PATH, credentials("ticket@@@x")).await;
    assert_eq!(answer["errcode"], 61004);
    let expected = "access clientip is not registered requestIP: 127.0.0.1 rid: ";
    assert!(answer["errmsg"].as_str().unwrap().starts_with(expected));
    world
        .call("/_sim/settings", json!({"allowed_ips": null}))
        .await;
    world.component_token().await;
}

#[tokio::test]
async fn a_code_is_exchanged_once_and_a_preauthcode_never() {
    let world = World::start().await;
    let token = world.component_token().await;
    let pre_auth_code = world.pre_auth_code(&token).await;
    let code = world
        .simulator
        .consent_unpushed(&pre_auth_code, SHOP)
        .unwrap()
        .auth_code;
    for (code, errcode) in [
        (&pre_auth_code, Some(61009)),
        (&code, None),
        (&code, Some(61010)),
    ] {
        let body = json!({"authorization_code": code});
        let answer = world.component("api_query_auth", &token, body).await;
        assert_eq!(answer["errcode"].as_i64(), errcode);
    }
    let again = world.simulator.consent_unpushed(&pre_auth_code, SHOP);
    assert!(again.is_err());
}

#[tokio::test]
async fn a_refresh_needs_the_live_refresh_token() {
    let world = World::start().await;
    let token = world.component_token().await;
    let first = world.authorize(&token).await;
    let refresh = async |refresh_token: &serde_json::Value, appid: &str| {
        let body = json!({"authorizer_appid": appid, "authorizer_refresh_token": refresh_token});
        world.component("api_authorizer_token", &token, body).await
    };
    let answer = refresh(&first["authorizer_refresh_token"], SHOP).await;
    assert_eq!(
        answer["authorizer_refresh_token"],
        first["authorizer_refresh_token"]
    );
    assert_eq!(answer["expires_in"], 7200);
    assert_eq!(refresh(&json!(null), SHOP).await["errcode"], 61023);
    assert_eq!(
        refresh(&json!("refreshtoken@@@x"), SHOP).await["errcode"],
        61023
    );
    assert_eq!(
        refresh(&json!("refreshtoken@@@x"), DEMO_APPIDS[1]).await["errcode"],
        61003
    );
    assert_eq!(
        refresh(&json!("refreshtoken@@@x"), "nonsense").await["errcode"],
        40013
    );
}

#[tokio::test]
async fn info_and_list_tell_what_is_authorized() {
    let world = World::start().await;
    let token = world.component_token().await;
    let body = json!({"authorizer_appid": SHOP});
    let info = world
        .component("api_get_authorizer_info", &token, body.clone())
        .await;
    assert_eq!(info["errcode"], 61003);
    let tokens = world.authorize(&token).await;
    let info = world
        .component("api_get_authorizer_info", &token, body)
        .await;
    assert_eq!(info["authorizer_info"]["nick_name"], "青禾书店");
    let refresh_token = &info["authorization_info"]["authorizer_refresh_token"];
    assert_eq!(refresh_token, &tokens["authorizer_refresh_token"]);
    for appid in &DEMO_APPIDS[1..3] {
        world.simulator.authorize_unpushed(appid).unwrap();
    }
    let page = async |offset: u64, count: u64| {
        let body = json!({"offset": offset, "count": count});
        world
            .component("api_get_authorizer_list", &token, body)
            .await
    };
    let first = page(0, 2).await;
    assert_eq!(
        (
            &first["total_count"],
            first["list"].as_array().unwrap().len()
        ),
        (&json!(3), 2)
    );
    assert_eq!(
        first["list"][0]["refresh_token"],
        tokens["authorizer_refresh_token"]
    );
    assert_eq!(
        first["list"][1],
        json!({"authorizer_appid": DEMO_APPIDS[1], "auth_time": NOW})
    );
    assert_eq!(page(2, 2).await["list"].as_array().unwrap().len(), 1);
    assert_eq!(page(9, 500).await["list"], json!([]));
    assert_eq!(page(0, 0).await["errcode"], 40170);
    assert_eq!(page(0, 501).await["errcode"], 40170);
}

#[tokio::test]
async fn a_business_call_takes_a_live_authorizer_token_only() {
    let world = World::start().await;
    let component = world.component_token().await;
    let authorizer = world.authorize(&component).await;
    let authorizer = authorizer["authorizer_access_token"].as_str().unwrap();
    let body = json!({"touser": "oX", "msgtype": "text", "text": {"content": "你好"}});
    let send = async |token: &str| {
        let path = format!("/cgi-bin/message/custom/send?access_token={token}");
        world.errcode(&path, body.clone()).await
    };
    assert_eq!(send(authorizer).await, 0);
    assert_eq!(send(&component).await, 61015);
    assert_eq!(send("forged").await, 40001);
    world.simulator.clock().advance(7200);
    assert_eq!(send(authorizer).await, 42001);
    assert!(!world.simulator.token_works(authorizer));
    let messages = world.simulator.messages();
    assert_eq!((messages.len(), messages[0].content.as_str()), (1, "你好"));
    assert!(world.get("/_sim/messages").await.contains("你好"));
    assert_eq!(world.simulator.calls()["send"], 4);
}
