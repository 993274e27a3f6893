//! Questions about authority over the wire.

use openclaw_proto::v1::access_server::Access;
use openclaw_proto::{scope_names, to_timestamp, v1};
use openclaw_scopes::method::{
    ActorRule, ExplainAccess, Method as _, Row, ShowAccess as ShowMethod, Surface, Tokens,
};
use openclaw_scopes::target::Subject;
use openclaw_scopes::{
    Caller, CapabilitySet, Cause, Component, Denial, DeviceRole, Explanation, Grant, GrantHolder,
    RunId, ScopeSet, Timestamp, TokenId, explain, method, policy,
};
use openclaw_store::{
    ActError, Device, DeviceError, DeviceRef, Held, Provenance, ShowAccess, Whose,
};
use tonic::{Code, Request, Response, Status};

use crate::core::Core;
use crate::identity::Identity;
use crate::respond::Reply;
use crate::{clock, gate, respond};

#[tonic::async_trait]
impl Access for Core {
    async fn explain(
        &self,
        request: Request<v1::ExplainRequest>,
    ) -> Result<Response<v1::ExplainResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        let row =
            method::find(&message.method).ok_or_else(|| Reply::unknown_method(&message.method))?;
        let subject = match message.principal.as_str() {
            "" => Subject::Itself,
            other => Subject::Other(other.into()),
        };
        let authorized = self.peek::<ExplainAccess>(&caller, subject).await?;
        let (caller, subject) = authorized.into_parts();
        let about = match subject {
            Subject::Itself => caller,
            Subject::Other(name) => self.principal(&caller, &name)?,
        };
        let case = match message.target.as_str() {
            "" => None,
            target => Some(find_case(row, target)?),
        };
        let standing = self.standing(&about)?;
        Ok(Response::new(response(&about, &explain(&about, row, case), &standing)))
    }

    async fn show(
        &self,
        request: Request<v1::ShowAccessRequest>,
    ) -> Result<Response<v1::ShowAccessResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        let whose = whose(&message.principal)?;
        let held = self.store.view(&caller, &ShowAccess(whose), clock::now()).await;
        let held = held.map_err(|error| respond::act(error, ShowMethod::ROW, respond::device))?;
        Ok(Response::new(shown(&caller, &as_of(held, clock::now()))))
    }
}

impl Core {
    /// Returns the caller that a name stands for.
    fn principal(&self, asks: &Caller, name: &str) -> Result<Caller, Reply> {
        if name.starts_with("device:") || name.starts_with("token:") || is_device(name) {
            return self.holder_of(asks, name);
        }
        let unknown = || {
            let shown: String = name.chars().take(64).collect();
            let message = format!("no principal `{}`", shown.escape_debug());
            Reply::new(Code::NotFound, "", message)
                .next("use owner, device:ID, token:ID, system:NAME or run:ID")
        };
        let holder =
            if name.starts_with("system:") { GrantHolder::Gateway } else { GrantHolder::Owner };
        let epoch = self
            .store
            .epoch(&holder)
            .map_err(|error| respond::store(&error))?
            .ok_or_else(unknown)?;
        match name.split_once(':') {
            None if name == "owner" => {
                let uid = rustix::process::geteuid().as_raw();
                match Identity::owner(uid, Cause::Request, epoch) {
                    Identity::Known(caller) => Ok((*caller).clone()),
                    Identity::Network(_) | Identity::Nobody(_) => Err(unknown()),
                }
            }
            Some(("system", component)) => {
                let known = Component::ALL.into_iter().find(|known| known.name() == component);
                known
                    .map(|component| Caller::system(component, Cause::Request, epoch))
                    .ok_or_else(unknown)
            }
            Some(("run", id)) => {
                let run = RunId::parse(id).map_err(|_error| unknown())?;
                self.engine
                    .principal_of(&run)
                    .map_err(|error| respond::store(&error))?
                    .ok_or_else(unknown)
            }
            None | Some(_) => Err(unknown()),
        }
    }
}

impl Core {
    /// Finds out whether somebody has a grant still, and as which device.
    fn standing(&self, about: &Caller) -> Result<Standing, Reply> {
        let whose = match about.on_behalf_of() {
            GrantHolder::Device(id) => {
                Whose::Device(DeviceRef::parse(id.as_str()).map_err(|it| respond::device(&it))?)
            }
            GrantHolder::Token(id) => Whose::Token(id.to_string()),
            holder @ (GrantHolder::Gateway
            | GrantHolder::Hook(_)
            | GrantHolder::Owner
            | GrantHolder::Plugin(_)
            | GrantHolder::Sender(_)) => {
                let epoch = self.store.epoch(holder).map_err(|error| respond::store(&error))?;
                return Ok(Standing { is_over: epoch.is_none(), device: None });
            }
        };
        let held = match self.store.held(about, &whose) {
            Err(ActError::Failed(DeviceError::Unknown(_))) => {
                return Ok(Standing { is_over: true, device: None });
            }
            held => held,
        };
        let held =
            held.map_err(|error| respond::act(error, ExplainAccess::ROW, respond::device))?;
        let held = as_of(held, clock::now());
        Ok(Standing { is_over: held.epoch.is_none(), device: held.device })
    }
}

/// What beside its scopes decides what somebody may do, and how it gets more.
struct Standing {
    /// Nothing is allowed without a grant, whatever it held.
    is_over: bool,
    /// The device whose grant it is, if it is one's.
    device: Option<Device>,
}

impl Standing {
    /// Says what gives the device scopes that it lacks: a rotation if they were approved, else a request.
    fn next(&self, lacking: ScopeSet) -> String {
        let Some(device) = self.device.as_ref().filter(|_| !lacking.is_empty()) else {
            return String::new();
        };
        let (approved, granted) = (device.baseline.approved(), device.baseline.granted());
        if lacking.is_subset(granted) {
            return "connect again, and ask for it then".into();
        }
        if lacking.is_subset(approved) {
            return respond::rotation(&device.id, granted.union(lacking));
        }
        let scopes = lacking.reduced().to_string().replace(' ', ",");
        format!("on the device: openclaw devices upgrade --scopes {scopes} --wait")
    }
}

/// What somebody holds at an instant: of a token whose time is up, nothing.
fn as_of(held: Held, now: Timestamp) -> Held {
    let is_over = held.token.as_ref().is_some_and(|token| now >= token.expires_at);
    if is_over { Held { effective: ScopeSet::EMPTY, epoch: None, ..held } } else { held }
}

/// Tells whether a name without a kind can be a device's.
fn is_device(name: &str) -> bool {
    DeviceRef::parse(name).is_ok()
}

impl Core {
    /// Returns the caller that a device or token is when it asks with all that it holds.
    #[expect(clippy::disallowed_methods, reason = "it is explained, and nothing else")]
    fn holder_of(&self, asks: &Caller, name: &str) -> Result<Caller, Reply> {
        let held = self.store.held(asks, &whose(name)?);
        let held =
            held.map_err(|error| respond::act(error, ExplainAccess::ROW, respond::device))?;
        let grant = Grant::recorded(
            held.holder.clone(),
            held.epoch.unwrap_or_default(),
            held.effective,
            held.effective,
        );
        match held.holder {
            GrantHolder::Device(id) => {
                Ok(Caller::device(id, DeviceRole::Operator, grant, Cause::Request))
            }
            GrantHolder::Token(id) => Ok(Caller::token(id, grant, Cause::Request)),
            other => Err(Reply::new(Code::NotFound, "", format!("no principal `{other}`"))),
        }
    }
}

/// Reads about whom somebody asks.
fn whose(name: &str) -> Result<Whose, Reply> {
    match name.split_once(':') {
        None if name.is_empty() => Ok(Whose::Own),
        None if name == "owner" => Ok(Whose::Owner),
        Some(("token", id)) => {
            TokenId::parse(id).map_err(|error| Reply::invalid(error.to_string()))?;
            Ok(Whose::Token(id.to_owned()))
        }
        None | Some(_) => {
            DeviceRef::parse(name).map(Whose::Device).map_err(|error| respond::device(&error))
        }
    }
}

fn part(kind: &str, scopes: ScopeSet, origin: String) -> v1::AccessPart {
    let (kind, scopes) = (kind.into(), scope_names(scopes));
    v1::AccessPart { kind, scopes, origin, since: None, until: None }
}

fn shown(caller: &Caller, held: &Held) -> v1::ShowAccessResponse {
    let is_own = *caller.on_behalf_of() == held.holder;
    let mut parts = Vec::new();
    if held.holder == GrantHolder::Owner {
        let origin = "whoever owns the state directory, by the operating system's word";
        parts.push(part("owner", ScopeSet::ALL, origin.into()));
    }
    if let Some(device) = &held.device {
        for (scopes, Provenance { approved_by, approved_at, via, via_id }) in &held.approvals {
            let origin = format!("approved by {approved_by} through {} {via_id}", via.name());
            // What was withdrawn allows nothing, and who had approved it is seen still.
            let scopes = device.revoked_at.map_or(*scopes, |_| ScopeSet::EMPTY);
            let baseline = part("baseline", scopes, origin);
            parts.push(v1::AccessPart { since: Some(to_timestamp(*approved_at)), ..baseline });
        }
        let origin = match device.revoked_at {
            None => "what the device's tokens may carry, as the last rotation left it",
            Some(_) => "withdrawn",
        };
        let granted = part("grant", device.baseline.granted(), origin.into());
        parts.push(v1::AccessPart { since: device.revoked_at.map(to_timestamp), ..granted });
    }
    if let Some(token) = &held.token {
        let origin = format!("issued on behalf of {}, within what that may do now", token.issuer);
        parts.push(v1::AccessPart {
            since: Some(to_timestamp(token.created_at)),
            until: Some(to_timestamp(token.expires_at)),
            ..part("token", token.scopes, origin)
        });
    }
    if is_own {
        let origin = format!("this connection, as {}", caller.actor());
        parts.push(part("connection", caller.grant().scopes(), origin));
    }
    let may = |row: &&&Row| {
        matches!(row.surface, Surface::Rpc(_))
            && row.cases.iter().any(|case| {
                let scope = case.requires.scope();
                matches!(case.actor, ActorRule::CapabilityOrScope(_) | ActorRule::Never)
                    && scope.is_none_or(|scope| held.effective.satisfies(scope))
                    && (held.token.is_none() || case.tokens == Tokens::Allowed)
            })
    };
    let methods = match held.epoch {
        Some(_) => method::TABLE.iter().filter(may).map(|row| row.name.to_owned()).collect(),
        None => Vec::new(),
    };
    v1::ShowAccessResponse {
        principal: match (&held.holder, is_own) {
            (_, true) => caller.actor().to_string(),
            (holder, false) => holder.to_string(),
        },
        on_behalf_of: held.holder.to_string(),
        effective_scopes: scope_names(held.effective),
        epoch: held.epoch.map(|epoch| epoch.0).unwrap_or_default(),
        parts,
        methods,
    }
}

fn find_case(row: &'static Row, target: &str) -> Result<&'static method::Case, Reply> {
    let name = |case: &method::Case| if case.when.is_empty() { "always" } else { case.when };
    row.cases.iter().find(|case| name(case) == target).ok_or_else(|| {
        let known: Vec<_> = row.cases.iter().map(|case| format!("`{}`", name(case))).collect();
        Reply::invalid(format!("`{}` knows the targets {}", row.name, known.join(", ")))
    })
}

fn response(about: &Caller, explanation: &Explanation, standing: &Standing) -> v1::ExplainResponse {
    let row = explanation.row;
    let ended = standing.is_over.then_some(Denial::GrantEnded);
    let verdicts = explanation.verdicts.iter().map(|verdict| v1::ExplainVerdict {
        when: verdict.case.when.into(),
        requires: policy::requirement(verdict.case.requires),
        internal: match verdict.case.actor {
            ActorRule::Capability(capability) | ActorRule::CapabilityOrScope(capability) => {
                capability.name().into()
            }
            ActorRule::Never => "never".into(),
            ActorRule::Nobody => "nobody".into(),
        },
        allowed: ended.is_none() && verdict.decision.is_ok(),
        denial: ended
            .or_else(|| verdict.decision.err())
            .map(|denial| denial.to_string())
            .unwrap_or_default(),
        smallest_grant: match ended {
            None => scope_names(verdict.smallest_grant),
            Some(_) => Vec::new(),
        },
        next: match ended {
            None => standing.next(verdict.smallest_grant.closed()),
            Some(_) => String::new(),
        },
    });
    let held = about.capabilities().unwrap_or_default();
    v1::ExplainResponse {
        method: row.name.into(),
        path: row.path().unwrap_or_default().into(),
        summary: row.summary.into(),
        principal: about.actor().to_string(),
        on_behalf_of: about.on_behalf_of().to_string(),
        held_scopes: scope_names(explanation.held),
        held_capabilities: held.iter().map(|capability| capability.name().into()).collect(),
        never_delegated: CapabilitySet::OWNER_ONLY.iter().map(|it| it.name().into()).collect(),
        verdicts: verdicts.collect(),
    }
}
