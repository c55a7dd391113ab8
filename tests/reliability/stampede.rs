//! A thousand callers of one stale token, over twenty processes of the getter, cause one call to
//! WeChat.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use wechat_simulator::{Fault, Settings, SimClock};

use crate::world::gate::Gate;
use crate::world::processes::{Function, MACHINE, Outcome, Process, say};
use crate::world::{World, appid};

const PROCESSES: usize = 20;
const CALLERS: usize = 1000;

/// The time that WeChat takes: long enough for a caller to wait at every process.
const CALL_TIME: Duration = Duration::from_secs(2);

const LONG_AGO_SECS: u64 = 3 * 3600;

/// The getter processes, and the world outside of them.
struct Getters {
    world: World,
    gate: Gate,
    processes: Vec<Arc<Process>>,
}

/// What many callers saw that asked the same at once.
struct Crowd {
    tokens: Vec<String>,
    /// The time of each invocation, sorted. On Lambda each would have a sandbox of its own.
    times: Vec<Duration>,
    /// The time of all invocations together, over so few processes.
    together: Duration,
    /// The calls through the gate.
    calls: BTreeMap<String, usize>,
}

impl Getters {
    /// All tokens have expired, and a ticket has just arrived.
    async fn with_stale_tokens() -> Self {
        let clock = SimClock::system(1);
        clock.set(clock.now() - LONG_AGO_SECS);
        let world = World::on(clock, 1, Settings::example()).await;
        world.push_ticket().await;
        world.authorize(appid()).await;
        world.clock.advance(LONG_AGO_SECS);
        world.push_ticket().await;
        let gate = Gate::open(&world).await;
        let mut processes = Vec::new();
        for _ in 0..PROCESSES {
            let process = Process::start(Function::TokenGetter, &gate.url).await;
            // The process has started: the test measures waiting, not starting.
            let refused = process.invoke(&json!({})).await;
            assert!(matches!(refused, Outcome::Failed(_)), "{refused:?}");
            processes.push(Arc::new(process));
        }
        Self {
            world,
            gate,
            processes,
        }
    }

    /// So many callers ask at once. As on Lambda, a process answers one of them at a time.
    async fn ask(&self, callers: usize, request: &Value) -> Crowd {
        self.gate.calls();
        let began = Instant::now();
        let asked = Arc::new(AtomicUsize::new(0));
        let mut serving = JoinSet::new();
        for process in &self.processes {
            let (process, asked) = (process.clone(), asked.clone());
            let request = request.clone();
            serving.spawn(async move {
                let mut served = Vec::new();
                while asked.fetch_add(1, Ordering::Relaxed) < callers {
                    let began = Instant::now();
                    let outcome = process.invoke(&request).await;
                    let Outcome::Answered(answer) = outcome else {
                        panic!("{outcome:?}");
                    };
                    let token = answer["access_token"].as_str().unwrap().to_owned();
                    served.push((token, began.elapsed()));
                }
                served
            });
        }
        let served = serving.join_all().await.concat();
        let together = began.elapsed();
        let (tokens, mut times): (Vec<_>, Vec<_>) = served.into_iter().unzip();
        times.sort();
        Crowd {
            tokens,
            times,
            together,
            calls: self.gate.counts(),
        }
    }

    /// The same while WeChat answers slowly.
    async fn ask_while_slow(&self, endpoint: &str, callers: usize, request: &Value) -> Crowd {
        self.world
            .simulator
            .fault(Fault::delay(endpoint, CALL_TIME));
        self.ask(callers, request).await
    }
}

impl Crowd {
    fn time(&self, percent: usize) -> Duration {
        self.times[self.times.len() * percent / 100 - 1]
    }

    /// Asserts that every caller got the same token, and returns it.
    #[track_caller]
    fn token(&self, callers: usize) -> &str {
        assert_eq!(self.tokens.len(), callers);
        let first = &self.tokens[0];
        assert!(self.tokens.iter().all(|token| token == first));
        first
    }

    /// The calls to WeChat.
    fn wechat_calls(&self) -> BTreeMap<&str, usize> {
        let calls = self
            .calls
            .iter()
            .map(|(call, count)| (call.as_str(), *count));
        calls.filter(|(call, _)| call.starts_with("api_")).collect()
    }

    fn table_calls(&self) -> BTreeMap<&str, usize> {
        let calls = self
            .calls
            .iter()
            .map(|(call, count)| (call.as_str(), *count));
        calls
            .filter(|(call, _)| !call.starts_with("api_"))
            .collect()
    }

    /// Asserts that the callers who waited, one at each process, read the row five times at most.
    /// Those who asked later read it once.
    #[track_caller]
    fn check_reads(&self, row: &str) {
        let reads = self.calls[&format!("GetItem {row}")];
        let once = self.tokens.len() - PROCESSES;
        assert!(reads <= once + 5 * PROCESSES, "{:?}", self.calls);
    }

    fn tell(&self, what: &str) {
        let [p50, p99, all] = [self.time(50), self.time(99), self.together].map(|t| t.as_millis());
        let (callers, calls) = (self.tokens.len(), self.wechat_calls());
        say(&format!(
            "{callers} callers of {what}: p50 {p50} ms, p99 {p99} ms, all in {all} ms, at WeChat {calls:?}, at the table {:?}",
            self.table_calls()
        ));
    }

    /// Asserts that callers waited for one call to WeChat and no longer. One caller at each process
    /// waits, which is more than one in a hundred. It may wait for the call, and as long again for
    /// polling and a busy machine. A second call after the first, or the end of a lease, would take
    /// longer.
    #[track_caller]
    fn check_waited_for_one_call(&self) {
        let waited = |time: &&Duration| **time > CALL_TIME / 2;
        assert!(self.times.iter().filter(waited).count() >= PROCESSES);
        let p99 = self.time(99);
        assert!(p99 > CALL_TIME / 2 && p99 < CALL_TIME * 2, "{p99:?}");
    }
}

#[tokio::test]
async fn a_thousand_callers_of_a_stale_token_are_one_call_at_wechat() {
    let _mine = MACHINE.lock().await;
    let getters = Getters::with_stale_tokens().await;
    let simulator = &getters.world.simulator;

    let component = json!({ "component": true });
    let endpoint = "api_component_token";
    let stale = getters.ask_while_slow(endpoint, CALLERS, &component).await;
    stale.tell("the stale component token");
    assert_eq!(stale.wechat_calls(), BTreeMap::from([(endpoint, 1)]));
    assert!(simulator.component_token_works(stale.token(CALLERS)));
    let fresh = getters.ask(CALLERS, &component).await;
    fresh.tell("the fresh one");
    assert_eq!(
        fresh.calls,
        BTreeMap::from([("GetItem component#token".to_owned(), CALLERS)])
    );
    assert_eq!(fresh.token(CALLERS), stale.token(CALLERS));
    stale.check_waited_for_one_call();
    stale.check_reads("component#token");

    let authorizer = json!({ "authorizer_appid": appid() });
    let endpoint = "api_authorizer_token";
    let stale = getters.ask_while_slow(endpoint, CALLERS, &authorizer).await;
    stale.tell("a stale authorizer token");
    assert_eq!(stale.wechat_calls(), BTreeMap::from([(endpoint, 1)]));
    getters.world.assert_good(stale.token(CALLERS));
    let fresh = getters.ask(CALLERS, &authorizer).await;
    fresh.tell("the fresh one");
    assert_eq!(
        fresh.calls,
        BTreeMap::from([("GetItem authorizer".to_owned(), CALLERS)])
    );
    assert_eq!(fresh.token(CALLERS), stale.token(CALLERS));
    stale.check_waited_for_one_call();
    stale.check_reads("authorizer");

    let refused = fresh.token(CALLERS);
    let rotate = json!({ "authorizer_appid": appid(), "rotate_if": refused });
    let rotated = getters.ask_while_slow(endpoint, 100, &rotate).await;
    rotated.tell("a refused token");
    assert_eq!(rotated.wechat_calls(), BTreeMap::from([(endpoint, 1)]));
    assert_ne!(rotated.token(100), refused);
    getters.world.assert_good(rotated.token(100));
    rotated.check_waited_for_one_call();
}
