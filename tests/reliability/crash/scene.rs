//! A world in which a process is killed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use wechat_simulator::{Settings, SimClock};

use crate::world::browser::Browser;
use crate::world::gate::Gate;
use crate::world::processes::{Function, Outcome, Process};
use crate::world::rows::{number, text};
use crate::world::{World, appid};

pub(super) const HOURS: u64 = 3600;

/// The life of a ticket.
const TICKET_LIFE: u64 = 12 * HOURS;

/// An event for a process, in the world for which it was prepared.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) gate: Gate,
    pub(super) event: Value,
    /// The notice that WeChat pushes whatever the process does.
    pub(super) notice: Option<String>,
}

impl Scene {
    /// A world in which these accounts authorized so long ago. Since then only tickets were pushed.
    pub(super) async fn of(authorizers: &[&str], age_secs: u64) -> Self {
        let clock = SimClock::system(1);
        clock.set(clock.now() - age_secs);
        let world = World::on(clock, 1, Settings::example()).await;
        world.push_ticket().await;
        for appid in authorizers {
            world.authorize(appid).await;
        }
        world.clock.advance(age_secs);
        if age_secs < TICKET_LIFE {
            world.push_ticket().await;
        }
        Self {
            gate: Gate::open(&world).await,
            world,
            event: Value::Null,
            notice: None,
        }
    }

    pub(super) fn event(self, event: Value) -> Self {
        Self { event, ..self }
    }

    pub(super) fn file(self, name: &str) -> Self {
        self.event(file(name))
    }

    /// The merchant authorizes, and the ticket receiver has stored the notice.
    pub(super) async fn consent(self) -> Self {
        let consent = self.world.simulator.authorize_unpushed(appid()).unwrap();
        assert!(self.world.push_xml(&consent.notice).await.delivered);
        self
    }

    /// Takes the new records of the stream as the event.
    pub(super) fn stream(self) -> Self {
        let batch = self.world.next_batch().unwrap();
        self.event(batch)
    }

    /// A code was exchanged by a process that never stored the tokens.
    pub(super) async fn exchange_elsewhere(&self) {
        let world = &self.world;
        let component = world.ask(json!({ "component": true })).await.unwrap();
        let consent = world.simulator.authorize_unpushed(appid()).unwrap();
        let url = format!(
            "{}/cgi-bin/component/api_query_auth?component_access_token={}",
            world.parts.wechat_url,
            component["access_token"].as_str().unwrap()
        );
        let body = json!({
            "component_appid": Settings::example().component_appid,
            "authorization_code": consent.auth_code,
        });
        let call = world.http.post(url).body(body.to_string());
        call.send().await.unwrap();
        assert!(self.refresh_token(appid()).is_some());
    }

    /// Takes the redirect of a browser from WeChat's page as the event.
    pub(super) async fn redirect(self) -> Self {
        let mut browser = Browser::default();
        let (address, notice) = self.world.consent(&mut browser, appid()).await;
        let mut event = file("auth-callback-unknown-state");
        event["rawQueryString"] = address.split_once('?').unwrap().1.into();
        event["cookies"] = json!([browser.cookie.unwrap()]);
        Self {
            event,
            notice: Some(notice),
            ..self
        }
    }

    /// Takes the first try of a ticket push as the event; all tries of that push have failed.
    pub(super) async fn ticket(self) -> Self {
        let first = Arc::new(Mutex::new(None));
        let seen = first.clone();
        let down = async move |RawQuery(query), body: String| {
            let event = pushed(&query.unwrap_or_default(), &body);
            seen.lock().unwrap().get_or_insert(event);
            StatusCode::SERVICE_UNAVAILABLE
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/wechat/events", listener.local_addr().unwrap());
        let router = Router::new().route("/wechat/events", post(down));
        tokio::spawn(async move { axum::serve(listener, router).await });
        self.world.simulator.set_events_url(&url);
        assert!(!self.world.simulator.push_ticket().await.delivered);
        let event = first.lock().unwrap().take().unwrap();
        self.event(event)
    }

    /// The current refresh token, as WeChat knows it.
    fn refresh_token(&self, appid: &str) -> Option<String> {
        self.world.simulator.authorizer(appid)?.refresh_token
    }

    /// Asserts that so many messages, and so many events of an account, are on the bus, each once or
    /// twice and in their order, and that nothing is left to deliver.
    pub(super) async fn check_bus(&self, messages: usize, events: u64) {
        let (mut ids, mut published) = (BTreeMap::new(), 0);
        for event in self.world.emulators.bus.events() {
            let detail = &event["detail"];
            *ids.entry(detail["id"].to_string()).or_insert(0) += 1;
            if let Some(sequence) = detail["sequence"].as_u64() {
                assert!(sequence <= published + 1, "event {sequence} overtakes");
                published = published.max(sequence);
            }
        }
        let expected = messages + usize::try_from(events).unwrap();
        assert_eq!(ids.len(), expected, "{ids:?}");
        assert!(ids.values().all(|times| *times <= 2), "{ids:?}");
        assert_eq!(published, events);
        assert_eq!(self.kept().await, [""; 0]);
    }

    /// The messages and events that the bus has not taken.
    async fn kept(&self) -> Vec<String> {
        let rows = self.world.rows().await;
        let kinds = ["message#", "event#"];
        let is_kept = |pk: &str| kinds.iter().any(|kind| pk.starts_with(kind));
        rows.into_iter()
            .filter(|(pk, row)| is_kept(pk) && row.contains_key("due_at"))
            .map(|(pk, _)| pk)
            .collect()
    }

    /// The time has come for the schedule to deliver them. Processes have the machine's clock, which
    /// cannot be advanced.
    pub(super) async fn kept_are_due(&self) {
        for pk in self.kept().await {
            let past = AttributeValue::N("1".to_owned());
            self.world.set(&pk, "due_at", past).await;
        }
    }

    /// Whether nothing is due for the refresher.
    pub(super) async fn is_refreshed(&self) -> bool {
        let now = self.world.clock.now();
        let rows = self.world.rows().await;
        let lasts = |pk: &str, secs| number(&rows[pk], "expires_at") > now + secs;
        let component = lasts("component#token", 900);
        let mut authorizers = rows.keys().filter(|pk| pk.starts_with("authorizer#"));
        component && authorizers.all(|pk| lasts(pk, HOURS))
    }

    /// Asserts that each row still has its refresh token, and that no token is empty.
    pub(super) async fn check_nothing_is_lost(&self, before: &BTreeMap<String, String>) {
        let rows = self.world.rows().await;
        for (pk, token) in before {
            let row = &rows[pk];
            assert_ne!(text(row, "refresh_token"), "", "{pk}");
            assert!(format!("{row:?}").contains(token), "{pk} lost its token");
        }
    }

    /// The refresh tokens in the table.
    pub(super) async fn refresh_tokens(&self) -> BTreeMap<String, String> {
        let rows = self.world.rows().await.into_iter();
        let authorizers = rows.filter(|(pk, _)| pk.starts_with("authorizer#"));
        authorizers
            .map(|(pk, row)| (pk, text(&row, "refresh_token")))
            .collect()
    }

    /// Asserts that callers get tokens that WeChat accepts, and that the table agrees with WeChat.
    pub(super) async fn check_all_is_good(&self) {
        let getter = Process::start(Function::TokenGetter, &self.gate.url).await;
        let component = ask(&getter, &json!({ "component": true })).await;
        assert!(self.world.simulator.component_token_works(&component));
        for known in self.world.simulator.authorizers() {
            let appid = &known.authorizer_appid;
            let Some(row) = self.world.row(&format!("authorizer#{appid}")).await else {
                assert!(!known.authorized, "{appid} has no row");
                continue;
            };
            let request = json!({ "authorizer_appid": appid });
            if !known.authorized {
                let refused = getter.invoke(&request).await;
                assert!(
                    matches!(&refused, Outcome::Failed(error) if error["errorType"] == "authorization_revoked"),
                    "{refused:?}"
                );
                assert!(!row.contains_key("due_at"));
                continue;
            }
            self.world.assert_good(&ask(&getter, &request).await);
            let row = self.world.authorizer_row(appid).await;
            assert_eq!(text(&row, "status"), "authorized");
            self.world.assert_good(&text(&row, "access_token"));
            let live = self.refresh_token(appid).unwrap();
            let current = text(&row, "refresh_token") == live;
            assert!(current || format!("{:?}", row["refresh_history"]).contains(&live));
        }
    }
}

/// The token of a caller that retries until it gets one.
pub(super) async fn ask(getter: &Process, request: &Value) -> String {
    loop {
        match getter.invoke(request).await {
            Outcome::Answered(answer) => {
                return answer["access_token"].as_str().unwrap().to_owned();
            }
            Outcome::Failed(error) => assert_eq!(error["errorType"], "wechat_unavailable"),
            Outcome::Killed => panic!("no kill was ordered"),
        }
    }
}

/// A file of `events/`.
pub(super) fn file(name: &str) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = fs::read_to_string(root.join("events").join(format!("{name}.json")));
    serde_json::from_str(&text.unwrap()).unwrap()
}

/// A push in the form of an API Gateway event.
pub(in crate::reliability) fn pushed(query: &str, body: &str) -> Value {
    let mut event = file("ticket-receiver-ticket");
    event["rawQueryString"] = query.into();
    event["body"] = body.into();
    event
}

/// The same of a customer's message to the first account.
pub(in crate::reliability) fn written(query: &str, body: &str) -> Value {
    let mut event = file("message-receiver-text");
    event["rawQueryString"] = query.into();
    event["body"] = body.into();
    event
}
