//! The random numbers of one life: the same for the same seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A sequence of random numbers. Clones draw from the same one.
#[derive(Clone)]
pub(crate) struct Chance(Arc<AtomicU64>);

/// Source: <https://prng.di.unimi.it/splitmix64.c>
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seed.wrapping_mul(STEP))))
    }

    pub(crate) fn number(&self) -> u64 {
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to 1.
    pub(crate) fn unit(&self) -> f64 {
        f64::from(u32::try_from(self.number() >> 32).unwrap()) / f64::from(u32::MAX).next_up()
    }

    pub(crate) fn happens(&self, probability: f64) -> bool {
        self.unit() < probability
    }

    pub(crate) fn below(&self, bound: usize) -> usize {
        usize::try_from(self.number() % u64::try_from(bound).unwrap()).unwrap()
    }

    pub(crate) fn pick<'a, T>(&self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len())]
    }

    /// Whole milliseconds.
    pub(crate) fn between(&self, from: Duration, to: Duration) -> Duration {
        let millis = to.saturating_sub(from).as_millis();
        let millis = usize::try_from(millis).unwrap() + 1;
        from + Duration::from_millis(u64::try_from(self.below(millis)).unwrap())
    }
}
