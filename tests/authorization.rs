//! The pages that a merchant sees: from the link to WeChat and back.

use std::time::Duration;

use http::{StatusCode, header};
use lambda_http::Response;
use local::emulators::secret;
use local::functions::Functions;
use serde_json::{Value, json};
use wechat_simulator::{AccountKind, Fault, FaultEffect, Settings};

use crate::wire::Cut;
use crate::world::{Browser, HOST, World, appid, deadline, location, parameter, text};

pub(crate) const ENGLISH: &str = "en-GB,en;q=0.9,zh;q=0.5";

#[track_caller]
pub(crate) fn head<'a>(response: &'a Response<String>, name: &str) -> &'a str {
    let value = response.headers().get(name);
    let value = value.unwrap_or_else(|| panic!("no {name}"));
    value.to_str().unwrap()
}

/// What every page must be, whatever it says; nothing of it is a secret.
#[track_caller]
pub(crate) fn check_page(response: &Response<String>, status: StatusCode, title: &str) {
    let body = response.body();
    assert_eq!(response.status(), status, "{body}");
    assert!(body.contains(&format!("<h1>{title}</h1>")), "{body}");
    assert_eq!(head(response, "content-type"), "text/html; charset=utf-8");
    assert_eq!(head(response, "cache-control"), "no-store");
    assert_eq!(
        head(response, "referrer-policy"),
        "strict-origin-when-cross-origin"
    );
    assert_eq!(head(response, "x-content-type-options"), "nosniff");
    let policy = head(response, "content-security-policy");
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    // Tickets, codes and refresh tokens all have the one mark, access tokens the other.
    for mark in ["@@@", "%40%40%40", "73_"] {
        assert!(!body.contains(mark), "{body}");
    }
    assert!(!response.headers().contains_key(header::LOCATION));
}

pub(crate) async fn visit(
    world: &World,
    method: &str,
    query: &str,
    language: &str,
) -> Response<String> {
    let mut request = Browser::default().request(method, &format!("/auth/start?{query}"));
    let language = language.parse().unwrap();
    request
        .headers_mut()
        .insert(header::ACCEPT_LANGUAGE, language);
    let functions = &world.functions;
    functions.auth_start.handle(request, deadline()).await
}

/// The mark of WeChat's own error page, if that is what it shows to somebody who comes from `entry`.
async fn refused_by_wechat(world: &World, page: &str, entry: &str) -> Option<String> {
    let get = world.http.get(page).header(header::REFERER, entry);
    let html = get.send().await.unwrap().text().await.unwrap();
    let (_, rest) = html.split_once("data-error=\"")?;
    Some(rest.split('"').next().unwrap().to_owned())
}

#[tokio::test]
async fn a_visit_shows_one_button_in_chinese_or_english_and_sets_nothing() {
    let world = World::with_ticket().await;
    for (language, tag, title) in [
        ("", "zh-CN", "授权您的公众号或小程序"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN", "授权您的公众号或小程序"),
        (ENGLISH, "en", "Authorize your account"),
    ] {
        let page = visit(&world, "GET", "reference=shop-42", language).await;
        check_page(&page, StatusCode::OK, title);
        assert!(page.body().contains(&format!("<html lang=\"{tag}\">")));
        assert!(page.body().contains("<form method=\"post\"><button>"));
        assert!(!page.body().contains("shop-42"));
        assert!(!page.headers().contains_key(header::SET_COOKIE));
        let policy = head(&page, "content-security-policy");
        let form_action = format!("form-action 'self' {};", world.parts.wechat_url);
        assert!(
            policy.contains(form_action.trim_end_matches(';')),
            "{policy}"
        );
    }
}

#[tokio::test]
async fn crawlers_cost_nothing() {
    let world = World::with_ticket().await;
    world.wire.calls();
    world.simulator.reset_calls();
    for query in ["", "utm_source=mail", "auth_type=9", "biz_appid=x"] {
        for method in ["GET", "HEAD", "OPTIONS", "PUT"] {
            visit(&world, method, query, "").await;
        }
    }
    let before = world.rows().await;
    world.wire.calls();
    for _visit in 0..1000 {
        let page = visit(&world, "GET", "reference=shop-42", "").await;
        assert_eq!(page.status(), StatusCode::OK);
    }
    assert_eq!(world.wire.calls().len(), 0);
    assert_eq!(world.new_wechat_calls().len(), 0);
    assert_eq!(world.rows().await, before);
}

#[tokio::test]
async fn a_click_leads_to_wechats_page_for_pcs_which_takes_it() {
    let world = World::with_ticket().await;
    let clicked = world.click(&mut Browser::default(), "").await;
    assert_eq!(clicked.status(), StatusCode::SEE_OTHER);
    assert_eq!(clicked.body(), "");
    assert_eq!(head(&clicked, "cache-control"), "no-store");
    assert_eq!(
        head(&clicked, "referrer-policy"),
        "strict-origin-when-cross-origin"
    );
    let page = location(&clicked);
    let code = parameter(&page, "pre_auth_code").replace('@', "%40");
    let back = parameter(&page, "redirect_uri");
    let state = back.rsplit('=').next().unwrap();
    assert_eq!(state.len(), 32);
    assert_eq!(
        head(&clicked, "location"),
        format!(
            "{}/cgi-bin/componentloginpage?component_appid=wx0123456789abcdef&pre_auth_code={code}&redirect_uri=https%3A%2F%2F{HOST}%2Fauth%2Fcallback%3Fstate%3D{state}&auth_type=3",
            world.parts.wechat_url
        )
    );
    let entry = format!("https://{HOST}/auth/start");
    assert_eq!(refused_by_wechat(&world, page.as_str(), &entry).await, None);
    let foreign = refused_by_wechat(&world, page.as_str(), "https://evil.example/").await;
    assert!(foreign.is_some());
}

#[tokio::test]
async fn a_click_in_wechats_own_browser_leads_to_the_mobile_link() {
    let world = World::with_ticket().await;
    let mut browser = Browser {
        user_agent: Some("Mozilla/5.0 (iPhone) MicroMessenger/8.0.50(0x1800323d)"),
        ..Browser::default()
    };
    let clicked = world.click(&mut browser, "auth_type=1").await;
    let page = location(&clicked);
    let expected = format!(
        "{}/wxaopen/safe/bindcomponent?action=bindcomponent&no_scan=1&component_appid=wx0123456789abcdef&pre_auth_code=preauthcode%40%40%40",
        world.parts.wechat_url
    );
    assert!(head(&clicked, "location").starts_with(&expected));
    assert!(head(&clicked, "location").ends_with("&auth_type=1#wechat_redirect"));
    assert_eq!(refused_by_wechat(&world, page.as_str(), "").await, None);
}

#[tokio::test]
async fn a_click_on_any_phone_leads_to_the_mobile_link() {
    let world = World::with_ticket().await;
    for agent in [
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Version/17.0 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/119.0.0.0 Mobile Safari/537.36",
    ] {
        let mut browser = Browser {
            user_agent: Some(agent),
            ..Browser::default()
        };
        let clicked = world.click(&mut browser, "").await;
        let page = location(&clicked);
        assert_eq!(page.path(), "/wxaopen/safe/bindcomponent", "{agent}");
        assert_eq!(page.fragment(), Some("wechat_redirect"));
        assert_eq!(refused_by_wechat(&world, page.as_str(), "").await, None);
    }
}

#[tokio::test]
async fn what_a_link_asks_for_reaches_wechat_and_whose_it_is_does_not() {
    let world = World::with_ticket().await;
    let query = "auth_type=6&biz_appid=wx1a2b3c4d5e6f7081&category_id_list=1%7C2%7C30&reference=%E5%BA%97+42&utm_source=mail";
    let clicked = world.click(&mut Browser::default(), query).await;
    let there = head(&clicked, "location");
    assert!(
        there.ends_with("&auth_type=6&biz_appid=wx1a2b3c4d5e6f7081&category_id_list=1%7C2%7C30")
    );
    for ours in ["reference", "42", "utm", "%E5%BA%97"] {
        let (_, query) = there.split_once("&redirect_uri=").unwrap();
        let query = query.split_once("&auth_type").unwrap().1;
        assert!(!query.contains(ours), "{ours}: {there}");
    }
    for auth_type in ["1", "2", "3", "4", "5", "6", "8"] {
        let query = format!("auth_type={auth_type}");
        let clicked = world.click(&mut Browser::default(), &query).await;
        assert_eq!(parameter(&location(&clicked), "auth_type"), auth_type);
    }
}

#[tokio::test]
async fn a_malformed_link_is_refused_before_anything_is_called() {
    let world = World::with_ticket().await;
    world.wire.calls();
    world.simulator.reset_calls();
    let long = format!("reference={}", "a".repeat(129));
    for query in [
        "auth_type=0",
        "auth_type=7",
        "auth_type=03",
        "auth_type=",
        "auth_type=3&auth_type=3",
        "biz_appid=wx1",
        "biz_appid=WX1A2B3C4D5E6F7081",
        "biz_appid=",
        "category_id_list=",
        "category_id_list=1,2",
        "category_id_list=1%7C",
        "category_id_list=a",
        "reference=",
        "reference=a%00",
        "reference=a&reference=b",
        &long,
    ] {
        for method in ["GET", "POST"] {
            let page = visit(&world, method, query, ENGLISH).await;
            check_page(&page, StatusCode::BAD_REQUEST, "This link does not work");
            assert!(page.body().contains("Ask whoever gave you this link"));
        }
    }
    for foreign in [
        "http://shop.example/",
        "https://evil.example/",
        "https://shop.example.evil.example/",
        "https://shop.example@evil.example/",
        "https://user:word@shop.example/",
        "https://shop.example:8443/",
        "https:%5C%5Cshop.example/",
        "https://shop.example/?result=connected",
        "//shop.example/",
        "/done",
        "javascript:alert(1)",
        "",
    ] {
        let query = format!("return_to={foreign}");
        let page = visit(&world, "POST", &query, ENGLISH).await;
        check_page(&page, StatusCode::BAD_REQUEST, "This link does not work");
        assert!(page.body().contains("return address is not allowed"));
    }
    assert_eq!(world.wire.calls().len(), 0);
    assert_eq!(world.new_wechat_calls().len(), 0);
}

#[tokio::test]
async fn the_cookie_is_ours_alone_and_stays_for_a_second_click() {
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let clicked = world.click(&mut browser, "").await;
    let cookie = head(&clicked, "set-cookie").to_owned();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    let (name, value) = pair.split_once('=').unwrap();
    assert!(name.starts_with("__Host-"));
    assert_eq!(value.len(), 32);
    let attributes: Vec<&str> = attributes.split("; ").collect();
    for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
        assert!(attributes.contains(&attribute), "{cookie}");
    }
    assert!(!cookie.contains("Domain"));
    let again = world.click(&mut browser, "").await;
    assert_eq!(head(&again, "set-cookie"), cookie);
    // The table knows the browser by a hash, and nobody else gets its cookie.
    for row in world.rows().await.values() {
        assert!(!format!("{row:?}").contains(value));
    }
    let other = world.click(&mut Browser::default(), "").await;
    assert_ne!(head(&other, "set-cookie"), cookie);
}

#[tokio::test]
async fn without_a_ticket_or_wechat_a_click_says_to_try_again() {
    let world = World::new().await;
    let page = visit(&world, "POST", "", ENGLISH).await;
    let title = "WeChat cannot be reached now";
    check_page(&page, StatusCode::SERVICE_UNAVAILABLE, title);

    world.push_ticket().await;
    let cut_off = world.without_wechat().await.auth_start;
    let request = Browser::default().request("POST", "/auth/start");
    let page = cut_off.handle(request, deadline()).await;
    check_page(&page, StatusCode::SERVICE_UNAVAILABLE, "暂时无法前往微信");
    assert!(!page.headers().contains_key(header::SET_COOKIE));

    let clicked = world.click(&mut Browser::default(), "").await;
    assert_eq!(clicked.status(), StatusCode::SEE_OTHER);
}

pub(crate) const SIGNING_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// A secret with the key of the vector in `link.rs`.
pub(crate) async fn demand_signatures(world: &World) {
    let mut secret: Value = serde_json::from_str(&secret(&Settings::example())).unwrap();
    secret["link_signing_key"] = json!(SIGNING_KEY);
    world.emulators.secrets.put(secret.to_string());
}

async fn check_link(functions: &Functions, query: &str, expected: StatusCode) {
    for method in ["GET", "POST"] {
        let request = Browser::default().request(method, &format!("/auth/start?{query}"));
        let answer = functions.auth_start.handle(request, deadline()).await;
        let expected = match expected {
            StatusCode::SEE_OTHER if method == "GET" => StatusCode::OK,
            expected => expected,
        };
        assert_eq!(answer.status(), expected, "{method} {query}");
    }
}

#[tokio::test]
async fn with_a_signing_key_only_links_that_were_signed_and_have_not_expired_lead_on() {
    // Made with Python's hmac over `expires=1700000600&reference=shop-42`.
    const SIGNATURE: &str = "c05ddd3b2babe9722f98c4b38a87239ed2f685bcf1c22282208f0be8ce27261d";
    let world = World::with_ticket().await;
    demand_signatures(&world).await;
    let functions = Functions::start(&world.parts).await.unwrap();
    let good = format!("reference=shop-42&expires=1700000600&signature={SIGNATURE}");
    check_link(&functions, &good, StatusCode::SEE_OTHER).await;
    let reordered = format!("expires=1700000600&signature={SIGNATURE}&reference=shop-42");
    check_link(&functions, &reordered, StatusCode::SEE_OTHER).await;
    world.simulator.reset_calls();
    for refused in [
        String::new(),
        "reference=shop-42".to_owned(),
        "reference=shop-42&expires=1700000600".to_owned(),
        "reference=shop-42&expires=1700000600&signature=".to_owned(),
        good.replace("shop-42", "shop-43"),
        good.replace("1700000600", "1700009999"),
        good.replace("expires=1700000600&", ""),
        good.replace(SIGNATURE, &"0".repeat(64)),
        good.replace(SIGNATURE, &SIGNATURE.to_uppercase()),
        format!("{good}&return_to=https%3A%2F%2Fshop.example%2F"),
        format!("{good}&auth_type=1"),
        format!("{good}&signature={SIGNATURE}"),
    ] {
        check_link(&functions, &refused, StatusCode::BAD_REQUEST).await;
    }
    world.clock.set(1_700_000_600);
    check_link(&functions, &good, StatusCode::SEE_OTHER).await;
    world.clock.set(1_700_000_601);
    check_link(&functions, &good, StatusCode::BAD_REQUEST).await;
    assert_eq!(world.wechat_calls("api_create_preauthcode"), 1);

    // Those who were running before know of the key within five minutes.
    check_link(&world.functions, "", StatusCode::BAD_REQUEST).await;
}

#[tokio::test]
async fn a_merchant_who_comes_back_is_connected_under_the_vendors_name_for_him() {
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let query = "reference=%E5%BA%97+42";
    let (back, _) = world.consent_by(&mut browser, query, appid()).await;
    let page = world.come_back(&browser, &back).await;
    check_page(&page, StatusCode::OK, "授权成功");
    assert!(page.body().contains(appid()));
    let token = world.token(appid()).await.unwrap();
    world.assert_good(&token);
    let row = world.authorizer_row(appid()).await;
    assert_eq!(text(&row, "reference"), "店 42");
    assert_eq!(world.wechat_calls("api_query_auth"), 1);
}

#[tokio::test]
async fn a_merchant_is_sent_on_to_where_the_link_says_with_the_result() {
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let query = "reference=%E5%BA%97+42&return_to=https%3A%2F%2Fshop.example%2Fdone%3Fa%3Db";
    let (back, _) = world.consent_by(&mut browser, query, appid()).await;
    let answer = world.come_back(&browser, &back).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(
        head(&answer, "location"),
        format!(
            "https://shop.example/done?a=b&authorizer_appid={}&reference=%E5%BA%97+42&result=connected",
            appid()
        )
    );

    let query = "return_to=https%3A%2F%2Fshop.example";
    let (back, _) = world.consent_by(&mut browser, query, appid()).await;
    let answer = world.come_back(&browser, &back).await;
    assert_eq!(
        head(&answer, "location"),
        format!(
            "https://shop.example/?authorizer_appid={}&result=connected",
            appid()
        )
    );
}

#[tokio::test]
async fn an_account_that_wechat_gives_no_token_for_is_told_so() {
    let world = World::with_ticket().await;
    let permissionless =
        json!({ "authorization_info": { "authorizer_appid": appid(), "func_info": [] } });
    let answer = FaultEffect::Body(permissionless.to_string());
    let mut browser = Browser::default();
    for (query, sent_on) in [("", false), ("return_to=https://shop.example/", true)] {
        let (back, _) = world.consent_by(&mut browser, query, appid()).await;
        world
            .simulator
            .fault(Fault::new("api_query_auth", answer.clone()));
        let answer = world.come_back(&browser, &back).await;
        if sent_on {
            let result = parameter(&location(&answer), "result");
            assert_eq!(result, "reauthorization_required");
        } else {
            check_page(&answer, StatusCode::OK, "授权未完成");
        }
        let refused = world.token(appid()).await.unwrap_err();
        assert_eq!(refused.code(), "reauthorization_required");
    }
}

#[tokio::test]
async fn two_tabs_of_one_browser_both_come_back() {
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let [one, other] = [0, 1].map(|n| wechat_simulator::DEMO_APPIDS[n]);
    let (first, _) = world.consent_by(&mut browser, "reference=one", one).await;
    let (second, _) = world
        .consent_by(&mut browser, "reference=other", other)
        .await;
    for (back, appid, reference) in [(second, other, "other"), (first, one, "one")] {
        let page = world.come_back(&browser, &back).await;
        check_page(&page, StatusCode::OK, "授权成功");
        let row = world.authorizer_row(appid).await;
        assert_eq!(text(&row, "reference"), reference);
        world.assert_good(&world.token(appid).await.unwrap());
    }
}

/// A way back that must not lead to an exchange.
async fn check_refused(world: &World, browser: &Browser, back: &str, title: &str) {
    let page = world.come_back(browser, back).await;
    check_page(&page, StatusCode::BAD_REQUEST, title);
    let says_what_to_do = page.body().contains("请从授权链接重新开始");
    assert!(says_what_to_do, "{}", page.body());
    let state = back.split_once("state=").map(|(_, rest)| &rest[..32]);
    assert!(state.is_none_or(|state| !page.body().contains(state)));
    assert_eq!(world.wechat_calls("api_query_auth"), 0, "{back}");
}

#[tokio::test]
async fn whoever_comes_back_without_the_right_state_and_code_costs_no_exchange() {
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let (back, _) = world.consent(&mut browser, appid()).await;
    let (address, query) = back.split_once('?').unwrap();
    let (state, code) = query.split_once('&').unwrap();

    let malformed = "授权未完成";
    for query in [
        String::new(),
        code.to_owned(),
        format!("state=&{code}"),
        format!("{}&{code}", &state[..state.len() - 1]),
        format!("{state}0&{code}"),
        format!("{}g&{code}", &state[..state.len() - 1]),
        format!("{state}&{state}&{code}"),
        format!("{state}&auth_code=a%20b&expires_in=3600"),
        format!("{state}&{code}&{code}"),
    ] {
        check_refused(&world, &browser, &format!("{address}?{query}"), malformed).await;
    }

    let unknown = format!("{address}?state={}&{code}", "0".repeat(32));
    check_refused(&world, &browser, &unknown, "授权页面已过期").await;

    let another = "请使用同一浏览器";
    check_refused(&world, &Browser::default(), &back, another).await;
    let mut foreign = Browser::default();
    world.click(&mut foreign, "").await;
    check_refused(&world, &foreign, &back, another).await;
    let ours = browser.cookie.clone().unwrap();
    let theirs = foreign.cookie.clone().unwrap();
    let name = ours.split('=').next().unwrap();
    for cookie in [
        format!("{ours}; {theirs}"),
        format!("{theirs}; {ours}"),
        format!("{ours}; {ours}"),
        format!("{name}="),
        format!("{name}={}", "g".repeat(32)),
        ours.to_uppercase(),
        ours.replace("__Host-", ""),
    ] {
        let browser = Browser {
            cookie: Some(cookie),
            ..Browser::default()
        };
        check_refused(&world, &browser, &back, another).await;
    }

    // None of that has used the state up.
    assert_eq!(
        world.come_back(&browser, &back).await.status(),
        StatusCode::OK
    );
    world.simulator.reset_calls();
    let other_code = format!("{address}?{state}&auth_code=queryauthcode%40%40%40other");
    check_refused(&world, &browser, &other_code, "此页面已使用过").await;
}

#[tokio::test]
async fn a_state_is_good_for_as_long_as_wechats_page_and_no_longer() {
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let (back, _) = world.consent(&mut browser, appid()).await;
    world.clock.advance(1800);
    check_refused(&world, &browser, &back, "授权页面已过期").await;
    let (back, _) = world.consent(&mut browser, appid()).await;
    world.clock.advance(1799);
    let page = world.come_back(&browser, &back).await;
    assert_eq!(page.status(), StatusCode::OK);
}

#[tokio::test]
async fn whatever_passes_at_wechat_or_the_table_can_be_tried_again_at_the_same_address() {
    let world = World::with_ticket().await;
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    let title = "暂时无法完成授权";
    for effect in [
        FaultEffect::Errcode(-1),
        FaultEffect::Errcode(45009),
        FaultEffect::Errcode(61004),
        FaultEffect::HttpStatus(502),
        FaultEffect::Body("<html>".to_owned()),
        FaultEffect::Reset,
    ] {
        let mut browser = Browser::default();
        let (back, _) = world.consent(&mut browser, appid()).await;
        world.fault("api_query_auth", effect.clone());
        for _reload in 0..2 {
            let page = world.come_back(&browser, &back).await;
            check_page(&page, unavailable, title);
            assert!(page.body().contains("请稍后刷新此页面"));
        }
        world.end_faults("api_query_auth").await;
        let page = world.come_back(&browser, &back).await;
        assert_eq!(page.status(), StatusCode::OK, "{effect:?}");
        world.assert_good(&world.token(appid()).await.unwrap());
    }
    for (operation, cut, times) in [
        ("UpdateItem", Cut::Before, 3),
        ("UpdateItem", Cut::Throttled, 3),
        ("UpdateItem", Cut::AnswerLost, 3),
        ("UpdateItem", Cut::AnswerLost, 6),
        ("PutItem", Cut::Before, 3),
        ("PutItem", Cut::AnswerLost, 3),
        ("GetItem", Cut::Throttled, 3),
    ] {
        let mut browser = Browser::default();
        let (back, _) = world.consent(&mut browser, appid()).await;
        world.wire.cut(operation, cut, times);
        let mut page = world.come_back(&browser, &back).await;
        if page.status() == unavailable {
            check_page(&page, unavailable, title);
            world.wire.mend();
            page = world.come_back(&browser, &back).await;
        }
        check_page(&page, StatusCode::OK, "授权成功");
        world.wire.mend();
        world.assert_good(&world.token(appid()).await.unwrap());
    }
}

/// In which order the browser and the notice bring one code.
#[derive(Clone, Copy, Debug)]
enum First {
    Redirect,
    Notice,
    Both,
}

async fn check_one_exchange(first: First) {
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let (back, notice) = world
        .consent_by(&mut browser, "reference=shop-42", appid())
        .await;
    // WeChat's clock ticks on between the consent and what follows.
    world.clock.advance(1);
    let late = Fault::late_answer("api_query_auth", Duration::from_millis(50));
    world.simulator.fault(late);
    let redirect = world.come_back(&browser, &back);
    let noticed = async {
        assert!(world.push_xml(&notice).await.delivered);
        assert_eq!(world.deliver().await, json!({ "batchItemFailures": [] }));
    };
    let page = match first {
        First::Redirect => {
            let page = redirect.await;
            noticed.await;
            page
        }
        First::Notice => {
            noticed.await;
            redirect.await
        }
        First::Both => tokio::join!(redirect, noticed).0,
    };
    check_page(&page, StatusCode::OK, "授权成功");
    assert!(page.body().contains(appid()));
    assert_eq!(world.wechat_calls("api_query_auth"), 1, "{first:?}");
    let token = world.token(appid()).await.unwrap();
    world.assert_good(&token);
    let row = world.authorizer_row(appid()).await;
    assert_eq!(text(&row, "status"), "authorized");
    assert_eq!(text(&row, "reference"), "shop-42");
    assert_eq!(
        Some(text(&row, "refresh_token")),
        world.simulator.authorizer(appid()).unwrap().refresh_token
    );
    // The notice is done with: there is nothing for the refresher to sweep.
    world.pass(Duration::from_hours(1)).await;
    assert_eq!(world.refresh().await["notices"], 0);
    assert_eq!(world.wechat_calls("api_query_auth"), 1);
}

#[tokio::test]
async fn a_redirect_before_its_notice_is_the_only_exchange() {
    check_one_exchange(First::Redirect).await;
}

#[tokio::test]
async fn a_notice_before_its_redirect_is_the_only_exchange() {
    check_one_exchange(First::Notice).await;
}

#[tokio::test]
async fn a_redirect_and_its_notice_at_once_are_one_exchange() {
    check_one_exchange(First::Both).await;
}

#[tokio::test]
async fn a_code_that_somebody_else_has_spent_connects_nobody_and_the_notice_heals_it() {
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let (back, notice) = world.consent(&mut browser, appid()).await;
    let lost = Fault::new("api_query_auth", FaultEffect::AnswerLost);
    world.simulator.fault(lost);
    let page = world.come_back(&browser, &back).await;
    check_page(&page, StatusCode::BAD_REQUEST, "微信尚未确认授权");
    world.push_xml(&notice).await;
    world.deliver().await;
    let token = world.token(appid()).await.unwrap();
    world.assert_good(&token);
}

#[tokio::test]
async fn a_second_authorization_within_a_minute_is_never_answered_with_the_firsts_token() {
    for noticed in [true, false] {
        let world = World::with_authorizer().await;
        let first = world.token(appid()).await.unwrap();
        world.clock.advance(30);
        let mut browser = Browser::default();
        let (back, notice) = world.consent(&mut browser, appid()).await;
        // Which of the two came last, nobody tells.
        world.fault("api_get_authorizer_info", FaultEffect::HttpStatus(503));
        world.come_back(&browser, &back).await;
        world.end_faults("api_get_authorizer_info").await;
        if noticed {
            world.push_xml(&notice).await;
            world.deliver().await;
        }
        let second = world.token(appid()).await.unwrap();
        world.assert_good(&second);
        assert_ne!(first, second);
    }
}

#[tokio::test]
async fn whoever_withdraws_at_once_is_not_asked_to_authorize_again() {
    let world = World::with_ticket().await;
    let consent = world.simulator.authorize_unpushed(appid()).unwrap();
    world.simulator.revoke_unpushed(appid()).unwrap();
    // The same notice in other words is another one, of the same code.
    for end in ["</xml>", "\n</xml>"] {
        let notice = consent.notice.replace("</xml>", end);
        assert!(world.push_xml(&notice).await.delivered);
        world.deliver().await;
    }
    let refused = world.token(appid()).await.unwrap_err();
    assert_eq!(refused.code(), "unknown_authorizer");
}

#[tokio::test]
async fn an_accounts_name_is_shown_and_is_no_html() {
    let world = World::with_ticket().await;
    let name = "<script>alert('1')</script>&\"";
    let kind = AccountKind::OfficialAccount;
    world.simulator.add_account(appid(), name, kind);
    world.authorize(appid()).await;
    assert_eq!(text(&world.authorizer_row(appid()).await, "name"), name);
    let mut browser = Browser::default();
    let (back, _) = world.consent(&mut browser, appid()).await;
    let page = world.come_back(&browser, &back).await;
    check_page(&page, StatusCode::OK, "授权成功");
    let shown = "&#60;script&#62;alert(&#39;1&#39;)&#60;/script&#62;&#38;&#34;";
    assert!(page.body().contains(shown), "{}", page.body());
    assert!(!page.body().contains("<script"));
}

#[tokio::test]
async fn an_authorization_that_was_revoked_meanwhile_is_not_called_connected() {
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let (back, notice) = world.consent(&mut browser, appid()).await;
    world.push_xml(&notice).await;
    world.deliver().await;
    world.clock.advance(60);
    world.revoke(appid()).await;
    let page = world.come_back(&browser, &back).await;
    check_page(&page, StatusCode::BAD_REQUEST, "微信尚未确认授权");
    let refused = world.token(appid()).await.unwrap_err();
    assert_eq!(refused.code(), "authorization_revoked");
}
