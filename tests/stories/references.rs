//! The reference of a link, which is the vendor's own name for an account: it ends in the account's
//! row, in whatever order browser and notice come.

use serde_json::json;

use crate::world::browser::Browser;
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
    async fn come_back(&self, world: &World) {
        world.come_back(&self.browser, &self.back).await;
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
                FirstBack => first.come_back(&world).await,
                FirstNotice => first.notice(&world).await,
                SecondBack => second.come_back(&world).await,
                SecondNotice => second.notice(&world).await,
            }
        }
        assert_eq!(reference(&world).await, "second", "{steps:?}");
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
