//! What command lines mean.

use clap::CommandFactory as _;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("openclaw").chain(line.split_whitespace()))
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
#[rustfmt::skip]
fn accepted_and_refused() {
    for (line, accepted) in [
        ("agent -m hello",                                   true),
        ("agent --message - --session main --agent main",    true),
        ("agent -m -v",                                      true),
        ("agent -m x --timeout 10m --idempotency-key k1",    true),
        ("agent -m x --json",                                true),
        ("--json agent -m x",                                true),
        ("agent -m x --json-stream",                         true),
        ("agent -m x --json --json-stream",                  false),
        ("agent",                                            false),
        ("agent -m x --timeout soon",                        false),
        ("agent -m x --agent Main",                          false),
        ("chat --agent main",                                true),
        ("agents list",                                      true),
        ("agents ls",                                        true),
        ("agents show main --prompt",                        true),
        ("agents add notes --workspace /w --model a/b",      true),
        ("agents add",                                       false),
        ("agents rm notes --yes",                            true),
        ("agents remove notes --dry-run",                    true),
        ("agents delete notes",                              true),
        ("models list",                                      true),
        ("models test local/llama",                          true),
        ("sessions list --active --limit 5 --search x",      true),
        ("sessions list --limit 0",                          false),
        ("sessions show main",                               true),
        ("sessions history main --limit 3",                  true),
        ("sessions new explicit:notes --label Notes",        true),
        ("runs list --status queued,running --session main", true),
        ("runs list --status busy",                          false),
        ("runs wait r1 --timeout 30s",                       true),
        ("runs abort r1",                                    true),
        ("status --json",                                    true),
        ("health --wait 30s",                                true),
        ("audit list --own --denied --method agent",         true),
        ("audit list --all",                                 true),
        ("audit list --own --all",                           false),
        ("audit verify",                                     true),
        ("audit verify --head 7:zz",                         false),
        ("audit export --output log.jsonl",                  true),
        ("access explain sessions.list --as owner",          true),
        ("config check",                                     true),
        ("context use home",                                 true),
        ("context rm home --yes",                            true),
        ("gateway run --config x.toml",                      true),
        ("gateway status",                                   true),
        ("completion bash",                                  true),
        ("completion basic",                                 false),
        ("frobnicate",                                       false),
        ("",                                                 false),
    ] {
        assert_eq!(parse(line).is_ok(), accepted, "{line}");
    }
}

#[test]
fn the_daemon_gets_its_arguments() {
    let Verb::Gateway(GatewayVerb::Run { args }) =
        parse("gateway --state-dir /s run --config x --log debug").unwrap().verb
    else {
        panic!("another verb");
    };
    assert_eq!(args, ["--config", "x", "--log", "debug"]);
}

#[test]
fn heads() {
    let digest = "ab".repeat(32);
    for (text, sequence) in [
        (format!("7:{digest}"), Some(7)),
        (format!("7:{}", digest.to_uppercase()), Some(7)),
        (format!("-7:{digest}"), None),
        (format!("x:{digest}"), None),
        ("7:".into(), None),
        ("7".into(), None),
        (digest.clone(), None),
    ] {
        let line = format!("audit verify --head {text}");
        let head = parse(&line).ok().map(|cli| match cli.verb {
            Verb::Audit(AuditVerb::Verify { head: Some(head) }) => head,
            other => panic!("{other:?}"),
        });
        assert_eq!(head.as_ref().map(|head| head.sequence), sequence, "{text}");
        assert!(head.is_none_or(|head| head.digest == digest));
    }
}
