//! What WeChat pushes to the auth-event URL, read.
//!
//! Source: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/authorize_event.html>

use std::time::Duration;

use serde_json::value::RawValue;

use crate::push::fields::{self, Doctype, Field};
use crate::push::message::Message;
use crate::time::Timestamp;
use crate::token::{AuthorizationCode, PreAuthCode, Secret, VerifyTicket};
use component_api::id::{AuthorizerAppId, ComponentAppId};

/// A push of the auth-event URL, by its `InfoType`.
#[derive(Debug)]
pub enum Notice {
    /// `component_verify_ticket`.
    Ticket {
        /// When WeChat made it, see [`AuthorizationNotice::created_at`].
        created_at: Timestamp,
        /// The ticket.
        ticket: Secret<VerifyTicket>,
    },
    /// `authorized`, `updateauthorized` or `unauthorized`.
    Authorization(AuthorizationNotice),
    /// Of another kind, or of none that can be found: WeChat adds kinds, and the vendor's functions
    /// may know it.
    Other {
        /// What a log line may tell of it.
        label: Label,
        /// What it says; `None` if it is neither XML nor a JSON object.
        notice: Option<Box<OtherNotice>>,
    },
    /// Of a kind that is known, but what it is about cannot be found, or it names another
    /// component. It is answered like the others too: WeChat would only repeat it.
    Unusable(Label),
}

/// A notice that is passed on, without the codes and tickets that it may bring.
#[derive(Debug)]
pub struct OtherNotice {
    /// When WeChat made it, see [`AuthorizationNotice::created_at`].
    pub created_at: Timestamp,
    /// Its `InfoType`; `None` if it has none, as an event of an account.
    pub info_type: Option<String>,
    /// It as JSON, in the form of a message.
    pub json: Box<RawValue>,
    /// For a mini program that was registered fast: the account, and its authorization code.
    pub registered: Option<(AuthorizerAppId, Secret<AuthorizationCode>)>,
}

/// The result of a fast registration (快速注册), which brings an authorization code. Its name is
/// WeChat's.
const FAST_REGISTRATION: &str = "notify_third_fasteregister";

/// All that a log line may tell of a push that is not handled: nothing else of it is known to be no
/// secret.
#[derive(Debug, PartialEq, Eq)]
pub struct Label {
    /// Its `InfoType`, or its `Event` or `MsgType`, cut to what a log line may hold.
    pub kind: String,
    /// The app id that it names, cut in the same way.
    pub appid: String,
}

/// What happened to one authorizer's authorization, and when by WeChat's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationNotice {
    /// WeChat's `CreateTime`. If it is missing, or later than an hour after the push was sealed,
    /// the moment of the sealing takes its place.
    pub created_at: Timestamp,
    /// Whose authorization.
    pub authorizer: AuthorizerAppId,
    /// What happened to it.
    pub change: AuthorizationChange,
}

/// The three things that happen to an authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthorizationChange {
    /// `authorized`: for the first time, or again after `unauthorized`.
    Authorized(Grant),
    /// `updateauthorized`: with other permission sets.
    Updated(Grant),
    /// `unauthorized`: the merchant has withdrawn it.
    Unauthorized,
}

/// What comes with an authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// It must be exchanged within its life, an hour in practice. Otherwise the refresh token is
    /// lost until the merchant authorizes again.
    ///
    /// Without one, as for trial mini programs, WeChat is asked for the refresh token.
    pub code: Option<Secret<AuthorizationCode>>,
    /// The code of the authorization page it came from, if WeChat says so.
    pub pre_auth_code: Option<Secret<PreAuthCode>>,
}

impl AuthorizationChange {
    /// WeChat's name of it (`InfoType`).
    pub const fn info_type(&self) -> &'static str {
        match self {
            Self::Authorized(_) => "authorized",
            Self::Updated(_) => "updateauthorized",
            Self::Unauthorized => "unauthorized",
        }
    }
}

/// How much later than its sealing a push may say that it was made. Otherwise WeChat's
/// `CreateTime` is wrong: milliseconds, say, which would be newer than everything that follows.
const MAX_AHEAD_OF_SEAL: Duration = Duration::from_hours(1);

/// The elements that are looked for.
struct Fields<'p> {
    appid: Field<'p>,
    created_at: Field<'p>,
    info_type: Field<'p>,
    ticket: Field<'p>,
    authorizer: Field<'p>,
    code: Field<'p>,
    pre_auth_code: Field<'p>,
    /// What a push without `InfoType` is.
    event: Field<'p>,
    msg_type: Field<'p>,
    /// What other kinds name.
    other_appid: Field<'p>,
}

impl Notice {
    /// Reads the plain text of a push that was made for `component` and sealed at `sealed_at`.
    ///
    /// Whatever WeChat has sealed is a notice of some kind. Its own elements may come in any order,
    /// with or without CDATA, an XML declaration, or white space around them: all of these were
    /// captured. Anything may stand beside them.
    ///
    /// # Errors
    /// [`Doctype`].
    pub(super) fn parse(
        plain: &[u8],
        component: &ComponentAppId,
        sealed_at: Timestamp,
    ) -> Result<Self, Doctype> {
        let fields = Fields::find(plain)?;
        let Some(info_type) = fields.info_type.text() else {
            return match fields.info_type {
                Field::Missing => fields.other(plain, component, sealed_at),
                Field::Once(_) | Field::Repeated => Ok(Self::Unusable(fields.label(component))),
            };
        };
        let change = match &*info_type {
            "component_verify_ticket" => None,
            "authorized" => fields.grant().map(AuthorizationChange::Authorized),
            "updateauthorized" => fields.grant().map(AuthorizationChange::Updated),
            "unauthorized" => Some(AuthorizationChange::Unauthorized),
            _ => return fields.other(plain, component, sealed_at),
        };
        let notice = if !fields.is_for(component) {
            None
        } else if info_type == "component_verify_ticket" {
            fields.ticket(sealed_at)
        } else {
            change.and_then(|change| fields.authorization(change, sealed_at))
        };
        Ok(notice.unwrap_or_else(|| Self::Unusable(fields.label(component))))
    }
}

impl<'p> Fields<'p> {
    fn find(plain: &'p [u8]) -> Result<Self, Doctype> {
        const NAMES: [&str; 10] = [
            "AppId",
            "CreateTime",
            "InfoType",
            "ComponentVerifyTicket",
            "AuthorizerAppid",
            "AuthorizationCode",
            "PreAuthCode",
            "Event",
            "MsgType",
            "appid",
        ];
        let [
            appid,
            created_at,
            info_type,
            ticket,
            authorizer,
            code,
            pre_auth_code,
            event,
            msg_type,
            other_appid,
        ] = fields::find(plain, NAMES)?;
        Ok(Self {
            appid,
            created_at,
            info_type,
            ticket,
            authorizer,
            code,
            pre_auth_code,
            event,
            msg_type,
            other_appid,
        })
    }

    /// Whether it does not name another component: that it was made for this one is proved by the
    /// frame that it came in.
    fn is_for(&self, component: &ComponentAppId) -> bool {
        match self.appid {
            Field::Missing => true,
            appid => appid
                .text()
                .is_some_and(|appid| appid == component.as_str()),
        }
    }

    fn other(
        &self,
        plain: &[u8],
        component: &ComponentAppId,
        sealed_at: Timestamp,
    ) -> Result<Notice, Doctype> {
        let label = self.label(component);
        let created_at = self.created_at(sealed_at).unwrap_or(sealed_at);
        let notice = Message::read(plain)?.map(|message| OtherNotice {
            created_at,
            registered: message
                .info_type
                .as_deref()
                .and_then(|kind| (kind == FAST_REGISTRATION).then(|| self.registered(plain))?),
            info_type: message.info_type,
            json: message.json,
        });
        let notice = notice.map(Box::new);
        Ok(Notice::Other { label, notice })
    }

    /// The account that was registered, and its code; a registration that failed has neither.
    fn registered(&self, plain: &[u8]) -> Option<(AuthorizerAppId, Secret<AuthorizationCode>)> {
        let appid = AuthorizerAppId::parse(&self.other_appid.text()?).ok()?;
        let [code] = fields::find(plain, ["auth_code"]).ok()?;
        Some((appid, Secret::parse(&code.text()?)?))
    }

    fn ticket(&self, sealed_at: Timestamp) -> Option<Notice> {
        Some(Notice::Ticket {
            created_at: self.created_at(sealed_at)?,
            ticket: Secret::parse(&self.ticket.text()?)?,
        })
    }

    fn authorization(&self, change: AuthorizationChange, sealed_at: Timestamp) -> Option<Notice> {
        Some(Notice::Authorization(AuthorizationNotice {
            created_at: self.created_at(sealed_at)?,
            authorizer: AuthorizerAppId::parse(&self.authorizer.text()?).ok()?,
            change,
        }))
    }

    /// `None` if there is more than one code: another account's may be among them.
    fn grant(&self) -> Option<Grant> {
        if self.code == Field::Repeated {
            return None;
        }
        Some(Grant {
            code: self.code.text().and_then(|code| Secret::parse(&code)),
            pre_auth_code: self
                .pre_auth_code
                .text()
                .and_then(|code| Secret::parse(&code)),
        })
    }

    /// `None` if there is more than one time.
    fn created_at(&self, sealed_at: Timestamp) -> Option<Timestamp> {
        if self.created_at == Field::Repeated {
            return None;
        }
        let told = self.created_at.text().and_then(|secs| secs.parse().ok());
        // Zero is no time but the lack of one.
        let told = told.filter(|secs| *secs > 0).map(Timestamp::from_secs);
        Some(
            told.filter(|told| *told <= sealed_at + MAX_AHEAD_OF_SEAL)
                .unwrap_or(sealed_at),
        )
    }

    fn label(&self, component: &ComponentAppId) -> Label {
        let kinds = [self.info_type, self.event, self.msg_type];
        let foreign = if self.is_for(component) {
            Field::Missing
        } else {
            self.appid
        };
        let appids = [foreign, self.authorizer, self.other_appid];
        Label {
            kind: kinds.into_iter().find_map(loggable).unwrap_or_default(),
            appid: appids.into_iter().find_map(loggable).unwrap_or_default(),
        }
    }
}

/// The text of a field as a log line bears it; `None` if nothing is left of it.
fn loggable(field: Field<'_>) -> Option<String> {
    let text: String = field
        .text()?
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
        .take(64)
        .collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests;
