//! `pairing`: people in chats who want to write direct messages.

use openclaw_client::v1::{ApprovePersonRequest, ListPeopleRequest, Person, RemovePersonRequest};
use openclaw_scopes::{Scope, ScopeSet};

use super::{Step, confirmed, text};
use crate::cli::PairingVerb;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::place::Place;
use crate::{screen, table, wish};

pub(super) async fn run(
    verb: PairingVerb,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    match verb {
        PairingVerb::List { channel } => {
            let client = place.connect_for(&["channels.pairing.list"]).await?;
            let request = ListPeopleRequest { channel: text(channel) };
            let list = client.channels().list_people(request).await?.into_inner();
            match output.format() {
                Format::Human if list.people.is_empty() => output.note("nobody")?,
                Format::Human => output.block(&rows(&list.people))?,
                Format::Json => output.message(&list)?,
            }
        }
        PairingVerb::Approve { channel, code, share_main } => {
            let client = place.connect(with_means("channels.pairing.approve")).await?;
            let request = ApprovePersonRequest { channel, code, share_main };
            let person = client.channels().approve_person(request).await?.into_inner();
            match output.format() {
                Format::Human => approved(&person, output)?,
                Format::Json => output.message(&person)?,
            }
        }
        PairingVerb::Remove { channel, sender, removal } => {
            let command = place.command(&format!("pairing remove {channel} {sender}"));
            let what = format!("`{sender}` on {channel}");
            let step = confirmed(&removal, &what, &command)?;
            remove(channel, sender, step, place, output).await?;
        }
    }
    Ok(Exit::Ok)
}

/// Returns what a method needs, and what the turns of people in chats rest on: who gives and takes that holds it.
fn with_means(method: &str) -> ScopeSet {
    wish::of(&[method]).with(Scope::Write)
}

async fn remove(
    channel: String,
    sender: String,
    step: Step,
    place: &Place,
    output: &mut Output,
) -> Result<(), Failure> {
    if step == Step::Show {
        let client = place.connect_for(&["channels.pairing.list"]).await?;
        let request = ListPeopleRequest { channel: channel.clone() };
        let list = client.channels().list_people(request).await?.into_inner();
        let is_meant = |person: &Person| {
            let has_code = !person.code.is_empty() && person.code.eq_ignore_ascii_case(&sender);
            person.sender_id == sender || has_code
        };
        let Some(found) = list.people.into_iter().find(is_meant) else {
            let cause = format!("nobody on {channel} has the code or id `{sender}`");
            let next = place.command(&format!("pairing list {channel}"));
            return Err(Failure::advised(Exit::Failed, cause, next));
        };
        return told("would remove", &found, output);
    }
    let client = place.connect(with_means("channels.pairing.remove")).await?;
    let request = RemovePersonRequest { channel, sender_id: sender };
    told("removed", &client.channels().remove_person(request).await?.into_inner(), output)
}

fn told(what: &str, person: &Person, output: &mut Output) -> Result<(), Failure> {
    match output.format() {
        Format::Human => Ok(output.line(&format!("{what} {}", who(person)))?),
        Format::Json => output.message(person),
    }
}

/// Tells who may write now, and what would make them an owner.
fn approved(person: &Person, output: &mut Output) -> Result<(), Failure> {
    output.line(&format!("approved {}", who(person)))?;
    if !person.owner {
        output.note(
            "They are no owner. To make them one, write this at the top of openclaw.toml, or add the id to \
             the list that is there, and restart the gateway:",
        )?;
        output.note(&owner_line(person))?;
    }
    Ok(())
}

/// Returns the line that makes somebody an owner.
fn owner_line(person: &Person) -> String {
    let id = toml::Value::from(format!("{}:{}", person.channel, person.sender_id));
    format!("commands.ownerAllowFrom = [{id}]")
}

fn who(person: &Person) -> String {
    let Person { channel, sender_id, name, .. } = person;
    match name.as_str() {
        "" => format!("{channel}:{sender_id}"),
        name => format!("{channel}:{sender_id} ({name})"),
    }
}

fn rows(people: &[Person]) -> String {
    let now = jiff::Timestamp::now();
    let rows = people.iter().map(|person| {
        vec![
            person.channel.clone(),
            person.sender_id.clone(),
            screen::shortened(&person.name, 40),
            person.code.clone(),
            table::ago(person.requested_at.as_ref(), now),
            table::ago(person.expires_at.as_ref(), now),
            table::ago(person.approved_at.as_ref(), now),
            person.approved_by.clone(),
            if person.owner { "yes".to_owned() } else { "no".to_owned() },
        ]
    });
    table::columns(
        &["CHANNEL", "ID", "NAME", "CODE", "ASKED", "LAPSES", "APPROVED", "BY", "OWNER"],
        rows,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_makes_an_owner_is_toml() {
        for (sender, expected) in [
            ("123", r#"commands.ownerAllowFrom = ["telegram:123"]"#),
            ("1\"]\nx = [\"", "commands.ownerAllowFrom"),
        ] {
            let (channel, sender_id) = ("telegram".to_owned(), sender.to_owned());
            let line = owner_line(&Person { channel, sender_id, ..Person::default() });
            assert!(line.starts_with(expected), "{line}");
            let file: toml::Table = line.parse().unwrap();
            let owners = file["commands"]["ownerAllowFrom"].as_array().unwrap();
            assert_eq!(owners, &[toml::Value::from(format!("telegram:{sender}"))]);
            assert_eq!(file.len(), 1);
        }
    }
}
