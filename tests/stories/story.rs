//! The life of one authorizer.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use crate::world::browser::Browser;
use crate::world::rows::text;
use crate::world::{World, appid};

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn an_authorizer_lives_from_the_first_ticket_to_its_second_authorization() {
    let world = World::new().await;
    let refused = world.ask(json!({ "component": true })).await.unwrap_err();
    assert_eq!(refused.code(), "no_verify_ticket");

    // WeChat pushes a ticket, and the component token follows.
    world.push_ticket().await;
    let component = world.ask(json!({ "component": true })).await.unwrap();
    let component = component["access_token"].as_str().unwrap().to_owned();
    assert!(world.simulator.component_token_works(&component));

    // The merchant clicks, consents and comes back; the notice comes later and changes nothing.
    let mut browser = Browser::default();
    let (back, notice) = world.consent(&mut browser, appid()).await;
    let result = world.come_back(&browser, &back).await;
    assert_eq!(result.status(), StatusCode::OK);
    assert!(result.body().contains(appid()));
    let first = world.token(appid()).await.unwrap();
    world.assert_good(&first);
    assert!(world.push_xml(&notice).await.delivered);
    world.deliver().await;
    assert_eq!(world.wechat_calls("api_query_auth"), 1);
    assert_eq!(world.token(appid()).await.unwrap(), first);

    // Two hours pass: the refresher renews before the token expires, and the getter renews a token
    // that has expired.
    world.pass(HOUR * 3 / 2).await;
    assert_eq!(world.refresh().await["renewed"], 1);
    let second = world.token(appid()).await.unwrap();
    assert_ne!(second, first);
    world.assert_good(&second);
    world.pass(HOUR * 3).await;
    let third = world.token(appid()).await.unwrap();
    assert_ne!(third, second);
    world.assert_good(&third);

    // The merchant withdraws.
    world.revoke(appid()).await;
    let refused = world.token(appid()).await.unwrap_err();
    assert_eq!(refused.code(), "authorization_revoked");
    let calls = world.new_wechat_calls();
    world.pass(HOUR).await;
    assert_eq!(world.refresh().await["renewed"], 0);
    assert!(calls.contains_key("api_authorizer_token"));
    assert_eq!(world.wechat_calls("api_authorizer_token"), 0);

    // The merchant authorizes again.
    let (back, notice) = world.consent(&mut browser, appid()).await;
    assert_eq!(
        world.come_back(&browser, &back).await.status(),
        StatusCode::OK
    );
    world.push_xml(&notice).await;
    world.deliver().await;
    let again = world.token(appid()).await.unwrap();
    assert_ne!(again, third);
    world.assert_good(&again);
    let row = world.authorizer_row(appid()).await;
    assert_eq!(text(&row, "status"), "authorized");
    assert!(!row.contains_key("ttl"));
}
