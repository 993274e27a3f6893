//! The state machine of requests: every state with every event, and who may grant what.

use expect_test::expect_file;
use openclaw_scopes::target::Authority;
use openclaw_scopes::{Caller, Cause, Scope, authorize};

use super::*;

const EPOCH: Epoch = Epoch(3);

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn device() -> DeviceId {
    DeviceId::parse("d1").unwrap()
}

fn pending(scopes: &[Scope]) -> Pending {
    let id = PairingId::parse("pr_1").unwrap();
    let role = DeviceRole::Operator;
    Pending::new(id, device(), Kind::NotPaired, role, ScopeSet::of(scopes), at(0))
}

#[expect(clippy::disallowed_methods, reason = "tests say who is who")]
fn owner() -> Caller {
    Caller::assertion(1000, Cause::Request, EPOCH)
}

fn target(device: DeviceId, granted: &[Scope]) -> Authority {
    Authority::of(GrantHolder::Device(device)).granting(ScopeSet::of(granted))
}

fn witness(granted: &[Scope]) -> Authorized<ApproveDevice> {
    authorize(&owner(), target(device(), granted), Some(EPOCH)).unwrap()
}

/// Every state with every event. A state that is left has no way back: there is no function from it.
#[test]
fn transitions_are_as_reviewed() {
    use Scope::{Read, Write};
    let same = pending(&[Read]).ask(Read.into(), at(1));
    let changed = pending(&[Read]).ask(Write.into(), at(1));
    let late = at(3_600_000);
    let refuse = |granted: &[Scope], revision, now| {
        pending(&[Read])
            .approve(witness(granted), revision, ScopeSet::EMPTY, now)
            .map(drop)
            .unwrap_err()
    };
    let reject = authorize::<RejectDevice>(&owner(), target(device(), &[]), Some(EPOCH)).unwrap();
    let lines = [
        ("Pending", "ask, same wish", format!("{}", matches!(same, Asked::Same(_)))),
        ("Pending", "ask, other wish", {
            let Asked::Changed(next) = changed else { panic!("not changed") };
            let former = &next.history[0];
            format!("Pending, revision {}, after {}", next.wish.revision, former.scopes)
        }),
        ("Pending", "approve all", {
            let approved =
                pending(&[Read]).approve(witness(&[Read]), 1, ScopeSet::EMPTY, at(5)).unwrap();
            format!("Approved {} by {}", approved.granted().reduced(), approved.approved_by())
        }),
        ("Pending", "approve a part", {
            let approved =
                pending(&[Write]).approve(witness(&[Read]), 1, ScopeSet::EMPTY, at(5)).unwrap();
            format!("Approved {}", approved.granted().reduced())
        }),
        ("Pending", "approve another revision", refuse(&[Read], 2, at(5)).to_string()),
        ("Pending", "approve more", refuse(&[Write], 1, at(5)).to_string()),
        ("Pending", "approve nothing", refuse(&[], 1, at(5)).to_string()),
        ("Pending", "approve what is held", {
            let held = ScopeSet::from(Read);
            let refused = pending(&[Write]).approve(witness(&[Read]), 1, held, at(5));
            refused.map(drop).unwrap_err().to_string()
        }),
        ("Pending", "approve too late", refuse(&[Read], 1, late).to_string()),
        ("Pending", "reject", {
            let rejected = pending(&[Read]).reject(reject).unwrap();
            format!("Rejected by {}", rejected.rejected_by)
        }),
        ("Pending", "lapse", format!("{}", pending(&[]).has_lapsed(late))),
        (
            "Pending",
            "lapse, a moment earlier",
            format!("{}", pending(&[]).has_lapsed(at(3_599_999))),
        ),
    ];
    let table: String =
        lines.iter().map(|(from, event, to)| format!("{from:8} {event:25} {to}\n")).collect();
    let terminal = State::ALL.into_iter().filter(|state| *state != State::Pending);
    let terminal: Vec<_> = terminal.map(|state| format!("{state:?}")).collect();
    let table = format!("{table}{:8} {:25} no transition\n", terminal.join("|"), "any");
    expect_file!["../../golden/transitions.txt"].assert_eq(&table);
}

/// Asking again and again makes neither another request nor a younger one.
#[test]
//= docs/threat-model.md#T29
fn retries_do_not_refresh() {
    let mut request = pending(&[Scope::Read]);
    for millis in 1..1000 {
        let Asked::Same(same) = request.ask(Scope::Read.into(), at(millis)) else {
            panic!("changed")
        };
        request = same;
    }
    assert_eq!((request.wish.revision, request.expires_at()), (1, at(3_600_000)));
    for millis in 1..100 {
        let wish = if millis % 2 == 0 { Scope::Read } else { Scope::Write };
        request = match request.ask(wish.into(), at(millis)) {
            Asked::Changed(request) | Asked::Same(request) => request,
        };
    }
    assert_eq!((request.wish.revision, request.history.len()), (100, MAX_HISTORY));
    assert_eq!(request.expires_at(), at(3_600_000));
    let revisions: Vec<_> = request.history.iter().map(|wish| wish.revision).collect();
    assert_eq!(revisions, (84..100).collect::<Vec<_>>());
}

#[test]
fn a_witness_is_for_one_device() {
    let other = DeviceId::parse("d2").unwrap();
    let witness = authorize(&owner(), target(other, &[Scope::Read]), Some(EPOCH)).unwrap();
    let refused = pending(&[Scope::Read]).approve(witness, 1, ScopeSet::EMPTY, at(0)).map(drop);
    assert_eq!(refused, Err(ApproveError::OtherDevice));
}

#[test]
fn names_of_requests() {
    let named = |text: &str| text.parse::<RequestRef>().map(|named| named.revision);
    assert_eq!(named("pr_1"), Ok(None));
    assert_eq!(named("pr_1@7"), Ok(Some(7)));
    for text in ["", "@1", "pr_1@", "pr_1@x", "pr_1@+1", "pr 1", "pr_1@1@1", "pr_1@4294967296"] {
        assert_eq!(named(text), Err(ParseRequestError), "{text}");
    }
    for kind in Kind::ALL {
        assert_eq!(Kind::parse(kind.name()), Some(kind));
    }
    for state in State::ALL {
        assert_eq!(State::parse(state.name()), Some(state));
    }
}
