//! The one HTTP client: pooled, over rustls, for WeChat and for the AWS SDK alike.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use crate::config::Misconfigured;

/// A connection that takes longer counts as failed.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A function's start waits no longer for a connection that it may not need.
const OPENING_TIMEOUT: Duration = Duration::from_secs(1);

/// Lambda freezes a sandbox between invocations, and servers close idle connections. A connection
/// that was idle for longer is not used again.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// A client with a pool of its own; its clones share the pool.
///
/// # Errors
/// [`Misconfigured`] if the platform offers no TLS.
pub fn client() -> Result<reqwest::Client, Misconfigured> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = Roots::new(&provider).and_then(|roots| {
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(roots))
            .with_no_client_auth())
    });
    let tls = tls.map_err(|error| Misconfigured(format!("no TLS: {error}")))?;
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| Misconfigured(format!("no HTTP client: {error}")))
}

/// Trusts Mozilla's roots, which are compiled in and cost no start-up time. If they do not know a
/// server's issuer, as after a change of its CA, the platform's roots are read and decide.
#[derive(Debug)]
struct Roots {
    compiled_in: Arc<WebPkiServerVerifier>,
    platform: OnceLock<Option<rustls_platform_verifier::Verifier>>,
    provider: Arc<CryptoProvider>,
}

impl Roots {
    fn new(provider: &Arc<CryptoProvider>) -> Result<Self, rustls::Error> {
        let roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        let compiled_in =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .build()
                .map_err(|error| rustls::Error::General(error.to_string()))?;
        Ok(Self {
            compiled_in,
            platform: OnceLock::new(),
            provider: provider.clone(),
        })
    }
}

impl ServerCertVerifier for Roots {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = self.compiled_in.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        let Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) = verdict
        else {
            return verdict;
        };
        let platform = self
            .platform
            .get_or_init(|| rustls_platform_verifier::Verifier::new(self.provider.clone()).ok());
        match platform {
            Some(platform) => platform.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            ),
            None => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.compiled_in.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.compiled_in.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.compiled_in.supported_verify_schemes()
    }
}

/// The client in the form that the AWS SDK takes. So the SDK and [`crate::wechat`] share its
/// connections, and a simulation without a network replaces it for both.
pub fn connector(client: reqwest::Client) -> SharedHttpConnector {
    SharedHttpConnector::new(Connector(client))
}

/// Opens a connection for later calls; a failure is ignored, and so is a server that takes longer
/// than a second.
pub(crate) async fn open(http: &SharedHttpConnector, url: &str) {
    if let Ok(request) = HttpRequest::get(url) {
        drop(send(http, request, OPENING_TIMEOUT).await);
    }
}

/// Posts a body of JSON.
pub(crate) async fn post_json(
    http: &SharedHttpConnector,
    url: &str,
    body: String,
    timeout: Duration,
) -> Result<HttpResponse, ConnectorError> {
    let mut request = HttpRequest::new(SdkBody::from(body));
    request
        .set_method("POST")
        .map_err(|error| ConnectorError::user(error.into()))?;
    request
        .set_uri(url)
        .map_err(|error| ConnectorError::user(error.into()))?;
    request
        .headers_mut()
        .insert("content-type", "application/json");
    send(http, request, timeout).await
}

async fn send(
    http: &SharedHttpConnector,
    request: HttpRequest,
    timeout: Duration,
) -> Result<HttpResponse, ConnectorError> {
    tokio::time::timeout(timeout, http.call(request))
        .await
        .map_err(|elapsed| ConnectorError::timeout(elapsed.into()))?
}

#[derive(Debug)]
struct Connector(reqwest::Client);

/// Far more than the longest answers: a page of DynamoDB's index, and a page of WeChat's list.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request
                .try_into_http1x()
                .map_err(|error| ConnectorError::user(error.into()))?
                // Requests of JSON are never streamed.
                .map(|body| reqwest::Body::from(body.bytes().unwrap_or_default().to_vec()));
            let request = reqwest::Request::try_from(request)
                .map_err(|error| ConnectorError::user(error.into()))?;
            let mut response = client.execute(request).await.map_err(failure)?;
            let (status, headers) = (response.status(), response.headers().clone());
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(failure)? {
                body.extend_from_slice(&chunk);
                if body.len() > MAX_ANSWER_BYTES {
                    return Err(ConnectorError::io("the answer is too long".into()));
                }
            }
            let mut answer = http::Response::new(SdkBody::from(body));
            *answer.status_mut() = status;
            *answer.headers_mut() = headers;
            HttpResponse::try_from(answer)
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// Drops the URL: in a call to WeChat it holds a token.
fn failure(error: reqwest::Error) -> ConnectorError {
    let error = error.without_url();
    if error.is_timeout() {
        ConnectorError::timeout(error.into())
    } else {
        ConnectorError::io(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_does_not_name_the_url_that_holds_a_token() {
        let url = "https://api.weixin.qq.com/?component_access_token=SECRET";
        let error_of_reqwest = reqwest::Proxy::all("http://").unwrap_err();
        let named = error_of_reqwest.with_url(url.parse().unwrap());
        assert!(named.to_string().contains("SECRET"));
        let told = format!("{:?}", failure(named));
        assert!(!told.contains("SECRET"), "{told}");
    }
}
