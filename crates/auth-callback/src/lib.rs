//! WeChat's redirect -> state -> exchange the code -> result page, or the vendor's own page.

use std::time::Duration;

use component_api::code::Code;
use component_core::component::Component;
use component_core::component::exchange::{Bringer, Exchanged};
use component_core::error::Error;
use component_core::query::each_agreed;
use component_core::row::authorizer::Authorizer;
use component_core::store::{Start, StartCheck, State};
use component_core::time::Deadline;
use component_core::token::{AuthorizationCode, Secret};
use http::{HeaderValue, Request, Response, header};
use merchant_pages::brand::Brand;
use merchant_pages::cookie::BrowserCookie;
use merchant_pages::page::{Setting, see_other};
use url::form_urlencoded;

mod outcome;
mod page;

use outcome::{Ending, Outcome};

/// Takes merchants back from WeChat's page.
pub struct AuthCallback {
    /// The table and WeChat.
    pub component: Component,
    /// Whose pages they are.
    pub brand: Brand,
}

/// What the redirect's query says.
struct Return {
    state: State,
    /// Missing if the merchant did not confirm.
    code: Option<Secret<AuthorizationCode>>,
    /// How often the page has looked again by itself.
    look: usize,
}

/// A page that waits for WeChat's notice looks again by itself, after so many seconds each time.
const LOOKS_AFTER_SECS: [u64; 5] = [5, 5, 10, 20, 40];

/// For the account's name. The merchant waits, and the page does without a name.
const NAME_TIME: Duration = Duration::from_secs(2);

impl AuthCallback {
    /// Answers a browser that WeChat sent back.
    pub async fn handle(&self, request: Request<Vec<u8>>, deadline: Deadline) -> Response<String> {
        let query = request.uri().query().unwrap_or_default();
        let back = Return::parse(query);
        let ending = Box::pin(self.ending(&request, back.as_ref(), deadline));
        let Ending { outcome, start } = ending.await;
        // A page that looks again tells the log no more than the first did.
        if back.as_ref().is_none_or(|back| back.look == 0) {
            outcome.log(start.as_ref());
        }
        if let Some(start) = &start
            && let Some(address) = outcome.way_on(start)
        {
            return see_other(address.as_str());
        }
        let again = back
            .filter(|_| outcome.waits())
            .and_then(|back| back.again());
        let query = start.map(|start| start.query);
        // No switch: a page holds no code, and its own address has one.
        let setting = Setting::new(
            &self.brand,
            request.headers(),
            query.as_deref().unwrap_or_default(),
        );
        let mut page = page::result(&setting, &outcome, query.as_deref(), again.is_some());
        if let Some(again) = again {
            page.headers_mut().insert(header::REFRESH, again);
        }
        page
    }

    async fn ending(
        &self,
        request: &Request<Vec<u8>>,
        back: Option<&Return>,
        deadline: Deadline,
    ) -> Ending {
        let Some(back) = back else {
            return Outcome::Malformed.into();
        };
        let Some(browser) = BrowserCookie::of(request.headers()) else {
            return self.elsewhere(back).await.into();
        };
        let (store, now) = (&self.component.store, self.component.clock.now());
        let (state, browser) = (&back.state, browser.sha256());
        let check = match &back.code {
            Some(code) => store.take_start(state, &browser, &code.sha256(), now).await,
            None => store.start(state, &browser, now).await,
        };
        match check {
            Ok(StartCheck::Good(start)) => {
                let outcome = match &back.code {
                    Some(code) => self.exchange(state, code, &start, deadline).await,
                    None => Outcome::Denied,
                };
                Ending::new(outcome, start)
            }
            Ok(StartCheck::Used { start, code: used }) => {
                let outcome = match &back.code {
                    Some(code) if code.sha256() == used => {
                        self.look_again(code, back.look, deadline).await
                    }
                    _ => Outcome::Used,
                };
                Ending::new(outcome, start)
            }
            Ok(StartCheck::Expired(start)) => Ending::new(Outcome::Expired, start),
            Ok(StartCheck::Unknown) => Outcome::Expired.into(),
            Ok(StartCheck::Foreign) => self.elsewhere(back).await.into(),
            Err(error) => Outcome::Failed(error).into(),
        }
    }

    async fn exchange(
        &self,
        state: &State,
        code: &Secret<AuthorizationCode>,
        start: &Start,
        deadline: Deadline,
    ) -> Outcome {
        let bringer = Bringer::Redirect {
            since: start.started_at,
            reference: start.reference.as_deref(),
        };
        match self.component.exchange(code, bringer, deadline).await {
            Ok(Exchanged::Stored(row)) => {
                Outcome::connected(self.with_name(*row, deadline).await, start)
            }
            // A notice may have led to an exchange of this code, or may do so soon.
            Ok(Exchanged::Superseded(_) | Exchanged::Denied(_)) | Err(Error::CodeSpent) => {
                match self.look_again(code, 0, deadline).await {
                    Outcome::AlreadyConnected(row) => Outcome::connected(row, start),
                    other => other,
                }
            }
            Err(error) => {
                // The code is still good, so the page may be loaded again.
                if let Err(error) = self.component.store.give_back_start(state).await {
                    error.log("giving an authorization attempt back");
                }
                Outcome::Failed(error)
            }
        }
    }

    /// The result for a code that this page, or another caller, has tried to exchange.
    ///
    /// The first look waits for another caller. A page that looks again by itself holds up no one.
    async fn look_again(
        &self,
        code: &Secret<AuthorizationCode>,
        look: usize,
        deadline: Deadline,
    ) -> Outcome {
        let connected = if look == 0 {
            self.component.await_exchange(code, deadline).await
        } else {
            self.component.connected_by(code).await
        };
        match connected {
            Ok(Some(row)) => Outcome::AlreadyConnected(self.with_name(row, deadline).await),
            Ok(None) => Outcome::Unconfirmed,
            Err(error) => Outcome::Failed(error),
        }
    }

    /// What is told to a browser that did not start: a merchant has confirmed in WeChat what was
    /// started elsewhere, and a browser that holds the code may know its end. Nothing is
    /// exchanged, bound or followed: WeChat's notice connects the account.
    async fn elsewhere(&self, back: &Return) -> Outcome {
        let Some(code) = &back.code else {
            return Outcome::OtherBrowser;
        };
        match self.component.connected_by(code).await {
            Ok(Some(row)) => Outcome::ConnectedElsewhere(row),
            Ok(None) => Outcome::ConfirmedElsewhere,
            Err(error) => Outcome::Failed(error),
        }
    }

    /// The row with the account's name, by which the merchant knows it.
    async fn with_name(&self, row: Authorizer, deadline: Deadline) -> Authorizer {
        if row.name.is_some() {
            return row;
        }
        let deadline = deadline.or_after(NAME_TIME);
        match self.component.describe(&row.appid, deadline).await {
            Ok(named) => named,
            Err(error) => {
                tracing::warn!(authorizer_appid = %row.appid, "no name for this authorizer: {error}");
                let limited = error.code() == Code::AccountLimited;
                Authorizer {
                    // For the page: the next renewal notes it on the row.
                    limited_at: row
                        .limited_at
                        .or(limited.then(|| self.component.clock.now())),
                    ..row
                }
            }
        }
    }
}

impl Return {
    /// Vendors have seen WeChat write its parameters twice, with equal values.
    fn parse(query: &str) -> Option<Self> {
        let pairs = form_urlencoded::parse(query.as_bytes());
        let names = ["state", "auth_code", "expires_in", "look"];
        let [state, code, _, look] = each_agreed(pairs, names)?;
        let look = look.and_then(|look| look.parse().ok());
        let code = match code.as_deref() {
            None | Some("") => None,
            Some(code) => Some(Secret::parse(code)?),
        };
        let state = State::parse(&state?)?;
        Some(Self {
            state,
            code,
            look: look.unwrap_or_default(),
        })
    }

    /// When this page looks again, and where; `None` once it has looked often enough. The address is
    /// told in a header: a page holds no code.
    fn again(&self) -> Option<HeaderValue> {
        let secs = LOOKS_AFTER_SECS.get(self.look)?;
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("state", self.state.as_str());
        query.append_pair("auth_code", self.code.as_ref()?.expose());
        query.append_pair("look", &(self.look + 1).to_string());
        HeaderValue::from_str(&format!("{secs}; url=?{}", query.finish())).ok()
    }
}
