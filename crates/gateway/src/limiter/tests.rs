//! Who is locked when, as tables.

use std::net::Ipv4Addr;

use super::*;

use Class::{ApiToken, Device, Invitation, Stranger};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + seconds * 1_000)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Fails so many times at each of these seconds.
fn fail(limiter: &Limiter, times: usize, credential: &str, address: &str, seconds: i64) {
    for _ in 0..times {
        limiter.failed(Device, credential, ip(address), at(seconds));
    }
}

#[test]
//= docs/threat-model.md#T30
#[rustfmt::skip]
fn ten_failures_in_a_minute_lock_for_five() {
    // Failures as (times, second), the second of the check, and how long it is locked then.
    for (failures, seconds, left) in [
        (&[(9, 0)][..],            0,   None),
        (&[(10, 0)],               0,   Some(300)),
        (&[(10, 0)],               299, Some(1)),
        (&[(10, 0)],               300, None),
        (&[(9, 0), (1, 59)],       59,  Some(300)),
        (&[(9, 0), (1, 60)],       60,  None),
        (&[(5, 0), (4, 30), (5, 61)],  61, None),
        (&[(5, 0), (4, 30), (6, 61)],  61, Some(300)),
        // What fails while it is locked makes the lock no longer.
        (&[(10, 0), (10, 200)],    200, Some(100)),
        (&[(10, 0), (9, 300)],     300, None),
        (&[(10, 0), (10, 300)],    300, Some(300)),
    ] {
        let limiter = Limiter::default();
        for (times, second) in failures {
            fail(&limiter, *times, "a", "127.0.0.1", *second);
        }
        let left = left.map(|left| Locked { retry_after: Duration::from_secs(left) });
        let checked = limiter.check(Device, "a", ip("127.0.0.1"), at(seconds));
        assert_eq!(checked.err(), left, "{failures:?} at {seconds}");
    }
}

#[test]
//= docs/threat-model.md#T30
#[rustfmt::skip]
fn what_a_lock_is_for() {
    let limiter = Limiter::default();
    fail(&limiter, 10, "a", "192.0.2.7", 0);
    for (class, credential, address, is_locked) in [
        (Device,     "a", "192.0.2.7",        true),
        (Device,     "a", "::ffff:192.0.2.7", true),
        // A known device is not locked out by others behind its address.
        (Device,     "b", "192.0.2.7",        false),
        (Device,     "a", "192.0.2.8",        false),
        (ApiToken,   "a", "192.0.2.7",        false),
        (Invitation, "a", "192.0.2.7",        false),
        (Stranger,   "a", "192.0.2.7",        false),
    ] {
        let checked = limiter.check(class, credential, ip(address), at(1));
        assert_eq!(checked.is_err(), is_locked, "{class:?} {credential} {address}");
    }
}

#[test]
//= docs/threat-model.md#T30
fn guesses_are_counted_together_over_a_network() {
    let limiter = Limiter::default();
    for guess in 0..10 {
        let address = ip(&format!("2001:db8::{guess}"));
        let code = format!("guess {guess}");
        assert_eq!(limiter.check(Invitation, &code, address, at(guess)), Ok(()));
        limiter.failed(Invitation, &code, address, at(guess));
    }
    assert!(limiter.check(Invitation, "another", ip("2001:db8::ffff"), at(10)).is_err());
    assert!(limiter.check(Invitation, "another", ip("2001:db8:0:1::"), at(10)).is_ok());
}

#[test]
//= docs/threat-model.md#T30
fn a_success_buys_no_guesses() {
    let limiter = Limiter::default();
    let address = ip("192.0.2.7");
    let fail = || limiter.failed(Stranger, "a", address, at(0));
    (0..9).for_each(|_| fail());
    limiter.succeeded(Stranger, "a", address);
    assert_eq!(limiter.table().len(), 1, "only what counts for the address is left");
    limiter.succeeded(Stranger, "b", address);
    fail();
    assert!(limiter.check(Stranger, "another", address, at(1)).is_err());
}

/// However the clock is set, a lock that began is over 300 s of steady time after it was last seen.
#[test]
//= docs/threat-model.md#T30
fn a_clock_set_back_makes_no_lock_longer() {
    let limiter = Limiter::default();
    let check = |seconds| limiter.check(Device, "a", ip("::1"), at(seconds));
    fail(&limiter, 10, "a", "::1", 100_000);
    let left = |seconds| check(seconds).map_err(|locked| locked.retry_after.as_secs());
    assert_eq!(left(100_100), Err(200));
    // Back by a day: the lock goes on where it was.
    assert_eq!(left(13_700), Err(200));
    assert_eq!(left(13_899), Err(1));
    assert_eq!(left(0), Err(1));
    assert_eq!(left(1), Ok(()));

    // The failures of before the jump are no longer in the way either.
    fail(&limiter, 9, "a", "::1", 1);
    fail(&limiter, 1, "a", "::1", -500);
    assert_eq!(left(-500), Err(300));
}

#[test]
//= docs/threat-model.md#T30
fn the_table_is_bounded_and_keeps_locks() {
    let limiter = Limiter::default();
    let address = |n: u32| IpAddr::V4(Ipv4Addr::from_bits((10 << 24) + n));
    for _ in 0..10 {
        limiter.failed(Stranger, "victim", ip("192.0.2.7"), at(0));
    }
    for n in 0..20_000 {
        limiter.failed(Stranger, "a", address(n), at(1));
    }
    assert_eq!(limiter.table().len(), MAX_BUCKETS);
    assert!(limiter.check(Stranger, "victim", ip("192.0.2.7"), at(1)).is_err());

    let lock = |addresses: std::ops::Range<u32>| {
        for address in addresses.map(address) {
            for _ in 0..10 {
                limiter.failed(Stranger, "a", address, at(2));
            }
        }
    };
    lock(0..4_000);
    assert!(limiter.check(Stranger, "victim", ip("192.0.2.7"), at(2)).is_err());

    // Nearly all of them locked: the lock that ends first makes room.
    lock(4_000..5_001);
    assert_eq!(limiter.table().len(), MAX_BUCKETS);
    assert!(limiter.check(Stranger, "victim", ip("192.0.2.7"), at(2)).is_ok());
    assert!(limiter.check(Stranger, "a", address(5_000), at(2)).is_err());

    // What is over is forgotten.
    limiter.failed(Stranger, "a", address(0), at(302));
    assert_eq!(limiter.table().len(), 2);
}

#[test]
fn nothing_is_kept_of_a_credential() {
    let limiter = Limiter::default();
    fail(&limiter, 1, "hunter2", "192.0.2.7", 0);
    assert!(!format!("{limiter:?}").contains("hunter2"));
    let locked = Locked { retry_after: Duration::from_millis(1_001) };
    assert_eq!(locked.to_string(), "too many failed credentials");
}
