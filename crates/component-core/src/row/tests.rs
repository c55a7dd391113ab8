//! The rules of a token slot, each as a sentence.

use super::*;
use crate::token::{ComponentAccessToken, Secret};

type Slot = TokenSlot<ComponentAccessToken>;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const MINUTE: Duration = Duration::from_mins(1);
const HOURS: Duration = Duration::from_hours(2);

/// When the overlap of a token that was asked for at `NOW` ends.
const DOUBT: Timestamp = Timestamp::from_secs(1_700_000_300);

fn token(value: &str) -> Expiring<ComponentAccessToken> {
    Expiring {
        secret: Secret::parse(value).unwrap(),
        expires_at: NOW + HOURS,
    }
}

fn issued(value: &str) -> Issued<ComponentAccessToken> {
    Issued {
        token: token(value),
        asked_at: NOW,
        after_unanswered_try: false,
    }
}

/// The lease `seq`, taken when no token was stored.
fn lease(seq: u64) -> Lease {
    Lease {
        epoch: Timestamp::default(),
        seq,
        token_seq: 0,
    }
}

fn held(seq: u64) -> LeaseSlot {
    LeaseSlot {
        seq,
        until: NOW + Duration::from_secs(20),
    }
}

/// A slot without a token, of which the lease `seq` is held.
fn leased(seq: u64) -> Slot {
    Slot {
        lease: held(seq),
        ..Slot::default()
    }
}

fn refused(errcode: i64) -> Cause {
    Cause::Refused(Refused {
        endpoint: Endpoint::ComponentToken,
        errcode,
        rid: None,
        seen_from: None,
    })
}

fn failure() -> Failure {
    Failure::after(None, refused(40125), NOW)
}

#[test]
fn the_token_of_the_highest_lease_wins_in_either_order() {
    let (slow, fast) = (issued("slow"), issued("fast"));
    let before = leased(2);
    let slow_first = before.renewed(lease(1), &slow);
    assert_eq!(slow_first.order, Order::Newest);
    assert_eq!(
        slow_first.slot.lease, before.lease,
        "the lease is another's"
    );
    assert_eq!(slow_first.slot.token, Some(slow.token.clone()));

    let fast_first = before.renewed(lease(2), &fast);
    assert_eq!(
        (fast_first.order, fast_first.overlapped),
        (Order::Last, false)
    );
    let slow_last = fast_first.slot.renewed(lease(1), &slow);
    assert_eq!(
        (slow_last.order, slow_last.overlapped),
        (Order::Overtaken, true)
    );
    let fast_last = slow_first.slot.renewed(lease(2), &fast);
    for slot in [&fast_last.slot, &slow_last.slot] {
        assert_eq!(
            (&slot.token, slot.token_seq),
            (&Some(fast.token.clone()), 2)
        );
        // Which of them WeChat issued last is not known.
        assert_eq!(slot.doubted_from, Some(DOUBT));
    }
    assert_eq!(slow_last.slot.lease.until, Timestamp::default());
}

#[test]
fn a_late_answer_that_comes_between_the_call_and_the_write_of_another_holder_leaves_its_doubt() {
    // The second lease has brought its token, the third is held and has its answer.
    let slot = leased(2).renewed(lease(2), &issued("second")).slot;
    let third = Lease {
        token_seq: slot.token_seq,
        ..lease(3)
    };
    let slot = slot.leased(held(3), NOW);
    let late = slot.renewed(lease(1), &issued("late"));
    assert_eq!(late.order, Order::Overtaken);
    let slot = late.slot.renewed(third, &issued("third")).slot;
    assert_eq!(slot.token, Some(token("third")));
    assert_eq!(slot.doubted_from, Some(DOUBT));
}

#[test]
fn a_token_that_an_unanswered_try_may_yet_end_is_kept_in_doubt() {
    let second = Issued {
        after_unanswered_try: true,
        ..issued("second")
    };
    let renewed = leased(1).renewed(lease(1), &second);
    assert_eq!(renewed.slot.token, Some(token("second")));
    assert_eq!(renewed.slot.doubted_from, Some(DOUBT));
    assert!(renewed.overlapped);
}

#[test]
fn the_doubt_that_a_lost_holder_leaves_stays_until_a_later_lease_has_its_answer() {
    let later = NOW + HOURS;
    let slot = leased(1).leased(held(2), later);
    let doubted_from = slot.doubted_from;
    assert!(doubted_from.is_some());
    let overtaken = slot.renewed(lease(1), &issued("late")).slot;
    assert_eq!(overtaken.doubted_from, doubted_from);
    let renewed = slot.renewed(lease(2), &issued("new")).slot;
    assert_eq!(renewed.doubted_from, None);
    // A holder that gave its lease back leaves none.
    let slot = leased(1).renewed(lease(1), &issued("good")).slot;
    assert_eq!(slot.leased(held(2), later).doubted_from, None);
}

#[test]
fn a_failure_is_remembered_and_keeps_the_token() {
    let slot = leased(1).renewed(lease(1), &issued("good")).slot;
    let failed = slot.leased(held(2), NOW).failed(lease(2), &failure());
    assert_eq!(failed.token, Some(token("good")));
    assert_eq!(failed.failure, Some(failure()));
    assert_eq!(failed.lease.until, Timestamp::default());
    let renewed = failed.renewed(lease(3), &issued("better")).slot;
    assert_eq!(renewed.token, Some(token("better")));
    assert_eq!(renewed.failure, None);
}

#[test]
fn the_late_failure_of_an_overtaken_holder_is_not_the_tokens() {
    let slot = leased(2).renewed(lease(2), &issued("fresh")).slot;
    assert_eq!(slot.failed(lease(1), &failure()), slot);
    assert_eq!(slot.clone().doubted(lease(1), DOUBT), slot);
    // Not overtaken: a later lease was taken, and has brought nothing.
    let slot = leased(2).failed(lease(1), &failure());
    assert_eq!((slot.failure, slot.lease), (Some(failure()), held(2)));
}

#[test]
fn of_two_doubts_the_earlier_counts() {
    let doubted = |slot: Slot, secs| slot.doubted(lease(2), NOW + Duration::from_secs(secs));
    for order in [[200, 300], [300, 200]] {
        let slot = order.into_iter().fold(leased(2), doubted);
        assert_eq!(slot.doubted_from, Some(NOW + Duration::from_secs(200)));
    }
    // Of the very lease that brought the token, too: an answer to it may have come after.
    let renewed = leased(2).renewed(lease(2), &issued("good")).slot;
    assert_eq!(
        doubted(renewed, 200).doubted_from,
        Some(NOW + Duration::from_secs(200))
    );
}

#[test]
fn a_token_is_trusted_until_another_may_have_been_issued_unseen() {
    let hours = NOW + HOURS;
    let check = |until: Timestamp, doubted_from: Option<Timestamp>, expected: Timestamp| {
        let slot = Slot {
            token: Some(token("stored")),
            token_seq: 7,
            lease: LeaseSlot { seq: 7, until },
            doubted_from,
            failure: None,
        };
        let trusted = slot.trusted(NOW).unwrap();
        assert_eq!(trusted.secret, token("stored").secret);
        assert_eq!(trusted.expires_at, expected);
    };
    let (free, soon) = (Timestamp::default(), NOW + MINUTE);
    check(free, None, hours);
    check(free, Some(soon), soon);
    check(free, Some(hours + MINUTE), hours);
    // Held, and abandoned just now: it was taken at most so long ago.
    check(NOW + MINUTE, None, hours);
    let abandoned = NOW - LONGEST_LEASE + OVERLAP;
    check(NOW, None, abandoned);
    check(NOW, Some(soon), soon);
    check(NOW, Some(hours), abandoned);
    assert_eq!(Slot::default().trusted(NOW), None);
}

#[test]
fn a_release_leaves_a_later_holder_alone() {
    let slot = held(8);
    assert_eq!(slot.released(7), slot);
    let free = LeaseSlot {
        seq: 8,
        until: Timestamp::default(),
    };
    assert_eq!(slot.released(8), free);
}

#[test]
fn of_a_cleared_slot_no_answer_under_way_counts() {
    let slot = Slot {
        doubted_from: Some(NOW),
        failure: Some(failure()),
        ..leased(8).renewed(lease(8), &issued("old")).slot
    };
    for granted in [None, Some(token("granted"))] {
        let cleared = slot.cleared(granted.clone());
        assert_eq!(cleared.token, granted);
        assert_eq!((cleared.token_seq, cleared.lease.seq), (9, 9));
        assert_eq!(cleared.lease.until, Timestamp::default());
        assert_eq!((cleared.doubted_from, &cleared.failure), (None, &None));
        assert_eq!(cleared.order(lease(8)), Order::Overtaken);
        assert_eq!(cleared.lease.released(8), cleared.lease);
    }
}

#[test]
fn each_refusal_in_a_row_is_shared_twice_as_long_up_to_the_schedules_own_time() {
    let mut before = None;
    for (times, secs) in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]
        .into_iter()
        .enumerate()
    {
        let refusal = Failure::after(before.as_ref(), refused(40125), NOW);
        assert_eq!(refusal.until, NOW + Duration::from_secs(secs), "{times}");
        before = Some(refusal);
    }
    // WeChat is busy, or cannot be reached: that may be over at any moment.
    for passing in [
        refused(-1),
        Cause::Unanswered(Endpoint::ComponentToken),
        Cause::Other(Code::NoVerifyTicket),
    ] {
        let passing = Failure::after(before.as_ref(), passing, NOW);
        assert_eq!((passing.until, passing.refusals), (NOW, 0));
        let again = Failure::after(Some(&passing), refused(40125), NOW);
        assert_eq!(again.until, NOW + Duration::from_secs(2));
    }
}

#[test]
fn a_failure_tells_since_when_renewals_fail() {
    let later = NOW + MINUTE;
    let again = Failure::after(Some(&failure()), refused(40125), later);
    assert_eq!(again.since, NOW);
    assert_eq!(again.until, later + Duration::from_secs(4));
    assert_eq!(Failure::after(None, refused(40125), later).since, later);
}

#[test]
fn a_token_that_cannot_be_stored_is_trusted_until_another_call_may_have_ended_it() {
    let lease_end = NOW + MINUTE;
    let check = |issued: &Issued<ComponentAccessToken>, expires_at| {
        let token = issued.unstored(lease_end);
        assert_eq!(token.secret, issued.token.secret);
        assert_eq!(token.expires_at, expires_at);
    };
    let mut issued = issued("unstored");
    check(&issued, lease_end + OVERLAP);
    issued.after_unanswered_try = true;
    check(&issued, DOUBT);
    // Unless it expires earlier.
    issued.token.expires_at = NOW + MINUTE;
    check(&issued, NOW + MINUTE);
}
