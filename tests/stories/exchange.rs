//! The exchange of an authorization code: once for each code, whether the browser or the notice
//! brings it first.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use wechat_simulator::{Fault, FaultEffect};

use crate::world::browser::{Browser, check_page};
use crate::world::rows::text;
use crate::world::wire::Cut;
use crate::world::{World, appid};

#[tokio::test]
async fn a_passing_fault_of_wechat_or_the_table_can_be_retried_at_the_same_address() {
    let world = World::with_ticket().await;
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    let title = "授权已提交，暂未处理完成";
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
            assert!(page.body().contains("请稍后重新检查"));
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

/// The order in which the browser and the notice bring one code.
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
    // WeChat's clock moves on between the consent and the callback.
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
    // The notice is handled: the refresher finds none.
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
async fn two_loads_of_one_page_at_once_are_one_exchange_and_both_say_connected() {
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
async fn a_lost_answer_is_repaired_by_the_notice_while_the_merchant_waits() {
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let (back, notice) = world.consent(&mut browser, appid()).await;
    let lost = Fault::new("api_query_auth", FaultEffect::AnswerLost);
    world.simulator.fault(lost);
    let noticed = async {
        // WeChat counts a call even if its answer gets lost.
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
async fn a_second_authorization_within_a_minute_is_never_answered_with_the_firsts_token() {
    for noticed in [true, false] {
        let world = World::with_authorizer().await;
        let first = world.token(appid()).await.unwrap();
        world.clock.advance(30);
        let mut browser = Browser::default();
        let (back, notice) = world.consent(&mut browser, appid()).await;
        // Without WeChat's answer the functions cannot know which authorization is the newer.
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
async fn a_merchant_who_withdraws_at_once_is_not_asked_to_authorize_again() {
    let world = World::with_ticket().await;
    let consent = world.simulator.authorize_unpushed(appid()).unwrap();
    world.simulator.revoke_unpushed(appid()).unwrap();
    // The same code in a notice with other bytes is another notice.
    for end in ["</xml>", "\n</xml>"] {
        let notice = consent.notice.replace("</xml>", end);
        assert!(world.push_xml(&notice).await.delivered);
        world.deliver().await;
    }
    let refused = world.token(appid()).await.unwrap_err();
    assert_eq!(refused.code(), "unknown_authorizer");
}
