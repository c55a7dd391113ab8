//! What really happened, as opposed to what the functions know of it; and the rules that must
//! always hold.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use dynoxide::AttributeValue;
use serde_json::Value;

use super::Simulation;
use super::boundary::Invocation;
use super::bus::{Messages, Outbox};
use super::dynamodb::{number, text};
use super::triggers::Wish;

/// The owner of the component's own tokens.
pub(crate) const COMPONENT: &str = "component";

/// So many issues of each account are remembered.
const MEMORY: usize = 16;

/// A token lives two hours, and is renewed 30 to 40 minutes before it expires. Renewing it sooner
/// is needless.
const PERIOD_SECS: u64 = 75 * 60;

/// The functions cannot know of it: a call in flight, given up by its holder, took effect after a
/// later call was answered. A caller learns it from WeChat, and then asks for another token.
const OVERTAKEN: &str = "dead: a renewal that was given up was taken up after a later one";

/// A notice may get lost; the list tells of its change within a day.
const NEWS_SECS: u64 = 25 * 3600;

#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) broken: Vec<String>,
    pub(crate) counts: Counts,
    accounts: BTreeMap<String, Account>,
    serial: u64,
    /// Notices that are stored and not handled.
    pending: BTreeSet<String>,
    /// Accounts with a notice without its time, and until when it may be on its way.
    pub(super) undated: BTreeMap<String, u64>,
    /// Messages and events that the bus has not taken.
    pub(super) kept: BTreeSet<String>,
    pub(super) messages: Messages,
    pub(super) events: Outbox,
    /// Whether WeChat has refused the component's token since it issued it.
    suspect: bool,
    /// The accounts that have, or have had, a trouble of their own.
    pub(super) ailing: BTreeSet<String>,
}

/// How often each thing happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts(pub(crate) BTreeMap<&'static str, u64>);

/// One account, or the component itself.
#[derive(Default)]
struct Account {
    issues: Vec<Issue>,
    /// The authorizations and revocations at WeChat.
    changes: Vec<Change>,
    /// The refresh tokens in its row.
    refresh_tokens: BTreeSet<String>,
    /// When it is due for the refresher.
    due_at: Option<u64>,
    /// Whether its row marks the access token as doubtful, as last written and as written before
    /// that. It does so by a lease that was not released, by the doubt of a lost answer, or by a
    /// lease later than the token. A row without a token is also in doubt.
    in_doubt: [bool; 2],
}

/// An access token that WeChat gave.
pub(crate) struct Issue {
    whose: String,
    token: String,
    at: u64,
    by: Arc<Invocation>,
    renewal: bool,
    serial: u64,
    /// How many changes there had been before.
    authorization: usize,
    /// What the caller of WeChat saw of the answer.
    seen: Seen,
    /// Whether it was ever stored in the row, and since when it no longer is.
    kept: bool,
    left: Option<u64>,
}

/// What the caller of WeChat saw of its answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Nothing,
    /// Nothing: the caller had given up before the call took effect.
    Overdue,
    /// The answer arrived.
    Received,
}

struct Change {
    at: u64,
    notice: String,
    settled: Option<u64>,
}

impl Counts {
    pub(crate) fn add(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (what, times) in &other.0 {
            *self.0.entry(what).or_default() += times;
        }
    }
}

impl Issue {
    pub(crate) fn new(
        whose: String,
        token: String,
        endpoint: &str,
        at: u64,
        by: Arc<Invocation>,
    ) -> Self {
        Self {
            whose,
            token,
            at,
            by,
            renewal: endpoint != "api_query_auth",
            serial: 0,
            authorization: 0,
            seen: Seen::Nothing,
            kept: false,
            left: None,
        }
    }
}

impl Account {
    /// Why an issue so soon after the one before is not needless.
    fn why_again(&self, issue: &Issue) -> Option<&'static str> {
        let before = self.issues.last().filter(|before| {
            before.authorization == issue.authorization && issue.at < before.at + PERIOD_SECS
        });
        let Some(before) = before.filter(|_| issue.renewal) else {
            return Some("renewed in time");
        };
        if before.seen != Seen::Received {
            Some("renewed again: the answer before was lost")
        } else if issue.by.wants_another() {
            Some("renewed again: asked for")
        } else if self.in_doubt[1] {
            Some("renewed again: its row was in doubt")
        } else if !before.kept {
            Some("renewed again: the answer before could not be kept")
        } else {
            None
        }
    }

    /// Why a getter that began at `since` may serve a token that WeChat does not accept.
    fn why_dead(&self, token: &str, since: u64, faultless: bool) -> Option<&'static str> {
        let index = self.issues.iter().position(|issue| issue.token == token)?;
        let issue = &self.issues[index];
        if let Some(change) = self.changes.get(issue.authorization) {
            let told = change.settled.is_some_and(|settled| settled < since);
            let gone = issue.left.is_some_and(|left| left < since);
            return (!told && !gone)
                .then_some("dead: its authorization is over and no notice of it is handled");
        }
        let next = self.issues.get(index + 1)?;
        match next.seen {
            Seen::Overdue => Some(OVERTAKEN),
            // A doubtful token is renewed first: it is served only if that renewal fails.
            _ if faultless => None,
            Seen::Nothing => Some("dead: it was renewed unseen, and cannot be renewed now"),
            Seen::Received if !next.kept && !next.by.is_faultless() => {
                Some("dead: the answer before could not be kept, and it cannot be renewed now")
            }
            Seen::Received => None,
        }
    }
}

impl Simulation {
    fn with_account<T>(&self, whose: &str, then: impl FnOnce(&mut Account) -> T) -> T {
        let mut ledger = self.ledger();
        if !ledger.accounts.contains_key(whose) {
            ledger.accounts.insert(whose.to_owned(), Account::default());
        }
        then(ledger.accounts.get_mut(whose).unwrap())
    }

    pub(crate) fn count(&self, what: &'static str) {
        self.ledger().counts.add(what);
    }

    /// WeChat issued an access token.
    pub(super) fn issued(&self, mut issue: Issue) -> (String, u64) {
        let whose = issue.whose.clone();
        let serial = {
            let mut ledger = self.ledger();
            ledger.serial += 1;
            ledger.serial
        };
        issue.serial = serial;
        let (by, at) = (issue.by.id, issue.at);
        let suspected = whose == COMPONENT && std::mem::take(&mut self.ledger().suspect);
        let why = self.with_account(&whose, |account| {
            issue.authorization = account.changes.len();
            let suspected = suspected.then_some("renewed again: WeChat refused it for an account");
            let why = account.why_again(&issue).or(suspected);
            if account.issues.len() == MEMORY {
                account.issues.remove(0);
            }
            account.issues.push(issue);
            why
        });
        match why {
            Some(why) => self.count(why),
            None => self.broken(format_args!("#{by} renews {whose} needlessly at {at}")),
        }
        (whose, serial)
    }

    /// WeChat has refused the component's token, if only for one account.
    pub(super) fn suspect_component_token(&self) {
        self.ledger().suspect = true;
    }

    /// The caller had given up before the call took effect.
    pub(super) fn overdue(&self, issue: &(String, u64)) {
        self.with_issue(issue, |issue| issue.seen = Seen::Overdue);
    }

    /// The answer has arrived at the caller.
    pub(super) fn received(&self, issue: &(String, u64)) {
        self.with_issue(issue, |issue| issue.seen = Seen::Received);
    }

    fn with_issue(&self, (whose, serial): &(String, u64), then: impl FnOnce(&mut Issue)) {
        self.with_account(whose, |account| {
            let mut issues = account.issues.iter_mut().rev();
            if let Some(issue) = issues.find(|issue| issue.serial == *serial) {
                then(issue);
            }
        });
    }

    /// The merchant authorized or revoked; this is the notice of it.
    pub(super) fn changed(&self, appid: &str, notice: &str) {
        let at = self.now();
        let notice = component_core::digest::sha256_hex(notice.as_bytes());
        self.with_account(appid, |account| {
            account.changes.push(Change {
                at,
                notice,
                settled: None,
            });
        });
    }

    pub(super) fn notice_stored(&self, sha256: &str) {
        self.note(format_args!("a notice is stored"));
        self.ledger().pending.insert(sha256.to_owned());
    }

    pub(super) fn message_kept(&self, id: &str) {
        self.ledger().kept.insert(id.to_owned());
    }

    pub(super) fn message_finished(&self, id: &str) {
        self.ledger().kept.remove(id);
    }

    pub(super) fn notice_settled(&self, sha256: &str, outcome: &str) {
        let seq = self.note(format_args!("a notice is settled: {outcome}"));
        let mut ledger = self.ledger();
        ledger.pending.remove(sha256);
        let changes = ledger
            .accounts
            .values_mut()
            .flat_map(|account| &mut account.changes);
        for change in changes.filter(|change| change.notice == sha256) {
            change.settled.get_or_insert(seq);
        }
    }

    /// Whether the notice of the last authorization or revocation was never handled.
    fn was_last_change_missed(&self, appid: &str) -> bool {
        self.with_account(appid, |account| {
            let last = account.changes.last();
            last.is_some_and(|last| last.settled.is_none())
        })
    }

    /// Whether the notice of the last change is not handled, and no list was compared since.
    pub(crate) fn is_news(&self, appid: &str) -> bool {
        let now = self.now();
        self.with_account(appid, |account| {
            let last = account.changes.last();
            last.is_some_and(|last| last.settled.is_none() && now < last.at + NEWS_SECS)
        })
    }

    /// Whether the last change was so long ago, and its notice is handled.
    pub(super) fn is_known(&self, appid: &str, secs: u64) -> bool {
        let now = self.now();
        self.with_account(appid, |account| {
            let last = account.changes.last();
            last.is_some_and(|last| last.settled.is_some() && last.at + secs <= now)
        })
    }

    /// A row was written with this access token.
    fn access_token_kept(&self, whose: &str, token: &str, seq: u64) {
        self.with_account(whose, |account| {
            for issue in &mut account.issues {
                if issue.token == token {
                    issue.kept = true;
                } else if issue.kept {
                    issue.left.get_or_insert(seq);
                }
            }
        });
    }

    pub(super) fn component_row_written(&self, item: &HashMap<String, AttributeValue>) {
        let seq = self.note(format_args!("the component's row"));
        self.access_token_kept(COMPONENT, text(item, "access_token"), seq);
        let due_at = number(item, "expires_at").saturating_sub(15 * 60);
        self.with_account(COMPONENT, |account| {
            account.due_at = Some(due_at);
            account.in_doubt = [is_in_doubt(item), account.in_doubt[0]];
        });
    }

    /// Whether a run of the refresher would find work.
    pub(super) fn anything_due(&self) -> bool {
        let now = self.now();
        let ledger = self.ledger();
        let mut due = ledger
            .accounts
            .values()
            .filter_map(|account| account.due_at);
        !ledger.pending.is_empty() || !ledger.kept.is_empty() || due.any(|due_at| due_at <= now)
    }

    pub(super) fn row_written(&self, appid: &str, item: &HashMap<String, AttributeValue>) {
        let status = text(item, "status");
        let seq = self.note(format_args!(
            "row {appid} {status} epoch {} token {} lease {} until {} due {}",
            number(item, "auth_epoch"),
            number(item, "token_seq"),
            number(item, "lease_seq"),
            number(item, "lease_until"),
            number(item, "due_at"),
        ));
        self.access_token_kept(appid, text(item, "access_token"), seq);
        let refresh_tokens = refresh_tokens(item);
        let due_at = item.contains_key("due_at").then(|| number(item, "due_at"));
        let before = self.with_account(appid, |account| {
            account.due_at = due_at;
            account.in_doubt = [is_in_doubt(item), account.in_doubt[0]];
            std::mem::replace(&mut account.refresh_tokens, refresh_tokens.clone())
        });
        if let Some(live) = self
            .wechat()
            .authorizer(appid)
            .and_then(|view| view.refresh_token)
            && before.contains(&live)
            && !refresh_tokens.contains(&live)
        {
            self.broken(format_args!(
                "the live refresh token of {appid} is thrown away"
            ));
        }
        let has = |name| item.contains_key(name);
        let consistent = match status {
            "authorized" => {
                has("refresh_token") && has("due_at") && has("due_shard") && !has("ttl")
            }
            "revoked" => has("ttl") && !has("due_at") && !has("access_token"),
            "reauthorization_required" => !has("due_at") && !has("ttl"),
            _ => false,
        };
        if !consistent {
            self.broken(format_args!("the row of {appid} is inconsistent"));
        }
    }

    /// Judges a token that the getter served in a run that began at `since`.
    pub(super) fn judge(&self, whose: &str, answer: &Value, since: u64, faultless: bool) {
        self.count("tokens served");
        let token = answer["access_token"].as_str().unwrap();
        let wechat = self.wechat();
        let works = if whose == COMPONENT {
            wechat.component_token_works(token)
        } else {
            wechat.token_works(token)
        };
        if works {
            return;
        }
        match self.with_account(whose, |account| account.why_dead(token, since, faultless)) {
            Some(why) => {
                self.count(why);
                self.note(format_args!("{why}: {whose}"));
            }
            None => self.broken(format_args!("a dead token of {whose} is answered")),
        }
    }

    /// What must hold for an account once all faults have ended. WeChat's refresh token is in the
    /// row, and the getter serves a token that WeChat accepts. Or the account is not authorized,
    /// and the getter serves none.
    pub(crate) async fn check_settled(&self, appid: &str) {
        let view = self.wechat().authorizer(appid).unwrap();
        let mut answer = self.ask(appid, Wish::Any).await;
        if let Ok(dead) = &answer
            && let token = dead["access_token"].as_str().unwrap().to_owned()
            && !self.wechat().token_works(&token)
            && self.with_account(appid, |account| account.why_dead(&token, u64::MAX, true))
                == Some(OVERTAKEN)
        {
            self.count("settled: once refused by WeChat");
            answer = self.ask(appid, Wish::Another(token)).await;
        }
        let row = self.row(&format!("authorizer#{appid}")).unwrap_or_default();
        let status = text(&row, "status").to_owned();
        let answer = answer.as_ref().map(|answer| {
            let token = answer["access_token"].as_str().unwrap();
            if self.wechat().token_works(token) {
                "works"
            } else {
                "is dead"
            }
        });
        let answer = answer.map_err(|code| *code);
        match (&view.refresh_token, view.authorized) {
            (Some(live), _) => {
                if !refresh_tokens(&row).contains(live) {
                    self.broken(format_args!("the live refresh token of {appid} is lost"));
                }
                if status != "authorized" || answer != Ok("works") {
                    self.broken(format_args!("{appid} is authorized at WeChat and {status} in the table, and its token {answer:?}"));
                }
                self.count("settled: authorized");
            }
            // WeChat never issued a refresh token, and its notice never arrived: the row is of the
            // authorization before. WeChat was asked, and did not tell: it is asked again in an hour.
            (None, true)
                if status == "authorized"
                    && row.contains_key("contradicted_since")
                    && self.was_last_change_missed(appid) =>
            {
                self.count("settled: never exchanged unheard, and WeChat has not told");
            }
            // WeChat never issued a refresh token: the code was never exchanged.
            (None, true) => {
                if status != "reauthorization_required" || answer != Err("reauthorization_required")
                {
                    self.broken(format_args!("{appid} was never exchanged and is {status} in the table, and its token {answer:?}"));
                }
                self.count("settled: never exchanged");
            }
            // Its revocation never arrived either, and the list does not tell of such an account.
            // The merchant must authorize again in both cases.
            (None, false)
                if status == "reauthorization_required"
                    && answer == Err("reauthorization_required")
                    && self.was_last_change_missed(appid) =>
            {
                self.count("settled: never exchanged, and withdrawn unheard");
            }
            (None, false) => {
                let right = matches!(answer, Err("authorization_revoked" | "unknown_authorizer"));
                if !matches!(status.as_str(), "revoked" | "") || !right {
                    self.broken(format_args!("{appid} is not authorized at WeChat and {status} in the table, and its token {answer:?}"));
                }
                self.count("settled: not authorized");
            }
        }
    }
}

fn is_in_doubt(item: &HashMap<String, AttributeValue>) -> bool {
    number(item, "lease_until") > 0
        || item.contains_key("doubted_from")
        || number(item, "token_seq") < number(item, "lease_seq")
        || !item.contains_key("access_token")
}

fn refresh_tokens(item: &HashMap<String, AttributeValue>) -> BTreeSet<String> {
    let history = match item.get("refresh_history") {
        Some(AttributeValue::L(history)) => history.as_slice(),
        _ => &[],
    };
    let history = history.iter().filter_map(|value| match value {
        AttributeValue::S(token) => Some(token.clone()),
        _ => None,
    });
    let current = text(item, "refresh_token").to_owned();
    history
        .chain((!current.is_empty()).then_some(current))
        .collect()
}
