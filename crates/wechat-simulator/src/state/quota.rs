//! The daily quota of `api_component_token` and the monthly quota of clearing it.

use crate::errcode::Refusal;

/// WeChat counts days and months in Beijing time.
const BEIJING_OFFSET_SECS: u64 = 8 * 3600;
const DAY_SECS: u64 = 86_400;
/// How many times a month quotas can be cleared.
const CLEARS_PER_MONTH: u32 = 10;

/// The calls used today and the clearings used this month.
#[derive(Default)]
pub(crate) struct Quota {
    day: u64,
    used: u64,
    month: u64,
    clears: u32,
}

impl Quota {
    /// Counts one call. If `daily` calls are used already, it is refused with 45009.
    pub(crate) fn spend(&mut self, now: u64, daily: u64) -> Result<(), Refusal> {
        let today = beijing_day(now);
        if self.day != today {
            self.day = today;
            self.used = 0;
        }
        if self.used >= daily {
            return Err(Refusal::DAILY_QUOTA);
        }
        self.used += 1;
        Ok(())
    }

    /// The calls that are used today.
    pub(crate) fn used(&self, now: u64) -> u64 {
        if self.day == beijing_day(now) {
            self.used
        } else {
            0
        }
    }

    /// Sets the day's used calls to zero. The eleventh time in a month it is refused with 48006.
    pub(crate) fn clear(&mut self, now: u64) -> Result<(), Refusal> {
        let month = month_number(beijing_day(now));
        if self.month != month {
            self.month = month;
            self.clears = 0;
        }
        if self.clears >= CLEARS_PER_MONTH {
            return Err(Refusal::CLEAR_QUOTA_USED_UP);
        }
        self.clears += 1;
        self.used = 0;
        Ok(())
    }
}

/// Numbers the days of Beijing.
pub(super) fn beijing_day(now: u64) -> u64 {
    (now + BEIJING_OFFSET_SECS) / DAY_SECS
}

/// Numbers the months of the Gregorian calendar, given days since 1970-01-01.
///
/// Source: <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>
fn month_number(day: u64) -> u64 {
    let since_march = day + 719_468;
    let (era, day_of_era) = (since_march / 146_097, since_march % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    (era * 400 + year_of_era) * 12 + (5 * day_of_year + 2) / 153
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2023-11-15 06:13:20 in Beijing.
    const NOW: u64 = 1_700_000_000;

    #[test]
    fn the_quota_comes_back_at_midnight_in_beijing() {
        let mut quota = Quota::default();
        assert_eq!(quota.spend(NOW, 1), Ok(()));
        assert_eq!(quota.spend(NOW, 1), Err(Refusal::DAILY_QUOTA));
        let midnight = 1_700_064_000;
        assert_eq!(quota.spend(midnight - 1, 1), Err(Refusal::DAILY_QUOTA));
        assert_eq!(quota.spend(midnight, 1), Ok(()));
    }

    #[test]
    fn clearing_works_ten_times_in_a_month() {
        let mut quota = Quota::default();
        for _ in 0..10 {
            assert_eq!(quota.clear(NOW), Ok(()));
        }
        assert_eq!(quota.clear(NOW), Err(Refusal::CLEAR_QUOTA_USED_UP));
        let december = 1_701_360_000;
        assert_eq!(quota.clear(december - 1), Err(Refusal::CLEAR_QUOTA_USED_UP));
        assert_eq!(quota.clear(december), Ok(()));
    }
}
