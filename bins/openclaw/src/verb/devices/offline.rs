//! Devices without a gateway: the daemon's program looks after them.

use std::ffi::OsString;

use crate::cli::ApproveArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::offline::become_daemon;
use crate::output::{Format, Output};
use crate::place::Place;
use crate::verb::names;

pub(super) fn list(place: &Place, output: &Output) -> Result<Exit, Failure> {
    hand_over(vec!["list".into()], place, output)
}

pub(super) fn approve(args: &ApproveArgs, place: &Place, output: &Output) -> Result<Exit, Failure> {
    let (Some(_), Some(scopes)) = (args.request.revision, args.scopes.chosen()) else {
        let cause = "without a gateway an approval names revision and scopes";
        let next = place.command("devices approve ID@REVISION --scopes SCOPES --offline");
        return Err(Failure::advised(Exit::Usage, cause, next));
    };
    let arguments = ["approve", &args.request.to_string(), "--scopes", &names(scopes).join(",")];
    hand_over(arguments.map(OsString::from).into(), place, output)
}

/// Revokes one device, or everybody.
pub(super) fn revoke(
    device: Option<&str>,
    place: &Place,
    output: &Output,
) -> Result<Exit, Failure> {
    hand_over(vec!["revoke".into(), device.unwrap_or("--all").into()], place, output)
}

fn hand_over(verb: Vec<OsString>, place: &Place, output: &Output) -> Result<Exit, Failure> {
    let mut arguments: Vec<OsString> = ["offline", "devices"].map(Into::into).into();
    arguments.extend(verb);
    if output.format() == Format::Json {
        arguments.push("--json".into());
    }
    match become_daemon(place, arguments)? {}
}
