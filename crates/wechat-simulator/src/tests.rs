//! The simulator over HTTP: a real listener, a real client, and a receiver with ordered answers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::cipher::{AesKey, sign};
use crate::push::{self, notice};
use crate::{DEMO_APPIDS, Settings, SimClock, Simulator};

mod accounts;
mod authorization;
mod calls;
mod faults;
mod home;
mod options;
mod pushes;

const NOW: u64 = 1_700_000_000;
const SHOP: &str = DEMO_APPIDS[0];

/// A served simulator and a client of it.
struct World {
    simulator: Simulator,
    client: reqwest::Client,
    base: String,
}

impl World {
    async fn start() -> Self {
        Self::start_with(Settings::example()).await
    }

    async fn start_with(settings: Settings) -> Self {
        let simulator = Simulator::new_seeded(settings, SimClock::hand_moved(NOW), 1);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(simulator.clone().serve(listener));
        let client = push::client().unwrap();
        Self {
            simulator,
            client,
            base,
        }
    }

    /// Posts JSON. Returns the answer's status and body, or None if the connection broke.
    async fn post(&self, path: &str, body: &Value) -> Option<(u16, String)> {
        self.post_text(path, body.to_string()).await
    }

    async fn post_text(&self, path: &str, body: String) -> Option<(u16, String)> {
        let request = self.client.post(format!("{}{path}", self.base)).body(body);
        let response = request.send().await.ok()?;
        Some((response.status().as_u16(), response.text().await.ok()?))
    }

    async fn get(&self, path: &str) -> String {
        let request = self.client.get(format!("{}{path}", self.base));
        request.send().await.unwrap().text().await.unwrap()
    }

    /// Posts JSON and reads JSON.
    async fn call(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.post(path, &body).await.unwrap();
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str(&answer).unwrap()
    }

    async fn errcode(&self, path: &str, body: Value) -> i64 {
        self.call(path, body).await["errcode"].as_i64().unwrap()
    }

    /// A component endpoint with the token in its query.
    async fn component(&self, endpoint: &str, token: &str, mut body: Value) -> Value {
        body["component_appid"] = json!("wx0123456789abcdef");
        let path = format!("/cgi-bin/component/{endpoint}?component_access_token={token}");
        self.call(&path, body).await
    }

    /// A new component access token, for a new ticket.
    async fn component_token(&self) -> String {
        let ticket = {
            let state = &mut *self.simulator.state();
            let now = self.simulator.clock().now();
            state.component.new_ticket(now, &mut state.mint)
        };
        let answer = self
            .call(
                "/cgi-bin/component/api_component_token",
                credentials(&ticket),
            )
            .await;
        answer["component_access_token"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    async fn pre_auth_code(&self, token: &str) -> String {
        let answer = self
            .component("api_create_preauthcode", token, json!({}))
            .await;
        answer["pre_auth_code"].as_str().unwrap().to_owned()
    }

    /// SHOP authorizes and the code is exchanged. Returns its tokens.
    async fn authorize(&self, token: &str) -> Value {
        let code = self.simulator.authorize_unpushed(SHOP).unwrap().auth_code;
        let body = json!({"authorization_code": code});
        self.component("api_query_auth", token, body).await["authorization_info"].clone()
    }
}

fn credentials(ticket: &str) -> Value {
    json!({
        "component_appid": "wx0123456789abcdef",
        "component_appsecret": "0123456789abcdef0123456789abcdef",
        "component_verify_ticket": ticket,
    })
}

/// An SDK's side: opens each push; gives the ordered answers first, then `success`.
#[derive(Clone, Default)]
struct Receiver {
    answers: Arc<Mutex<VecDeque<(u16, &'static str)>>>,
    requests: Arc<Mutex<Vec<(String, String)>>>,
}

impl Receiver {
    async fn start(answers: &[(u16, &'static str)]) -> (Self, String) {
        let receiver = Self::default();
        receiver.answers.lock().unwrap().extend(answers);
        let router = Router::new().fallback(take).with_state(receiver.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/events", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (receiver, url)
    }

    /// The pushes so far, verified and opened.
    fn opened(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests
            .iter()
            .map(|(query, body)| open(query, body))
            .collect()
    }

    /// Waits until `count` pushes have come.
    async fn wait_for(&self, count: usize) -> Vec<String> {
        for _ in 0..200 {
            if self.requests.lock().unwrap().len() >= count {
                break;
            }
            crate::clock::sleep_real(Duration::from_millis(10)).await;
        }
        self.opened()
    }
}

async fn take(
    State(receiver): State<Receiver>,
    uri: Uri,
    body: String,
) -> (StatusCode, &'static str) {
    let query = uri.query().unwrap_or_default().to_owned();
    receiver.requests.lock().unwrap().push((query, body));
    let next = receiver.answers.lock().unwrap().pop_front();
    let (status, body) = next.unwrap_or((200, "success"));
    (StatusCode::from_u16(status).unwrap(), body)
}

fn open(query: &str, body: &str) -> String {
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "signature",
            "timestamp",
            "nonce",
            "encrypt_type",
            "msg_signature"
        ]
    );
    let values: Vec<&str> = pairs.iter().map(|(_, value)| value.as_str()).collect();
    let encrypt = notice::element(body, "Encrypt").unwrap();
    let settings = Settings::example();
    assert_eq!(values[0], sign(&[&settings.token, values[1], values[2]]));
    assert_eq!(values[3], "aes");
    assert_eq!(
        values[4],
        sign(&[&settings.token, values[1], values[2], encrypt])
    );
    assert_eq!(notice::element(body, "AppId"), Some("wx0123456789abcdef"));
    let key = AesKey::parse(&settings.encoding_aes_key).unwrap();
    key.decrypt(encrypt, &settings.component_appid).unwrap()
}
