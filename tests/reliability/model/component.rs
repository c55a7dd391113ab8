//! The component's own row under the model checker: one token, renewed by each function that finds
//! it too old, and ended by every newer one.
//!
//! The row is the shipped [`component_core::row::component_token::ComponentToken`], and its workers
//! go as the flow goes: they read the row, take the lease, call WeChat, and keep what it gave or
//! why it gave nothing. In the world around them holders crash between any two steps, outlive their
//! leases and are overtaken. Tries time out before or after their effect, and WeChat refuses.
//! Another stack may renew the token of the same component without this row.
//!
//! The model assumes, as for an authorizer, that a call whose answer is lost took effect while its
//! lease lasted, and that clocks agree. It also assumes that WeChat refuses a token only once it is
//! dead.

use stateright::{Model, Property};

use self::state::{Fate, Job, Left, State, Worker};
use super::{HALF_A_MINUTE, SIX_MINUTES, START, check, check_breaks};

mod row;
mod state;
mod wechat;

/// The rules of the workers: the shipped ones, or weaker ones that must fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Shipped,
    /// A result is written without compare-and-set.
    BlindPut,
    /// The doubt that a lost holder leaves is not noted when the next lease is taken.
    NoLostHolder,
    /// An answer is stored as if no other had come while the call was in flight.
    NoOverlap,
    /// A call without an answer counts as one that was never sent.
    NoUnanswered,
    /// A refused token is another stack's doing even if it is in doubt.
    NoExcuse,
    /// A caller is answered with the token that WeChat gave, whatever the row says.
    OwnAnswer,
    /// The failure of a holder that was overtaken is noted.
    LateFailure,
}

/// What the checker plays.
#[derive(Clone, Copy, Debug)]
struct Rules {
    protocol: Protocol,
    left: Left,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Action {
    /// So many seconds pass.
    Pass(u64),
    Begin(Job),
    Step(usize, Fate),
    Crash(usize),
    /// Another stack renews.
    Another,
}

/// The time until a new token is due.
const NEARLY_TWO_HOURS: u64 = 6400;

const SERVED: &str = "no caller is served a token that a renewal of this stack has ended";
const IN_USE: &str = "a token lasts as long as a function uses it without reading the row again";
const ANSWER: &str = "a renewal's caller is told no more than WeChat keeps";
const REST: &str = "at rest WeChat accepts the token as long as the row vouches for it";
const SCHEDULE: &str = "the next run of the schedule leaves a good token";
const BLAME: &str = "another stack is suspected only where there is one";
const FOUND: &str = "another stack is suspected wherever nothing of this stack explains a refusal";

/// What a worker may do next.
fn steps(state: &State, number: usize, actions: &mut Vec<Action>) {
    let worker = &state.workers[number];
    let (left, slow) = (state.left, worker.outlives_its_lease(state.now));
    actions.push(Action::Step(number, Fate::Answered));
    if worker.calls() {
        if left.refusals > 0 {
            actions.push(Action::Step(number, Fate::Refused));
        }
        if left.timeouts > 0 {
            actions.push(Action::Step(number, Fate::NeverSent));
            actions.push(Action::Step(number, Fate::AnsweredTwice));
        }
        if left.timeouts > 0 && !slow {
            actions.push(Action::Step(number, Fate::AnswerLost));
        }
    }
    if left.crashes > 0 && !slow {
        actions.push(Action::Crash(number));
    }
}

impl Model for Rules {
    type State = State;
    type Action = Action;

    /// No token yet, a fresh one, and one that is due.
    fn init_states(&self) -> Vec<State> {
        let new = State::new(self.left, START);
        let mut fresh = new.clone();
        fresh.do_all(self.protocol, Job::Refresh);
        let mut due = fresh.clone();
        due.pass(NEARLY_TWO_HOURS);
        vec![new, fresh, due]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.left.runs > 0 && state.workers.contains(&Worker::Idle) {
            actions.extend([Job::Refresh, Job::Get, Job::Replace].map(Action::Begin));
        }
        for (number, worker) in state.workers.iter().enumerate() {
            if *worker != Worker::Idle && !state.workers[..number].contains(worker) {
                steps(state, number, actions);
            }
        }
        if state.left.others > 0 {
            actions.push(Action::Another);
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
            Action::Begin(job) => {
                left.runs -= 1;
                let worker = state.begin(self.protocol, job)?;
                let mut workers = state.workers.iter_mut();
                *workers.find(|worker| **worker == Worker::Idle)? = worker;
            }
            Action::Step(number, fate) => {
                match fate {
                    Fate::Answered => {}
                    Fate::Refused => left.refusals -= 1,
                    Fate::NeverSent | Fate::AnswerLost | Fate::AnsweredTwice => left.timeouts -= 1,
                }
                let worker = std::mem::replace(&mut state.workers[number], Worker::Idle);
                state.workers[number] = state.step(self.protocol, worker, fate);
            }
            Action::Crash(number) => {
                left.crashes -= 1;
                state.workers[number] = Worker::Idle;
            }
            Action::Another => {
                left.others -= 1;
                state.another_stack_renews();
            }
        }
        state.sort_workers();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(SERVED, |_, state: &State| !state.serves_a_dead_token()),
            Property::always(IN_USE, |_, state: &State| !state.lets_a_token_die_in_use()),
            Property::always(ANSWER, |_, state: &State| !state.is_misled),
            Property::always(REST, |_, state: &State| {
                !state.is_calm() || state.keeps_its_word()
            }),
            Property::always(SCHEDULE, |rules: &Self, state: &State| {
                !state.is_calm() || state.is_mended_by_the_schedule(rules.protocol)
            }),
            Property::always(BLAME, |rules: &Self, state: &State| {
                !state.suspects_another_stack(rules.protocol) || state.another_stack_has_renewed()
            }),
            Property::always(FOUND, |rules: &Self, state: &State| {
                !state.overlooks_another_stack(rules.protocol)
            }),
            Property::sometimes("a token is renewed twice", |_, state: &State| {
                state.row.number() > Some(1)
            }),
            Property::sometimes("answers that overlap leave a doubt", |_, state: &State| {
                let slot = &state.row.slot;
                state.is_calm() && slot.doubted_from.is_some() && slot.failure.is_none()
            }),
        ];
        if self.left.others > 0 {
            properties.push(Property::sometimes(
                "another stack is suspected",
                |rules: &Self, state: &State| state.suspects_another_stack(rules.protocol),
            ));
        }
        properties
    }
}

/// Leases that overlap, are lost and outlived.
const ALONE: Left = Left {
    runs: 3,
    crashes: 1,
    timeouts: 1,
    refusals: 1,
    waits: 2,
    others: 0,
};

/// The same beside another stack.
const BESIDE_ANOTHER: Left = Left {
    runs: 2,
    others: 1,
    ..ALONE
};

#[track_caller]
fn check_loses(protocol: Protocol, left: Left, promise: &'static str) {
    let rules = Rules { protocol, left };
    check_breaks(protocol, rules, promise);
}

#[test]
fn the_components_token_is_safe_in_every_state() {
    let states: usize = [ALONE, BESIDE_ANOTHER]
        .map(|left| {
            let rules = Rules {
                protocol: Protocol::Shipped,
                left,
            };
            check(rules, usize::MAX)
        })
        .iter()
        .sum();
    assert!(states > 100_000, "{states}");
}

#[test]
fn a_blind_put_vouches_for_a_token_that_a_later_lease_has_ended() {
    check_loses(Protocol::BlindPut, ALONE, REST);
}

#[test]
fn without_the_doubt_that_a_lost_holder_leaves_a_dead_token_is_served() {
    check_loses(Protocol::NoLostHolder, ALONE, SERVED);
}

#[test]
fn without_the_doubt_that_an_overlap_leaves_a_dead_token_is_served() {
    check_loses(Protocol::NoOverlap, ALONE, SERVED);
}

#[test]
fn without_the_doubt_that_an_unanswered_call_leaves_a_dead_token_is_served() {
    check_loses(Protocol::NoUnanswered, ALONE, SERVED);
}

#[test]
fn without_the_excuse_of_a_doubt_a_stack_suspects_another_that_is_not_there() {
    check_loses(Protocol::NoExcuse, ALONE, BLAME);
}

#[test]
fn a_caller_that_is_answered_with_its_own_token_is_told_too_much() {
    check_loses(Protocol::OwnAnswer, ALONE, ANSWER);
}

#[test]
fn the_late_failure_of_an_overtaken_holder_hides_another_stack() {
    check_loses(Protocol::LateFailure, BESIDE_ANOTHER, FOUND);
}
