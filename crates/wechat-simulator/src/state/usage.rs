//! How many calls the component and each account have made today.

use std::collections::BTreeMap;

use super::quota::beijing_day;
use crate::endpoint::Endpoint;

/// The calls of one day, by the appid whose quota they use and by endpoint.
#[derive(Default)]
pub(crate) struct Usage {
    day: u64,
    calls: BTreeMap<(String, Endpoint), u64>,
}

impl Usage {
    pub(crate) fn count(&mut self, now: u64, appid: &str, endpoint: Endpoint) {
        let today = beijing_day(now);
        if self.day != today {
            self.day = today;
            self.calls.clear();
        }
        *self.calls.entry((appid.to_owned(), endpoint)).or_default() += 1;
    }

    /// The calls to the endpoint today.
    pub(crate) fn used(&self, now: u64, appid: &str, endpoint: Endpoint) -> u64 {
        if self.day != beijing_day(now) {
            return 0;
        }
        let calls = self.calls.get(&(appid.to_owned(), endpoint));
        calls.copied().unwrap_or_default()
    }

    /// Sets the calls of one appid to zero.
    pub(crate) fn clear(&mut self, appid: &str) {
        self.calls.retain(|(owner, _), _| owner != appid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_count_for_one_day_and_one_appid() {
        let (mut usage, now) = (Usage::default(), 1_700_000_000);
        usage.count(now, "wxa", Endpoint::CustomSend);
        usage.count(now, "wxa", Endpoint::CustomSend);
        usage.count(now, "wxb", Endpoint::CustomSend);
        assert_eq!(usage.used(now, "wxa", Endpoint::CustomSend), 2);
        assert_eq!(usage.used(now, "wxa", Endpoint::ClearQuota), 0);
        assert_eq!(usage.used(now + 86_400, "wxa", Endpoint::CustomSend), 0);
        usage.clear("wxa");
        assert_eq!(usage.used(now, "wxa", Endpoint::CustomSend), 0);
        assert_eq!(usage.used(now, "wxb", Endpoint::CustomSend), 1);
    }
}
