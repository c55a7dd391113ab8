//! What merchants do, and how the functions learn of it.

use std::time::Duration;

use url::Url;
use wechat_simulator::UnpushedConsent;

use super::Simulation;
use super::sandbox::Function;
use crate::world::browser::{Browser, location, parameter};

/// A push is at most ten minutes late, and then tried again.
const UNDATED_SECS: u64 = 15 * 60;

impl Simulation {
    /// The merchant authorizes by the link: clicks, confirms, and comes back or closes the window.
    pub(crate) async fn authorize_by_link(&self, appid: &str) {
        let mut browser = Browser::default();
        let request = browser.request("POST", "/auth/start");
        let clicked = self.invoke(Function::AuthStart, move |functions, deadline| async move {
            functions.auth_start.handle(request, deadline).await
        });
        let Some(clicked) = clicked.await.answer else {
            return;
        };
        if clicked.status() != http::StatusCode::SEE_OTHER {
            return self.count("a click that failed");
        }
        browser.remember(&clicked);
        let page = location(&clicked);
        self.sleep(
            self.chance()
                .between(Duration::from_secs(5), Duration::from_mins(2)),
        )
        .await;
        if self.waits_for_undated(appid) {
            return;
        }
        let code = parameter(&page, "pre_auth_code");
        let Ok(UnpushedConsent {
            auth_code,
            expires_in,
            notice,
        }) = self.wechat().consent_unpushed(&code, appid)
        else {
            return self.count("a page that WeChat refuses");
        };
        self.confirmed(appid, &notice);
        let mut back = Url::parse(&parameter(&page, "redirect_uri")).unwrap();
        back.query_pairs_mut()
            .append_pair("auth_code", &auth_code)
            .append_pair("expires_in", &expires_in.to_string());
        let faults = self.weather().faults;
        if self.chance().happens(faults) {
            return;
        }
        let times = if self.chance().happens(faults) { 2 } else { 1 };
        for _time in 0..times {
            self.sleep(
                self.chance()
                    .between(Duration::ZERO, Duration::from_secs(3)),
            )
            .await;
            let request = browser.request("GET", back.as_str());
            self.invoke(
                Function::AuthCallback,
                move |functions, deadline| async move {
                    functions.auth_callback.handle(request, deadline).await
                },
            )
            .await;
        }
    }

    /// The merchant authorizes at WeChat, which takes more than a second. So no two authorizations
    /// share a second.
    pub(crate) async fn authorize(&self, appid: &str) {
        self.sleep(Duration::from_secs(1)).await;
        if self.waits_for_undated(appid) {
            return;
        }
        let consent = self.wechat().authorize_unpushed(appid).unwrap();
        self.confirmed(appid, &consent.notice);
    }

    /// The merchant withdraws the authorization, if there is one.
    pub(crate) fn revoke(&self, appid: &str) {
        if self.waits_for_undated(appid) {
            return;
        }
        if let Ok(notice) = self.wechat().revoke_unpushed(appid) {
            let notice = self.dated_of(appid, &notice);
            self.note(format_args!("{appid} revokes"));
            self.changed(appid, &notice);
            self.push_soon(notice);
        }
    }

    fn confirmed(&self, appid: &str, notice: &str) {
        let notice = self.dated_of(appid, notice);
        self.note(format_args!("{appid} authorizes"));
        self.changed(appid, &notice);
        self.push_soon(notice);
    }

    /// The notice as WeChat sends it, or without its time.
    fn dated_of(&self, appid: &str, notice: &str) -> String {
        let dated = self.dated(notice.to_owned());
        if dated != notice {
            let until = self.now() + UNDATED_SECS;
            self.ledger().undated.insert(appid.to_owned(), until);
        }
        dated
    }

    /// Whether a notice without its time may be on its way. It is taken at its arrival, so the order
    /// of two changes is lost if the merchant makes the second one before that: no promise holds
    /// then, and the merchant waits.
    fn waits_for_undated(&self, appid: &str) -> bool {
        let undated = self.ledger().undated.get(appid).copied();
        undated.is_some_and(|until| self.now() < until)
    }
}
