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
    let fingerprint = Fingerprint([7; 32]);
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
                Way::Known(addresses, ..) => ("known", addresses),
            };
            let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            format!("{word} {}", addresses.join(" "))
        });
        assert_eq!(told, expected.map(str::to_owned), "{line}");
    }
}

/// What is known of a gateway is used again: without an argument, and by any of its addresses.
#[test]
#[rustfmt::skip]
//= docs/threat-model.md#T27
fn a_gateway_that_is_known_needs_no_fingerprint_again() {
    let directory = tempfile::tempdir().unwrap();
    let of = |byte: &str| byte.repeat(32);
    let contexts = format!(
        "current = \"far\"\n\
         [contexts.far]\ngateway = \"https://far:1\"\naddresses = [\"far:1\", \"192.0.2.7:2\"]\n\
         fingerprint = \"{}\"\n\
         [contexts.other]\ngateway = \"https://other:1\"\nfingerprint = \"{}\"\n\
         [contexts.bare]\ngateway = \"https://bare:1\"\n\
         [contexts.here]\ngateway = \"unix:/run/x\"\n",
        of("ab"), of("cd"),
    );
    std::fs::write(directory.path().join("contexts.toml"), contexts).unwrap();
    let (ab, cd, ef) = (of("ab"), of("cd"), of("ef"));
    for (line, expected) in [
        (String::new(),                            Ok(("far:1 192.0.2.7:2", &ab, Some("far")))),
        ("--gateway other".to_owned(),             Ok(("other:1", &cd, Some("other")))),
        ("https://192.0.2.7:2".to_owned(),         Ok(("192.0.2.7:2", &ab, Some("far")))),
        ("--address other:1".to_owned(),           Ok(("other:1", &cd, Some("other")))),
        (format!("https://far:1 --fingerprint {ef}"), Ok(("far:1", &ef, None))),
        (format!("https://new:1 --fingerprint {ef}"), Ok(("new:1", &ef, None))),
        ("https://new:1".to_owned(),               Err(Exit::Configuration)),
        ("--gateway bare".to_owned(),              Err(Exit::Configuration)),
        ("--gateway here".to_owned(),              Err(Exit::Usage)),
        ("--gateway lost".to_owned(),              Err(Exit::Configuration)),
    ] {
        let (args, place) = parsed(directory.path(), &line);
        let told = way(&args, &place).map_err(|failure| failure.exit());
        let told = told.map(|way| match way {
            Way::Known(addresses, fingerprint, context) => {
                let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                (addresses.join(" "), fingerprint.to_string(), context)
            }
            other @ Way::Invited(_) => panic!("{line}: {other:?}"),
        });
        let expected = expected.map(|(addresses, fingerprint, context)| {
            (addresses.to_owned(), fingerprint.clone(), context.map(str::to_owned))
        });
        assert_eq!(told, expected, "{line}");
    }
}
