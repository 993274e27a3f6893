//! Who asks: every connection is given an identity before its first request, and every route asks
//! for it.

mod bearer;
mod layer;
mod stream;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use openclaw_scopes::{Caller, Cause, Epoch, ScopeSet};
use openclaw_store::{Decision, Entry, Store};
use tonic::{Code, Status};

use crate::clock;
use crate::peer::Stranger;
use crate::respond::Reply;
use crate::session::Session;

pub(crate) use bearer::{settle, stranger_entry};
pub(crate) use layer::IdentityLayer;

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(crate) enum Identity {
    /// The owner; behind the layer, whoever has shown who they are.
    Known(Arc<Caller>),
    /// Somebody on the network, who shows with each request who they are.
    Network(Arc<Session>),
    /// Nobody who may ask anything.
    Nobody(Arc<Turned>),
}

/// Somebody who is turned away.
#[derive(Debug)]
pub(crate) struct Turned {
    /// Why.
    pub(crate) stranger: Stranger,
    /// Whether a request was refused, and recorded so.
    was_told: AtomicBool,
}

impl From<Stranger> for Turned {
    fn from(stranger: Stranger) -> Self {
        Self { stranger, was_told: AtomicBool::new(false) }
    }
}

impl Turned {
    /// Records a connection that asked for nothing by its end: trying the door is an attempt too.
    pub(crate) async fn record_silence(&self, store: &Store) {
        if self.was_told.swap(true, Ordering::Relaxed) {
            return;
        }
        let (entry, now) = (entry(&self.stranger, "connect"), clock::now());
        match self.stranger {
            Stranger::InsideRun { .. } => {
                if let Err(error) = store.refuse(entry, now).await {
                    tracing::error!(%error, "an attempt from inside a run could not be recorded");
                }
            }
            Stranger::OtherUser { .. } | Stranger::Untraceable => {
                store.refuse_stranger(entry, now).await;
            }
        }
    }
}

impl Identity {
    /// The owner, by the operating system's word or by that of the program that embeds the gateway.
    #[expect(clippy::disallowed_methods, reason = "this is the identity layer")]
    pub(crate) fn owner(uid: u32, cause: Cause, epoch: Epoch) -> Self {
        Self::Known(Arc::new(Caller::assertion(uid, cause, epoch)))
    }

    /// The same identity with at most the authority that `wish` names.
    pub(crate) fn narrowed(self, wish: ScopeSet) -> Self {
        match self {
            Self::Known(caller) => Self::Known(Arc::new(caller.narrowed(wish))),
            other @ (Self::Network(_) | Self::Nobody(_)) => other,
        }
    }
}

/// Who a refusal is recorded for.
fn principal(stranger: &Stranger) -> String {
    match stranger {
        Stranger::InsideRun { run: Some(run) } => format!("run:{run}"),
        Stranger::InsideRun { run: None } => "run:unknown".into(),
        Stranger::OtherUser { uid } => format!("uid:{uid}"),
        Stranger::Untraceable => "unknown".into(),
    }
}

fn entry(stranger: &Stranger, method: &'static str) -> Entry {
    let principal = principal(stranger);
    let cause = match stranger {
        Stranger::InsideRun { .. } => principal.clone(),
        Stranger::OtherUser { .. } | Stranger::Untraceable => "request".into(),
    };
    Entry {
        principal,
        on_behalf_of: String::new(),
        method,
        target: "socket".into(),
        decision: Decision::Denied,
        reason: stranger.to_string(),
        cause,
        count: 1,
    }
}

/// Records the refusal of a stranger at the local socket and says why.
async fn refuse(store: &Store, stranger: &Stranger, path: &str) -> Status {
    let method = openclaw_scopes::method::find(path).map_or("unknown", |row| row.name);
    let (entry, now) = (entry(stranger, method), clock::now());
    match stranger {
        // A run is somebody: each of its attempts is on disk before it is answered.
        Stranger::InsideRun { .. } => {
            if let Err(error) = store.refuse(entry, now).await {
                return crate::respond::store(&error).into();
            }
            Reply::new(Code::PermissionDenied, "INSIDE_RUN", stranger.to_string())
                .next("use the agent's tools instead of the socket")
                .into()
        }
        Stranger::OtherUser { .. } => {
            store.refuse_stranger(entry, now).await;
            Reply::new(Code::PermissionDenied, "NOT_OWNER", "only the owner may use this socket")
                .next("run the command as the user that runs the gateway")
                .into()
        }
        Stranger::Untraceable => {
            store.refuse_stranger(entry, now).await;
            Reply::new(Code::PermissionDenied, "INSIDE_RUN", stranger.to_string())
                .next("run the command from a shell of the owner")
                .into()
        }
    }
}

#[cfg(test)]
mod tests {
    use openclaw_scopes::RunId;
    use openclaw_scopes::target::AuditRange;
    use openclaw_store::{AuditFilter, Options};

    use super::*;

    /// Whoever connects and says nothing has tried the door all the same; once is enough.
    #[tokio::test]
    async fn a_silent_connection_is_recorded_once() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options::new(Arc::new(clock::now));
        let store = Store::open(dir.path(), &options).unwrap();
        let run = Some(RunId::parse("r-1").unwrap());
        let turned = Turned::from(Stranger::InsideRun { run });
        turned.record_silence(&store).await;
        turned.record_silence(&store).await;
        let Identity::Known(owner) = Identity::owner(0, Cause::Request, Epoch(1)) else {
            panic!("the owner is known")
        };
        let filter = AuditFilter {
            range: AuditRange::All,
            before: None,
            limit: 10,
            method: String::new(),
            principal: "run:r-1".into(),
            decision: Some(Decision::Denied),
        };
        let page = store.view(&owner, &filter, clock::now()).await.unwrap();
        let rows: Vec<_> = page.records.iter().map(|row| row.method.as_str()).collect();
        assert_eq!(rows, ["connect"]);
    }
}
