//! Serving: every route of the simulator in one router, and the router on a listener.

use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpListener;

use crate::simulator::Simulator;
use crate::{api, control, pages};

impl Simulator {
    /// WeChat's endpoints and pages, and the control API.
    ///
    /// With a white-list, serve it with `ConnectInfo`: a caller without an address is refused.
    pub fn router(&self) -> Router {
        api::routes()
            .merge(pages::routes())
            .merge(control::routes())
            .fallback(api::unknown_path)
            .with_state(self.clone())
    }

    /// Serves the router on the listener, with each caller's address.
    ///
    /// # Errors
    /// Those of the listener.
    pub async fn serve(self, listener: TcpListener) -> std::io::Result<()> {
        let service = self
            .router()
            .into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, service).await
    }
}
