//! The rules of tokens under a model checker: every order of what functions, WeChat and merchant
//! do.
//!
//! The rules are the shipped ones. The model's row is the
//! [`component_core::row::authorizer::Authorizer`], and its workers decide with the functions that
//! the flows use. The world around them is modelled: one account at WeChat and three workers at a
//! time. Workers crash between any two steps, and calls time out before or after their effect.
//! Notices come late, twice and out of order, and lease holders are slow.
//!
//! The model assumes that a call whose answer is lost took effect while its lease lasted, because
//! the lease is longer than every time-out. It also assumes that clocks agree, and that an
//! authorization takes a merchant more than a second.
//!
//! [`component`] plays the component's own row under the same assumptions.
//!
//! Stories of renewals are played to their end. Those of authorizations and revocations have 8
//! states by default; the full form has 10, and goes through more than a million states:
//!
//! ```text
//! TOKEN_MODEL_DEPTH=10 cargo test -p e2e model -- --nocapture
//! ```

use std::env;
use std::fmt::Debug;
use std::hash::Hash;
use std::num::NonZeroUsize;

use component_core::row::authorizer::Standing;
use stateright::{Checker, HasDiscoveries, Model, Property};

use self::state::{Broken, Browser, Left, Notice, State, What};
use self::worker::{Fate, Job, Worker};

mod component;
mod exchanging;
mod renewing;
mod row;
mod settle;
mod state;
mod wechat;
mod worker;

/// The rules of the workers: the shipped ones, or weaker ones that must fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Shipped,
    /// A result is written without compare-and-set.
    BlindPut,
    /// A result is written only while the worker holds its lease.
    LeaseOnly,
    /// The last write counts as the newest.
    NoEpoch,
    /// WeChat's list and info are never asked.
    NoReconcile,
}

/// What the checker plays.
#[derive(Clone, Copy, Debug)]
struct Rules {
    protocol: Protocol,
    /// Whether each renewal rotates the refresh token, which WeChat says it does not.
    rotates: bool,
    left: Left,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Action {
    /// So many seconds pass.
    Pass(u64),
    Authorize,
    Revoke,
    Begin(Job),
    Step(usize, Fate),
    Crash(usize),
}

const START: u64 = 1_700_000_000;

/// Longer than a lease.
const HALF_A_MINUTE: u64 = 30;

/// Longer than a replaced token still works.
const SIX_MINUTES: u64 = 360;

/// The time until a new token is due.
const NEARLY_TWO_HOURS: u64 = 6000;

const LOST: &str = "nothing is lost for good";
const COMEBACK: &str = "nothing older than a revocation undoes it";
const ORDER: &str = "nothing older overwrites something newer";
const SERVED: &str = "no caller is served a token that a renewal has ended";
const REST: &str = "at rest the table agrees with WeChat";

impl Rules {
    /// Whether notices are ordered by WeChat's clock.
    fn orders(&self) -> bool {
        self.protocol != Protocol::NoEpoch
    }

    /// Whether workers ask WeChat what is authorized.
    fn lists(&self) -> bool {
        self.protocol != Protocol::NoReconcile
    }

    fn beginnings(&self, state: &State, actions: &mut Vec<Action>) {
        for (number, event) in (0..).zip(&state.events) {
            if state.left.notices > 0 && event.notice == Notice::Pending {
                actions.push(Action::Begin(Job::Notice(number)));
            }
            if let What::Authorized {
                browser: Browser::OnItsWay,
                ..
            } = event.what
            {
                actions.push(Action::Begin(Job::Browser(number)));
            }
        }
        if state.left.runs > 0 {
            actions.push(Action::Begin(Job::Refresh));
            actions.push(Action::Begin(Job::Replace));
            if self.lists() {
                actions.push(Action::Begin(Job::Reconcile));
            }
        }
    }

    fn steps(&self, state: &State, number: usize, actions: &mut Vec<Action>) {
        let worker = &state.workers[number];
        let unanswerable = worker.asks() && !self.lists();
        let slow = worker.outlives_its_lease(state.now);
        if !unanswerable {
            actions.push(Action::Step(number, Fate::Answered));
        }
        if state.left.timeouts > 0 {
            if worker.calls() || worker.may_guess() {
                actions.push(Action::Step(number, Fate::NeverSent));
            }
            if worker.calls() && !slow {
                actions.push(Action::Step(number, Fate::AnswerLost));
            }
        }
        if unanswerable || state.left.crashes > 0 && !slow {
            actions.push(Action::Crash(number));
        }
    }
}

impl Model for Rules {
    type State = State;
    type Action = Action;

    /// A new authorization, a stored one, and one that is due.
    fn init_states(&self) -> Vec<State> {
        let new = State::new(self.left, START);
        let mut stored = new.clone();
        stored.do_all(self, Job::Notice(0));
        stored.browser_is_back(0);
        let mut due = stored.clone();
        due.pass(NEARLY_TWO_HOURS);
        vec![new, stored, due]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.workers.contains(&Worker::Idle) {
            self.beginnings(state, actions);
        }
        for (number, worker) in state.workers.iter().enumerate() {
            if *worker != Worker::Idle && !state.workers[..number].contains(worker) {
                self.steps(state, number, actions);
            }
        }
        if state.left.authorizations > 0 {
            actions.push(Action::Authorize);
        }
        if state.left.revocations > 0 && state.wechat.grant.is_some() {
            actions.push(Action::Revoke);
        }
        if state.left.waits > 0 {
            actions.push(Action::Pass(HALF_A_MINUTE));
            if state.is_calm() {
                actions.push(Action::Pass(SIX_MINUTES));
                actions.push(Action::Pass(NEARLY_TWO_HOURS));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let left = &mut state.left;
        match action {
            Action::Pass(secs) => {
                left.waits -= 1;
                state.pass(secs);
            }
            Action::Authorize => {
                left.authorizations -= 1;
                state.authorize();
            }
            Action::Revoke => {
                left.revocations -= 1;
                state.revoke();
            }
            Action::Begin(job) => {
                match job {
                    Job::Notice(_) => left.notices -= 1,
                    Job::Browser(event) => state.browser_is_back(event),
                    Job::Refresh | Job::Replace | Job::Reconcile => left.runs -= 1,
                }
                let worker = state.begin(self, job)?;
                let mut workers = state.workers.iter_mut();
                *workers.find(|worker| **worker == Worker::Idle)? = worker;
            }
            Action::Step(number, fate) => {
                if fate != Fate::Answered {
                    left.timeouts -= 1;
                }
                let worker = std::mem::replace(&mut state.workers[number], Worker::Idle);
                state.workers[number] = state.step(self, worker, fate);
            }
            Action::Crash(number) => {
                left.crashes = left.crashes.saturating_sub(1);
                state.workers[number] = Worker::Idle;
            }
        }
        state.sort_workers();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(LOST, |rules: &Self, state: &State| {
                let live = state.wechat.live();
                let brought = state.workers.iter().any(|worker| worker.brings() == live);
                live.is_none_or(|live| rules.lists() || brought || state.row.knows(live))
            }),
            Property::always(COMEBACK, |_, state: &State| {
                state.broken != Some(Broken::Comeback)
            }),
            Property::always(ORDER, |_, state: &State| {
                state.broken != Some(Broken::OlderOverNewer)
            }),
            Property::always(SERVED, |_, state: &State| !state.serves_a_dead_token()),
            Property::always(REST, |rules: &Self, state: &State| {
                !state.is_calm() || state.settled(rules).agrees()
            }),
            Property::sometimes("a token is renewed", |_, state: &State| {
                state
                    .row
                    .access()
                    .is_some_and(|token| token.mark.number > 2)
            }),
            Property::sometimes("a row is due for one more renewal", |_, state: &State| {
                state.is_calm() && state.row.slot.token_seq < state.row.slot.lease.seq
            }),
            Property::sometimes(
                "a lost answer is repaired by the list",
                |rules: &Self, state: &State| {
                    state.left.timeouts < rules.left.timeouts
                        && state.row.standing == Standing::Authorized
                        && state.row.slot.token.is_none()
                },
            ),
        ]
    }
}

/// Leases that overlap, are lost or end too soon, under one authorization.
const RENEWALS: Left = Left {
    authorizations: 0,
    revocations: 0,
    runs: 3,
    notices: 0,
    crashes: 1,
    timeouts: 1,
    waits: 2,
};

/// Authorizations and revocations on top of that.
const LIFE: Left = Left {
    authorizations: 1,
    revocations: 1,
    runs: 2,
    notices: 2,
    crashes: 1,
    timeouts: 1,
    waits: 1,
};

/// How many states a story of [`LIFE`] has, unless `TOKEN_MODEL_DEPTH` says otherwise.
const DEPTH: usize = 8;

/// The depth of the full form, which goes through more than a million states.
const FULL_DEPTH: usize = 10;

/// Checks every story of at most `depth` states; returns the number of different states.
#[track_caller]
fn check<M>(rules: M, depth: usize) -> usize
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    let checker = rules
        .checker()
        .threads(std::thread::available_parallelism().map_or(2, NonZeroUsize::get))
        .target_max_depth(depth)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    checker.assert_properties();
    let states = checker.unique_state_count();
    println!("{states} states, up to {} steps deep", checker.max_depth());
    states
}

/// Plays by the rules of a weaker protocol until it breaks `promise`.
#[track_caller]
fn check_breaks<M>(protocol: impl Debug, rules: M, promise: &'static str)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    let checker = rules
        .checker()
        .finish_when(HasDiscoveries::AnyOf([promise].into()))
        .target_max_depth(12)
        .spawn_bfs()
        .join();
    let story = checker.discovery(promise).unwrap().into_actions();
    println!("{protocol:?} loses in {} steps: {story:?}", story.len());
}

#[track_caller]
fn check_loses(protocol: Protocol, promise: &'static str) {
    let rules = Rules {
        protocol,
        rotates: false,
        left: LIFE,
    };
    check_breaks(protocol, rules, promise);
}

#[test]
fn the_rules_hold_in_every_state() {
    let life = env::var("TOKEN_MODEL_DEPTH").map_or(DEPTH, |depth| depth.parse().unwrap());
    let mut states = 0;
    for (rotates, left, depth) in [
        (false, RENEWALS, usize::MAX),
        (true, RENEWALS, usize::MAX),
        (false, LIFE, life),
    ] {
        let protocol = Protocol::Shipped;
        let rules = Rules {
            protocol,
            rotates,
            left,
        };
        states += check(rules, depth);
    }
    assert!(life < FULL_DEPTH || states > 1_000_000, "{states}");
}

#[test]
fn a_blind_put_brings_the_revoked_back() {
    check_loses(Protocol::BlindPut, COMEBACK);
}

#[test]
fn writing_only_under_the_lease_leaves_a_dead_token() {
    check_loses(Protocol::LeaseOnly, REST);
}

#[test]
fn without_an_epoch_the_older_overwrites_the_newer() {
    check_loses(Protocol::NoEpoch, ORDER);
}

#[test]
fn without_the_list_a_refresh_token_is_lost_for_good() {
    check_loses(Protocol::NoReconcile, LOST);
}
