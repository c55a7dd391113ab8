//! A function's process answers every request and lives, whatever bytes a client has sent.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use wechat_simulator::{Settings, SimClock};

use crate::world::World;
use crate::world::gate::Gate;
use crate::world::processes::{Function, Outcome, Process};

/// What `http::Uri` or a header cannot hold, and what looks like it.
const HOSTILE: [&str; 14] = [
    "a=\"b\"",
    "a=<b>",
    "a=b c",
    "a=\u{0}",
    "a=\u{7f}\u{80}",
    "a=店",
    "a=\u{10ffff}",
    "a=b\r\nc: d",
    "#",
    "?",
    "%",
    "%00%ff",
    "\\",
    "[",
];

fn file(name: &str) -> Value {
    let events = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events");
    let text = fs::read_to_string(events.join(format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Every event that differs from `event` in one place by hostile bytes or a wrong type.
fn hostile(event: &Value) -> Vec<Value> {
    let mut events = Vec::new();
    let mut change = |pointer: &str, value: Value| {
        let mut event = event.clone();
        *event.pointer_mut(pointer).unwrap() = value;
        events.push(event);
    };
    for text in HOSTILE {
        change("/rawQueryString", json!(text));
        change("/rawPath", json!(format!("/{text}/auth/start")));
        for header in ["host", "user-agent", "x-forwarded-proto", "x-amzn-trace-id"] {
            change(&format!("/headers/{header}"), json!(text));
        }
    }
    for pointer in [
        "/rawPath",
        "/headers",
        "/requestContext",
        "/isBase64Encoded",
    ] {
        for wrong in [Value::Null, json!(7), json!([]), json!("a")] {
            change(pointer, wrong);
        }
    }
    let mut garbage = event.clone();
    garbage["body"] = json!("%%%");
    garbage["isBase64Encoded"] = json!(true);
    garbage["cookies"] = json!(["\u{0}", "店=店"]);
    events.extend([garbage, Value::Null, json!({})]);
    events
}

#[tokio::test]
async fn a_process_answers_every_request_and_lives() {
    let world = World::on(SimClock::system(1), 1, Settings::example()).await;
    world.push_ticket().await;
    let gate = Gate::open(&world).await;
    for (function, name, status) in [
        (Function::TicketReceiver, "ticket-receiver-forged", 403),
        (Function::AuthStart, "auth-start-visit", 200),
        (Function::AuthStart, "auth-start-click", 303),
        (Function::AuthCallback, "auth-callback-unknown-state", 400),
    ] {
        let process = Process::start(function, &gate.url).await;
        let event = file(name);
        let mut events = hostile(&event);
        events.push(event);
        let mut last = 0;
        for event in events {
            let Outcome::Answered(answer) = process.invoke(&event).await else {
                panic!("{name} has no answer to {event}");
            };
            last = answer["statusCode"].as_u64().unwrap();
            assert!([200, 303, 400, 403, 503].contains(&last), "{last}: {event}");
        }
        assert_eq!(last, status, "{name}");
    }
}
