//! Tells the component's trouble from that of single accounts. No I/O, no clock.

use crate::error::Error;
use crate::wechat::refusal::Endpoint;

/// Failures that came one after another, all alike, each of another account.
///
/// What WeChat says of one account is that account's, whatever the code. If account after account is
/// refused alike, and none succeeds between, the component is the cause, and going on would only
/// repeat it.
#[derive(Debug, Default)]
pub struct Streak {
    what: Option<What>,
    who: Vec<String>,
}

/// What failures have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// An endpoint's `errcode`.
    Refused(Endpoint, i64),
    /// The table.
    Table,
}

/// So many accounts in a row make it the component's trouble.
const MANY: usize = 8;

impl Streak {
    /// An account has succeeded.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// The account `who` has failed; whether so many have failed alike that the run should stop.
    pub fn failed(&mut self, who: &str, error: &Error) -> bool {
        let what = match error {
            Error::Store { .. } => Some(What::Table),
            _ => match error.refused() {
                Some(refused) if refused.may_concern_the_component() => {
                    Some(What::Refused(refused.endpoint, refused.errcode))
                }
                // An answer about this account: the component is well.
                Some(_) => None,
                // Not an answer: it tells nothing.
                None => return false,
            },
        };
        if what.is_none() || self.what != what {
            self.what = what;
            self.who.clear();
        }
        if what.is_some() && !self.who.iter().any(|known| known == who) {
            self.who.push(who.to_owned());
        }
        self.who.len() >= MANY
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Cause, Failure};
    use crate::time::Timestamp;
    use crate::wechat::refusal::Refused;

    fn refused(errcode: i64) -> Error {
        let refused = Refused {
            endpoint: Endpoint::AuthorizerToken,
            errcode,
            rid: None,
            seen_from: None,
        };
        let cause = Cause::Refused(refused);
        Error::Remembered(Failure::after(None, cause, Timestamp::default()))
    }

    fn table() -> Error {
        Error::Store {
            doing: "read an authorizer",
            source: "throttled".into(),
        }
    }

    fn stops(errors: impl IntoIterator<Item = (usize, Error)>) -> bool {
        let mut streak = Streak::default();
        let mut stopped = false;
        for (who, error) in errors {
            stopped |= streak.failed(&who.to_string(), &error);
        }
        stopped
    }

    #[test]
    fn eight_accounts_that_are_refused_alike_stop_a_run_and_one_never_does() {
        for errcode in [40013, 40001, 41002, 48001, 45009, 45011, 99999] {
            assert!(
                stops((0..8).map(|who| (who, refused(errcode)))),
                "{errcode}"
            );
            assert!(
                !stops((0..7).map(|who| (who, refused(errcode)))),
                "{errcode}"
            );
            assert!(
                !stops((0..1000).map(|n| (n % 7, refused(errcode)))),
                "{errcode}"
            );
        }
        assert!(stops((0..8).map(|who| (who, table()))));
    }

    #[test]
    fn what_can_only_be_an_accounts_stops_no_run() {
        for errcode in [50002, 48004, 61003, 61007, 61009, 61010, 61023] {
            assert!(
                !stops((0..100).map(|who| (who, refused(errcode)))),
                "{errcode}"
            );
        }
    }

    #[test]
    fn refusals_that_differ_or_a_success_between_begin_anew() {
        assert!(!stops((0..100).map(|who| (
            who,
            refused(40013 + if who % 2 == 0 { 0 } else { 5988 })
        ))));
        let mut streak = Streak::default();
        for who in 0..100 {
            assert!(!streak.failed(&who.to_string(), &refused(40013)));
            if who % 7 == 6 {
                streak.succeeded();
            }
        }
    }

    #[test]
    fn a_call_without_an_answer_neither_counts_nor_begins_anew() {
        let mut streak = Streak::default();
        for who in 0..7 {
            assert!(!streak.failed(&who.to_string(), &refused(40013)));
            assert!(!streak.failed(&who.to_string(), &Error::Busy("it")));
        }
        assert!(streak.failed("7", &refused(40013)));
    }
}
