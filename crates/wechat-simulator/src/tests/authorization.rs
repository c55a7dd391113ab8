//! The authorization pages, and what the merchant's decision changes.

use serde_json::json;

use super::{Receiver, SHOP, World};
use crate::push::notice::element;
use crate::{DEMO_APPIDS, Settings};

const REDIRECT: &str = "https%3A%2F%2Fapp.example.com%3A8443%2Fauth%2Fcallback%3Fstate%3Dabc";
const PC: &str = "/cgi-bin/componentloginpage";
const MOBILE: &str = "/wxaopen/safe/bindcomponent";

async fn link(world: &World, page: &str, rest: &str) -> String {
    let token = world.component_token().await;
    let code = world.pre_auth_code(&token).await.replace('@', "%40");
    format!(
        "{page}?component_appid=wx0123456789abcdef&pre_auth_code={code}&redirect_uri={REDIRECT}{rest}"
    )
}

/// The page that a browser gets if it comes from `referer`.
async fn open(world: &World, path: &str, referer: Option<&str>) -> String {
    let mut request = world.client.get(format!("{}{path}", world.base));
    if let Some(referer) = referer {
        request = request.header("referer", referer);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    response.text().await.unwrap()
}

#[tokio::test]
async fn the_pc_page_wants_to_be_entered_from_the_redirect_host() {
    let world = World::start().await;
    let path = link(&world, PC, "&auth_type=3").await;
    let page = open(
        &world,
        &path,
        Some("https://app.example.com:8443/auth/start"),
    )
    .await;
    assert!(!page.contains("data-error"));
    for appid in DEMO_APPIDS {
        assert!(page.contains(appid));
    }
    for (referer, shown) in [
        (None, "授权入口页所在域名：(空)"),
        (
            Some("https://app.example.com/"),
            "授权入口页所在域名：app.example.com，",
        ),
        (
            Some("https://evil.example:8443/"),
            "授权入口页所在域名：evil.example:8443",
        ),
    ] {
        let page = open(&world, &path, referer).await;
        assert!(page.contains("data-error=\"domain\""), "{referer:?}");
        assert!(page.contains(shown), "{referer:?}");
    }
}

#[tokio::test]
async fn the_consent_page_says_that_it_is_simulated_who_asks_and_for_what() {
    let settings = Settings {
        platform_name: "好店<科技>".into(),
        ..Settings::example()
    };
    let world = World::start_with(settings).await;
    world.simulator.set_permission_sets(SHOP, &[1, 99]).unwrap();
    let referer = Some("https://app.example.com:8443/auth/start");
    for (page, scans) in [(PC, true), (MOBILE, false)] {
        let path = link(&world, page, "&auth_type=3").await;
        let page = open(&world, &path, referer).await;
        for shown in [
            "模拟 SIMULATED",
            "<strong>好店&lt;科技&gt;</strong>",
            "权限集：消息管理(1)、权限集 99",
            "小程序客服管理(19)",
        ] {
            assert!(page.contains(shown), "{shown}: {page}");
        }
        assert_eq!(page.contains("<svg"), scans);
        assert_eq!(page.contains("这是本机地址，手机无法打开"), scans);
    }
}

#[tokio::test]
async fn a_refusal_leads_back_to_where_the_merchant_came_from() {
    let world = World::start().await;
    let path = link(&world, PC, "&auth_type=3").await;
    let page = open(&world, &path, None).await;
    assert!(page.contains("返回app.example.com"), "{page}");
    let page = open(&world, PC, None).await;
    assert!(page.contains("<a href=\"/\">返回首页"), "{page}");
}

#[tokio::test]
async fn the_registered_host_binds_both_pages() {
    let settings = Settings {
        authorization_host: Some("other.example.com".into()),
        ..Settings::example()
    };
    let world = World::start_with(settings).await;
    for page in [PC, MOBILE] {
        let path = link(&world, page, "&auth_type=3").await;
        let page = open(&world, &path, Some("https://app.example.com:8443/")).await;
        assert!(page.contains("data-error=\"domain\""));
    }
    let change = json!({"authorization_host": "app.example.com:8443"});
    world.call("/_sim/settings", change).await;
    for page in [PC, MOBILE] {
        let path = link(&world, page, "&auth_type=3").await;
        let page = open(&world, &path, Some("https://app.example.com:8443/")).await;
        assert!(!page.contains("data-error"));
    }
}

#[tokio::test]
async fn a_link_without_auth_type_offers_both_kinds_on_pc_and_is_refused_on_mobile() {
    let world = World::start().await;
    let referer = Some("https://app.example.com:8443/auth/start");
    for empty in ["", "&auth_type="] {
        let path = link(&world, PC, empty).await;
        let page = open(&world, &path, referer).await;
        assert!(DEMO_APPIDS.iter().all(|appid| page.contains(appid)));
        let path = link(&world, MOBILE, empty).await;
        let page = open(&world, &path, None).await;
        assert!(page.contains("data-error=\"auth_type\""));
    }
    let path = link(&world, PC, "&auth_type=7").await;
    let page = open(&world, &path, referer).await;
    assert!(page.contains("data-error=\"auth_type\""));
}

#[tokio::test]
async fn the_mobile_pages_need_no_referer() {
    let world = World::start().await;
    for page in [MOBILE, "/safe/bindcomponent"] {
        let path = link(&world, page, "&action=bindcomponent&no_scan=1&auth_type=2").await;
        let page = open(&world, &path, None).await;
        assert!(page.contains(DEMO_APPIDS[2]) && !page.contains(DEMO_APPIDS[0]));
    }
    let path = link(&world, MOBILE, "&auth_type=2&biz_appid=wx1a2b3c4d5e6f7081").await;
    let page = open(&world, &path, None).await;
    assert!(page.contains(DEMO_APPIDS[0]) && !page.contains(DEMO_APPIDS[2]));
}

#[tokio::test]
async fn a_wrong_link_is_refused_by_name() {
    let world = World::start().await;
    let good = link(&world, MOBILE, "&auth_type=3").await;
    for (from, to, error) in [
        (
            "wx0123456789abcdef",
            "wxffffffffffffffff",
            "component_appid",
        ),
        ("preauthcode", "queryauthcode", "pre_auth_code"),
        ("&auth_type=3", "", "auth_type"),
        ("&auth_type=3", "&auth_type=7", "auth_type"),
        ("&auth_type=3", "&auth_type=3&biz_appid=wx00", "biz_appid"),
        ("https%3A%2F%2F", "", "redirect_uri"),
    ] {
        let page = open(&world, &good.replace(from, to), None).await;
        assert!(
            page.contains(&format!("data-error=\"{error}\"")),
            "{error}: {page}"
        );
    }
    world.simulator.clock().advance(1800);
    let page = open(&world, &good, None).await;
    assert!(page.contains("data-error=\"pre_auth_code\""));
}

#[tokio::test]
async fn a_confirmation_redirects_with_the_code_that_the_notice_carries() {
    let world = World::start().await;
    let (receiver, url) = Receiver::start(&[]).await;
    world.simulator.set_events_url(&url);
    let token = world.component_token().await;
    let pre_auth_code = world.pre_auth_code(&token).await;
    let form = format!(
        "pre_auth_code={}&redirect_uri={REDIRECT}&authorizer_appid={SHOP}&decision=confirm",
        pre_auth_code.replace('@', "%40"),
    );
    let post = async || {
        let request = world.client.post(format!("{}/_sim/consent", world.base));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body(form.clone()).send().await.unwrap()
    };
    let response = post().await;
    assert_eq!(response.status().as_u16(), 302);
    let location = response.headers()["location"].to_str().unwrap();
    let start =
        "https://app.example.com:8443/auth/callback?state=abc&auth_code=queryauthcode%40%40%40";
    assert!(
        location.starts_with(start) && location.ends_with("&expires_in=3600"),
        "{location}"
    );

    let notices = receiver.wait_for(1).await;
    assert_eq!(element(&notices[0], "InfoType"), Some("authorized"));
    assert_eq!(
        element(&notices[0], "PreAuthCode"),
        Some(pre_auth_code.as_str())
    );
    let code = element(&notices[0], "AuthorizationCode").unwrap();
    assert!(location.contains(&code.replace('@', "%40")));
    let body = json!({"authorization_code": code});
    let answer = world.component("api_query_auth", &token, body).await;
    assert_eq!(answer["authorization_info"]["authorizer_appid"], SHOP);

    let again = post().await.text().await.unwrap();
    assert!(again.contains("data-error=\"pre_auth_code\""));
}

#[tokio::test]
async fn a_denial_leads_nowhere_and_grants_nothing() {
    let world = World::start().await;
    let form =
        format!("pre_auth_code=x&redirect_uri={REDIRECT}&authorizer_appid={SHOP}&decision=deny");
    let request = world.client.post(format!("{}/_sim/consent", world.base));
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let response = request.body(form).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    let page = response.text().await.unwrap();
    assert!(page.contains("您已取消本次操作"), "{page}");
    let back = "<a href=\"https://app.example.com:8443/auth/callback?state=abc\">";
    assert!(page.contains(back), "{page}");
    assert!(!world.simulator.authorizer(SHOP).unwrap().authorized);
}

#[tokio::test]
async fn consent_revocation_and_consent_again_push_their_notices() {
    let world = World::start().await;
    let (receiver, url) = Receiver::start(&[]).await;
    world.simulator.set_events_url(&url);
    let token = world.component_token().await;
    for sets in [[1, 2], [1, 3]] {
        world.simulator.set_permission_sets(SHOP, &sets).unwrap();
        let code = world.pre_auth_code(&token).await;
        let consent = world.simulator.consent(&code, SHOP).await.unwrap();
        assert!(consent.push.delivered);
        assert_eq!(consent.expires_in, 3600);
    }
    assert!(world.simulator.revoke(SHOP).await.unwrap().delivered);
    assert!(world.simulator.revoke(SHOP).await.is_err());
    let answer = world
        .call("/_sim/authorize", json!({"authorizer_appid": SHOP}))
        .await;
    assert!(
        answer["auth_code"]
            .as_str()
            .unwrap()
            .starts_with("queryauthcode@@@")
    );
    let types: Vec<String> = receiver
        .opened()
        .iter()
        .map(|xml| element(xml, "InfoType").unwrap().to_owned())
        .collect();
    assert_eq!(
        types,
        [
            "authorized",
            "updateauthorized",
            "unauthorized",
            "authorized"
        ]
    );
}

#[tokio::test]
async fn consent_with_the_same_sets_brings_a_code_and_pushes_nothing() {
    let world = World::start().await;
    let (receiver, url) = Receiver::start(&[]).await;
    world.simulator.set_events_url(&url);
    let token = world.component_token().await;
    for _ in 0..2 {
        let code = world.pre_auth_code(&token).await.replace('@', "%40");
        let form = format!(
            "pre_auth_code={code}&redirect_uri={REDIRECT}&authorizer_appid={SHOP}&decision=confirm"
        );
        let request = world.client.post(format!("{}/_sim/consent", world.base));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let response = request.body(form).send().await.unwrap();
        let location = response.headers()["location"].to_str().unwrap();
        assert!(location.contains("&auth_code=queryauthcode%40%40%40"));
        receiver.wait_for(1).await;
    }
    let code = world.pre_auth_code(&token).await;
    let consent = world.simulator.consent(&code, SHOP).await.unwrap();
    assert_eq!(consent.push.attempts, []);
    let order = json!({"authorizer_appid": SHOP});
    let same = world.call("/_sim/authorize", order.clone()).await;
    assert!(same["auth_code"].is_string() && same.get("push").is_none());
    let order = json!({"authorizer_appid": SHOP, "permission_sets": [1, 15]});
    let other = world.call("/_sim/authorize", order).await;
    assert_eq!(other["push"]["delivered"], true);
    let body = json!({"authorization_code": other["auth_code"]});
    let answer = world.component("api_query_auth", &token, body).await;
    let expected = json!([{"funcscope_category": {"id": 1}}, {"funcscope_category": {"id": 15}}]);
    assert_eq!(answer["authorization_info"]["func_info"], expected);
    let notices = receiver.opened();
    let types: Vec<_> = notices.iter().map(|xml| element(xml, "InfoType")).collect();
    assert_eq!(types, [Some("authorized"), Some("updateauthorized")]);
}
