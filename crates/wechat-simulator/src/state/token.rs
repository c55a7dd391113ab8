//! The access tokens of one owner: what WeChat gave, when each expires, which are good.

use crate::errcode::Refusal;

/// How long an access token lives, in seconds.
pub(crate) const LIFE_SECS: u64 = 7200;
/// How long the previous token stays good after a new one is given.
const OVERLAP_SECS: u64 = 300;
/// How long an expired token is remembered: until then it is answered with 42001, not 40001.
const MEMORY_SECS: u64 = 86_400;

/// Every access token given to one owner in one authorization, oldest first.
#[derive(Default)]
pub(crate) struct AccessTokens(Vec<AccessToken>);

struct AccessToken {
    value: String,
    expires_at: u64,
    replaced_at: Option<u64>,
}

impl AccessTokens {
    /// Gives a new token. Earlier ones stay good for five minutes at most.
    ///
    /// Returns the tokens that are forgotten by now.
    pub(crate) fn issue(&mut self, value: String, now: u64) -> Vec<String> {
        let is_forgotten = |token: &mut AccessToken| token.expires_at + MEMORY_SECS <= now;
        let forgotten = self.0.extract_if(.., is_forgotten);
        let forgotten = forgotten.map(|token| token.value).collect();
        for token in &mut self.0 {
            token.replaced_at.get_or_insert(now);
        }
        self.0.push(AccessToken {
            value,
            expires_at: now + LIFE_SECS,
            replaced_at: None,
        });
        forgotten
    }

    /// Says whether `value` is good now.
    ///
    /// An unknown or replaced token is refused with 40001, an expired one with 42001.
    pub(crate) fn check(&self, value: &str, now: u64) -> Result<(), Refusal> {
        let token = self
            .0
            .iter()
            .find(|token| token.value == value)
            .ok_or(Refusal::INVALID_CREDENTIAL)?;
        if token.replaced_at.is_some_and(|at| now >= at + OVERLAP_SECS) {
            Err(Refusal::INVALID_CREDENTIAL)
        } else if now >= token.expires_at {
            Err(Refusal::TOKEN_EXPIRED)
        } else {
            Ok(())
        }
    }

    /// The latest token, good or not.
    pub(crate) fn newest(&self) -> Option<&str> {
        self.0.last().map(|token| token.value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    #[test]
    fn a_token_lives_two_hours() {
        let mut tokens = AccessTokens::default();
        tokens.issue("a".into(), NOW);
        assert_eq!(tokens.check("a", NOW + 7199), Ok(()));
        assert_eq!(tokens.check("a", NOW + 7200), Err(Refusal::TOKEN_EXPIRED));
        assert_eq!(tokens.check("b", NOW), Err(Refusal::INVALID_CREDENTIAL));
    }

    #[test]
    fn the_token_before_stays_good_five_minutes() {
        let mut tokens = AccessTokens::default();
        tokens.issue("a".into(), NOW);
        tokens.issue("b".into(), NOW + 1000);
        assert_eq!(tokens.check("a", NOW + 1299), Ok(()));
        assert_eq!(
            tokens.check("a", NOW + 1300),
            Err(Refusal::INVALID_CREDENTIAL)
        );
        assert_eq!(tokens.check("b", NOW + 1300), Ok(()));
    }

    #[test]
    fn a_third_token_does_not_lengthen_the_overlap_of_the_first() {
        let mut tokens = AccessTokens::default();
        tokens.issue("a".into(), NOW);
        tokens.issue("b".into(), NOW + 100);
        tokens.issue("c".into(), NOW + 300);
        assert_eq!(
            tokens.check("a", NOW + 400),
            Err(Refusal::INVALID_CREDENTIAL)
        );
        assert_eq!(tokens.check("b", NOW + 400), Ok(()));
        assert_eq!(tokens.newest(), Some("c"));
    }

    #[test]
    fn the_overlap_does_not_outlive_the_token() {
        let mut tokens = AccessTokens::default();
        tokens.issue("a".into(), NOW);
        tokens.issue("b".into(), NOW + 7100);
        assert_eq!(tokens.check("a", NOW + 7200), Err(Refusal::TOKEN_EXPIRED));
    }
}
