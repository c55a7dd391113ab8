//! The recovery ladder: which refresh token of an authorizer to try next. No I/O, no clock.

use crate::row::authorizer::Authorizer;
use crate::token::{AuthorizerRefreshToken, Secret};

/// What WeChat says of an authorizer when it is asked.
#[derive(Clone, Debug)]
pub enum KnownToWechat {
    /// It is authorized; the refresh token is there if a code was ever exchanged.
    Authorized(Option<Secret<AuthorizerRefreshToken>>),
    /// It is not.
    NotAuthorized,
}

/// How far one renewal has climbed: the row's refresh tokens from the current one back, then the one that WeChat names,
/// even if it was refused before: only a token that is named and refused again is given up.
#[derive(Clone, Debug, Default)]
pub struct RefreshCandidates {
    refused: Vec<Secret<AuthorizerRefreshToken>>,
    named: Option<Secret<AuthorizerRefreshToken>>,
}

/// The next rung.
#[derive(Debug)]
pub enum Candidate {
    /// Try this one.
    Token(Secret<AuthorizerRefreshToken>),
    /// Nothing is left to try.
    NoneLeft,
    /// There is nothing to renew.
    NotAuthorized,
}

impl RefreshCandidates {
    /// What WeChat has refused so far.
    pub fn refused(&self) -> &[Secret<AuthorizerRefreshToken>] {
        &self.refused
    }

    /// A refresh token of the row that was not tried yet; without one, WeChat is asked.
    pub fn untried(&self, row: &Authorizer) -> Option<Secret<AuthorizerRefreshToken>> {
        let mut candidates = row.candidates().into_iter();
        candidates.find(|token| !self.refused.contains(token))
    }

    /// The rung after those of the row: the token that WeChat names, unless it did before.
    pub fn told(&mut self, at_wechat: KnownToWechat) -> Candidate {
        match at_wechat {
            KnownToWechat::Authorized(Some(token)) if self.named.as_ref() != Some(&token) => {
                self.named = Some(token.clone());
                Candidate::Token(token)
            }
            KnownToWechat::Authorized(_) => Candidate::NoneLeft,
            KnownToWechat::NotAuthorized => Candidate::NotAuthorized,
        }
    }

    /// WeChat has refused `token`.
    pub fn refuse(&mut self, token: Secret<AuthorizerRefreshToken>) {
        self.refused.push(token);
    }

    /// WeChat has taken `token`, whatever it said of it before.
    pub fn accept(&mut self, token: &Secret<AuthorizerRefreshToken>) {
        self.refused.retain(|refused| refused != token);
    }
}
