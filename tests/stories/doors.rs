//! The doors of the HTTP functions: whatever a client sends, there is an answer.

use axum::body::{Body, to_bytes};
use component_core::door;
use http::{Request, Response, StatusCode};
use local::functions::Functions;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::events::event;
use crate::world::browser::{Browser, location, parameter};
use crate::world::{HOST, World, deadline};

/// The status of a function's answer to an event, as the function's own `main.rs` answers it.
async fn answer(functions: &Functions, name: &str, event: Value) -> u64 {
    let response = match door::request(event) {
        Err(no_request) => no_request.answer(),
        Ok(request) if name.starts_with("ticket-receiver") => {
            functions.ticket_receiver.handle(request).await
        }
        Ok(request) if name.starts_with("auth-start") => {
            functions.auth_start.handle(request, deadline()).await
        }
        Ok(request) => functions.auth_callback.handle(request, deadline()).await,
    };
    let answer = door::response(response);
    answer["statusCode"].as_u64().unwrap()
}

/// A text in which anything may be.
fn any_text(chance: &mut StdRng) -> String {
    const PIECES: [&str; 24] = [
        "\"",
        "<b>",
        " ",
        "\u{0}",
        "\u{7f}",
        "\u{80}",
        "\r\n",
        "#",
        "?",
        "%",
        "%zz",
        "%00",
        "%ff",
        "\\",
        "店",
        "\u{10ffff}",
        "&",
        "=",
        "/",
        "//",
        "..",
        "@",
        "reference=",
        "state=",
    ];
    let pieces = chance.random_range(0..8);
    (0..pieces)
        .map(|_| PIECES[chance.random_range(0..PIECES.len())])
        .collect()
}

#[tokio::test]
async fn no_text_of_a_client_leaves_it_without_an_answer() {
    let world = World::with_ticket().await;
    let mut chance = StdRng::seed_from_u64(1);
    for round in 0..400 {
        for name in [
            "ticket-receiver-ticket",
            "auth-start-visit",
            "auth-start-click",
            "auth-callback-unknown-state",
        ] {
            let mut event = event(name);
            let text = any_text(&mut chance);
            match round % 5 {
                0 => event["rawQueryString"] = json!(text),
                1 => event["rawPath"] = json!(format!("/{text}/auth/start")),
                2 => event["headers"]["host"] = json!(text),
                3 => event["cookies"] = json!([text, "__Host-wechat_authorization=\u{0}"]),
                _ => {
                    for header in [
                        "user-agent",
                        "origin",
                        "x-forwarded-proto",
                        "accept-language",
                    ] {
                        event["headers"][header] = json!(any_text(&mut chance));
                    }
                    event["body"] = json!(text);
                }
            }
            let status = answer(&world.functions, name, event.clone()).await;
            let good = [200, 303, 400, 403, 503].contains(&status);
            assert!(good, "{status}: {event}");
        }
    }
}

#[tokio::test]
async fn a_push_whose_body_is_not_what_the_event_says_is_refused() {
    let world = World::new().await;
    let mut event = event("ticket-receiver-unauthorized");
    event["body"] = json!("<xml>");
    let status = answer(&world.functions, "ticket-receiver", event).await;
    assert_eq!(status, 400);
    assert!(world.rows().await.is_empty());
}

#[tokio::test]
async fn a_mapping_or_a_stage_before_the_route_is_part_of_the_way_back() {
    let world = World::with_ticket().await;
    for base in ["/pay", "/prod", "/a/b"] {
        let mut click = event("auth-start-click");
        for path in ["/rawPath", "/requestContext/http/path"] {
            *click.pointer_mut(path).unwrap() = json!(format!("{base}/auth/start"));
        }
        let request = door::request(click).unwrap();
        let clicked = world.functions.auth_start.handle(request, deadline());
        let back = parameter(&location(&clicked.await), "redirect_uri");
        let ours = format!("https://{HOST}{base}/auth/callback?state=");
        assert!(back.starts_with(&ours), "{back}");
    }
}

/// What the gateway of `local` answers.
async fn local(world: &World, request: Request<Body>) -> (StatusCode, String) {
    let router = local::door::router(world.functions.clone());
    let answer: Response<Body> = router.oneshot(request).await.unwrap();
    let status = answer.status();
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn local_answers_a_short_text_where_it_has_no_route() {
    let world = World::new().await;
    for (method, path) in [
        ("POST", "/"),
        ("GET", "/favicon.ico"),
        ("POST", "/auth/callback"),
        ("DELETE", "/auth/start"),
        ("GET", "/wechat/events"),
    ] {
        let request = Request::builder().method(method).uri(path);
        let answered = local(&world, request.body(Body::empty()).unwrap()).await;
        let expected = (StatusCode::NOT_FOUND, "there is nothing here\n".to_owned());
        assert_eq!(answered, expected, "{method} {path}");
    }
}

#[tokio::test]
async fn local_passes_on_what_the_browser_sends() {
    let world = World::with_ticket().await;
    let mut browser = Browser::default();
    let clicked = world.click(&mut browser, "reference=shop-42").await;
    let back = parameter(&location(&clicked), "redirect_uri");
    // Another cookie, whose value is no text, does not hide ours.
    let cookies = [b"far=\xe5\xba; ", browser.cookie.unwrap().as_bytes()].concat();
    let back = back.strip_prefix(&format!("https://{HOST}")).unwrap();
    let request = Request::get(back).header("cookie", cookies);
    let (status, page) = local(&world, request.body(Body::empty()).unwrap()).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert!(page.contains("授权未完成"), "{page}");
}
