//! The AWS services and how their clients are made.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::config::retry::{ReconnectMode, RetryConfig};
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region};
use aws_smithy_runtime_api::client::http::{SharedHttpClient, SharedHttpConnector, http_client_fn};

use crate::config::{self, Misconfigured};
use crate::http;

/// Where AWS is and with which credentials it is called, from the environment variables that Lambda
/// sets.
///
/// Nothing else is read: no profile files, no instance metadata. A Lambda function has neither, and
/// the SDK's own chain is slow to start because it looks for them.
pub struct Aws {
    /// `AWS_REGION`.
    pub region: String,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`.
    pub credentials: Credentials,
    /// `AWS_ENDPOINT_URL_DYNAMODB` or `AWS_ENDPOINT_URL`: an emulator.
    pub dynamodb_url: Option<String>,
    /// `AWS_ENDPOINT_URL_SECRETS_MANAGER` or `AWS_ENDPOINT_URL`: an emulator.
    pub secretsmanager_url: Option<String>,
    /// `AWS_ENDPOINT_URL_EVENTBRIDGE` or `AWS_ENDPOINT_URL`: an emulator.
    pub eventbridge_url: Option<String>,
    /// The connector to call through.
    pub http: SharedHttpConnector,
}

/// For one try of a call. The table answers within milliseconds.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1_500);

/// For a call with all its retries: a push must be answered within WeChat's five seconds even if
/// the table is down.
const OPERATION_TIMEOUT: Duration = Duration::from_millis(3_500);

const MAX_ATTEMPTS: u32 = 3;

const FIRST_BACKOFF: Duration = Duration::from_millis(50);

impl Aws {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`Misconfigured`] with the name of a variable that is missing.
    pub fn from_env(client: reqwest::Client) -> Result<Self, Misconfigured> {
        let region =
            config::optional("AWS_REGION").or_else(|| config::optional("AWS_DEFAULT_REGION"));
        let endpoint =
            |name| config::optional(name).or_else(|| config::optional("AWS_ENDPOINT_URL"));
        Ok(Self {
            region: region.map_or_else(|| config::required("AWS_REGION"), Ok)?,
            credentials: Credentials::new(
                config::required("AWS_ACCESS_KEY_ID")?,
                config::required("AWS_SECRET_ACCESS_KEY")?,
                config::optional("AWS_SESSION_TOKEN"),
                None,
                "environment",
            ),
            dynamodb_url: endpoint("AWS_ENDPOINT_URL_DYNAMODB"),
            secretsmanager_url: endpoint("AWS_ENDPOINT_URL_SECRETS_MANAGER"),
            eventbridge_url: endpoint("AWS_ENDPOINT_URL_EVENTBRIDGE"),
            http: http::connector(client),
        })
    }

    /// A client of DynamoDB.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let mut config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(self.region.clone()))
            .credentials_provider(self.credentials.clone())
            .http_client(self.http_client())
            .timeout_config(timeouts())
            .retry_config(retries());
        config.set_endpoint_url(self.dynamodb_url.clone());
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    /// A client of Secrets Manager.
    pub fn secretsmanager(&self) -> aws_sdk_secretsmanager::Client {
        let mut config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(self.region.clone()))
            .credentials_provider(self.credentials.clone())
            .http_client(self.http_client())
            .timeout_config(timeouts())
            .retry_config(retries());
        config.set_endpoint_url(self.secretsmanager_url.clone());
        aws_sdk_secretsmanager::Client::from_conf(config.build())
    }

    /// A client of EventBridge. It tries each call once: what the bus does not take is kept in the
    /// table, and a second try after an answer that was lost would deliver twice.
    pub fn eventbridge(&self) -> aws_sdk_eventbridge::Client {
        let mut config = aws_sdk_eventbridge::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(self.region.clone()))
            .credentials_provider(self.credentials.clone())
            .http_client(self.http_client())
            .timeout_config(timeouts())
            .retry_config(RetryConfig::disabled());
        config.set_endpoint_url(self.eventbridge_url.clone());
        aws_sdk_eventbridge::Client::from_conf(config.build())
    }

    /// Opens a connection to EventBridge, as [`Aws::warm_dynamodb`] does to DynamoDB.
    pub async fn warm_eventbridge(&self) {
        let url = self.eventbridge_url.clone();
        let url = url.unwrap_or_else(|| self.regional("events"));
        http::open(&self.http, &url).await;
    }

    /// Opens a connection to DynamoDB, so that the first call finds one. Its address answers a bare
    /// GET, which names no operation. A failure is left to the first call, after a second at most.
    pub async fn warm_dynamodb(&self) {
        let url = self.dynamodb_url.clone();
        let url = url.unwrap_or_else(|| self.regional("dynamodb"));
        http::open(&self.http, &url).await;
    }

    fn regional(&self, service: &str) -> String {
        let suffix = if self.region.starts_with("cn-") {
            ".cn"
        } else {
            ""
        };
        format!("https://{service}.{}.amazonaws.com{suffix}", self.region)
    }

    /// What a client of another service calls through.
    pub fn http_client(&self) -> SharedHttpClient {
        let http = self.http.clone();
        http_client_fn(move |_settings, _components| http.clone())
    }
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build()
}

fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(MAX_ATTEMPTS)
        .with_initial_backoff(FIRST_BACKOFF)
        // The pool closes broken connections. The SDK cannot, and only warns if it is asked to.
        .with_reconnect_mode(ReconnectMode::ReuseAllConnections)
}
