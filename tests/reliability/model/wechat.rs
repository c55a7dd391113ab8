//! The part of WeChat that issues one authorizer's tokens.

use super::row::{Access, Mark};

/// The authorizer's authorization, if there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Wechat {
    pub(super) grant: Option<Grant>,
}

/// One authorization, until the next one or its revocation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Grant {
    /// The event that began it.
    pub(super) event: u8,
    pub(super) at: u64,
    /// None until the code is exchanged.
    pub(super) refresh: Option<Mark>,
    /// The newest access token, and earlier ones until they expire.
    pub(super) access: Vec<Access>,
    minted: u8,
}

/// WeChat's answer about an authorizer, by its info or the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Told {
    Authorized {
        event: u8,
        at: u64,
        refresh: Option<Mark>,
    },
    /// Not authorized since this revocation.
    NotAuthorized(Option<u8>),
}

/// The two tokens of one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pair {
    pub(super) access: Access,
    pub(super) refresh: Mark,
}

/// WeChat's answer to a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Refreshed {
    Pair(Pair),
    /// 61023.
    Refused,
    /// 61003.
    NotAuthorized,
}

pub(super) const ACCESS_LIFE_SECS: u64 = 7200;
const OVERLAP_SECS: u64 = 300;
const CODE_LIFE_SECS: u64 = 3600;

impl Told {
    pub(super) fn refresh(self) -> Option<Mark> {
        match self {
            Self::Authorized { refresh, .. } => refresh,
            Self::NotAuthorized(_) => None,
        }
    }

    pub(super) fn event(self) -> Option<u8> {
        match self {
            Self::Authorized { event, .. } => Some(event),
            Self::NotAuthorized(_) => None,
        }
    }

    pub(super) fn revocation(self) -> Option<u8> {
        match self {
            Self::Authorized { .. } => None,
            Self::NotAuthorized(revocation) => revocation,
        }
    }
}

impl Wechat {
    /// The merchant authorizes, which ends every earlier token.
    pub(super) fn authorize(&mut self, event: u8, at: u64) {
        self.grant = Some(Grant {
            event,
            at,
            refresh: None,
            access: Vec::new(),
            minted: 0,
        });
    }

    /// `api_query_auth` with the code of an authorization; none if the code is spent or expired.
    pub(super) fn query_auth(&mut self, event: u8, now: u64) -> Option<Pair> {
        let grant = self.grant.as_mut().filter(|grant| {
            grant.event == event && grant.refresh.is_none() && now < grant.at + CODE_LIFE_SECS
        })?;
        grant.refresh = Some(grant.mint());
        grant.issue(now)
    }

    /// `api_authorizer_token`.
    pub(super) fn authorizer_token(&mut self, token: Mark, rotates: bool, now: u64) -> Refreshed {
        let Some(grant) = &mut self.grant else {
            return Refreshed::NotAuthorized;
        };
        if grant.refresh != Some(token) {
            return Refreshed::Refused;
        }
        if rotates {
            grant.refresh = Some(grant.mint());
        }
        grant.issue(now).map_or(Refreshed::Refused, Refreshed::Pair)
    }

    /// `api_get_authorizer_info`, or the entry of `api_get_authorizer_list`.
    pub(super) fn ask(&self, revocation: Option<u8>) -> Told {
        self.grant
            .as_ref()
            .map_or(Told::NotAuthorized(revocation), |grant| Told::Authorized {
                event: grant.event,
                at: grant.at,
                refresh: grant.refresh,
            })
    }

    /// The refresh token that works now.
    pub(super) fn live(&self) -> Option<Mark> {
        self.grant.as_ref().and_then(|grant| grant.refresh)
    }

    /// Until when an access token works.
    pub(super) fn works_until(&self, access: Mark) -> Option<u64> {
        let mut alive = self.grant.iter().flat_map(|grant| &grant.access);
        alive
            .find(|alive| alive.mark == access)
            .map(|alive| alive.until)
    }

    pub(super) fn pass(&mut self, now: u64) {
        if let Some(grant) = &mut self.grant {
            grant.access.retain(|access| now < access.until);
        }
    }
}

impl Grant {
    fn mint(&mut self) -> Mark {
        self.minted += 1;
        Mark {
            grant: self.event,
            number: self.minted,
        }
    }

    /// Issues an access token; earlier ones work for five minutes more at most.
    fn issue(&mut self, now: u64) -> Option<Pair> {
        for old in &mut self.access {
            old.until = old.until.min(now + OVERLAP_SECS);
        }
        let access = Access {
            mark: self.mint(),
            until: now + ACCESS_LIFE_SECS,
        };
        self.access.insert(0, access);
        self.refresh.map(|refresh| Pair { access, refresh })
    }
}
