//! Secrets Manager at an address of its own: one secret with its two stages, and the one operation
//! that the functions call.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use component_core::credentials::document::Credentials;
use serde_json::{Value, json};
use wechat_simulator::SimClock;

use crate::Error;

/// The name of the secret.
pub const SECRET: &str = "wechat-component";

/// The secret and its versions. Clones are the same secret.
#[derive(Clone)]
pub struct SecretsManager(Arc<Kept>);

struct Kept {
    stages: Mutex<Stages>,
    outage: Mutex<Option<Outage>>,
    clock: SimClock,
    /// What it holds is the current version.
    file: Option<PathBuf>,
}

/// How the service fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// No answer ever comes.
    Hangs,
    /// The caller has no right to the secret.
    Denied,
    /// The service answers with status 500.
    Broken,
}

/// What the labels `AWSCURRENT` and `AWSPREVIOUS` name.
struct Stages {
    current: Version,
    previous: Option<Version>,
}

struct Version {
    number: u64,
    value: String,
    created_at: u64,
}

impl SecretsManager {
    /// A secret with one version, made now.
    pub fn new(value: String, clock: SimClock) -> Self {
        let created_at = clock.now();
        Self::start(value, created_at, clock, None)
    }

    /// The secret that `file` holds. When the file changes, what it held before is the previous
    /// version.
    ///
    /// # Errors
    /// If it cannot be read, or holds no credentials of a component; says what is wrong.
    pub fn of_file(file: &Path, clock: SimClock) -> Result<Self, Error> {
        let wrong = |error: &dyn Display| format!("{}: {error}", file.display());
        let value = fs::read_to_string(file).map_err(|error| wrong(&error))?;
        Credentials::parse(&value).map_err(|error| wrong(&error))?;
        let created_at = modified_at(file).unwrap_or_else(|| clock.now());
        Ok(Self::start(value, created_at, clock, Some(file.to_owned())))
    }

    fn start(value: String, created_at: u64, clock: SimClock, file: Option<PathBuf>) -> Self {
        let current = Version {
            number: 1,
            value,
            created_at,
        };
        Self(Arc::new(Kept {
            stages: Mutex::new(Stages {
                current,
                previous: None,
            }),
            outage: Mutex::new(None),
            clock,
            file,
        }))
    }

    /// The value of the current version.
    pub fn current(&self) -> String {
        self.stages().current.value.clone()
    }

    /// Adds a version: it becomes the current one, and the one that was current the previous one.
    pub fn put(&self, value: String) {
        let mut stages = self.stages();
        let next = Version {
            number: stages.current.number + 1,
            value,
            created_at: self.0.clock.now(),
        };
        stages.previous = Some(std::mem::replace(&mut stages.current, next));
    }

    /// Makes the service fail from now on, or with `None` no more.
    pub fn fail(&self, outage: Option<Outage>) {
        *self.outage() = outage;
    }

    /// The secret as the service answers for it, over HTTP.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/", post(operate))
            .with_state(self.clone())
    }

    /// Adds what the file holds now as a version. A file that is just being written is none yet, and
    /// what it held before must not be lost for it.
    fn look_at_the_file(&self) {
        let Some(file) = &self.0.file else { return };
        let Ok(value) = fs::read_to_string(file) else {
            tracing::error!(
                "{} cannot be read: the secret stays as it was",
                file.display()
            );
            return;
        };
        if value == self.stages().current.value {
            return;
        }
        match Credentials::parse(&value) {
            Ok(_) => {
                tracing::info!(
                    "{} has changed: it is the next version of the secret",
                    file.display()
                );
                self.put(value);
            }
            Err(error) => {
                tracing::error!("{}: {error}; the secret stays as it was", file.display());
            }
        }
    }

    /// Source: <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>
    fn get_secret_value(&self, request: &Value) -> Response {
        self.look_at_the_file();
        let stages = self.stages();
        let stage = request["VersionStage"].as_str().unwrap_or("AWSCURRENT");
        let version = match stage {
            "AWSCURRENT" => Some(&stages.current),
            "AWSPREVIOUS" => stages.previous.as_ref(),
            _ => None,
        };
        let Some(version) = version.filter(|_| request["SecretId"] == SECRET) else {
            return answer(
                StatusCode::BAD_REQUEST,
                &json!({
                    "__type": "ResourceNotFoundException",
                    "Message": "Secrets Manager can't find the specified secret value.",
                }),
            );
        };
        answer(
            StatusCode::OK,
            &json!({
                "ARN": format!("arn:aws:secretsmanager:us-east-1:123456789012:secret:{SECRET}"),
                "Name": SECRET,
                "VersionId": format!("00000000-0000-0000-0000-{:012}", version.number),
                "VersionStages": [stage],
                "SecretString": version.value,
                "CreatedDate": version.created_at,
            }),
        )
    }

    fn outage(&self) -> MutexGuard<'_, Option<Outage>> {
        self.0.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stages(&self) -> MutexGuard<'_, Stages> {
        self.0.stages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn operate(
    State(secrets): State<SecretsManager>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let outage = *secrets.outage();
    if let Some(outage) = outage {
        return outage.answer().await;
    }
    let target = headers.get("x-amz-target");
    if target.is_some_and(|target| target == "secretsmanager.GetSecretValue") {
        return secrets.get_secret_value(&serde_json::from_slice(&body).unwrap_or_default());
    }
    answer(
        StatusCode::BAD_REQUEST,
        &json!({
            "__type": "InvalidRequestException",
            "Message": "only GetSecretValue is served here",
        }),
    )
}

/// When a file was last written, in Unix seconds.
fn modified_at(file: &Path) -> Option<u64> {
    let modified = fs::metadata(file).ok()?.modified().ok()?;
    Some(modified.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

impl Outage {
    async fn answer(self) -> Response {
        let (status, name) = match self {
            Self::Hangs => return std::future::pending().await,
            Self::Denied => (StatusCode::BAD_REQUEST, "AccessDeniedException"),
            Self::Broken => (StatusCode::INTERNAL_SERVER_ERROR, "InternalServiceError"),
        };
        answer(status, &json!({ "__type": name, "Message": "as ordered" }))
    }
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let json = [(header::CONTENT_TYPE, "application/x-amz-json-1.1")];
    (status, json, body.to_string()).into_response()
}
