//! `config`: the gateway's configuration.

use std::ffi::OsString;
use std::path::PathBuf;

use openclaw_client::ConnectError;
use openclaw_client::v1::GetConfigRequest;
use serde::Serialize;

use crate::cli::ConfigVerb;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::offline;
use crate::output::{Format, Output};
use crate::place::Place;

/// Checks the file: the daemon's program knows how.
pub(super) fn check(
    file: Option<PathBuf>,
    place: &Place,
    output: &Output,
) -> Result<Exit, Failure> {
    let mut verb: Vec<OsString> = ["config", "check"].map(Into::into).into();
    if let Some(file) = file {
        verb.extend(["--config".into(), file.into()]);
    }
    match offline::hand_over(place, verb, output)? {}
}

/// Where the file is, as `config path --json` shows it.
#[derive(Debug, Serialize)]
struct Location {
    path: PathBuf,
    exists: bool,
}

pub(super) async fn run(
    verb: ConfigVerb,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    match verb {
        ConfigVerb::Show => {
            let mut gateway = place.connect_for(&["config.get"]).await?.gateway();
            let config = gateway.get_config(GetConfigRequest {}).await?.into_inner();
            match output.format() {
                Format::Human => output.block(&config.toml)?,
                Format::Json => output.message(&config)?,
            }
        }
        ConfigVerb::Path => {
            let path = match in_force(place).await? {
                Some(path) => path,
                None => place.state_dir().join("openclaw.toml"),
            };
            match output.format() {
                Format::Human => output.line(&path.to_string_lossy())?,
                Format::Json => output.document(&Location { exists: path.exists(), path })?,
            }
        }
        // Handled by `check`, which needs no gateway.
        ConfigVerb::Check { .. } => {}
    }
    Ok(Exit::Ok)
}

/// Returns the file that a running gateway read, when it read one.
async fn in_force(place: &Place) -> Result<Option<PathBuf>, Failure> {
    let client = match place.connect_for(&["config.get"]).await {
        Ok(client) => client,
        Err(Failure::Connect(ConnectError::NotRunning { .. })) => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let config = client.gateway().get_config(GetConfigRequest {}).await?.into_inner();
    Ok(Some(config.path).filter(|path| !path.is_empty()).map(PathBuf::from))
}
