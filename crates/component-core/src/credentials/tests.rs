use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_credential_types::Credentials as AwsCredentials;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::*;
use crate::aws::Aws;

const NOW: u64 = 1_700_000_000;

const DAY: u64 = 24 * 3600;

/// Secrets Manager and the time.
#[derive(Clone, Debug)]
struct World {
    stages: Arc<StdMutex<Stages>>,
    now: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Stages {
    current: Option<Value>,
    previous: Option<Value>,
    denied: bool,
    calls: u32,
}

impl World {
    /// With a secret of one version, whose token is `a`.
    fn new() -> Self {
        let world = Self {
            stages: Arc::default(),
            now: Arc::new(NOW.into()),
        };
        world.put("1", &secret("a"));
        world
    }

    /// Puts a version, made now.
    fn put(&self, id: &str, secret: &str) {
        let mut stages = self.stages.lock().unwrap();
        stages.previous = stages.current.take();
        stages.current = Some(json!({
            "VersionId": id,
            "SecretString": secret,
            "CreatedDate": self.now.load(Ordering::Relaxed),
        }));
    }

    /// Gives the current version another date, or none.
    fn date(&self, created: Value) {
        let mut stages = self.stages.lock().unwrap();
        stages.current.as_mut().unwrap()["CreatedDate"] = created;
    }

    fn deny(&self, denied: bool) {
        self.stages.lock().unwrap().denied = denied;
    }

    /// The calls since the last look.
    fn calls(&self) -> u32 {
        std::mem::take(&mut self.stages.lock().unwrap().calls)
    }

    fn pass(&self, secs: u64) {
        self.now.fetch_add(secs, Ordering::Relaxed);
    }

    fn on_demand(&self) -> Vault {
        let (client, secret, clock) = self.parts();
        Vault::on_demand(client, secret, clock)
    }

    async fn open(&self) -> Result<Vault, Error> {
        let (client, secret, clock) = self.parts();
        Vault::open(client, secret, clock).await
    }

    fn parts(&self) -> (Client, String, Clock) {
        let now = self.now.clone();
        let aws = Aws {
            region: "us-east-1".to_owned(),
            credentials: AwsCredentials::new("test", "test", None, None, "test"),
            dynamodb_url: None,
            secretsmanager_url: Some("http://secretsmanager.example".to_owned()),
            eventbridge_url: None,
            http: SharedHttpConnector::new(self.clone()),
        };
        let clock = Clock::told(
            move || Timestamp::from_secs(now.load(Ordering::Relaxed)),
            50,
        );
        (aws.secretsmanager(), "secret".to_owned(), clock)
    }
}

impl HttpConnector for World {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let request: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let mut stages = self.stages.lock().unwrap();
        stages.calls += 1;
        let version = match request["VersionStage"].as_str() {
            _ if stages.denied => Err("AccessDeniedException"),
            Some("AWSCURRENT") => Ok(stages.current.clone()),
            _ => Ok(stages.previous.clone()),
        };
        let (status, answer) = match version {
            Ok(Some(version)) => (200, version),
            Ok(None) => (400, json!({ "__type": "ResourceNotFoundException" })),
            Err(name) => (400, json!({ "__type": name })),
        };
        let status = StatusCode::try_from(status).unwrap();
        let answer = HttpResponse::new(status, SdkBody::from(answer.to_string()));
        HttpConnectorFuture::ready(Ok(answer))
    }
}

fn secret(token: &str) -> String {
    json!({
        "component_appid": "wx0123456789abcdef",
        "component_appsecret": "SECRET",
        "token": token,
        "encoding_aes_key": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
    })
    .to_string()
}

/// The same, and it ends the version before it.
fn closing(token: &str) -> String {
    secret(token).replace('}', ",\"accept_previous\":false}")
}

/// Whether the keys with this token are accepted; the answer must name them.
async fn accepts(vault: &Vault, token: &str) -> bool {
    let is = |keys: &Credentials| keys.push.token.expose_secret() == token;
    let tried = vault.under_either_key(|keys| is(keys).then_some(()).ok_or(()));
    match tried.await.unwrap() {
        Ok(((), keys)) => is(&keys),
        Err(()) => false,
    }
}

#[track_caller]
fn assert_is(credentials: &Credentials, token: &str) {
    assert_eq!(credentials.push.token.expose_secret(), token);
}

#[tokio::test]
async fn the_window_closes_thirty_days_after_the_current_version_was_made() {
    let world = World::new();
    world.pass(DAY);
    world.put("2", &secret("b"));
    world.pass(29 * DAY);
    let vault = world.open().await.unwrap();
    assert!(accepts(&vault, "a").await);
    world.calls();
    world.pass(DAY - 1);
    assert!(accepts(&vault, "a").await);
    assert_eq!(world.calls(), 0);
    // It is judged at each use, not at the fetch.
    world.pass(1);
    world.deny(true);
    assert!(!accepts(&vault, "a").await);
    assert!(accepts(&vault, "b").await);
    world.deny(false);
    assert!(!accepts(&world.open().await.unwrap(), "a").await);
}

#[tokio::test]
async fn the_window_closes_at_once_where_the_current_version_says_so() {
    let world = World::new();
    let vault = world.open().await.unwrap();
    world.put("2", &secret("b"));
    assert!(accepts(&vault, "b").await);
    assert!(accepts(&vault, "a").await);
    world.put("3", &closing("c"));
    world.pass(60);
    assert!(accepts(&vault, "c").await);
    for instance in [&vault, &world.open().await.unwrap()] {
        for ended in ["a", "b"] {
            assert!(!accepts(instance, ended).await, "{ended}");
        }
    }
}

#[tokio::test]
async fn a_date_that_is_missing_or_to_come_counts_as_the_first_fetch() {
    for date in [Value::Null, json!(NOW + 400 * DAY)] {
        let world = World::new();
        world.put("2", &secret("b"));
        world.date(date.clone());
        let vault = world.open().await.unwrap();
        assert!(accepts(&vault, "a").await, "{date}");
        world.pass(30 * DAY - 1);
        // A later fetch of the same version does not move it.
        assert!(!accepts(&vault, "z").await, "{date}");
        assert!(accepts(&vault, "a").await, "{date}");
        world.pass(1);
        assert!(!accepts(&vault, "a").await, "{date}");
        assert!(accepts(&vault, "b").await, "{date}");
    }
}

#[tokio::test]
async fn where_the_current_version_is_malformed_a_new_instance_uses_the_previous_one() {
    let world = World::new();
    for malformed in ["", "null", "{}", &secret("")] {
        world.put("1", &secret("a"));
        world.put("2", malformed);
        // The malformed version closes no window, nor does its age.
        world.pass(40 * DAY);
        for vault in [world.on_demand(), world.open().await.unwrap()] {
            assert_is(&vault.current().await.unwrap(), "a");
            assert!(accepts(&vault, "a").await);
            assert!(!accepts(&vault, "b").await);
            world.pass(300);
            assert_is(&vault.current().await.unwrap(), "a");
        }
    }
    let closing = json!({ "token": "b", "accept_previous": false }).to_string();
    world.put("1", &secret("a"));
    world.put("2", &closing);
    assert!(accepts(&world.open().await.unwrap(), "a").await);
}

#[tokio::test]
async fn a_secret_without_a_good_version_is_named_at_start_up() {
    let world = World::new();
    let failure = async || world.open().await.err().unwrap();
    world.put("2", "{}");
    world.put("3", &secret(""));
    let error = failure().await;
    assert_eq!(error.code(), "misconfigured");
    assert!(error.to_string().contains("token is empty"), "{error}");
    // To those who ask a function that has started, it is the same as no secret.
    let error = world.on_demand().current().await.err().unwrap();
    assert_eq!(error.code(), "store_unavailable");
    world.deny(true);
    assert_eq!(failure().await.code(), "store_unavailable");
}

#[tokio::test]
async fn a_secret_fetched_on_demand_is_kept() {
    let world = World::new();
    world.deny(true);
    let vault = world.on_demand();
    assert_eq!(world.calls(), 0);
    for _caller in 0..2 {
        let error = vault.current().await.err().unwrap();
        assert_eq!(error.code(), "store_unavailable");
        assert!(vault.under_either_key(|_| Ok::<(), ()>(())).await.is_err());
    }
    // A first fetch that failed holds no later one back.
    world.deny(false);
    world.calls();
    assert_is(&vault.current().await.unwrap(), "a");
    assert_eq!(world.calls(), 1);
    world.deny(true);
    for secs in [0, 299, 1, 3600] {
        world.pass(secs);
        assert_is(&vault.current().await.unwrap(), "a");
    }
}

#[tokio::test]
async fn callers_who_come_at_once_fetch_once() {
    let world = World::new();
    let vault = world.on_demand();
    let (one, other) = tokio::join!(vault.current(), vault.current());
    assert!(one.is_ok() && other.is_ok());
    assert_eq!(world.calls(), 1);
}

/// The stages no longer name the version before the malformed one; only the instance knows it.
#[tokio::test]
async fn fetching_a_corrected_secret_again_keeps_the_keys_from_before_the_malformed_one() {
    let world = World::new();
    let vault = world.open().await.unwrap();
    world.put("2", "{}");
    world.put("3", &secret("b"));
    for _forgery in 0..3 {
        assert!(!accepts(&vault, "z").await);
        assert!(accepts(&vault, "b").await);
        assert!(accepts(&vault, "a").await);
        world.pass(60);
    }
    world.pass(30 * DAY);
    assert!(!accepts(&vault, "a").await);
}

#[tokio::test]
async fn a_malformed_version_does_not_open_again_what_the_one_before_it_has_ended() {
    let world = World::new();
    let vault = world.open().await.unwrap();
    world.put("2", &closing("b"));
    assert!(accepts(&vault, "b").await);
    world.put("3", "{}");
    world.pass(60);
    for instance in [&vault, &world.open().await.unwrap()] {
        assert!(!accepts(instance, "a").await);
        assert!(accepts(instance, "b").await);
    }
}

#[tokio::test]
async fn while_the_current_version_is_malformed_the_keys_before_the_previous_ones_stay_accepted() {
    let world = World::new();
    let vault = world.open().await.unwrap();
    world.put("2", &secret("b"));
    assert!(accepts(&vault, "b").await);
    world.put("3", "{}");
    for _forgery in 0..3 {
        world.pass(60);
        assert!(!accepts(&vault, "z").await);
        assert!(accepts(&vault, "b").await);
        assert!(accepts(&vault, "a").await);
    }
}
