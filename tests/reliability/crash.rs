//! A process may be killed at any moment: nothing is lost, and the next worker repairs what is
//! left.
//!
//! 40 processes are killed by default; `CRASHES=200` is the full form. A run prints its seed.
//! `CRASH_SEED` repeats a run, and `CRASH_CASE` one case of it. `FUNCTION_LOGS=1` shows what the
//! functions log:
//!
//! ```text
//! CRASHES=10000 cargo test -p e2e killed
//! CRASH_SEED=1 CRASH_CASE=17 FUNCTION_LOGS=1 cargo test -p e2e killed
//! ```

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use component_core::row::LONGEST_LEASE;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::world::gate::{KillPoint, Phase};
use crate::world::processes::{Function, MACHINE, Outcome, Process, say};

pub(super) mod scene;
mod stories;

use stories::Story;

/// Time for the next run or call, on a busy machine. A second lease would not fit in.
const TICK: Duration = Duration::from_secs(15);

/// Kills, unless `CRASHES` says otherwise.
const CRASHES: u64 = 40;

/// Cases in flight: nearly all of them wait for a lease to end.
const AT_ONCE: u64 = 200;

/// Cases that work instead of waiting, at a time.
const AT_WORK: usize = 4;

/// Without optimization, the future of a case needs more than the usual stack of a thread.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// Open files that one case may need.
const FILES: u64 = 64;

const PHASES: [&str; 3] = ["before", "effect", "after"];

/// All cases of one run.
struct Run {
    seed: u64,
    /// The calls of each story without a kill.
    calls: Vec<Vec<String>>,
    work: Semaphore,
    kills: Mutex<BTreeMap<Kill, u32>>,
    /// The times from each kill until all was repaired.
    times: Mutex<Vec<Duration>>,
    failed: Mutex<Vec<u64>>,
}

/// What a kill met.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kill {
    /// The process was killed at this call, in this phase.
    Hit(Function, String, &'static str),
    /// The process had answered before it was killed.
    Late,
    /// The process made fewer calls than without a kill, and lived.
    Missed,
}

#[test]
fn what_a_killed_process_leaves_is_repaired_within_one_lease() {
    let seed = variable("CRASH_SEED").unwrap_or_else(|| rand::random_range(0..1_000_000));
    let one: Option<u64> = variable("CRASH_CASE");
    let cases = match one {
        Some(case) => case..case + 1,
        None => 0..variable("CRASHES").unwrap_or(CRASHES),
    };
    let _mine = MACHINE.blocking_lock();
    let run = thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(move || Run::new(seed))
        .unwrap();
    let run = run.join().unwrap();
    let crashes = cases.end - cases.start;
    say(&format!("{crashes} processes are killed, seed {seed}"));
    let began = Instant::now();
    let next = AtomicU64::new(cases.start);
    thread::scope(|threads| {
        for _ in 0..at_once().min(crashes) {
            let thread = thread::Builder::new().stack_size(STACK_BYTES);
            let play = || {
                let mine = || Some(next.fetch_add(1, Ordering::Relaxed));
                let mine = std::iter::from_fn(mine).take_while(|case| cases.contains(case));
                mine.for_each(|case| run.play(case));
            };
            thread.spawn_scoped(threads, play).unwrap();
        }
    });
    let hit = run.tell(began.elapsed());
    let failed = run.failed.into_inner().unwrap();
    assert!(
        failed.is_empty(),
        "seed {seed}: the cases {failed:?} failed"
    );
    // A kill after the last call may come when the answer is already on its way. In a short run
    // chance weighs more: it may have four such kills more.
    let enough = one.is_some() || (hit + 4) * 10 >= crashes * 8;
    assert!(enough, "only {hit} of {crashes} were killed at work");
}

impl Run {
    fn new(seed: u64) -> Self {
        let rehearsed = Story::ALL.map(|story| alone(rehearse(story)).unwrap());
        Self {
            seed,
            calls: rehearsed.to_vec(),
            work: Semaphore::new(AT_WORK),
            kills: Mutex::default(),
            times: Mutex::default(),
            failed: Mutex::default(),
        }
    }

    fn play(&self, case: u64) {
        let story = usize::try_from(case).unwrap() % Story::ALL.len();
        let (story, calls) = (Story::ALL[story], &self.calls[story]);
        let chance = StdRng::seed_from_u64(self.seed ^ case.rotate_left(32));
        if let Ok((kill, time)) = alone(play(story, chance, calls, &self.work)) {
            *self.kills.lock().unwrap().entry(kill).or_default() += 1;
            self.times.lock().unwrap().push(time);
        } else {
            let seed = self.seed;
            say(&format!(
                "{story:?} failed: CRASH_SEED={seed} CRASH_CASE={case}"
            ));
            self.failed.lock().unwrap().push(case);
        }
    }

    /// Prints what was killed, and returns how many processes were killed at work.
    fn tell(&self, took: Duration) -> u64 {
        let kills = self.kills.lock().unwrap();
        let mut table: BTreeMap<(Function, &str), [u32; 3]> = BTreeMap::new();
        for (kill, count) in kills.iter() {
            if let Kill::Hit(function, call, phase) = kill {
                let column = PHASES.iter().position(|name| name == phase).unwrap();
                table.entry((*function, call)).or_default()[column] += count;
            }
        }
        let line = |function: &str, call: &str, phases: [String; 3]| {
            let [before, effect, after] = phases;
            say(&format!(
                "{function:<16} {call:<27} {before:>7} {effect:>7} {after:>7}"
            ));
        };
        line("function", "call", PHASES.map(str::to_owned));
        for ((function, call), counts) in &table {
            line(function.name(), call, counts.map(|count| count.to_string()));
        }
        let count = |kill| kills.get(&kill).copied().unwrap_or_default();
        let (late, missed) = (count(Kill::Late), count(Kill::Missed));
        let hit: u32 = table.values().flatten().sum();
        let failed = self.failed.lock().unwrap().len();
        say(&format!(
            "{hit} killed at work, {late} when they had answered, {missed} that made fewer calls; {failed} failed; {took:.1?}"
        ));
        let mut times = self.times.lock().unwrap();
        times.sort();
        let time = |percent| times.get(times.len() * percent / 100).or(times.last());
        let [p50, p99, most] =
            [50, 99, 100].map(|percent| time(percent).copied().unwrap_or_default());
        say(&format!(
            "good again: p50 {p50:.1?}, p99 {p99:.1?}, at most {most:.1?}"
        ));
        hit.into()
    }
}

/// The calls of one run without a kill.
async fn rehearse(story: Story) -> Vec<String> {
    let scene = story.prepare().await;
    let process = Process::start(story.function(), &scene.gate.url).await;
    scene.gate.calls();
    let outcome = process.invoke(&scene.event).await;
    let answered = matches!(outcome, Outcome::Answered(_));
    assert!(answered, "{story:?}: {outcome:?}");
    scene.gate.calls()
}

/// One case: a kill, and what repairs it.
async fn play(
    story: Story,
    mut chance: StdRng,
    calls: &[String],
    work: &Semaphore,
) -> (Kill, Duration) {
    let phase = chance.random_range(0..3);
    let point = KillPoint {
        call: any_call(&mut chance, calls),
        phase: match phase {
            0 => Phase::Before,
            1 => Phase::Effect,
            _ => Phase::After(Duration::from_micros(chance.random_range(0..1000))),
        },
    };
    // WeChat does not rotate refresh tokens; if it began to, nothing must be lost either.
    let rotate = chance.random_bool(0.5);

    let working = work.acquire().await.unwrap();
    let scene = story.prepare().await;
    scene.world.simulator.set_rotate_refresh_tokens(rotate);
    let before = scene.refresh_tokens().await;
    let victim = Arc::new(Process::start(story.function(), &scene.gate.url).await);
    scene.gate.kill(victim.clone(), point);
    let outcome = victim.invoke(&scene.event).await;
    let kill = match (&outcome, scene.gate.struck()) {
        (Outcome::Killed, Some(call)) => Kill::Hit(story.function(), call, PHASES[phase]),
        (_, Some(_)) => Kill::Late,
        (_, None) => Kill::Missed,
    };
    victim.kill().await;
    scene.check_nothing_is_lost(&before).await;
    drop(working);

    let killed = Instant::now();
    let healed = timeout(LONGEST_LEASE + TICK, async {
        story.go_on(&scene).await;
        scene.check_all_is_good().await;
    });
    let outcome = healed.await;
    outcome.unwrap_or_else(|_| panic!("not good again after {:?}", LONGEST_LEASE + TICK));
    (kill, killed.elapsed())
}

/// A random call. Each kind of call is equally likely, however often it is made.
fn any_call(chance: &mut StdRng, calls: &[String]) -> usize {
    let kinds: Vec<&String> = calls.iter().collect::<BTreeSet<_>>().into_iter().collect();
    let kind = kinds[chance.random_range(0..kinds.len())];
    let places: Vec<usize> = (0..calls.len())
        .filter(|&place| calls[place] == *kind)
        .collect();
    places[chance.random_range(0..places.len())]
}

/// Runs a case on a runtime of its own, which ends all tasks of the case.
fn alone<T>(case: impl Future<Output = T>) -> Result<T, Box<dyn Any + Send>> {
    // Not on the stack, which is that of a test's thread.
    let case = Box::pin(case);
    catch_unwind(AssertUnwindSafe(|| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(case)
    }))
}

/// A number from the environment.
fn variable<T: FromStr>(name: &str) -> Option<T> {
    let value = std::env::var(name).ok()?;
    let number = value.parse().ok();
    Some(number.unwrap_or_else(|| panic!("{name} is not a number: {value}")))
}

/// How many cases the limit of open files allows at once.
fn at_once() -> u64 {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft = files.unwrap().split_whitespace().nth(3).unwrap();
    let soft: u64 = soft.parse().unwrap_or(u64::MAX);
    (soft / FILES).clamp(1, AT_ONCE)
}
