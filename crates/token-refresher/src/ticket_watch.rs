//! Watches the ticket pushes: without tickets the component loses its token within hours.

use std::time::Duration;

use component_core::error::Error;
use component_core::time::Deadline;

use crate::TokenRefresher;

/// WeChat pushes every ten minutes: after this time at least two pushes are missing.
/// Source: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/component_verify_ticket.html>
const MAX_SILENCE: Duration = Duration::from_mins(25);

/// A ticket is good for twelve hours. If its value has not changed for this long, soon no ticket
/// will be good.
const MAX_VALUE_AGE: Duration = Duration::from_hours(11);

impl TokenRefresher {
    /// Says that no ticket comes, or always the same, and asks WeChat to push again.
    pub(crate) async fn watch_ticket(&self, deadline: Deadline) -> Result<(), Error> {
        let now = self.component.clock.now();
        let watch = self.component.store.watch_ticket(now).await?;
        let silence = watch.as_ref().map(|watch| watch.last_push_at.until(now));
        if silence.is_some_and(|silence| silence <= MAX_SILENCE) {
            let age = watch.map_or(Duration::ZERO, |watch| watch.value_changed_at.until(now));
            if age > MAX_VALUE_AGE {
                tracing::error!(
                    age_secs = age.as_secs(),
                    "the verify ticket comes, but always the same: soon it will be too old"
                );
            }
            return Ok(());
        }
        tracing::error!(
            silence_secs = silence.map(|silence| silence.as_secs()),
            "no verify ticket comes: check the events URL in WeChat's console, and that it answers `success`"
        );
        if let Err(error) = self.component.request_ticket_push(deadline).await {
            error.log("asking for a ticket push");
        }
        Ok(())
    }
}
