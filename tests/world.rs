//! A world of its own for each test: WeChat, the table, the secret, the functions, and a clock that the test moves.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use component_core::error::Error;
use component_core::time::{Clock, Deadline, Timestamp};
use http::{HeaderMap, StatusCode, header};
use lambda_http::{Body, Request, Response};
use local::emulators::{Emulators, TABLE};
use local::functions::{Functions, Parts};
use local::{door, triggers};
use merchant_pages::brand::Brand;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::Url;
use wechat_simulator::{
    DEMO_APPIDS, Fault, FaultEffect, PushOutcome, Settings, SimClock, Simulator,
};

use crate::wire::Wire;

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

    /// A row as it stands in the table.
    pub(crate) async fn row(&self, pk: &str) -> Option<HashMap<String, AttributeValue>> {
        let key = AttributeValue::S(pk.to_owned());
        let get = self
            .emulators
            .dynamodb
            .get_item()
            .table_name(TABLE)
            .key("pk", key);
        get.consistent_read(true).send().await.unwrap().item
    }

    /// Writes one attribute of a row past all conditions.
    pub(crate) async fn set(&self, pk: &str, name: &str, value: AttributeValue) {
        let update = self
            .emulators
            .dynamodb
            .update_item()
            .table_name(TABLE)
            .key("pk", AttributeValue::S(pk.to_owned()))
            .update_expression("SET #name = :value")
            .expression_attribute_names("#name", name)
            .expression_attribute_values(":value", value);
        update.send().await.unwrap();
    }

    /// Everything that stands in the table, by key.
    pub(crate) async fn rows(&self) -> BTreeMap<String, HashMap<String, AttributeValue>> {
        let scan = self.emulators.dynamodb.scan().table_name(TABLE);
        let items = scan.send().await.unwrap().items.unwrap_or_default();
        let keyed = |item: HashMap<String, AttributeValue>| (text(&item, "pk"), item);
        items.into_iter().map(keyed).collect()
    }

    /// The authorizer's row.
    pub(crate) async fn authorizer_row(&self, appid: &str) -> HashMap<String, AttributeValue> {
        self.row(&format!("authorizer#{appid}"))
            .await
            .expect("the authorizer has a row")
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

    /// A merchant's click on the start page.
    pub(crate) async fn click(&self, browser: &mut Browser, query: &str) -> Response<String> {
        let request = browser.request("POST", &format!("/auth/start?{query}"));
        let response = self.functions.auth_start.handle(request, deadline()).await;
        browser.remember(&response);
        response
    }

    /// A browser at an address of ours that WeChat sent it to.
    pub(crate) async fn come_back(&self, browser: &Browser, address: &str) -> Response<String> {
        let request = browser.request("GET", address);
        self.functions
            .auth_callback
            .handle(request, deadline())
            .await
    }

    /// From the click to where WeChat sends the browser; WeChat's notice of it is not pushed but returned.
    pub(crate) async fn consent(&self, browser: &mut Browser, appid: &str) -> (String, String) {
        self.consent_by(browser, "", appid).await
    }

    /// The same by a link with this query.
    pub(crate) async fn consent_by(
        &self,
        browser: &mut Browser,
        query: &str,
        appid: &str,
    ) -> (String, String) {
        let clicked = self.click(browser, query).await;
        assert_eq!(clicked.status(), StatusCode::SEE_OTHER);
        let page = location(&clicked);
        let consent = self
            .simulator
            .consent_unpushed(&parameter(&page, "pre_auth_code"), appid);
        let consent = consent.unwrap();
        let mut back = Url::parse(&parameter(&page, "redirect_uri")).unwrap();
        back.query_pairs_mut()
            .append_pair("auth_code", &consent.auth_code)
            .append_pair("expires_in", &consent.expires_in.to_string());
        (back.into(), consent.notice)
    }
}

/// A merchant's browser: it keeps our cookie.
#[derive(Clone, Default)]
pub(crate) struct Browser {
    pub(crate) cookie: Option<String>,
    pub(crate) user_agent: Option<&'static str>,
}

impl Browser {
    pub(crate) fn request(&self, method: &str, address: &str) -> Request {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HOST.parse().unwrap());
        headers.insert("x-forwarded-proto", "https".parse().unwrap());
        if let Some(cookie) = &self.cookie {
            headers.insert(header::COOKIE, cookie.parse().unwrap());
        }
        if let Some(agent) = self.user_agent {
            headers.insert(header::USER_AGENT, agent.parse().unwrap());
        }
        let mut request = http::Request::builder().method(method).uri(address);
        *request.headers_mut().unwrap() = headers;
        request.body(Body::Empty).unwrap()
    }

    pub(crate) fn remember(&mut self, response: &Response<String>) {
        if let Some(cookie) = response.headers().get(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            self.cookie = cookie.split(';').next().map(str::to_owned);
        }
    }
}

/// Long enough for everything, short enough for a test that must see it pass.
pub(crate) fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(15))
}

pub(crate) fn location(response: &Response<String>) -> Url {
    let location = response
        .headers()
        .get(header::LOCATION)
        .expect("a Location");
    Url::parse(location.to_str().unwrap()).unwrap()
}

pub(crate) fn parameter(url: &Url, name: &str) -> String {
    let found = url.query_pairs().find(|(key, _)| key == name);
    found
        .unwrap_or_else(|| panic!("{url} has no {name}"))
        .1
        .into_owned()
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

pub(crate) fn text(item: &HashMap<String, AttributeValue>, name: &str) -> String {
    item[name].as_s().unwrap().clone()
}

pub(crate) fn number(item: &HashMap<String, AttributeValue>, name: &str) -> u64 {
    item[name].as_n().unwrap().parse().unwrap()
}
