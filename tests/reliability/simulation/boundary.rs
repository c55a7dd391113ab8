//! What happens to a request that leaves a function, and to its answer.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use tokio::sync::{Notify, oneshot};

use super::Simulation;

/// The place that a request goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Dynamodb,
    Wechat,
    Bus,
}

/// How much goes wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weather {
    /// The share of requests that meet a fault.
    pub(crate) faults: f64,
    /// The share of runs in which the sandbox is killed.
    pub(crate) crashes: f64,
    /// The places that do not answer.
    pub(crate) outages: Vec<Place>,
    /// The share of pushes whose time lies far ahead.
    pub(crate) misdated: f64,
    /// WeChat pushes nothing, even if it is asked.
    pub(crate) silence: bool,
}

/// The fate of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The request and its answer arrive.
    Passes,
    /// The connection is refused.
    Refused,
    /// The request never arrives, and no answer comes.
    Swallowed,
    /// The request takes effect, and the connection breaks.
    AnswerLost,
    /// The request takes effect, and no answer comes.
    Unanswered,
    /// The request takes effect late, when its sender may have given up.
    Late,
    /// The request takes effect, and its answer comes late.
    LateAnswer,
    /// The request arrives twice; the second answer comes back.
    Twice,
    /// The other side is overloaded.
    Busy,
    /// The sender is killed before the request leaves.
    DiesBefore,
    /// The sender is killed while the request is in flight.
    DiesAfter,
}

const FAULTS: [Fate; 8] = [
    Fate::Refused,
    Fate::Swallowed,
    Fate::AnswerLost,
    Fate::Unanswered,
    Fate::Late,
    Fate::LateAnswer,
    Fate::Twice,
    Fate::Busy,
];

/// One run of a function.
pub(crate) struct Invocation {
    pub(crate) id: u64,
    /// The number of the request at which the run is killed; a run that makes fewer lives.
    life: Option<usize>,
    requests: AtomicUsize,
    /// Whether it met a fault.
    struck: AtomicBool,
    /// Whether its caller asked for another token than the stored one.
    wants_another: AtomicBool,
    dies: Notify,
}

tokio::task_local! {
    /// The run that makes a request. A request without a run is the test's own, and meets no fault.
    pub(crate) static INVOCATION: Arc<Invocation>;
}

/// An answer of the other side, and the token in it whose receipt the ledger notes.
pub(crate) struct Answer {
    pub(crate) response: HttpResponse,
    pub(crate) issue: Option<(String, u64)>,
}

/// The effect of a request on the other side.
pub(crate) type Effect =
    Box<dyn FnMut() -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + 'static>;

impl Invocation {
    pub(crate) fn new(id: u64, life: Option<usize>) -> Self {
        Self {
            id,
            life,
            requests: AtomicUsize::default(),
            struck: AtomicBool::new(false),
            wants_another: AtomicBool::new(false),
            dies: Notify::new(),
        }
    }

    /// Whether the run is killed at the request that it makes now.
    fn is_at_its_end(&self) -> bool {
        let made = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        self.life == Some(made)
    }

    pub(crate) fn fault(&self) {
        self.struck.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_faultless(&self) -> bool {
        !self.struck.load(Ordering::Relaxed)
    }

    pub(crate) fn want_another(&self) {
        self.wants_another.store(true, Ordering::Relaxed);
    }

    pub(crate) fn wants_another(&self) -> bool {
        self.wants_another.load(Ordering::Relaxed)
    }

    /// Waits until the run is killed, for ever if it is not.
    pub(crate) async fn death(&self) {
        self.dies.notified().await;
    }
}

impl Place {
    /// The longest time of one way.
    const fn latency(self) -> Duration {
        match self {
            Self::Dynamodb | Self::Bus => Duration::from_millis(8),
            Self::Wechat => Duration::from_millis(150),
        }
    }

    fn busy(self, simulation: &Simulation, what: &str) -> HttpResponse {
        let (status, body) = match self {
            // Another writer's transaction is on the row.
            Self::Dynamodb if what == "PutItem" && simulation.chance().happens(0.5) => {
                (400, r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionConflictException","message":"conflict"}"#)
            }
            Self::Dynamodb if what == "TransactWriteItems" && simulation.chance().happens(0.5) => {
                (400, r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","message":"cancelled","CancellationReasons":[{"Code":"TransactionConflict"},{"Code":"None"}]}"#)
            }
            Self::Dynamodb => *simulation.chance().pick(&[
                (400, r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slow down"}"#),
                (500, r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"try again"}"#),
            ]),
            Self::Bus => *simulation.chance().pick(&[
                (400, r#"{"__type":"ThrottlingException","message":"slow down"}"#),
                (500, r#"{"__type":"InternalException","message":"try again"}"#),
                (200, r#"{"FailedEntryCount":1,"Entries":[{"ErrorCode":"ThrottlingException"}]}"#),
            ]),
            Self::Wechat => *simulation.chance().pick(&[
                (200, r#"{"errcode":-1,"errmsg":"system error"}"#),
                (200, r#"{"errcode":45009,"errmsg":"reach max api daily quota limit"}"#),
                (200, "<html>busy</html>"),
                (502, ""),
            ]),
        };
        HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body))
    }
}

impl Simulation {
    fn fate(&self, place: Place, invocation: &Invocation) -> Fate {
        if invocation.is_at_its_end() {
            return *self.chance().pick(&[Fate::DiesBefore, Fate::DiesAfter]);
        }
        let weather = self.weather();
        if weather.outages.contains(&place) {
            return *self.chance().pick(&[Fate::Refused, Fate::Swallowed]);
        }
        if self.chance().happens(weather.faults) {
            return *self.chance().pick(&FAULTS);
        }
        Fate::Passes
    }

    /// Sends a request to the other side and waits for its answer.
    ///
    /// A request in flight is not stopped when its sender gives up.
    pub(crate) async fn cross(
        self,
        place: Place,
        what: String,
        mut effect: Effect,
    ) -> Result<HttpResponse, ConnectorError> {
        let Ok(invocation) = INVOCATION.try_with(Arc::clone) else {
            return Ok(effect().await.response);
        };
        let fate = self.fate(place, &invocation);
        let id = invocation.id;
        if fate == Fate::Passes {
            self.note(format_args!("#{id} {what}"));
        } else {
            invocation.fault();
            self.count("faults");
            self.note(format_args!("#{id} {what} {fate:?}"));
        }
        let broken = || Err(ConnectorError::io("the connection broke".into()));
        let latency = || self.chance().between(Duration::ZERO, place.latency());
        let long = || {
            self.chance()
                .between(Duration::from_secs(1), Duration::from_secs(40))
        };
        let (there, back) = match fate {
            Fate::Late => (long(), latency()),
            Fate::LateAnswer => (latency(), long()),
            _ => (latency(), latency()),
        };
        match fate {
            Fate::Refused => return broken(),
            Fate::Busy => {
                self.sleep(there).await;
                return Ok(place.busy(&self, &what));
            }
            Fate::Swallowed => return std::future::pending().await,
            Fate::DiesBefore => {
                invocation.dies.notify_one();
                return std::future::pending().await;
            }
            Fate::DiesAfter => invocation.dies.notify_one(),
            _ => {}
        }
        let (answered, answer) = oneshot::channel();
        let simulation = self.clone();
        tokio::spawn(async move {
            simulation.sleep(there).await;
            if fate == Fate::Twice {
                effect().await;
                simulation.sleep(there).await;
            }
            let given_up = answered.is_closed();
            let answer = effect().await;
            if given_up && let Some(issue) = &answer.issue {
                simulation.overdue(issue);
            }
            simulation.sleep(back).await;
            // The sender may have given up.
            drop(answered.send(answer));
        });
        let Ok(Answer { response, issue }) = answer.await else {
            return broken();
        };
        match fate {
            Fate::AnswerLost => broken(),
            Fate::Unanswered => std::future::pending().await,
            _ => {
                if let Some(issue) = issue {
                    self.received(&issue);
                }
                Ok(response)
            }
        }
    }
}
