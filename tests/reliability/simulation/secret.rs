//! Secrets Manager with one secret that never changes.

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use local::emulators::secret;
use local::secrets::SECRET;
use serde_json::json;
use wechat_simulator::Settings;

/// Answers `GetSecretValue`: the secret has a current version and no previous one.
#[derive(Debug)]
pub(super) struct SecretsManager;

impl HttpConnector for SecretsManager {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = request.body().bytes().unwrap_or_default();
        let current = !String::from_utf8_lossy(body).contains("AWSPREVIOUS");
        let (status, answer) = if current {
            let answer = json!({
                "ARN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:wechat-component",
                "Name": SECRET,
                "VersionId": "00000000-0000-0000-0000-000000000001",
                "VersionStages": ["AWSCURRENT"],
                "SecretString": secret(&Settings::example()),
            });
            (200, answer)
        } else {
            let answer =
                json!({ "__type": "ResourceNotFoundException", "Message": "no such version" });
            (400, answer)
        };
        let status = StatusCode::try_from(status).expect("a status");
        let response = HttpResponse::new(status, SdkBody::from(answer.to_string()));
        HttpConnectorFuture::ready(Ok(response))
    }
}
