//! Questions about authority over the wire.

use openclaw_proto::v1::access_server::Access;
use openclaw_proto::{scope_names, v1};
use openclaw_scopes::method::{ActorRule, ExplainAccess, Row, Surface};
use openclaw_scopes::target::Subject;
use openclaw_scopes::{
    Caller, Cause, Component, Explanation, GrantHolder, RunId, explain, method, policy,
};
use tonic::{Code, Request, Response, Status};

use crate::core::Core;
use crate::identity::Identity;
use crate::respond::Reply;
use crate::{gate, respond};

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
            Subject::Other(name) => self.principal(&name)?,
        };
        let case = match message.target.as_str() {
            "" => None,
            target => Some(find_case(row, target)?),
        };
        Ok(Response::new(response(&about, &explain(&about, row, case))))
    }
}

impl Core {
    /// Returns the caller that a name stands for.
    fn principal(&self, name: &str) -> Result<Caller, Reply> {
        let unknown = || {
            let shown: String = name.chars().take(64).collect();
            let message = format!("no principal `{}`", shown.escape_debug());
            Reply::new(Code::NotFound, "", message)
                .next("use owner, system:recovery, system:retention or run:ID")
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
                    Identity::Nobody(_) => Err(unknown()),
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

fn find_case(row: &'static Row, target: &str) -> Result<&'static method::Case, Reply> {
    let name = |case: &method::Case| if case.when.is_empty() { "always" } else { case.when };
    row.cases.iter().find(|case| name(case) == target).ok_or_else(|| {
        let known: Vec<_> = row.cases.iter().map(|case| format!("`{}`", name(case))).collect();
        Reply::invalid(format!("`{}` knows the targets {}", row.name, known.join(", ")))
    })
}

fn response(about: &Caller, explanation: &Explanation) -> v1::ExplainResponse {
    let row = explanation.row;
    let verdicts = explanation.verdicts.iter().map(|verdict| v1::ExplainVerdict {
        when: verdict.case.when.into(),
        requires: policy::requirement(verdict.case.requires).into(),
        internal: match verdict.case.actor {
            ActorRule::Capability(capability) => capability.name().into(),
            ActorRule::Never => "never".into(),
            ActorRule::Nobody => "nobody".into(),
        },
        allowed: verdict.decision.is_ok(),
        denial: verdict.decision.err().map(|denial| denial.to_string()).unwrap_or_default(),
        smallest_grant: scope_names(verdict.smallest_grant),
    });
    let held = about.capabilities().unwrap_or_default();
    v1::ExplainResponse {
        method: row.name.into(),
        path: match row.surface {
            Surface::Internal => String::new(),
            Surface::Rpc(path) => path.into(),
        },
        summary: row.summary.into(),
        principal: about.actor().to_string(),
        on_behalf_of: about.on_behalf_of().to_string(),
        held_scopes: scope_names(explanation.held),
        held_capabilities: held.iter().map(|capability| capability.name().into()).collect(),
        verdicts: verdicts.collect(),
    }
}
