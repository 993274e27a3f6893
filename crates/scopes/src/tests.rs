//! The laws of the policy, tried on the whole of their finite domain.

use std::collections::BTreeSet;

use expect_test::expect_file;

use crate::authorize::judge;
use crate::method::{
    ActorRule, ApproveDevice, ConnectDevice, ContinueSession, CreateAgent, CreateToken,
    DeleteSession, InviteDevice, InvokeTool, ListAudit, Method, PatchSession, ReadSession,
    RecoverRuns, ResetSession, RevokeDevice, RotateDevice, SeeApprovals, SeeCron, SeeDeliveries,
    SeePairing, SeePresence, SeeRuns, SeeSessions, SpawnChild, StartRun, Surface, TABLE,
    WatchEvents, find,
};
use crate::target::{
    AgentTarget, AuditRange, Authority, EventTarget, Keeping, PatchTarget, SessionPart,
    SessionTarget, SpawnTarget, Whole,
};
use crate::{
    Caller, Capability, CapabilitySet, Cause, Component, Denial, DeviceId, DeviceRole, Epoch,
    Grant, GrantHolder, Principal, RunId, Scope, ScopeSet, SessionKey, TokenId, ToolName,
    ToolTarget, authorize, explain, policy,
};

const EPOCH: Epoch = Epoch(7);

fn grant(scopes: ScopeSet) -> Grant {
    let holder = GrantHolder::Token(TokenId::parse("t").unwrap());
    Grant::mint(holder, EPOCH, ScopeSet::ALL, &Grant::owner(EPOCH), scopes)
}

#[expect(clippy::disallowed_methods, reason = "tests say who is who")]
fn person() -> Caller {
    Caller::assertion(1000, Cause::Request, EPOCH)
}

fn run(scopes: ScopeSet, capabilities: CapabilitySet) -> Caller {
    let session = SessionKey::parse("agent:main:main").unwrap();
    Caller::run(RunId::parse("r").unwrap(), session, grant(scopes), capabilities)
}

fn every_set() -> impl Iterator<Item = ScopeSet> {
    (0_u32..1 << 10).map(|bits| {
        let chosen = |index: usize| bits & (1 << index) != 0;
        let scopes = Scope::ALL.into_iter().enumerate().filter(|(index, _)| chosen(*index));
        scopes.fold(ScopeSet::EMPTY, |set, (_, scope)| set.with(scope))
    })
}

#[test]
fn the_matrix_is_as_reviewed() {
    expect_file!["../../../docs/policy.md"].assert_eq(&policy::render());
}

#[test]
fn names_and_paths_are_unique() {
    let names: BTreeSet<_> = TABLE.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), TABLE.len());
    let paths: Vec<_> = TABLE.iter().filter_map(|row| row.path()).collect();
    assert_eq!(paths.iter().collect::<BTreeSet<_>>().len(), paths.len());
    assert_eq!(find("agent"), find("/openclaw.v1.Runs/Start"));
    assert!(TABLE.iter().all(|row| !row.cases.is_empty() && !row.summary.is_empty()));
}

/// The owner passes every method that a client can reach, and none of the internal ones.
#[test]
fn the_owner_passes_all_of_the_surface() {
    for row in TABLE {
        for case in row.cases {
            let allowed = judge(&person(), case, ScopeSet::EMPTY).is_ok();
            assert_eq!(
                allowed,
                matches!(row.surface, Surface::Event | Surface::Rpc(_))
                    && !matches!(case.actor, ActorRule::Capability(_) | ActorRule::Nobody),
                "{} {}",
                row.name,
                case.when
            );
        }
    }
}

/// An internal actor is allowed iff its capability *and* its grant allow: all rows × all capability
/// sets of at most two × all 2^10 scope sets.
#[test]
//= docs/threat-model.md#T16
fn internal_work_needs_capability_and_grant() {
    let mut sets = BTreeSet::from([Vec::new()]);
    for one in Capability::ALL {
        for two in Capability::ALL {
            sets.insert(vec![*one, *two]);
        }
    }
    for scopes in every_set() {
        for capabilities in &sets {
            let caller = run(scopes, CapabilitySet::of(capabilities));
            for case in TABLE.iter().flat_map(|row| row.cases) {
                let capable = match case.actor {
                    ActorRule::Never | ActorRule::Nobody => false,
                    ActorRule::Capability(needed) | ActorRule::CapabilityOrScope(needed) => {
                        capabilities.contains(&needed)
                    }
                };
                let granted = case.requires.scope().is_none_or(|needed| scopes.satisfies(needed));
                assert_eq!(
                    judge(&caller, case, ScopeSet::EMPTY).is_ok(),
                    capable && granted,
                    "{case:?}"
                );
            }
        }
    }
}

/// More scopes never lose a permission, and fewer never win one.
#[test]
fn authority_is_monotonic() {
    let all = CapabilitySet::of(Capability::ALL);
    for case in TABLE.iter().flat_map(|row| row.cases) {
        for scopes in every_set() {
            if judge(&run(scopes, all), case, ScopeSet::EMPTY).is_ok() {
                for more in Scope::ALL {
                    assert!(
                        judge(&run(scopes.with(more), all), case, ScopeSet::EMPTY).is_ok(),
                        "{case:?} {more}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_scope_is_never_a_capability() {
    let admin_without_capabilities = run(ScopeSet::ALL, CapabilitySet::EMPTY);
    for row in TABLE {
        for case in row.cases {
            assert!(
                judge(&admin_without_capabilities, case, ScopeSet::EMPTY).is_err(),
                "{}",
                row.name
            );
        }
    }
}

#[test]
//= docs/threat-model.md#T17
fn an_ended_grant_allows_nothing() {
    let target = || AgentTarget("main".parse().unwrap());
    let decide = |live| authorize::<CreateAgent>(&person(), target(), live).map(|_| ());
    assert_eq!(decide(Some(EPOCH)), Ok(()));
    assert_eq!(decide(Some(Epoch(8))), Err(Denial::GrantReplaced));
    assert_eq!(decide(None), Err(Denial::GrantEnded));
}

#[test]
#[rustfmt::skip]
fn decisions() {
    use Capability::{ExecUnsandboxed, FilesRead, RunsRecover};
    let session = || SessionTarget::unowned(SessionKey::parse("agent:main:main").unwrap());
    let tool = |capability| ToolTarget { capability, tool: ToolName::parse("t").unwrap() };
    let run = |scope: Scope, capability| run(scope.into(), CapabilitySet::of(&[capability]));
    let recovery = || Caller::system(Component::Recovery, Cause::Startup, EPOCH);

    //                    caller                                 on                     decision
    check::<ReadSession>(&person(),                              session(),             Ok(()));
    check::<ListAudit>  (&person(),                              AuditRange::All,       Ok(()));
    check::<InvokeTool> (&person(),                              tool(FilesRead),       Err(Denial::OnlyInternal(FilesRead)));
    check::<InvokeTool> (&run(Scope::Write, FilesRead),          tool(FilesRead),       Ok(()));
    check::<InvokeTool> (&run(Scope::Read, FilesRead),           tool(FilesRead),       Err(Denial::MissingScope(Scope::Write.into())));
    check::<InvokeTool> (&run(Scope::Write, ExecUnsandboxed),    tool(ExecUnsandboxed), Err(Denial::MissingScope(Scope::Admin.into())));
    check::<InvokeTool> (&run(Scope::Admin, ExecUnsandboxed),    tool(ExecUnsandboxed), Ok(()));
    check::<InvokeTool> (&run(Scope::Admin, RunsRecover),        tool(RunsRecover),     Err(Denial::Internal));
    check::<InvokeTool> (&person(),                              tool(RunsRecover),     Err(Denial::Internal));
    check::<StartRun>   (&run(Scope::Admin, FilesRead),          session(),             Err(Denial::Internal));
    check::<RecoverRuns>(&recovery(),                            Whole,                 Ok(()));
    check::<RecoverRuns>(&person(),                              Whole,                 Err(Denial::OnlyInternal(RunsRecover)));
    check::<CreateAgent>(&recovery(),                            AgentTarget("x".parse().unwrap()), Err(Denial::Internal));
}

/// "Delete what I created" is not "delete anything".
#[test]
#[rustfmt::skip]
//= docs/threat-model.md#T31
fn ownership_is_a_permission_of_its_own() {
    use Scope::{Admin, Read, Write};
    let key = || SessionKey::parse("agent:main:x").unwrap();
    let of = |id: &str| GrantHolder::Device(DeviceId::parse(id).unwrap());
    let target = |owner: Option<&str>, keeping| SessionTarget { key: key(), owner: owner.map(of), keeping, above: Vec::new() };
    let below = |above| SessionTarget { above: vec![of("c"), of(above)], ..target(Some("b"), Keeping::Passing) };
    let a = |scope| device("a", &[scope]);
    let reaper = || Caller::system(Component::Reaper, Cause::Timer, EPOCH);
    let lacks = |scope: Scope| Err(Denial::MissingScope(scope.into()));
    let (kept, passing) = (Keeping::Kept, Keeping::Passing);

    //                     caller                                    on                          decision
    check::<DeleteSession>(&a(Write),                                target(Some("a"), kept),    Ok(()));
    check::<DeleteSession>(&a(Read),                                 target(Some("a"), kept),    lacks(Write));
    check::<DeleteSession>(&a(Write),                                target(Some("b"), kept),    lacks(Admin));
    check::<DeleteSession>(&a(Write),                                target(None, kept),         lacks(Admin));
    check::<DeleteSession>(&a(Admin),                                target(Some("b"), kept),    Ok(()));
    check::<DeleteSession>(&person(),                                target(Some("b"), passing), Ok(()));
    check::<DeleteSession>(&reaper(),                                target(Some("b"), passing), Ok(()));
    check::<DeleteSession>(&reaper(),                                target(Some("b"), kept),    Err(Denial::Internal));
    check::<DeleteSession>(&run(Admin.into(), CapabilitySet::of(Capability::ALL)), target(None, passing), Err(Denial::Internal));
    check::<DeleteSession>(&a(Write),                                below("a"),                 Ok(()));
    check::<DeleteSession>(&a(Read),                                 below("a"),                 lacks(Write));
    check::<DeleteSession>(&a(Write),                                below("d"),                 lacks(Admin));
    check::<ResetSession> (&a(Write),                                below("a"),                 lacks(Admin));
    check::<ResetSession> (&a(Write),                                target(Some("a"), kept),    Ok(()));
    check::<ResetSession> (&a(Write),                                target(Some("b"), kept),    lacks(Admin));
    check::<ResetSession> (&reaper(),                                target(Some("b"), passing), Err(Denial::Internal));
}

/// How a conversation is kept is anybody's who may write; what its runs may do is not even its owner's.
#[test]
#[rustfmt::skip]
//= docs/threat-model.md#T31
fn patching() {
    use Scope::{Admin, Read, Write};
    use SessionPart::{Organization, RuntimePolicy};
    let target = |part| PatchTarget { key: SessionKey::parse("agent:main:x").unwrap(), part };
    let a = |scope| device("a", &[scope]);
    let lacks = |scope: Scope| Err(Denial::MissingScope(scope.into()));
    let all = || run(Admin.into(), CapabilitySet::of(Capability::ALL));
    check::<PatchSession>(&a(Write), target(Organization),  Ok(()));
    check::<PatchSession>(&a(Read),  target(Organization),  lacks(Write));
    check::<PatchSession>(&a(Write), target(RuntimePolicy), lacks(Admin));
    check::<PatchSession>(&a(Admin), target(RuntimePolicy), Ok(()));
    check::<PatchSession>(&person(), target(RuntimePolicy), Ok(()));
    check::<PatchSession>(&all(),    target(Organization),  Err(Denial::Internal));
    check::<PatchSession>(&all(),    target(RuntimePolicy), Err(Denial::Internal));
}

/// A run delegates by capability and grant, a person by scope alone, and nobody by less.
#[test]
#[rustfmt::skip]
//= docs/threat-model.md#T16
fn delegating() {
    use Capability::{FilesRead, SessionsSpawn};
    let target = || SpawnTarget {
        parent: SessionKey::parse("agent:main:main").unwrap(), owner: Some(GrantHolder::Owner), agent: "main".parse().unwrap(),
    };
    let by = |scope: Scope, capability| run(scope.into(), CapabilitySet::of(&[capability]));
    let lacks = |scope: Scope| Err(Denial::MissingScope(scope.into()));
    check::<SpawnChild>(&by(Scope::Write, SessionsSpawn),     target(), Ok(()));
    check::<SpawnChild>(&by(Scope::Read, SessionsSpawn),      target(), lacks(Scope::Write));
    check::<SpawnChild>(&by(Scope::Admin, FilesRead),         target(), Err(Denial::MissingCapability(SessionsSpawn)));
    check::<SpawnChild>(&device("a", &[Scope::Write]),        target(), Ok(()));
    check::<SpawnChild>(&device("a", &[Scope::Read]),         target(), lacks(Scope::Write));
    let announcer = |scope: Scope| Caller::delegate(
        Component::Announcer,
        Grant::recorded(GrantHolder::Owner, EPOCH, scope.into(), ScopeSet::ALL),
        Cause::Timer,
    );
    let session = || SessionTarget::unowned(SessionKey::parse("agent:main:main").unwrap());
    check::<ContinueSession>(&announcer(Scope::Write), session(), Ok(()));
    check::<ContinueSession>(&announcer(Scope::Read),  session(), lacks(Scope::Write));
    check::<ContinueSession>(&person(),                session(), Err(Denial::OnlyInternal(Capability::RunsContinue)));
    check::<SpawnChild>     (&announcer(Scope::Admin), target(),  Err(Denial::MissingCapability(SessionsSpawn)));
}

#[track_caller]
fn check<M: Method>(caller: &Caller, target: M::Target, decision: Result<(), Denial>) {
    assert_eq!(authorize::<M>(caller, target, Some(EPOCH)).map(|_| ()), decision);
}

#[test]
fn explaining_says_what_deciding_does() {
    let reader = run(Scope::Read.into(), CapabilitySet::of(&[Capability::FilesRead]));
    let explanation = explain(&reader, InvokeTool::ROW, None);
    assert_eq!(explanation.held, Scope::Read.into());
    for verdict in &explanation.verdicts {
        assert_eq!(verdict.decision, judge(&reader, verdict.case, ScopeSet::EMPTY));
    }
    let target =
        ToolTarget { capability: Capability::FilesRead, tool: "read_file".parse().unwrap() };
    let only =
        explain(&reader, InvokeTool::ROW, Some(InvokeTool::case(&target, &GrantHolder::Owner)));
    assert_eq!(only.verdicts.len(), 1);
    assert_eq!(only.verdicts[0].smallest_grant, Scope::Write.into());
}

#[test]
fn every_case_that_judges_is_in_the_table() {
    for range in [AuditRange::All, AuditRange::Own] {
        assert!(ListAudit::ROW.cases.contains(ListAudit::case(&range, &GrantHolder::Owner)));
    }
    for capability in Capability::ALL.iter().copied() {
        let target = ToolTarget { capability, tool: ToolName::parse("t").unwrap() };
        let case = InvokeTool::case(&target, &GrantHolder::Owner);
        let is_open_to_somebody = case.actor != ActorRule::Nobody;
        assert_eq!(InvokeTool::ROW.cases.contains(case), is_open_to_somebody, "{capability}");
    }
}

fn device(id: &str, scopes: &[Scope]) -> Caller {
    let id = DeviceId::parse(id).unwrap();
    let grant = Grant::recorded(
        GrantHolder::Device(id.clone()),
        EPOCH,
        ScopeSet::of(scopes),
        ScopeSet::ALL,
    );
    #[expect(clippy::disallowed_methods, reason = "tests say who is who")]
    Caller::device(id, DeviceRole::Operator, grant, Cause::Request)
}

fn program(scopes: &[Scope]) -> Caller {
    let id = TokenId::parse("t").unwrap();
    let grant =
        Grant::recorded(GrantHolder::Token(id.clone()), EPOCH, ScopeSet::of(scopes), ScopeSet::ALL);
    #[expect(clippy::disallowed_methods, reason = "tests say who is who")]
    Caller::token(id, grant, Cause::Request)
}

/// Who may change whose authority: oneself within what one holds, others only with pairing and all
/// that is handed out or taken away, a program with a token nobody's.
#[test]
#[rustfmt::skip]
//= docs/threat-model.md#T31
//= docs/threat-model.md#T34
fn whoever_hands_out_holds_it() {
    use Scope::{Admin, Approvals, Pairing, Read, Write};
    let of = |id: &str, held: &[Scope], granted: &[Scope]| {
        Authority::of(GrantHolder::Device(DeviceId::parse(id).unwrap()))
            .holding(ScopeSet::of(held)).granting(ScopeSet::of(granted))
    };
    let lacks = |scopes: &[Scope]| Err(Denial::MissingScope(ScopeSet::of(scopes)));
    let narrow = |scopes: &[Scope]| Err(Denial::TooNarrow(ScopeSet::of(scopes)));

    //                      caller                              on                           decision
    check::<RotateDevice> (&device("a", &[Read]),               of("a", &[Read], &[Read]),   Ok(()));
    check::<RotateDevice> (&device("a", &[Read]),               of("a", &[Admin], &[Admin]), narrow(&[Admin]));
    check::<RevokeDevice> (&device("a", &[Read]),               of("a", &[Admin], &[]),      Ok(()));
    check::<RotateDevice> (&device("a", &[Read]),               of("b", &[Read], &[Read]),   lacks(&[Pairing]));
    check::<RotateDevice> (&device("a", &[Pairing]),            of("b", &[Admin], &[Read]),  narrow(&[Admin]));
    check::<RotateDevice> (&device("a", &[Read]),               of("b", &[Write], &[]),      lacks(&[Pairing, Write]));
    check::<RotateDevice> (&device("a", &[Pairing, Write]),     of("b", &[Write], &[Read]),  Ok(()));
    check::<ApproveDevice>(&device("a", &[Pairing]),            of("b", &[], &[Write]),      narrow(&[Write]));
    check::<ApproveDevice>(&device("a", &[Pairing, Approvals]), of("b", &[], &[Approvals]),  Ok(()));
    // Approving is never managing oneself: that would be granting oneself more.
    check::<ApproveDevice>(&device("a", &[Write]),              of("a", &[], &[Read]),       lacks(&[Pairing]));
    check::<InviteDevice> (&device("a", &[Pairing]),            of("a", &[], &[Admin]),      narrow(&[Admin]));
    check::<CreateToken>  (&program(&[Admin]),                  of("b", &[], &[Read]),       Err(Denial::TokenMayNot));
    check::<ApproveDevice>(&program(&[Admin]),                  of("b", &[], &[Read]),       Err(Denial::TokenMayNot));
    check::<RotateDevice> (&program(&[Admin]),                  of("b", &[], &[]),           Err(Denial::TokenMayNot));
    check::<CreateAgent>  (&program(&[Admin]),                  AgentTarget("x".parse().unwrap()), Ok(()));
    // The doorkeeper opens the door, and does nothing else.
    let doorkeeper = Caller::system(Component::Doorkeeper, Cause::Request, EPOCH);
    check::<ConnectDevice>(&doorkeeper,                         of("a", &[], &[]),           Ok(()));
    check::<ConnectDevice>(&person(),                           of("a", &[], &[]),           Err(Denial::OnlyInternal(Capability::DevicesAdmit)));
    check::<ApproveDevice>(&doorkeeper,                         of("a", &[], &[]),           Err(Denial::Internal));
}

/// Who is told of what: every kind, of somebody's own and of others, with each scope by itself; and nodes,
/// which are told of nothing but themselves, whatever they hold.
#[test]
//= docs/threat-model.md#T38
#[expect(clippy::disallowed_methods, reason = "tests say who is who")]
fn events_are_seen_by_scope_and_ownership() {
    fn seen<M: Method<Target = EventTarget>>(caller: &Caller, owner: &GrantHolder) -> bool {
        let role = match caller.actor() {
            Principal::Device { role, .. } => *role,
            _ => DeviceRole::Operator,
        };
        let target = EventTarget { owner: Some(owner.clone()), role };
        authorize::<M>(caller, target, Some(EPOCH)).is_ok()
    }
    type See = fn(&Caller, &GrantHolder) -> bool;
    #[rustfmt::skip]
    let table: [(See, Option<Scope>, Option<Scope>); 7] = [
        //                     own                        of others
        (seen::<SeeRuns>,       None,                      Some(Scope::Read)),
        (seen::<SeeSessions>,   Some(Scope::SessionsRead), Some(Scope::SessionsRead)),
        (seen::<SeeCron>,       None,                      Some(Scope::Read)),
        (seen::<SeeDeliveries>, None,                      Some(Scope::Read)),
        (seen::<SeePairing>,    None,                      Some(Scope::Pairing)),
        (seen::<SeeApprovals>,  Some(Scope::Approvals),    Some(Scope::Approvals)),
        (seen::<SeePresence>,   None,                      Some(Scope::Read)),
    ];
    let (one, other) = (DeviceId::parse("a").unwrap(), DeviceId::parse("b").unwrap());
    let holder = GrantHolder::Device(one.clone());
    let others = GrantHolder::Device(other);
    let device = |role, scopes| {
        let grant = Grant::mint(holder.clone(), EPOCH, ScopeSet::ALL, &Grant::owner(EPOCH), scopes);
        Caller::device(one.clone(), role, grant, Cause::Request)
    };
    for scopes in every_set() {
        let (operator, node) =
            (device(DeviceRole::Operator, scopes), device(DeviceRole::Node, scopes));
        let passes = |needed: Option<Scope>| needed.is_none_or(|it| scopes.satisfies(it));
        for (index, (see, own, of_others)) in table.iter().enumerate() {
            assert_eq!(see(&operator, &holder), passes(*own), "{index} {scopes:?}");
            assert_eq!(see(&operator, &others), passes(*of_others), "{index} {scopes:?}");
            assert!(!see(&node, &others), "{index} {scopes:?}");
            assert_eq!(see(&node, &holder), index == 6, "{index} {scopes:?}");
        }
    }
    // A run watches nothing, whatever it is capable of.
    let run = run(ScopeSet::ALL, CapabilitySet::of(Capability::ALL));
    let watched = authorize::<WatchEvents>(&run, Whole, Some(EPOCH));
    assert_eq!(watched.map(drop), Err(Denial::Internal));
    assert!(table.iter().all(|(see, _, _)| !see(&run, run.on_behalf_of())));
}
