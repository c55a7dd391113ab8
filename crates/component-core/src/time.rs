//! Time: Unix seconds, the clock that tells them, and an invocation's deadline.

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::chance;

/// A moment in Unix seconds, as WeChat counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

/// The most that two clocks may differ by, WeChat's or ours.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_mins(1);

/// A moment of WeChat's that lies further ahead of now is no time at all: milliseconds, say. What
/// came with it would be newer than everything that follows.
pub const MAX_AHEAD: Duration = Duration::from_hours(2);

impl Timestamp {
    /// The moment `secs` seconds after 1970-01-01T00:00:00Z.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs)
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// This moment, or zero, which stands for one that is not known, if it lies more than
    /// [`MAX_AHEAD`] ahead of `now`.
    #[must_use]
    pub fn believable(self, now: Self) -> Self {
        if self <= now + MAX_AHEAD {
            self
        } else {
            Self::default()
        }
    }

    /// The time from this moment to `later`; zero if `later` is not later.
    pub const fn until(self, later: Self) -> Duration {
        Duration::from_secs(later.0.saturating_sub(self.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// Part seconds count as whole ones: the sum rounds up.
    fn add(self, duration: Duration) -> Self {
        let whole = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
        Self(self.0.saturating_add(whole))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_secs()))
    }
}

/// What a decision takes from the clock: the time, and chance.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The time.
    pub now: Timestamp,
    /// A number from 0 up to 1 that spreads what would otherwise happen at once.
    pub jitter: f64,
}

/// Tells the time, waits, and spreads what would otherwise happen at once.
#[derive(Clone)]
pub struct Clock {
    source: Source,
    pace: u32,
    jitter: Arc<dyn Fn() -> f64 + Send + Sync>,
}

#[derive(Clone)]
enum Source {
    System,
    Told(Arc<dyn Fn() -> Timestamp + Send + Sync>),
}

impl Clock {
    /// The clock of the machine.
    pub fn system() -> Self {
        Self {
            source: Source::System,
            pace: 1,
            jitter: Arc::new(chance::fraction),
        }
    }

    /// A clock that asks `now`, and on which a second passes in `1 / pace` seconds of waiting.
    ///
    /// For tests and simulations, which run the functions against a time of their own.
    pub fn told(now: impl Fn() -> Timestamp + Send + Sync + 'static, pace: u32) -> Self {
        Self {
            source: Source::Told(Arc::new(now)),
            pace: pace.max(1),
            jitter: Arc::new(chance::fraction),
        }
    }

    /// The same clock with a jitter of the caller's own, from 0 up to 1, so that a run can be
    /// repeated.
    #[must_use]
    pub fn with_jitter(self, jitter: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        Self {
            jitter: Arc::new(jitter),
            ..self
        }
    }

    /// The time by this clock.
    pub fn now(&self) -> Timestamp {
        match &self.source {
            Source::System => system_now(),
            Source::Told(now) => now(),
        }
    }

    /// A number from 0 up to 1, another each time.
    pub fn jitter(&self) -> f64 {
        (self.jitter)()
    }

    /// The time and a random number, for a decision that is taken now.
    pub fn moment(&self) -> Moment {
        Moment {
            now: self.now(),
            jitter: self.jitter(),
        }
    }

    /// Waits `duration` of this clock's time.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that waits for the machine's clock"
    )]
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration / self.pace).await;
    }

    /// Waits up to `most` of the machine's own time, each caller another part of it: so that callers
    /// who came together do not write together.
    pub async fn spread(&self, most: Duration) {
        let machine = Self::system();
        machine.sleep(most.mul_f64(self.jitter())).await;
    }

    /// When `deadline` comes, by this clock.
    pub fn at(&self, deadline: Deadline) -> Timestamp {
        self.now() + deadline.remaining() * self.pace
    }
}

/// When an invocation must have answered, in the machine's own time.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline `duration` from now.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's monotonic clock"
    )]
    pub fn after(duration: Duration) -> Self {
        let now = Instant::now();
        Self(now.checked_add(duration).unwrap_or(now))
    }

    /// The deadline that Lambda names, less `margin` to deliver the answer.
    pub fn of_invocation(deadline: SystemTime, margin: Duration) -> Self {
        let left = deadline
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .saturating_sub(since_epoch());
        Self::after(left.saturating_sub(margin))
    }

    /// The earlier of two deadlines.
    #[must_use]
    pub fn or_after(self, duration: Duration) -> Self {
        Self(self.0.min(Self::after(duration).0))
    }

    /// The time left; zero once it has passed.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's monotonic clock"
    )]
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether no time is left.
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }
}

fn system_now() -> Timestamp {
    Timestamp(since_epoch().as_secs())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the machine's clock"
)]
fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
