//! What siblings are told of the accounts: each change that they can see, once it took place, in its
//! order, and nothing else.

use std::time::Duration;

use component_api::id::AuthorizerAppId;
use local::events::Trouble;
use serde_json::{Value, json};
use wechat_simulator::{Fault, FaultEffect};

use crate::world::browser::Browser;
use crate::world::rows::{number, text};
use crate::world::wire::Cut;
use crate::world::{World, appid};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

impl World {
    /// The `detail-type` and the `sequence` of each event of an authorizer on the bus.
    fn told(&self) -> Vec<(String, u64)> {
        let events = self.emulators.bus.events().into_iter();
        let of_authorizers = events.filter(|event| event["detail"].get("message").is_none());
        let told = of_authorizers.map(|event| {
            let kind = event["detail-type"].as_str().unwrap();
            let kind = kind.strip_prefix("Authorizer ").unwrap().to_owned();
            (kind, event["detail"]["sequence"].as_u64().unwrap())
        });
        told.collect()
    }

    async fn outbox(&self) -> Vec<String> {
        let rows = self.rows().await.into_keys();
        rows.filter(|pk| pk.starts_with("event#")).collect()
    }
}

/// A world with an authorizer of which siblings have yet to be told.
async fn untold() -> World {
    let world = World::with_ticket().await;
    world.authorize_untold(appid()).await;
    world
}

#[track_caller]
fn check_told(world: &World, expected: &[&str]) {
    let numbered = expected.iter().zip(1..);
    let expected: Vec<_> = numbered
        .map(|(kind, sequence)| ((*kind).to_owned(), sequence))
        .collect();
    assert_eq!(world.told(), expected);
}

#[tokio::test]
async fn siblings_are_told_of_an_authorization_and_then_of_its_name() {
    let world = World::with_authorizer().await;
    world.deliver_all().await;
    check_told(&world, &["Authorized", "Updated"]);
    let events = world.emulators.bus.events();
    let row = world.authorizer_row(appid()).await;
    let mut detail = events[1]["detail"].clone();
    let id = detail.as_object_mut().unwrap().remove("id").unwrap();
    assert_eq!(id.as_str().unwrap().len(), 32);
    let expected = json!({
        "sequence": 2,
        "component_appid": wechat_simulator::Settings::example().component_appid,
        "authorizer_appid": appid(),
        "reference": null,
        "name": text(&row, "name"),
        "user_name": text(&row, "user_name"),
        "permission_sets": world.simulator.authorizer(appid()).unwrap().permission_sets,
        "at": world.clock.now(),
    });
    assert_eq!(detail, expected);
    assert_eq!(events[0]["detail"]["name"], Value::Null);
    assert_eq!(events[0]["source"], "wechat-component");
    assert_eq!(world.outbox().await, [""; 0]);
}

#[tokio::test]
async fn a_withdrawal_is_told_with_the_time_of_its_notice() {
    let world = World::with_authorizer().await;
    world.clock.advance(60);
    let notice = world.simulator.revoke_unpushed(appid()).unwrap();
    let at = world.clock.now();
    world.clock.advance(60);
    world.push_xml(&notice).await;
    world.deliver_all().await;
    check_told(&world, &["Authorized", "Updated", "Revoked"]);
    assert_eq!(world.emulators.bus.events()[2]["detail"]["at"], at);
    // A second notice of the same tells nothing new.
    world.push_xml(&notice).await;
    world.deliver_all().await;
    world.clock.advance(60);
    world.authorize(appid()).await;
    world.deliver_all().await;
    check_told(&world, &["Authorized", "Updated", "Revoked", "Authorized"]);
}

#[tokio::test]
async fn a_renewal_tells_nothing_and_costs_no_write_more() {
    let world = World::with_authorizer().await;
    world.deliver_all().await;
    world.pass(90 * MINUTE).await;
    world.ask(json!({ "component": true })).await.unwrap();
    world.wire.calls();
    assert_eq!(world.refresh().await["renewed"], 1);
    let calls = world.wire.calls();
    assert_eq!(calls.get("TransactWriteItems"), None);
    assert_eq!(calls["PutItem"], 2);
    world.deliver_all().await;
    check_told(&world, &["Authorized", "Updated"]);
}

#[tokio::test]
async fn a_limit_and_its_end_are_told() {
    let world = World::with_authorizer().await;
    let limited = Fault::new("api_authorizer_token", FaultEffect::Errcode(50002));
    world.simulator.fault(limited.times(1));
    world.pass(90 * MINUTE).await;
    world.refresh().await;
    world.pass(HOUR).await;
    world.refresh().await;
    world.deliver_all().await;
    check_told(&world, &["Authorized", "Updated", "Limited", "Authorized"]);
}

#[tokio::test]
async fn an_account_that_must_authorize_again_is_told() {
    let world = World::with_authorizer().await;
    // The code of a new authorization was lost: the old refresh token is dead.
    world.clock.advance(60);
    world.simulator.revoke_unpushed(appid()).unwrap();
    world.simulator.authorize_unpushed(appid()).unwrap();
    world.pass(90 * MINUTE).await;
    world.refresh().await;
    let row = world.authorizer_row(appid()).await;
    assert_eq!(text(&row, "status"), "reauthorization_required");
    world.deliver_all().await;
    check_told(
        &world,
        &["Authorized", "Updated", "Reauthorization Required"],
    );
}

#[tokio::test]
async fn another_reference_or_other_permission_sets_are_told() {
    let world = World::with_authorizer().await;
    world.deliver_all().await;
    world.clock.advance(60);
    world.simulator.set_permission_sets(appid(), &[1]).unwrap();
    let mut browser = Browser::default();
    let (back, notice) = world
        .consent_by(&mut browser, "reference=m-42", appid())
        .await;
    world.come_back(&browser, &back).await;
    world.push_xml(&notice).await;
    world.deliver_all().await;
    let events = world.emulators.bus.events();
    let last = &events.last().unwrap()["detail"];
    assert_eq!(last["reference"], "m-42");
    assert_eq!(last["permission_sets"], json!([1]));
    let kinds: Vec<_> = world.told().into_iter().map(|(kind, _)| kind).collect();
    assert!(kinds[2..].iter().all(|kind| kind == "Updated"), "{kinds:?}");
}

#[tokio::test]
async fn records_that_come_in_another_order_are_told_in_theirs() {
    let world = untold().await;
    world.revoke_untold(appid()).await;
    let batch = world.next_batch().unwrap();
    let mut records = batch["Records"].as_array().unwrap().clone();
    records.reverse();
    for record in records {
        world.sync(&json!({ "Records": [record] })).await.unwrap();
    }
    check_told(&world, &["Authorized", "Updated", "Revoked"]);
}

#[tokio::test]
async fn what_the_bus_does_not_take_is_told_by_the_schedule_in_its_order() {
    let world = untold().await;
    world.emulators.bus.fail(Trouble::Down, u32::MAX);
    world.revoke_untold(appid()).await;
    // The batch does not come again: the release check may wait behind it.
    world.deliver_all().await;
    world.pass(5 * MINUTE).await;
    world.refresh().await;
    check_told(&world, &[]);
    world.emulators.bus.mend();
    for _run in 0..2 {
        world.pass(5 * MINUTE).await;
        world.refresh().await;
    }
    check_told(&world, &["Authorized", "Updated", "Revoked"]);
    assert_eq!(world.outbox().await, [""; 0]);
}

#[tokio::test]
async fn an_event_whose_record_never_comes_is_told_by_the_schedule() {
    let world = untold().await;
    drop(world.next_batch());
    assert_eq!(world.outbox().await.len(), 2);
    // The stream has a minute.
    world.refresh().await;
    check_told(&world, &[]);
    world.clock.advance(60);
    assert_eq!(world.refresh().await["delivered"], 2);
    check_told(&world, &["Authorized", "Updated"]);
}

#[tokio::test]
async fn an_event_may_come_twice_with_one_id() {
    let world = untold().await;
    world.emulators.bus.fail(Trouble::AnswerLost, 1);
    world.deliver_all().await;
    world.pass(5 * MINUTE).await;
    world.refresh().await;
    let events = world.emulators.bus.events();
    assert_eq!(events[0]["detail"], events[1]["detail"]);
    let kinds: Vec<_> = world.told().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["Authorized", "Authorized", "Updated"]);
}

#[tokio::test]
async fn another_workers_transaction_on_the_row_is_a_race_and_loses_nothing() {
    let row = format!("PutItem authorizer#{}", appid());
    // An authorization, which is a transaction.
    let world = World::with_ticket().await;
    world.wire.cut(&row, Cut::Conflict, 3);
    world.authorize(appid()).await;
    world.wire.mend();
    world.assert_good(&world.token(appid()).await.unwrap());
    world.deliver_all().await;
    check_told(&world, &["Authorized", "Updated"]);

    // The lease and the write of a renewal, which are plain puts.
    world.pass(HOUR * 3).await;
    world.ask(json!({ "component": true })).await.unwrap();
    let renewals = world.wechat_calls("api_authorizer_token");
    world.wire.cut(&row, Cut::Conflict, 2);
    world.assert_good(&world.token(appid()).await.unwrap());
    assert_eq!(world.wechat_calls("api_authorizer_token"), renewals + 1);
    world.wire.mend();
    world.pass(HOUR * 3).await;
    world.ask(json!({ "component": true })).await.unwrap();
    world.wire.cut(&row, Cut::Conflict, 1);
    assert_eq!(world.refresh().await["renewed"], 1);
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_is_told_once() {
    let world = World::with_ticket().await;
    world.wire.cut("TransactWriteItems", Cut::AnswerLost, 1);
    world.authorize(appid()).await;
    world.deliver_all().await;
    check_told(&world, &["Authorized", "Updated"]);
    let row = world.authorizer_row(appid()).await;
    assert_eq!(number(&row, "event_seq"), 2);
}

#[tokio::test]
async fn no_token_and_no_code_is_told() {
    let world = untold().await;
    let row = world.authorizer_row(appid()).await;
    let secrets = ["access_token", "refresh_token"].map(|name| text(&row, name));
    let outbox: Vec<_> = world.rows().await.into_iter().collect();
    let outbox = outbox
        .into_iter()
        .filter(|(pk, _)| pk.starts_with("event#"));
    let outbox = format!("{:?}", outbox.collect::<Vec<_>>());
    world.deliver_all().await;
    let told = format!("{outbox}{:?}", world.emulators.bus.events());
    assert!(secrets.iter().all(|secret| !told.contains(secret)));
    assert!(!told.contains("@@@"));
    assert!(AuthorizerAppId::parse(appid()).is_ok());
}
