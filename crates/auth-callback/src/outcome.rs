//! How an attempt ended, and what the vendor and the log are told of it.

use component_core::error::Error;
use component_core::row::authorizer::{Authorizer, Standing};
use component_core::store::Start;
use url::Url;

/// How an attempt ended.
pub(crate) enum Outcome {
    /// The code that this browser brought is exchanged.
    Connected(Authorizer),
    /// The same, of an account that was connected before by a link with another reference.
    ConnectedBefore(Authorizer),
    /// The code was exchanged before: the merchant has loaded the page again.
    AlreadyConnected(Authorizer),
    /// The merchant came back without a code.
    Denied,
    /// The merchant came back after the attempt had expired.
    Expired,
    /// The code is spent, or its authorization has ended. No notice has told more yet.
    Unconfirmed,
    /// The state was used before, with another code.
    Used,
    /// The browser is not the one that started, and brings no code.
    OtherBrowser,
    /// The same with a code, whose account is not connected yet: WeChat's notice connects it.
    ConfirmedElsewhere,
    /// The same, and it is connected.
    ConnectedElsewhere(Authorizer),
    /// The redirect is not one of WeChat's.
    Malformed,
    /// A step has failed; a retry may succeed.
    Failed(Error),
}

/// An outcome, with the attempt it belongs to if this browser started it.
pub(crate) struct Ending {
    pub(crate) outcome: Outcome,
    pub(crate) start: Option<Start>,
}

impl Outcome {
    /// The code of this attempt is exchanged: `row` is what the account's row is now.
    pub(crate) fn connected(row: Authorizer, start: &Start) -> Self {
        let names = row.reference.as_ref().zip(start.reference.as_ref());
        let before = names.is_some_and(|(known, of_link)| {
            // The reference of a newer authorization stays, or this attempt's has replaced another.
            known.name != *of_link || known.replaced_at.is_some_and(|at| at >= start.started_at)
        });
        if before {
            Self::ConnectedBefore(row)
        } else {
            Self::Connected(row)
        }
    }

    /// What the vendor is told.
    const fn result(&self) -> &'static str {
        match self {
            Self::Connected(row)
            | Self::ConnectedBefore(row)
            | Self::AlreadyConnected(row)
            | Self::ConnectedElsewhere(row) => match row.standing {
                Standing::ReauthorizationRequired => "reauthorization_required",
                Standing::Authorized | Standing::Revoked => "connected",
            },
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Unconfirmed => "unconfirmed",
            Self::Used
            | Self::OtherBrowser
            | Self::ConfirmedElsewhere
            | Self::Malformed
            | Self::Failed(_) => "error",
        }
    }

    /// What the log says: one word for each cause.
    const fn cause(&self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::OtherBrowser => "other_browser",
            Self::ConfirmedElsewhere => "confirmed_elsewhere",
            Self::ConnectedElsewhere(_) => "connected_elsewhere",
            Self::Malformed => "malformed",
            Self::Failed(_) => "failed",
            Self::Connected(_)
            | Self::ConnectedBefore(_)
            | Self::AlreadyConnected(_)
            | Self::Denied
            | Self::Expired
            | Self::Unconfirmed => self.result(),
        }
    }

    /// Whether it may become another by itself, when WeChat's notice comes.
    pub(crate) const fn waits(&self) -> bool {
        matches!(self, Self::Unconfirmed | Self::ConfirmedElsewhere)
    }

    pub(crate) const fn authorizer(&self) -> Option<&Authorizer> {
        match self {
            Self::Connected(row)
            | Self::ConnectedBefore(row)
            | Self::AlreadyConnected(row)
            | Self::ConnectedElsewhere(row) => Some(row),
            _ => None,
        }
    }

    /// The vendor's address, with the result in its query.
    pub(crate) fn way_on(&self, start: &Start) -> Option<Url> {
        let mut url = Url::parse(start.return_to.as_deref()?).ok()?;
        let mut pairs = url.query_pairs_mut();
        if let Some(row) = self.authorizer() {
            pairs.append_pair("authorizer_appid", row.appid.as_str());
        }
        if let Some(reference) = &start.reference {
            pairs.append_pair("reference", reference);
        }
        pairs.append_pair("result", self.result());
        drop(pairs);
        Some(url)
    }

    pub(crate) fn log(&self, start: Option<&Start>) {
        let reference = start.and_then(|start| start.reference.as_deref());
        if let Self::Failed(error) = self {
            error.log("finishing an authorization");
        }
        let result = self.cause();
        match self {
            // The page was loaded again: that is no second authorization.
            Self::AlreadyConnected(_) => {}
            Self::Connected(row) | Self::ConnectedBefore(row)
                if row.standing == Standing::ReauthorizationRequired =>
            {
                tracing::warn!(authorizer_appid = %row.appid, reference, result, "a merchant has authorized, and WeChat gave no refresh token");
            }
            Self::Connected(row) => {
                tracing::info!(authorizer_appid = %row.appid, reference, result, "a merchant has authorized");
            }
            Self::ConnectedBefore(row) => {
                tracing::info!(authorizer_appid = %row.appid, reference, result, "a merchant has authorized an account that was connected by another reference");
            }
            Self::ConnectedElsewhere(row) => {
                tracing::info!(authorizer_appid = %row.appid, result, "a merchant has authorized what was started in another browser");
            }
            _ => {
                tracing::info!(
                    reference,
                    result,
                    "a merchant has come back without an authorization"
                );
            }
        }
    }
}

impl Ending {
    pub(crate) const fn new(outcome: Outcome, start: Start) -> Self {
        Self {
            outcome,
            start: Some(start),
        }
    }
}

impl From<Outcome> for Ending {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            start: None,
        }
    }
}
