//! What the rows of an authorization in progress mean: attempts, notices and codes.

use aws_sdk_dynamodb::types::AttributeValue;
use component_api::id::AuthorizerAppId;
use component_core::component::exchange::{Bringer, Exchanged};
use component_core::error::Error;
use component_core::row::authorizer::{Reference, Standing};
use component_core::store::{Due, Pending, Start, StartCheck, State};
use component_core::time::Deadline;
use component_core::token::{AuthorizationCode, Secret};

use super::{Item, at, check_due, component, id, recorded, store, world_with};
use crate::world::rows::text;
use crate::world::{World, deadline};

/// The codes whose SHA-256 the rows' keys are.
const EXCHANGED: &str =
    "queryauthcode@@@BQNSeV0LPwwAqiU8owXMBvXJxPRw8mjLJwq9Q7wNyEuxZRgNDSA4ZAU5A6MyltNM";
const RELEASED: &str =
    "queryauthcode@@@5oU6zXoi7_r07YaGIjw_qigjCyrgAFUOC-WC630sZSpm2ls5ax1hiHRKAtQ_SgvI";
const CLAIMED: &str = "queryauthcode@@@claimed";

fn code(text: &str) -> Secret<AuthorizationCode> {
    Secret::parse(text).unwrap()
}

#[track_caller]
fn authorizer_of(notice: &Item) -> AuthorizerAppId {
    AuthorizerAppId::parse(&text(notice, "authorizer_appid")).unwrap()
}

/// A row as it is stored now.
async fn stored(world: &World, row: &Item) -> Item {
    world.row(&text(row, "pk")).await.unwrap()
}

/// A row but for these attributes.
fn without(mut row: Item, attributes: &[&str]) -> Item {
    row.retain(|name, _| !attributes.contains(&name.as_str()));
    row
}

async fn check_notice_is_due(world: &World, notice: &Item, due_at: Option<u64>) {
    let is_it = |due: &Due| matches!(due, Due::Notice(sha256) if sha256 == id(notice));
    check_due(world, due_at, is_it).await;
}

async fn settle(world: &World, notice: &Item) -> Result<Option<AuthorizerAppId>, Error> {
    match component(world).pending_notice(id(notice)).await? {
        Some(Pending::Authorization(pending)) => {
            let settled = component(world).settle(pending, deadline());
            settled.await.map(Some)
        }
        Some(Pending::Other(_)) | None => Ok(None),
    }
}

/// Its code was exchanged before: what the notice adds is its time and its pre-auth code.
#[tokio::test]
async fn a_notice_of_an_authorization_is_pending_until_it_is_handled() {
    let notice = recorded("notice_authorized");
    let unnamed = without(recorded("authorizer"), &["reference", "reference_at"]);
    for (preauth, expected) in [
        (recorded("preauth"), Some("shop-42")),
        (recorded("start"), None),
    ] {
        let rows = [
            notice.clone(),
            recorded("code_exchanged"),
            unnamed.clone(),
            preauth,
        ];
        let world = world_with(&rows, 1_700_000_002).await;
        check_notice_is_due(&world, &notice, Some(1_700_000_062)).await;
        let authorizer = authorizer_of(&notice);
        let settled = settle(&world, &notice).await.unwrap();
        assert_eq!(settled.as_ref(), Some(&authorizer));
        let row = store(&world).authorizer(&authorizer).await.unwrap();
        let named = expected.map(|name| Reference {
            name: name.to_owned(),
            at: at(1_700_000_001),
            replaced_at: None,
        });
        assert_eq!(row.reference, named);
        assert_eq!(stored(&world, &notice).await, recorded("notice_handled"));
        check_notice_is_due(&world, &notice, None).await;
        assert_eq!(world.wechat_calls("api_query_auth"), 0);
    }
}

#[tokio::test]
async fn a_notice_that_was_postponed_is_postponed_further_when_it_fails_again() {
    let notice = recorded("notice_put_off");
    let (now, code_row) = (1_700_000_032, recorded("code_released"));
    assert_eq!(id(&code_row), code(RELEASED).sha256());
    let world = world_with(&[notice.clone(), code_row.clone()], now).await;
    check_notice_is_due(&world, &notice, Some(now)).await;
    let failed = settle(&world, &notice).await.unwrap_err();
    assert_eq!(failed.code(), "no_verify_ticket");
    check_notice_is_due(&world, &notice, Some(now + 60)).await;
    let mut expected = notice.clone();
    expected.insert("failures".to_owned(), AttributeValue::N("2".to_owned()));
    let due_at = AttributeValue::N((now + 60).to_string());
    expected.insert("due_at".to_owned(), due_at);
    assert_eq!(stored(&world, &notice).await, expected);
    // Its code was claimed and released.
    let marks = ["written_by", "ttl"];
    let claimed = stored(&world, &code_row).await;
    assert_ne!(claimed["written_by"], code_row["written_by"]);
    assert_eq!(without(claimed, &marks), without(code_row, &marks));
}

#[tokio::test]
async fn a_notice_of_a_revocation_is_pending_until_it_is_handled() {
    let notice = recorded("notice_unauthorized");
    let world = world_with(std::slice::from_ref(&notice), 1_700_000_065).await;
    check_notice_is_due(&world, &notice, Some(1_700_000_066)).await;
    let authorizer = authorizer_of(&notice);
    let settled = settle(&world, &notice).await.unwrap();
    assert_eq!(settled.as_ref(), Some(&authorizer));
    let row = store(&world).authorizer(&authorizer).await.unwrap();
    let got = (row.standing, row.revoked_at);
    assert_eq!(got, (Standing::Revoked, at(1_700_000_006)));
    check_notice_is_due(&world, &notice, None).await;
}

#[tokio::test]
async fn a_notice_that_was_handled_is_not_handled_again() {
    let notice = recorded("notice_handled");
    let world = world_with(std::slice::from_ref(&notice), 1_700_000_100).await;
    check_notice_is_due(&world, &notice, None).await;
    assert_eq!(settle(&world, &notice).await.unwrap(), None);
    assert_eq!(stored(&world, &notice).await, notice);
}

/// A browser brings a code. There is no ticket, so that a code that may be claimed fails for that.
async fn bring(world: &World, text: &str, deadline: Deadline) -> Result<Exchanged, Error> {
    let bringer = Bringer::Redirect {
        since: at(1_700_000_001),
        reference: None,
    };
    let code = code(text);
    component(world).exchange(&code, bringer, deadline).await
}

#[track_caller]
fn check_was_claimed(exchanged: &Result<Exchanged, Error>) {
    assert!(
        matches!(exchanged, Err(Error::NoVerifyTicket)),
        "{exchanged:?}"
    );
}

#[tokio::test]
async fn a_code_that_a_function_has_claimed_is_held_until_its_time_is_up() {
    let row = recorded("code_claimed");
    assert_eq!(id(&row), code(CLAIMED).sha256());
    let world = world_with(std::slice::from_ref(&row), 1_700_000_028).await;
    let at_once = Deadline::after(std::time::Duration::ZERO);
    let held = bring(&world, CLAIMED, at_once).await;
    assert!(matches!(held, Err(Error::Busy(_))), "{held:?}");
    assert_eq!(stored(&world, &row).await, row);

    world.clock.set(1_700_000_029);
    check_was_claimed(&bring(&world, CLAIMED, deadline()).await);
}

#[tokio::test]
async fn a_code_that_was_released_may_be_claimed() {
    let row = recorded("code_released");
    let world = world_with(&[row], 1_700_000_003).await;
    check_was_claimed(&bring(&world, RELEASED, deadline()).await);
}

#[tokio::test]
async fn a_code_that_was_exchanged_is_never_exchanged_again() {
    let row = recorded("code_exchanged");
    assert_eq!(id(&row), code(EXCHANGED).sha256());
    let world = world_with(&[row, recorded("authorizer")], 1_700_000_003).await;
    for now in [1_700_000_003, 1_700_086_401] {
        world.clock.set(now);
        match bring(&world, EXCHANGED, deadline()).await {
            Ok(Exchanged::Stored(row)) => assert_eq!(row.appid.as_str(), "wx1a2b3c4d5e6f7081"),
            other => panic!("{other:?}"),
        }
    }
    let code = code(EXCHANGED);
    let awaited = component(&world).await_exchange(&code, deadline());
    assert!(awaited.await.unwrap().is_some());
}

fn start() -> Start {
    Start {
        browser: "c8a26466cd335c111c9d00c2b92996d87fbe37c744593aa8e59cc9a7ca1bb7d6".to_owned(),
        started_at: at(1_700_000_001),
        expires_at: at(1_700_001_801),
        reference: Some("shop-42".to_owned()),
        return_to: Some("https://shop.example/done".to_owned()),
        query: "reference=shop-42&return_to=https%3A%2F%2Fshop.example%2Fdone".to_owned(),
    }
}

#[track_caller]
fn state(row: &Item) -> State {
    State::parse(id(row)).unwrap()
}

#[tokio::test]
async fn an_attempt_is_its_browsers_until_it_is_over() {
    let (row, expected) = (recorded("start"), start());
    let state = state(&row);
    let world = world_with(&[row], 1_700_000_002).await;
    for (browser, now, result) in [
        (&*expected.browser, 1_700_001_800, StartCheck::Good(start())),
        (
            &expected.browser,
            1_700_001_801,
            StartCheck::Expired(start()),
        ),
        ("another", 1_700_000_002, StartCheck::Foreign),
    ] {
        let seen = store(&world).start(&state, browser, at(now)).await;
        assert_eq!(seen.unwrap(), result, "{browser} {now}");
    }
    let now = at(1_700_000_002);
    let taken = store(&world).take_start(&state, &expected.browser, "code", now);
    assert_eq!(taken.await.unwrap(), StartCheck::Good(start()));
}

#[tokio::test]
async fn an_attempt_that_came_back_is_known_by_its_code_and_may_be_given_back() {
    let row = recorded("start_used");
    let state = state(&row);
    let world = world_with(&[row], 1_700_000_003).await;
    let (browser, now) = (start().browser, at(1_700_000_003));
    let used = StartCheck::Used {
        start: start(),
        code: code(EXCHANGED).sha256(),
    };
    let taken = store(&world).take_start(&state, &browser, "code", now);
    assert_eq!(taken.await.unwrap(), used);
    store(&world).give_back_start(&state).await.unwrap();
    let taken = store(&world).take_start(&state, &browser, "code", now);
    assert_eq!(taken.await.unwrap(), StartCheck::Good(start()));
}
