//! The outbox -> the bus, each account's events in their order.

use std::time::Duration;

use super::Component;
use crate::bus::Bus;
use crate::error::Error;
use crate::store::{EventKey, KeptEvent};
use crate::time::Deadline;

/// After the first delivery that failed; doubled with each further one.
const FIRST_BACKOFF: Duration = Duration::from_secs(30);

/// In every run of the schedule, which comes each five minutes.
const MAX_BACKOFF: Duration = Duration::from_secs(270);

/// How long to wait after `failures` deliveries and the one that has just failed.
pub(super) fn backoff(failures: u64) -> Duration {
    let doublings = u32::try_from(failures.min(10)).unwrap_or_default();
    FIRST_BACKOFF
        .saturating_mul(1 << doublings)
        .min(MAX_BACKOFF)
}

impl Component {
    /// Puts an event of the outbox on the bus, and before it those of its account that are left
    /// below it: streams keep the order of each row alone. Answers how many the bus has taken, each
    /// within `time`.
    ///
    /// # Errors
    /// [`Error::Bus`], [`Error::Store`], [`Error::Secret`]; what is left is due again.
    pub async fn publish(
        &self,
        key: &EventKey,
        bus: &Bus,
        time: Duration,
        deadline: Deadline,
    ) -> Result<u64, Error> {
        let left = self.left_up_to(key).await?;
        let failures = left.first().map_or(0, |newest| newest.failures);
        let mut published = 0;
        for kept in left.iter().rev() {
            let credentials = self.vault.current().await?;
            let event = kept.event.of(&credentials.push.component_appid);
            if let Err(error) = bus.put(&event, deadline.or_after(time)).await {
                let until = self.clock.now() + backoff(failures);
                self.store.postpone_event(key, until).await?;
                return Err(error);
            }
            let sequence = kept.event.sequence;
            self.store.delete_event(&key.account, sequence).await?;
            published += 1;
        }
        Ok(published)
    }

    /// Puts a message that was kept on the bus; whether there was one.
    ///
    /// # Errors
    /// [`Error::Bus`], [`Error::Store`]; the message is due again.
    pub async fn deliver(
        &self,
        id: &str,
        bus: &Bus,
        time: Duration,
        deadline: Deadline,
    ) -> Result<bool, Error> {
        let Some(kept) = self.store.kept_message(id).await? else {
            return Ok(false);
        };
        if let Err(error) = bus.put(&kept.event, deadline.or_after(time)).await {
            let until = self.clock.now() + backoff(kept.failures);
            self.store.postpone_message(id, until).await?;
            return Err(error);
        }
        self.store.finish_message(id).await?;
        Ok(true)
    }

    /// The event, and those right below it that are left, newest first.
    async fn left_up_to(&self, key: &EventKey) -> Result<Vec<KeptEvent>, Error> {
        let mut left = Vec::new();
        for sequence in (1..=key.sequence).rev() {
            match self.store.kept_event(&key.account, sequence).await? {
                Some(kept) => left.push(kept),
                None => break,
            }
        }
        Ok(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_bus_does_not_take_is_tried_in_every_run() {
        let secs = |failures| backoff(failures).as_secs();
        assert_eq!([0, 1, 2, 3, 4, 100].map(secs), [30, 60, 120, 240, 270, 270]);
    }
}
