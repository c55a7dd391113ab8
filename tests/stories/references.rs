//! The reference of a link, which is the vendor's own name for an account: it ends in the account's
//! row, in whatever order browser and notice come.

use serde_json::json;

use crate::world::browser::Browser;
use crate::world::log::Log;
use crate::world::rows::text;
use crate::world::{World, appid};

/// One merchant's way by one link, from the click to WeChat's consent.
struct Way {
    browser: Browser,
    back: String,
    notice: String,
}

async fn go(world: &World, reference: &str) -> Way {
    let mut browser = Browser::default();
    let query = format!("reference={reference}");
    let (back, notice) = world.consent_by(&mut browser, &query, appid()).await;
    Way {
        browser,
        back,
        notice,
    }
}

impl Way {
    /// Answers the page that the merchant sees.
    async fn come_back(&self, world: &World) -> String {
        let page = world.come_back(&self.browser, &self.back).await;
        page.into_body()
    }

    async fn notice(&self, world: &World) {
        assert!(world.push_xml(&self.notice).await.delivered);
        assert_eq!(world.deliver().await, json!({ "batchItemFailures": [] }));
    }
}

async fn reference(world: &World) -> String {
    text(&world.authorizer_row(appid()).await, "reference")
}

#[tokio::test]
async fn the_notice_of_a_merchant_who_never_comes_back_stores_the_reference() {
    let world = World::with_ticket().await;
    let way = go(&world, "%E5%BA%97+42").await;
    way.notice(&world).await;
    assert_eq!(reference(&world).await, "店 42");
}

#[tokio::test]
async fn the_refresher_stores_the_reference_of_a_notice_that_the_stream_missed() {
    let world = World::with_ticket().await;
    let way = go(&world, "shop-42").await;
    assert!(world.push_xml(&way.notice).await.delivered);
    world.pass(std::time::Duration::from_mins(2)).await;
    assert_eq!(world.refresh().await["notices"], 1);
    assert_eq!(reference(&world).await, "shop-42");
}

/// The steps of two merchants who authorize one account by two links; the second authorization is
/// the newer.
#[derive(Clone, Copy, Debug)]
enum Step {
    FirstBack,
    FirstNotice,
    SecondBack,
    SecondNotice,
}

#[tokio::test]
async fn of_two_links_for_one_account_the_newer_authorizations_reference_stays() {
    use Step::{FirstBack, FirstNotice, SecondBack, SecondNotice};
    for steps in [
        [FirstBack, FirstNotice, SecondBack, SecondNotice],
        [FirstNotice, FirstBack, SecondNotice, SecondBack],
        [SecondBack, SecondNotice, FirstBack, FirstNotice],
        [SecondNotice, SecondBack, FirstNotice, FirstBack],
        [FirstNotice, SecondNotice, SecondBack, FirstBack],
        [SecondBack, FirstBack, SecondNotice, FirstNotice],
        [FirstBack, SecondNotice, FirstNotice, SecondBack],
    ] {
        let world = World::with_ticket().await;
        let first = go(&world, "first").await;
        world.clock.advance(30);
        let second = go(&world, "second").await;
        world.clock.advance(1);
        for step in steps {
            match step {
                FirstBack => drop(first.come_back(&world).await),
                FirstNotice => first.notice(&world).await,
                SecondBack => drop(second.come_back(&world).await),
                SecondNotice => second.notice(&world).await,
            }
        }
        assert_eq!(reference(&world).await, "second", "{steps:?}");
    }
}

#[tokio::test]
async fn the_page_of_a_second_link_says_that_the_account_was_connected_before() {
    for notice_comes_first in [false, true] {
        let world = World::with_ticket().await;
        let first = go(&world, "first").await;
        let page = first.come_back(&world).await;
        assert!(page.contains("授权成功"), "{page}");
        first.notice(&world).await;
        world.clock.advance(60);
        let second = go(&world, "second").await;
        world.clock.advance(1);
        let log = Log::listen();
        if notice_comes_first {
            second.notice(&world).await;
        }
        let page = second.come_back(&world).await;
        assert!(page.contains("该账号此前已授权"), "{page}");
        assert!(!page.contains("first"), "{page}");
        if !notice_comes_first {
            second.notice(&world).await;
        }
        assert_eq!(reference(&world).await, "second");
        let changed = log.lines("the reference of this authorizer has changed");
        let [line] = changed.as_slice() else {
            panic!("{changed:?}");
        };
        assert!(line.contains("from=\"first\" to=\"second\""), "{line}");

        // A merchant who has withdrawn in between is connected anew.
        world.clock.advance(60);
        let overtaken = go(&world, "third").await;
        world.clock.advance(1);
        world.revoke(appid()).await;
        world.clock.advance(60);
        let after_a_withdrawal = go(&world, "fourth").await;
        world.clock.advance(1);
        let page = after_a_withdrawal.come_back(&world).await;
        assert!(page.contains("授权成功"), "{page}");
        // The older attempt comes back last; the newer one's reference stays.
        let page = overtaken.come_back(&world).await;
        assert!(!page.contains("授权成功"), "{page}");
        assert_eq!(reference(&world).await, "fourth");
    }
}

#[tokio::test]
async fn the_page_of_the_second_link_once_more_says_connected() {
    let world = World::with_ticket().await;
    for (reference, title) in [
        ("first", "授权成功"),
        ("second", "该账号此前已授权"),
        ("second", "授权成功"),
    ] {
        let way = go(&world, reference).await;
        world.clock.advance(1);
        let page = way.come_back(&world).await;
        assert!(page.contains(title), "{reference}: {page}");
        world.clock.advance(3600);
        world.push_ticket().await;
    }
}

#[tokio::test]
async fn the_page_of_a_link_whose_authorization_was_overtaken_says_so_too() {
    let world = World::with_ticket().await;
    let first = go(&world, "first").await;
    first.notice(&world).await;
    world.clock.advance(60);
    let second = go(&world, "second").await;
    world.clock.advance(1);
    second.notice(&world).await;
    let page = first.come_back(&world).await;
    assert!(page.contains("该账号此前已授权"), "{page}");
    assert_eq!(reference(&world).await, "second");
}

#[tokio::test]
async fn the_page_of_the_same_link_again_says_connected() {
    let world = World::with_ticket().await;
    for _time in 0..2 {
        let way = go(&world, "shop-42").await;
        world.clock.advance(1);
        let page = way.come_back(&world).await;
        assert!(page.contains("授权成功"), "{page}");
        way.notice(&world).await;
        world.clock.advance(3600);
        world.push_ticket().await;
    }
}

#[tokio::test]
async fn the_order_of_the_consents_counts_and_not_that_of_the_clicks() {
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let clicked = world.click(&mut browser, "reference=first-clicked").await;
    world.clock.advance(30);
    let other = go(&world, "second-clicked").await;
    world.clock.advance(30);
    let code = crate::world::browser::parameter(
        &crate::world::browser::location(&clicked),
        "pre_auth_code",
    );
    let late = world.simulator.consent_unpushed(&code, appid()).unwrap();
    assert!(world.push_xml(&late.notice).await.delivered);
    world.deliver().await;
    other.notice(&world).await;
    other.come_back(&world).await;
    assert_eq!(reference(&world).await, "first-clicked");
}

#[tokio::test]
async fn an_authorization_by_a_link_without_a_reference_keeps_the_stored_one() {
    let world = World::with_ticket().await;
    let way = go(&world, "shop-42").await;
    way.notice(&world).await;
    world.clock.advance(60);
    world.revoke(appid()).await;
    world.clock.advance(60);
    world.authorize(appid()).await;
    assert_eq!(reference(&world).await, "shop-42");
}

#[tokio::test]
async fn a_notice_whose_code_was_spent_stores_the_reference_with_the_token_that_wechat_lists() {
    use wechat_simulator::{Fault, FaultEffect};
    let world = World::with_ticket().await;
    let way = go(&world, "shop-42").await;
    let lost = Fault::new("api_query_auth", FaultEffect::AnswerLost);
    world.simulator.fault(lost);
    way.notice(&world).await;
    assert_eq!(reference(&world).await, "shop-42");
    world.assert_good(&world.token(appid()).await.unwrap());
}
