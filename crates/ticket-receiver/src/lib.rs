//! push -> verify -> decrypt -> parse -> store -> `success`: WeChat's auth-event URL.

use component_core::credentials::Vault;
use component_core::error::Error;
use component_core::push::SealedPush;
use component_core::push::notice::{Label, Notice};
use component_core::store::{Store, TicketPut};
use component_core::time::Clock;
use http::{Request, Response, StatusCode, header};

/// Takes WeChat's pushes. It never calls WeChat, so it works while the way out is down.
pub struct TicketReceiver {
    /// The secret, under which pushes are sealed.
    pub vault: Vault,
    /// Where tickets and notices go.
    pub store: Store,
    /// The time.
    pub clock: Clock,
}

/// What WeChat takes for a yes: exactly these seven bytes, with status 200, within five seconds.
/// Source: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/component_verify_ticket.html>
const SUCCESS: &str = "success";

/// The same for everything that can be wrong with a push, so that a forger learns nothing.
const REFUSED: &str = "this push is not accepted";

const NOT_STORED: &str = "this push could not be stored, send it again";

impl TicketReceiver {
    /// Answers one push.
    pub async fn handle(&self, request: Request<Vec<u8>>) -> Response<String> {
        let (status, line) = match self.receive(&request).await {
            Ok(()) => (StatusCode::OK, SUCCESS),
            Err(Error::Push(error)) => {
                tracing::warn!(
                    status = error.status().as_u16(),
                    "a push is refused: {error}"
                );
                (error.status(), REFUSED)
            }
            Err(error) => {
                error.log("storing a push");
                (error.status(), NOT_STORED)
            }
        };
        let mut response = Response::new(line.to_owned());
        *response.status_mut() = status;
        let plain = header::HeaderValue::from_static("text/plain");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        response
    }

    async fn receive(&self, request: &Request<Vec<u8>>) -> Result<(), Error> {
        let now = self.clock.now();
        let query = request.uri().query().unwrap_or_default();
        let sealed = SealedPush::parse(query, request.body(), now)?;
        let opened = self.vault.under_either_key(|keys| sealed.open(&keys.push));
        let (opened, _keys) = opened.await??;
        match &opened.notice {
            Notice::Ticket { created_at, ticket } => {
                let create_time = created_at.as_secs();
                match self.store.put_ticket(ticket, *created_at, now).await? {
                    TicketPut::Stored => tracing::info!(create_time, "a verify ticket is stored"),
                    TicketPut::Older => {
                        tracing::info!(create_time, "a verify ticket is older than the stored one");
                    }
                }
            }
            Notice::Authorization(notice) => {
                self.store.put_notice(&opened.sha256, notice, now).await?;
                tracing::info!(
                    authorizer_appid = %notice.authorizer,
                    info_type = notice.change.info_type(),
                    "a notice is stored"
                );
            }
            Notice::Other {
                label: Label { kind, appid },
                notice,
            } => {
                tracing::info!(kind, appid, "a push of another kind is passed on");
                if let Some(notice) = notice {
                    let store = &self.store;
                    store.put_other_notice(&opened.sha256, notice, now).await?;
                }
            }
            Notice::Unusable(Label { kind, appid }) => {
                tracing::warn!(kind, appid, "a push that cannot be used");
            }
        }
        Ok(())
    }
}
