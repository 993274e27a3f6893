//! `agents`: the configured agents.

use openclaw_client::fresh_key;
use openclaw_client::v1::{
    Agent, CreateAgentRequest, DeleteAgentRequest, GetAgentRequest, ListAgentsRequest,
};

use super::{Step, confirmed, text};
use crate::cli::AgentsVerb;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::place::Place;
use crate::{length, table};

pub(super) async fn run(
    verb: AgentsVerb,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let step = match &verb {
        AgentsVerb::Rm { id, removal } => {
            let command = place.command(&format!("agents rm {id}"));
            confirmed(removal, &format!("agent `{id}`"), &command)?
        }
        AgentsVerb::Add { .. } | AgentsVerb::List | AgentsVerb::Show { .. } => Step::Show,
    };
    let methods: &[&str] = match &verb {
        AgentsVerb::Add { .. } => &["agents.create"],
        AgentsVerb::List => &["agents.list"],
        AgentsVerb::Rm { .. } if step == Step::Remove => &["agents.delete"],
        AgentsVerb::Rm { .. } | AgentsVerb::Show { .. } => &["agents.get"],
    };
    let mut agents = place.connect_for(methods).await?.agents();
    match verb {
        AgentsVerb::List => {
            let list = agents.list(ListAgentsRequest {}).await?.into_inner();
            match output.format() {
                Format::Human => output.block(&rows(&list.agents))?,
                Format::Json => output.message(&list)?,
            }
        }
        AgentsVerb::Show { id, prompt } => {
            let request = GetAgentRequest { id: id.to_string(), include_prompt: prompt };
            let agent = agents.get(request).await?.into_inner();
            match (output.format(), prompt) {
                (Format::Json, _) => output.message(&agent)?,
                (Format::Human, true) => output.block(&agent.prompt)?,
                (Format::Human, false) => output.block(&facts(&agent))?,
            }
        }
        AgentsVerb::Add { id, workspace, model, name } => {
            let request = CreateAgentRequest {
                idempotency_key: fresh_key()?.to_string(),
                id: id.to_string(),
                workspace: match workspace {
                    Some(path) => absolute(&path)?,
                    None => String::new(),
                },
                model: text(model),
                name: text(name),
            };
            let agent = agents.create(request).await?.into_inner();
            match output.format() {
                Format::Human => {
                    output.line(&format!("added agent {} in {}", agent.id, agent.workspace))?;
                }
                Format::Json => output.message(&agent)?,
            }
        }
        AgentsVerb::Rm { id, .. } if step == Step::Show => {
            let request = GetAgentRequest { id: id.to_string(), include_prompt: false };
            let agent = agents.get(request).await?.into_inner();
            match output.format() {
                Format::Human => {
                    let stays = &agent.workspace;
                    output.line(&format!("would remove agent {id}; {stays} would stay"))?;
                }
                Format::Json => output.message(&agent)?,
            }
        }
        AgentsVerb::Rm { id, .. } => {
            let idempotency_key = fresh_key()?.to_string();
            let request = DeleteAgentRequest { idempotency_key, id: id.to_string() };
            let gone = agents.delete(request).await?.into_inner();
            match output.format() {
                Format::Human => {
                    let stays = &gone.workspace;
                    output.line(&format!("removed agent {}; {stays} stays", gone.id))?;
                }
                Format::Json => output.message(&gone)?,
            }
        }
    }
    Ok(Exit::Ok)
}

/// A path as the gateway, which works elsewhere, understands it.
fn absolute(path: &std::path::Path) -> Result<String, Failure> {
    let path = std::path::absolute(path)?;
    path.into_os_string().into_string().map_err(|path| {
        let cause = format!("`{}` is not valid UTF-8", path.display());
        Failure::told(Exit::Usage, cause)
    })
}

fn rows(agents: &[Agent]) -> String {
    let rows = agents.iter().map(|agent| {
        vec![
            agent.id.clone(),
            agent.name.clone(),
            agent.model.clone(),
            agent.fallbacks.join(" "),
            agent.workspace.clone(),
        ]
    });
    table::columns(&["ID", "NAME", "MODEL", "FALLBACKS", "WORKSPACE"], rows)
}

fn facts(agent: &Agent) -> String {
    let timeout = match agent.timeout_seconds {
        0 => "none".to_owned(),
        seconds => length::show(std::time::Duration::from_secs(seconds)),
    };
    table::facts(&[
        ("id", agent.id.clone()),
        ("name", agent.name.clone()),
        ("model", agent.model.clone()),
        ("fallbacks", agent.fallbacks.join(" ")),
        ("workspace", agent.workspace.clone()),
        ("tools", agent.tools.join(" ")),
        ("timeout", timeout),
    ])
}
