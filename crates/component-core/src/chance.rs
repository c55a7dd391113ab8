//! Chance: the one place that draws it, from a generator that the operating system seeds.

/// 128 bits that no sender can foresee: for a state, a cookie or a nonce.
#[expect(clippy::disallowed_methods, reason = "the one place that draws chance")]
pub fn bits() -> [u8; 16] {
    rand::random()
}

/// A number from 0 up to 1, to spread what would otherwise happen at once.
#[expect(clippy::disallowed_methods, reason = "the one place that draws chance")]
pub(crate) fn fraction() -> f64 {
    rand::random()
}
