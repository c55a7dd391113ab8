//! The start page: what a merchant sees there, and where a click leads.

use http::{Response, StatusCode, header};
use local::functions::{Functions, Parts};
use merchant_pages::brand::Brand;
use url::Url;

use crate::world::browser::{Browser, ENGLISH, check_page, head, location, parameter, visit};
use crate::world::log::Log;
use crate::world::{HOST, World, appid, deadline};

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1";
const WECHAT: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148 MicroMessenger/8.0.50(0x1800323d)";

const WECHAT_ON_A_PC: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/132.0.0.0 Safari/537.36 NetType/WIFI MicroMessenger/7.0.20.1781(0x6700143B) WindowsWechat(0x63090a13) UnifiedPCWindowsWechat(0xf254173b) XWEB/19027 Flue";
const WECOM: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 wxwork/4.1.6 MicroMessenger/7.0.1 Language/zh ColorScheme/Light";
const MINI_PROGRAM: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0.76(0x18004c24) NetType/WIFI Language/zh_CN miniProgram/wx2c1c63e28bb33be1";

const MAX_PAGE_BYTES: usize = 15_000;

/// The error of WeChat's page, if WeChat refuses a browser that comes from `entry`.
async fn refused_by_wechat(world: &World, page: &str, entry: &str) -> Option<String> {
    let get = world.http.get(page).header(header::REFERER, entry);
    let html = get.send().await.unwrap().text().await.unwrap();
    let (_, rest) = html.split_once("data-error=\"")?;
    Some(rest.split('"').next().unwrap().to_owned())
}

/// The host asks, since the stack has no name.
const TITLE: &str = "将<wbr>公众号或小程序<wbr>授权给<wbr>auth.vendor.example";
const ENGLISH_TITLE: &str = "Connect your Official Account or Mini Program to auth.vendor.example";

#[tokio::test]
async fn a_visit_shows_one_button_in_chinese_or_english_and_sets_nothing() {
    let world = World::with_ticket().await;
    for (language, tag, title) in [
        ("", "zh-CN", TITLE),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN", TITLE),
        (ENGLISH, "en", ENGLISH_TITLE),
    ] {
        let page = visit(&world, "GET", "reference=shop-42", language).await;
        check_page(&page, StatusCode::OK, title);
        assert!(page.body().contains(&format!("<html lang=\"{tag}\">")));
        assert!(page.body().contains("<form method=\"post\"><button>"));
        assert_eq!(page.body().matches("shop-42").count(), 1, "the switch");
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

/// The text that a phone reads from the QR code on a page.
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
    // Several pixels to a module, as a camera sees it.
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
        assert!(page.contains("<h1>将<wbr>公众号<wbr>授权给"), "{page}");
    }
    let address = format!(">https://{HOST}/auth/start?reference=a%26b&#38;auth_type=1</p>");
    assert!(outside.contains(&address), "{outside}");
    assert!(outside.contains("在微信里点开"), "{outside}");
    assert!(outside.contains("复制链接"), "{outside}");
    assert!(!inside.contains("id=\"link\""), "{inside}");
    assert!(!inside.contains("<script"), "{inside}");
}

#[tokio::test]
async fn where_wechats_pages_do_not_open_the_page_says_to_open_it_in_wechat() {
    let world = World::with_ticket().await;
    for agent in [WECOM, MINI_PROGRAM] {
        let page = start_page(&world.functions, Some(agent), "reference=shop-42").await;
        let address = format!(">https://{HOST}/auth/start?reference=shop-42</p>");
        assert!(page.contains(&address), "{page}");
        assert!(page.contains("企业微信和小程序不能完成授权"), "{page}");
        for missing in ["<form", "<svg", "进入微信官方授权页"] {
            assert!(!page.contains(missing), "{missing}: {page}");
        }
    }
    let browser = Browser {
        user_agent: Some(WECOM),
        ..Browser::default()
    };
    let mut request = browser.request("GET", "/auth/start");
    let language = ENGLISH.parse().unwrap();
    request
        .headers_mut()
        .insert(header::ACCEPT_LANGUAGE, language);
    let page = world.functions.auth_start.handle(request, deadline()).await;
    check_page(&page, StatusCode::OK, ENGLISH_TITLE);
    assert!(page.body().contains("WeCom and mini programs cannot do it"));
    let policy = head(&page, "content-security-policy");
    assert!(policy.contains("form-action 'none'"), "{policy}");
}

#[tokio::test]
async fn wechat_on_a_pc_has_the_page_for_pcs() {
    let world = World::with_ticket().await;
    let page = start_page(&world.functions, Some(WECHAT_ON_A_PC), "").await;
    assert_eq!(scanned(&page), format!("https://{HOST}/auth/start"));
    let mut browser = Browser {
        user_agent: Some(WECHAT_ON_A_PC),
        ..Browser::default()
    };
    let clicked = world.click(&mut browser, "").await;
    assert_eq!(location(&clicked).path(), "/cgi-bin/componentloginpage");
}

#[tokio::test]
async fn a_base_path_before_the_route_is_kept_on_the_whole_way() {
    const QUERY: &str = "reference=shop-42";
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let ours = format!("https://{HOST}/pay/a-b");
    let visit = browser.request("GET", &format!("/pay/a-b/auth/start?{QUERY}"));
    let page = world.functions.auth_start.handle(visit, deadline()).await;
    assert_eq!(scanned(page.body()), format!("{ours}/auth/start?{QUERY}"));
    let click = browser.request("POST", &format!("/pay/a-b/auth/start?{QUERY}"));
    let clicked = world.functions.auth_start.handle(click, deadline()).await;
    browser.remember(&clicked);
    let back = parameter(&location(&clicked), "redirect_uri");
    assert!(
        back.starts_with(&format!("{ours}/auth/callback?state=")),
        "{back}"
    );
    let page = world.come_back(&browser, &back).await;
    check_page(&page, StatusCode::OK, "授权未完成");
    // The browser reads the link relative to the page.
    let again = format!("href=\"start?{QUERY}\"");
    assert!(page.body().contains(&again), "{}", page.body());
    let again = Url::parse(&back).unwrap().join(&format!("start?{QUERY}"));
    assert_eq!(
        again.unwrap().as_str(),
        format!("{ours}/auth/start?{QUERY}")
    );
}

#[tokio::test]
async fn a_post_from_another_site_gets_the_page_and_mints_nothing() {
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    world.click(&mut browser, "").await;
    let rows = world.rows().await;
    world.wire.calls();
    world.simulator.reset_calls();
    let post = async |headers: &[(&'static str, &str)]| {
        let mut request = browser.request("POST", "/auth/start?reference=shop-42");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        world.functions.auth_start.handle(request, deadline()).await
    };
    for headers in [
        &[
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://evil.example"),
        ][..],
        &[
            ("sec-fetch-site", "same-site"),
            ("origin", "https://www.vendor.example"),
        ],
        &[("sec-fetch-site", "cross-site"), ("origin", "null")],
        &[("origin", "https://evil.example")],
        &[("origin", "http://auth.vendor.example")],
    ] {
        let page = post(headers).await;
        check_page(&page, StatusCode::OK, TITLE);
        assert!(page.body().contains("<form method=\"post\"><button>"));
        assert!(
            !page.headers().contains_key(header::SET_COOKIE),
            "{headers:?}"
        );
    }
    assert_eq!(world.wire.calls().len(), 0);
    assert_eq!(world.new_wechat_calls().len(), 0);
    assert_eq!(world.rows().await, rows);
    for headers in [
        &[][..],
        &[("origin", "null")],
        &[("origin", "https://auth.vendor.example")],
        &[
            ("sec-fetch-site", "same-origin"),
            ("origin", "https://auth.vendor.example"),
        ],
        &[("sec-fetch-site", "none")],
    ] {
        let clicked = post(headers).await;
        assert_eq!(clicked.status(), StatusCode::SEE_OTHER, "{headers:?}");
    }
}

#[tokio::test]
async fn the_start_page_names_the_host_that_the_merchant_returns_to() {
    let world = World::with_ticket().await;
    let query = "return_to=https%3A%2F%2Fshop.example%2Fdone";
    let page = start_page(&world.functions, None, query).await;
    assert!(page.contains("自动返回 shop.example"), "{page}");
}

async fn with_brand(world: &World, brand: Brand) -> Functions {
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
        support: Some("help@vendor.example".parse().unwrap()),
        privacy: Some("https://vendor.example/privacy".parse().unwrap()),
        icp_number: Some("粤ICP备00000000号-1".parse().unwrap()),
        url: Some("https://vendor.example/".parse().unwrap()),
    };
    let functions = with_brand(&world, brand).await;
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
        assert!(body.contains("好店 &#60;Shop&#62;</p>"), "{body}");
        for link in [
            "<a href=\"mailto:help@vendor.example\">help@vendor.example</a>",
            "<a href=\"https://vendor.example/privacy\">隐私政策</a>",
            "<a href=\"https://beian.miit.gov.cn/\">粤ICP备00000000号-1</a>",
        ] {
            assert!(body.contains(link), "{body}");
        }
        let logo = "<img src=\"https://cdn.vendor.example/logo.png\" alt=\"\">";
        assert!(body.contains(logo), "{body}");
        assert!(body.contains("--accent:#123456;--on-accent:#ffffff"));
        let policy = head(&page, "content-security-policy");
        assert!(policy.contains("; img-src https://cdn.vendor.example; "));
    }
}

#[tokio::test]
async fn a_result_leads_back_to_the_vendor_and_says_to_whom_the_account_was_given() {
    let world = World::with_ticket().await;
    let brand = Brand {
        name: Some("好店".parse().unwrap()),
        url: Some("https://vendor.example/home".parse().unwrap()),
        ..Brand::default()
    };
    let functions = with_brand(&world, brand).await;
    let mut browser = Browser::default();
    let (back, _) = world.consent(&mut browser, appid()).await;
    let (without_code, _) = back.split_once("&auth_code").unwrap();
    let come_back = async |address: &str| {
        let request = browser.request("GET", address);
        functions.auth_callback.handle(request, deadline()).await
    };
    let denied = come_back(without_code).await;
    let way_back = "<p class=\"soft\"><a href=\"https://vendor.example/home\">返回好店</a></p>";
    assert!(denied.body().contains(way_back), "{}", denied.body());
    assert!(denied.body().contains("重新授权</a>"), "{}", denied.body());
    for said in ["已授权给好店，可以关闭本页。", "已授权给好店，无需重复操作"]
    {
        let page = come_back(&back).await;
        assert!(page.body().contains(said), "{}", page.body());
        let button = "<a class=\"button\" href=\"https://vendor.example/home\">返回好店</a>";
        assert!(page.body().contains(button), "{}", page.body());
    }
}

#[tokio::test]
async fn a_merchant_chooses_the_language_and_keeps_the_link() {
    let world = World::with_ticket().await;
    let query = "reference=shop-42&auth_type=1";
    let page = start_page(&world.functions, None, query).await;
    let switch = "中文 / <a href=\"?reference=shop-42&#38;auth_type=1&#38;lang=en\"";
    assert!(page.contains(switch), "{page}");
    let page = start_page(&world.functions, None, &format!("{query}&lang=en")).await;
    assert!(page.contains("Connect your Official Account to"), "{page}");
    assert!(page.contains("&#38;lang=zh\" lang=\"zh-CN\""), "{page}");
    // The way back has the language of the way there.
    let mut browser = Browser::default();
    let query = format!("{query}&lang=en");
    let (back, _) = world.consent_by(&mut browser, &query, appid()).await;
    let (without_code, _) = back.split_once("&auth_code").unwrap();
    let page = world.come_back(&browser, without_code).await;
    check_page(&page, StatusCode::OK, "Not authorized");
    let again = "href=\"start?reference=shop-42&#38;auth_type=1&#38;lang=en\"";
    assert!(page.body().contains(again), "{}", page.body());
}

#[tokio::test]
async fn a_link_for_one_account_names_it() {
    let world = World::with_ticket().await;
    let query = "biz_appid=wx1a2b3c4d5e6f7081";
    let page = start_page(&world.functions, None, query).await;
    let named = "仅限 AppID <code>wx1a2b3c4d5e6f7081</code> 的管理员授权。";
    assert!(page.contains(named), "{page}");
}

#[tokio::test]
async fn a_refused_link_tells_its_maker_and_the_log_which_parameter_is_wrong() {
    let world = World::with_ticket().await;
    let log = Log::listen();
    let over_long = format!("reference={}", "店".repeat(200));
    for (query, code, parameter, reference) in [
        (
            "auth_type=7&reference=a",
            "link_malformed(auth_type)",
            "auth_type",
            "\"a\"",
        ),
        (
            "biz_appid=wx1&reference=b",
            "link_malformed(biz_appid)",
            "biz_appid",
            "\"b\"",
        ),
        (
            "category_id_list=1,2",
            "link_malformed(category_id_list)",
            "category_id_list",
            "",
        ),
        (
            "return_to=https%3A%2F%2Fevil.example%2F&reference=c",
            "link_foreign_return",
            "return_to",
            "\"c\"",
        ),
        (
            &over_long,
            "link_malformed(reference)",
            "reference",
            &format!("\"{}\"", "店".repeat(128)),
        ),
    ] {
        let page = visit(&world, "GET", query, "").await;
        let code = format!("错误代码 {code}</p>");
        assert!(page.body().contains(&code), "{}", page.body());
        let lines = log.lines(&format!("parameter=\"{parameter}\""));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("an authorization link is refused"));
        let named = format!("reference={reference} ");
        assert_eq!(
            lines[0].contains(&named),
            !reference.is_empty(),
            "{lines:?}"
        );
    }
}

/// Asserts that a page makes the browser load nothing.
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
    // The longest address that has a QR code: its bytes make the largest page.
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
async fn the_parameters_of_a_link_reach_wechat_and_its_reference_does_not() {
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
            assert!(
                page.body()
                    .contains("Please ask auth.vendor.example for a new link.")
            );
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
        assert!(page.body().contains("return address is not registered"));
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
    // The table stores a hash of the cookie, and another browser gets another cookie.
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
    let title = "We can&#39;t start the authorization right now";
    check_page(&page, StatusCode::SERVICE_UNAVAILABLE, title);

    world.push_ticket().await;
    let cut_off = world.without_wechat().await.auth_start;
    let request = Browser::default().request("POST", "/auth/start?reference=a");
    let page = cut_off.handle(request, deadline()).await;
    check_page(
        &page,
        StatusCode::SERVICE_UNAVAILABLE,
        "暂时无法打开微信授权页",
    );
    assert!(!page.headers().contains_key(header::SET_COOKIE));
    // The page has the button again, which may lead to WeChat.
    let again = "<form method=\"post\"><button>重试</button></form>";
    assert!(page.body().contains(again), "{}", page.body());
    let policy = head(&page, "content-security-policy");
    let leads_on = policy.contains("form-action 'self' http://127.0.0.1:");
    assert!(leads_on, "{policy}");

    let clicked = world.click(&mut Browser::default(), "reference=a").await;
    assert!(!parameter(&location(&clicked), "pre_auth_code").is_empty());
}
