//! The faults that have not struck yet.

use std::time::Duration;

use super::{Fault, FaultEffect};

/// The remaining faults, oldest first.
#[derive(Default)]
pub(crate) struct Faults(Vec<Pending>);

struct Pending {
    fault: Fault,
    /// When the fault ends, in Unix seconds. None: when it is used up.
    until: Option<u64>,
}

/// The faults of one call, put together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Stroke {
    pub(crate) delay: Duration,
    pub(crate) effect: Option<FaultEffect>,
    pub(crate) answer_delay: Duration,
}

impl Faults {
    pub(crate) fn add(&mut self, now: u64, fault: Fault) {
        let until = fault.lasts_secs.map(|secs| now.saturating_add(secs));
        self.0.push(Pending { fault, until });
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// What remains of each fault: its calls, and its seconds if it has an end.
    pub(crate) fn remaining(&self, now: u64) -> Vec<Fault> {
        let pending = self.0.iter().filter(|pending| pending.remains(now));
        pending
            .map(|pending| Fault {
                lasts_secs: pending.until.map(|until| until - now),
                ..pending.fault.clone()
            })
            .collect()
    }

    /// Whether any fault is of an account.
    pub(crate) fn concern_an_account(&self) -> bool {
        let mut pending = self.0.iter();
        pending.any(|pending| pending.fault.authorizer_appid.is_some())
    }

    /// Takes the faults of one call: the first with an effect, and the first pure delay.
    ///
    /// `account` is the account that the call names.
    pub(crate) fn strike(&mut self, now: u64, endpoint: &str, account: Option<&str>) -> Stroke {
        self.0.retain(|pending| pending.remains(now));
        let mut stroke = Stroke::default();
        for with_effect in [true, false] {
            let next = self.0.iter_mut().map(|pending| &mut pending.fault);
            let mut hitting = next.filter(|fault| fault.hits(endpoint, account));
            if let Some(fault) = hitting.find(|fault| fault.effect.is_some() == with_effect) {
                if fault.times != u32::MAX {
                    fault.times -= 1;
                }
                stroke.delay += fault.delay;
                stroke.answer_delay += fault.answer_delay;
                stroke.effect = stroke.effect.or_else(|| fault.effect.clone());
            }
        }
        self.0.retain(|pending| pending.remains(now));
        stroke
    }
}

impl Pending {
    fn remains(&self, now: u64) -> bool {
        self.fault.times > 0 && self.until.is_none_or(|until| now < until)
    }
}

impl Fault {
    fn hits(&self, endpoint: &str, account: Option<&str>) -> bool {
        let of_account =
            self.authorizer_appid.is_none() || self.authorizer_appid.as_deref() == account;
        of_account && (self.endpoint == "*" || self.endpoint == endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    #[test]
    fn a_fault_strikes_its_endpoint_as_often_as_ordered() {
        let mut faults = Faults::default();
        let fault = Fault::new("api_query_auth", FaultEffect::Errcode(-1));
        faults.add(NOW, fault.times(2));
        let stroke = faults.strike(NOW, "api_component_token", None);
        assert_eq!(stroke, Stroke::default());
        for _ in 0..2 {
            let effect = faults.strike(NOW, "api_query_auth", None).effect;
            assert_eq!(effect, Some(FaultEffect::Errcode(-1)));
        }
        assert_eq!(
            faults.strike(NOW, "api_query_auth", None),
            Stroke::default()
        );
    }

    #[test]
    fn a_delay_combines_with_another_fault() {
        let mut faults = Faults::default();
        let second = Duration::from_secs(1);
        faults.add(NOW, Fault::delay("*", second));
        faults.add(NOW, Fault::new("send", FaultEffect::Reset).after(second));
        let expected = Stroke {
            delay: second * 2,
            effect: Some(FaultEffect::Reset),
            answer_delay: Duration::ZERO,
        };
        assert_eq!(faults.strike(NOW, "send", None), expected);
        assert_eq!(faults.strike(NOW, "send", None), Stroke::default());
    }

    #[test]
    fn a_fault_of_an_account_lets_other_accounts_pass() {
        let mut faults = Faults::default();
        faults.add(NOW, Fault::new("*", FaultEffect::Reset).for_account("wxa"));
        for account in [None, Some("wxb")] {
            assert_eq!(faults.strike(NOW, "send", account), Stroke::default());
        }
        assert_ne!(faults.strike(NOW, "send", Some("wxa")), Stroke::default());
    }

    #[test]
    fn a_lasting_fault_ends_by_the_clock() {
        let mut faults = Faults::default();
        faults.add(NOW, Fault::new("*", FaultEffect::Reset).lasting(60));
        for _ in 0..5 {
            assert_ne!(faults.strike(NOW + 59, "send", None), Stroke::default());
        }
        assert_eq!(faults.remaining(NOW + 50)[0].lasts_secs, Some(10));
        assert_eq!(faults.strike(NOW + 60, "send", None), Stroke::default());
        assert_eq!(faults.remaining(NOW), []);
    }
}
