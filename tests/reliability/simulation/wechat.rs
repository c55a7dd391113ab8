//! The simulated WeChat, called within the process.

use std::fmt;

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use axum::body::{Body, Bytes, to_bytes};
use serde_json::Value;
use tower::ServiceExt;

use super::Simulation;
use super::boundary::{Answer, INVOCATION, Invocation, Place};
use super::ledger::{COMPONENT, Issue};

pub(super) struct Wechat(pub(super) Simulation);

impl fmt::Debug for Wechat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wechat")
    }
}

impl HttpConnector for Wechat {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let simulation = self.0.clone();
        let uri = request.uri().to_owned();
        let path = uri.split('?').next().unwrap_or_default();
        let endpoint = path.rsplit('/').next().unwrap_or_default().to_owned();
        let body = Bytes::copy_from_slice(request.body().bytes().unwrap_or_default());
        let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
        let whose = text(&asked, "/authorizer_appid").unwrap_or_default();
        let what = format!("{endpoint} {whose}");
        let by = INVOCATION.with(std::sync::Arc::clone);
        let there = simulation.clone();
        let effect = move || {
            let (there, uri, body) = (there.clone(), uri.clone(), body.clone());
            let (endpoint, asked, by) = (endpoint.clone(), asked.clone(), by.clone());
            let answer: std::pin::Pin<Box<dyn Future<Output = Answer> + Send>> =
                Box::pin(async move { there.answer(&endpoint, &asked, &uri, body, by).await });
            answer
        };
        HttpConnectorFuture::new(simulation.cross(Place::Wechat, what, Box::new(effect)))
    }
}

impl Simulation {
    async fn answer(
        &self,
        endpoint: &str,
        asked: &Value,
        uri: &str,
        body: Bytes,
        by: std::sync::Arc<Invocation>,
    ) -> Answer {
        // This sets the clock of WeChat.
        self.wechat();
        let request = axum::extract::Request::post(uri)
            .body(Body::from(body))
            .unwrap();
        let response = self.0.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let given: Value = serde_json::from_slice(&body).unwrap_or_default();
        let refused = given["errcode"].as_i64().unwrap_or_default();
        self.note(format_args!("#{} {endpoint} {refused}", by.id));
        if refused == 40001 {
            self.suspect_component_token();
        }
        if refused != 0 && self.is_ailing(asked) {
            by.fault();
        }
        let issue = |appid: Option<String>, token: &str| {
            Some(Issue::new(
                appid?,
                text(&given, token)?,
                endpoint,
                self.now(),
                by,
            ))
        };
        let issue = match endpoint {
            "api_component_token" => issue(Some(COMPONENT.to_owned()), "/component_access_token"),
            "api_authorizer_token" => {
                issue(text(asked, "/authorizer_appid"), "/authorizer_access_token")
            }
            "api_query_auth" => issue(
                text(&given, "/authorization_info/authorizer_appid"),
                "/authorization_info/authorizer_access_token",
            ),
            "api_start_push_ticket" if refused == 0 => {
                self.push_ticket_soon();
                None
            }
            _ => None,
        };
        let issue = issue.map(|issue| self.issued(issue));
        let status = StatusCode::try_from(status).unwrap();
        Answer {
            response: HttpResponse::new(status, SdkBody::from(body)),
            issue,
        }
    }
}

impl Simulation {
    /// Whether a call is about an account that has, or had, a trouble of its own: then a refusal is
    /// as good as a fault.
    fn is_ailing(&self, asked: &Value) -> bool {
        text(asked, "/authorizer_appid").is_some_and(|appid| self.ledger().ailing.contains(&appid))
    }
}

fn text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer)?.as_str().map(str::to_owned)
}
