//! Claims that are none: signed by the right key, and not what belongs there.

use openclaw_pairing::{Asks, DeviceKey};
use openclaw_proto::v1;
use openclaw_scopes::{DeviceRole, Scope, ScopeSet};
use openclaw_tests::{Attempt, Refusal};
use tonic::Code;

use super::{Trial, Wrong};

/// Takes a claim apart into its fields.
fn fields(mut claim: &[u8]) -> Vec<Vec<u8>> {
    let mut fields = Vec::new();
    while let Some((length, rest)) = claim.split_first_chunk::<4>() {
        let (field, rest) = rest.split_at(u32::from_be_bytes(*length).try_into().unwrap());
        fields.push(field.to_vec());
        claim = rest;
    }
    fields
}

/// Puts fields together and signs what comes of it.
fn sign(request: &mut v1::ConnectRequest, key: &DeviceKey, fields: &[Vec<u8>]) {
    request.claim.clear();
    for field in fields {
        request.claim.extend(u32::try_from(field.len()).unwrap().to_be_bytes());
        request.claim.extend(field);
    }
    request.signature = key.sign(&request.claim);
}

/// Puts something else into one field of the claim, and signs that.
pub(super) fn replace(
    request: &mut v1::ConnectRequest,
    key: &DeviceKey,
    field: usize,
    text: &[u8],
) {
    let mut fields = fields(&request.claim);
    fields[field] = text.to_vec();
    sign(request, key, &fields);
}

async fn all_are_invalid(wrongs: &[fn(&mut v1::ConnectRequest, &DeviceKey)]) -> Vec<Refusal> {
    let (mut trial, mut refusals) = (Trial::new().await, Vec::new());
    for spoil in wrongs {
        let refusal = trial.refusal(&Wrong::spoiled(*spoil)).await;
        assert_eq!(refusal.kind(), (Code::InvalidArgument, ""), "{refusal:?}");
        refusals.push(refusal);
    }
    trial.end().await;
    refusals
}

/// Nothing wished for is no claim: it does not mean all, nor what was approved.
#[tokio::test]
//= docs/threat-model.md#T28
async fn an_empty_wish_is_nothing() {
    let mut trial = Trial::new().await;
    for asks in [Asks::Nothing, Asks::Upgrade] {
        let wish = ScopeSet::EMPTY;
        let empty = Attempt { wish, asks, ..Attempt::default() };
        let refusal = trial.refusal(&Wrong::made(empty)).await;
        assert_eq!(refusal.kind(), (Code::InvalidArgument, ""), "{refusal:?}");
        assert_eq!(refusal.message, "the wish names no scope");
    }
    trial.end().await;
}

#[tokio::test]
//= docs/threat-model.md#T28
async fn a_wish_names_known_scopes_each_once() {
    #[rustfmt::skip]
    let refusals = all_are_invalid(&[
        |request, key| replace(request, key, 5, b"operator.root"),
        |request, key| replace(request, key, 5, b"operator.read operator.read"),
        |request, key| replace(request, key, 5, b"operator.write operator.read"),
        |request, key| replace(request, key, 5, b"operator.read "),
        |request, key| replace(request, key, 5, b"Operator.Read"),
        |request, key| replace(request, key, 5, b"*"),
        |request, key| replace(request, key, 5, b"\x1b[31m"),
        |request, key| replace(request, key, 5, b"operator.read\0"),
        |request, key| replace(request, key, 5, b"\xff"),
    ]).await;
    assert_eq!(refusals[0].message, "unknown scope `operator.root`");
    assert_eq!(refusals[1].message, "the wish names `operator.read` twice");
    assert!(refusals.iter().all(|refusal| !refusal.message.contains('\u{1b}')), "{refusals:?}");
}

#[tokio::test]
//= docs/threat-model.md#T28
async fn a_claim_has_one_form() {
    #[rustfmt::skip]
    all_are_invalid(&[
        // Cut off, after a field and in one; longer; nothing; far too much.
        |request, key| { let fields = fields(&request.claim); sign(request, key, &fields[..7]); },
        |request, key| { request.claim.pop(); request.signature = key.sign(&request.claim); },
        |request, key| { request.claim.push(0); request.signature = key.sign(&request.claim); },
        |request, key| { request.claim.clear(); request.signature = key.sign(&request.claim); },
        |request, key| { request.claim.resize(20_000, 0); request.signature = key.sign(&request.claim); },
        // Reordered; one field twice; a length that is a lie.
        |request, key| { let mut fields = fields(&request.claim); fields.swap(3, 4); sign(request, key, &fields); },
        |request, key| { let mut fields = fields(&request.claim); fields.push(fields[7].clone()); sign(request, key, &fields); },
        |request, key| { request.claim[0] = 0xff; request.signature = key.sign(&request.claim); },
        // Another kind, role, mode; an id that is none.
        |request, key| replace(request, key, 0, b"openclaw device claim v2"),
        |request, key| replace(request, key, 4, b"owner"),
        |request, key| replace(request, key, 6, b"approve"),
        |request, key| replace(request, key, 3, b"no id\n"),
        // A key of another length.
        |request, _| request.public_key.truncate(31),
        |request, _| request.public_key.clear(),
    ]).await;
}

/// There are no methods for nodes yet, so nobody becomes one: not by asking, by an invitation, nor by
/// being an operator.
#[tokio::test]
//= docs/threat-model.md#T29
async fn the_node_role_is_refused_for_now() {
    let trial = Trial::new().await;
    let stage = &trial.stage;
    let invite = v1::InviteRequest::default();
    let made = stage.owner.devices().invite(invite).await.unwrap().into_inner();
    let role = DeviceRole::Node;
    for device in [trial.known.clone(), stage.device()] {
        for attempt in [
            Attempt { role, ..Attempt::default() },
            Attempt { role, ..Attempt::asking(&Scope::ALL) },
            Attempt { role, ..Attempt::invited(&made.code) },
        ] {
            let refusal = device.connect(&stage.gateway, &attempt).await.unwrap_err();
            assert_eq!(refusal.kind(), (Code::Unimplemented, ""), "{refusal:?}");
            assert!(refusal.message.contains("role `node` is not available"), "{refusal:?}");
        }
    }
    // The invitation was not used up by that.
    let device = stage.device();
    device.connect(&stage.gateway, &Attempt::invited(&made.code)).await.unwrap();
}
