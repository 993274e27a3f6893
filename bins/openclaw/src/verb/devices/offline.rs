//! Devices without a gateway: the daemon's program looks after them.

use crate::cli::ApproveArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::offline::hand_over;
use crate::output::Output;
use crate::place::Place;
use crate::verb::names;

pub(super) fn list(place: &Place, output: &Output) -> Result<Exit, Failure> {
    match hand_over(place, ["devices", "list"], output)? {}
}

pub(super) fn approve(args: &ApproveArgs, place: &Place, output: &Output) -> Result<Exit, Failure> {
    let (Some(_), Some(scopes)) = (args.request.revision, args.scopes.chosen()) else {
        let cause = "without a gateway an approval names revision and scopes";
        let next = place.command("devices approve ID@REVISION --scopes SCOPES --offline");
        return Err(Failure::advised(Exit::Usage, cause, next));
    };
    let (request, scopes) = (args.request.to_string(), names(scopes).join(","));
    match hand_over(place, ["devices", "approve", &request, "--scopes", &scopes], output)? {}
}

/// Revokes one device, or everybody.
pub(super) fn revoke(
    device: Option<&str>,
    place: &Place,
    output: &Output,
) -> Result<Exit, Failure> {
    match hand_over(place, ["devices", "revoke", device.unwrap_or("--all")], output)? {}
}
