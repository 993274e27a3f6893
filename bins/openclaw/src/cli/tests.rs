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
        ("sessions send-policy main deny",                   true),
        ("sessions send-policy main inherit --agent main",   true),
        ("sessions send-policy main block",                  false),
        ("sessions send-policy main",                        false),
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
        ("access explain agent --as 21fe31",                 true),
        ("access show",                                      true),
        ("access show device:21fe31",                        true),
        ("devices list --own",                               true),
        ("devices list --offline",                           true),
        ("devices list --own --offline",                     false),
        ("devices pending --json",                           true),
        ("devices show --device 21fe31",                     true),
        ("devices show",                                     false),
        ("devices approve r1@2 --scopes operator.read,operator.write", true),
        ("devices approve r1 --scope operator.read",         true),
        ("devices approve r1@x",                             false),
        ("devices approve r1@1 --scopes operator.nope",      false),
        ("devices approve r1@1 --all-requested",             true),
        ("devices approve r1@1 --all-requested --scope operator.read", false),
        ("devices reject r1",                                true),
        ("devices rotate 21fe31",                            true),
        ("devices rotate 21fe31 --device 21fe31",            false),
        ("devices rotate 21fe31 --no-scopes",                true),
        ("devices rotate 21fe31 --no-scopes --scope operator.read", false),
        ("devices rotate 21fe31 --scopes ,",                 false),
        ("devices rotate 21fe31 --role owner",               false),
        ("devices revoke 21fe31 --yes",                      true),
        ("devices revoke --all --dry-run",                   true),
        ("devices revoke --all 21fe31",                      false),
        ("devices revoke --all --offline --dry-run",         false),
        ("devices revoke",                                   false),
        ("devices rm 21fe31 --yes",                          true),
        ("devices delete --device 21fe31",                   true),
        ("devices rename 21fe31 Laptop",                     true),
        ("devices rename --device 21fe31 Laptop",            true),
        ("devices invite --ttl 1d --address home:1",         true),
        ("devices invite --address home",                    false),
        ("devices upgrade --scopes operator.write --wait",   true),
        ("devices upgrade --scopes operator.write --wait 5m", true),
        ("tokens create --name ci --scopes operator.read --ttl 30d", true),
        ("tokens create --name ci --scopes operator.read",   false),
        ("tokens revoke ci --yes",                           true),
        ("tokens rm ci",                                     true),
        ("security audit --json",                            true),
        ("connect https://home:1 --code x",                  false),
        ("connect https://home:1 --scopes operator.read --wait 1m", true),
        ("--request-access sessions list",                   true),
        ("status --fingerprint zz",                          false),
        ("gateway fingerprint",                              true),
        ("config check",                                     true),
        ("context use home",                                 true),
        ("context rm home --yes",                            true),
        ("gateway run --config x.toml",                      true),
        ("gateway status",                                   true),
        ("completion bash",                                  true),
        ("completion basic",                                 false),
        ("cron add --name n --every 5m --message hi",        true),
        ("automations create --name n --at 20m --system-event hi", true),
        ("cron add --name n --every 5m",                     false),
        ("cron add --name n --message hi",                   false),
        ("cron add --every 5m --message hi",                 false),
        ("cron add --name n --every 5m --at 20m --message hi", false),
        ("cron add --name n --every 5m --cron @daily --message hi", false),
        ("cron add --name n --every 5m --message hi --system-event hi", false),
        ("cron add --name n --every soon --message hi",      false),
        ("cron add --name n --cron @daily --message hi --exact --stagger 5m", false),
        ("cron add --name n --every 5m --message hi --active 9", false),
        ("cron add --name n --every 5m --message hi --active 22:00-06:00", true),
        ("cron edit n --enable --all-tools --expected-revision 2", true),
        ("cron edit n --enable --disable",                   false),
        ("cron edit n --all-tools --tools a",                false),
        ("cron edit n --at 20m --every 5m",                  false),
        ("cron edit n --message a --system-event b",         false),
        ("cron edit n --delete-after-run=no",                false),
        ("cron edit",                                        false),
        ("cron list --all --agent main --search x --limit 5", true),
        ("cron get n",                                       true),
        ("cron delete n --dry-run",                          true),
        ("cron run n --wait --wait-timeout 1m",              true),
        ("cron run n --wait-timeout 1m",                     false),
        ("cron runs",                                        true),
        ("cron runs n --outcome lost",                       true),
        ("cron runs n --outcome gone",                       false),
        ("cron preview n --count 100",                       true),
        ("cron preview n --count 101",                       false),
        ("cron preview",                                     false),
        ("cron preview n --every 5m",                        false),
        ("cron preview n --tz UTC",                          false),
        ("cron preview --every 5m --active 09:00-17:00",     true),
        ("cron export a b",                                  true),
        ("cron add --name n --every 5m --message hi --announce --to 1", true),
        ("cron add --name n --every 5m --message hi --announce --channel telegram --to -100 --thread 7", true),
        ("cron add --name n --every 5m --message hi --announce", false),
        ("cron add --name n --every 5m --message hi --to 1",  false),
        ("cron add --name n --every 5m --message hi --channel telegram", false),
        ("cron add --name n --every 5m --message hi --webhook https://x", true),
        ("cron add --name n --every 5m --message hi --webhook https://x --no-deliver", false),
        ("cron add --name n --every 5m --message hi --webhook https://x --announce --to 1", false),
        ("cron edit n --no-deliver",                         true),
        ("cron edit n --no-deliver --announce --to 1",       false),
        ("message send --channel telegram --target -100123 --message hi --wait 30s", true),
        ("message send --to 1 -m hi",                        true),
        ("message send --to 1 --media https://x",            true),
        ("message send --to 1 --media https://x -m hi",      true),
        ("message send --to 1",                              false),
        ("message send -m hi",                               false),
        ("message send --to 1 -m hi --wait soon",            false),
        ("delivery list --channel telegram --state unknown --limit 5", true),
        ("delivery list --state lost",                       false),
        ("delivery get dl-1",                                true),
        ("delivery discard dl-1 --dry-run",                  true),
        ("delivery retry",                                   false),
        ("channels list",                                    true),
        ("channels status",                                  true),
        ("channels add telegram --token-env T --dm-policy disabled", true),
        ("channels add telegram",                            false),
        ("channels add irc --token-env T",                   false),
        ("channels add telegram --token-env T --dm-policy open", false),
        ("channels add telegram --token-env T --token S",    false),
        ("channels start discord",                           true),
        ("channels stop",                                    false),
        ("channels logs webhook --limit 200",                true),
        ("channels logs webhook --limit 201",                false),
        ("pairing approve telegram CODE --owner",            true),
        ("pairing approve telegram CODE --owner --no-owner", false),
        ("pairing list",                                     true),
        ("pairing approve telegram CODE --share-main",       true),
        ("pairing approve telegram",                         false),
        ("pairing reject telegram CODE --yes",               true),
        ("pairing remove telegram",                          false),
        ("system event --text -v --context door --wait 1m",  true),
        ("system event",                                     false),
        ("system event-status e1",                           true),
        ("system wake --session main --agent main",          true),
        ("frobnicate",                                       false),
        ("",                                                 false),
    ] {
        assert_eq!(parse(line).is_ok(), accepted, "{line}");
    }
}

/// The command of the report, word for word, and the same with every scope that was reported.
#[test]
#[rustfmt::skip]
fn rotating_as_reported() {
    for (scopes, expected) in [
        ("--scope operator.admin --scope operator.approvals --scope operator.pairing --scope operator.write",
         "operator.admin operator.approvals operator.pairing operator.write"),
        ("--scope operator.admin --scope operator.read --scope operator.write --scope operator.approvals --scope operator.pairing --scope operator.talk.secrets",
         "operator.admin operator.approvals operator.pairing operator.read operator.talk.secrets operator.write"),
    ] {
        let line = format!("devices rotate --device 21fe31dfa154 --role operator {scopes}");
        let Verb::Devices(DevicesVerb::Rotate { device, role, scopes, no_scopes }) =
            parse(&line).unwrap().verb
        else {
            panic!("another verb");
        };
        assert_eq!((device.text().as_str(), role), ("21fe31dfa154", RoleName::Operator));
        assert_eq!(scopes.chosen().unwrap().to_string(), expected);
        assert!(!no_scopes);
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
