//! The component's secret, current and previous, from Secrets Manager.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::SdkError;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use tokio::sync::Mutex;

use crate::error::Error;
use crate::row::SecretVersion;
use crate::time::{Clock, Timestamp};

pub mod document;

use document::Credentials;

/// Holds the credentials and notices when they change.
///
/// During a rotation, WeChat's pushes may come under either set of keys: the stage `AWSPREVIOUS`
/// holds the older one. A malformed current version never stops a function: the previous one is
/// used, and an error is logged.
pub struct Vault {
    client: Client,
    secret_id: String,
    clock: Clock,
    held: RwLock<Option<Arc<Held>>>,
    /// When both stages were last fetched; locked while anything is fetched.
    fetching: Mutex<Timestamp>,
}

/// What the fetches have brought.
struct Held {
    /// The current version, or if that is malformed the previous one.
    used: Version,
    /// The version before it.
    before: Option<Version>,
    fetched_at: Timestamp,
}

/// One well-formed version of the secret.
#[derive(Clone)]
struct Version {
    id: Option<String>,
    made_at: Timestamp,
    credentials: Arc<Credentials>,
}

const CURRENT: &str = "AWSCURRENT";

const PREVIOUS: &str = "AWSPREVIOUS";

/// Forged pushes cause at most one fetch in this time.
const MIN_BETWEEN_FETCHES: Duration = Duration::from_mins(1);

/// A function that opens no pushes picks up a changed secret within this time.
const MAX_AGE: Duration = Duration::from_mins(5);

/// The previous version is accepted for so long after the current one was made: time enough for
/// 全网发布, after which WeChat uses the new keys.
const WINDOW: Duration = Duration::from_hours(30 * 24);

impl Vault {
    /// A vault that fetches the credentials when they are first needed.
    ///
    /// For a function that seldom needs them, and must start without Secrets Manager.
    pub fn on_demand(client: Client, secret_id: String, clock: Clock) -> Self {
        Self {
            client,
            secret_id,
            clock,
            held: RwLock::new(None),
            fetching: Mutex::new(Timestamp::default()),
        }
    }

    /// Fetches the current credentials.
    ///
    /// # Errors
    /// [`Error::Secret`], [`Error::Config`].
    pub async fn open(client: Client, secret_id: String, clock: Clock) -> Result<Self, Error> {
        let vault = Self::on_demand(client, secret_id, clock);
        let first = vault.fetch_first().await?;
        vault.hold(first);
        Ok(vault)
    }

    /// The current credentials, at most five minutes old unless Secrets Manager does not answer.
    ///
    /// # Errors
    /// [`Error::Secret`] if none were ever fetched; never of an opened vault.
    pub async fn current(&self) -> Result<Arc<Credentials>, Error> {
        let held = self.held().await?;
        if held.fetched_at.until(self.clock.now()) >= MAX_AGE && self.refetch(&held).await {
            return Ok(self.held().await?.used.credentials.clone());
        }
        Ok(held.used.credentials.clone())
    }

    /// The version in use, if one was fetched.
    pub fn version(&self) -> Option<SecretVersion> {
        self.in_memory().map(|held| held.used.name())
    }

    /// The version in use, after a look for a newer one, at most once a minute.
    pub async fn newest_version(&self) -> Option<SecretVersion> {
        let held = self.held().await.ok()?;
        self.refetch(&held).await;
        self.version()
    }

    /// Tries something under the current keys, then under the previous ones while they are
    /// accepted. If it fails under both, the secret is fetched again, at most once a minute.
    ///
    /// The answer is what was done and under which keys, or the greater of the two failures.
    ///
    /// # Errors
    /// [`Error::Secret`], as [`Vault::current`].
    pub async fn under_either_key<T, E: Ord>(
        &self,
        attempt: impl Fn(&Credentials) -> Result<T, E>,
    ) -> Result<Result<(T, Arc<Credentials>), E>, Error> {
        let held = self.held().await?;
        let tried = held.under_either_key(&attempt, self.clock.now());
        if tried.is_err() && self.refetch(&held).await {
            let held = self.held().await?;
            return Ok(held.under_either_key(&attempt, self.clock.now()));
        }
        Ok(tried)
    }

    fn in_memory(&self) -> Option<Arc<Held>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.clone()
    }

    fn hold(&self, next: Held) -> Arc<Held> {
        let next = Arc::new(next);
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        *held = Some(next.clone());
        next
    }

    async fn held(&self) -> Result<Arc<Held>, Error> {
        if let Some(held) = self.in_memory() {
            return Ok(held);
        }
        let _fetching = self.fetching.lock().await;
        if let Some(held) = self.in_memory() {
            return Ok(held);
        }
        match self.fetch_first().await {
            Ok(first) => Ok(self.hold(first)),
            // To a caller it is all one why there are no credentials.
            Err(Error::Config(malformed)) => Err(Error::Secret(malformed.into())),
            Err(error) => Err(error),
        }
    }

    async fn fetch_first(&self) -> Result<Held, Error> {
        let used = match self.fetch(CURRENT).await {
            Ok(current) => current,
            Err(malformed @ Error::Config(_)) => match self.fetch_previous().await {
                Ok(Some(previous)) => {
                    malformed.log("reading the component's current secret");
                    previous
                }
                Ok(None) | Err(Error::Config(_)) => return Err(malformed),
                Err(error) => return Err(error),
            },
            Err(error) => return Err(error),
        };
        Ok(Held {
            used,
            before: None,
            fetched_at: self.clock.now(),
        })
    }

    /// Whether newer credentials than `seen` are held now, fetched here or by another caller.
    async fn refetch(&self, seen: &Arc<Held>) -> bool {
        let mut last_fetch = self.fetching.lock().await;
        let held = self.in_memory();
        if held.is_some_and(|held| !Arc::ptr_eq(seen, &held)) {
            return true;
        }
        let now = self.clock.now();
        if last_fetch.until(now) < MIN_BETWEEN_FETCHES {
            return false;
        }
        *last_fetch = now;
        let (mut used, before) = match tokio::join!(self.fetch(CURRENT), self.fetch_previous()) {
            (Ok(current), Ok(previous)) => (current, previous),
            // The operator has corrected a malformed version. WeChat may still use the keys before
            // it, which are known here only.
            (Ok(current), Err(error @ Error::Config(_))) => {
                error.log("reading the component's previous secret");
                let before = seen.version_before(&current);
                (current, before)
            }
            (Err(error @ Error::Config(_)), Ok(Some(previous))) => {
                error.log("reading the component's current secret");
                let before = seen.version_before(&previous);
                (previous, before)
            }
            // Both stages are needed: keep what is held.
            (current, previous) => {
                for error in [current.err(), previous.err()].into_iter().flatten() {
                    error.log("fetching the component's secret again");
                }
                return false;
            }
        };
        if seen.used.is(&used) {
            // A version was made no later than it was first seen, whatever its date says.
            used.made_at = used.made_at.min(seen.used.made_at);
        }
        self.hold(Held {
            used,
            before,
            fetched_at: now,
        });
        true
    }

    /// The previous version, if the secret has one.
    async fn fetch_previous(&self) -> Result<Option<Version>, Error> {
        match self.fetch(PREVIOUS).await {
            Err(Error::Secret(error)) if is_not_found(error.as_ref()) => Ok(None),
            previous => previous.map(Some),
        }
    }

    /// Source: <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>
    async fn fetch(&self, stage: &str) -> Result<Version, Error> {
        let get = self.client.get_secret_value().secret_id(&self.secret_id);
        // Boxed: to fetch is seldom, and its state would be a part of every caller's.
        let answer = Box::pin(get.version_stage(stage).send()).await;
        let answer = answer.map_err(|error| Error::Secret(error.into()))?;
        let now = self.clock.now();
        let made_at = answer.created_date().map_or(now, |date| {
            Timestamp::from_secs(date.secs().try_into().unwrap_or_default())
        });
        let credentials = Credentials::parse(answer.secret_string().unwrap_or_default())?;
        Ok(Version {
            id: answer.version_id,
            // The clock of Secrets Manager may be ahead.
            made_at: made_at.min(now),
            credentials: Arc::new(credentials),
        })
    }
}

impl Held {
    fn under_either_key<T, E: Ord>(
        &self,
        attempt: impl Fn(&Credentials) -> Result<T, E>,
        now: Timestamp,
    ) -> Result<(T, Arc<Credentials>), E> {
        let under = |version: &Version| {
            let done = attempt(&version.credentials)?;
            Ok((done, version.credentials.clone()))
        };
        match (under(&self.used), self.accepted_before(now)) {
            (Err(error), Some(before)) => under(before).map_err(|other: E| error.max(other)),
            (done, _) => done,
        }
    }

    /// The version before the one in use, while its window is open. The version in use decides
    /// that, so a malformed one never closes the window of the version that replaces it.
    fn accepted_before(&self, now: Timestamp) -> Option<&Version> {
        let used = &self.used;
        let open = used.credentials.accept_previous && used.made_at.until(now) < WINDOW;
        self.before.as_ref().filter(|_| open)
    }

    /// The version before `next`, as far as this instance knows it.
    fn version_before(&self, next: &Version) -> Option<Version> {
        if self.used.is(next) {
            self.before.clone()
        } else {
            Some(self.used.clone())
        }
    }
}

impl Version {
    fn name(&self) -> SecretVersion {
        SecretVersion::new(self.made_at, self.id.as_deref().unwrap_or_default())
    }

    fn is(&self, other: &Self) -> bool {
        self.id.is_some() && self.id == other.id
    }
}

fn is_not_found(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    let error: Option<&SdkError<GetSecretValueError>> = error.downcast_ref();
    matches!(
        error.and_then(SdkError::as_service_error),
        Some(GetSecretValueError::ResourceNotFoundException(_))
    )
}

#[cfg(test)]
mod tests;
