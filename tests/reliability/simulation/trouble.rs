//! What befalls one account and must harm no other: WeChat refuses it, answers oddly about it, or
//! misdates its notices.

use std::time::Duration;

use serde_json::json;
use wechat_simulator::{AnswerPatch, Fault, FaultEffect};

use super::Simulation;
use super::dynamodb::{number, text};

/// What WeChat says of one account for a while. A denial by two endpoints is not among it: that is
/// what a withdrawal looks like.
const REFUSALS: [(&str, i64); 14] = [
    ("api_authorizer_token", 61023),
    ("api_authorizer_token", 61023),
    ("api_authorizer_token", 40001),
    ("api_authorizer_token", 40013),
    ("api_authorizer_token", 41002),
    ("api_authorizer_token", 45009),
    ("api_authorizer_token", 48001),
    ("api_authorizer_token", 50002),
    ("api_authorizer_token", 61003),
    ("api_authorizer_token", 61007),
    ("api_query_auth", 40013),
    ("api_query_auth", 50002),
    ("api_get_authorizer_info", 48001),
    ("api_get_authorizer_info", 50002),
];

/// A token lives two hours and is due 30 to 40 minutes before its end. The refresher comes every
/// five.
const RENEWED_BEFORE_SECS: u64 = 20 * 60;

/// A change that WeChat has told is in the row by then.
const SETTLED_AFTER_SECS: u64 = 6 * 60;

impl Simulation {
    /// WeChat refuses an account, or answers oddly about it, again and again until `until`.
    pub(crate) async fn ail(self, appid: String, until: Duration) {
        self.ledger().ailing.insert(appid.clone());
        loop {
            let pause = self.chance().between(Duration::ZERO, until / 3);
            self.sleep(pause).await;
            if self.elapsed() > until {
                return;
            }
            let most =
                *self
                    .chance()
                    .pick(&[Duration::from_mins(2), Duration::from_mins(30), until]);
            let secs = self.chance().between(Duration::ZERO, most).as_secs();
            let trouble = if self.chance().happens(0.6) {
                let (endpoint, errcode) = *self.chance().pick(&REFUSALS);
                self.note(format_args!("{endpoint} {errcode} for {appid}, {secs} s"));
                Fault::new(endpoint, FaultEffect::Errcode(errcode))
            } else {
                let (endpoint, patch) = self.odd();
                self.note(format_args!("{endpoint} is odd for {appid}, {secs} s"));
                Fault::patch(endpoint, patch)
            };
            self.wechat()
                .fault(trouble.for_account(&appid).lasting(secs));
        }
    }

    /// An answer whose fields are odd, except for those that nothing can do without.
    fn odd(&self) -> (&'static str, AnswerPatch) {
        const LONE_SURROGATE: &str = r#""\ud83d""#;
        let patch = AnswerPatch::new();
        let odd = self
            .chance()
            .pick(&[
                json!(null),
                json!({}),
                json!("x"),
                json!([{}, null]),
                json!(-1),
            ])
            .clone();
        match self.chance().below(6) {
            0 => (
                "api_query_auth",
                patch.set("/authorization_info/func_info", odd),
            ),
            1 => (
                "api_query_auth",
                patch.remove("/authorization_info/expires_in"),
            ),
            2 => (
                "api_authorizer_token",
                patch.set("/expires_in", json!("7200")),
            ),
            3 => (
                "api_get_authorizer_info",
                patch.raw("/authorizer_info/nick_name", LONE_SURROGATE),
            ),
            4 => (
                "api_get_authorizer_info",
                patch.set("/authorization_info", odd),
            ),
            _ => (
                "api_get_authorizer_info",
                patch.raw("", "{\"authorizer_info\":"),
            ),
        }
    }

    /// A push as WeChat sends it, or with a time that has not come.
    pub(super) fn dated(&self, xml: String) -> String {
        let misdated = self.weather().misdated;
        if !self.chance().happens(misdated) {
            return xml;
        }
        let now = self.now();
        let ahead = *self.chance().pick(&[now * 1000, now + 365 * 24 * 3600]);
        let (begin, end) = ("<CreateTime>", "</CreateTime>");
        let (before, rest) = xml.split_once(begin).unwrap();
        let (_, after) = rest.split_once(end).unwrap();
        self.note(format_args!("a push is misdated"));
        format!("{before}{begin}{ahead}{end}{after}")
    }

    /// What must hold without faults for an account that is well, whatever befalls the others: its
    /// token works, and was renewed in time.
    pub(crate) fn check_well(&self, appid: &str) {
        let authorized = self.wechat().authorizer(appid).unwrap().authorized;
        let ailing = self.ledger().ailing.contains(appid);
        if ailing || !authorized || !self.is_known(appid, SETTLED_AFTER_SECS) {
            return;
        }
        let row = self.row(&format!("authorizer#{appid}")).unwrap_or_default();
        let left = number(&row, "expires_at").saturating_sub(self.now());
        if left < RENEWED_BEFORE_SECS || !self.wechat().token_works(text(&row, "access_token")) {
            self.broken(format_args!(
                "{appid} is well, and its token is not renewed in time: {left} s are left"
            ));
        } else {
            self.count("well, and renewed in time");
        }
    }
}
