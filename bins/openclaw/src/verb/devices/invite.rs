//! `devices invite`: a link with which one device pairs once.

use std::time::Duration;

use openclaw_client::v1::{
    Invitation, InviteRequest, ListInvitationsRequest, ListInvitationsResponse,
    RevokeInvitationRequest,
};
use openclaw_client::{Address, Client, PROPOSED};
use openclaw_proto::to_duration;
use openclaw_scopes::ScopeSet;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

use crate::cli::Removal;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output, Sink};
use crate::place::Place;
use crate::verb::access::or_nothing;
use crate::verb::{Step, confirmed, named, names};
use crate::{table, wish};

pub(super) async fn run(
    scopes: Option<ScopeSet>,
    ttl: Duration,
    addresses: &[Address],
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let scopes = scopes.unwrap_or(PROPOSED);
    // Who hands out a scope holds it.
    let client = place.connect(wish::of(&["device.invite"]).union(scopes)).await?;
    let request = InviteRequest {
        scopes: names(scopes),
        ttl: Some(to_duration(ttl)),
        addresses: addresses.iter().map(ToString::to_string).collect(),
    };
    let invitation = client.devices().invite(request).await?.into_inner();
    match output.format() {
        Format::Human => {
            output.block(&facts(&invitation))?;
            if output.out_sink() == Sink::Terminal
                && let Some(picture) = picture(&invitation.link)
            {
                output.block(&picture)?;
            }
            let hint = "On the other machine: openclaw connect LINK. It is good once; whoever has \
                        it first is let in.";
            output.note(hint)?;
        }
        Format::Json => output.message(&invitation)?,
    }
    Ok(Exit::Ok)
}

pub(super) async fn list(place: &Place, output: &mut Output) -> Result<Exit, Failure> {
    let client = place.connect_for(&["device.invite.list"]).await?;
    let list = open(&client).await?;
    match output.format() {
        Format::Human if list.invitations.is_empty() => output.note("no open invitations")?,
        Format::Human => output.block(&rows(&list.invitations))?,
        Format::Json => output.message(&list)?,
    }
    Ok(Exit::Ok)
}

pub(super) async fn withdraw(
    id: &str,
    removal: &Removal,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let command = place.command(&format!("devices uninvite {id}"));
    let step = confirmed(removal, &format!("invitation `{id}`"), &command)?;
    let client = place.connect_for(&["device.invite.list"]).await?;
    let found = open(&client).await?.invitations.into_iter().find(|it| it.id == id);
    let found = found.ok_or_else(|| {
        let next = place.command("devices invitations");
        Failure::advised(Exit::Failed, format!("no invitation `{id}` is open"), next)
    })?;
    let (gone, would) = match step {
        Step::Show => (found, "would withdraw"),
        Step::Remove => {
            // Who takes a scope away holds it.
            let wish = wish::of(&["device.invite.revoke"]).union(named(&found.scopes));
            let request = RevokeInvitationRequest { invitation: found.id };
            let client = place.connect(wish).await?;
            (client.devices().revoke_invitation(request).await?.into_inner(), "withdrew")
        }
    };
    match output.format() {
        Format::Human => {
            let scopes = or_nothing(&gone.scopes);
            output.line(&format!("{would} invitation {} for {scopes}", gone.id))?;
        }
        Format::Json => output.message(&gone)?,
    }
    Ok(Exit::Ok)
}

async fn open(client: &Client) -> Result<ListInvitationsResponse, Failure> {
    Ok(client.devices().list_invitations(ListInvitationsRequest {}).await?.into_inner())
}

fn rows(invitations: &[Invitation]) -> String {
    let now = jiff::Timestamp::now();
    let rows = invitations.iter().map(|invitation| {
        vec![
            invitation.id.clone(),
            or_nothing(&invitation.scopes),
            table::ago(invitation.expires_at.as_ref(), now),
            table::ago(invitation.created_at.as_ref(), now),
            invitation.issuer.clone(),
        ]
    });
    table::columns(&["ID", "FOR", "LAPSES", "MADE", "BY"], rows)
}

fn facts(invitation: &Invitation) -> String {
    let now = jiff::Timestamp::now();
    table::facts(&[
        ("link", invitation.link.clone()),
        ("code", invitation.code.clone()),
        ("for", or_nothing(&invitation.scopes)),
        ("lapses", table::ago(invitation.expires_at.as_ref(), now)),
        ("addresses", invitation.addresses.join(" ")),
        ("fingerprint", invitation.fingerprint.clone()),
        ("id", invitation.id.clone()),
    ])
}

/// Draws a link for a camera, light on dark as terminals mostly are; `None` when it is too long.
fn picture(link: &str) -> Option<String> {
    let code = QrCode::new(link).ok()?;
    let mut renderer = code.render::<Dense1x2>();
    Some(renderer.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_becomes_a_picture() {
        let picture = picture("openclaw://connect/home:18789/0000-0000").unwrap();
        assert!(picture.lines().count() > 10, "{picture}");
        assert!(picture.chars().all(|c| matches!(c, ' ' | '\n' | '█' | '▀' | '▄')), "{picture}");
    }
}
