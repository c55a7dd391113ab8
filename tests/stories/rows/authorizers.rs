//! What an authorizer's row means.

use component_api::code::Code;
use component_api::id::AuthorizerAppId;
use component_core::component::Kept;
use component_core::row::authorizer::{Authorizer, Evidence, GrantedTokens, Standing};
use component_core::row::{Cause, Failure, LeaseSlot, TokenSlot};
use component_core::store::Due;
use component_core::time::{Moment, Timestamp};
use component_core::token::{AuthorizerAccessToken, Expiring, Secret};
use component_core::wechat::refusal::{Endpoint, Refused};

use super::{Item, SECOND, at, component, id, recorded, store, world_with};
use crate::world::{World, deadline};

/// What a row means, except for its names and its refresh tokens.
struct Means {
    standing: Standing,
    auth_epoch: u64,
    revoked_at: u64,
    /// How many refresh tokens it has.
    refresh_tokens: usize,
    slot: TokenSlot<AuthorizerAccessToken>,
    failures: u32,
    due_at: Option<u64>,
    denied_at: Option<u64>,
    ttl: Option<u64>,
}

fn free(seq: u64) -> LeaseSlot {
    LeaseSlot {
        seq,
        until: Timestamp::default(),
    }
}

#[track_caller]
fn appid(row: &Item) -> AuthorizerAppId {
    AuthorizerAppId::parse(id(row)).unwrap()
}

#[track_caller]
fn text<'a>(row: &'a Item, name: &str) -> Option<&'a str> {
    Some(row.get(name)?.as_s().unwrap())
}

/// The recorded access token of a row.
fn token(name: &str, expires_at: u64) -> Expiring<AuthorizerAccessToken> {
    Expiring {
        secret: Secret::parse(text(&recorded(name), "access_token").unwrap()).unwrap(),
        expires_at: at(expires_at),
    }
}

/// A world whose table holds a recorded row, and the row as the functions read it.
async fn read(name: &str, now: u64) -> (World, Authorizer) {
    let item = recorded(name);
    let appid = appid(&item);
    let world = world_with(&[item], now).await;
    let row = store(&world).authorizer(&appid).await.unwrap();
    (world, row)
}

async fn check(name: &str, means: Means) {
    let (world, row) = read(name, 1_700_000_000).await;
    let item = recorded(name);
    assert_eq!(row.appid, appid(&item), "{name}");
    let got = (row.standing, row.auth_epoch, row.revoked_at);
    let expected = (means.standing, at(means.auth_epoch), at(means.revoked_at));
    assert_eq!(got, expected, "{name}");
    assert_eq!(row.slot, means.slot, "{name}");
    let got = (row.failures, row.due_at, row.denied_at, row.ttl);
    let [due_at, denied_at, ttl] =
        [means.due_at, means.denied_at, means.ttl].map(|secs| secs.map(at));
    assert_eq!(got, (means.failures, due_at, denied_at, ttl), "{name}");

    let candidates = row.candidates();
    assert_eq!(candidates.len(), means.refresh_tokens, "{name}");
    let current = candidates.first().map(Secret::expose);
    assert_eq!(current, text(&item, "refresh_token"), "{name}");
    assert_eq!(row.name.as_deref(), text(&item, "name"), "{name}");
    assert_eq!(row.reference(), text(&item, "reference"), "{name}");
    assert!(row.permission_sets.len() > 7, "{name}");
    let is_it = |due: &Due| matches!(due, Due::Authorizer(due) if *due == row.appid);
    super::check_due(&world, means.due_at, is_it).await;
    check_goes_on(&world, &row).await;
}

/// What was read is written again as it was, and a writer that has read an older row is refused.
async fn check_goes_on(world: &World, row: &Authorizer) {
    let component = component(world);
    let same = |row: &Authorizer| Some(row.clone());
    let written = component.change_authorizer(row.clone(), same, deadline());
    let written = written.await.unwrap().row();
    let expected = Authorizer {
        generation: row.generation + 1,
        ..row.clone()
    };
    assert_eq!(written, expected);
    assert_eq!(store(world).authorizer(&row.appid).await.unwrap(), written);
    let if_unchanged =
        |seen: &Authorizer| (seen.generation == row.generation).then(|| seen.clone());
    let late = component.change_authorizer(row.clone(), if_unchanged, deadline());
    let late = late.await.unwrap();
    assert!(matches!(&late, Kept::Unchanged(row) if *row == written));
}

#[tokio::test]
async fn an_authorizer_that_came_by_a_link_is_read_as_it_was_written() {
    let name = "authorizer";
    let means = Means {
        standing: Standing::Authorized,
        auth_epoch: 1_700_000_001,
        revoked_at: 0,
        refresh_tokens: 1,
        slot: TokenSlot {
            token: Some(token(name, 1_700_007_202)),
            token_seq: 1,
            lease: free(1),
            ..TokenSlot::default()
        },
        failures: 0,
        due_at: Some(1_700_005_013),
        denied_at: None,
        ttl: None,
    };
    check(name, means).await;
    let (_world, row) = read(name, 1_700_000_002).await;
    assert_eq!(row.permission_sets, [1, 2, 3, 4, 7, 11, 15, 24, 26]);
    assert_eq!(row.name.as_deref(), Some("青禾书店"));
    // A newer authorization names it, an older one does not.
    assert!(row.named("shop-43", at(1_700_000_001)).is_some());
    assert_eq!(row.named("shop-43", at(1_700_000_000)), None);
    assert_eq!(row.named("shop-42", at(1_700_000_001)), None);
}

fn in_doubt(name: &str, failure: Failure) -> Means {
    Means {
        standing: Standing::Authorized,
        auth_epoch: 1_700_000_001,
        revoked_at: 0,
        refresh_tokens: 2,
        slot: TokenSlot {
            token: Some(token(name, 1_700_014_406)),
            token_seq: 2,
            lease: free(3),
            doubted_from: Some(at(1_700_014_706)),
            failure: Some(failure),
        },
        failures: 1,
        due_at: Some(1_700_014_452),
        denied_at: None,
        ttl: None,
    }
}

/// The version before wrote the code of a failure and a sentence.
#[tokio::test]
async fn a_doubt_a_failure_and_the_refresh_token_before_are_read_as_they_were_written() {
    let name = "authorizer_in_doubt";
    let failure = Failure {
        cause: Cause::Other(Code::WechatUnavailable),
        since: at(1_700_014_406),
        refusals: 0,
        until: at(1_700_014_406),
        secret: None,
    };
    check(name, in_doubt(name, failure)).await;
}

#[tokio::test]
async fn an_unanswered_call_is_read_as_it_was_written() {
    let name = "authorizer_in_doubt_with_facts";
    let failure = Failure {
        cause: Cause::Unanswered(Endpoint::AuthorizerToken),
        since: at(1_700_014_406),
        refusals: 0,
        until: at(1_700_014_406),
        secret: None,
    };
    let means = Means {
        due_at: Some(1_700_014_439),
        ..in_doubt(name, failure)
    };
    check(name, means).await;
}

fn refused(name: &str, failure: Failure) -> Means {
    Means {
        standing: Standing::Authorized,
        auth_epoch: 1_700_000_001,
        revoked_at: 0,
        refresh_tokens: 2,
        slot: TokenSlot {
            token: Some(token(name, 1_700_021_609)),
            token_seq: 4,
            lease: free(5),
            doubted_from: None,
            failure: Some(failure),
        },
        failures: 0,
        due_at: Some(1_700_019_498),
        denied_at: None,
        ttl: None,
    }
}

#[tokio::test]
async fn a_refusal_is_read_as_it_was_written_and_told_to_callers_without_a_call() {
    let name = "authorizer_refused";
    let failure = Failure {
        cause: Cause::Other(Code::WechatRejected),
        since: at(1_700_021_611),
        refusals: 1,
        until: at(1_700_021_611),
        secret: None,
    };
    check(name, refused(name, failure)).await;
    let (world, row) = read(name, 1_700_021_610).await;
    let told = world.token(row.appid.as_str()).await.unwrap_err();
    assert_eq!(told.code(), "wechat_rejected");
    assert_eq!(world.wechat_calls("api_authorizer_token"), 0);
}

#[tokio::test]
async fn the_facts_of_a_refusal_are_read_as_they_were_written_and_told_to_callers() {
    let name = "authorizer_refused_with_facts";
    let quota = Refused {
        endpoint: Endpoint::AuthorizerToken,
        errcode: 45009,
        rid: Some("286e9df2-84ce1ade-17da3159".to_owned()),
        seen_from: None,
    };
    let failure = Failure {
        cause: Cause::Refused(quota.clone()),
        since: at(1_700_021_609),
        refusals: 1,
        until: at(1_700_021_611),
        secret: None,
    };
    let means = Means {
        due_at: Some(1_700_019_778),
        ..refused(name, failure)
    };
    check(name, means).await;
    let (world, row) = read(name, 1_700_021_610).await;
    let told = world.token(row.appid.as_str()).await.unwrap_err();
    assert_eq!(told.code(), "wechat_rejected");
    assert!(told.advice().starts_with(&quota.advice()), "{told}");
    assert!(!told.is_component_wide());
    assert_eq!(world.wechat_calls("api_authorizer_token"), 0);
}

#[tokio::test]
async fn a_row_that_was_given_up_must_authorize_again_and_is_due_no_more() {
    let name = "authorizer_to_authorize_again";
    let means = Means {
        standing: Standing::ReauthorizationRequired,
        auth_epoch: 1_700_021_612,
        revoked_at: 0,
        refresh_tokens: 0,
        slot: TokenSlot {
            token: Some(token(name, 1_700_028_812)),
            token_seq: 1,
            lease: free(2),
            ..TokenSlot::default()
        },
        failures: 0,
        due_at: None,
        denied_at: None,
        ttl: None,
    };
    check(name, means).await;
    let (world, row) = read(name, 1_700_028_813).await;
    let refused = world.token(row.appid.as_str()).await.unwrap_err();
    assert_eq!(refused.code(), "reauthorization_required");
}

/// When this row was written, WeChat had contradicted itself for a day.
#[tokio::test]
async fn a_row_that_was_given_up_with_its_refresh_token_must_authorize_again_too() {
    let name = "authorizer_to_authorize_again_with_its_token";
    let (world, row) = read(name, 1_700_028_813).await;
    assert_eq!(row.standing, Standing::ReauthorizationRequired);
    assert!(row.refresh_token.is_some());
    assert_eq!(row.due_at, None);
    let refused = world.token(row.appid.as_str()).await.unwrap_err();
    assert_eq!(refused.code(), "reauthorization_required");
    assert_eq!(world.wechat_calls("api_authorizer_token"), 0);
}

#[tokio::test]
async fn the_times_since_when_wechat_limits_or_contradicts_an_account_are_read_as_written() {
    for name in ["authorizer_limited", "authorizer_contradicted"] {
        let item = recorded(name);
        let time = |name: &str| Some(at(item.get(name)?.as_n().unwrap().parse().unwrap()));
        let (_world, row) = read(name, 1_700_028_813).await;
        assert_eq!(row.limited_at, time("limited_at"), "{name}");
        assert_eq!(row.contradicted_since, time("contradicted_since"), "{name}");
        assert_ne!(row.limited_at.or(row.contradicted_since), None, "{name}");
        assert_eq!(row.standing, Standing::Authorized, "{name}");
        assert_eq!(row.failures, 1, "{name}");
    }
}

async fn check_tombstone(name: &str, auth_epoch: u64, seq: u64, denied_at: Option<u64>, ttl: u64) {
    let means = Means {
        standing: Standing::Revoked,
        auth_epoch,
        revoked_at: 1_700_000_006,
        refresh_tokens: 1,
        slot: TokenSlot {
            token_seq: seq,
            lease: free(seq),
            ..TokenSlot::default()
        },
        failures: 0,
        due_at: None,
        denied_at,
        ttl: Some(ttl),
    };
    check(name, means).await;
    for (now, code) in [
        (1_700_007_207, "authorization_revoked"),
        (ttl - 1, "authorization_revoked"),
        (ttl, "unknown_authorizer"),
    ] {
        let (world, row) = read(name, now).await;
        let refused = world.token(row.appid.as_str()).await.unwrap_err();
        assert_eq!(refused.code(), code, "{name}");
    }
}

#[tokio::test]
async fn a_tombstone_orders_what_comes_late_until_its_end() {
    check_tombstone("authorizer_revoked", 1_700_000_005, 2, None, 1_707_776_006).await;
}

/// Without `denied_at`, the time of a denial is read off the tombstone's end.
#[tokio::test]
async fn a_tombstone_by_wechats_denial_says_when_that_was_in_words_or_by_its_end() {
    let (epoch, denied_at, ttl) = (1_700_000_006, Some(1_700_007_206), 1_707_783_206);
    for name in ["authorizer_denied", "authorizer_denied_dated"] {
        check_tombstone(name, epoch, 3, denied_at, ttl).await;
    }
}

#[tokio::test]
async fn a_grant_from_before_a_denial_brings_a_tombstone_back_without_its_access_token() {
    let denied_at = at(1_700_007_206);
    for name in ["authorizer_denied", "authorizer_denied_dated"] {
        let (_world, tombstone) = read(name, 1_700_007_207).await;
        for (asked_at, trusted) in [
            (denied_at - SECOND, false),
            (denied_at, false),
            (denied_at + SECOND, true),
        ] {
            let granted = GrantedTokens {
                asked_at,
                access_token: Some(Expiring {
                    secret: Secret::parse("a").unwrap(),
                    expires_at: asked_at + SECOND * 7200,
                }),
                refresh_token: Secret::parse("r"),
                permission_sets: None,
            };
            let evidence = Evidence::At(at(1_700_007_200));
            let moment = Moment {
                now: denied_at + SECOND,
                jitter: 0.0,
            };
            let row = tombstone.authorize(evidence, &granted, moment).unwrap();
            assert_eq!(row.standing, Standing::Authorized);
            assert_eq!(row.slot.token.is_some(), trusted, "{name} {asked_at}");
        }
    }
}

/// A lease that is held when the version changes is held in the next version.
#[tokio::test]
async fn a_lease_that_is_taken_on_a_row_is_kept_in_the_table() {
    let (world, row) = read("authorizer", 1_700_005_013).await;
    let lease = LeaseSlot {
        seq: 2,
        until: at(1_700_005_037),
    };
    let leased = |row: &Authorizer| Some(row.leased(lease, at(1_700_005_013)));
    let appid = row.appid.clone();
    let written = component(&world).change_authorizer(row, leased, deadline());
    written.await.unwrap();
    let row = store(&world).authorizer(&appid).await.unwrap();
    assert_eq!(row.slot.lease, lease);
}
