//! While the table fails, WeChat gets 500 in time and retries the push; nothing is lost.

use std::time::{Duration, Instant};

use super::{NOT_STORED, answer, check_accepted, post, stored_ticket, ticket};
use crate::world::rows::text;
use crate::world::wire::Cut;
use crate::world::{BEGINNING, World, appid};

/// WeChat waits five seconds; one of them is left for the network.
const IN_TIME: Duration = Duration::from_secs(4);

/// The SDK's tries of one request.
const TRIES: u32 = 3;

/// The plain texts of a ticket and a notice, neither of which is stored yet.
fn plains(world: &World) -> [String; 2] {
    let notice = world.simulator.authorize_unpushed(appid()).unwrap().notice;
    [ticket("ticket@@@trouble", BEGINNING), notice]
}

/// Asserts that the push of a plain text is stored once: the ticket, or the row of the notice.
async fn check_stored_once(world: &World, plain: &str, what: &str) {
    let rows = world.rows().await;
    assert_eq!(rows.len(), 1, "{what}");
    let (pk, row) = rows.first_key_value().unwrap();
    if plain.contains("component_verify_ticket") {
        assert_eq!(pk, "component#ticket", "{what}");
        assert_eq!(text(row, "ticket"), "ticket@@@trouble", "{what}");
    } else {
        assert!(pk.starts_with("notice#"), "{what}");
        assert!(row.contains_key("due_at"), "{what}");
    }
}

/// While the table fails, a push gets 500 in time and is not stored; the next try stores it.
async fn check_down(cut: Cut) {
    tokio::join!(check_one_down(cut, 0), check_one_down(cut, 1));
}

async fn check_one_down(cut: Cut, which: usize) {
    let world = World::new().await;
    let plain = &plains(&world)[which];
    let what = format!("{cut:?} {plain}");
    let sealed = world.sealed(plain);
    world.wire.cut("*", cut, u32::MAX);
    let begun = Instant::now();
    let answered = post(&world.functions, &sealed.query, sealed.body.clone()).await;
    assert!(begun.elapsed() < IN_TIME, "{what}: {:?}", begun.elapsed());
    assert_eq!(answered, answer(500, NOT_STORED), "{what}");
    assert!(world.rows().await.is_empty(), "{what}");
    world.wire.mend();
    check_accepted(&world, &what, &sealed.query, sealed.body).await;
    check_stored_once(&world, plain, &what).await;
}

/// WeChat's own three tries outlast so many failing requests.
async fn check_pushed_again(cut: Cut, times: u32, statuses: &[u16]) {
    for which in [0, 1] {
        let world = World::new().await;
        let plain = &plains(&world)[which];
        let what = format!("{cut:?} {times} times: {plain}");
        world.wire.cut("*", cut, times);
        let outcome = world.push_xml(plain).await;
        let seen: Vec<_> = outcome.attempts.iter().map(|try_| try_.status).collect();
        let expected: Vec<_> = statuses.iter().copied().map(Some).collect();
        assert_eq!(seen, expected, "{what}");
        assert!(outcome.delivered, "{what}");
        check_stored_once(&world, plain, &what).await;
    }
}

#[tokio::test]
async fn while_the_table_is_down_the_answer_is_500_in_time() {
    check_down(Cut::Before).await;
}

#[tokio::test]
async fn while_the_table_is_throttled_the_answer_is_500_in_time() {
    check_down(Cut::Throttled).await;
}

#[tokio::test]
async fn while_the_table_does_not_answer_the_answer_is_500_in_time() {
    check_down(Cut::Hangs).await;
}

#[tokio::test]
async fn what_could_not_be_stored_is_stored_when_wechat_pushes_it_again() {
    for cut in [Cut::Before, Cut::Throttled] {
        check_pushed_again(cut, TRIES, &[500, 200]).await;
        check_pushed_again(cut, 2 * TRIES, &[500, 500, 200]).await;
    }
}

#[tokio::test]
async fn a_short_trouble_is_not_seen_by_wechat() {
    for cut in [Cut::Before, Cut::Throttled, Cut::AnswerLost] {
        check_pushed_again(cut, 1, &[200]).await;
        check_pushed_again(cut, TRIES - 1, &[200]).await;
    }
}

#[tokio::test]
async fn a_write_whose_outcome_is_unknown_is_stored_once() {
    check_pushed_again(Cut::AnswerLost, TRIES, &[500, 200]).await;
    check_pushed_again(Cut::AnswerLost, 2 * TRIES, &[500, 500, 200]).await;
}

#[tokio::test]
async fn a_write_whose_outcome_is_unknown_does_not_bring_an_older_ticket_back() {
    let world = World::new().await;
    let old = world.sealed(&ticket("ticket@@@old", BEGINNING));
    world.wire.cut("*", Cut::AnswerLost, TRIES);
    let answered = post(&world.functions, &old.query, old.body.clone()).await;
    assert_eq!(answered, answer(500, NOT_STORED));
    let new = world.sealed(&ticket("ticket@@@new", BEGINNING + 1));
    check_accepted(&world, "new", &new.query, new.body).await;
    check_accepted(&world, "old", &old.query, old.body).await;
    let stored = stored_ticket(&world).await.unwrap();
    assert_eq!(stored, ("ticket@@@new".to_owned(), BEGINNING + 1));
}

#[tokio::test]
async fn a_refused_push_and_one_that_cannot_be_read_need_no_table() {
    let world = World::new().await;
    let unread = world.sealed("hello");
    world.wire.cut("*", Cut::Before, u32::MAX);
    check_accepted(&world, "unread", &unread.query, unread.body.clone()).await;
    let forged = post(&world.functions, "", unread.body).await;
    assert_eq!(forged, answer(403, super::REFUSED));
    assert!(world.wire.calls().is_empty());
}

#[tokio::test]
async fn no_push_ever_calls_wechat() {
    let world = World::new().await;
    for plain in plains(&world) {
        assert!(world.push_xml(&plain).await.delivered);
    }
    assert!(world.simulator.calls().is_empty());
}
