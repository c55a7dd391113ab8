//! The callback: what a merchant who comes back from WeChat sees, and what the vendor is told.

use http::{Response, StatusCode};
use serde_json::json;
use wechat_simulator::{AccountKind, Fault, FaultEffect};

use crate::world::browser::{Browser, check_page, head, location, parameter};
use crate::world::log::Log;
use crate::world::rows::text;
use crate::world::{World, appid};

#[tokio::test]
async fn a_merchant_who_comes_back_is_connected_with_the_reference_of_the_link() {
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
    let connected = format!("authorizer_appid={}", appid());
    for (query, expected) in [
        (
            "reference=%E5%BA%97+42&return_to=https%3A%2F%2Fshop.example%2Fdone%3Fa%3Db",
            format!("done?a=b&{connected}&reference=%E5%BA%97+42&result=connected"),
        ),
        (
            "return_to=https%3A%2F%2Fshop.example",
            format!("?{connected}&result=connected"),
        ),
    ] {
        let (back, _) = world.consent_by(&mut browser, query, appid()).await;
        let answer = world.come_back(&browser, &back).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let expected = format!("https://shop.example/{expected}");
        assert_eq!(head(&answer, "location"), expected);
    }
}

#[tokio::test]
async fn a_merchant_whose_account_gets_no_token_is_told_to_authorize_again() {
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

/// Asserts that a callback is refused before any exchange.
async fn check_refused(world: &World, browser: &Browser, back: &str, title: &str) {
    let page = world.come_back(browser, back).await;
    check_page(&page, StatusCode::BAD_REQUEST, title);
    let state = back.split_once("state=").map(|(_, rest)| &rest[..32]);
    assert!(state.is_none_or(|state| !page.body().contains(state)));
    assert_eq!(world.wechat_calls("api_query_auth"), 0, "{back}");
}

#[tokio::test]
async fn a_callback_without_the_right_state_and_code_costs_no_exchange() {
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let (back, _) = world.consent(&mut browser, appid()).await;
    let (address, query) = back.split_once('?').unwrap();
    let (state, code) = query.split_once('&').unwrap();

    let malformed = "请勿直接打开本页";
    for query in [
        String::new(),
        code.to_owned(),
        format!("state=&{code}"),
        format!("{}&{code}", &state[..state.len() - 1]),
        format!("{state}0&{code}"),
        format!("{}g&{code}", &state[..state.len() - 1]),
        format!("{state}&state={}&{code}", "0".repeat(32)),
        format!("{state}&auth_code=a%20b&expires_in=3600"),
        format!("{state}&{code}&auth_code=other"),
        format!("{state}&auth_code=&{code}"),
        format!("{state}&{code}&expires_in=7200"),
    ] {
        check_refused(&world, &browser, &format!("{address}?{query}"), malformed).await;
    }

    let unknown = format!("{address}?state={}&{code}", "0".repeat(32));
    check_refused(&world, &browser, &unknown, "授权页已失效").await;

    // Another browser is told what becomes of the code, and nothing else.
    let another = "正在等待微信确认";
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

    // None of these requests has used up the state.
    assert_eq!(
        world.come_back(&browser, &back).await.status(),
        StatusCode::OK
    );
    world.simulator.reset_calls();
    let other_code = format!("{address}?{state}&auth_code=queryauthcode%40%40%40other");
    check_refused(&world, &browser, &other_code, "本次授权已处理").await;
}

#[tokio::test]
async fn a_parameter_that_comes_twice_with_an_equal_value_counts_once() {
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let (back, _) = world.consent(&mut browser, appid()).await;
    let (address, query) = back.split_once('?').unwrap();
    let (state, code) = query.split_once('&').unwrap();
    let written_otherwise = code.replace("%40", "@");
    assert_ne!(written_otherwise, code);
    for (query, title) in [
        (format!("{state}&{code}&{code}"), "授权成功"),
        (
            format!("{code}&{state}&{written_otherwise}&{state}"),
            "该账号已授权",
        ),
    ] {
        let page = world
            .come_back(&browser, &format!("{address}?{query}"))
            .await;
        check_page(&page, StatusCode::OK, title);
    }
    assert_eq!(world.wechat_calls("api_query_auth"), 1);
}

#[tokio::test]
async fn a_state_is_good_for_as_long_as_wechats_page_and_no_longer() {
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let (back, _) = world.consent(&mut browser, appid()).await;
    world.clock.advance(1800);
    check_refused(&world, &browser, &back, "授权页已失效").await;
    let (back, _) = world.consent(&mut browser, appid()).await;
    world.clock.advance(1799);
    let page = world.come_back(&browser, &back).await;
    assert_eq!(page.status(), StatusCode::OK);
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
    check_page(&page, StatusCode::BAD_REQUEST, "正在等待微信确认");
    let refused = world.token(appid()).await.unwrap_err();
    assert_eq!(refused.code(), "authorization_revoked");
}

#[tokio::test]
async fn a_page_loaded_again_says_that_the_account_is_connected() {
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let (back, _) = world.consent(&mut browser, appid()).await;
    let page = world.come_back(&browser, &back).await;
    check_page(&page, StatusCode::OK, "授权成功");
    world.simulator.reset_calls();
    // This also holds when the attempt itself has expired.
    for minutes in [0, 1, 60] {
        world.clock.advance(minutes * 60);
        let again = world.come_back(&browser, &back).await;
        check_page(&again, StatusCode::OK, "该账号已授权");
        assert!(again.body().contains(appid()));
    }
    assert_eq!(world.new_wechat_calls().len(), 0);
    // A browser that holds the code may know what became of it.
    let foreign = world.come_back(&Browser::default(), &back).await;
    check_page(&foreign, StatusCode::OK, "授权成功");
    assert!(foreign.body().contains(appid()));
}

#[tokio::test]
async fn a_merchant_who_confirmed_in_wechat_what_a_phones_browser_started_sees_it_done() {
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let query = "reference=m-42&return_to=https%3A%2F%2Fshop.example%2Fdone";
    let (back, notice) = world.consent_by(&mut browser, query, appid()).await;
    // WeChat's own web-view has no cookie of ours.
    let web_view = Browser::default();
    let page = world.come_back(&web_view, &back).await;
    check_page(&page, StatusCode::BAD_REQUEST, "正在等待微信确认");
    assert!(page.body().contains("自动生效"), "{}", page.body());
    assert_eq!(world.wechat_calls("api_query_auth"), 0);
    let mut next = head(&page, "refresh").to_owned();
    for secs in [5, 10, 20, 40] {
        let page = world.come_back(&web_view, &again(&back, &next)).await;
        check_page(&page, StatusCode::BAD_REQUEST, "正在等待微信确认");
        next = head(&page, "refresh").to_owned();
        assert!(next.starts_with(&format!("{secs}; ")), "{next}");
    }
    let page = world.come_back(&web_view, &again(&back, &next)).await;
    assert_eq!(page.headers().get("refresh"), None);
    assert!(page.body().contains("重新检查"), "{}", page.body());

    world.push_xml(&notice).await;
    world.deliver_all().await;
    let page = world.come_back(&web_view, &back).await;
    check_page(&page, StatusCode::OK, "授权成功");
    let name = world.simulator.authorizer(appid()).unwrap().nick_name;
    assert!(page.body().contains(&name) && !page.body().contains("m-42"));
    assert_eq!(page.headers().get("refresh"), None);
    // The browser that started is still led on.
    let answer = world.come_back(&browser, &back).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
}

/// A merchant comes back, and WeChat's answer to the exchange gets lost: the address, the notice that
/// is not pushed, and the page.
async fn unconfirmed(world: &World, browser: &mut Browser) -> (String, String, Response<String>) {
    let (back, notice) = world.consent(browser, appid()).await;
    let lost = Fault::new("api_query_auth", FaultEffect::AnswerLost);
    world.simulator.fault(lost);
    let page = world.come_back(browser, &back).await;
    check_page(&page, StatusCode::BAD_REQUEST, "正在等待微信确认");
    (back, notice, page)
}

/// Where a page's `Refresh` header leads from `address`.
fn again(address: &str, refresh: &str) -> String {
    let (_, query) = refresh.split_once("; url=").unwrap();
    format!("{}{query}", address.split_once('?').unwrap().0)
}

#[tokio::test]
async fn a_page_that_waits_looks_again_by_itself_and_holds_up_no_one() {
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let (back, notice, page) = unconfirmed(&world, &mut browser).await;
    let next = head(&page, "refresh").to_owned();
    assert!(next.starts_with("5; url=?state="), "{next}");
    world.wire.calls();
    let page = world.come_back(&browser, &again(&back, &next)).await;
    check_page(&page, StatusCode::BAD_REQUEST, "正在等待微信确认");
    // It looks once, and does not wait for another caller.
    assert!(world.wire.calls()["GetItem"] <= 2);
    let next = head(&page, "refresh").to_owned();
    world.push_xml(&notice).await;
    world.deliver_all().await;
    let page = world.come_back(&browser, &again(&back, &next)).await;
    check_page(&page, StatusCode::OK, "该账号已授权");
}

#[tokio::test]
async fn a_page_that_has_looked_often_enough_promises_no_notice_any_more() {
    let world = World::with_ticket().await;
    let (back, _) = world.consent(&mut Browser::default(), appid()).await;
    let stranger = Browser::default();
    let mut page = world.come_back(&stranger, &back).await;
    for secs in [5, 5, 10, 20, 40] {
        assert!(
            !page.body().contains("微信还没有通知结果"),
            "{}",
            page.body()
        );
        let next = head(&page, "refresh").to_owned();
        assert!(next.starts_with(&format!("{secs}; ")), "{next}");
        page = world.come_back(&stranger, &again(&back, &next)).await;
    }
    assert!(page.headers().get("refresh").is_none());
    assert!(
        page.body().contains("微信还没有通知结果"),
        "{}",
        page.body()
    );
    assert!(page.body().contains("重新检查"), "{}", page.body());
}

#[tokio::test]
async fn the_log_has_one_word_for_each_cause_and_counts_a_reload_once() {
    let world = World::with_ticket().await;
    let log = Log::listen();
    let mut browser = Browser::default();
    let (back, _) = world.consent(&mut browser, appid()).await;
    let other_code = back.replace("auth_code=", "auth_code=x");
    for (browser, address, cause) in [
        (&Browser::default(), back.as_str(), "confirmed_elsewhere"),
        (
            &Browser::default(),
            back.split("&auth_code").next().unwrap(),
            "other_browser",
        ),
        (
            &browser,
            "https://auth.vendor.example/auth/callback",
            "malformed",
        ),
        (&browser, &back, "connected"),
        (&browser, &back, "connected"),
        (&browser, &other_code, "used"),
    ] {
        world.come_back(browser, address).await;
        let lines = log.lines(&format!("result=\"{cause}\""));
        assert_eq!(lines.len(), 1, "{cause}: {lines:?}");
    }
    assert_eq!(log.lines("result=\"error\"").len(), 0);
}

#[tokio::test]
async fn the_page_names_the_account_though_no_notice_has_come() {
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let (back, _) = world.consent(&mut browser, appid()).await;
    let page = world.come_back(&browser, &back).await;
    let name = world.simulator.authorizer(appid()).unwrap().nick_name;
    let named = format!("<strong>{name}</strong> <span>{}</span>", appid());
    assert!(page.body().contains(&named), "{}", page.body());

    // If WeChat does not tell the account's name, the page does without it.
    let (back, _) = world.consent(&mut browser, "wx2b3c4d5e6f708192").await;
    world.fault("api_get_authorizer_info", FaultEffect::Errcode(48001));
    let page = world.come_back(&browser, &back).await;
    check_page(&page, StatusCode::OK, "授权成功");
}

#[tokio::test]
async fn an_unconfirmed_page_that_is_loaded_again_after_the_notice_says_connected() {
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let (back, notice, page) = unconfirmed(&world, &mut browser).await;
    // It loads itself, by a header: its address with the code is not written into the page.
    assert!(!page.body().contains("重新检查"), "{}", page.body());
    let page = world.come_back(&browser, &back).await;
    check_page(&page, StatusCode::BAD_REQUEST, "正在等待微信确认");
    world.push_xml(&notice).await;
    world.deliver().await;
    let page = world.come_back(&browser, &back).await;
    check_page(&page, StatusCode::OK, "该账号已授权");
    world.assert_good(&world.token(appid()).await.unwrap());
}

#[tokio::test]
async fn a_merchant_who_comes_back_without_a_code_has_not_authorized_and_may_still() {
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let query = "reference=shop-42&auth_type=1";
    let (back, _) = world.consent_by(&mut browser, query, appid()).await;
    let (without_code, _) = back.split_once("&auth_code").unwrap();
    for address in [
        without_code.to_owned(),
        format!("{without_code}&auth_code="),
    ] {
        let page = world.come_back(&browser, &address).await;
        check_page(&page, StatusCode::OK, "授权未完成");
        let again = "href=\"start?reference=shop-42&#38;auth_type=1\"";
        assert!(page.body().contains(again), "{}", page.body());
        let foreign = world.come_back(&Browser::default(), &address).await;
        check_page(&foreign, StatusCode::BAD_REQUEST, "请返回原页面查看结果");
    }
    let page = world.come_back(&browser, &back).await;
    check_page(&page, StatusCode::OK, "授权成功");
    world.clock.advance(3600);
    let (back, _) = world.consent_by(&mut browser, query, appid()).await;
    let (without_code, _) = back.split_once("&auth_code").unwrap();
    world.clock.advance(1800);
    let page = world.come_back(&browser, without_code).await;
    check_page(&page, StatusCode::BAD_REQUEST, "授权页已失效");
}

/// Asserts that the browser is sent on to the vendor with this result.
#[track_caller]
fn check_way_on(answer: &Response<String>, expected: &str) {
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{}", answer.body());
    assert_eq!(
        head(answer, "location"),
        format!("https://shop.example/done?a=b&{expected}#here")
    );
    assert_eq!(head(answer, "cache-control"), "no-store");
}

#[tokio::test]
async fn every_outcome_reaches_the_vendor_through_the_merchants_own_browser() {
    const QUERY: &str =
        "reference=%E5%BA%97%2642&return_to=https%3A%2F%2Fshop.example%2Fdone%3Fa%3Db%23here";
    const REFERENCE: &str = "reference=%E5%BA%97%2642";
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let connected = format!("authorizer_appid={}&{REFERENCE}&result=connected", appid());

    let (back, _) = world.consent_by(&mut browser, QUERY, appid()).await;
    let (without_code, _) = back.split_once("&auth_code").unwrap();
    let denied = world.come_back(&browser, without_code).await;
    check_way_on(&denied, &format!("{REFERENCE}&result=denied"));
    let foreign = world.come_back(&Browser::default(), &back).await;
    check_page(&foreign, StatusCode::BAD_REQUEST, "正在等待微信确认");

    world.fault("api_query_auth", FaultEffect::Errcode(-1));
    let failed = world.come_back(&browser, &back).await;
    check_way_on(&failed, &format!("{REFERENCE}&result=error"));
    world.end_faults("api_query_auth").await;
    for _load in 0..2 {
        check_way_on(&world.come_back(&browser, &back).await, &connected);
    }

    let (back, notice) = world.consent_by(&mut browser, QUERY, appid()).await;
    let lost = Fault::new("api_query_auth", FaultEffect::AnswerLost);
    world.simulator.fault(lost);
    let unconfirmed = world.come_back(&browser, &back).await;
    check_way_on(&unconfirmed, &format!("{REFERENCE}&result=unconfirmed"));
    world.push_xml(&notice).await;
    world.deliver().await;
    check_way_on(&world.come_back(&browser, &back).await, &connected);

    let (back, _) = world.consent_by(&mut browser, QUERY, appid()).await;
    world.clock.advance(1800);
    let expired = world.come_back(&browser, &back).await;
    check_way_on(&expired, &format!("{REFERENCE}&result=expired"));
}
