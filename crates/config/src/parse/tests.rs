//! What is accepted, and what is said about everything else.

use expect_test::{Expect, expect};

use super::*;

#[track_caller]
fn refused(text: &str, expected: &Expect) {
    let errors = parse(text).unwrap_err();
    expected.assert_eq(&format!("{errors}\n"));
}

#[test]
fn unknown_keys_are_located_and_explained() {
    let text = "\
gatway = 1
colour = 'red'
timeoutSeconds = 5

[models.providers.local]
api = 'openai-completions'
base_url = 'http://localhost/v1'
api-key = { env = 'KEY' }

[models.provider.x]
api = 'offline'

[agents.defaults]
model = { primry = 'local/x', \"fall\\nbacks\" = [] }
workspace = '/srv/x'

[tools.exec]
ask = 'unlisted'
";
    refused(
        text,
        &expect![[r#"
            line 1, column 1: unknown key `gatway` at the top level; did you mean `gateway`?
            line 2, column 1: unknown key `colour` at the top level; known here: `gateway`, `listen`, `audit`, `events`, `models`, `agents`, `session`, `bindings`, `messages`, `cron`, `commands`, `channels`, `hooks`, `tools`
            line 3, column 1: unknown key `timeoutSeconds` at the top level; did you mean `models.providers.<id>.timeoutSeconds`?
            line 5, column 19: `models.providers.local` needs `baseUrl`, for example `baseUrl = "http://127.0.0.1:11434/v1"`
            line 5, column 19: a provider is configured but no model is chosen: set `agents.defaults.model.primary`, for example `model = { primary = "local/MODEL" }` under `[agents.defaults]`
            line 7, column 1: unknown key `base_url` in `models.providers.local`; did you mean `baseUrl`?
            line 8, column 1: unknown key `api-key` in `models.providers.local`; did you mean `apiKey`?
            line 10, column 9: unknown key `provider` in `models`; did you mean `providers`?
            line 14, column 11: unknown key `primry` in `agents.defaults.model`; did you mean `primary`?
            line 14, column 31: unknown key `fall\nbacks` in `agents.defaults.model`; did you mean `fallbacks`?
            line 15, column 1: unknown key `workspace` in `agents.defaults`; did you mean `agents.entries.<id>.workspace`?
        "#]],
    );
}

#[test]
fn wrong_types_and_ranges() {
    let text = "\
gateway = 7
agents.entries = []
agents.defaults.maxConcurrent = 0
agents.defaults.timeoutSeconds = -1
agents.defaults.model = 'offline/offline'
agents.defaults.identity.name = \"two\\nlines\"
audit.retention = '6h'
events.retention = '31d'

[tools.exec]
sandbox = 'workspaces'
timeoutSeconds = 1.5
envAllow = ['HOME', 7, 'NO SPACE']

[tools.webFetch]
allowAddresses = ['127.0.0.1', 'nas.lan:80', '[::1]:0', '[::1]:80']
";
    refused(
        text,
        &expect![[r#"
            line 1, column 11: `gateway` must be a table, not a number
            line 2, column 18: `agents.entries` must be a table, not a list
            line 3, column 33: `agents.defaults.maxConcurrent` must be a whole number from 1 to 10000
            line 4, column 34: `agents.defaults.timeoutSeconds` must be a whole number from 0 to 31536000
            line 5, column 25: `agents.defaults.model` must be a table, not a text
            line 6, column 33: `agents.defaults.identity.name` must be 1 to 64 characters on one line, without spaces around
            line 7, column 19: `audit.retention` must be at least `1d`
            line 8, column 20: `events.retention` must be between `1h` and `30d`
            line 11, column 11: `tools.exec.sandbox` must be one of `workspace`, `off`; did you mean `workspace`?
            line 12, column 18: `tools.exec.timeoutSeconds` must be a whole number, not a number with a fraction
            line 13, column 21: `tools.exec.envAllow[1]` must be a text in quotes, not a number
            line 13, column 24: `tools.exec.envAllow[2]` must be the name of an environment variable: letters, digits and `_`
            line 16, column 19: `tools.webFetch.allowAddresses[0]` must be an IP address and a port, such as `127.0.0.1:8080` or `[::1]:8080`
            line 16, column 32: `tools.webFetch.allowAddresses[1]` must be an IP address and a port, such as `127.0.0.1:8080` or `[::1]:8080`
            line 16, column 46: `tools.webFetch.allowAddresses[2]` must be an IP address and a port, such as `127.0.0.1:8080` or `[::1]:8080`
        "#]],
    );
}

#[test]
fn numbers_keep_their_radix_and_limits() {
    let drain = |number: &str| parse(&format!("[gateway]\ndrainSeconds = {number}"));
    for (number, seconds) in [("0", 0), ("3_600", 3_600), ("0x10", 16), ("0b11", 3), ("+7", 7)] {
        assert_eq!(drain(number).unwrap().gateway().drain.as_secs(), seconds, "{number}");
    }
    for number in ["3601", "-0x1", "99999999999999999999999999999999999999", "'7'", "true"] {
        assert!(drain(number).is_err(), "{number}");
    }
}

#[test]
fn a_provider_says_what_it_needs() {
    let text = "\
[models.providers.a]
baseUrl = 'http://u:hunter2@localhost/'

[models.providers.b]
api = 'openai'

[models.providers.c]
api = 'openai-completions'
script = 'replies.toml'

[models.providers.d]
api = 'offline'
baseUrl = 'http://localhost'
apiKey = { env = 'KEY' }
timeoutSeconds = 0

[models.providers.E]
api = 'offline'
";
    refused(
        text,
        &expect![[r#"
            line 1, column 19: `models.providers.a` needs `api`, for example `api = "openai-completions"`
            line 1, column 19: a provider is configured but no model is chosen: set `agents.defaults.model.primary`, for example `model = { primary = "a/MODEL" }` under `[agents.defaults]`
            line 2, column 11: `models.providers.a.baseUrl`: a base URL holds no credentials; use `apiKey`
            line 5, column 7: `models.providers.b.api` must be one of `openai-completions`, `anthropic-messages`, `offline`
            line 7, column 19: `models.providers.c` needs `baseUrl`, for example `baseUrl = "http://127.0.0.1:11434/v1"`
            line 9, column 1: `models.providers.c.script` has no effect with `api = "openai-completions"`
            line 9, column 10: `models.providers.c.script` must be an absolute path, or one that begins with `~/`
            line 13, column 1: `models.providers.d.baseUrl` has no effect with `api = "offline"`
            line 14, column 1: `models.providers.d.apiKey` has no effect with `api = "offline"`
            line 15, column 1: `models.providers.d.timeoutSeconds` has no effect with `api = "offline"`
            line 15, column 18: `models.providers.d.timeoutSeconds` must be a whole number from 1 to 86400
            line 17, column 19: provider id `E` has a character other than a-z, 0-9, `-` and `_`
        "#]],
    );
}

#[test]
//= docs/threat-model.md#T14
fn a_secret_in_the_text_is_refused_and_not_repeated() {
    for key in [
        "'sk-hunter2'",
        "{ env = 'sk-hunter2' }",
        "{ env = ['sk-hunter2'] }",
        "{}",
        "['sk-hunter2']",
    ] {
        let text = format!("[models.providers.x]\napi = 'anthropic-messages'\napiKey = {key}\n");
        let errors = parse(&text).unwrap_err();
        assert!(!format!("{errors} {errors:?}").contains("hunter2"), "{errors}");
        assert!(errors.to_string().contains("line 3, column"), "{errors}");
    }
    let text = "[models.providers.x]\napi = 'anthropic-messages'\napiKey = 'sk-1'\n[agents.defaults]\nmodel.primary='x/y'";
    refused(
        text,
        &expect![[r#"
            line 3, column 10: `models.providers.x.apiKey`: a secret may not stand in the configuration; name the environment variable that holds it; write `apiKey = { env = "NAME" }`
        "#]],
    );
}

#[test]
//= docs/threat-model.md#T15
fn commands_are_never_given_the_key_of_a_provider() {
    let text = "\
[models.providers.x]
api = 'anthropic-messages'
apiKey = { env = 'THE_KEY' }

[agents.defaults]
model.primary = 'x/y'

[tools.exec]
envAllow = ['HOME', 'THE_KEY']
";
    refused(
        text,
        &expect![[r#"
            line 9, column 21: `tools.exec.envAllow[1]`: `THE_KEY` holds a secret of the gateway, which commands may not be given
        "#]],
    );
}

#[test]
fn models_and_tools_must_exist() {
    let text = "\
[models.providers.local]
api = 'openai-completions'
baseUrl = 'http://localhost/v1'

[agents.defaults]
model = { primary = 'locl/llama', fallbacks = ['offline/offline', 'llama', 'Local/x'] }
tools = { allow = ['read-file', '*_file'], deny = ['bash', 'memory_*'] }

[agents.entries.Main]
[agents.entries.ok]
workspace = 'relative'
";
    refused(
        text,
        &expect![[r#"
            line 6, column 21: `agents.defaults.model.primary` names the provider `locl`, which is not configured; did you mean `local`?
            line 6, column 67: `agents.defaults.model.fallbacks[1]`: a model is written `provider/model`
            line 6, column 76: `agents.defaults.model.fallbacks[2]`: provider id `Local` has a character other than a-z, 0-9, `-` and `_`
            line 7, column 20: `agents.defaults.tools.allow[0]`: `read-file` matches no tool; did you mean `read_file`?
            line 7, column 52: `agents.defaults.tools.deny[0]`: `bash` matches no tool
            line 7, column 60: `agents.defaults.tools.deny[1]`: `memory_*` matches no tool
            line 9, column 17: agent id `Main` has a character other than a-z, 0-9, `-` and `_`
            line 11, column 13: `agents.entries.ok.workspace` must be an absolute path, or one that begins with `~/`
        "#]],
    );
}

#[test]
fn a_configured_provider_needs_a_chosen_model() {
    let text =
        "[models.providers.local]\napi = 'openai-completions'\nbaseUrl = 'http://localhost/v1'\n";
    refused(
        text,
        &expect![[r#"
        line 1, column 19: a provider is configured but no model is chosen: set `agents.defaults.model.primary`, for example `model = { primary = "local/MODEL" }` under `[agents.defaults]`
    "#]],
    );
    assert!(
        parse("[models.providers.offline]\napi = 'offline'\nscript = '/srv/replies.toml'").is_ok()
    );
    refused(
        "[models.providers.offline]\napi = 'anthropic-messages'",
        &expect![[r#"
        line 1, column 19: a provider is configured but no model is chosen: set `agents.defaults.model.primary`, for example `model = { primary = "offline/MODEL" }` under `[agents.defaults]`
    "#]],
    );
}

#[test]
fn syntax_errors_and_duplicates() {
    refused(
        "[gateway]\ndrainSeconds = 1\ndrainSeconds = 2\n[gateway]\n[audit\nretentoin = '1d'",
        &expect![[r#"
            line 3, column 1: `drainSeconds` is already set above
            line 4, column 2: `gateway` is already set above
            line 5, column 7: unclosed table, expected `]`
        "#]],
    );
    refused(
        "[gateway]\ndrainSeconds = ten",
        &expect![[r#"
        line 2, column 16: invalid boolean, expected `true`
    "#]],
    );
    refused(
        &format!("# {}", "x".repeat(MAX_TEXT)),
        &expect![[r#"
        line 1, column 1: the configuration is larger than 1048576 bytes
    "#]],
    );
}
