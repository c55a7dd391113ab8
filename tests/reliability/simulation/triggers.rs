//! What makes the functions run: WeChat's pushes, the stream, the schedules, and callers who ask
//! for tokens.

use std::time::Duration;

use component_core::error::Error;
use http::StatusCode;
pub(crate) use local::triggers::REFRESH_EVERY;
use serde_json::{Value, json};

use super::Simulation;
use super::boundary::{INVOCATION, Weather};
use super::ledger::COMPONENT;
use super::sandbox::{Function, Ran};

/// How often WeChat pushes a ticket.
const TICKETS_EVERY: Duration = Duration::from_mins(10);

/// How often WeChat tries a push, and how long it waits for each answer.
const PUSHES: u32 = 3;
const PUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the event source mapping tries a batch.
const BATCHES: u32 = 4;

/// After how long Lambda retries an asynchronous invocation that failed.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>
const RETRIES: [Duration; 2] = [Duration::from_mins(1), Duration::from_mins(2)];

const IDLE_RUNS: f64 = 0.1;

/// The error of Lambda for a run that was killed.
pub(crate) const DIED: &str = "Runtime.ExitError";

/// What a caller wants of a token.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    Any,
    Lasting(u64),
    /// Another token than this one, which WeChat is said to have refused.
    Another(String),
}

impl Simulation {
    /// WeChat's push service.
    pub(crate) async fn run_tickets(self) {
        loop {
            self.push_ticket_soon();
            self.sleep(TICKETS_EVERY).await;
        }
    }

    /// The refresher's schedule, which may miss a run. Most runs that would find no work are left
    /// out to save time.
    pub(crate) async fn run_refresher(self) {
        loop {
            let missed = self.weather().faults / 2.0;
            let idle = !self.anything_due() && !self.chance().happens(IDLE_RUNS);
            if !idle && !self.chance().happens(missed) {
                tokio::spawn(self.clone().tick());
            }
            self.sleep(REFRESH_EVERY).await;
        }
    }

    /// One run of the refresher.
    pub(crate) async fn tick(self) {
        let ran: Ran<Result<Value, Error>> = self
            .invoke(Function::TokenRefresher, |functions, deadline| async move {
                functions.token_refresher.handle(&json!({}), deadline).await
            })
            .await;
        let outcome = ran
            .answer
            .map(|answer| answer.map_err(|error| error.code().as_str()));
        self.note(format_args!("#{} {outcome:?}", ran.id));
    }

    /// One run of the reconciliation, with Lambda's retries.
    pub(crate) async fn reconcile(self) {
        for pause in [Duration::ZERO].into_iter().chain(RETRIES) {
            self.sleep(pause).await;
            let ran = self
                .invoke(Function::AuthorizerSync, |functions, deadline| async move {
                    functions.authorizer_sync.handle(&json!({}), deadline).await
                })
                .await;
            let outcome = ran
                .answer
                .map(|answer| answer.map_err(|error| error.code().as_str()));
            self.note(format_args!("#{} {outcome:?}", ran.id));
            if let Some(Ok(_)) = outcome {
                return;
            }
        }
    }

    pub(super) fn push_ticket_soon(&self) {
        if !self.weather().silence {
            let ticket = self.dated(self.wechat().ticket_unpushed());
            self.push_soon(ticket);
        }
    }

    /// WeChat pushes a notice, may lose it, and retries what is not taken.
    pub(super) fn push_soon(&self, xml: String) {
        tokio::spawn(self.clone().push(xml));
    }

    async fn push(self, xml: String) {
        let Weather {
            faults, silence, ..
        } = self.weather().clone();
        if silence || self.chance().happens(faults / 4.0) {
            self.note(format_args!("a push is lost"));
            return;
        }
        let late = if self.chance().happens(faults) {
            self.chance()
                .between(Duration::from_secs(1), Duration::from_mins(10))
        } else {
            self.chance()
                .between(Duration::ZERO, Duration::from_secs(1))
        };
        self.sleep(late).await;
        let again = self.chance().happens(faults);
        for _push in 0..PUSHES {
            let posted = tokio::time::timeout(PUSH_TIMEOUT, self.post(&xml)).await;
            if posted == Ok(true) && !again {
                return;
            }
        }
    }

    /// Posts a push; whether the ticket receiver took it.
    async fn post(&self, xml: &str) -> bool {
        let nonce = (self.chance().number() % 1_000_000_000).to_string();
        let sealed = self.wechat().seal(xml, self.now(), &nonce);
        let request = http::Request::post(format!("/wechat/events?{}", sealed.query));
        let request = request.body(sealed.body.into_bytes()).unwrap();
        let ran = self.invoke(
            Function::TicketReceiver,
            |functions, _deadline| async move {
                functions.ticket_receiver.handle(request).await.status()
            },
        );
        ran.await.answer == Some(StatusCode::OK)
    }

    /// The stream brings a new row.
    pub(super) fn bring_soon(&self, pk: &str) {
        self.0.stream.lock().unwrap().push(pk.to_owned());
        tokio::spawn(self.clone().bring());
    }

    async fn bring(self) {
        let faults = self.weather().faults;
        let late = if self.chance().happens(faults) {
            120
        } else {
            1
        };
        self.sleep(
            self.chance()
                .between(Duration::from_millis(100), Duration::from_secs(late)),
        )
        .await;
        let batch: Vec<String> = {
            let mut stream = self.0.stream.lock().unwrap();
            let all = stream.len();
            // The records of different rows come in any order.
            let any = |left| stream.swap_remove(self.chance().below(left));
            (0..all)
                .rev()
                .take(10)
                .map(|below| below + 1)
                .map(any)
                .collect()
        };
        let record = |pk: &String| {
            json!({
                "eventName": "INSERT",
                "dynamodb": {"Keys": {"pk": {"S": pk}}, "SequenceNumber": pk},
            })
        };
        let records: Vec<Value> = batch.iter().map(record).collect();
        if records.is_empty() {
            return;
        }
        let again = self.chance().happens(faults);
        for _batch in 0..BATCHES {
            let event = json!({ "Records": records });
            let ran = self
                .invoke(Function::AuthorizerSync, |functions, deadline| async move {
                    functions.authorizer_sync.handle(&event, deadline).await
                })
                .await;
            let done = matches!(ran.answer, Some(Ok(answer)) if answer == json!({ "batchItemFailures": [] }));
            if done && !again {
                return;
            }
        }
    }

    /// Asks the getter for an account: its answer, the code of its error, or [`DIED`] if it was
    /// killed.
    pub(crate) async fn ask(&self, whose: &str, wish: Wish) -> Result<Value, &'static str> {
        let mut request = if whose == COMPONENT {
            json!({ "component": true })
        } else {
            json!({ "authorizer_appid": whose })
        };
        match &wish {
            Wish::Any => {}
            Wish::Lasting(secs) => request["min_valid_secs"] = json!(secs),
            Wish::Another(token) => request["rotate_if"] = json!(token),
        }
        let since = self.note(format_args!("a caller asks for {whose}"));
        let ran = self
            .invoke(Function::TokenGetter, |functions, deadline| async move {
                if !matches!(wish, Wish::Any) {
                    INVOCATION.with(|invocation| invocation.want_another());
                }
                functions.token_getter.handle(&request, deadline).await
            })
            .await;
        let answer = match ran.answer {
            Some(answer) => answer.map_err(|error| error.code().as_str()),
            None => Err(DIED),
        };
        match &answer {
            Ok(answer) => {
                self.note(format_args!("#{} answers {}", ran.id, answer["expires_at"]));
                self.judge(whose, answer, since, ran.faultless);
            }
            Err(code) => {
                self.note(format_args!("#{} {code}", ran.id));
            }
        }
        answer
    }
}
