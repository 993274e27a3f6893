//! By what to connect, and what is remembered.

use clap::Parser as _;

use super::*;
use crate::cli::{Cli, Verb};
use crate::place::Environment;

fn parsed(state_dir: &std::path::Path, line: &str) -> (ConnectArgs, Place) {
    let state_dir = state_dir.to_str().unwrap();
    let words = ["openclaw", "--state-dir", state_dir, "connect"];
    let cli = Cli::try_parse_from(words.into_iter().chain(line.split_whitespace())).unwrap();
    let place = Place::find(&cli.global, Environment::default()).unwrap();
    let Verb::Connect(args) = cli.verb else { panic!("another verb") };
    (args, place)
}

#[test]
#[rustfmt::skip]
fn ways() {
    let directory = tempfile::tempdir().unwrap();
    let fingerprint = openclaw_client::Fingerprint([7; 32]);
    let secret = openclaw_client::InvitationSecret([9; 12]);
    let code = openclaw_client::InvitationCode::new(secret, &fingerprint).to_string();
    let link = format!("openclaw://connect/home:1,192.0.2.7:2/{code}");
    let broken = format!("{}0", link.get(..link.len() - 1).unwrap());
    let hex = fingerprint.to_string();
    for (line, expected) in [
        (link.clone(),                                            Ok("invited home:1 192.0.2.7:2")),
        (format!("{link} --address other:3"),                     Ok("invited other:3")),
        (format!("https://home:1 --code {code}"),                 Ok("invited home:1")),
        (format!("--code {code} --address home:1 --address b:2"), Ok("invited home:1 b:2")),
        (format!("https://home --fingerprint {hex}"),             Ok("known home:18789")),
        (format!("https://a:1 --address b:2 --fingerprint {hex}"), Ok("known b:2")),
        ("https://home:1".to_owned(),                             Err(Exit::Configuration)),
        (format!("--code {code}"),                                Err(Exit::Usage)),
        (String::new(),                                           Err(Exit::Usage)),
        (broken,                                                  Err(Exit::Usage)),
        (format!("unix:/run/x --fingerprint {hex}"),              Err(Exit::Usage)),
        (format!("home --fingerprint {hex}"),                     Err(Exit::Usage)),
    ] {
        let (args, place) = parsed(directory.path(), &line);
        let told = way(&args, &place).map_err(|failure| {
            assert!(!failure.to_string().contains(&code), "the secret is not repeated");
            failure.exit()
        });
        let told = told.map(|way| {
            let (word, addresses) = match way {
                Way::Invited(link) => ("invited", link.addresses),
                Way::Known(addresses, _) => ("known", addresses),
            };
            let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            format!("{word} {}", addresses.join(" "))
        });
        assert_eq!(told, expected.map(str::to_owned), "{line}");
    }
}
