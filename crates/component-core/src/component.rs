//! The component's own access token, and what may happen to it. No I/O, no clock.

use std::time::Duration;

use crate::lease::{Lease, LeaseSlot};
use crate::token::{ComponentAccessToken, Expiring};

/// The component's access token as it stands in the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Component {
    /// Grows with every write of the row.
    pub generation: u64,
    /// The newest token, if WeChat ever gave one.
    pub access_token: Option<Expiring<ComponentAccessToken>>,
    /// The lease whose answer `access_token` is.
    pub token_seq: u64,
    /// Who renews it.
    pub lease: LeaseSlot,
    /// Code of the error that ended the last renewal, if that failed.
    pub failure: Option<String>,
}

/// The component token is renewed when it has this long to live.
///
/// WeChat asks for a renewal ahead of the two hours' end; the old token lives five minutes more.
/// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/ticket-token/getComponentAccessToken.html>
pub const COMPONENT_REFRESH_MARGIN: Duration = Duration::from_secs(15 * 60);

impl Component {
    /// The row once WeChat has answered the holder of `lease`: the token of the highest lease wins.
    #[must_use]
    pub fn renewed(&self, lease: Lease, token: &Expiring<ComponentAccessToken>) -> Self {
        let mut next = self.clone();
        if lease.seq >= next.token_seq {
            next.access_token = Some(token.clone());
            next.token_seq = lease.seq;
            next.failure = None;
        }
        next.lease = next.lease.released(lease.seq);
        next
    }

    /// The row once the holder of `lease` has given up; the token it has stays.
    #[must_use]
    pub fn failed(&self, lease: Lease, code: &str) -> Self {
        let mut next = self.clone();
        next.lease = next.lease.released(lease.seq);
        next.failure = Some(code.to_owned());
        next
    }
}
