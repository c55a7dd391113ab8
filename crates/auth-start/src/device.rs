//! Where a browser runs, as far as it matters to WeChat's pages.

use http::{HeaderMap, header};

/// The kinds of browser that the start page tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Device {
    /// A PC: WeChat shows a code there that a phone scans.
    Pc,
    /// A phone's own browser. The mobile link works only in WeChat's.
    Phone,
    /// WeChat's own browser.
    Wechat,
}

impl Device {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let agent = headers
            .get(header::USER_AGENT)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let named = |names: &[&str]| names.iter().any(|name| agent.contains(name));
        if named(&["MicroMessenger"]) {
            Self::Wechat
        } else if named(&["Android", "HarmonyOS", "iPhone", "iPad", "Mobile"]) {
            Self::Phone
        } else {
            Self::Pc
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(agent: &str, device: Device) {
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, agent.parse().unwrap());
        assert_eq!(Device::of(&headers), device, "{agent}");
    }

    #[test]
    fn a_browser_says_where_it_runs() {
        assert_eq!(Device::of(&HeaderMap::new()), Device::Pc);
        check(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0.0.0 Safari/537.36",
            Device::Pc,
        );
        check(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Safari/605.1.15",
            Device::Pc,
        );
        check(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1",
            Device::Phone,
        );
        check(
            "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0.0.0 Mobile Safari/537.36",
            Device::Phone,
        );
        check(
            "Mozilla/5.0 (Linux; Android 14; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/116.0.0.0 Mobile Safari/537.36 MicroMessenger/8.0.44.2502(0x28002C57) WeChat/arm64",
            Device::Wechat,
        );
        check(
            "Mozilla/5.0 (Windows NT 10.0; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/107.0.0.0 Safari/537.36 MicroMessenger/7.0.20.1781(0x6700143B) WindowsWechat(0x63090719)",
            Device::Wechat,
        );
    }
}
