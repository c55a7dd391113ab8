//! The real handlers in simulated time and with simulated chance: one thread, no network, and one
//! seed for a whole life.
//!
//! Time is tokio's, paused: it jumps to the next moment at which something happens. The database
//! and WeChat answer within the process. A request that crosses a [`boundary`] may be delayed,
//! lost, repeated or refused, and its sender may crash. Requests are those to DynamoDB, the event
//! bus and WeChat, pushes, and batches of the stream. One [`Chance`] decides it all. So a life depends on its seed
//! alone, and a failed life can be repeated.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use dynoxide::Database;
use local::functions::Functions;
use tokio::time::Instant;
use wechat_simulator::{Settings, SimClock, Simulator};

use crate::world::{BEGINNING, HOST};

pub(crate) mod boundary;
mod bus;
pub(crate) mod chance;
pub(crate) mod dynamodb;
pub(crate) mod ledger;
pub(crate) mod merchant;
pub(crate) mod sandbox;
mod secret;
mod trace;
pub(crate) mod triggers;
mod trouble;
mod wechat;

use boundary::Weather;
use chance::Chance;
use ledger::Ledger;
use trace::Trace;

/// One life of a component. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Simulation(Arc<Inner>);

struct Inner {
    chance: Chance,
    began: Instant,
    trace: Trace,
    weather: Mutex<Weather>,
    ledger: Mutex<Ledger>,
    simulator: Simulator,
    router: axum::Router,
    database: Database,
    /// The sandboxes that are warm and idle.
    sandboxes: Mutex<Vec<Arc<Functions>>>,
    invocations: AtomicU64,
    /// The tokens of the transactions that took effect.
    transactions: Mutex<BTreeSet<String>>,
    /// The keys of new rows that the stream has yet to bring.
    stream: Mutex<Vec<String>>,
}

/// The result of a life.
pub(crate) struct Life {
    /// A hash of all that happened: the same for the same seed.
    pub(crate) hash: u64,
    /// The rules that were broken, and when.
    pub(crate) broken: Vec<String>,
    /// How often each thing happened.
    pub(crate) counts: ledger::Counts,
}

impl Simulation {
    /// Lives the life of a seed; if `told`, prints what happens.
    pub(crate) fn live<F>(seed: u64, told: bool, life: impl FnOnce(Self) -> F) -> Life
    where
        F: Future<Output = ()>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let simulation = Self::begin(seed, told);
            life(simulation.clone()).await;
            simulation.end()
        })
    }

    fn begin(seed: u64, told: bool) -> Self {
        let began = Instant::now();
        let settings = Settings {
            authorization_host: Some(HOST.to_owned()),
            component_token_daily_quota: 100_000,
            ..Settings::example()
        };
        let simulator = Simulator::new_seeded(settings, SimClock::hand_moved(BEGINNING), seed);
        Self(Arc::new(Inner {
            chance: Chance::new(seed),
            began,
            trace: Trace::new(told),
            weather: Mutex::default(),
            ledger: Mutex::default(),
            router: simulator.router(),
            simulator,
            database: dynamodb::database(began),
            sandboxes: Mutex::default(),
            invocations: AtomicU64::default(),
            transactions: Mutex::default(),
            stream: Mutex::default(),
        }))
    }

    fn end(&self) -> Life {
        // Sandboxes and simulation hold each other, so one must let go.
        self.0.sandboxes.lock().unwrap().clear();
        let mut ledger = self.ledger();
        Life {
            hash: self.0.trace.hash(),
            broken: std::mem::take(&mut ledger.broken),
            counts: std::mem::take(&mut ledger.counts),
        }
    }

    pub(crate) fn chance(&self) -> &Chance {
        &self.0.chance
    }

    /// Unix seconds.
    pub(crate) fn now(&self) -> u64 {
        BEGINNING + self.elapsed().as_secs()
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.began.elapsed()
    }

    pub(crate) async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// WeChat, with its clock set to the time of the simulation.
    pub(crate) fn wechat(&self) -> &Simulator {
        self.0.simulator.clock().set(self.now());
        &self.0.simulator
    }

    pub(crate) fn weather(&self) -> MutexGuard<'_, Weather> {
        self.0.weather.lock().unwrap()
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.ledger.lock().unwrap()
    }

    /// DynamoDB deletes the rows whose ttl has passed.
    pub(crate) fn sweep(&self) {
        self.0.database.sweep_ttl().unwrap();
    }

    /// Notes an event, and returns its number in the order of all events.
    pub(crate) fn note(&self, what: std::fmt::Arguments<'_>) -> u64 {
        self.0.trace.note(self.elapsed(), what)
    }

    /// Notes that a rule is broken.
    pub(crate) fn broken(&self, what: std::fmt::Arguments<'_>) {
        self.note(format_args!("BROKEN {what}"));
        let elapsed = self.elapsed();
        self.ledger().broken.push(format!("{elapsed:?} {what}"));
    }

    fn next_invocation(&self) -> u64 {
        self.0.invocations.fetch_add(1, Ordering::Relaxed) + 1
    }
}
