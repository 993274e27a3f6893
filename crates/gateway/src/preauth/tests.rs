//! Floods, and who pays for them.

use std::net::Ipv4Addr;

use super::*;

const LIMITS: Limits = Limits {
    connections: 8,
    per_address: 3,
    bytes: 100,
    handshake: HANDSHAKE,
    authentication: AUTHENTICATION,
};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn admit(budget: &Budget, address: &str) -> Place {
    budget.enter(ip(address))
}

fn has_to_go(place: &Place) -> bool {
    place.gone.is_cancelled()
}

#[test]
#[rustfmt::skip]
fn one_customer_is_one_address() {
    for (address, is) in [
        ("192.0.2.7",               "192.0.2.7"),
        ("::ffff:192.0.2.7",        "192.0.2.7"),
        ("::ffff:127.0.0.1",        "127.0.0.1"),
        ("2001:db8:1:2:3:4:5:6",    "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1",    "2001:db8:1:2::"),
        ("2001:db8:1:3::1",         "2001:db8:1:3::"),
        ("::1",                     "::"),
    ] {
        assert_eq!(canonical(ip(address)), ip(is), "{address}");
    }
}

#[test]
//= docs/threat-model.md#T33
fn an_address_has_its_share_and_no_more() {
    let budget = Budget::new(LIMITS);
    let other = admit(&budget, "192.0.2.8");
    let mut places: Vec<_> = (0..3).map(|_| admit(&budget, "192.0.2.7")).collect();
    for (oldest, again) in ["192.0.2.7", "::ffff:192.0.2.7", "::ffff:c000:207"].iter().enumerate() {
        assert!(!has_to_go(&places[oldest]));
        places.push(admit(&budget, again));
        assert!(places[..=oldest].iter().all(has_to_go), "{again}");
        assert!(places[oldest + 1..].iter().all(|place| !has_to_go(place)), "{again}");
        assert_eq!(budget.used(), 4);
    }
    assert!(!has_to_go(&other));
    drop((places, other));
    assert_eq!(budget.used(), 0);
    drop(admit(&budget, "192.0.2.7"));
}

#[test]
fn the_addresses_of_one_ipv6_network_share() {
    let budget = Budget::new(LIMITS);
    let places: Vec<_> = (0..3).map(|n| admit(&budget, &format!("2001:db8::{n}"))).collect();
    let _other = admit(&budget, "2001:db8:0:1::1");
    assert!(!has_to_go(&places[0]));
    let _newcomer = admit(&budget, "2001:db8::ffff:0:0:1");
    assert_eq!(places.iter().map(has_to_go).collect::<Vec<_>>(), [true, false, false]);
}

/// The address with most connections pays, and there the oldest of them.
#[test]
//= docs/threat-model.md#T33
fn a_full_budget_costs_whoever_has_most() {
    let budget = Budget::new(LIMITS);
    let paired = admit(&budget, "198.51.100.1");
    let a: Vec<_> = (0..2).map(|_| admit(&budget, "192.0.2.1")).collect();
    let b: Vec<_> = (0..3).map(|_| admit(&budget, "192.0.2.2")).collect();
    let c: Vec<_> = (0..2).map(|_| admit(&budget, "192.0.2.3")).collect();
    assert_eq!(budget.used(), LIMITS.connections);

    let newcomer = admit(&budget, "203.0.113.9");
    assert_eq!(budget.used(), LIMITS.connections);
    assert_eq!(b.iter().map(has_to_go).collect::<Vec<_>>(), [true, false, false]);
    assert!(a.iter().chain(&c).chain([&paired, &newcomer]).all(|place| !has_to_go(place)));

    // Now three have two each: the oldest of all goes.
    let another = admit(&budget, "203.0.113.10");
    assert_eq!(a.iter().map(has_to_go).collect::<Vec<_>>(), [true, false]);

    // Whoever was told to go frees nothing twice.
    drop((a, b, c));
    assert_eq!(budget.used(), 3);
    drop((paired, newcomer, another));
    assert_eq!(budget.used(), 0);
}

/// Twenty thousand connections from as many addresses, and a device that needs as long as fifty
/// of them take: it is never told to go.
#[test]
//= docs/threat-model.md#T33
fn paired_devices_get_in_through_a_flood_of_many_addresses() {
    let budget = Budget::new(Limits::default());
    let mut flood = Vec::new();
    for wave in 0..400_u32 {
        let device = admit(&budget, "198.51.100.1");
        for n in 0..50 {
            let address = IpAddr::V4(Ipv4Addr::from_bits((10 << 24) + wave * 50 + n));
            flood.push(budget.enter(address));
        }
        assert!(!has_to_go(&device), "wave {wave}");
        device.settle();
        flood.retain(|place| !has_to_go(place));
        assert!(budget.used() <= CONNECTIONS && flood.len() <= CONNECTIONS);
    }
}

#[test]
fn a_flood_of_one_address_leaves_the_rest_of_the_budget() {
    let budget = Budget::new(Limits::default());
    let flood: Vec<_> = (0..10_000).map(|_| budget.enter(ip("192.0.2.7"))).collect();
    let staying = flood.iter().filter(|place| !has_to_go(place)).count();
    assert_eq!((staying, budget.used()), (PER_ADDRESS, PER_ADDRESS));
}

#[test]
//= docs/threat-model.md#T33
fn bytes_are_counted_until_it_is_settled() {
    let budget = Budget::new(LIMITS);
    let place = admit(&budget, "192.0.2.7");
    assert_eq!(place.spend(60), Ok(()));
    assert_eq!(place.spend(41), Err(Exhausted));
    assert_eq!(place.spend(40), Ok(()));
    assert_eq!(place.spend(1), Err(Exhausted));
    assert_eq!(place.spend(usize::MAX), Err(Exhausted));
    place.settle();
    assert_eq!(place.spend(usize::MAX), Ok(()));
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn a_connection_hears_that_it_has_to_go() {
    let budget = Budget::new(Limits { connections: 1, ..LIMITS });
    let first = admit(&budget, "192.0.2.7");
    let told = first.cancelled();
    let second = admit(&budget, "192.0.2.8");
    told.await;
    // A settled place is never taken away.
    second.settle();
    let _third = admit(&budget, "192.0.2.9");
    let _fourth = admit(&budget, "192.0.2.10");
    assert!(!has_to_go(&second));
}
