//! The simulator's time: Unix seconds that run at a chosen speed, or stand until moved.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

/// Longest real wait before the clock is read again: the system's clock may have been moved.
const LONGEST_NAP: Duration = Duration::from_secs(5);

/// Unix seconds for one simulator, which a test can move. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct SimClock {
    pace: Pace,
    /// Seconds added to what the pace gives. A hand-moved clock has only these.
    offset: watch::Sender<i64>,
}

#[derive(Clone, Copy, Debug)]
enum Pace {
    System { started_millis: u64, speed: u32 },
    HandMoved,
}

impl SimClock {
    /// Runs `speed` times as fast as the system's clock from this moment on; 0 counts as 1.
    pub fn system(speed: u32) -> Self {
        let pace = Pace::System {
            started_millis: system_millis(),
            speed: speed.max(1),
        };
        Self {
            pace,
            offset: watch::Sender::new(0),
        }
    }

    /// Stands at `start` and moves only by [`advance`](Self::advance) and [`set`](Self::set).
    pub fn hand_moved(start: u64) -> Self {
        Self {
            pace: Pace::HandMoved,
            offset: watch::Sender::new(signed(start)),
        }
    }

    /// Unix seconds now.
    pub fn now(&self) -> u64 {
        self.paced_secs()
            .saturating_add_signed(*self.offset.borrow())
    }

    /// Moves the clock on by `secs`.
    pub fn advance(&self, secs: u64) {
        self.offset
            .send_modify(|offset| *offset = offset.saturating_add(signed(secs)));
    }

    /// Moves the clock to `now`, forwards or backwards.
    pub fn set(&self, now: u64) {
        let paced = signed(self.paced_secs());
        self.offset
            .send_modify(|offset| *offset = signed(now).saturating_sub(paced));
    }

    /// Waits until the clock shows `at` or later, whether it runs there or is moved there.
    pub async fn sleep_until(&self, at: u64) {
        let mut moved = self.offset.subscribe();
        loop {
            let now = self.now();
            if now >= at {
                return;
            }
            match self.pace {
                Pace::System { speed, .. } => {
                    let real_millis = (at - now).saturating_mul(1000) / u64::from(speed);
                    let nap = Duration::from_millis(real_millis.max(1)).min(LONGEST_NAP);
                    tokio::select! {
                        () = sleep_real(nap) => {}
                        _ = moved.changed() => {}
                    }
                }
                // The sender lives in `self`, so this cannot fail while we wait.
                Pace::HandMoved => _ = moved.changed().await,
            }
        }
    }

    fn paced_secs(&self) -> u64 {
        match self.pace {
            Pace::System {
                started_millis,
                speed,
            } => {
                let elapsed = system_millis().saturating_sub(started_millis);
                started_millis.saturating_add(elapsed.saturating_mul(u64::from(speed))) / 1000
            }
            Pace::HandMoved => 0,
        }
    }
}

/// Waits in real time, which the simulator's clock does not change.
///
/// A delay on the network must outlast the caller's timeout, and that is in real time.
#[expect(clippy::disallowed_methods, reason = "the simulator's one way to wait")]
pub(crate) async fn sleep_real(duration: Duration) {
    tokio::time::sleep(duration).await;
}

#[expect(
    clippy::disallowed_methods,
    reason = "the simulator's one reader of the system's clock"
)]
fn system_millis() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}

fn signed(secs: u64) -> i64 {
    i64::try_from(secs).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hand_moved_clock_stands_until_it_is_moved() {
        let clock = SimClock::hand_moved(1_700_000_000);
        let same = clock.clone();
        assert_eq!(clock.now(), 1_700_000_000);
        clock.advance(7200);
        assert_eq!(same.now(), 1_700_007_200);
        clock.set(1_600_000_000);
        assert_eq!(same.now(), 1_600_000_000);
    }

    #[test]
    fn a_system_clock_can_be_set() {
        let clock = SimClock::system(1);
        clock.set(1_600_000_000);
        assert!((1_600_000_000..1_600_000_010).contains(&clock.now()));
    }

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_clock_is_moved_past() {
        for clock in [SimClock::hand_moved(100), SimClock::system(1)] {
            let until = clock.now() + 3600;
            let sleeper = {
                let clock = clock.clone();
                tokio::spawn(async move { clock.sleep_until(until).await })
            };
            tokio::task::yield_now().await;
            clock.advance(1800);
            tokio::task::yield_now().await;
            assert!(!sleeper.is_finished());
            clock.advance(1801);
            sleeper.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_fast_clock_sleeps_shorter() {
        let clock = SimClock::system(36_000);
        clock.sleep_until(clock.now() + 600).await;
    }
}
