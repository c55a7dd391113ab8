//! Which refresh token of an authorizer to try next, and what WeChat knows of the account.

use component_api::id::AuthorizerAppId;

use super::Component;
use crate::error::Error;
use crate::row::authorizer::Authorizer;
use crate::time::Deadline;
use crate::token::{AuthorizerRefreshToken, Secret};
use crate::wechat::answer::{AuthorizerInfo, AuthorizerPage};

/// What WeChat says of an authorizer when it is asked.
#[derive(Clone, Debug)]
pub enum KnownToWechat {
    /// It is authorized; the refresh token is there if a code was ever exchanged.
    Authorized(Option<Secret<AuthorizerRefreshToken>>),
    /// It is not.
    NotAuthorized,
    /// WeChat refuses the question for this account, or answers something unreadable: that is so for
    /// some accounts, for ever.
    Untold,
}

/// The refresh tokens that one renewal has tried: those of the row, the current one first, then the
/// one that WeChat names, even if WeChat refused it before.
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
    /// Nothing: every token was refused, and WeChat names none.
    NoneLeft,
    /// Nothing: WeChat names a token as the right one and refuses it.
    Contradicted,
    /// Nothing: one call says that the account is not authorized.
    Denied,
    /// Nothing: WeChat does not tell.
    Untold,
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
            KnownToWechat::Authorized(Some(_)) => Candidate::Contradicted,
            KnownToWechat::Authorized(None) => Candidate::NoneLeft,
            KnownToWechat::NotAuthorized => Candidate::Denied,
            KnownToWechat::Untold => Candidate::Untold,
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

    /// Asks WeChat whether an authorizer is authorized, by its info alone: the list of all accounts is
    /// never walked in a caller's time.
    ///
    /// # Errors
    /// Those of [`Component::as_component`] that are not about this account.
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
            Ok(AuthorizerInfo {
                granted: Some(granted),
                ..
            }) => Ok(KnownToWechat::Authorized(granted.refresh_token)),
            // It is authorized, and with which refresh token the list may tell.
            Ok(_) => Ok(KnownToWechat::Untold),
            Err(error) if error.is_denial() => Ok(KnownToWechat::NotAuthorized),
            Err(error) if error.is_about_the_account() => {
                error.warn("asking WeChat about an authorizer");
                Ok(KnownToWechat::Untold)
            }
            Err(error) => Err(error),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refresh(name: &str) -> Secret<AuthorizerRefreshToken> {
        Secret::parse(name).unwrap()
    }

    /// A row with these refresh tokens, the one to use first.
    fn row(tokens: &[&str]) -> Authorizer {
        let mut tokens = tokens.iter().map(|name| refresh(name));
        Authorizer {
            refresh_token: tokens.next(),
            history: tokens.collect(),
            ..Authorizer::unknown(AuthorizerAppId::parse("wxfedcba9876543210").unwrap())
        }
    }

    /// Candidates of which WeChat has refused these.
    fn refused(tokens: &[&str]) -> RefreshCandidates {
        let mut candidates = RefreshCandidates::default();
        for name in tokens {
            candidates.refuse(refresh(name));
        }
        candidates
    }

    /// Asks for the next of the row's tokens.
    #[track_caller]
    fn check(candidates: &RefreshCandidates, tokens: &[&str], expected: Option<&str>) {
        let untried = candidates.untried(&row(tokens));
        assert_eq!(untried.as_ref().map(Secret::expose), expected);
    }

    #[track_caller]
    fn check_refused(candidates: &RefreshCandidates, expected: &[&str]) {
        let refused: Vec<_> = candidates.refused().iter().map(Secret::expose).collect();
        assert_eq!(refused, expected);
    }

    /// Tells what WeChat says, and asks for the candidate that follows.
    #[track_caller]
    fn check_told(candidates: &mut RefreshCandidates, named: Option<&str>, expected: Option<&str>) {
        match (
            candidates.told(KnownToWechat::Authorized(named.map(refresh))),
            expected,
        ) {
            (Candidate::Token(token), Some(expected)) => assert_eq!(token.expose(), expected),
            (Candidate::NoneLeft, None) if named.is_none() => {}
            (Candidate::Contradicted, None) if named.is_some() => {}
            (candidate, _) => panic!("{candidate:?} after {named:?}"),
        }
    }

    #[test]
    fn the_rows_tokens_are_tried_from_the_current_one_back_each_once() {
        let tokens = ["r3", "r2", "r1"];
        check(&refused(&[]), &tokens, Some("r3"));
        check(&refused(&["r3"]), &tokens, Some("r2"));
        check(&refused(&["r2"]), &tokens, Some("r3"));
        check(&refused(&["r3", "r2"]), &tokens, Some("r1"));
        check(&refused(&["r3", "r2", "r1"]), &tokens, None);
        check(&refused(&[]), &[], None);
        // One that came to the row meanwhile has not been tried.
        check(&refused(&["r3", "r2", "r1"]), &["r4", "r3"], Some("r4"));
    }

    #[test]
    fn what_wechat_refuses_is_told_to_the_row_in_its_order() {
        check_refused(&refused(&[]), &[]);
        check_refused(&refused(&["r3", "r1"]), &["r3", "r1"]);
    }

    #[test]
    fn the_token_that_wechat_names_is_tried_even_if_it_was_refused_and_only_once() {
        // WeChat contradicts itself if it names once more what it has refused.
        let mut candidates = refused(&["r1"]);
        check_told(&mut candidates, Some("r1"), Some("r1"));
        check_told(&mut candidates, Some("r1"), None);
        // It names another one now: that one is tried too.
        check_told(&mut candidates, Some("r2"), Some("r2"));
        check_told(&mut candidates, Some("r2"), None);
    }

    #[test]
    fn without_a_token_that_wechat_names_nothing_is_left_to_try() {
        check_told(&mut refused(&["r1"]), None, None);
    }

    #[test]
    fn an_account_of_which_wechat_tells_nothing_is_not_given_up() {
        let candidate = refused(&["r1"]).told(KnownToWechat::Untold);
        assert!(matches!(candidate, Candidate::Untold), "{candidate:?}");
    }

    #[test]
    fn an_account_that_wechat_does_not_know_has_nothing_to_renew() {
        let mut candidates = refused(&["r1"]);
        let candidate = candidates.told(KnownToWechat::NotAuthorized);
        assert!(matches!(candidate, Candidate::Denied), "{candidate:?}");
        // That was no token: one that is named later is tried.
        check_told(&mut candidates, Some("r1"), Some("r1"));
    }

    #[test]
    fn a_token_that_wechat_takes_after_all_was_not_refused_and_the_others_were() {
        let mut candidates = refused(&["r3", "r2", "r1"]);
        candidates.accept(&refresh("r2"));
        check_refused(&candidates, &["r3", "r1"]);
        check(&candidates, &["r3", "r2"], Some("r2"));
        candidates.accept(&refresh("r-new"));
        check_refused(&candidates, &["r3", "r1"]);
    }
}
