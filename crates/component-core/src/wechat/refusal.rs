//! WeChat's endpoints, and the one table of what their error codes mean.
//!
//! Source: <https://developers.weixin.qq.com/doc/oplatform/developers/errCode/errCode.html>

use std::fmt;

use component_api::code::Code;

/// An endpoint of WeChat's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Starts the ticket pushes again.
    StartPushTicket,
    /// Gives a component access token.
    ComponentToken,
    /// Gives a pre-auth code.
    CreatePreauthcode,
    /// Exchanges an authorization code.
    QueryAuth,
    /// Renews an authorizer's access token.
    AuthorizerToken,
    /// Tells what an account has granted.
    GetAuthorizerInfo,
    /// Lists the accounts that have authorized the component.
    GetAuthorizerList,
    /// Sends a message from an account to a customer.
    SendMessage,
}

/// A refusal by WeChat, as facts: what it means is read off [`Refused::meaning`] when it is needed,
/// since a stored verdict grows old.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Who refused.
    pub endpoint: Endpoint,
    /// With which `errcode`.
    pub errcode: i64,
    /// WeChat's id of the call, for its support.
    pub rid: Option<String>,
    /// The IP address that WeChat saw, if it refuses that.
    pub seen_from: Option<String>,
}

/// What an `errcode` means for what is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// WeChat is busy: the same call may succeed in a moment.
    Busy,
    /// The access token in the call is not, or no longer, the right one.
    AccessToken,
    /// The verify ticket is expired or wrong.
    Ticket,
    /// The quota of a day is used up.
    Quota,
    /// The quota of a minute is used up.
    MinuteQuota,
    /// The caller's IP address is not on the component's white-list.
    Address,
    /// The app id, the app secret or the component itself is not right, or not released; from an
    /// endpoint that names an account, most often that account does not exist any more.
    Component,
    /// The account does not authorize the component, or has not granted what the call needs.
    NotAuthorized,
    /// WeChat limits the account itself: it is frozen, banned, migrated or being deregistered.
    Limited,
    /// The authorization code is not one, was used or is too old.
    Code,
    /// The refresh token is not, or no longer, the right one.
    RefreshToken,
    /// Anything else: the call itself is wrong, or the code is new.
    Other,
}

/// Whose trouble a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concern {
    /// The component's: the call for any other account would end alike.
    Component,
    /// The account's that the call names.
    Account,
}

impl Endpoint {
    const ALL: [Self; 8] = [
        Self::StartPushTicket,
        Self::ComponentToken,
        Self::CreatePreauthcode,
        Self::QueryAuth,
        Self::AuthorizerToken,
        Self::GetAuthorizerInfo,
        Self::GetAuthorizerList,
        Self::SendMessage,
    ];

    /// Its name: of the component's own endpoints, the last part of the path.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StartPushTicket => "api_start_push_ticket",
            Self::ComponentToken => "api_component_token",
            Self::CreatePreauthcode => "api_create_preauthcode",
            Self::QueryAuth => "api_query_auth",
            Self::AuthorizerToken => "api_authorizer_token",
            Self::GetAuthorizerInfo => "api_get_authorizer_info",
            Self::GetAuthorizerList => "api_get_authorizer_list",
            Self::SendMessage => "custom_send",
        }
    }

    /// Its path, and the name of the access token in its query. The component's token has its old
    /// name, which every page and every SDK ever written for these endpoints knows.
    pub(super) fn address(self) -> (String, &'static str) {
        match self {
            Self::SendMessage => ("/cgi-bin/message/custom/send".to_owned(), "access_token"),
            _ => (
                format!("/cgi-bin/component/{self}"),
                "component_access_token",
            ),
        }
    }

    /// Whether its calls name an authorizer, by app id or by a code of its own.
    const fn names_an_account(self) -> bool {
        match self {
            Self::QueryAuth
            | Self::AuthorizerToken
            | Self::GetAuthorizerInfo
            | Self::SendMessage => true,
            Self::StartPushTicket
            | Self::ComponentToken
            | Self::CreatePreauthcode
            | Self::GetAuthorizerList => false,
        }
    }

    /// The endpoint of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|endpoint| endpoint.as_str() == name)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused with errcode {}", self.errcode)?;
        if let Some(rid) = &self.rid {
            write!(f, ", rid {rid}")?;
        }
        if let Some(seen_from) = &self.seen_from {
            write!(f, ", seen from {seen_from}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

impl Refused {
    /// What it means.
    pub const fn meaning(&self) -> Refusal {
        match self.errcode {
            -1 => Refusal::Busy,
            40001 | 40014 | 42001 | 42006 => Refusal::AccessToken,
            61005 | 61006 => Refusal::Ticket,
            45009 => Refusal::Quota,
            45011 => Refusal::MinuteQuota,
            61004 | 40090 => Refusal::Address,
            40013 | 40125 | 41002 | 41004 | 41018 | 61000 | 61001 | 61002 | 61011 | 61028 => {
                Refusal::Component
            }
            61003 | 61007 => Refusal::NotAuthorized,
            50002 | 48004 => Refusal::Limited,
            61009 | 61010 => Refusal::Code,
            // 42007: the account's administrator has changed the password, which ends the refresh
            // token too.
            61023 | 42007 => Refusal::RefreshToken,
            _ => Refusal::Other,
        }
    }

    /// Its code, as callers tell it from others.
    pub fn code(&self) -> Code {
        match self.meaning() {
            Refusal::Busy => Code::WechatUnavailable,
            Refusal::Limited if self.concerns() == Concern::Account => Code::AccountLimited,
            _ => Code::WechatRejected,
        }
    }

    /// Whose trouble it is: what a call says that names an account concerns that account, whatever
    /// the code, except for what can only be the component's.
    pub const fn concerns(&self) -> Concern {
        match self.meaning() {
            Refusal::Address | Refusal::Ticket => Concern::Component,
            _ if self.endpoint.names_an_account() => Concern::Account,
            _ => Concern::Component,
        }
    }

    /// Whether the component could be the cause although the call names an account: if many accounts
    /// in a row are refused alike, it is.
    pub const fn may_concern_the_component(&self) -> bool {
        match self.meaning() {
            Refusal::AccessToken
            | Refusal::Ticket
            | Refusal::Quota
            | Refusal::MinuteQuota
            | Refusal::Address
            | Refusal::Component
            | Refusal::Other => true,
            Refusal::Busy
            | Refusal::NotAuthorized
            | Refusal::Limited
            | Refusal::Code
            | Refusal::RefreshToken => false,
        }
    }

    /// What a caller can do.
    pub fn advice(&self) -> String {
        let what = match (self.meaning(), self.concerns()) {
            (Refusal::Busy, _) => "try again; WeChat is busy".to_owned(),
            (Refusal::Quota, _) => {
                "wait until WeChat's quota is reset at midnight in Beijing, or clear it".to_owned()
            }
            (Refusal::MinuteQuota, _) => {
                "wait a minute; WeChat's quota of this minute is used up".to_owned()
            }
            (Refusal::Address, _) => format!(
                "put the address {} on the component's IP white-list in WeChat's console (白名单 IP 地址列表, by 修改)",
                self.seen_from
                    .as_deref()
                    .unwrap_or("of the stack's NAT gateway")
            ),
            (Refusal::Component | Refusal::AccessToken, Concern::Account) => {
                "ask the account's owner whether it still exists, or was deregistered or migrated; WeChat refuses the call for this account"
                    .to_owned()
            }
            (Refusal::Component, Concern::Component) => {
                "compare component_appid and component_appsecret of the secret with WeChat's console, and check that the component is released"
                    .to_owned()
            }
            (Refusal::Ticket, _) => "wait for WeChat's next ticket push".to_owned(),
            (Refusal::NotAuthorized, _) => "ask the account's owner to authorize".to_owned(),
            (Refusal::Limited, _) => {
                "ask the account's owner to have WeChat lift its limit; the account is frozen, banned, migrated or being deregistered, and to authorize again does not help"
                    .to_owned()
            }
            (Refusal::Code, _) => "start the authorization again".to_owned(),
            (Refusal::RefreshToken, _) => "ask the account's owner to authorize again".to_owned(),
            (Refusal::AccessToken | Refusal::Other, _) => {
                "look the errcode up in WeChat's documentation".to_owned()
            }
        };
        let (endpoint, errcode) = (self.endpoint, self.errcode);
        format!("{what} ({endpoint} answered errcode {errcode})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(errcode: i64, refusal: Refusal) {
        let refused = Refused {
            endpoint: Endpoint::AuthorizerToken,
            errcode,
            rid: None,
            seen_from: None,
        };
        assert_eq!(refused.meaning(), refusal, "{errcode}");
        let advice = refused.advice();
        assert!(advice.contains(&errcode.to_string()), "{advice}");
    }

    #[test]
    fn every_errcode_that_matters_is_told_from_the_others() {
        check(-1, Refusal::Busy);
        check(40001, Refusal::AccessToken);
        check(40014, Refusal::AccessToken);
        check(42001, Refusal::AccessToken);
        check(42006, Refusal::AccessToken);
        check(40013, Refusal::Component);
        check(40125, Refusal::Component);
        check(61028, Refusal::Component);
        check(45009, Refusal::Quota);
        check(45011, Refusal::MinuteQuota);
        check(61003, Refusal::NotAuthorized);
        check(61007, Refusal::NotAuthorized);
        check(50002, Refusal::Limited);
        check(48004, Refusal::Limited);
        check(48001, Refusal::Other);
        check(61004, Refusal::Address);
        check(61005, Refusal::Ticket);
        check(61006, Refusal::Ticket);
        check(61009, Refusal::Code);
        check(61010, Refusal::Code);
        check(61023, Refusal::RefreshToken);
        check(42007, Refusal::RefreshToken);
        check(99999, Refusal::Other);
    }

    #[test]
    fn every_endpoint_is_read_back_from_its_name() {
        for endpoint in Endpoint::ALL {
            assert_eq!(Endpoint::parse(endpoint.as_str()), Some(endpoint));
        }
        assert_eq!(Endpoint::parse("api_"), None);
    }

    #[track_caller]
    fn check_concern(endpoint: Endpoint, errcode: i64, concern: Concern, counts: bool) {
        let refused = Refused {
            endpoint,
            errcode,
            rid: None,
            seen_from: None,
        };
        let got = (refused.concerns(), refused.may_concern_the_component());
        assert_eq!(got, (concern, counts), "{endpoint} {errcode}");
    }

    #[test]
    fn a_refusal_is_judged_by_endpoint_and_errcode() {
        use Endpoint::{AuthorizerToken, ComponentToken, GetAuthorizerInfo, QueryAuth};
        for errcode in [40013, 40001, 41002, 48001, 45009, 45011, 99999] {
            for endpoint in [AuthorizerToken, GetAuthorizerInfo, QueryAuth] {
                check_concern(endpoint, errcode, Concern::Account, true);
            }
            check_concern(ComponentToken, errcode, Concern::Component, true);
        }
        for errcode in [50002, 48004, 61003, 61007, 61009, 61010, 61023] {
            check_concern(AuthorizerToken, errcode, Concern::Account, false);
        }
        check_concern(AuthorizerToken, 61004, Concern::Component, true);
        check_concern(Endpoint::StartPushTicket, 40125, Concern::Component, true);
        check_concern(Endpoint::GetAuthorizerList, 45009, Concern::Component, true);
    }

    #[test]
    fn the_advice_speaks_of_the_account_when_it_is_the_accounts_trouble() {
        let refused = |endpoint| Refused {
            endpoint,
            errcode: 40013,
            rid: None,
            seen_from: None,
        };
        let of_account = refused(Endpoint::AuthorizerToken).advice();
        assert!(of_account.contains("account"), "{of_account}");
        assert!(!of_account.contains("component_appsecret"), "{of_account}");
        let of_component = refused(Endpoint::ComponentToken).advice();
        assert!(
            of_component.contains("component_appsecret"),
            "{of_component}"
        );
    }
}
