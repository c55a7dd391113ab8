//! The component's secret, current and previous, from Secrets Manager.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{SecretSlice, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::config::Misconfigured;
use crate::error::Error;
use crate::push::cipher::AesKey;
use crate::push::{OpenedPush, PushError, PushKeys, SealedPush};
use crate::time::{Clock, Timestamp};
use component_api::id::ComponentAppId;

/// What the operator copied from WeChat's console into the secret.
#[derive(Clone)]
pub struct Credentials {
    /// What seals and opens pushes.
    pub push: PushKeys,
    /// `component_appsecret`.
    pub appsecret: SecretString,
    /// `link_signing_key`: if it is set, authorization links must be signed.
    pub link_signing_key: Option<SecretSlice<u8>>,
}

/// Holds the credentials and notices when they change.
///
/// During a rotation, WeChat's pushes may come under either set of keys: the stage `AWSPREVIOUS`
/// holds the older one.
pub struct Vault {
    client: Client,
    secret_id: String,
    clock: Clock,
    held: RwLock<Arc<Held>>,
    fetching: Mutex<Timestamp>,
}

/// Both stages, as they were fetched together.
struct Held {
    current: Arc<Credentials>,
    previous: Option<Arc<Credentials>>,
    fetched_at: Timestamp,
}

/// The secret as it is stored.
#[derive(Deserialize)]
struct Document {
    component_appid: String,
    component_appsecret: SecretString,
    token: SecretString,
    encoding_aes_key: SecretString,
    link_signing_key: Option<SecretString>,
}

/// Forged pushes cause at most one fetch in this time.
const MIN_BETWEEN_FETCHES: Duration = Duration::from_mins(1);

/// A function that opens no pushes picks up a changed secret within this time.
const MAX_AGE: Duration = Duration::from_mins(5);

/// The least length of a signing key, in bytes.
const MIN_SIGNING_KEY_BYTES: usize = 32;

impl Credentials {
    /// Reads the secret's JSON object.
    ///
    /// # Errors
    /// [`Misconfigured`], which names the field and never its value.
    pub fn parse(json: &str) -> Result<Self, Misconfigured> {
        use secrecy::ExposeSecret;

        let wrong = |what: &str| Misconfigured(format!("the component's secret: {what}"));
        // serde's own message may quote what it found.
        let document: Document = serde_json::from_str(json).map_err(|_may_quote| {
            wrong("it is not a JSON object with the strings component_appid, component_appsecret, token and encoding_aes_key")
        })?;
        if document.component_appsecret.expose_secret().is_empty()
            || document.token.expose_secret().is_empty()
        {
            return Err(wrong("component_appsecret or token is empty"));
        }
        let link_signing_key = document.link_signing_key.map(|key| {
            STANDARD
                .decode(key.expose_secret())
                .ok()
                .filter(|key| key.len() >= MIN_SIGNING_KEY_BYTES)
                .map(SecretSlice::from)
                .ok_or_else(|| wrong("link_signing_key is not base64 of 32 bytes or more"))
        });
        Ok(Self {
            push: PushKeys {
                component_appid: ComponentAppId::parse(&document.component_appid)
                    .map_err(|error| wrong(&format!("component_appid: {error}")))?,
                token: document.token,
                aes_key: AesKey::parse(document.encoding_aes_key.expose_secret())
                    .ok_or_else(|| wrong("encoding_aes_key is not 43 characters of base64"))?,
            },
            appsecret: document.component_appsecret,
            link_signing_key: link_signing_key.transpose()?,
        })
    }
}

impl Vault {
    /// Fetches the current credentials.
    ///
    /// # Errors
    /// [`Error::Secret`], [`Error::Config`].
    pub async fn open(client: Client, secret_id: String, clock: Clock) -> Result<Self, Error> {
        let current = fetch(&client, &secret_id, "AWSCURRENT").await?;
        let current = current.ok_or_else(|| {
            Misconfigured("the component's secret has no current version".to_owned())
        })?;
        let held = Held {
            current: Arc::new(current),
            previous: None,
            fetched_at: clock.now(),
        };
        Ok(Self {
            client,
            secret_id,
            clock,
            held: RwLock::new(Arc::new(held)),
            fetching: Mutex::new(Timestamp::default()),
        })
    }

    /// The current credentials, at most five minutes old unless Secrets Manager does not answer.
    pub async fn current(&self) -> Arc<Credentials> {
        let held = self.held();
        if held.fetched_at.until(self.clock.now()) < MAX_AGE {
            return held.current.clone();
        }
        self.refetch(&held).await;
        self.held().current.clone()
    }

    /// Opens a push under the current or the previous keys. If neither opens it, the secret is
    /// fetched again.
    ///
    /// # Errors
    /// [`PushError`].
    pub async fn open_push(&self, push: &SealedPush<'_>) -> Result<OpenedPush, PushError> {
        let held = self.held();
        match held.open_push(push) {
            Err(_) if self.refetch(&held).await => self.held().open_push(push),
            opened => opened,
        }
    }

    fn held(&self) -> Arc<Held> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.clone()
    }

    /// Whether newer credentials than `seen` are held now, fetched here or by another caller.
    async fn refetch(&self, seen: &Arc<Held>) -> bool {
        let mut last_fetch = self.fetching.lock().await;
        if !Arc::ptr_eq(seen, &self.held()) {
            return true;
        }
        let now = self.clock.now();
        if last_fetch.until(now) < MIN_BETWEEN_FETCHES {
            return false;
        }
        *last_fetch = now;
        let (current, previous) = tokio::join!(
            fetch(&self.client, &self.secret_id, "AWSCURRENT"),
            fetch(&self.client, &self.secret_id, "AWSPREVIOUS"),
        );
        let (current, previous) = match (current, previous) {
            (Ok(Some(current)), Ok(previous)) => (current, previous.map(Arc::new)),
            // The operator has corrected a malformed version. WeChat may still use the keys before
            // it, which are the ones held here.
            (Ok(Some(current)), Err(error @ Error::Config(_))) => {
                error.log("reading the component's previous secret");
                (current, Some(seen.current.clone()))
            }
            // Both stages are needed: keep what is held.
            (current, previous) => {
                for error in [current.err(), previous.err()].into_iter().flatten() {
                    error.log("fetching the component's secret again");
                }
                return false;
            }
        };
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        *held = Arc::new(Held {
            current: Arc::new(current),
            previous,
            fetched_at: now,
        });
        true
    }
}

impl Held {
    /// If neither set of keys opens the push, returns the error of the one whose signature matched.
    fn open_push(&self, push: &SealedPush<'_>) -> Result<OpenedPush, PushError> {
        let current = push.open(&self.current.push);
        let (Err(error), Some(previous)) = (&current, &self.previous) else {
            return current;
        };
        match push.open(&previous.push) {
            Err(PushError::Unsigned) if *error == PushError::Unreadable => current,
            other => other,
        }
    }
}

/// One stage of the secret; `None` if it has no such stage.
async fn fetch(
    client: &Client,
    secret_id: &str,
    stage: &str,
) -> Result<Option<Credentials>, Error> {
    let answer = client
        .get_secret_value()
        .secret_id(secret_id)
        .version_stage(stage)
        .send()
        .await;
    match answer {
        Ok(answer) => {
            let credentials = Credentials::parse(answer.secret_string().unwrap_or_default());
            Ok(Some(credentials?))
        }
        Err(error) => match error.as_service_error() {
            Some(GetSecretValueError::ResourceNotFoundException(_)) if stage == "AWSPREVIOUS" => {
                Ok(None)
            }
            _ => Err(Error::Secret(Box::new(error))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"component_appid":"wx0123456789abcdef","component_appsecret":"SECRET","token":"TOKEN",
        "encoding_aes_key":"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"}"#;

    #[track_caller]
    fn check(json: &str, names: &str) {
        let error = Credentials::parse(json).err().unwrap().to_string();
        assert!(error.contains(names), "{error}");
        assert!(
            !error.contains("SECRET") && !error.contains("TOKEN"),
            "{error}"
        );
    }

    #[test]
    fn a_wrong_secret_is_named_by_its_field_and_never_quoted() {
        assert!(Credentials::parse(GOOD).is_ok());
        check("SECRET", "JSON object");
        check("{}", "component_appid");
        check(&GOOD.replace("\"SECRET\"", "{\"SECRET\":1}"), "JSON object");
        check(&GOOD.replace("\"SECRET\"", "\"\""), "component_appsecret");
        check(
            &GOOD.replace("wx0123456789abcdef", "TOKEN"),
            "component_appid",
        );
        check(&GOOD.replace("G\"}", "\"}"), "encoding_aes_key");
        check(
            &GOOD.replace('}', ",\"link_signing_key\":\"TOKEN\"}"),
            "link_signing_key",
        );
    }
}
