//! `devices invite`: a link with which one device pairs once.

use std::time::Duration;

use openclaw_client::v1::{Invitation, InviteRequest};
use openclaw_client::{Address, PROPOSED};
use openclaw_proto::to_duration;
use openclaw_scopes::ScopeSet;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output, Sink};
use crate::place::Place;
use crate::verb::access::or_nothing;
use crate::verb::names;
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

fn facts(invitation: &Invitation) -> String {
    let now = jiff::Timestamp::now();
    table::facts(&[
        ("link", invitation.link.clone()),
        ("code", invitation.code.clone()),
        ("for", or_nothing(&invitation.scopes)),
        ("lapses", table::ago(invitation.expires_at.as_ref(), now)),
        ("addresses", invitation.addresses.join(" ")),
        ("fingerprint", invitation.fingerprint.clone()),
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
