//! `pairing`: people in chats who want to write direct messages.

use std::io::{self, BufRead as _, IsTerminal as _};

use openclaw_client::v1::{
    ApprovePersonRequest, ListPeopleRequest, ListPeopleResponse, Person, RemovePersonRequest,
};
use openclaw_scopes::Scope;

use super::{Step, confirmed, text};
use crate::cli::PairingVerb;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output, Sink};
use crate::place::Place;
use crate::{screen, table, wish};

/// What was said about somebody becoming an owner.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ownership {
    Given,
    Unsaid,
    Withheld,
}

/// Lets somebody in.
const APPROVE: &str = "channels.pairing.approve";

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
        PairingVerb::Approve { channel, code, share_main, owner, no_owner } => {
            let said = match (owner, no_owner) {
                (true, _) => Ownership::Given,
                (false, true) => Ownership::Withheld,
                (false, false) => offered(&channel, &code, place, output).await?,
            };
            let owner = said == Ownership::Given;
            let scopes = if owner {
                wish::when(APPROVE, "as an owner")
            } else {
                wish::when(APPROVE, "").with(Scope::Write)
            };
            let client = place.connect(scopes).await?;
            let request = ApprovePersonRequest { channel, code, share_main, owner };
            let person = client.channels().approve_person(request).await?.into_inner();
            match output.format() {
                Format::Human => approved(&person, said, place, output)?,
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

/// Asks a person, if there is one, whether somebody is to be an owner: while the gateway has none, and knows who
/// has the code.
//= docs/threat-model.md#T29
async fn offered(
    channel: &str,
    code: &str,
    place: &Place,
    output: &mut Output,
) -> Result<Ownership, Failure> {
    let is_person = io::stdin().is_terminal() && output.err_sink() == Sink::Terminal;
    if !is_person || output.format() == Format::Json {
        return Ok(Ownership::Unsaid);
    }
    let client = place.connect_for(&["channels.pairing.list"]).await?;
    let request = ListPeopleRequest { channel: channel.to_owned() };
    let list = client.channels().list_people(request).await?.into_inner();
    let Some(question) = offer(&list, code) else { return Ok(Ownership::Unsaid) };
    output.prompt(&question)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(if is_yes(&answer) { Ownership::Given } else { Ownership::Withheld })
}

/// Returns what is asked about whoever has a code; `None` when there is an owner, or nobody has it.
fn offer(list: &ListPeopleResponse, code: &str) -> Option<String> {
    let has_code = |it: &&Person| !it.code.is_empty() && it.code.eq_ignore_ascii_case(code);
    let person = list.people.iter().find(has_code).filter(|_| !list.has_owner)?;
    Some(format!(
        "The gateway has no owner in chats yet. The turns of one act for the owner of this gateway.\n\
         Make {} an owner? [y/N] ",
        screen::line(&who(person))
    ))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim(), "y" | "Y" | "yes")
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
    // Who takes back what the turns of people in chats rest on holds it.
    let scopes = wish::of(&["channels.pairing.remove"]).with(Scope::Write);
    let client = place.connect(scopes).await?;
    let request = RemovePersonRequest { channel, sender_id: sender };
    let person = client.channels().remove_person(request).await?.into_inner();
    told("removed", &person, output)?;
    if person.owner {
        output.note("They are an owner still: take them out of commands.ownerAllowFrom in openclaw.toml, and restart the gateway.")?;
    }
    Ok(())
}

fn told(what: &str, person: &Person, output: &mut Output) -> Result<(), Failure> {
    match output.format() {
        Format::Human => Ok(output.line(&format!("{what} {}", who(person)))?),
        Format::Json => output.message(person),
    }
}

/// Tells who may write now, and what would make them an owner.
fn approved(
    person: &Person,
    said: Ownership,
    place: &Place,
    output: &mut Output,
) -> Result<(), Failure> {
    if person.owner {
        output.line(&format!("approved {}, an owner", who(person)))?;
        return Ok(());
    }
    output.line(&format!("approved {}", who(person)))?;
    if said == Ownership::Unsaid {
        let Person { channel, sender_id, .. } = person;
        let command = place.command(&format!("pairing approve {channel} {sender_id} --owner"));
        output.note(&format!("They are no owner. To make them one: {command}"))?;
    }
    Ok(())
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
    fn ownership_is_offered_once_and_never_taken_for_granted() {
        let person = |code: &str| Person {
            channel: "telegram".to_owned(),
            sender_id: "123".to_owned(),
            name: "Ada\u{1b}[2J".to_owned(),
            code: code.to_owned(),
            ..Person::default()
        };
        let list = |has_owner| ListPeopleResponse {
            people: vec![person(""), person("7K2Q9XBD")],
            has_owner,
        };
        let asked = offer(&list(false), "7k2q9xbd").unwrap();
        assert!(asked.ends_with("Make telegram:123 (Ada\\u{1b}[2J) an owner? [y/N] "), "{asked}");
        assert_eq!(offer(&list(true), "7K2Q9XBD"), None, "there is one");
        assert_eq!(offer(&list(false), "OTHER"), None, "nobody has the code");
        assert_eq!(offer(&list(false), ""), None, "nobody is named");
        for (answer, yes) in
            [("y\n", true), ("yes", true), ("Y", true), ("", false), ("n", false), ("yep", false)]
        {
            assert_eq!(is_yes(answer), yes, "{answer:?}");
        }
    }
}
