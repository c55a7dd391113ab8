//! A separate world for each test: WeChat, the table, the secret, the functions, and a clock that
//! the test moves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use component_core::error::Error;
use component_core::time::{Clock, Deadline, Timestamp};
use http::StatusCode;
use local::emulators::{Emulators, secret};
use local::functions::{Functions, Pages, Parts};
use local::secrets::SecretsManager;
use local::{door, triggers};
use merchant_pages::brand::Brand;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use wechat_simulator::{
    DEMO_APPIDS, Fault, FaultEffect, PushOutcome, Settings, SimClock, Simulator,
};

// What a test looks at: the merchant's browser, the log, the rows.
pub(crate) mod browser;
pub(crate) mod log;
pub(crate) mod rows;

// The connection between the functions and the table.
pub(crate) mod wire;

// The functions as processes.
#[cfg(target_os = "linux")]
pub(crate) mod gate;
#[cfg(target_os = "linux")]
pub(crate) mod processes;
#[cfg(target_os = "linux")]
pub(crate) mod programs;

use wire::Wire;

/// The time at which each world begins: the second of the published pushes.
pub(crate) const BEGINNING: u64 = 1_700_000_001;

/// The host of the functions, as the merchant's browser knows it.
pub(crate) const HOST: &str = "auth.vendor.example";

/// So many faults outlast one call with all its retries.
const PERSISTENT: u32 = 12;

pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) http: reqwest::Client,
    pub(crate) clock: SimClock,
    pub(crate) functions: Arc<Functions>,
    pub(crate) parts: Parts,
    pub(crate) wire: Wire,
    pub(crate) emulators: Emulators,
    streams: Mutex<Vec<triggers::Stream>>,
}

/// The authorizer of stories that have only one.
pub(crate) fn appid() -> &'static str {
    DEMO_APPIDS[0]
}

impl World {
    /// An empty world.
    pub(crate) async fn new() -> Self {
        Self::with(Settings::example()).await
    }

    /// An empty world whose WeChat has these settings.
    pub(crate) async fn with(settings: Settings) -> Self {
        // The functions wait fifty times as fast, and waiting does not move the clock.
        Self::on(SimClock::hand_moved(BEGINNING), 50, settings).await
    }

    /// An empty world. The functions' clock shows the time of `clock`; they wait `pace` times as
    /// fast.
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

        let secrets = SecretsManager::new(secret(&settings), clock.clone());
        let emulators = Emulators::start(&connector, None, secrets).await.unwrap();
        let wire = Wire::default();
        let told = clock.clone();
        let parts = Parts {
            dynamodb: wire.through(&emulators.dynamodb),
            secretsmanager: emulators.secretsmanager.clone(),
            eventbridge: wire.through_events(&emulators.eventbridge),
            replies: None,
            wechat: connector,
            pages: Pages::new(&wechat_url, &wechat_url).unwrap(),
            wechat_url,
            clock: Clock::told(move || Timestamp::from_secs(told.now()), pace),
            return_origins: "https://shop.example".parse().unwrap(),
            brand: Brand::default(),
        };
        let functions = Arc::new(Functions::start(&parts).await.unwrap());
        let door = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let door_url = format!("http://{}", door.local_addr().unwrap());
        simulator.set_events_url(&format!("{door_url}/wechat/events"));
        simulator.set_messages_url(&format!("{door_url}/wechat/$APPID$/messages"));
        let router = door::router(functions.clone());
        tokio::spawn(async move { axum::serve(door, router).await });
        let stream = |mapping| triggers::Stream::open(emulators.database.clone(), mapping);
        let streams = triggers::Mapping::ALL.map(|mapping| stream(mapping).unwrap());
        Self {
            simulator,
            http,
            clock,
            functions,
            parts,
            wire,
            emulators,
            streams: Mutex::new(streams.into()),
        }
    }

    /// A world in which WeChat has pushed a ticket.
    pub(crate) async fn with_ticket() -> Self {
        let world = Self::new().await;
        world.push_ticket().await;
        world
    }

    /// A world with a ticket and one authorizer, whose notice is handled.
    pub(crate) async fn with_authorizer() -> Self {
        let world = Self::with_ticket().await;
        world.authorize(appid()).await;
        world
    }

    pub(crate) async fn push_ticket(&self) {
        assert!(self.simulator.push_ticket().await.delivered);
    }

    /// Authorizes an account; only the notice reaches the functions, no browser. Siblings are told.
    pub(crate) async fn authorize(&self, appid: &str) {
        self.authorize_untold(appid).await;
        self.deliver_all().await;
    }

    /// The same, but the stream has yet to bring what siblings are told.
    pub(crate) async fn authorize_untold(&self, appid: &str) {
        let consent = self.simulator.authorize_unpushed(appid).unwrap();
        assert!(self.simulator.push_xml(&consent.notice).await.delivered);
        assert_eq!(self.deliver().await, json!({ "batchItemFailures": [] }));
    }

    pub(crate) async fn revoke(&self, appid: &str) {
        self.revoke_untold(appid).await;
        self.deliver_all().await;
    }

    /// The same, but the stream has yet to bring what siblings are told.
    pub(crate) async fn revoke_untold(&self, appid: &str) {
        assert!(self.simulator.revoke(appid).await.unwrap().delivered);
        assert_eq!(self.deliver().await, json!({ "batchItemFailures": [] }));
    }

    /// Brings all that the stream has, and what comes of it.
    pub(crate) async fn deliver_all(&self) {
        while let Some(batch) = self.next_batch() {
            let answer = self.sync(&batch).await.unwrap();
            assert_eq!(answer, json!({ "batchItemFailures": [] }));
        }
    }

    /// Lets time pass, and pushes a ticket as WeChat does meanwhile.
    pub(crate) async fn pass(&self, time: Duration) {
        self.clock.advance(time.as_secs());
        self.push_ticket().await;
    }

    /// Brings the new records of the table's stream to the sync; null if there are none.
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

    /// The new records of the table's stream, as one batch, whichever mapping brings them.
    pub(crate) fn next_batch(&self) -> Option<Value> {
        let mut streams = self.streams.lock().unwrap();
        let batches = streams
            .iter_mut()
            .map(|stream| stream.next_batch().unwrap());
        let records = batches
            .flatten()
            .flat_map(|batch| batch["Records"].as_array().unwrap().clone());
        let records: Vec<Value> = records.collect();
        (!records.is_empty()).then(|| json!({ "Records": records }))
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

    /// Asks the getter.
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

    /// Asserts that WeChat accepts an access token.
    #[track_caller]
    pub(crate) fn assert_good(&self, token: &str) {
        assert!(
            self.simulator.token_works(token),
            "WeChat does not accept the token"
        );
    }

    /// The functions once more, with a closed port as the address of WeChat.
    pub(crate) async fn without_wechat(&self) -> Functions {
        let closed = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let parts = Parts {
            wechat_url: format!("http://{}", closed.local_addr().unwrap()),
            ..self.parts.clone()
        };
        drop(closed);
        Functions::start(&parts).await.unwrap()
    }

    /// Makes calls of an endpoint fail until [`World::end_faults`].
    pub(crate) fn fault(&self, endpoint: &str, effect: FaultEffect) {
        let fault = Fault::new(endpoint, effect);
        self.simulator.fault(fault.times(PERSISTENT));
    }

    /// Uses up the remaining faults of an endpoint, and lets the pause after a refusal pass.
    pub(crate) async fn end_faults(&self, endpoint: &str) {
        let url = format!("{}/cgi-bin/component/{endpoint}", self.parts.wechat_url);
        for _fault in 0..PERSISTENT {
            drop(self.http.post(&url).send().await);
        }
        self.clock.advance(3);
    }

    /// How many calls of an endpoint WeChat has counted.
    pub(crate) fn wechat_calls(&self, endpoint: &str) -> u64 {
        self.simulator
            .calls()
            .get(endpoint)
            .copied()
            .unwrap_or_default()
    }

    /// The calls that WeChat has counted since the last look, by endpoint.
    pub(crate) fn new_wechat_calls(&self) -> BTreeMap<String, u64> {
        let calls = self.simulator.calls();
        self.simulator.reset_calls();
        calls
    }

    /// A push as WeChat would seal it now.
    pub(crate) fn sealed(&self, plain: &str) -> wechat_simulator::SealedPush {
        self.simulator.seal(plain, self.clock.now(), "987654321")
    }

    /// The same of any bytes.
    pub(crate) fn sealed_bytes(&self, plain: &[u8]) -> wechat_simulator::SealedPush {
        let now = self.clock.now();
        self.simulator.seal_bytes(plain, now, "987654321")
    }

    /// What the ticket receiver answers to a query and a body.
    pub(crate) async fn receive(
        &self,
        query: &str,
        body: impl Into<Vec<u8>>,
    ) -> (StatusCode, String) {
        let request = http::Request::post(format!("/wechat/events?{query}"));
        let request = request.body(body.into()).unwrap();
        let response = self.functions.ticket_receiver.handle(request).await;
        (response.status(), response.into_body())
    }

    /// What the message receiver answers to a text that WeChat seals now, for an account.
    pub(crate) async fn message(&self, appid: &str, plain: &str) -> (StatusCode, String) {
        self.message_sealed(appid, &self.sealed(plain)).await
    }

    /// What it answers to a push.
    pub(crate) async fn message_sealed(
        &self,
        appid: &str,
        push: &wechat_simulator::SealedPush,
    ) -> (StatusCode, String) {
        self.message_to(&self.functions, appid, push).await
    }

    /// What the receiver among `functions` answers to a push.
    pub(crate) async fn message_to(
        &self,
        functions: &Functions,
        appid: &str,
        push: &wechat_simulator::SealedPush,
    ) -> (StatusCode, String) {
        let path = format!("/wechat/{appid}/messages?{}", push.query);
        let request = http::Request::post(path);
        let request = request.body(push.body.clone().into()).unwrap();
        let response = functions.message_receiver.handle(request).await;
        (response.status(), response.into_body())
    }

    /// Pushes a text as WeChat would.
    pub(crate) async fn push_xml(&self, plain: &str) -> PushOutcome {
        self.simulator.push_xml(plain).await
    }
}

/// A deadline long enough for every flow, and short enough for a test that sees it pass.
pub(crate) fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(15))
}

/// Asserts that no text of an error, for the caller or the log, holds a secret.
#[track_caller]
pub(crate) fn assert_tells_nothing(error: &Error) {
    let mut told = format!("{error} {error:?} {}", error.advice());
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        told.push_str(&cause.to_string());
        source = cause.source();
    }
    // Tickets, codes and refresh tokens share the first mark, access tokens have the third. The
    // last is the app secret.
    for mark in [
        "@@@",
        "%40%40%40",
        "73_",
        "0123456789abcdef0123456789abcdef",
    ] {
        assert!(!told.contains(mark), "{told}");
    }
}
