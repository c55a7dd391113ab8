//! A world of its own for each test: WeChat, the table, the secret, the functions, and a clock that the test moves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use component_core::error::Error;
use component_core::time::{Clock, Deadline, Timestamp};
use http::StatusCode;
use lambda_http::Body;
use local::emulators::Emulators;
use local::functions::{Functions, Parts};
use local::{door, triggers};
use merchant_pages::brand::Brand;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use wechat_simulator::{
    DEMO_APPIDS, Fault, FaultEffect, PushOutcome, Settings, SimClock, Simulator,
};

// How a merchant and a test look at it.
pub(crate) mod browser;
pub(crate) mod log;
pub(crate) mod rows;

// What is between the functions and the rest of it.
pub(crate) mod wire;

// The functions as processes.
#[cfg(target_os = "linux")]
pub(crate) mod gate;
#[cfg(target_os = "linux")]
pub(crate) mod processes;

use wire::Wire;

/// When each world begins: the second of the published pushes.
pub(crate) const BEGINNING: u64 = 1_700_000_001;

/// Where a merchant meets the functions.
pub(crate) const HOST: &str = "auth.vendor.example";

/// Faults that outlast a call with all its tries.
const PERSISTENT: u32 = 12;

pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) http: reqwest::Client,
    pub(crate) clock: SimClock,
    pub(crate) functions: Arc<Functions>,
    pub(crate) parts: Parts,
    pub(crate) wire: Wire,
    pub(crate) emulators: Emulators,
    stream: Mutex<triggers::Stream>,
}

/// One authorizer's id, where a story has only one.
pub(crate) fn appid() -> &'static str {
    DEMO_APPIDS[0]
}

impl World {
    /// Nothing has happened yet.
    pub(crate) async fn new() -> Self {
        Self::with(Settings::example()).await
    }

    /// Nothing has happened yet in a WeChat with these settings.
    pub(crate) async fn with(settings: Settings) -> Self {
        // Waiting is fifty times as fast, and moves nothing.
        Self::on(SimClock::hand_moved(BEGINNING), 50, settings).await
    }

    /// Nothing has happened yet; the functions' clock tells what `clock` does, and waits `pace` times as fast.
    pub(crate) async fn on(clock: SimClock, pace: u32, settings: Settings) -> Self {
        let http = component_core::http::client().unwrap();
        let connector = component_core::http::connector(http.clone());
        let settings = Settings {
            authorization_host: Some(HOST.to_owned()),
            ..settings
        };
        let simulator = Simulator::new_seeded(settings.clone(), clock.clone(), 1);
        let wechat = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let wechat_url = format!("http://{}", wechat.local_addr().unwrap());
        tokio::spawn(simulator.clone().serve(wechat));

        let emulators = Emulators::start(&connector, None, &settings, clock.clone());
        let emulators = emulators.await.unwrap();
        let wire = Wire::default();
        let told = clock.clone();
        let parts = Parts {
            dynamodb: wire.through(&emulators.dynamodb),
            secretsmanager: emulators.secretsmanager.clone(),
            wechat: connector,
            wechat_url,
            clock: Clock::told(move || Timestamp::from_secs(told.now()), pace),
            return_origins: "https://shop.example".parse().unwrap(),
            brand: Brand::default(),
        };
        let functions = Arc::new(Functions::start(&parts).await.unwrap());
        let door = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let door_url = format!("http://{}", door.local_addr().unwrap());
        simulator.set_events_url(&format!("{door_url}/wechat/events"));
        let router = door::router(functions.clone());
        tokio::spawn(async move { axum::serve(door, router).await });
        let stream = triggers::Stream::open(emulators.database.clone()).unwrap();
        Self {
            simulator,
            http,
            clock,
            functions,
            parts,
            wire,
            emulators,
            stream: Mutex::new(stream),
        }
    }

    /// WeChat has pushed a ticket.
    pub(crate) async fn with_ticket() -> Self {
        let world = Self::new().await;
        world.push_ticket().await;
        world
    }

    /// And one authorizer has authorized; its notice is handled.
    pub(crate) async fn with_authorizer() -> Self {
        let world = Self::with_ticket().await;
        world.authorize(appid()).await;
        world
    }

    pub(crate) async fn push_ticket(&self) {
        assert!(self.simulator.push_ticket().await.delivered);
    }

    /// An authorization that comes by notice alone.
    pub(crate) async fn authorize(&self, appid: &str) {
        let consent = self.simulator.authorize_unpushed(appid).unwrap();
        assert!(self.simulator.push_xml(&consent.notice).await.delivered);
        assert_eq!(self.deliver().await, json!({ "batchItemFailures": [] }));
    }

    pub(crate) async fn revoke(&self, appid: &str) {
        assert!(self.simulator.revoke(appid).await.unwrap().delivered);
        assert_eq!(self.deliver().await, json!({ "batchItemFailures": [] }));
    }

    /// Time passes, and WeChat pushes tickets as it does.
    pub(crate) async fn pass(&self, time: Duration) {
        self.clock.advance(time.as_secs());
        self.push_ticket().await;
    }

    /// Brings what is new on the table's stream to the sync; null if nothing is.
    pub(crate) async fn deliver(&self) -> Value {
        match self.next_batch() {
            Some(batch) => self.sync(&batch).await.unwrap(),
            None => Value::Null,
        }
    }

    /// The daily run of the sync.
    pub(crate) async fn reconcile(&self) -> Result<Value, Error> {
        self.sync(&json!({})).await
    }

    /// What is new on the table's stream.
    pub(crate) fn next_batch(&self) -> Option<Value> {
        self.stream.lock().unwrap().next_batch().unwrap()
    }

    pub(crate) async fn sync(&self, event: &Value) -> Result<Value, Error> {
        self.functions
            .authorizer_sync
            .handle(event, deadline())
            .await
    }

    /// One run of the refresher.
    pub(crate) async fn refresh(&self) -> Value {
        let refresher = &self.functions.token_refresher;
        refresher.handle(&json!({}), deadline()).await.unwrap()
    }

    /// What the getter answers.
    pub(crate) async fn ask(&self, request: Value) -> Result<Value, Error> {
        self.functions
            .token_getter
            .handle(&request, deadline())
            .await
    }

    /// The access token that the getter answers for an authorizer.
    pub(crate) async fn token(&self, appid: &str) -> Result<String, Error> {
        let answer = self.ask(json!({ "authorizer_appid": appid })).await?;
        Ok(answer["access_token"].as_str().unwrap().to_owned())
    }

    /// An authorizer has a token that WeChat accepts.
    #[track_caller]
    pub(crate) fn assert_good(&self, token: &str) {
        assert!(
            self.simulator.token_works(token),
            "WeChat does not accept the token"
        );
    }

    /// The functions once more, with nobody at WeChat's address.
    pub(crate) async fn without_wechat(&self) -> Functions {
        let nobody = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let parts = Parts {
            wechat_url: format!("http://{}", nobody.local_addr().unwrap()),
            ..self.parts.clone()
        };
        drop(nobody);
        Functions::start(&parts).await.unwrap()
    }

    /// Spoils calls of an endpoint until [`World::end_faults`].
    pub(crate) fn fault(&self, endpoint: &str, effect: FaultEffect) {
        let fault = Fault::new(endpoint, effect);
        self.simulator.fault(fault.times(PERSISTENT));
    }

    /// Uses up what is left of an endpoint's faults, and lets the pause after a refusal pass.
    pub(crate) async fn end_faults(&self, endpoint: &str) {
        let url = format!("{}/cgi-bin/component/{endpoint}", self.parts.wechat_url);
        for _fault in 0..PERSISTENT {
            drop(self.http.post(&url).send().await);
        }
        self.clock.advance(3);
    }

    /// Calls of an endpoint that WeChat has counted.
    pub(crate) fn wechat_calls(&self, endpoint: &str) -> u64 {
        self.simulator
            .calls()
            .get(endpoint)
            .copied()
            .unwrap_or_default()
    }

    /// Calls that WeChat has counted since this was last asked.
    pub(crate) fn new_wechat_calls(&self) -> BTreeMap<String, u64> {
        let calls = self.simulator.calls();
        self.simulator.reset_calls();
        calls
    }

    /// A push as WeChat would seal it now.
    pub(crate) fn sealed(&self, plain: &str) -> wechat_simulator::SealedPush {
        self.simulator.seal(plain, self.clock.now(), "987654321")
    }

    /// What the ticket receiver answers to a query and a body.
    pub(crate) async fn receive(&self, query: &str, body: impl Into<Body>) -> (StatusCode, String) {
        let request = http::Request::post(format!("/wechat/events?{query}"));
        let request = request.body(body.into()).unwrap();
        let response = self.functions.ticket_receiver.handle(request).await;
        (
            response.status(),
            String::from_utf8(response.body().to_vec()).unwrap(),
        )
    }

    /// Pushes a text as WeChat would.
    pub(crate) async fn push_xml(&self, plain: &str) -> PushOutcome {
        self.simulator.push_xml(plain).await
    }
}

/// Long enough for everything, short enough for a test that must see it pass.
pub(crate) fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(15))
}

/// Nothing that an error says, to the caller or to the log, is a secret.
#[track_caller]
pub(crate) fn assert_tells_nothing(error: &Error) {
    let mut told = format!("{error} {error:?} {}", error.advice());
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        told.push_str(&cause.to_string());
        source = cause.source();
    }
    // Tickets, codes and refresh tokens all have the one mark, access tokens the other; the third is the app secret.
    for mark in [
        "@@@",
        "%40%40%40",
        "73_",
        "0123456789abcdef0123456789abcdef",
    ] {
        assert!(!told.contains(mark), "{told}");
    }
}
