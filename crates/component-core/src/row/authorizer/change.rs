//! What a sibling can see of a change to a row.

use std::collections::BTreeSet;

use super::{Authorizer, Standing};

/// A change that siblings are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The component may act for the account again, or for the first time; or WeChat serves it again.
    Authorized,
    /// It has other permission sets, or another name, id or reference.
    Updated,
    /// No refresh token works any more.
    ReauthorizationRequired,
    /// The merchant has withdrawn the authorization.
    Revoked,
    /// WeChat limits the account itself; a token that is good is still served.
    Limited,
}

impl Authorizer {
    /// What siblings see when the row becomes `next`; `None` if nothing, as of a renewal.
    pub fn change_to(&self, next: &Self) -> Option<Change> {
        use Standing::{Authorized, ReauthorizationRequired, Revoked};
        match (self.standing, next.standing) {
            (Revoked | ReauthorizationRequired, Authorized) => Some(Change::Authorized),
            (Revoked | Authorized, ReauthorizationRequired) => {
                Some(Change::ReauthorizationRequired)
            }
            (Authorized | ReauthorizationRequired, Revoked) => Some(Change::Revoked),
            (Revoked, Revoked) | (ReauthorizationRequired, ReauthorizationRequired) => None,
            (Authorized, Authorized) => match (self.limited_at, next.limited_at) {
                (None, Some(_)) => Some(Change::Limited),
                (Some(_), None) => Some(Change::Authorized),
                _ => (self.looks() != next.looks()).then_some(Change::Updated),
            },
        }
    }

    /// What siblings see of an authorized account; the order of the sets tells nothing.
    fn looks(&self) -> impl PartialEq + use<'_> {
        let sets: BTreeSet<u64> = self.permission_sets.iter().copied().collect();
        let names = (self.name.as_deref(), self.user_name.as_deref());
        (sets, names, self.reference())
    }
}

#[cfg(test)]
mod tests {
    use component_api::id::AuthorizerAppId;

    use super::*;
    use crate::row::authorizer::Reference;
    use crate::time::Timestamp;

    fn row(standing: Standing) -> Authorizer {
        Authorizer {
            standing,
            permission_sets: vec![1, 2],
            ..Authorizer::unknown(AuthorizerAppId::parse("wxfedcba9876543210").unwrap())
        }
    }

    #[test]
    fn each_change_of_the_standing_is_told_and_none_is_told_twice() {
        use Standing::{Authorized, ReauthorizationRequired, Revoked};
        for (before, after, expected) in [
            (Revoked, Authorized, Some(Change::Authorized)),
            (
                ReauthorizationRequired,
                Authorized,
                Some(Change::Authorized),
            ),
            (Authorized, Authorized, None),
            (Authorized, Revoked, Some(Change::Revoked)),
            (ReauthorizationRequired, Revoked, Some(Change::Revoked)),
            (Revoked, Revoked, None),
            (
                Authorized,
                ReauthorizationRequired,
                Some(Change::ReauthorizationRequired),
            ),
            (
                Revoked,
                ReauthorizationRequired,
                Some(Change::ReauthorizationRequired),
            ),
            (ReauthorizationRequired, ReauthorizationRequired, None),
        ] {
            let change = row(before).change_to(&row(after));
            assert_eq!(change, expected, "{before:?} -> {after:?}");
        }
    }

    #[test]
    fn what_siblings_see_of_an_authorized_account_is_told_when_it_changes() {
        let before = row(Standing::Authorized);
        let reference = |name: &str, at| {
            Some(Reference {
                name: name.to_owned(),
                at: Timestamp::from_secs(at),
                replaced_at: None,
            })
        };
        let named = Authorizer {
            name: Some("a shop".to_owned()),
            ..before.clone()
        };
        let known = Authorizer {
            user_name: Some("gh_1".to_owned()),
            ..before.clone()
        };
        let referred = Authorizer {
            reference: reference("m-42", 1),
            ..before.clone()
        };
        let granted = Authorizer {
            permission_sets: vec![1],
            ..before.clone()
        };
        for next in [&named, &known, &referred, &granted] {
            assert_eq!(before.change_to(next), Some(Change::Updated));
            // The account is not one that siblings act for.
            let gone = |row: &Authorizer| Authorizer {
                standing: Standing::Revoked,
                ..row.clone()
            };
            assert_eq!(gone(&before).change_to(&gone(next)), None);
        }
        let later = Authorizer {
            reference: reference("m-42", 2),
            ..referred.clone()
        };
        assert_eq!(referred.change_to(&later), None);
        let sorted_otherwise = Authorizer {
            permission_sets: vec![2, 1],
            ..before.clone()
        };
        assert_eq!(before.change_to(&sorted_otherwise), None);
    }

    #[test]
    fn a_limit_is_told_beside_the_standing_and_its_end_as_an_authorization() {
        let free = row(Standing::Authorized);
        let limited = Authorizer {
            limited_at: Some(Timestamp::from_secs(1)),
            name: Some("a shop".to_owned()),
            ..free.clone()
        };
        assert_eq!(free.change_to(&limited), Some(Change::Limited));
        assert_eq!(limited.change_to(&limited), None);
        assert_eq!(limited.change_to(&free), Some(Change::Authorized));
        let of_gone = |row: &Authorizer| Authorizer {
            standing: Standing::ReauthorizationRequired,
            ..row.clone()
        };
        assert_eq!(of_gone(&free).change_to(&of_gone(&limited)), None);
    }
}
