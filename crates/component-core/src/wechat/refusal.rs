//! WeChat's endpoints, and the one table of what their error codes mean.
//!
//! Source: <https://developers.weixin.qq.com/doc/oplatform/developers/errCode/errCode.html>

use std::fmt;

/// An endpoint of WeChat's component API.
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
    /// A quota of the component is used up.
    Quota,
    /// The caller's IP address is not on the component's white-list.
    Address,
    /// The app id, the app secret or the component itself is not right, or not released.
    Component,
    /// The account does not authorize the component.
    NotAuthorized,
    /// The authorization code is not one, was used or is too old.
    Code,
    /// The refresh token is not, or no longer, the right one.
    RefreshToken,
    /// Anything else: the call itself is wrong, or the code is new.
    Other,
}

impl Endpoint {
    const ALL: [Self; 7] = [
        Self::StartPushTicket,
        Self::ComponentToken,
        Self::CreatePreauthcode,
        Self::QueryAuth,
        Self::AuthorizerToken,
        Self::GetAuthorizerInfo,
        Self::GetAuthorizerList,
    ];

    /// The last part of its path.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StartPushTicket => "api_start_push_ticket",
            Self::ComponentToken => "api_component_token",
            Self::CreatePreauthcode => "api_create_preauthcode",
            Self::QueryAuth => "api_query_auth",
            Self::AuthorizerToken => "api_authorizer_token",
            Self::GetAuthorizerInfo => "api_get_authorizer_info",
            Self::GetAuthorizerList => "api_get_authorizer_list",
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
            45009 | 45011 => Refusal::Quota,
            61004 | 40090 => Refusal::Address,
            40013 | 40125 | 41002 | 41004 | 41018 | 61000 | 61001 | 61002 | 61011 | 61028 => {
                Refusal::Component
            }
            61003 => Refusal::NotAuthorized,
            61009 | 61010 => Refusal::Code,
            // 42007: the account's administrator has changed the password, which ends the refresh
            // token too.
            61023 | 42007 => Refusal::RefreshToken,
            _ => Refusal::Other,
        }
    }

    /// Whether WeChat has answered the question, so that asking again would change nothing.
    pub fn is_answer(&self) -> bool {
        self.meaning() != Refusal::Busy
    }

    /// Whether it would happen to every authorizer's call alike.
    pub const fn is_component_wide(&self) -> bool {
        match self.meaning() {
            Refusal::AccessToken
            | Refusal::Ticket
            | Refusal::Quota
            | Refusal::Address
            | Refusal::Component => true,
            Refusal::Busy
            | Refusal::NotAuthorized
            | Refusal::Code
            | Refusal::RefreshToken
            | Refusal::Other => false,
        }
    }

    /// What a caller can do.
    pub fn advice(&self) -> String {
        let what = match self.meaning() {
            Refusal::Busy => "try again; WeChat is busy".to_owned(),
            Refusal::Quota => {
                "wait until WeChat's quota is reset at midnight in Beijing, or clear it".to_owned()
            }
            Refusal::Address => format!(
                "put the address {} on the component's IP white-list in WeChat's console",
                self.seen_from
                    .as_deref()
                    .unwrap_or("of the stack's NAT gateway")
            ),
            Refusal::Component => {
                "check the component's app id and app secret in its secret, and that it is released"
                    .to_owned()
            }
            Refusal::Ticket => "wait for WeChat's next ticket push".to_owned(),
            Refusal::NotAuthorized => "ask the account's owner to authorize".to_owned(),
            Refusal::Code => "start the authorization again".to_owned(),
            Refusal::RefreshToken => "ask the account's owner to authorize again".to_owned(),
            Refusal::AccessToken | Refusal::Other => {
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
        check(45011, Refusal::Quota);
        check(61003, Refusal::NotAuthorized);
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
}
