//! What WeChat refuses until something changes: refresh tokens, component tokens, tickets,
//! addresses.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;
use wechat_simulator::{Fault, FaultEffect};

use super::{
    HOUR, NO_TICKET, UNAVAILABLE, assert_answer, assert_works, component_token,
    forget_refresh_tokens, holds, row_key,
};
use crate::world::rows::text;
use crate::world::{World, appid, assert_tells_nothing};

#[tokio::test]
async fn a_refresh_token_that_wechat_refuses_gives_way_to_the_one_it_names() {
    let world = World::with_authorizer().await;
    let live = text(&world.authorizer_row(appid()).await, "refresh_token");
    forget_refresh_tokens(&world, appid()).await;
    world.pass(HOUR * 2).await;
    world.simulator.reset_calls();
    assert_eq!(world.refresh().await["renewed"], 1);
    let row = world.authorizer_row(appid()).await;
    assert_eq!(text(&row, "refresh_token"), live);
    assert!(!holds(&row, "refreshtoken@@@dead"));
    let calls = world.new_wechat_calls();
    assert_eq!(calls["api_authorizer_token"], 2);
    assert_eq!(calls["api_get_authorizer_info"], 1);
    world.assert_good(&world.token(appid()).await.unwrap());
}

#[tokio::test]
async fn a_refresh_token_that_wechat_refuses_gives_way_to_the_one_before_it() {
    let world = World::with_authorizer().await;
    let live = text(&world.authorizer_row(appid()).await, "refresh_token");
    forget_refresh_tokens(&world, appid()).await;
    let history = AttributeValue::L(vec![AttributeValue::S(live.clone())]);
    world
        .set(&row_key(appid()), "refresh_history", history)
        .await;
    world.pass(HOUR * 2).await;
    world.simulator.reset_calls();
    world.assert_good(&world.token(appid()).await.unwrap());
    assert_eq!(world.wechat_calls("api_authorizer_token"), 2);
    assert_eq!(world.wechat_calls("api_get_authorizer_info"), 0);
    let row = world.authorizer_row(appid()).await;
    assert_eq!(text(&row, "refresh_token"), live);
    assert!(!holds(&row, "refreshtoken@@@dead"));
}

#[tokio::test]
async fn an_account_whose_every_refresh_token_is_refused_for_a_day_is_left_alone_until_it_authorizes_again()
 {
    let world = World::with_authorizer().await;
    world.fault("api_authorizer_token", FaultEffect::Errcode(61023));
    for _run in 0..2 {
        world.pass(HOUR * 25).await;
        assert_eq!(world.refresh().await["failed"], 1);
    }
    let row = world.authorizer_row(appid()).await;
    assert_eq!(text(&row, "status"), "reauthorization_required");
    assert!(!row.contains_key("due_at"));
    assert!(!row.contains_key("ttl"));
    world.simulator.reset_calls();
    for _run in 0..3 {
        world.pass(HOUR).await;
        world.refresh().await;
        let refused = world.token(appid()).await.unwrap_err();
        assert_eq!(refused.code(), "reauthorization_required");
        assert!(refused.advice().contains(appid()));
    }
    assert_eq!(world.wechat_calls("api_authorizer_token"), 0);
    assert_eq!(world.wechat_calls("api_get_authorizer_info"), 0);
    world.end_faults("api_authorizer_token").await;
    world.authorize(appid()).await;
    assert_works(&world, "authorized again").await;
}

#[tokio::test]
async fn an_account_that_wechat_no_longer_lists_is_revoked_without_a_notice() {
    let world = World::with_authorizer().await;
    world.pass(HOUR * 2).await;
    world.simulator.revoke_unpushed(appid()).unwrap();
    world.simulator.reset_calls();
    let refused = world.token(appid()).await.unwrap_err();
    assert_eq!(refused.code(), "authorization_revoked");
    let calls = world.new_wechat_calls();
    assert_eq!(calls["api_authorizer_token"], 1);
    assert_eq!(calls["api_get_authorizer_info"], 1);
    assert!(!calls.contains_key("api_get_authorizer_list"));
    let row = world.authorizer_row(appid()).await;
    assert_eq!(text(&row, "status"), "revoked");
    assert!(row.contains_key("refresh_token"));
    // A late notice of the next authorization is still accepted.
    world.clock.advance(1);
    world.authorize(appid()).await;
    assert_works(&world, "authorized again").await;
}

#[tokio::test]
async fn refresh_tokens_that_wechat_rotates_are_followed_even_when_an_answer_is_lost() {
    let world = World::with_authorizer().await;
    world.simulator.set_rotate_refresh_tokens(true);
    let first = text(&world.authorizer_row(appid()).await, "refresh_token");
    for _renewal in 0..3 {
        world.pass(HOUR * 2).await;
        assert_eq!(world.refresh().await["renewed"], 1);
    }
    let row = world.authorizer_row(appid()).await;
    assert_ne!(text(&row, "refresh_token"), first);
    assert_works(&world, "rotated").await;

    for times in [1, 3] {
        let what = format!("{times} answers lost");
        world.pass(HOUR * 2).await;
        let lost = Fault::new("api_authorizer_token", FaultEffect::AnswerLost);
        world.simulator.fault(lost.times(times));
        let answer = world.ask(json!({ "authorizer_appid": appid() })).await;
        let expected = if times == 1 { Ok(()) } else { UNAVAILABLE };
        assert_answer(&answer, expected, &what);
        // The list is not needed: WeChat's info names the refresh token of the lost answer.
        assert_works(&world, &what).await;
    }
}

#[tokio::test]
async fn a_refresh_that_meets_the_next_authorization_changes_nothing_of_it() {
    const ENDPOINT: &str = "api_authorizer_token";
    let pause = Duration::from_secs(1);
    // WeChat answers the old refresh token before the merchant authorizes again, or refuses it
    // afterwards.
    for slow in [
        Fault::late_answer(ENDPOINT, pause),
        Fault::delay(ENDPOINT, pause),
    ] {
        let world = World::with_authorizer().await;
        world.pass(HOUR * 2).await;
        component_token(&world).await;
        world.simulator.fault(slow);
        world.simulator.reset_calls();
        let meanwhile = async {
            while world.wechat_calls(ENDPOINT) == 0 {
                tokio::task::yield_now().await;
            }
            world.authorize(appid()).await;
            world.authorizer_row(appid()).await
        };
        let (token, row) = tokio::join!(world.token(appid()), meanwhile);
        let token = token.unwrap();
        world.assert_good(&token);
        assert_eq!(world.authorizer_row(appid()).await, row);
        assert_eq!(text(&row, "access_token"), token);
        assert_eq!(world.wechat_calls(ENDPOINT), 1);
        assert_works(&world, "authorized meanwhile").await;
    }
}

#[tokio::test]
async fn a_component_token_that_another_stack_has_replaced_is_replaced_once() {
    let world = World::with_authorizer().await;
    world.pass(HOUR * 2).await;
    let component = world.ask(json!({ "component": true })).await.unwrap();
    let ticket = world.row("component#ticket").await.unwrap();
    let elsewhere = json!({
        "component_appid": "wx0123456789abcdef",
        "component_appsecret": "0123456789abcdef0123456789abcdef",
        "component_verify_ticket": text(&ticket, "ticket"),
    });
    let url = format!(
        "{}/cgi-bin/component/api_component_token",
        world.parts.wechat_url
    );
    let call = world.http.post(url).body(elsewhere.to_string());
    call.send().await.unwrap();
    world.clock.advance(301);
    let token = component["access_token"].as_str().unwrap();
    assert!(!world.simulator.component_token_works(token));

    world.simulator.reset_calls();
    world.assert_good(&world.token(appid()).await.unwrap());
    let calls = world.new_wechat_calls();
    assert_eq!(calls["api_component_token"], 1);
    assert_eq!(calls["api_authorizer_token"], 2);
    assert_eq!(calls.len(), 2);
}

#[tokio::test]
async fn a_ticket_that_wechat_refuses_is_asked_for_again_once_in_fifteen_minutes() {
    let world = World::with_ticket().await;
    let bogus = AttributeValue::S("ticket@@@bogus".to_owned());
    world.set("component#ticket", "ticket", bogus.clone()).await;
    // WeChat's pushes do not arrive.
    world.simulator.set_events_url("http://127.0.0.1:1/");
    for (wait, asked) in [(0, 1), (1, 1), (600, 1), (298, 1), (1, 2), (899, 2), (1, 3)] {
        world.clock.advance(wait);
        let answer = world.ask(json!({ "component": true })).await;
        assert_answer(&answer, NO_TICKET, &format!("{wait}"));
        assert_eq!(world.wechat_calls("api_start_push_ticket"), asked, "{wait}");
    }
}

#[tokio::test]
async fn a_ticket_that_comes_while_the_one_before_is_refused_is_used_at_once() {
    let world = World::with_ticket().await;
    for errcode in [61005, 61006] {
        world.pass(HOUR * 2).await;
        let refused = Fault::new("api_component_token", FaultEffect::Errcode(errcode));
        let refused = refused.after(Duration::from_millis(100));
        world.simulator.fault(refused);
        world.simulator.reset_calls();
        let pushes = async {
            // Every second push brings another ticket.
            while world.wechat_calls("api_component_token") == 0 {
                tokio::task::yield_now().await;
            }
            world.clock.advance(1);
            world.push_ticket().await;
            world.push_ticket().await;
        };
        let (answer, ()) = tokio::join!(world.ask(json!({ "component": true })), pushes);
        assert_answer(&answer, Ok(()), &format!("{errcode}"));
        assert_eq!(world.wechat_calls("api_component_token"), 2);
        assert_eq!(world.wechat_calls("api_start_push_ticket"), 0);
    }
}

#[tokio::test]
async fn a_refused_address_is_named_to_the_operator() {
    let world = World::with_authorizer().await;
    world.pass(HOUR * 2).await;
    let elsewhere = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    world
        .simulator
        .change_settings(|settings| settings.allowed_ips = Some(vec![elsewhere]));
    for request in [
        json!({ "component": true }),
        json!({ "authorizer_appid": appid() }),
    ] {
        let error = world.ask(request).await.unwrap_err();
        assert_eq!(error.code(), "wechat_rejected");
        assert!(error.advice().contains("127.0.0.1"), "{}", error.advice());
        assert_tells_nothing(&error);
    }
    assert_eq!(world.refresh().await["stopped"], "wechat_rejected");
    world
        .simulator
        .change_settings(|settings| settings.allowed_ips = None);
    assert_works(&world, "the white-list").await;
}

#[tokio::test]
async fn a_spent_code_of_an_account_that_has_withdrawn_since_ends_its_authorization() {
    let world = World::with_authorizer().await;
    world.clock.advance(60);
    let again = world.simulator.authorize_unpushed(appid()).unwrap();
    world.clock.advance(60);
    // This notice is lost.
    drop(world.simulator.revoke_unpushed(appid()).unwrap());
    assert!(world.push_xml(&again.notice).await.delivered);
    world.deliver().await;
    let row = world.authorizer_row(appid()).await;
    assert_eq!(text(&row, "status"), "authorized", "one call has denied it");
    world.pass(Duration::from_mins(2)).await;
    world.refresh().await;
    let refused = world.token(appid()).await.unwrap_err();
    assert_eq!(refused.code(), "authorization_revoked");
}
