//! The enforcement point of the services: who asks, and whether work is taken.

use std::sync::Arc;

use openclaw_scopes::Caller;
use tonic::{Code, Request};

use crate::identity::Identity;
use crate::respond::Reply;

/// Takes a request apart into who asks and what.
pub(crate) fn admit<T>(request: Request<T>) -> Result<(Arc<Caller>, T), Reply> {
    let caller = match request.extensions().get::<Identity>() {
        Some(Identity::Known(caller)) => Arc::clone(caller),
        // The layer in front lets nobody through; absence is denial here too.
        Some(Identity::Nobody(_)) | None => {
            return Err(Reply::new(Code::Unauthenticated, "NOT_OWNER", "nobody is asking"));
        }
    };
    Ok((caller, request.into_inner()))
}
