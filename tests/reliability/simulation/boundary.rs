//! What befalls whatever leaves a function, on its way there and back.

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

/// Where something leaves a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Dynamodb,
    Wechat,
}

/// How rough it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weather {
    /// How much of what crosses a boundary something befalls.
    pub(crate) faults: f64,
    /// Of how many runs of a function the sandbox is to die.
    pub(crate) crashes: f64,
    /// Nobody answers there.
    pub(crate) outages: Vec<Place>,
    /// WeChat pushes nothing, whatever it is asked.
    pub(crate) silence: bool,
}

/// What befalls one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing.
    Passes,
    /// There is no connection.
    Refused,
    /// It never arrives, and no answer comes.
    Swallowed,
    /// It takes effect, and the connection breaks.
    AnswerLost,
    /// It takes effect, and no answer comes.
    Unanswered,
    /// It takes effect when nobody waits for it any more.
    Late,
    /// It takes effect, and the answer comes late, too late perhaps.
    LateAnswer,
    /// It arrives twice; the second answer comes back.
    Twice,
    /// The other side has too much to do.
    Busy,
    /// The sender dies before it leaves.
    DiesBefore,
    /// The sender dies while it is under way.
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
    /// After how many requests it dies; not, if it makes fewer.
    life: Option<usize>,
    requests: AtomicUsize,
    /// Whether anything befell it.
    struck: AtomicBool,
    /// Whether it was asked for another token than the one that is there.
    wants_another: AtomicBool,
    dies: Notify,
}

tokio::task_local! {
    /// Whose request it is; what belongs to none is the test's own, and nothing befalls it.
    pub(crate) static INVOCATION: Arc<Invocation>;
}

/// An answer from the other side, and what of it the ledger wants to know whether it was received.
pub(crate) struct Answer {
    pub(crate) response: HttpResponse,
    pub(crate) issue: Option<(String, u64)>,
}

/// What a request does on the other side.
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

    /// Whether the request that it makes now is its last.
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

    /// Until it dies, if it does.
    pub(crate) async fn death(&self) {
        self.dies.notified().await;
    }
}

impl Place {
    /// How long one way takes, at most.
    const fn latency(self) -> Duration {
        match self {
            Self::Dynamodb => Duration::from_millis(8),
            Self::Wechat => Duration::from_millis(150),
        }
    }

    fn busy(self, simulation: &Simulation) -> HttpResponse {
        let (status, body) = match self {
            Self::Dynamodb => *simulation.chance().pick(&[
                (400, r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slow down"}"#),
                (500, r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"try again"}"#),
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
    /// It travels on its own: a sender who hangs up does not call it back.
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
                return Ok(place.busy(&self));
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
            // Nobody may wait any more.
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
