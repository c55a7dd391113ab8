//! Each message comes to the bus, once, whatever fails.

use std::time::Duration;

use local::events::Trouble;

use super::*;
use crate::world::log::Log;
use crate::world::rows::number;
use crate::world::wire::Cut;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_text_is_an_event_on_the_bus_with_wechats_own_names() {
    let world = World::with_authorizer().await;
    let to = world.user_name(appid()).await;
    let plain = format!(
        "<xml><ToUserName><![CDATA[{to}]]></ToUserName><FromUserName>o1</FromUserName><MsgType>text</MsgType><Content><![CDATA[你好 😀]]></Content><MsgId>7</MsgId></xml>"
    );
    world.send(appid(), &plain).await;
    let [event] = world.bus().try_into().unwrap();
    assert_eq!(event["source"], "wechat-component");
    assert_eq!(event["detail-type"], "Message Received");
    let mut detail = event["detail"].clone();
    let id = detail.as_object_mut().unwrap().remove("id").unwrap();
    assert_eq!(id.as_str().unwrap().len(), 64);
    let expected = json!({
        "component_appid": wechat_simulator::Settings::example().component_appid,
        "authorizer_appid": appid(),
        "reference": null,
        "format": "xml",
        "message": {
            "ToUserName": to, "FromUserName": "o1", "MsgType": "text", "Content": "你好 😀", "MsgId": "7",
        },
    });
    assert_eq!(detail, expected);
}

#[tokio::test]
async fn a_message_costs_two_writes_one_event_and_at_most_one_read() {
    let world = World::with_authorizer().await;
    world.wire.calls();
    world.send(appid(), &message("1", "a")).await;
    let calls = world.wire.calls();
    let expected = [
        ("GetItem", 1),
        ("PutEvents", 1),
        ("PutItem", 1),
        ("UpdateItem", 1),
    ];
    assert_eq!(calls, expected.map(|(name, n)| (name.to_owned(), n)).into());
    // What is known of the account is kept for five minutes.
    world.clock.advance(299);
    world.send(appid(), &message("2", "a")).await;
    assert_eq!(world.wire.calls().get("GetItem"), None);
    world.clock.advance(1);
    world.send(appid(), &message("3", "a")).await;
    assert_eq!(world.wire.calls()["GetItem"], 1);
    // A repetition costs the claim alone.
    world.send(appid(), &message("3", "a")).await;
    assert_eq!(world.wire.calls(), [("PutItem".to_owned(), 1)].into());
}

#[tokio::test]
async fn the_same_message_three_times_at_once_and_later_is_delivered_once() {
    let world = World::with_authorizer().await;
    let plain = message("1", "a");
    tokio::join!(
        world.send(appid(), &plain),
        world.send(appid(), &plain),
        world.send(appid(), &plain)
    );
    for _push in 0..2 {
        world.clock.advance(5);
        world.send(appid(), &plain).await;
    }
    assert_eq!(world.bus().len(), 1);
}

#[tokio::test]
async fn two_accounts_may_have_messages_of_one_id() {
    let world = World::with_authorizer().await;
    let other = wechat_simulator::DEMO_APPIDS[1];
    world.authorize(other).await;
    world.send(appid(), &message("1", "a")).await;
    world.send(other, &message("1", "a")).await;
    assert_eq!(world.bus().len(), 2);
}

#[tokio::test]
async fn an_event_repeated_is_one_and_two_that_differ_are_two() {
    let world = World::with_authorizer().await;
    let click = |key: &str| event("CLICK", &format!("<EventKey>{key}</EventKey>"));
    // WeChat's payments share sender and second, and differ deep inside.
    let paid = |order: &str| {
        let deep = format!("<Pay><Order><Id>{order}</Id></Order></Pay><MsgId>1</MsgId>");
        event("xpay_goods_deliver_notify", &deep)
    };
    for plain in [
        click("a"),
        click("a"),
        click("b"),
        paid("1"),
        paid("2"),
        paid("1"),
    ] {
        world.send(appid(), &plain).await;
    }
    let keys: Vec<_> = world
        .messages_on_the_bus()
        .iter()
        .map(|message| {
            let order = message.pointer("/Pay/Order/Id").cloned();
            order.unwrap_or(message["EventKey"].clone())
        })
        .collect();
    assert_eq!(keys, ["a", "b", "1", "2"]);
    assert!(
        world
            .bus()
            .iter()
            .all(|event| event["detail-type"] == "Event Received")
    );
}

#[tokio::test]
async fn what_the_bus_does_not_take_is_kept_and_delivered_within_one_schedule() {
    for trouble in [Trouble::FailedEntry, Trouble::Throttled, Trouble::Down] {
        let world = World::with_authorizer().await;
        world.emulators.bus.fail(trouble, 1);
        world.send(appid(), &message("1", "a")).await;
        assert_eq!(world.bus(), [Value::Null; 0], "{trouble:?}");
        // WeChat would not send it again; and if it did, it is a repetition.
        world.send(appid(), &message("1", "a")).await;
        assert_eq!(world.bus(), [Value::Null; 0], "{trouble:?}");
        world.pass(5 * MINUTE).await;
        let run = world.refresh().await;
        assert_eq!(run["delivered"], 1, "{trouble:?}");
        assert_eq!(world.messages_on_the_bus()[0]["MsgId"], "1");
        world.pass(5 * MINUTE).await;
        world.refresh().await;
        assert_eq!(world.bus().len(), 1, "{trouble:?}");
    }
}

#[tokio::test]
async fn a_bus_that_takes_it_and_does_not_answer_may_get_it_twice_with_one_id() {
    let world = World::with_authorizer().await;
    world.emulators.bus.fail(Trouble::AnswerLost, 1);
    world.send(appid(), &message("1", "a")).await;
    world.pass(5 * MINUTE).await;
    world.refresh().await;
    let events = world.bus();
    let [one, two] = events.as_slice() else {
        panic!("{events:?}");
    };
    assert_eq!(one["detail"], two["detail"]);
}

#[tokio::test]
async fn a_bus_that_hangs_costs_wechat_four_seconds() {
    let world = World::with_authorizer().await;
    world.emulators.bus.fail(Trouble::Hangs, 1);
    let began = std::time::Instant::now();
    world.send(appid(), &message("1", "a")).await;
    assert!(began.elapsed() < Duration::from_millis(4_900));
    world.pass(5 * MINUTE).await;
    assert_eq!(world.refresh().await["delivered"], 1);
}

#[tokio::test]
async fn without_the_table_the_bus_takes_it_and_without_both_wechat_must_send_it_again() {
    let world = World::with_authorizer().await;
    world.wire.cut("GetItem", Cut::Before, u32::MAX);
    world.wire.cut("PutItem", Cut::Before, u32::MAX);
    world.send(appid(), &message("1", "a")).await;
    assert_eq!(world.bus().len(), 1);

    world.emulators.bus.fail(Trouble::Throttled, 1);
    let (status, body) = world.message(appid(), &message("2", "a")).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(body, "this push could not be delivered, send it again");
    world.send(appid(), &message("2", "a")).await;
    assert_eq!(world.bus().len(), 2);
    world.wire.mend();
}

#[tokio::test]
async fn a_table_that_hangs_is_waited_for_a_second() {
    let world = World::with_authorizer().await;
    world.wire.cut("GetItem", Cut::Hangs, u32::MAX);
    world.wire.cut("PutItem", Cut::Hangs, u32::MAX);
    let began = std::time::Instant::now();
    world.send(appid(), &message("1", "a")).await;
    assert!(began.elapsed() < Duration::from_secs(3));
    assert_eq!(world.bus().len(), 1);
    world.wire.mend();
}

#[tokio::test]
async fn a_read_that_hangs_leaves_the_claim_its_time_and_what_was_known_of_the_account() {
    let world = World::with_authorizer().await;
    world.send(appid(), &message("1", "a")).await;
    let value = aws_sdk_dynamodb::types::AttributeValue::S("m-42".to_owned());
    world
        .set(&format!("authorizer#{}", appid()), "reference", value)
        .await;
    world.clock.advance(300);
    world.send(appid(), &message("2", "a")).await;
    world.clock.advance(301);
    world.wire.cut("GetItem", Cut::Hangs, u32::MAX);
    world.emulators.bus.fail(Trouble::Down, 1);
    world.send(appid(), &message("3", "a")).await;
    world.wire.mend();
    world.pass(5 * MINUTE).await;
    assert_eq!(world.refresh().await["delivered"], 1);
    assert_eq!(world.bus()[2]["detail"]["reference"], "m-42");
}

#[tokio::test]
async fn a_completion_that_is_lost_delivers_twice_at_most() {
    let world = World::with_authorizer().await;
    let row = "UpdateItem";
    world.wire.cut(row, Cut::Before, 3);
    world.send(appid(), &message("1", "a")).await;
    world.wire.mend();
    for _run in 0..3 {
        world.pass(5 * MINUTE).await;
        world.refresh().await;
    }
    assert_eq!(world.bus().len(), 2);
    assert_eq!(
        world.bus()[0]["detail"]["id"],
        world.bus()[1]["detail"]["id"]
    );
}

#[tokio::test]
async fn a_claim_whose_answer_is_lost_is_known_as_ones_own() {
    let world = World::with_authorizer().await;
    world.wire.cut("PutItem", Cut::AnswerLost, 1);
    world.send(appid(), &message("1", "a")).await;
    assert_eq!(world.bus().len(), 1);
}

#[tokio::test]
async fn a_receiver_that_died_after_the_claim_leaves_the_message_to_the_schedule() {
    let world = World::with_authorizer().await;
    world.emulators.bus.fail(Trouble::Down, 1);
    world.send(appid(), &message("1", "a")).await;
    // Within its minute, the message is the receiver's own.
    assert_eq!(world.refresh().await["delivered"], 0);
    world.clock.advance(60);
    assert_eq!(world.refresh().await["delivered"], 1);
}

#[tokio::test]
async fn a_bus_that_stays_down_is_tried_in_every_run_and_holds_up_no_renewal() {
    let world = World::with_authorizer().await;
    world.emulators.bus.fail(Trouble::Down, u32::MAX);
    for number in 0..40 {
        world
            .send(appid(), &message(&number.to_string(), "a"))
            .await;
    }
    world.pass(HOUR * 2).await;
    let run = world.refresh().await;
    assert_eq!(
        (&run["renewed"], &run["stopped"]),
        (&json!(1), &Value::Null)
    );
    assert_eq!(run["delivered"], 0);
    world.emulators.bus.mend();
    world.pass(5 * MINUTE).await;
    assert_eq!(world.refresh().await["delivered"], 40);
}

#[tokio::test]
async fn once_the_bus_has_it_nothing_of_its_content_is_left_in_the_table() {
    let world = World::with_authorizer().await;
    world.send(appid(), &message("1", "PRIVATE")).await;
    let [row] = world.message_rows().await.try_into().unwrap();
    assert!(!format!("{row:?}").contains("PRIVATE"));
    assert!(!row.contains_key("due_at") && !row.contains_key("due_shard"));
    let left = number(&row, "ttl") - world.clock.now();
    assert_eq!(left, 48 * 3600);
}

#[tokio::test]
async fn an_expired_claim_counts_as_none_though_the_table_still_has_it() {
    let world = World::with_authorizer().await;
    world.send(appid(), &message("1", "a")).await;
    for _hours in 0..48 {
        world.pass(HOUR).await;
    }
    world.send(appid(), &message("1", "a")).await;
    assert_eq!(world.bus().len(), 2);
}

#[tokio::test]
async fn the_bus_is_told_the_vendors_name_for_the_account() {
    let world = World::with_authorizer().await;
    let value = aws_sdk_dynamodb::types::AttributeValue::S("m-42".to_owned());
    let pk = format!("authorizer#{}", appid());
    world.set(&pk, "reference", value).await;
    world.send(appid(), &message("1", "a")).await;
    assert_eq!(world.bus()[0]["detail"]["reference"], "m-42");
}

#[tokio::test]
async fn codes_and_tickets_reach_neither_the_bus_nor_the_table_nor_the_log() {
    let world = World::with_authorizer().await;
    let log = Log::listen();
    let secrets = "<AuthorizationCode>SECRET1</AuthorizationCode><ApplyAuthorizationInfoNoitfy><ticket>SECRET2</ticket></ApplyAuthorizationInfoNoitfy>";
    world.emulators.bus.fail(Trouble::Down, 1);
    world
        .send(appid(), &event("betaapp_verify_event", secrets))
        .await;
    let rows = format!("{:?}", world.message_rows().await);
    world.pass(5 * MINUTE).await;
    assert_eq!(world.refresh().await["delivered"], 1);
    let seen = format!("{rows} {:?} {:?}", world.bus(), log.lines(""));
    assert!(!seen.contains("SECRET"), "{seen}");
}

#[tokio::test]
async fn a_message_of_sixty_kib_with_emoji_is_delivered_whole() {
    let world = World::with_authorizer().await;
    let content = "😀a".repeat(8_500);
    world.send(appid(), &message("1", &content)).await;
    assert_eq!(world.messages_on_the_bus()[0]["Content"], content);
}

#[tokio::test]
async fn a_json_text_inside_the_seal_is_taken_as_it_is() {
    let world = World::with_authorizer().await;
    let text = r#"{"MsgType":"event","Event":"channels_ec_order_new","id":3705115058471208928}"#;
    world.send(appid(), text).await;
    let [event] = world.bus().try_into().unwrap();
    assert_eq!(event["detail-type"], "Event Received");
    assert_eq!(event["detail"]["format"], "json");
    assert_eq!(
        event["detail"]["message"]["id"],
        3_705_115_058_471_208_928_u64
    );
}
