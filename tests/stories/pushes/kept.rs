//! What is stored of a push, and that each push is stored once.

use http::StatusCode;
use wechat_simulator::Settings;

use super::{
    check_accepted, check_refused, encrypt, envelope, query, seal_under, stored_ticket, ticket,
    value,
};
use crate::world::rows::{number, text};
use crate::world::{BEGINNING, World, appid};

/// Pushes a ticket with this time.
async fn push(world: &World, value: &str, create_time: u64) {
    let sealed = world.sealed(&ticket(value, create_time));
    check_accepted(world, value, &sealed.query, sealed.body).await;
}

async fn check_stored(world: &World, value: &str, create_time: u64) {
    let stored = stored_ticket(world).await.unwrap();
    assert_eq!(stored, (value.to_owned(), create_time));
}

#[tokio::test]
async fn an_older_ticket_is_taken_with_success_and_the_newer_one_stays() {
    let world = World::new().await;
    push(&world, "ticket@@@new", BEGINNING).await;
    let before = world.rows().await;
    push(&world, "ticket@@@old", BEGINNING - 1).await;
    push(&world, "ticket@@@older", BEGINNING - 600).await;
    assert_eq!(world.rows().await, before);
}

#[tokio::test]
async fn a_ticket_of_the_same_second_replaces_the_one_before() {
    let world = World::new().await;
    push(&world, "ticket@@@first", BEGINNING).await;
    push(&world, "ticket@@@second", BEGINNING).await;
    check_stored(&world, "ticket@@@second", BEGINNING).await;
}

#[tokio::test]
async fn the_newest_ticket_stays_in_whatever_order_they_come() {
    let newest = BEGINNING + 1200;
    for order in [[0, 600, 1200], [0, 1200, 600], [600, 0, 1200]] {
        for order in [order, [order[2], order[1], order[0]]] {
            let world = World::new().await;
            world.clock.set(newest);
            for later in order {
                let value = format!("ticket@@@{later}");
                push(&world, &value, BEGINNING + later).await;
            }
            check_stored(&world, "ticket@@@1200", newest).await;
            assert_eq!(world.rows().await.len(), 1);
        }
    }
}

#[tokio::test]
async fn an_unchanged_ticket_moves_the_time_of_the_last_push() {
    let world = World::new().await;
    push(&world, "ticket@@@same", BEGINNING).await;
    world.clock.advance(600);
    push(&world, "ticket@@@same", BEGINNING + 600).await;
    check_stored(&world, "ticket@@@same", BEGINNING + 600).await;
    let row = world.row("component#ticket").await.unwrap();
    assert_eq!(number(&row, "last_push_at"), BEGINNING + 600);
    assert!(!row.contains_key("ttl"));
}

#[tokio::test]
async fn the_same_push_three_times_is_stored_once() {
    let world = World::new().await;
    let notice = world.simulator.authorize_unpushed(appid()).unwrap().notice;
    for plain in [ticket("ticket@@@same", BEGINNING), notice] {
        let sealed = world.sealed(&plain);
        check_accepted(&world, "once", &sealed.query, sealed.body.clone()).await;
        let before = world.rows().await;
        for _again in 0..2 {
            check_accepted(&world, "again", &sealed.query, sealed.body.clone()).await;
        }
        assert_eq!(world.rows().await, before);
    }
    assert_eq!(world.rows().await.len(), 2);
}

#[tokio::test]
async fn the_same_push_three_times_at_once_is_stored_once() {
    let world = World::new().await;
    let notice = world.simulator.authorize_unpushed(appid()).unwrap().notice;
    let sealed = world.sealed(&notice);
    let one = || world.receive(&sealed.query, sealed.body.clone());
    let (first, second, third) = tokio::join!(one(), one(), one());
    for answered in [first, second, third] {
        assert_eq!(answered, (StatusCode::OK, "success".to_owned()));
    }
    assert_eq!(world.rows().await.len(), 1);
}

#[tokio::test]
async fn a_notice_pushed_again_after_it_was_handled_changes_nothing() {
    let world = World::with_ticket().await;
    let notice = world.simulator.authorize_unpushed(appid()).unwrap().notice;
    world.push_xml(&notice).await;
    world.deliver_all().await;
    let before = world.rows().await;
    // An hour later WeChat seals the notice again: timestamp, nonce and cipher text differ.
    world.clock.advance(3600);
    assert!(world.push_xml(&notice).await.delivered);
    assert!(world.deliver().await.is_null());
    assert_eq!(world.rows().await, before);
}

#[tokio::test]
async fn a_push_that_was_split_anew_is_stored_once() {
    let world = World::new().await;
    let notice = world.simulator.authorize_unpushed(appid()).unwrap().notice;
    let component = Settings::example().component_appid;
    let encrypt = encrypt(notice.as_bytes(), &component);
    // The signature covers the sorted values, so timestamp and nonce can be exchanged.
    let captured = query("1700000001", "1700000002", &encrypt);
    let split = query("1700000002", "1700000001", &encrypt);
    assert_eq!(
        value(&captured, "msg_signature"),
        value(&split, "msg_signature")
    );
    check_accepted(&world, "captured", &captured, envelope(&encrypt)).await;
    let before = world.rows().await;
    check_accepted(&world, "split anew", &split, envelope(&encrypt)).await;
    assert_eq!(world.rows().await, before);
    assert_eq!(before.len(), 1);
}

/// A cipher text whose end could be the start of a nonce, and sorts behind the rest. The genuine
/// nonce is `zz`.
fn movable() -> (String, String) {
    let component = Settings::example().component_appid;
    let whole = |number: u32| {
        let plain = ticket(&format!("ticket@@@moved{number:05}"), BEGINNING);
        // The plain text fills whole blocks, so that the base64 needs no `=`.
        let frame = 16 + 4 + plain.len() + component.len();
        let plain = plain + &" ".repeat(95 - frame % 96);
        encrypt(plain.as_bytes(), &component)
    };
    let split = |encrypt: String| {
        let (rest, tail) = encrypt.split_at(encrypt.len() - 4);
        let legal = tail.bytes().all(|b| b.is_ascii_alphanumeric());
        (legal && tail > rest).then(|| (rest.to_owned(), tail.to_owned()))
    };
    (0..).map(whole).find_map(split).unwrap()
}

#[tokio::test]
async fn a_push_whose_cipher_text_was_moved_into_its_nonce_is_refused() {
    let world = World::with_ticket().await;
    let (rest, tail) = movable();
    let captured = query(&BEGINNING.to_string(), "zz", &format!("{rest}{tail}"));
    let moved = query(&BEGINNING.to_string(), &format!("{tail}zz"), &rest);
    assert_eq!(
        value(&captured, "msg_signature"),
        value(&moved, "msg_signature")
    );
    check_refused(&world, "moved", &moved, envelope(&rest), 400).await;
    check_accepted(
        &world,
        "captured",
        &captured,
        envelope(&format!("{rest}{tail}")),
    )
    .await;
}

#[tokio::test]
async fn a_push_of_an_unknown_kind_is_taken_with_success_and_kept_without_its_ticket() {
    let world = World::with_ticket().await;
    let before = world.rows().await;
    let unknown = |info_type: &str| {
        ticket("ticket@@@x", BEGINNING).replace("component_verify_ticket", info_type)
    };
    for info_type in [
        "notify_third_fasteregister",
        "something_new",
        "Component_Verify_Ticket",
        "",
        "a kind\r\nwith a line's end \u{1f600}",
    ] {
        let sealed = world.sealed(&unknown(info_type));
        check_accepted(&world, info_type, &sealed.query, sealed.body).await;
        let mut rows = world.rows().await;
        let kept: Vec<_> = rows
            .extract_if(.., |pk, _| pk.starts_with("notice#"))
            .collect();
        assert_eq!(rows, before, "{info_type}");
        assert!(!format!("{kept:?}").contains("@@@"), "{info_type}");
    }
}

#[tokio::test]
async fn a_body_in_base64_is_a_body() {
    let world = World::new().await;
    let sealed = seal_under(
        &Settings::example(),
        &ticket("ticket@@@bytes", BEGINNING),
        BEGINNING,
    );
    check_accepted(&world, "binary", &sealed.query, sealed.body.into_bytes()).await;
    check_stored(&world, "ticket@@@bytes", BEGINNING).await;
}

#[tokio::test]
async fn a_notice_is_stored_as_received_and_pending() {
    let world = World::new().await;
    let consent = world.simulator.authorize_unpushed(appid()).unwrap();
    assert!(world.push_xml(&consent.notice).await.delivered);
    let rows = world.rows().await;
    let (pk, row) = rows.first_key_value().unwrap();
    assert!(pk.starts_with("notice#") && pk.len() == "notice#".len() + 64);
    assert_eq!(text(row, "authorizer_appid"), appid());
    assert_eq!(text(row, "authorization_code"), consent.auth_code);
    assert_eq!(number(row, "create_time"), BEGINNING);
    assert_eq!(number(row, "ttl"), BEGINNING + 7 * 86_400);
    assert!(row.contains_key("due_at"));
}
