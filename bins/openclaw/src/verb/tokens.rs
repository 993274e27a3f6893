//! `tokens`: API tokens for programs without a key.

use openclaw_client::fresh_key;
use openclaw_client::v1::{CreateTokenRequest, ListTokensRequest, RevokeTokenRequest, Token};
use openclaw_proto::to_duration;
use openclaw_scopes::{Scope, ScopeSet};

use super::access::or_nothing;
use super::{Step, confirmed, named, names};
use crate::cli::TokensVerb;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::place::Place;
use crate::{json, table, wish};

pub(super) async fn run(
    verb: TokensVerb,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    match verb {
        TokensVerb::Create { name, scopes, ttl } => {
            let Some(scopes) = scopes.chosen() else {
                let next =
                    place.command("tokens create --name NAME --scopes operator.read --ttl 30d");
                return Err(Failure::advised(Exit::Usage, "a token needs scopes", next));
            };
            // Who hands out a scope holds it.
            let wish = wish::of(&["tokens.create"]).union(scopes);
            let request = CreateTokenRequest {
                idempotency_key: fresh_key()?.to_string(),
                name,
                scopes: names(scopes),
                ttl: Some(to_duration(ttl)),
            };
            let created = place.connect(wish).await?.tokens().create(request).await?.into_inner();
            match output.format() {
                Format::Human => {
                    output.line(&created.secret)?;
                    let token = created.token.unwrap_or_default();
                    output.note(&format!(
                        "token {} for {}",
                        token.name,
                        or_nothing(&token.scopes)
                    ))?;
                    output.note(
                        "The secret is not told again; keep it where only its user reads it.",
                    )?;
                }
                Format::Json => output.message(&created)?,
            }
        }
        TokensVerb::List => {
            let client = place.connect_for(&["tokens.list"]).await?;
            let list = client.tokens().list(ListTokensRequest {}).await?.into_inner();
            match output.format() {
                Format::Human if list.tokens.is_empty() => output.note("no tokens")?,
                Format::Human => output.block(&rows(&list.tokens))?,
                Format::Json => output.message(&list)?,
            }
        }
        TokensVerb::Revoke { name, removal } => {
            let command = place.command(&format!("tokens revoke {name}"));
            let step = confirmed(&removal, &format!("token `{name}`"), &command)?;
            revoke(&name, step, place, output).await?;
        }
    }
    Ok(Exit::Ok)
}

async fn revoke(name: &str, step: Step, place: &Place, output: &mut Output) -> Result<(), Failure> {
    let mut client = place.connect_for(&["tokens.list", "tokens.revoke"]).await?;
    if step == Step::Show || client.admission().is_some() {
        let list = client.tokens().list(ListTokensRequest {}).await?.into_inner();
        let token = list.tokens.into_iter().find(|token| token.name == name || token.id == name);
        let Some(token) = token else {
            let next = place.command("tokens list");
            return Err(Failure::advised(Exit::Failed, format!("no token `{name}`"), next));
        };
        if step == Step::Show {
            return match output.format() {
                Format::Human => Ok(output.line(&format!("would revoke token {}", token.name))?),
                Format::Json => output.message(&token),
            };
        }
        // Who takes a scope away holds it.
        let wish = ScopeSet::from(Scope::Pairing).union(named(&token.scopes));
        client = place.connect(wish).await?;
    }
    let request = RevokeTokenRequest { token: name.to_owned() };
    let gone = client.tokens().revoke(request).await?.into_inner();
    match output.format() {
        Format::Human => Ok(output.line(&format!("revoked token {}", gone.name))?),
        Format::Json => output.message(&gone),
    }
}

fn rows(tokens: &[Token]) -> String {
    let now = jiff::Timestamp::now();
    let rows = tokens.iter().map(|token| {
        vec![
            token.name.clone(),
            json::word(token.status().as_str_name(), "STATUS_"),
            or_nothing(&token.scopes),
            table::ago(token.last_used_at.as_ref(), now),
            table::ago(token.expires_at.as_ref(), now),
            table::ago(token.created_at.as_ref(), now),
            token.issuer.clone(),
            token.id.clone(),
        ]
    });
    let header = ["NAME", "STATUS", "SCOPES", "USED", "LAPSES", "ISSUED", "BY", "ID"];
    table::columns(&header, rows)
}
