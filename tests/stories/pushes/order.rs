//! Notices in every order, through the stream: the last change at WeChat decides the row.

use std::time::Duration;

use crate::world::rows::{number, text};
use crate::world::{BEGINNING, World, appid};

/// The time between two actions of the merchant.
const LATER: u64 = 60;

/// All orders of three notices.
const ORDERS: [[usize; 3]; 6] = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
];

/// Pushes notices in this order; stream and refresher retry what fails.
async fn bring(world: &World, notices: &[&str]) {
    for notice in notices {
        assert!(world.push_xml(notice).await.delivered);
        world.deliver().await;
    }
    world.pass(Duration::from_mins(15)).await;
    world.refresh().await;
    for (pk, row) in world.rows().await {
        let pending = pk.starts_with("notice#") && row.contains_key("due_at");
        assert!(!pending, "a notice was left over");
    }
}

async fn check_authorized(world: &World, what: &str, at: u64) {
    let row = world.authorizer_row(appid()).await;
    assert_eq!(text(&row, "status"), "authorized", "{what}");
    assert_eq!(number(&row, "auth_epoch"), at, "{what}");
    assert!(!row.contains_key("ttl"), "{what}");
    let token = world.token(appid()).await.unwrap();
    world.assert_good(&token);
    let known = world.simulator.authorizer(appid()).unwrap().refresh_token;
    let row = world.authorizer_row(appid()).await;
    assert_eq!(Some(text(&row, "refresh_token")), known, "{what}");
}

async fn check_revoked(world: &World, what: &str) {
    let row = world.authorizer_row(appid()).await;
    assert_eq!(text(&row, "status"), "revoked", "{what}");
    assert!(row.contains_key("ttl"), "{what}");
    let refused = world.token(appid()).await.unwrap_err();
    assert_eq!(refused.code(), "authorization_revoked", "{what}");
}

fn authorize(world: &World) -> String {
    world.simulator.authorize_unpushed(appid()).unwrap().notice
}

fn revoke(world: &World) -> String {
    world.simulator.revoke_unpushed(appid()).unwrap()
}

/// The notices of an authorization, a revocation and a second authorization, with this time between
/// them.
fn three(world: &World, between: u64) -> [String; 3] {
    let first = authorize(world);
    world.clock.advance(between);
    let second = revoke(world);
    world.clock.advance(between);
    [first, second, authorize(world)]
}

async fn check_three(between: u64) {
    for order in ORDERS {
        let world = World::with_ticket().await;
        let notices = three(&world, between);
        bring(&world, &order.map(|index| notices[index].as_str())).await;
        let what = format!("{order:?}");
        check_authorized(&world, &what, BEGINNING + 2 * between).await;
    }
}

#[tokio::test]
async fn authorized_unauthorized_authorized_ends_authorized_in_all_six_orders() {
    check_three(LATER).await;
}

#[tokio::test]
async fn the_same_within_one_second_ends_authorized_in_all_six_orders() {
    check_three(0).await;
}

#[tokio::test]
async fn authorized_unauthorized_ends_revoked_in_both_orders() {
    for (between, order) in [(LATER, [0, 1]), (LATER, [1, 0]), (0, [0, 1]), (0, [1, 0])] {
        let world = World::with_ticket().await;
        let first = authorize(&world);
        world.clock.advance(between);
        let notices = [first, revoke(&world)];
        bring(&world, &order.map(|index| notices[index].as_str())).await;
        check_revoked(&world, &format!("{between} {order:?}")).await;
    }
}

#[tokio::test]
async fn a_revocation_in_the_second_of_an_authorization_that_was_taken_ends_it() {
    let world = World::with_ticket().await;
    world.authorize(appid()).await;
    world.token(appid()).await.unwrap();
    bring(&world, &[&revoke(&world)]).await;
    check_revoked(&world, "in its second").await;
}

#[tokio::test]
async fn a_revocation_that_comes_after_the_next_authorization_does_not_undo_it() {
    for between in [LATER, 0] {
        let world = World::with_ticket().await;
        world.authorize(appid()).await;
        world.clock.advance(between);
        let revoked = revoke(&world);
        world.clock.advance(between);
        world.authorize(appid()).await;
        let token = world.token(appid()).await.unwrap();
        bring(&world, &[&revoked]).await;
        check_authorized(&world, "late", BEGINNING + 2 * between).await;
        assert_eq!(world.token(appid()).await.unwrap(), token);
    }
}

#[tokio::test]
async fn a_revocation_of_an_unknown_account_stays_and_orders_what_comes_late() {
    let world = World::with_ticket().await;
    let [first, second, third] = three(&world, LATER);
    bring(&world, &[&second]).await;
    check_revoked(&world, "unknown").await;
    bring(&world, &[&first]).await;
    check_revoked(&world, "an older authorization").await;
    bring(&world, &[&third]).await;
    let row = world.authorizer_row(appid()).await;
    assert_eq!(text(&row, "status"), "authorized");
}

#[tokio::test]
async fn updated_notices_end_in_the_newest_authorization_in_all_six_orders() {
    for order in ORDERS {
        let world = World::with_ticket().await;
        // The merchant changes the granted permissions; each time the code before expires.
        let mut notices = Vec::new();
        for _update in 0..3 {
            world.clock.advance(LATER);
            notices.push(authorize(&world));
        }
        assert!(notices[2].contains("updateauthorized"));
        bring(&world, &order.map(|index| notices[index].as_str())).await;
        let what = format!("{order:?}");
        check_authorized(&world, &what, BEGINNING + 3 * LATER).await;
    }
}
