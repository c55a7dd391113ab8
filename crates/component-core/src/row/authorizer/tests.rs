//! The rules of a row, each as a sentence.

use component_api::code::Code;

use super::*;
use crate::row::{Cause, Failure, LeaseSlot};
use crate::time::MAX_CLOCK_SKEW;

const T1: Timestamp = Timestamp::from_secs(1_700_000_100);
const T2: Timestamp = Timestamp::from_secs(1_700_000_200);
const T3: Timestamp = Timestamp::from_secs(1_700_000_300);
const NOW: Timestamp = Timestamp::from_secs(1_700_001_000);
const MOMENT: Moment = Moment {
    now: NOW,
    jitter: 0.0,
};
const TWO_HOURS: Duration = Duration::from_hours(2);

fn moment(jitter: f64) -> Moment {
    Moment { now: NOW, jitter }
}

fn unknown() -> Authorizer {
    Authorizer::unknown(AuthorizerAppId::parse("wxfedcba9876543210").unwrap())
}

fn failure(code: Code) -> Failure {
    Failure::after(None, Cause::Other(code), NOW)
}

fn refresh(name: &str) -> Secret<AuthorizerRefreshToken> {
    Secret::parse(name).unwrap()
}

fn access(name: &str) -> Expiring<AuthorizerAccessToken> {
    Expiring {
        secret: Secret::parse(name).unwrap(),
        expires_at: NOW + TWO_HOURS,
    }
}

/// What a code gives.
fn granted(refresh_token: &str) -> GrantedTokens {
    GrantedTokens {
        asked_at: NOW,
        access_token: Some(access("of-the-grant")),
        refresh_token: Secret::parse(refresh_token),
        permission_sets: Some(vec![1, 15]),
    }
}

/// What a refresh token gives.
fn renewal(access_token: &str, refresh_token: &str) -> Renewal {
    Renewal {
        access_token: Issued {
            token: access(access_token),
            asked_at: NOW,
            after_unanswered_try: false,
        },
        refresh_token: refresh(refresh_token),
    }
}

/// A row as the first authorization at [`T1`] leaves it, with the refresh token `r1`.
fn authorized() -> Authorizer {
    authorize(&unknown(), T1, "r1").unwrap()
}

fn authorize(row: &Authorizer, at: Timestamp, refresh_token: &str) -> Option<Authorizer> {
    row.authorize(Evidence::At(at), &granted(refresh_token), MOMENT)
}

#[track_caller]
fn revoked(row: &Authorizer, at: Timestamp) -> Authorizer {
    match row.revoke(at, NOW) {
        Revocation::Tombstone(row) => *row,
        other => panic!("{other:?}"),
    }
}

/// Takes the lease on a row, be it free or held by a caller who is late.
fn leased(row: &Authorizer) -> (Authorizer, Lease) {
    let lease = Lease {
        epoch: row.auth_epoch,
        seq: row.slot.lease.seq + 1,
        token_seq: row.slot.token_seq,
    };
    let slot = LeaseSlot {
        seq: lease.seq,
        until: NOW + Duration::from_secs(20),
    };
    let mut row = row.clone();
    row.slot.lease = slot;
    (row, lease)
}

/// The refresh tokens of a row, the one to use first.
#[track_caller]
fn check_tokens(row: &Authorizer, expected: &[&str]) {
    let candidates = row.candidates();
    let tokens: Vec<_> = candidates.iter().map(Secret::expose).collect();
    assert_eq!(tokens, expected);
}

#[track_caller]
fn check_access(row: &Authorizer, expected: &str) {
    let token = row.slot.token.as_ref().map(|token| token.secret.expose());
    assert_eq!(token, Some(expected));
}

// The order of notices.

#[derive(Clone, Copy, Debug)]
enum Told {
    Authorized(Timestamp, &'static str),
    Unauthorized(Timestamp),
}

#[track_caller]
fn after(notices: &[Told]) -> Authorizer {
    notices.iter().fold(unknown(), |row, notice| match *notice {
        Told::Authorized(at, token) => authorize(&row, at, token).unwrap_or(row),
        Told::Unauthorized(at) => match row.revoke(at, NOW) {
            Revocation::Tombstone(row) => *row,
            Revocation::Ignore => row,
            Revocation::Ask => panic!("no two of these bear the same second"),
        },
    })
}

/// Every order in which three things can come.
fn orders<T: Copy>([a, b, c]: [T; 3]) -> [[T; 3]; 6] {
    [
        [a, b, c],
        [a, c, b],
        [b, a, c],
        [b, c, a],
        [c, a, b],
        [c, b, a],
    ]
}

#[test]
fn notices_are_ordered_by_wechats_clock_however_they_arrive() {
    for notices in orders([
        Told::Authorized(T1, "r1"),
        Told::Unauthorized(T2),
        Told::Authorized(T3, "r3"),
    ]) {
        let row = after(&notices);
        let end = (row.standing, row.auth_epoch, row.refresh_token);
        let expected = (Standing::Authorized, T3, Some(refresh("r3")));
        assert_eq!(end, expected, "{notices:?}");
    }
}

#[test]
fn the_last_revocation_stands_however_notices_arrive() {
    for notices in orders([
        Told::Unauthorized(T1),
        Told::Authorized(T2, "r2"),
        Told::Unauthorized(T3),
    ]) {
        let row = after(&notices);
        let end = (row.standing, row.revoked_at, row.slot.token, row.due_at);
        assert_eq!(end, (Standing::Revoked, T3, None, None), "{notices:?}");
    }
}

#[test]
fn a_revocation_in_the_second_of_the_authorization_asks() {
    assert_eq!(authorized().revoke(T1, NOW), Revocation::Ask);
    let before = T1 - Duration::from_secs(1);
    assert_eq!(authorized().revoke(before, NOW), Revocation::Ignore);
}

#[test]
fn an_authorization_in_the_second_of_the_revocation_is_taken() {
    let row = authorize(&revoked(&unknown(), T2), T2, "r2").unwrap();
    assert_eq!(row.standing, Standing::Authorized);
    // Which came last WeChat is asked, before a token is handed out.
    assert_eq!((&row.slot.token, row.due_at), (&None, Some(NOW)));
    // The same revocation, pushed again, is known.
    assert_eq!(row.revoke(T2, NOW), Revocation::Ignore);
}

#[test]
fn a_revocation_that_comes_before_any_authorization_keeps_older_ones_out() {
    let tombstone = revoked(&unknown(), T2);
    assert_eq!(tombstone.standing, Standing::Revoked);
    assert_eq!(authorize(&tombstone, T1, "r1"), None);
}

#[test]
fn a_known_revocation_is_not_taken_twice() {
    let tombstone = revoked(&authorized(), T2);
    assert_eq!(tombstone.revoke(T2, NOW), Revocation::Ignore);
    assert_eq!(tombstone.revoke(T1, NOW), Revocation::Ignore);
    assert_eq!(revoked(&tombstone, T3).revoked_at, T3);
}

#[test]
fn a_tombstone_is_forgotten_after_ninety_days_and_an_authorization_never() {
    let tombstone = Authorizer {
        generation: 1,
        ..revoked(&authorized(), T2)
    };
    let end = NOW + Duration::from_hours(90 * 24);
    assert_eq!(tombstone.ttl, Some(end));
    assert!(tombstone.is_forgotten(end));
    assert!(!tombstone.is_forgotten(end - Duration::from_secs(1)));
    assert_eq!(authorize(&tombstone, T3, "r3").unwrap().ttl, None);
    assert!(unknown().is_forgotten(NOW));
}

#[test]
fn a_new_authorization_takes_over_and_keeps_the_token_before_it() {
    let (row, lease) = leased(&authorized());
    let row = authorize(&row, T2, "r2").unwrap();
    assert_eq!((row.standing, row.auth_epoch), (Standing::Authorized, T2));
    check_tokens(&row, &["r2", "r1"]);
    check_access(&row, "of-the-grant");
    assert_eq!(row.permission_sets, [1, 15]);
    assert_eq!(row.slot.lease.until, Timestamp::default());
    assert!(row.slot.lease.seq > lease.seq);
}

#[test]
fn an_older_authorization_does_not_take_over() {
    let row = authorize(&authorized(), T2, "r2").unwrap();
    assert_eq!(authorize(&row, T1, "r1"), None);
}

#[test]
fn an_authorization_without_a_refresh_token_keeps_the_one_that_is_there() {
    let row = authorize(&authorized(), T2, "").unwrap();
    check_tokens(&row, &["r1"]);
    assert_eq!(row.standing, Standing::Authorized);
}

#[test]
fn an_authorization_that_never_gave_a_refresh_token_must_be_given_again() {
    let row = authorize(&unknown(), T1, "").unwrap();
    assert_eq!(row.standing, Standing::ReauthorizationRequired);
    assert_eq!(row.due_at, None);
}

// A browser's return, and the notice after it.

fn returned(row: &Authorizer, since: Timestamp, until: Timestamp) -> Option<Authorizer> {
    let evidence = Evidence::Since {
        since,
        newer_than: until,
    };
    row.authorize(evidence, &granted("r2"), MOMENT)
}

#[test]
fn a_browsers_return_counts_from_the_beginning_of_its_way() {
    let row = returned(&unknown(), T1, T2).unwrap();
    assert_eq!((row.standing, row.auth_epoch), (Standing::Authorized, T1));
    let row = row.confirm(T2).unwrap();
    assert_eq!((row.standing, row.auth_epoch), (Standing::Authorized, T2));
}

#[test]
fn a_browsers_return_does_not_set_the_clock_back() {
    let row = authorize(&unknown(), T2, "r1").unwrap();
    assert_eq!(returned(&row, T1, T2).unwrap().auth_epoch, T2);
}

#[test]
fn a_browsers_return_passes_only_the_revocations_that_it_is_known_to_follow() {
    let tombstone = revoked(&authorized(), T2);
    assert_eq!(returned(&tombstone, T1, T1), None);
    let row = returned(&tombstone, T1, T2).unwrap();
    assert_eq!((row.standing, row.auth_epoch), (Standing::Authorized, T2));
    check_tokens(&row, &["r2", "r1"]);
}

#[test]
fn what_a_browser_brings_to_a_tombstone_is_kept_but_brings_nothing_back() {
    let tombstone = revoked(&authorized(), T2);
    let row = tombstone.beside(&refresh("r2")).unwrap();
    assert_eq!((row.standing, row.due_at), (Standing::Revoked, None));
    check_tokens(&row, &["r1", "r2"]);
    assert_eq!(row.beside(&refresh("r2")), None);
}

#[test]
fn a_browsers_code_that_may_be_newer_ends_the_trust_in_what_stands() {
    let row = authorize(&authorized(), T2, "r2").unwrap();
    let (row, lease) = leased(&row);
    let evidence = Evidence::Since {
        since: T1,
        newer_than: T1,
    };
    let declined = |row: &Authorizer| row.declined(evidence, &granted("r3"), MOMENT);
    assert_eq!(row.authorize(evidence, &granted("r3"), MOMENT), None);
    let row = declined(&row).unwrap();
    let stands = (row.standing, row.auth_epoch, row.due_at);
    let end = NOW + Duration::from_secs(20);
    assert_eq!(stands, (Standing::Authorized, T2, Some(end)));
    assert_eq!((&row.slot.token, row.slot.lease.until), (&None, end));
    check_tokens(&row, &["r2", "r3", "r1"]);
    // Nor does an answer count that was asked for before.
    let row = row
        .renewed(lease, &renewal("a2", "r2"), &[], MOMENT)
        .unwrap();
    assert_eq!(row.slot.token, None);

    let given_up = Authorizer {
        refresh_token: None,
        history: Vec::new(),
        standing: Standing::ReauthorizationRequired,
        slot: TokenSlot {
            lease: LeaseSlot::default(),
            ..row.slot.clone()
        },
        ..row
    };
    assert_eq!(declined(&given_up).unwrap().due_at, Some(NOW));
    assert_eq!(
        given_up.declined(Evidence::At(T1), &granted("r3"), MOMENT),
        None
    );
}

#[test]
fn an_answer_by_a_refresh_token_that_was_named_before_it_was_stored_makes_the_row_due() {
    let (row, lease) = leased(&authorized());
    let row = authorize(&row, T2, "r2").unwrap();
    let due = row
        .renewed(lease, &renewal("a2", "r2"), &[], MOMENT)
        .unwrap();
    assert_eq!(due.slot.token, row.slot.token);
    assert_eq!(due.due_at, Some(Timestamp::default()));
    assert!(due.slot.token_seq < due.slot.lease.seq);
    assert_eq!(row.renewed(lease, &renewal("a1", "r1"), &[], MOMENT), None);
}

#[test]
fn a_tombstone_is_not_confirmed() {
    let row = returned(&unknown(), T1, T1).unwrap();
    assert_eq!(revoked(&row, T2).confirm(T3), None);
    assert_eq!(unknown().confirm(T3), None);
}

#[test]
fn an_answer_that_was_under_way_when_the_notice_came_still_counts() {
    let (row, lease) = leased(&returned(&unknown(), T1, T1).unwrap());
    let row = row.confirm(T2).unwrap();
    let row = row
        .renewed(lease, &renewal("a2", "r2"), &[], MOMENT)
        .unwrap();
    assert_eq!(row.auth_epoch, T2);
    check_tokens(&row, &["r2"]);
}

#[test]
fn an_answer_that_was_under_way_during_another_authorization_counts_no_more() {
    let (row, lease) = leased(&authorized());
    let row = authorize(&row, T2, "r2").unwrap().confirm(T3).unwrap();
    assert_eq!(row.renewed(lease, &renewal("a3", "r3"), &[], MOMENT), None);
}

#[test]
fn a_confirmation_that_tells_nothing_new_changes_nothing() {
    assert_eq!(authorized().confirm(T1), None);
    let row = authorize(&authorized(), T2, "r2").unwrap();
    assert_eq!(row.confirm(T1), None);
    let tombstone = revoked(&row, T3);
    assert_eq!(tombstone.confirm(T2), None);
}

/// What a code gave that WeChat was asked for so long before [`NOW`].
fn granted_before(refresh_token: &str, secs: u64) -> GrantedTokens {
    let age = Duration::from_secs(secs);
    let of_then = Expiring {
        expires_at: NOW + TWO_HOURS - age,
        ..access("of-then")
    };
    GrantedTokens {
        asked_at: NOW - age,
        access_token: Some(of_then),
        ..granted(refresh_token)
    }
}

#[test]
fn what_was_asked_for_earlier_is_kept_beside_what_stands() {
    let row = authorized();
    for evidence in [
        Evidence::At(T2),
        Evidence::Since {
            since: T1,
            newer_than: T2,
        },
    ] {
        let late = granted_before("r-late", 1);
        let row = row.authorize(evidence, &late, MOMENT).unwrap();
        check_access(&row, "of-the-grant");
        check_tokens(&row, &["r1", "r-late"]);
    }
}

#[test]
fn a_renewal_in_the_second_of_the_exchange_leaves_a_doubt_which_is_newer() {
    let row = listed(&unknown(), T1, "r1").unwrap();
    let (row, lease) = leased(&row);
    let row = row
        .renewed(lease, &renewal("a2", "r1"), &[], MOMENT)
        .unwrap();
    check_in_doubt(&authorize(&row, T1, "r1").unwrap());
    let of_another = authorize(&row, T2, "r2").unwrap();
    assert!(of_another.due_at > Some(NOW));
}

#[test]
fn a_browsers_return_does_not_pass_an_authorization_that_may_be_newer() {
    let row = authorize(&unknown(), T3, "r3").unwrap();
    assert_eq!(returned(&row, T1, T2), None);
}

#[test]
fn a_code_that_was_exchanged_before_a_denial_raises_the_row_only_to_ask_again() {
    let (row, lease) = leased(&authorized());
    let tombstone = row.denied(lease, NOW).unwrap();
    let evidence = Evidence::At(T2);
    let late = tombstone.authorize(evidence, &granted_before("r2", 1), MOMENT);
    let late = late.unwrap();
    assert_eq!(late.standing, Standing::Authorized);
    assert_eq!(late.slot.token, None);
    let after = GrantedTokens {
        asked_at: NOW + Duration::from_secs(1),
        ..granted("r2")
    };
    let after = tombstone.authorize(evidence, &after, MOMENT).unwrap();
    check_access(&after, "of-the-grant");
}

#[test]
fn a_grant_beside_an_unused_token_of_the_list_leaves_it_to_the_ladder() {
    let row = listed(&unknown(), T1, "r-listed").unwrap();
    let row = authorize(&row, T2, "r2").unwrap();
    check_tokens(&row, &["r2", "r-listed"]);
    assert_eq!((row.slot.token, row.due_at), (None, Some(NOW)));
}

#[test]
fn a_token_that_wechat_merely_names_again_leaves_the_access_token_alone() {
    let named = GrantedTokens {
        refresh_token: Some(refresh("r1")),
        ..GrantedTokens::default()
    };
    let evidence = Evidence::At(T2);
    let row = authorized().authorize(evidence, &named, MOMENT).unwrap();
    assert_eq!(row.auth_epoch, T2);
    check_access(&row, "of-the-grant");
}

#[test]
fn a_call_under_way_while_a_code_is_exchanged_is_waited_out_and_leaves_a_doubt() {
    let (row, _lease) = leased(&listed(&unknown(), T1, "r1").unwrap());
    let row = authorize(&row, T1, "r1").unwrap();
    let end = NOW + Duration::from_secs(20);
    assert_eq!((row.slot.lease.until, row.due_at), (end, Some(end)));
    assert!(row.slot.token_seq < row.slot.lease.seq);
    assert_eq!(row.slot.doubted_from, Some(NOW + OVERLAP));
}

// What WeChat says when it is asked.

#[test]
fn an_authorizer_that_wechat_denies_is_revoked_but_a_later_authorization_passes() {
    let (row, lease) = leased(&authorized());
    let tombstones = [row.denied(lease, NOW), row.vanished(&authorized(), NOW)];
    for tombstone in tombstones.map(Option::unwrap) {
        let end = (tombstone.standing, tombstone.revoked_at);
        assert_eq!(end, (Standing::Revoked, T1));
        assert_eq!(tombstone.slot.lease.until, Timestamp::default());
        let row = authorize(&tombstone, T2, "r2").unwrap();
        assert_eq!(row.standing, Standing::Authorized);
    }
}

#[test]
fn a_denial_counts_though_the_notice_of_the_same_authorization_came_meanwhile() {
    let (row, lease) = leased(&returned(&unknown(), T1, T1).unwrap());
    let tombstone = row.confirm(T2).unwrap().denied(lease, NOW).unwrap();
    assert_eq!(
        (tombstone.standing, tombstone.revoked_at),
        (Standing::Revoked, T2)
    );
}

#[test]
fn a_denial_of_another_authorization_changes_nothing() {
    let (row, lease) = leased(&authorized());
    // Even one that a browser brought within the same epoch.
    for newer in [
        authorize(&row, T2, "r2").unwrap(),
        returned(&row, T1, T1).unwrap(),
    ] {
        assert_eq!(newer.denied(lease, NOW), None);
        assert_eq!(newer.vanished(&row, NOW), None);
    }
    let tombstone = revoked(&row, T3);
    assert_eq!(tombstone.denied(lease, NOW), None);
    assert_eq!(tombstone.vanished(&tombstone, NOW), None);
}

fn listed(row: &Authorizer, auth_time: Timestamp, token: &str) -> Option<Authorizer> {
    row.listed(auth_time, Secret::parse(token).as_ref(), MOMENT)
}

#[test]
fn the_list_adds_who_is_not_known() {
    let row = listed(&unknown(), T1, "r1").unwrap();
    assert_eq!(row.standing, Standing::Authorized);
    check_tokens(&row, &["r1"]);
    assert_eq!(row.due_at, Some(NOW));
}

#[test]
fn the_notice_is_taken_even_if_the_list_dates_its_authorization_a_little_later() {
    let row = listed(&unknown(), T1 + MAX_CLOCK_SKEW, "").unwrap();
    let row = authorize(&row, T1, "r1").unwrap();
    assert_eq!((row.standing, row.auth_epoch), (Standing::Authorized, T1));
    check_tokens(&row, &["r1"]);
}

#[test]
fn the_list_adds_one_whose_code_was_never_exchanged_as_one_to_authorize_again() {
    let row = listed(&unknown(), T1, "").unwrap();
    assert_eq!(row.standing, Standing::ReauthorizationRequired);
}

#[test]
fn the_list_changes_nothing_that_it_agrees_with() {
    assert_eq!(listed(&authorized(), T1, "r1"), None);
    assert_eq!(listed(&authorized(), T2, "r1"), None);
    let (row, lease) = leased(&authorized());
    let row = row
        .renewed(lease, &renewal("a2", "r2"), &[], MOMENT)
        .unwrap();
    assert_eq!(listed(&row, T1, "r1"), None);
}

#[test]
fn an_entry_without_a_token_changes_no_authorization_but_a_younger_one_ends_the_trust_in_its_access_token()
 {
    assert_eq!(listed(&authorized(), T1, ""), None);
    assert_eq!(listed(&given_up(), T3, ""), None);
    let mut older = authorized();
    older.slot.token.as_mut().unwrap().expires_at = T3 + Duration::from_secs(7199);
    let row = listed(&older, T3, "").unwrap();
    let (standing, refresh_token) = (authorized().standing, authorized().refresh_token);
    assert_eq!(
        (row.standing, row.refresh_token.clone()),
        (standing, refresh_token)
    );
    assert_eq!(
        (row.slot.token.as_ref(), row.auth_epoch),
        (None, authorized().auth_epoch)
    );
    assert!(row.due_at.is_some());
}

#[test]
fn the_list_repairs_a_lost_authorization() {
    let row = listed(&authorized(), T2, "r2").unwrap();
    assert_eq!(row.standing, Standing::Authorized);
    assert!(T1 < row.auth_epoch && row.auth_epoch <= T2);
    check_tokens(&row, &["r2", "r1"]);
    assert_eq!((row.slot.token, row.due_at), (None, Some(NOW)));
}

#[test]
fn a_token_that_the_list_adds_to_a_standing_authorization_is_kept_beside() {
    let row = listed(&authorized(), T1, "r2").unwrap();
    check_tokens(&row, &["r1", "r2"]);
    check_access(&row, "of-the-grant");
}

#[test]
fn a_token_in_the_list_brings_back_one_that_had_to_authorize_again() {
    let row = listed(&given_up(), T1, "r2").unwrap();
    assert_eq!(row.standing, Standing::Authorized);
    check_tokens(&row, &["r2"]);
    assert!(row.due_at.is_some());
}

#[test]
fn the_list_resurrects_only_what_it_dates_after_the_revocation() {
    let tombstone = revoked(&authorized(), T2);
    assert_eq!(listed(&tombstone, T1, "r1"), None);
    for auth_time in [T2, T3] {
        let row = listed(&tombstone, auth_time, "r2").unwrap();
        assert_eq!(row.standing, Standing::Authorized);
        check_tokens(&row, &["r2", "r1"]);
    }
}

#[test]
fn the_list_resurrects_what_wechat_denied_hours_ago_whatever_second_it_names() {
    let hours = Duration::from_hours(2);
    let (row, lease) = leased(&authorize(&authorized(), T2, "r2").unwrap());
    let tombstone = row.denied(lease, NOW - hours).unwrap();
    let row = listed(&tombstone, T1, "r2").unwrap();
    assert_eq!((row.standing, row.auth_epoch), (Standing::Authorized, T2));
    check_tokens(&row, &["r2", "r1"]);
    // A page of the list may be older than a denial of now.
    let (row, lease) = leased(&authorize(&authorized(), T2, "r2").unwrap());
    assert_eq!(listed(&row.denied(lease, NOW).unwrap(), T1, "r2"), None);
}

// Renewals.

/// A row whose only refresh token WeChat has refused.
fn given_up() -> Authorizer {
    let (row, lease) = leased(&authorized());
    let row = row.exhausted(lease, &[refresh("r1")], NOW).unwrap();
    assert_eq!(row.standing, Standing::ReauthorizationRequired);
    row
}

#[test]
fn a_renewal_replaces_the_access_token_and_frees_the_lease() {
    let mut failed = authorized();
    failed.failures = 3;
    failed.slot.failure = Some(failure(Code::WechatUnavailable));
    let (row, lease) = leased(&failed);
    let row = row
        .renewed(lease, &renewal("a2", "r1"), &[], MOMENT)
        .unwrap();
    check_access(&row, "a2");
    check_tokens(&row, &["r1"]);
    assert_eq!(row.slot.lease.until, Timestamp::default());
    assert_eq!(
        (row.slot.token_seq, row.failures, row.slot.failure),
        (lease.seq, 0, None)
    );
}

#[test]
fn a_rotated_refresh_token_is_used_from_now_on_and_the_one_before_is_kept() {
    let (row, lease) = leased(&authorized());
    let row = row
        .renewed(lease, &renewal("a2", "r2"), &[], MOMENT)
        .unwrap();
    check_tokens(&row, &["r2", "r1"]);
    let (row, lease) = leased(&row);
    let row = row
        .renewed(lease, &renewal("a3", "r1"), &[], MOMENT)
        .unwrap();
    check_tokens(&row, &["r1", "r2"]);
}

#[test]
fn a_late_answer_of_an_older_authorization_changes_nothing() {
    let (row, lease) = leased(&authorized());
    let row = authorize(&row, T2, "r2").unwrap();
    assert_eq!(row.renewed(lease, &renewal("a", "r"), &[], MOMENT), None);
    assert_eq!(row.exhausted(lease, &[refresh("r2")], NOW), None);
    let (row, _) = leased(&row);
    assert_eq!(set_back(&row, lease, Setback::Account), row);
}

#[test]
fn the_access_token_of_the_highest_lease_wins_and_no_refresh_token_is_lost() {
    let (row, slow) = leased(&authorized());
    let (row, fast) = leased(&row);
    let (of_slow, of_fast) = (renewal("a-slow", "r-slow"), renewal("a-fast", "r-fast"));

    let fast_first = row.renewed(fast, &of_fast, &[], MOMENT).unwrap();
    let end = fast_first.renewed(slow, &of_slow, &[], MOMENT).unwrap();
    check_access(&end, "a-fast");
    check_tokens(&end, &["r-fast", "r-slow", "r1"]);

    let slow_first = row.renewed(slow, &of_slow, &[], MOMENT).unwrap();
    assert_eq!(
        slow_first.slot.lease, row.slot.lease,
        "the lease is another's"
    );
    let end = slow_first.renewed(fast, &of_fast, &[], MOMENT).unwrap();
    check_access(&end, "a-fast");
    check_tokens(&end, &["r-fast", "r-slow", "r1"]);
}

/// Makes the refresher renew, whatever the stored token says of itself, and all other callers in
/// five minutes.
#[track_caller]
fn check_in_doubt(row: &Authorizer) {
    assert!(row.slot.token_seq < row.slot.lease.seq && row.due_at <= Some(NOW));
    assert_eq!(row.slot.doubted_from, Some(NOW + OVERLAP));
}

#[test]
fn answers_of_calls_that_overlapped_leave_a_doubt_which_is_newest() {
    let (row, slow) = leased(&authorized());
    let (row, fast) = leased(&row);
    let (of_slow, of_fast) = (renewal("a-slow", "r1"), renewal("a-fast", "r1"));
    let fast_first = row.renewed(fast, &of_fast, &[], MOMENT).unwrap();
    assert!(fast_first.due_at > Some(NOW));
    check_in_doubt(&fast_first.renewed(slow, &of_slow, &[], MOMENT).unwrap());
    let slow_first = row.renewed(slow, &of_slow, &[], MOMENT).unwrap();
    check_in_doubt(&slow_first.renewed(fast, &of_fast, &[], MOMENT).unwrap());
}

#[test]
fn an_answer_after_a_try_without_one_leaves_the_same_doubt() {
    let (row, lease) = leased(&authorized());
    let mut answer = renewal("a2", "r1");
    answer.access_token.after_unanswered_try = true;
    let row = row.renewed(lease, &answer, &[], MOMENT).unwrap();
    check_access(&row, "a2");
    check_in_doubt(&row);
}

#[test]
fn the_next_renewal_ends_a_doubt() {
    let (row, slow) = leased(&authorized());
    let (row, fast) = leased(&row);
    let row = row
        .renewed(fast, &renewal("a2", "r1"), &[], MOMENT)
        .unwrap();
    let row = row
        .renewed(slow, &renewal("a1", "r1"), &[], MOMENT)
        .unwrap();
    let (row, lease) = leased(&row);
    let row = row
        .renewed(lease, &renewal("a3", "r1"), &[], MOMENT)
        .unwrap();
    assert_eq!(row.slot.token_seq, row.slot.lease.seq);
    assert!(row.due_at > Some(NOW) && row.slot.doubted_from.is_none());
}

#[test]
fn a_lease_whose_holder_is_not_heard_of_makes_the_row_due_when_it_ends() {
    let until = NOW + Duration::from_secs(20);
    let slot = LeaseSlot { seq: 2, until };
    assert_eq!(authorized().leased(slot, NOW).due_at, Some(until));
    let due = Authorizer {
        due_at: Some(NOW),
        ..authorized()
    };
    assert_eq!(due.leased(slot, NOW).due_at, Some(NOW));
    assert_eq!(given_up().leased(slot, NOW).due_at, None);
}

#[test]
fn the_doubt_that_a_lost_holder_leaves_stays_until_a_later_lease_has_its_answer() {
    let (row, lost) = leased(&authorized());
    let slot = LeaseSlot {
        seq: lost.seq + 1,
        until: row.slot.lease.until + MAX_JITTER,
    };
    let row = row.leased(slot, row.slot.lease.until);
    assert!(row.slot.doubted_from.is_some());
    let next = Lease {
        seq: slot.seq,
        ..lost
    };
    let answer = renewal("a2", "r1");
    let overtaken = row.renewed(lost, &answer, &[], MOMENT).unwrap();
    assert_eq!(
        overtaken.slot.doubted_from, row.slot.doubted_from,
        "taken up late"
    );
    let renewed = row.renewed(next, &answer, &[], MOMENT).unwrap();
    assert_eq!(renewed.slot.doubted_from, None);
    // A holder that gave its lease back leaves none.
    assert_eq!(renewed.leased(slot, slot.until).slot.doubted_from, None);
}

#[test]
fn an_answer_leaves_the_row_due_for_the_holder_of_a_later_lease() {
    let (row, early) = leased(&authorized());
    let (row, late) = leased(&row);
    let row = set_back(&row, late, Setback::Account);
    let retry_at = NOW + Duration::from_secs(30);
    let row = row
        .renewed(early, &renewal("a2", "r1"), &[], MOMENT)
        .unwrap();
    check_access(&row, "a2");
    assert_eq!(row.due_at, Some(retry_at));
}

#[test]
fn a_holder_is_overtaken_by_a_later_answer() {
    let (row, slow) = leased(&authorized());
    let (row, fast) = leased(&row);
    assert!(!row.is_overtaken(slow));
    let row = row
        .renewed(fast, &renewal("a2", "r1"), &[], MOMENT)
        .unwrap();
    assert!(row.is_overtaken(slow) && !row.is_overtaken(fast));
}

#[test]
fn refused_tokens_are_dropped_and_the_next_takes_over() {
    let row = authorize(&authorize(&authorized(), T2, "r2").unwrap(), T3, "r3").unwrap();
    check_tokens(&row, &["r3", "r2", "r1"]);
    let (row, lease) = leased(&row);
    let answer = renewal("a", "r1");
    let refused = [refresh("r3"), refresh("r2")];
    check_tokens(
        &row.renewed(lease, &answer, &refused, MOMENT).unwrap(),
        &["r1"],
    );
    check_tokens(
        &row.exhausted(lease, &refused[..1], NOW).unwrap(),
        &["r2", "r1"],
    );
    check_tokens(
        &row.exhausted(lease, &refused[1..], NOW).unwrap(),
        &["r3", "r1"],
    );
}

#[test]
fn an_authorizer_is_given_up_only_when_nothing_untried_is_left() {
    let (row, slow) = leased(&authorized());
    let (row, fast) = leased(&row);
    let renewed = row
        .renewed(fast, &renewal("a2", "r2"), &[], MOMENT)
        .unwrap();
    let row = renewed.exhausted(slow, &[refresh("r1")], NOW).unwrap();
    assert_eq!(
        (row.standing, row.due_at),
        (Standing::Authorized, Some(NOW))
    );
    check_tokens(&row, &["r2"]);

    let (row, lease) = leased(&row);
    let row = row.exhausted(lease, &[refresh("r2")], NOW).unwrap();
    let end = (row.standing, row.due_at);
    assert_eq!(end, (Standing::ReauthorizationRequired, None));
    check_tokens(&row, &[]);
}

#[test]
fn a_token_that_comes_after_the_row_was_given_up_brings_it_back() {
    let (row, slow) = leased(&authorized());
    let (row, fast) = leased(&row);
    let row = row
        .renewed(fast, &renewal("a2", "r1"), &[], MOMENT)
        .unwrap();
    let (row, last) = leased(&row);
    let row = row.exhausted(last, &[refresh("r1")], NOW).unwrap();
    assert_eq!(row.standing, Standing::ReauthorizationRequired);

    let row = row
        .renewed(slow, &renewal("a-slow", "r-slow"), &[], MOMENT)
        .unwrap();
    check_tokens(&row, &["r-slow"]);
    check_access(&row, "a2");
    assert_eq!(row.standing, Standing::Authorized);
    assert!(row.due_at.is_some());
}

#[test]
fn an_answer_brings_back_a_row_that_an_earlier_lease_gave_up() {
    let (row, slow) = leased(&authorized());
    let (row, fast) = leased(&row);
    let row = row.exhausted(slow, &[refresh("r1")], NOW).unwrap();
    let row = row
        .renewed(fast, &renewal("a2", "r2"), &[], MOMENT)
        .unwrap();
    assert_eq!(row.standing, Standing::Authorized);
    check_tokens(&row, &["r2"]);
}

#[test]
fn a_renewal_does_not_bring_back_a_revoked_row() {
    let (row, early) = leased(&authorized());
    let (tombstone, late) = leased(&revoked(&row, T2));
    for lease in [early, late] {
        let row = tombstone
            .renewed(lease, &renewal("a2", "r2"), &[], MOMENT)
            .unwrap();
        let end = (row.standing, &row.slot.token, row.due_at);
        assert_eq!(end, (Standing::Revoked, &None, None));
        check_tokens(&row, &["r1", "r2"]);
        let row = tombstone.exhausted(lease, &[refresh("r1")], NOW).unwrap();
        assert_eq!(row.standing, Standing::Revoked);
    }
}

#[test]
fn the_history_is_bounded_and_the_oldest_token_goes_first() {
    let mut row = authorized();
    for round in 2..100 {
        let (leased, lease) = leased(&row);
        let answer = renewal("a", &format!("r{round}"));
        row = leased.renewed(lease, &answer, &[], MOMENT).unwrap();
    }
    let tokens = row.candidates();
    assert_eq!(tokens.len(), 1 + MAX_HISTORY);
    assert_eq!(tokens.first(), Some(&refresh("r99")));
    assert_eq!(tokens.last(), Some(&refresh("r67")));
}

// Failures and due times.

/// The row once the holder of `lease` has given up because of `setback`.
fn set_back(row: &Authorizer, lease: Lease, setback: Setback) -> Authorizer {
    row.failed(lease, &failure(Code::WechatUnavailable), setback, MOMENT)
}

/// The row after renewals that failed alike, and how long after each of them the next try comes.
fn set_back_times(setback: Setback, times: usize) -> (Authorizer, Vec<u64>) {
    let mut row = authorized();
    let mut waits = Vec::new();
    for _time in 0..times {
        let (leased, lease) = leased(&row);
        row = set_back(&leased, lease, setback);
        waits.extend(row.due_at.map(|due_at| NOW.until(due_at).as_secs()));
    }
    (row, waits)
}

const CONTRADICTED: Setback = Setback::Contradicted {
    denied_once_at: None,
};

const COMPONENT: Setback = Setback::Component { until: None };

#[test]
fn a_failure_backs_off_and_keeps_what_is_there() {
    let (row, lease) = leased(&authorized());
    let failed = set_back(&row, lease, Setback::Account);
    let later = NOW + Duration::from_secs(30);
    assert_eq!((failed.failures, failed.due_at), (1, Some(later)));
    assert_eq!(failed.slot.failure, Some(failure(Code::WechatUnavailable)));
    assert_eq!(failed.slot.lease.until, Timestamp::default());
    assert_eq!(failed.standing, Standing::Authorized);
    assert_eq!(failed.candidates(), row.candidates());
    assert_eq!(failed.slot.token, row.slot.token);
}

#[test]
fn a_failure_of_the_component_puts_the_row_off_a_little_and_is_not_counted_against_it() {
    let (row, waits) = set_back_times(COMPONENT, 3);
    assert_eq!((row.failures, waits), (0, vec![30, 30, 30]));
    let next_minute = NOW + Duration::from_mins(1);
    let until = Some(next_minute);
    let (row, _) = set_back_times(Setback::Component { until }, 1);
    assert_eq!(row.due_at, Some(next_minute));
}

#[test]
fn a_limited_account_is_tried_slowly_and_authorized_all_the_while() {
    let (row, waits) = set_back_times(Setback::Limited, 5);
    assert_eq!(waits, [900, 1800, 5400, 10_800, 10_800]);
    assert_eq!(row.standing, Standing::Authorized);
    assert_eq!(row.limited_at, Some(NOW));
    let (row, lease) = leased(&row);
    let row = row
        .renewed(lease, &renewal("a2", "r1"), &[], MOMENT)
        .unwrap();
    assert_eq!((row.limited_at, row.failures), (None, 0));
}

#[test]
fn an_account_of_which_wechat_contradicts_itself_is_kept_for_a_day() {
    let (row, waits) = set_back_times(CONTRADICTED, 6);
    assert_eq!(waits, [300, 900, 3600, 10_800, 21_600, 21_600]);
    assert_eq!(row.standing, Standing::Authorized);
    assert_eq!(row.contradicted_since, Some(NOW));
    let fail = |hours| {
        let (row, lease) = leased(&row);
        let moment = Moment {
            now: NOW + Duration::from_hours(hours),
            jitter: 0.0,
        };
        row.failed(lease, &failure(Code::WechatRejected), CONTRADICTED, moment)
    };
    assert_eq!(fail(23).standing, Standing::Authorized);
    let given_up = fail(24);
    assert_eq!(given_up.standing, Standing::ReauthorizationRequired);
    assert_eq!(given_up.due_at, None);
    assert_eq!(given_up.candidates(), row.candidates());
}

#[test]
fn one_denial_is_no_withdrawal_and_a_second_one_a_minute_later_is() {
    let (row, lease) = leased(&authorized());
    assert_eq!(row.denial(NOW), Denial::First(NOW));
    let denied_once_at = Some(NOW);
    let row = set_back(&row, lease, Setback::Contradicted { denied_once_at });
    assert_eq!(row.denied_once_at, Some(NOW));
    assert_eq!(row.standing, Standing::Authorized);
    let later = |secs| NOW + Duration::from_secs(secs);
    assert_eq!(row.denial(later(59)), Denial::First(NOW));
    assert_eq!(row.denial(later(60)), Denial::Second);
    // WeChat has given something since: the next denial is a first one again.
    let (row, lease) = leased(&row);
    let row = row
        .renewed(lease, &renewal("a2", "r1"), &[], MOMENT)
        .unwrap();
    assert_eq!(row.denial(later(60)), Denial::First(later(60)));
}

#[test]
fn a_late_failure_does_not_touch_what_a_later_lease_brought() {
    let (row, slow) = leased(&authorized());
    let (row, fast) = leased(&row);
    let row = row
        .renewed(fast, &renewal("a2", "r1"), &[], MOMENT)
        .unwrap();
    assert_eq!(set_back(&row, slow, Setback::Account), row);
}

#[test]
fn a_failure_makes_no_revoked_row_due() {
    let (row, lease) = leased(&authorized());
    let row = set_back(&revoked(&row, T2), lease, Setback::Limited);
    assert_eq!((row.standing, row.due_at), (Standing::Revoked, None));
}

#[test]
fn the_backoff_doubles_up_to_half_an_hour_with_jitter_in_its_upper_half() {
    for (failures, least_secs, most_secs) in [
        (0, 30, 60),
        (1, 60, 120),
        (4, 480, 960),
        (5, 900, 1800),
        (10, 900, 1800),
        (u32::MAX, 900, 1800),
    ] {
        let row = Authorizer {
            failures,
            ..authorized()
        };
        let wait = |jitter| row.backoff(Setback::Account, jitter).as_secs();
        assert_eq!(
            (wait(0.0), wait(1.0)),
            (least_secs, most_secs),
            "{failures}"
        );
    }
}

#[test]
fn a_token_is_due_thirty_to_forty_minutes_before_it_expires() {
    for (jitter, minutes) in [(0.0, 30), (0.5, 35), (1.0, 40)] {
        let due_at = NOW + TWO_HOURS - Duration::from_mins(minutes);
        let evidence = Evidence::At(T1);
        let row = unknown()
            .authorize(evidence, &granted("r1"), moment(jitter))
            .unwrap();
        assert_eq!(row.due_at, Some(due_at));
        let (row, lease) = leased(&authorized());
        let row = row
            .renewed(lease, &renewal("a2", "r1"), &[], moment(jitter))
            .unwrap();
        assert_eq!(row.due_at, Some(due_at));
    }
}

#[test]
fn no_token_shows_in_a_rows_debug_output() {
    let shown = format!("{:?}", authorized());
    assert!(
        !shown.contains("r1") && !shown.contains("of-the-grant"),
        "{shown}"
    );
}

// The vendor's own name.

fn named(row: &Authorizer, name: &str, at: Timestamp) -> Option<Reference> {
    row.named(name, at)?.reference
}

fn reference(name: &str, at: Timestamp) -> Reference {
    Reference {
        name: name.to_owned(),
        at,
        replaced_at: None,
    }
}

#[test]
fn a_name_remembers_since_when_it_replaces_another_on_a_connected_account() {
    let replaced_at = |row: &Authorizer| row.reference.clone().unwrap().replaced_at;
    let first = authorized().named("shop-1", T1).unwrap();
    assert_eq!(replaced_at(&first), None);
    let second = first.named("shop-2", T2).unwrap();
    assert_eq!(replaced_at(&second), Some(T2));
    let told_again = second.named("shop-2", T3).unwrap();
    assert_eq!(replaced_at(&told_again), Some(T2));
    // A merchant who has withdrawn is not connected under the name before.
    let gone = Authorizer {
        standing: Standing::Revoked,
        ..second
    };
    assert_eq!(replaced_at(&gone.named("shop-3", T3).unwrap()), None);
}

#[test]
fn the_name_of_the_newest_authorization_stays_whatever_order_names_come_in() {
    let first = authorized().named("shop-1", T2).unwrap();
    assert_eq!(first.reference, Some(reference("shop-1", T2)));
    assert_eq!(named(&first, "shop-0", T1), None);
    let second = |at| Reference {
        replaced_at: Some(at),
        ..reference("shop-2", at)
    };
    assert_eq!(named(&first, "shop-2", T3), Some(second(T3)));
    // Two notices of one second: the one that is handled last.
    assert_eq!(named(&first, "shop-2", T2), Some(second(T2)));
}

#[test]
fn a_name_that_is_known_already_changes_only_the_time_of_its_authorization() {
    let row = authorized().named("shop-1", T2).unwrap();
    assert_eq!(row.named("shop-1", T2), None);
    assert_eq!(named(&row, "shop-1", T3), Some(reference("shop-1", T3)));
    // And nothing but the name.
    let unnamed = Authorizer {
        reference: None,
        ..row
    };
    assert_eq!(unnamed, authorized());
}

// What is authorized, and since when.

#[track_caller]
fn check_authorized_since(row: &Authorizer, at: Timestamp, expected: bool) {
    assert_eq!(row.is_authorized_since(at), expected, "{row:?}");
}

#[test]
fn an_authorization_counts_since_its_own_second_and_only_while_it_is_one() {
    let row = authorize(&unknown(), T2, "r2").unwrap();
    check_authorized_since(&row, T1, true);
    check_authorized_since(&row, T2, true);
    check_authorized_since(&row, T3, false);
    check_authorized_since(&revoked(&row, T3), T1, false);
    check_authorized_since(&given_up(), T1, false);
    check_authorized_since(&unknown(), Timestamp::default(), false);
}

#[test]
fn a_grant_after_a_revocation_of_a_known_time_brings_its_access_token() {
    let tombstone = revoked(&authorized(), T2);
    let row = tombstone.authorize(Evidence::At(T3), &granted_before("r2", 1), MOMENT);
    check_access(&row.unwrap(), "of-then");
}

#[test]
fn a_list_ends_the_trust_only_in_an_access_token_of_the_authorization_before() {
    let second = Duration::from_secs(1);
    for (expires_at, listed_at, trusted) in [
        (T3 + TWO_HOURS - second, T3, false),
        (T3 + TWO_HOURS, T3, true),
        (T3 + TWO_HOURS + second, T3, true),
        // The same authorization: the token is of it, however old.
        (T1 + TWO_HOURS - second, T1, true),
    ] {
        let mut row = authorized();
        row.slot.token.as_mut().unwrap().expires_at = expires_at;
        let next = listed(&row, listed_at, "");
        assert_eq!(next.is_none(), trusted, "{expires_at} {listed_at}");
        assert!(next.is_none_or(|row| row.slot.token.is_none()));
    }
}

#[test]
fn a_known_refresh_token_that_no_lease_holder_uses_leaves_no_doubt() {
    let later = GrantedTokens {
        access_token: Some(Expiring {
            expires_at: NOW + TWO_HOURS + Duration::from_secs(1),
            ..access("later")
        }),
        ..granted("r1")
    };
    let row = authorized();
    let row = row.authorize(Evidence::At(T2), &later, MOMENT).unwrap();
    check_access(&row, "later");
    let slot = &row.slot;
    assert_eq!((slot.doubted_from, slot.token_seq), (None, slot.lease.seq));
}

#[test]
fn only_a_holder_that_may_have_had_the_last_answer_leaves_a_doubt() {
    let holder = |epoch, seq| Lease {
        epoch,
        seq,
        token_seq: 0,
    };
    for (lease, token_seq, doubted) in [
        (holder(T1, 1), 1, true),
        (holder(T1, 2), 1, true),
        (holder(T1, 1), 2, false),
        // Of another authorization, even if its answer is the last.
        (holder(T2, 1), 1, false),
    ] {
        let mut row = authorized();
        row.slot.token_seq = token_seq;
        row.slot.lease.seq = 3;
        let doubted_from = row.doubted(lease, NOW).slot.doubted_from;
        assert_eq!(doubted_from, doubted.then_some(NOW), "{lease:?}");
    }
}

/// [`NOW`] in milliseconds.
const MILLIS: Timestamp = Timestamp::from_secs(1_700_001_000_000);

#[test]
fn a_moment_up_to_two_hours_ahead_is_believed_and_no_later_one() {
    let with = |moment: Timestamp| Authorizer {
        auth_epoch: moment,
        ..authorized()
    };
    assert_eq!(authorized().believable(NOW), None);
    assert_eq!(with(NOW + TWO_HOURS).believable(NOW), None);
    for ahead in [NOW + TWO_HOURS + Duration::from_secs(1), MILLIS] {
        let known = with(ahead).believable(NOW);
        assert_eq!(known, Some(with(Timestamp::default())));
    }
}

#[test]
fn every_moment_of_wechats_is_doubted_and_nothing_else_is_changed() {
    let row = authorized().named("m-1", T1).unwrap();
    let poisoned = Authorizer {
        auth_epoch: MILLIS,
        revoked_at: MILLIS,
        reference: row.reference.clone().map(|reference| Reference {
            at: MILLIS,
            ..reference
        }),
        ..row.clone()
    };
    let known = poisoned.believable(NOW).unwrap();
    assert!(authorize(&poisoned, T2, "r2").is_none());
    let next = authorize(&known, T2, "r2").unwrap();
    assert_eq!(
        (next.auth_epoch, next.revoked_at),
        (T2, Timestamp::default())
    );
    assert_eq!(next.history, [refresh("r1")]);
    assert_eq!(next.named("m-2", T2).unwrap().reference(), Some("m-2"));
    let only_known = Authorizer {
        auth_epoch: Timestamp::default(),
        ..row.clone()
    };
    let poisoned = Authorizer {
        auth_epoch: MILLIS,
        ..row
    };
    assert_eq!(poisoned.believable(NOW), Some(only_known));
}

#[test]
fn a_withdrawal_that_wechat_confirms_ends_a_row_whatever_its_moments_say() {
    let known = Authorizer {
        auth_epoch: Timestamp::default(),
        ..authorized()
    };
    let row = known.withdrawn(T2, NOW);
    assert_eq!((row.standing, row.revoked_at), (Standing::Revoked, T2));
    // The notice is older than what is known: when it was withdrawn is not known.
    let row = authorized().withdrawn(T1, NOW);
    assert_eq!((row.standing, row.revoked_at), (Standing::Revoked, T1));
    assert_eq!(row.denied_at, Some(NOW));
}
