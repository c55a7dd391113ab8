//! Which refresh token of an authorizer to try next, and what WeChat knows of the account.

use component_api::id::AuthorizerAppId;

use super::Component;
use crate::error::Error;
use crate::row::authorizer::Authorizer;
use crate::time::Deadline;
use crate::token::{AuthorizerRefreshToken, Secret};
use crate::wechat::answer::AuthorizerPage;
use crate::wechat::refusal::Refusal;

/// What WeChat says of an authorizer when it is asked.
#[derive(Clone, Debug)]
pub enum KnownToWechat {
    /// It is authorized; the refresh token is there if a code was ever exchanged.
    Authorized(Option<Secret<AuthorizerRefreshToken>>),
    /// It is not.
    NotAuthorized,
}

/// The refresh tokens that one renewal has tried: those of the row, the current one first, then the
/// one that WeChat names, even if WeChat refused it before. Only a token that WeChat names and
/// refuses again is given up.
#[derive(Clone, Debug, Default)]
pub struct RefreshCandidates {
    refused: Vec<Secret<AuthorizerRefreshToken>>,
    named: Option<Secret<AuthorizerRefreshToken>>,
}

/// What to try next.
#[derive(Debug)]
pub enum Candidate {
    /// This refresh token.
    Token(Secret<AuthorizerRefreshToken>),
    /// Nothing: every token was refused.
    NoneLeft,
    /// Nothing: the account is not authorized.
    NotAuthorized,
}

impl RefreshCandidates {
    /// What WeChat has refused so far.
    pub fn refused(&self) -> &[Secret<AuthorizerRefreshToken>] {
        &self.refused
    }

    /// A refresh token of the row that was not tried yet. Without one, WeChat is asked.
    pub fn untried(&self, row: &Authorizer) -> Option<Secret<AuthorizerRefreshToken>> {
        let mut candidates = row.candidates().into_iter();
        candidates.find(|token| !self.refused.contains(token))
    }

    /// What to try after those of the row: the token that WeChat names, unless WeChat named it
    /// before.
    pub fn told(&mut self, known: KnownToWechat) -> Candidate {
        match known {
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

impl Component {
    /// The next refresh token to try: one of the row's, or the one that WeChat names now.
    pub(super) async fn next_candidate(
        &self,
        row: &Authorizer,
        candidates: &mut RefreshCandidates,
        deadline: Deadline,
    ) -> Result<Candidate, Error> {
        Ok(match candidates.untried(row) {
            Some(untried) => Candidate::Token(untried),
            None => candidates.told(self.ask_wechat(&row.appid, deadline).await?),
        })
    }

    /// Asks WeChat whether an authorizer is authorized: its info, and if that denies it, the list.
    ///
    /// # Errors
    /// Those of [`Component::as_component`].
    pub async fn ask_wechat(
        &self,
        appid: &AuthorizerAppId,
        deadline: Deadline,
    ) -> Result<KnownToWechat, Error> {
        let info = self
            .as_component(deadline, |wechat| async move {
                wechat.get_authorizer_info(appid).await
            })
            .await;
        match info {
            Ok(info) => return Ok(KnownToWechat::Authorized(info.granted.refresh_token)),
            Err(error) if error.is_refusal(Refusal::NotAuthorized) => {}
            Err(error) => return Err(error),
        }
        let mut offset = Some(0);
        while let Some(from) = offset {
            let page = self.list_page(from, deadline).await?;
            let mut listed = page.authorizers.into_iter();
            if let Some(listed) = listed.find(|listed| listed.authorizer == *appid) {
                return Ok(KnownToWechat::Authorized(listed.refresh_token));
            }
            offset = page.next;
        }
        Ok(KnownToWechat::NotAuthorized)
    }

    /// A page of WeChat's own list.
    ///
    /// # Errors
    /// Those of [`Component::as_component`].
    pub async fn list_page(
        &self,
        offset: u64,
        deadline: Deadline,
    ) -> Result<AuthorizerPage, Error> {
        self.as_component(deadline, |wechat| async move {
            wechat.get_authorizer_list(offset).await
        })
        .await
    }
}
