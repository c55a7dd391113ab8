//! Lambda: a function runs alone in a sandbox, and is killed at its time limit.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::config::retry::RetryPartition;
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use component_core::aws::Aws;
use component_core::time::{Clock, Deadline, Timestamp};
use local::functions::{Functions, Pages, Parts};
use merchant_pages::brand::Brand;

use super::Simulation;
use super::boundary::{INVOCATION, Invocation};
use super::bus::Bus;
use super::dynamodb::Dynamodb;
use super::secret::SecretsManager;
use super::wechat::Wechat;

/// A function and its time limit, as in `template.yaml`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Function {
    TicketReceiver,
    MessageReceiver,
    AuthStart,
    AuthCallback,
    AuthorizerSync,
    TokenRefresher,
    TokenGetter,
}

/// The time that each `main.rs` keeps for its answer.
const MARGIN: Duration = Duration::from_secs(3);

/// The share of runs that get a new sandbox although an idle one exists.
const COLD_STARTS: f64 = 0.05;

/// A killed run makes fewer than 2 to the power of this many requests.
const LONGEST_LIFE: usize = 10;

impl Function {
    const fn timeout(self) -> Duration {
        Duration::from_secs(match self {
            Self::TicketReceiver | Self::MessageReceiver => 5,
            Self::AuthStart | Self::AuthCallback | Self::TokenGetter => 25,
            Self::AuthorizerSync | Self::TokenRefresher => 900,
        })
    }
}

/// One run of a function, as its caller sees it.
pub(crate) struct Ran<T> {
    /// Its number.
    pub(crate) id: u64,
    /// `None` if the run was killed.
    pub(crate) answer: Option<T>,
    /// Whether the run met no fault.
    pub(crate) faultless: bool,
}

impl Simulation {
    /// Runs a function.
    pub(crate) async fn invoke<T, F>(
        &self,
        function: Function,
        run: impl FnOnce(Arc<Functions>, Deadline) -> F,
    ) -> Ran<T>
    where
        F: Future<Output = T>,
    {
        let sandbox = self.sandbox().await;
        let id = self.next_invocation();
        self.note(format_args!("#{id} {function:?}"));
        let invocation = Arc::new(Invocation::new(id, self.life()));
        let deadline = Deadline::after(function.timeout().saturating_sub(MARGIN));
        let run = INVOCATION.scope(invocation.clone(), run(sandbox.clone(), deadline));
        let answer = tokio::select! {
            biased;
            () = invocation.death() => None,
            answer = tokio::time::timeout(function.timeout(), run) => answer.ok(),
        };
        if answer.is_some() {
            self.0.sandboxes.lock().unwrap().push(sandbox);
        } else {
            invocation.fault();
            self.note(format_args!("#{id} is killed"));
        }
        Ran {
            id,
            answer,
            faultless: invocation.is_faultless(),
        }
    }

    /// The number of the request at which a run is killed, if it is: early as often as late.
    fn life(&self) -> Option<usize> {
        let crashes = self.weather().crashes;
        let dies = self.chance().happens(crashes);
        dies.then(|| {
            let least = 1 << self.chance().below(LONGEST_LIFE);
            least + self.chance().below(least)
        })
    }

    async fn sandbox(&self) -> Arc<Functions> {
        let idle = {
            let mut sandboxes = self.0.sandboxes.lock().unwrap();
            if sandboxes.is_empty() || self.chance().happens(COLD_STARTS) {
                None
            } else {
                let index = self.chance().below(sandboxes.len());
                Some(sandboxes.swap_remove(index))
            }
        };
        match idle {
            Some(sandbox) => sandbox,
            None => Arc::new(Functions::start(&self.parts()).await.unwrap()),
        }
    }

    /// New clients, as each sandbox has its own.
    fn parts(&self) -> Parts {
        let (time, chance) = (self.clone(), self.chance().clone());
        let clock = Clock::told(move || Timestamp::from_secs(time.now()), 1);
        Parts {
            dynamodb: self.dynamodb(),
            secretsmanager: SECRETS_MANAGER.clone(),
            eventbridge: aws(Bus(self.clone())).eventbridge(),
            replies: None,
            wechat: SharedHttpConnector::new(Wechat(self.clone())),
            wechat_url: "http://wechat.example".to_owned(),
            pages: Pages::new("http://wechat.example", "http://wechat.example").unwrap(),
            clock: clock.with_jitter(move || chance.unit()),
            return_origins: "https://shop.example".parse().unwrap(),
            brand: Brand::default(),
        }
    }

    fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let client = aws(Dynamodb(self.clone())).dynamodb();
        let retries = client.config().retry_config().cloned().unwrap();
        let config = client
            .config()
            .to_builder()
            // The SDK draws its own jitter, and all clients of a process share its budget of
            // retries.
            .retry_config(retries.with_use_static_exponential_base(true))
            .retry_partition(RetryPartition::custom("sandbox").build());
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }
}

static SECRETS_MANAGER: LazyLock<aws_sdk_secretsmanager::Client> =
    LazyLock::new(|| aws(SecretsManager).secretsmanager());

fn aws(connector: impl HttpConnector + 'static) -> Aws {
    Aws {
        region: "us-east-1".to_owned(),
        credentials: Credentials::new("simulated", "simulated", None, None, "simulated"),
        dynamodb_url: Some("http://dynamodb.example".to_owned()),
        secretsmanager_url: Some("http://secretsmanager.example".to_owned()),
        eventbridge_url: Some("http://events.example".to_owned()),
        http: SharedHttpConnector::new(connector),
    }
}
