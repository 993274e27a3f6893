//! The enforcement point of the services: who asks, and whether work is taken.

use std::sync::Arc;

use openclaw_scopes::Caller;
use tonic::{Code, Request};

use crate::identity::Identity;
use crate::respond::Reply;
use crate::session::Session;

/// Returns the connection over the network that a request came on.
pub(crate) fn session<T>(request: &Request<T>) -> Result<Arc<Session>, Reply> {
    request.extensions().get::<Arc<Session>>().cloned().ok_or_else(|| {
        let message = "this is for connections over the network: the local socket needs no device";
        Reply::new(Code::FailedPrecondition, "", message).next("openclaw status")
    })
}

/// Takes a request apart into who asks and what.
pub(crate) fn admit<T>(request: Request<T>) -> Result<(Arc<Caller>, T), Reply> {
    let caller = match request.extensions().get::<Identity>() {
        Some(Identity::Known(caller)) => Arc::clone(caller),
        // The layer in front lets nobody through; absence is denial here too.
        Some(Identity::Network(_) | Identity::Nobody(_)) | None => {
            return Err(Reply::new(Code::Unauthenticated, "NOT_OWNER", "nobody is asking"));
        }
    };
    Ok((caller, request.into_inner()))
}
