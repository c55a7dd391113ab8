//! What a merchant sees: on a PC, on a phone, in WeChat, on his way and at its end.

use http::{StatusCode, header};
use lambda_http::Response;
use local::functions::{Functions, Parts};
use merchant_pages::brand::Brand;
use serde_json::json;
use wechat_simulator::{Fault, FaultEffect};

use crate::authorization::{ENGLISH, check_page, head, visit};
use crate::world::{Browser, HOST, World, appid, deadline, location, parameter};

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1";
const WECHAT: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148 MicroMessenger/8.0.50(0x1800323d)";

const MAX_PAGE_BYTES: usize = 15_000;

async fn start_page(functions: &Functions, agent: Option<&'static str>, query: &str) -> String {
    let browser = Browser {
        user_agent: agent,
        ..Browser::default()
    };
    let request = browser.request("GET", &format!("/auth/start?{query}"));
    let page = functions.auth_start.handle(request, deadline()).await;
    assert_eq!(page.status(), StatusCode::OK);
    page.into_body()
}

/// What a phone reads from the QR code on a page.
fn scanned(page: &str) -> String {
    let part = |from: &str, to: &str| page.split_once(from).unwrap().1.split(to).next().unwrap();
    let size: usize = part("viewBox=\"0 0 ", " ").parse().unwrap();
    let mut dark = vec![vec![false; size]; size];
    let (mut x, mut y) = (0, 0);
    for row in part(" d=\"", "\"").split('M').skip(1) {
        for (run, step) in row.split('m').enumerate() {
            let (to, length) = step.split_once('h').unwrap();
            let (to_x, to_y) = to.split_once(' ').unwrap();
            if run == 0 {
                (x, y) = (0, to_y.trim_end_matches(".5").parse().unwrap());
            }
            x += to_x.parse::<usize>().unwrap();
            for _module in 0..length.parse().unwrap() {
                dark[y][x] = true;
                x += 1;
            }
        }
    }
    // As a camera sees it: several pixels to a module.
    let scale = 4;
    let mut seen = rqrr::PreparedImage::prepare_from_bitmap(size * scale, size * scale, |x, y| {
        dark[y / scale][x / scale]
    });
    let codes = seen.detect_grids();
    assert_eq!(codes.len(), 1, "not one code");
    codes[0].decode().unwrap().1
}

#[tokio::test]
async fn on_a_pc_the_page_shows_its_own_address_for_a_phone_to_scan() {
    let world = World::with_ticket().await;
    for query in [
        "reference=shop-42",
        "reference=%E5%BA%97+42&expires=1700000600&signature=c05ddd3b2babe9722f98c4b38a87239ed2f685bcf1c22282208f0be8ce27261d",
        &format!("reference={}", "x".repeat(100)),
    ] {
        let page = start_page(&world.functions, None, query).await;
        assert_eq!(scanned(&page), format!("https://{HOST}/auth/start?{query}"));
    }
    let long = format!("reference={}", "%E5%BA%97".repeat(128));
    let page = start_page(&world.functions, None, &long).await;
    assert!(!page.contains("<svg"), "{page}");
}

#[tokio::test]
async fn on_a_phone_the_page_has_no_code_and_outside_wechat_says_how_to_get_there() {
    let world = World::with_ticket().await;
    let query = "reference=a%26b&auth_type=1";
    let inside = start_page(&world.functions, Some(WECHAT), query).await;
    let outside = start_page(&world.functions, Some(IPHONE), query).await;
    for page in [&inside, &outside] {
        assert!(!page.contains("<svg"), "{page}");
        assert!(!page.contains("扫码"), "{page}");
        assert!(page.contains("授权您的公众号</h1>"), "{page}");
    }
    let address = format!("value=\"https://{HOST}/auth/start?reference=a%26b&#38;auth_type=1\"");
    assert!(outside.contains(&address), "{outside}");
    assert!(outside.contains("在微信里点开"), "{outside}");
    assert!(!inside.contains("<input"), "{inside}");
}

#[tokio::test]
async fn the_page_says_where_the_way_ends() {
    let world = World::with_ticket().await;
    let query = "return_to=https%3A%2F%2Fshop.example%2Fdone";
    let page = start_page(&world.functions, None, query).await;
    assert!(page.contains("自动返回 shop.example"), "{page}");
}

async fn with_vendor(world: &World, brand: Brand) -> Functions {
    let parts = Parts {
        brand,
        ..world.parts.clone()
    };
    Functions::start(&parts).await.unwrap()
}

#[tokio::test]
async fn a_vendor_is_recognized_on_every_page() {
    let world = World::with_ticket().await;
    let brand = Brand {
        name: Some("好店 <Shop>".parse().unwrap()),
        logo: Some("https://cdn.vendor.example/logo.png".parse().unwrap()),
        accent: "#123456".parse().unwrap(),
    };
    let functions = with_vendor(&world, brand).await;
    let browser = Browser::default();
    let start = async |query: &str| {
        let request = browser.request("GET", &format!("/auth/start?{query}"));
        functions.auth_start.handle(request, deadline()).await
    };
    let back = browser.request("GET", "/auth/callback");
    for page in [
        start("").await,
        start("auth_type=9").await,
        functions.auth_callback.handle(back, deadline()).await,
    ] {
        let body = page.body();
        assert!(body.contains("<span>好店 &#60;Shop&#62;</span>"), "{body}");
        let logo = "<img src=\"https://cdn.vendor.example/logo.png\" alt=\"\">";
        assert!(body.contains(logo), "{body}");
        assert!(body.contains("--accent:#123456;--on-accent:#ffffff"));
        let policy = head(&page, "content-security-policy");
        assert!(policy.contains("; img-src https://cdn.vendor.example; "));
    }
}

/// Everything that a browser would load.
#[track_caller]
fn check_loads_nothing(page: &Response<String>) {
    let body = page.body();
    let policy = head(page, "content-security-policy");
    for directive in ["img-src", "script-src", "font-src", "unsafe-inline", "*"] {
        assert!(!policy.contains(directive), "{policy}");
    }
    for loaded in ["src=", "<link", "<script", "url(", "@import", "style=\""] {
        assert!(!body.contains(loaded), "{loaded}: {body}");
    }
    assert!(body.len() < MAX_PAGE_BYTES, "{} bytes", body.len());
}

#[tokio::test]
async fn every_page_is_small_and_loads_nothing() {
    let world = World::with_ticket().await;
    // The longest address that has a QR code, whose bytes make the largest.
    let longest = format!(
        "return_to=https://shop.example/&reference={}",
        "x".repeat(128)
    );
    let filler = 425 - format!("https://{HOST}/auth/start?{longest}&f=").len();
    let longest = format!("{longest}&f={}", "y".repeat(filler));
    for language in ["zh-CN", ENGLISH] {
        for query in [longest.as_str(), "", "auth_type=9"] {
            let page = visit(&world, "GET", query, language).await;
            assert!(page.body().contains("<svg"));
            check_loads_nothing(&page);
        }
        let unknown = world.come_back(&Browser::default(), "/auth/callback").await;
        check_loads_nothing(&unknown);
    }
}

#[tokio::test]
async fn a_page_loaded_again_says_that_the_account_is_connected() {
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let (back, _) = world.consent(&mut browser, appid()).await;
    let page = world.come_back(&browser, &back).await;
    check_page(&page, StatusCode::OK, "授权成功");
    world.simulator.reset_calls();
    // Even when the attempt itself has become too old to be taken.
    for minutes in [0, 1, 60] {
        world.clock.advance(minutes * 60);
        let again = world.come_back(&browser, &back).await;
        check_page(&again, StatusCode::OK, "已完成授权");
        assert!(again.body().contains(appid()));
    }
    assert_eq!(world.new_wechat_calls().len(), 0);
    let foreign = world.come_back(&Browser::default(), &back).await;
    check_page(&foreign, StatusCode::BAD_REQUEST, "请使用同一浏览器");
}

#[tokio::test]
async fn two_loads_of_one_page_at_once_both_tell_the_truth() {
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let (back, _) = world.consent(&mut browser, appid()).await;
    let (one, other) = tokio::join!(
        world.come_back(&browser, &back),
        world.come_back(&browser, &back)
    );
    let mut titles = [one, other].map(|page| {
        assert_eq!(page.status(), StatusCode::OK, "{}", page.body());
        page.body().contains("<h1>授权成功</h1>")
    });
    titles.sort_unstable();
    assert_eq!(titles, [false, true]);
    assert_eq!(world.wechat_calls("api_query_auth"), 1);
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

    // A name is nice to have.
    let (back, _) = world.consent(&mut browser, "wx2b3c4d5e6f708192").await;
    world.fault("api_get_authorizer_info", FaultEffect::Errcode(48001));
    let page = world.come_back(&browser, &back).await;
    check_page(&page, StatusCode::OK, "授权成功");
}

#[tokio::test]
async fn an_answer_that_got_lost_is_made_good_by_the_notice_while_the_merchant_waits() {
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let (back, notice) = world.consent(&mut browser, appid()).await;
    let lost = Fault::new("api_query_auth", FaultEffect::AnswerLost);
    world.simulator.fault(lost);
    let noticed = async {
        // WeChat counts the call whose answer it loses.
        while world.wechat_calls("api_query_auth") < 2 {
            tokio::task::yield_now().await;
        }
        assert!(world.push_xml(&notice).await.delivered);
        assert_eq!(world.deliver().await, json!({ "batchItemFailures": [] }));
    };
    let (page, ()) = tokio::join!(world.come_back(&browser, &back), noticed);
    check_page(&page, StatusCode::OK, "授权成功");
    assert!(page.body().contains(appid()));
}

#[tokio::test]
async fn a_page_that_could_not_tell_tells_when_it_is_loaded_again() {
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let (back, notice) = world.consent(&mut browser, appid()).await;
    let lost = Fault::new("api_query_auth", FaultEffect::AnswerLost);
    world.simulator.fault(lost);
    let page = world.come_back(&browser, &back).await;
    check_page(&page, StatusCode::BAD_REQUEST, "微信尚未确认授权");
    // The page itself: its address with the code in it stands nowhere.
    let again = "<a class=\"button\" href=\"\">重新检查</a>";
    assert!(page.body().contains(again), "{}", page.body());
    let page = world.come_back(&browser, &back).await;
    check_page(&page, StatusCode::BAD_REQUEST, "微信尚未确认授权");
    world.push_xml(&notice).await;
    world.deliver().await;
    let page = world.come_back(&browser, &back).await;
    check_page(&page, StatusCode::OK, "已完成授权");
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
        check_page(&page, StatusCode::OK, "您未确认授权");
        let again = "href=\"/auth/start?reference=shop-42&#38;auth_type=1\"";
        assert!(page.body().contains(again), "{}", page.body());
        let foreign = world.come_back(&Browser::default(), &address).await;
        check_page(&foreign, StatusCode::BAD_REQUEST, "请使用同一浏览器");
    }
    let page = world.come_back(&browser, &back).await;
    check_page(&page, StatusCode::OK, "授权成功");
    world.clock.advance(3600);
    let (back, _) = world.consent_by(&mut browser, query, appid()).await;
    let (without_code, _) = back.split_once("&auth_code").unwrap();
    world.clock.advance(1800);
    let page = world.come_back(&browser, without_code).await;
    check_page(&page, StatusCode::BAD_REQUEST, "授权页面已过期");
}

/// What a vendor is told at the end of a way.
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
async fn however_it_ends_the_vendor_is_told_in_the_merchants_own_browser() {
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
    check_page(&foreign, StatusCode::BAD_REQUEST, "请使用同一浏览器");

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

#[tokio::test]
async fn a_click_that_failed_can_be_clicked_again() {
    let world = World::with_ticket().await;
    let cut_off = world.without_wechat().await.auth_start;
    let request = Browser::default().request("POST", "/auth/start?reference=a");
    let page = cut_off.handle(request, deadline()).await;
    let body = page.body();
    assert!(
        body.contains("<form method=\"post\"><button>重试</button></form>"),
        "{body}"
    );
    let policy = head(&page, "content-security-policy");
    assert!(
        policy.contains("form-action 'self' http://127.0.0.1:"),
        "{policy}"
    );
    assert!(!page.headers().contains_key(header::LOCATION));
    let clicked = world.click(&mut Browser::default(), "reference=a").await;
    assert!(!parameter(&location(&clicked), "pre_auth_code").is_empty());
}
