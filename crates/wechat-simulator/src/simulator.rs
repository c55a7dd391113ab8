//! `Simulator`: the handle on one simulated WeChat, for tests.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use reqwest::Client;

use crate::clock::SimClock;
use crate::fault::{Fault, FaultError};
use crate::mint::Mint;
use crate::push;
use crate::settings::Settings;
use crate::state::{SentMessage, State};

mod accounts;
mod authorize;
mod pushes;
mod release_check;

pub use accounts::AuthorizerView;
pub use authorize::{Consent, UnpushedConsent};
pub use release_check::ReleaseLine;

/// A stateful WeChat Open Platform for one component. Clones share everything.
#[derive(Clone)]
pub struct Simulator(Arc<Inner>);

struct Inner {
    clock: SimClock,
    state: Mutex<State>,
    client: OnceLock<Option<Client>>,
}

/// Why the simulator refuses what a test asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimError {
    /// No account has this appid; add it first.
    UnknownAccount,
    /// The account does not authorize the component.
    NotAuthorized,
    /// The pre-auth code is unknown, used or expired.
    PreAuthCode,
    /// The account is frozen, deregistered or migrated, so its merchant cannot confirm.
    NotServed,
}

impl fmt::Display for SimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownAccount => "no account has this appid",
            Self::NotAuthorized => "the account does not authorize the component",
            Self::PreAuthCode => "the pre-auth code is unknown, used or expired",
            Self::NotServed => "the account is frozen, deregistered or migrated",
        })
    }
}

impl std::error::Error for SimError {}

impl Simulator {
    /// A WeChat with random values and the demo accounts, none of them authorized.
    pub fn new(settings: Settings, clock: SimClock) -> Self {
        Self::start(settings, clock, Mint::random())
    }

    /// A WeChat whose random values are the same in every run with the same calls.
    pub fn new_seeded(settings: Settings, clock: SimClock, seed: u64) -> Self {
        Self::start(settings, clock, Mint::seeded(seed))
    }

    fn start(settings: Settings, clock: SimClock, mint: Mint) -> Self {
        Self(Arc::new(Inner {
            clock,
            state: Mutex::new(State::new(settings, mint)),
            client: OnceLock::new(),
        }))
    }

    /// The clock of everything in this simulator.
    pub fn clock(&self) -> &SimClock {
        &self.0.clock
    }

    /// Sets where tickets and notices go: the 授权事件接收 URL.
    pub fn set_events_url(&self, url: &str) {
        self.state().events_url = Some(url.to_owned());
    }

    /// Sets where messages go, with a literal `$APPID$`: the 消息与事件接收 URL.
    pub fn set_messages_url(&self, url: &str) {
        self.state().messages_url = Some(url.to_owned());
    }

    /// Changes the console's settings, for example to rotate the key.
    pub fn change_settings(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.state().settings);
    }

    /// Lets `api_authorizer_token` give a new refresh token each time and end the previous one.
    ///
    /// WeChat does not do that.
    pub fn set_rotate_refresh_tokens(&self, rotate: bool) {
        self.state().authorizers.rotate_refresh_tokens = rotate;
    }

    /// How often each endpoint was called, by the last segment of its path; failed calls count.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.state().calls.clone()
    }

    /// Starts counting calls from zero.
    pub fn reset_calls(&self) {
        self.state().calls.clear();
    }

    /// The customer-service messages sent so far, oldest first.
    pub fn messages(&self) -> Vec<SentMessage> {
        self.state().messages.clone()
    }

    /// Spoils calls to come. A fault that [`try_fault`](Self::try_fault) refuses is only logged.
    pub fn fault(&self, fault: Fault) {
        if let Err(error) = self.try_fault(fault) {
            tracing::error!(%error, "the fault is refused");
        }
    }

    /// Spoils calls to come.
    ///
    /// # Errors
    /// Those of [`Fault::check`].
    pub fn try_fault(&self, fault: Fault) -> Result<(), FaultError> {
        fault.check()?;
        let now = self.0.clock.now();
        self.state().faults.add(now, fault);
        Ok(())
    }

    /// The remaining faults, oldest first.
    pub fn faults(&self) -> Vec<Fault> {
        let now = self.0.clock.now();
        self.state().faults.remaining(now)
    }

    /// Drops all remaining faults.
    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// Whether a business call with this authorizer access token would be accepted now.
    pub fn token_works(&self, authorizer_access_token: &str) -> bool {
        let now = self.0.clock.now();
        self.state()
            .authorizers
            .check_token(now, authorizer_access_token)
            .is_ok()
    }

    /// Whether `api_component_token` would accept this ticket now.
    pub fn ticket_works(&self, component_verify_ticket: &str) -> bool {
        let now = self.0.clock.now();
        self.state()
            .component
            .check_ticket(now, component_verify_ticket)
            .is_ok()
    }

    /// Whether a component endpoint would accept this component access token now.
    pub fn component_token_works(&self, component_access_token: &str) -> bool {
        let now = self.0.clock.now();
        self.state()
            .component
            .check_token(now, component_access_token)
            .is_ok()
    }

    /// The state, locked while the guard lives: never hold it over an await.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client for pushes, made with the first push.
    fn client(&self) -> Option<&Client> {
        let make = || {
            push::client()
                .inspect_err(|error| tracing::error!(%error, "no client for pushes"))
                .ok()
        };
        self.0.client.get_or_init(make).as_ref()
    }
}
