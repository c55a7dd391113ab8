//! What the component's two rows mean.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use component_core::error::Error;
use component_core::row::component_token::COMPONENT_REFRESH_MARGIN;
use component_core::row::need::Need;
use component_core::store::{TicketPut, TicketWatch};
use component_core::token::Secret;
use serde_json::json;
use wechat_simulator::FaultEffect;

use super::{Item, SECOND, at, component, recorded, store, world_with};
use crate::world::rows::{number, text};
use crate::world::{World, deadline};

/// Every row of the component's token that is recorded.
const TOKENS: [&str; 8] = [
    "component_token",
    "component_token_in_doubt",
    "component_token_in_doubt_with_facts",
    "component_token_of_refused_address_with_facts",
    "component_token_refused",
    "component_token_refused_with_facts",
    "component_token_without_ticket",
    "component_token_without_ticket_with_facts",
];

const PK: &str = "component#token";

#[tokio::test]
async fn the_components_token_is_served_until_it_expires() {
    for name in TOKENS {
        let row = recorded(name);
        let expires_at = number(&row, "expires_at");
        let world = world_with(std::slice::from_ref(&row), expires_at - 1).await;
        let need = Need::lasting(Duration::ZERO);
        let token = component(&world).access_token(&need, deadline());
        let token = token.await.unwrap();
        assert_eq!(token.secret.expose(), text(&row, "access_token"), "{name}");
        assert_eq!(token.expires_at, at(expires_at), "{name}");
        assert_eq!(world.wechat_calls("api_component_token"), 0, "{name}");
    }
}

/// A doubt that WeChat may have issued another token cuts the time that a token is served.
#[tokio::test]
async fn the_components_token_is_served_only_until_the_doubt_about_it() {
    let mut row = recorded("component_token_in_doubt");
    let doubted_from = row["doubted_from"].clone();
    row.insert("expires_at".to_owned(), of(1_700_043_212));
    let world = world_with(&[row], 1_700_036_016).await;
    let need = Need::lasting(Duration::ZERO);
    let token = component(&world).access_token(&need, deadline());
    let expires_at = token.await.unwrap().expires_at;
    assert_eq!(of(expires_at.as_secs()), doubted_from);
}

/// The attributes of a row by which it is told apart from an earlier one of the same meaning.
fn without_marks(mut row: Item) -> Item {
    row.remove("written_by").unwrap();
    row
}

fn of(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// What is not about the new failure is written again as it was read.
#[tokio::test]
async fn a_failed_renewal_keeps_what_the_components_row_says() {
    for name in TOKENS {
        let row = recorded(name);
        let failed_before = row
            .get("failure_until")
            .map(|_| number(&row, "failure_until"));
        let now = failed_before.unwrap_or(number(&row, "expires_at")) + 5;
        let world = world_with(std::slice::from_ref(&row), now).await;
        let need = Need::preferably(COMPONENT_REFRESH_MARGIN).by_schedule();
        let failed = component(&world).access_token(&need, deadline()).await;
        assert!(matches!(failed, Err(Error::NoVerifyTicket)), "{failed:?}");

        let failing_since = match row.get("failure_since") {
            Some(since) => since.clone(),
            None => of(failed_before.unwrap_or(now)),
        };
        let mut expected = without_marks(row.clone());
        expected.retain(|attribute, _| !attribute.starts_with("failure"));
        let failure = AttributeValue::S("no_verify_ticket".to_owned());
        for (attribute, value) in [
            ("generation", of(number(&row, "generation") + 2)),
            ("lease_seq", of(number(&row, "lease_seq") + 1)),
            ("failure", failure),
            ("failure_since", failing_since),
            ("failure_refusals", of(0)),
            ("failure_until", of(now)),
        ] {
            expected.insert(attribute.to_owned(), value);
        }
        let written = world.row(PK).await.unwrap();
        assert_eq!(without_marks(written), expected, "{name}");
    }
}

#[tokio::test]
async fn the_next_refusal_of_the_component_is_shared_twice_as_long() {
    for name in [
        "component_token_refused",
        "component_token_refused_with_facts",
    ] {
        let row = recorded(name);
        let now = number(&row, "failure_until");
        let world = world_with(&[row], now).await;
        world.push_ticket().await;
        world.fault("api_component_token", FaultEffect::Errcode(45009));
        world.refresh().await;
        let written = world.row(PK).await.unwrap();
        assert_eq!(number(&written, "failure_refusals"), 2, "{name}");
        assert_eq!(number(&written, "failure_until"), now + 4, "{name}");
    }
}

/// What a caller of the component's token is told while the recorded failure is shared.
async fn told(name: &str) -> Error {
    let row = recorded(name);
    let world = world_with(
        std::slice::from_ref(&row),
        number(&row, "failure_until") - 1,
    )
    .await;
    let told = world.ask(json!({ "component": true })).await.unwrap_err();
    assert_eq!(told.code(), "wechat_rejected", "{name}");
    assert_eq!(world.wechat_calls("api_component_token"), 0, "{name}");
    told
}

#[tokio::test]
async fn a_refusal_of_the_component_is_told_to_callers_without_a_call() {
    told("component_token_refused").await;
    let quota = told("component_token_refused_with_facts").await;
    let advice = "wait until WeChat's quota is reset at midnight in Beijing, or clear it (api_component_token answered errcode 45009)";
    assert!(quota.advice().starts_with(advice), "{quota}");
    assert!(quota.is_component_wide());

    let name = "component_token_of_refused_address_with_facts";
    let address = told(name).await;
    let row = recorded(name);
    assert!(address.is_component_wide());
    let (seen_from, rid) = (text(&row, "failure_seen_from"), text(&row, "failure_rid"));
    assert!(address.advice().contains(&seen_from), "{address:?}");
    let facts = format!("refused with errcode 61004, rid {rid}, seen from {seen_from}");
    assert!(address.to_string().contains(&facts), "{address}");
}

async fn ticket(world: &World, now: u64) -> TicketWatch {
    store(world).watch_ticket(at(now)).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_ticket_is_read_as_it_was_written_and_gives_way_to_a_newer_one() {
    for (name, created_at, is_refused) in [
        ("ticket", 1_700_000_001, false),
        ("ticket_refused", 1_700_050_421, true),
        ("ticket_refused_by_digest", 1_700_156_627, true),
    ] {
        let row = recorded(name);
        let pushed = Secret::parse("ticket@@@pushed").unwrap();
        // A ticket that WeChat has refused gives way to an older one too.
        let older = if is_refused {
            TicketPut::Stored
        } else {
            TicketPut::Older
        };
        for (of, expected) in [
            (at(created_at) - SECOND, older),
            (at(created_at) + SECOND, TicketPut::Stored),
        ] {
            let world = world_with(std::slice::from_ref(&row), created_at).await;
            let stored = ticket(&world, created_at).await.stored;
            assert_eq!(stored.ticket.expose(), text(&row, "ticket"), "{name}");
            assert_eq!(stored.is_refused, is_refused, "{name}");
            let put = store(&world).put_ticket(&pushed, of, at(created_at));
            assert_eq!(put.await.unwrap(), expected, "{name}");
            let stored = ticket(&world, created_at).await.stored;
            assert!(!stored.is_refused, "{name}");
        }
    }
}

#[tokio::test]
async fn the_watch_of_the_tickets_goes_on_from_what_it_has_noted() {
    let now = 1_700_050_500;
    for (name, last_push_at, value_changed_at) in [
        // The value is the noted one, another one, and one where none is noted.
        ("ticket_watched", 1_700_036_015, 1_700_036_015),
        ("ticket_refused", 1_700_050_421, now),
        ("ticket", 1_700_000_001, now),
    ] {
        let world = world_with(&[recorded(name)], now).await;
        for _time in 0..2 {
            let watch = ticket(&world, now).await;
            let noted = (watch.last_push_at, watch.value_changed_at);
            let expected = (at(last_push_at), at(value_changed_at));
            assert_eq!(noted, expected, "{name}");
        }
    }
}

#[tokio::test]
async fn a_push_that_was_asked_for_is_not_asked_for_again_at_once() {
    let quarter = 900;
    for (now, calls) in [
        (1_700_050_421 + quarter - 1, 0),
        (1_700_050_421 + quarter, 1),
    ] {
        let world = world_with(&[recorded("ticket_refused")], now).await;
        let asked = component(&world).request_ticket_push(deadline());
        asked.await.unwrap();
        assert_eq!(world.wechat_calls("api_start_push_ticket"), calls, "{now}");
    }
}
