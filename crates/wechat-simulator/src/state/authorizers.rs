//! The accounts: which of them authorized the component, with which codes and tokens.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use super::account::{Account, is_appid};
use super::authorization::{Authorization, Confirmation, Remembered};
use super::options::Options;
use super::status::AccountStatus;
use super::token::AccessTokens;
use crate::errcode::Refusal;
use crate::mint::Mint;

/// How long an authorization code lives, in seconds.
pub(crate) const AUTH_CODE_LIFE_SECS: u64 = 3600;
/// How long an expired code is remembered: until then it is answered as expired, not unknown.
const MEMORY_SECS: u64 = 7 * 86_400;

/// Every account, its authorization if there is one, and all codes.
pub(crate) struct Authorizers {
    accounts: BTreeMap<String, Authorizer>,
    codes: HashMap<String, AuthCode>,
    /// The account of each access token, expired tokens included.
    owners: HashMap<String, String>,
    epochs: u64,
    /// Whether `api_authorizer_token` gives a new refresh token each time. WeChat does not.
    pub(crate) rotate_refresh_tokens: bool,
}

/// An account and its authorization, if there is one.
pub(crate) struct Authorizer {
    pub(crate) account: Account,
    pub(crate) status: AccountStatus,
    pub(crate) options: Options,
    pub(crate) authorization: Option<Authorization>,
}

struct AuthCode {
    appid: String,
    epoch: u64,
    expires_at: u64,
    used: bool,
}

/// A merchant's confirmation, with its code.
pub(crate) struct Grant {
    pub(crate) auth_code: String,
    pub(crate) expires_at: u64,
    pub(crate) confirmation: Confirmation,
}

/// What `api_query_auth` and `api_authorizer_token` give.
#[derive(Debug)]
pub(crate) struct TokenPair {
    pub(crate) appid: String,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
}

impl Authorizer {
    fn new(account: Account) -> Self {
        Self {
            account,
            status: AccountStatus::Normal,
            options: Options::default(),
            authorization: None,
        }
    }
}

impl Authorizers {
    pub(crate) fn with_demo_accounts() -> Self {
        let mut authorizers = Self {
            accounts: BTreeMap::new(),
            codes: HashMap::new(),
            owners: HashMap::new(),
            epochs: 0,
            rotate_refresh_tokens: false,
        };
        Account::demo().for_each(|account| authorizers.add(account));
        authorizers
    }

    /// Adds an account, or renames one. Its status and its authorization stay.
    pub(crate) fn add(&mut self, account: Account) {
        match self.accounts.entry(account.appid.clone()) {
            Entry::Occupied(mut known) => {
                let known = &mut known.get_mut().account;
                known.nick_name = account.nick_name;
                if known.kind != account.kind {
                    known.kind = account.kind;
                    known.permission_sets = account.permission_sets;
                }
            }
            Entry::Vacant(free) => {
                free.insert(Authorizer::new(account));
            }
        }
    }

    pub(crate) fn find_mut(&mut self, appid: &str) -> Option<&mut Authorizer> {
        self.accounts.get_mut(appid)
    }

    pub(crate) fn find(&self, appid: &str) -> Option<&Authorizer> {
        self.accounts.get(appid)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Authorizer> {
        self.accounts.values()
    }

    /// The accounts that the list names, with their authorizations.
    pub(crate) fn listed(&self) -> impl Iterator<Item = (&Account, &Authorization)> {
        let accounts = self.accounts.values();
        accounts
            .filter(|authorizer| authorizer.status.is_listed())
            .filter_map(|authorizer| {
                Some((&authorizer.account, authorizer.authorization.as_ref()?))
            })
    }

    /// The authorization of an earlier run holds again.
    pub(crate) fn remember(&mut self, remembered: Remembered) {
        let Remembered { appid, kind, .. } = remembered;
        self.epochs += 1;
        let authorizer = self.accounts.entry(appid).or_insert_with_key(|appid| {
            let name = remembered.name.as_deref().unwrap_or(appid);
            Authorizer::new(Account::new(appid, name, kind))
        });
        authorizer.authorization = Some(Authorization {
            epoch: self.epochs,
            auth_time: remembered.auth_time,
            confirmation: Confirmation::New,
            permission_sets: remembered.permission_sets,
            refresh_token: Some(remembered.refresh_token),
            access_tokens: AccessTokens::default(),
        });
    }

    /// The merchant confirms for the account. None if there is no such account.
    ///
    /// The tokens and codes of its earlier authorization end.
    pub(crate) fn authorize(&mut self, now: u64, appid: &str, mint: &mut Mint) -> Option<Grant> {
        let authorizer = self.accounts.get_mut(appid)?;
        self.epochs += 1;
        let permission_sets = authorizer.account.permission_sets.clone();
        let before = authorizer.authorization.as_ref();
        let confirmation = Confirmation::after(before, &permission_sets);
        authorizer.authorization = Some(Authorization {
            epoch: self.epochs,
            auth_time: now,
            confirmation,
            permission_sets,
            refresh_token: None,
            access_tokens: AccessTokens::default(),
        });
        let auth_code = self.make_code(now, appid, mint);
        Some(Grant {
            auth_code,
            expires_at: now + AUTH_CODE_LIFE_SECS,
            confirmation,
        })
    }

    /// A code as a stale notice carries it: known and used.
    pub(crate) fn make_spent_code(&mut self, now: u64, appid: &str, mint: &mut Mint) -> String {
        let value = self.make_code(now, appid, mint);
        if let Some(code) = self.codes.get_mut(&value) {
            code.used = true;
        }
        value
    }

    /// Ends the account's authorization and all its tokens. False if there is none.
    pub(crate) fn revoke(&mut self, appid: &str) -> bool {
        self.accounts
            .get_mut(appid)
            .is_some_and(|authorizer| authorizer.authorization.take().is_some())
    }

    /// Exchanges a code, once.
    ///
    /// An unknown code is refused with 61009. If the code is used or expired, or its authorization
    /// has ended, it is refused with 61010.
    pub(crate) fn query_auth(
        &mut self,
        now: u64,
        code: &str,
        mint: &mut Mint,
    ) -> Result<TokenPair, Refusal> {
        let code = self.codes.get_mut(code).ok_or(Refusal::CODE_INVALID)?;
        let (appid, epoch) = (code.appid.clone(), code.epoch);
        let authorizer = self.accounts.get_mut(&appid);
        let authorizer = authorizer.ok_or(Refusal::CODE_INVALID)?;
        authorizer.status.check()?;
        let authorization = authorizer
            .authorization
            .as_mut()
            .filter(|authorization| authorization.epoch == epoch)
            .filter(|_| !code.used && now < code.expires_at)
            .ok_or(Refusal::CODE_EXPIRED)?;
        code.used = true;
        let refresh_token = mint.refresh_token();
        let access_token = mint.access_token();
        authorization.refresh_token = Some(refresh_token.clone());
        for forgotten in authorization.access_tokens.issue(access_token.clone(), now) {
            self.owners.remove(&forgotten);
        }
        self.owners.insert(access_token.clone(), appid.clone());
        Ok(TokenPair {
            appid,
            access_token,
            refresh_token,
        })
    }

    /// Gives a new access token for a refresh token.
    ///
    /// An account that is not authorized is refused with 61003. A refresh token that is not the
    /// live one is refused with 61023.
    pub(crate) fn authorizer_token(
        &mut self,
        now: u64,
        appid: &str,
        refresh_token: &str,
        mint: &mut Mint,
    ) -> Result<TokenPair, Refusal> {
        let authorization = authorization_mut(&mut self.accounts, appid)?;
        let live = authorization
            .refresh_token
            .as_mut()
            .filter(|live| *live == refresh_token)
            .ok_or(Refusal::REFRESH_TOKEN_INVALID)?;
        if self.rotate_refresh_tokens {
            *live = mint.refresh_token();
        }
        let refresh_token = live.clone();
        let access_token = mint.access_token();
        for forgotten in authorization.access_tokens.issue(access_token.clone(), now) {
            self.owners.remove(&forgotten);
        }
        self.owners.insert(access_token.clone(), appid.to_owned());
        Ok(TokenPair {
            appid: appid.to_owned(),
            access_token,
            refresh_token,
        })
    }

    /// The account and its authorization.
    ///
    /// A text that is no appid is refused with 40013, an account that is not authorized with 61003,
    /// and one that WeChat does not serve by its status.
    pub(crate) fn require(&self, appid: &str) -> Result<(&Account, &Authorization), Refusal> {
        let authorizer = self.accounts.get(appid);
        let authorizer = authorizer.ok_or_else(|| not_authorized(appid))?;
        authorizer.status.check()?;
        let authorization = authorizer.authorization.as_ref();
        let authorization = authorization.ok_or_else(|| not_authorized(appid))?;
        Ok((&authorizer.account, authorization))
    }

    /// The account that this authorization code was made for.
    pub(crate) fn account_of_code(&self, code: &str) -> Option<&str> {
        self.codes.get(code).map(|code| code.appid.as_str())
    }

    /// The account that this access token was given for.
    pub(crate) fn owner(&self, access_token: &str) -> Option<&str> {
        self.owners.get(access_token).map(String::as_str)
    }

    /// The account of this access token. A token that is not good now is refused: 40001 or 42001.
    pub(crate) fn check_token(&self, now: u64, access_token: &str) -> Result<&str, Refusal> {
        let appid = self
            .owner(access_token)
            .ok_or(Refusal::INVALID_CREDENTIAL)?;
        let authorizer = self.accounts.get(appid);
        let authorizer = authorizer.ok_or(Refusal::INVALID_CREDENTIAL)?;
        authorizer.status.check()?;
        let authorization = authorizer.authorization.as_ref();
        authorization
            .ok_or(Refusal::INVALID_CREDENTIAL)?
            .access_tokens
            .check(access_token, now)?;
        Ok(appid)
    }

    fn make_code(&mut self, now: u64, appid: &str, mint: &mut Mint) -> String {
        let value = mint.auth_code();
        self.codes
            .retain(|_, code| code.expires_at + MEMORY_SECS > now);
        let code = AuthCode {
            appid: appid.to_owned(),
            epoch: self.epochs,
            expires_at: now + AUTH_CODE_LIFE_SECS,
            used: false,
        };
        self.codes.insert(value.clone(), code);
        value
    }
}

fn authorization_mut<'a>(
    accounts: &'a mut BTreeMap<String, Authorizer>,
    appid: &str,
) -> Result<&'a mut Authorization, Refusal> {
    let authorizer = accounts.get_mut(appid);
    let authorizer = authorizer.ok_or_else(|| not_authorized(appid))?;
    authorizer.status.check()?;
    let authorization = authorizer.authorization.as_mut();
    authorization.ok_or_else(|| not_authorized(appid))
}

fn not_authorized(appid: &str) -> Refusal {
    if is_appid(appid) {
        Refusal::NOT_AUTHORIZED
    } else {
        Refusal::INVALID_APPID
    }
}

#[cfg(test)]
mod tests {
    use super::super::account::DEMO_APPIDS;
    use super::*;

    const NOW: u64 = 1_700_000_000;
    const SHOP: &str = DEMO_APPIDS[0];

    fn start() -> (Authorizers, Mint) {
        (Authorizers::with_demo_accounts(), Mint::seeded(1))
    }

    fn exchange(authorizers: &mut Authorizers, mint: &mut Mint, now: u64) -> TokenPair {
        let grant = authorizers.authorize(now, SHOP, mint).unwrap();
        authorizers.query_auth(now, &grant.auth_code, mint).unwrap()
    }

    #[test]
    fn a_code_is_exchanged_once_and_within_an_hour() {
        let (mut authorizers, mut mint) = start();
        let late = authorizers
            .authorize(NOW, SHOP, &mut mint)
            .unwrap()
            .auth_code;
        let refused = authorizers
            .query_auth(NOW + 3600, &late, &mut mint)
            .unwrap_err();
        assert_eq!(refused, Refusal::CODE_EXPIRED);
        let pair = authorizers
            .query_auth(NOW + 3599, &late, &mut mint)
            .unwrap();
        assert_eq!(pair.appid, SHOP);
        let refused = authorizers
            .query_auth(NOW + 3599, &late, &mut mint)
            .unwrap_err();
        assert_eq!(refused, Refusal::CODE_EXPIRED);
        let refused = authorizers
            .query_auth(NOW, "preauthcode@@@x", &mut mint)
            .unwrap_err();
        assert_eq!(refused, Refusal::CODE_INVALID);
    }

    #[test]
    fn refreshing_keeps_the_refresh_token_and_overlaps_access_tokens() {
        let (mut authorizers, mut mint) = start();
        let first = exchange(&mut authorizers, &mut mint, NOW);
        let second = authorizers
            .authorizer_token(NOW + 6000, SHOP, &first.refresh_token, &mut mint)
            .unwrap();
        assert_eq!(second.refresh_token, first.refresh_token);
        assert_eq!(
            authorizers.check_token(NOW + 6299, &first.access_token),
            Ok(SHOP)
        );
        let refused = authorizers.check_token(NOW + 6300, &first.access_token);
        assert_eq!(refused, Err(Refusal::INVALID_CREDENTIAL));
        assert_eq!(
            authorizers.check_token(NOW + 13_199, &second.access_token),
            Ok(SHOP)
        );
        let refused = authorizers.check_token(NOW + 13_200, &second.access_token);
        assert_eq!(refused, Err(Refusal::TOKEN_EXPIRED));
    }

    #[test]
    fn rotation_ends_the_previous_refresh_token() {
        let (mut authorizers, mut mint) = start();
        authorizers.rotate_refresh_tokens = true;
        let first = exchange(&mut authorizers, &mut mint, NOW);
        let second = authorizers
            .authorizer_token(NOW, SHOP, &first.refresh_token, &mut mint)
            .unwrap();
        assert_ne!(second.refresh_token, first.refresh_token);
        let refused = authorizers.authorizer_token(NOW, SHOP, &first.refresh_token, &mut mint);
        assert_eq!(refused.unwrap_err(), Refusal::REFRESH_TOKEN_INVALID);
    }

    #[test]
    fn re_authorization_ends_the_old_tokens_and_codes() {
        let (mut authorizers, mut mint) = start();
        let old = exchange(&mut authorizers, &mut mint, NOW);
        let unused = authorizers.authorize(NOW + 10, SHOP, &mut mint).unwrap();
        assert_eq!(unused.confirmation, Confirmation::SameSets);
        let refused = authorizers.check_token(NOW + 10, &old.access_token);
        assert_eq!(refused, Err(Refusal::INVALID_CREDENTIAL));
        let new = exchange(&mut authorizers, &mut mint, NOW + 20);
        assert_ne!(new.refresh_token, old.refresh_token);
        let refused = authorizers.authorizer_token(NOW + 20, SHOP, &old.refresh_token, &mut mint);
        assert_eq!(refused.unwrap_err(), Refusal::REFRESH_TOKEN_INVALID);
        let refused = authorizers.query_auth(NOW + 20, &unused.auth_code, &mut mint);
        assert_eq!(refused.unwrap_err(), Refusal::CODE_EXPIRED);
    }

    #[test]
    fn revocation_ends_everything_at_once() {
        let (mut authorizers, mut mint) = start();
        let old = exchange(&mut authorizers, &mut mint, NOW);
        assert!(authorizers.revoke(SHOP));
        assert!(!authorizers.revoke(SHOP));
        let refused = authorizers.check_token(NOW, &old.access_token);
        assert_eq!(refused, Err(Refusal::INVALID_CREDENTIAL));
        let refused = authorizers.authorizer_token(NOW, SHOP, &old.refresh_token, &mut mint);
        assert_eq!(refused.unwrap_err(), Refusal::NOT_AUTHORIZED);
        let again = authorizers.authorize(NOW, SHOP, &mut mint).unwrap();
        assert_eq!(again.confirmation, Confirmation::New);
    }

    #[test]
    fn an_unexchanged_authorization_has_no_refresh_token() {
        let (mut authorizers, mut mint) = start();
        authorizers.authorize(NOW, SHOP, &mut mint).unwrap();
        let refused = authorizers.authorizer_token(NOW, SHOP, "", &mut mint);
        assert_eq!(refused.unwrap_err(), Refusal::REFRESH_TOKEN_INVALID);
        let (_, authorization) = authorizers.require(SHOP).unwrap();
        assert_eq!(authorization.refresh_token, None);
        assert_eq!(
            authorizers.require("nonsense").err(),
            Some(Refusal::INVALID_APPID)
        );
    }
}
