//! Every method by everybody who could ask: the answer is what the policy's table says, and whoever is
//! refused has changed nothing.

mod nobody;

use openclaw_proto::v1;
use openclaw_proto::v1::audit_record::Decision;
use openclaw_scopes::method::{Case, Row, Tokens};
use openclaw_scopes::{Scope, ScopeSet};
use openclaw_tests::{Client, Connected, Refusal};
use tokio::task::JoinSet;
use tonic::Code;

use crate::in_process::calls::{About, call, touched};
use crate::in_process::policy::{
    is_absent, is_idle, is_of_devices, is_of_owners, is_there, lacks, lines,
};
use crate::in_process::stage::Stage;
use crate::in_process::world::{World, records, tokens};

/// Somebody who has shown who they are.
#[derive(Clone)]
struct Somebody {
    client: Client,
    held: ScopeSet,
    kind: Kind,
    /// What the log calls them.
    name: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Device,
    Owner,
    Token,
}

/// What the table says of a call.
#[derive(Debug, PartialEq)]
enum Says {
    /// It passes, and then there is nothing to do for this caller.
    Idle(Code),
    Passes,
    Refused(&'static str, ScopeSet),
}

impl Somebody {
    async fn device(stage: &Stage, held: ScopeSet) -> Self {
        let (device, Connected { client, .. }) = stage.connected(held).await;
        Self { client, held, kind: Kind::Device, name: format!("device:{}", device.id()) }
    }

    async fn token(stage: &Stage, held: ScopeSet) -> Self {
        let (name, secret) = stage.token(&stage.owner, held).await;
        let listed = tokens(&stage.owner).await;
        let token = listed.into_iter().find(|token| token.name == name).unwrap();
        let client = stage.gateway.dial().await.bearing(&secret);
        Self { client, held, kind: Kind::Token, name: format!("token:{}", token.id) }
    }

    fn says(&self, row: &Row, case: &Case) -> Says {
        if self.kind == Kind::Token && case.tokens == Tokens::Refused {
            return Says::Refused("NOT_OWNER", ScopeSet::EMPTY);
        }
        match (lacks(self.held, case, touched(row.name, case.when)), row.name, self.kind) {
            (Some((reason, missing)), ..) => Says::Refused(reason, missing),
            (None, "device.scopes.waitUpgrade", _) => Says::Idle(Code::NotFound),
            (None, ..) if is_absent(row) => Says::Idle(Code::NotFound),
            (None, ..) if is_there(row) => Says::Idle(Code::AlreadyExists),
            (None, ..) if is_idle(row) => Says::Idle(Code::FailedPrecondition),
            (None, _, Kind::Owner) if is_of_devices(row, case) => {
                Says::Idle(Code::FailedPrecondition)
            }
            (None, "device.scopes.requestUpgrade", _) if self.held.satisfies(Scope::Admin) => {
                Says::Idle(Code::FailedPrecondition)
            }
            (None, ..) => Says::Passes,
        }
    }

    /// Tells whether a line can judge a call of theirs: only a device has a device of its own.
    fn can_meet(&self, row: &Row, case: &Case) -> bool {
        match self.kind {
            Kind::Owner => case.when != "own device" || row.name == "device.pair.list",
            // What is on the stage is the owner's, or of a device that nobody here is.
            Kind::Device | Kind::Token => !is_of_owners(case),
        }
    }

    /// Makes the calls that the table refuses; returns how many there were.
    async fn is_refused(&self, about: &About) -> u64 {
        let mut refused = 0;
        for (row, case) in lines().filter(|(row, case)| self.can_meet(row, case)) {
            let Says::Refused(reason, missing) = self.says(row, case) else { continue };
            let place =
                format!("{} on `{}` by {} with {:?}", row.name, case.when, self.name, self.held);
            let called = call(&self.client, row.name, case.when, "refused", about).await;
            let refusal = Refusal::from(called.expect_err(&place));
            assert_eq!(refusal.kind(), (Code::PermissionDenied, reason), "{place}: {refusal:?}");
            if !missing.is_empty() {
                assert_eq!(refusal.fact("missingScopes"), missing.to_string(), "{place}");
            }
            refused += 1;
        }
        refused
    }

    /// Makes the calls that the table lets pass, on things of which nobody else needs them; returns how
    /// many there were.
    async fn passes(&self, stage: &Stage, about: &About, tag: &str) -> u64 {
        let mut passed = 0;
        for (row, case) in lines().filter(|(row, case)| self.can_meet(row, case)) {
            let says = self.says(row, case);
            if matches!(says, Says::Refused(..)) || row.name == "device.revokeAll" {
                continue;
            }
            let place =
                format!("{} on `{}` by {} with {:?}", row.name, case.when, self.name, self.held);
            let called = match (case.when, row.name) {
                ("own device", "device.pair.list")
                | (
                    ""
                    | "own run"
                    | "own session"
                    | "run of others"
                    | "session of others"
                    | "sub-agent of own session"
                    | "own job"
                    | "job of others"
                    | "job with a webhook or command"
                    | "own delivery"
                    | "delivery of others"
                    | "chat platform"
                    | "webhook"
                    | "as an owner",
                    _,
                ) if row.name != "agents.delete" => {
                    let about = stage.renewed(about, row.name).await;
                    call(&self.client, row.name, case.when, tag, &about).await
                }
                ("own device", _) => match self.double(stage, row.name).await {
                    Some((client, own)) => call(&client, row.name, case.when, tag, &own).await,
                    None => continue,
                },
                _ => {
                    let (idempotency_key, id) = (format!("spare-{tag}"), format!("spare-{tag}"));
                    let spare =
                        v1::CreateAgentRequest { idempotency_key, id, ..Default::default() };
                    drop(stage.owner.agents().create(spare).await.unwrap());
                    call(&self.client, row.name, case.when, tag, about).await
                }
            };
            match (says, called) {
                (Says::Passes, Ok(())) => {}
                (Says::Idle(code), Err(status)) if status.code() == code => {}
                (says, called) => panic!("{place}: {called:?}, but the table says {says:?}"),
            }
            passed += 1;
        }
        passed
    }

    /// Another device that holds the same, with what it may do to itself; `None` where there is nothing
    /// to be done, as for a request for more by a device that holds all.
    async fn double(&self, stage: &Stage, method: &str) -> Option<(Client, About)> {
        let (device, Connected { client, .. }) = stage.connected(self.held).await;
        let mut about = About { device: device.id().to_string(), ..About::default() };
        if method == "device.pair.reject" {
            if self.held.satisfies(Scope::Admin) {
                return None;
            }
            call(&client, "device.scopes.requestUpgrade", "", "", &about).await.unwrap();
            let own = v1::ListDevicesRequest { own: true };
            let listed = client.devices().list(own).await.unwrap().into_inner();
            about.request.clone_from(&listed.pending[0].id);
        }
        Some((client, about))
    }
}

/// Everybody who has shown who they are: devices and programs with each scope alone and with all, and
/// the owner.
async fn everybody(stage: &Stage) -> Vec<Somebody> {
    let mut all = Vec::new();
    for held in Scope::ALL.map(ScopeSet::from).into_iter().chain([ScopeSet::ALL]) {
        all.push(Somebody::device(stage, held).await);
        all.push(Somebody::token(stage, held).await);
    }
    let client = stage.owner.clone();
    let status = client.gateway().status(v1::StatusRequest {}).await.unwrap();
    let name = status.into_inner().principal;
    all.push(Somebody { client, held: ScopeSet::ALL, kind: Kind::Owner, name });
    all
}

#[tokio::test]
//= docs/threat-model.md#T31
//= docs/threat-model.md#T32
//= docs/threat-model.md#T34
async fn every_method_by_every_principal() {
    let stage = Stage::new().await;
    let about = stage.about().await;
    let expected = nobody::has_no_way_in(&stage, &about).await;
    let everybody = everybody(&stage).await;
    let world = World::of(&stage.gateway, &stage.owner).await;
    let mut asking = JoinSet::new();
    for somebody in &everybody {
        let (somebody, about) = (somebody.clone(), about.clone());
        asking.spawn(async move { (somebody.is_refused(&about).await, somebody.name) });
    }
    let refused = asking.join_all().await;
    World::of(&stage.gateway, &stage.owner).await.expect_same(&world, "everybody was refused");
    let mut passed = 0;
    for (number, somebody) in everybody.into_iter().enumerate() {
        passed += somebody.passes(&stage, &about, &number.to_string()).await;
    }
    let all: u64 = refused.iter().map(|(count, _)| count).sum();
    assert!(all > 500 && passed > 250, "{all} {passed}");
    // Withdrawing everything ends whoever did it, too, so it is called last, by each who may.
    for held in [Scope::Admin.into(), ScopeSet::ALL] {
        let scopes: Vec<_> = held.iter().collect();
        let all = stage.device().paired(&stage.gateway, &scopes).await;
        call(&all.client, "device.revokeAll", "", "", &about).await.unwrap();
    }
    // Each refusal stands in the log, singly or in a count.
    let gateway = stage.gateway.restart().await;
    let owner = gateway.owner().await;
    let refused = refused.into_iter().filter(|(count, _)| *count > 0);
    for (count, principal) in refused.chain(expected) {
        let decision = Decision::Denied.into();
        let filter = v1::ListAuditRequest { principal, decision, ..Default::default() };
        let denied = records(&owner, filter.clone()).await;
        let sum = denied.iter().map(|row| row.count).sum::<u64>();
        assert_eq!(sum, count, "{filter:?}");
    }
}
