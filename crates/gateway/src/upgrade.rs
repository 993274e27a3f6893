//! Asking for more than was approved: filed once, told in the log, and never granted by itself.

use std::net::IpAddr;
use std::time::Duration;

use openclaw_pairing::Kind;
use openclaw_scopes::method::{Method as _, RequestUpgrade as UpgradeMethod};
use openclaw_scopes::{Caller, DeviceId, PairingId, Principal, ScopeSet};
use openclaw_store::{DeviceError, Filed, Novelty, PairingView, RequestUpgrade, Store};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::preauth::canonical;
use crate::respond::{self, Reply};
use crate::{clock, secrets};

/// The metadata with which a client says that what it lacks is to be asked for.
const ASKS: &str = "openclaw-request-access";

/// Tells whether a request says that what it lacks is to be asked for.
pub(crate) fn is_asked_for(headers: &http::HeaderMap) -> bool {
    headers.get(ASKS).is_some_and(|value| value == "1")
}

/// Returns an address as requests are counted by it.
pub(crate) fn place(address: IpAddr) -> String {
    canonical(address).to_string()
}

/// Returns the id of a new request.
pub(crate) fn fresh() -> Result<PairingId, Reply> {
    secrets::id("pr_", PairingId::parse)
}

/// Files what a device lacks, or finds the request that waits.
pub(crate) async fn file(
    store: &Store,
    caller: &Caller,
    scopes: ScopeSet,
    address: IpAddr,
) -> Result<PairingView, Reply> {
    let ask = RequestUpgrade { fresh: fresh()?, scopes, address: place(address) };
    let filed = store.act(caller, ask, clock::now()).await;
    let filed = filed.map_err(|error| respond::act(error, UpgradeMethod::ROW, respond::device))?;
    announce(&filed);
    Ok(filed.view)
}

/// Tells the log of a request that nobody has seen yet: once, not with every retry.
pub(crate) fn announce(filed: &Filed) {
    if filed.novelty == Novelty::Found {
        return;
    }
    let PairingView { pending, held, .. } = &filed.view;
    let (device, request) = (short(&pending.device), &pending.id);
    let (from, to) = (held.reduced(), pending.wish.scopes.reduced());
    let revision = pending.wish.revision;
    match pending.kind {
        Kind::ScopeUpgrade => tracing::warn!(
            reason = "scope-upgrade",
            device.id = device,
            scopes.from = %from,
            scopes.to = %to,
            request.id = %request,
            request.revision = revision,
            "device access upgrade requested"
        ),
        Kind::NotPaired | Kind::RoleUpgrade => tracing::warn!(
            reason = pending.kind.name(),
            device.id = device,
            scopes.to = %to,
            request.id = %request,
            request.revision = revision,
            "device pairing requested"
        ),
    }
}

/// Returns the beginning of an id that is shown (`access.md` §8.2: 12 hex digits).
pub(crate) fn short(device: &DeviceId) -> &str {
    device.as_str().get(..12).unwrap_or_default()
}

/// Adds to a refusal for lack of scopes the request that was filed for them.
pub(crate) async fn of_refusal(
    store: &Store,
    caller: &Caller,
    address: IpAddr,
    status: Status,
) -> Status {
    let details = status.get_error_details();
    let info = details.error_info().filter(|info| info.reason == "MISSING_SCOPE");
    let missing = info.and_then(|info| info.metadata.get("missingScopes"));
    let Some(Ok(missing)) = missing.map(|missing| ScopeSet::parse(missing)) else {
        return status;
    };
    if !matches!(caller.actor(), Principal::Device { .. }) {
        return status;
    }
    match file(store, caller, missing, address).await {
        Ok(view) => {
            let reply = Reply::new(Code::PermissionDenied, "MISSING_SCOPE", status.message());
            waiting(reply, &view)
                .with("missingScopes", missing.to_string())
                .with("grant", missing.reduced().to_string())
                .into()
        }
        // No request can give it back, and the refusal says what can.
        Err(reply) if reply.reason() == "MISSING_SCOPE" => reply.saying(status.message()).into(),
        // What was asked for first is refused all the same; that nothing was filed is in the log.
        Err(reply) => {
            tracing::info!(reason = reply.message(), "no request was filed for a refused call");
            status
        }
    }
}

/// Says which request waits, and who has to do what.
pub(crate) fn waiting(reply: Reply, view: &PairingView) -> Reply {
    let named = format!("{}@{}", view.pending.id, view.pending.wish.revision);
    let scopes = view.pending.wish.scopes.reduced().to_string().replace(' ', ",");
    reply
        .with("requestId", view.pending.id.to_string())
        .with("request", named.clone())
        .next(format!("openclaw devices approve {named} --scopes {scopes}"))
}

/// Maps why nothing was filed for a device that is not known, or not any more.
pub(crate) fn not_filed(error: &DeviceError) -> Reply {
    match error {
        DeviceError::Rejected => {
            Reply::new(Code::PermissionDenied, "PAIRING_REJECTED", error.to_string())
                .retry(Duration::from_secs(3600))
                .next("talk to whoever owns the gateway")
        }
        other => respond::device(other),
    }
}
