//! Secrets Manager at an address of its own: one secret with its two stages, and the one operation
//! that the functions call.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use wechat_simulator::SimClock;

/// The name of the secret.
pub const SECRET: &str = "wechat-component";

/// The secret and its versions. Clones are the same secret.
#[derive(Clone)]
pub struct SecretsManager(Arc<Kept>);

struct Kept {
    stages: Mutex<Stages>,
    outage: Mutex<Option<Outage>>,
    clock: SimClock,
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
    /// A secret with one version.
    pub fn new(value: String, clock: SimClock) -> Self {
        let current = Version {
            number: 1,
            value,
            created_at: clock.now(),
        };
        Self(Arc::new(Kept {
            stages: Mutex::new(Stages {
                current,
                previous: None,
            }),
            outage: Mutex::new(None),
            clock,
        }))
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

    /// Source: <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>
    fn get_secret_value(&self, request: &Value) -> Response {
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
