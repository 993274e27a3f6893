//! What an agent has from its entry, and what from the defaults.

use expect_test::expect;

use crate::parse;

#[test]
fn entries_narrow_the_defaults() {
    let text = "\
[models.providers.local]
api = 'openai-completions'
baseUrl = 'http://localhost/v1'

[agents.defaults]
model = { primary = 'local/a', fallbacks = ['local/b'] }
tools = { allow = ['*_file', 'exec'], deny = ['exec'] }
identity = { name = 'Ada' }
timeoutSeconds = 0

[agents.entries.plain]

[agents.entries.own]
model = { primary = 'local/c' }
tools = { allow = ['*'], deny = ['web_*', 'exec'] }
identity = { name = 'Bo' }
timeoutSeconds = 60

[agents.entries.both]
model = { primary = 'local/c', fallbacks = ['local/d', 'local/d'] }
tools = { allow = [] }

[agents.entries.strict]
model = { fallbacks = [] }
";
    let config = parse(text).unwrap();
    let rows: Vec<String> = config
        .agents()
        .map(|agent| {
            let models: Vec<_> =
                agent.model.fallbacks.iter().map(|name| format!(" > {name}")).collect();
            let tools: Vec<_> =
                crate::TOOL_NAMES.into_iter().filter(|tool| agent.tools.allows(tool)).collect();
            format!(
                "{}: {}{}; {}; {:?}; {}\n",
                agent.id,
                agent.model.primary,
                models.concat(),
                agent.identity.name.as_deref().unwrap_or("-"),
                agent.timeout,
                tools.join(" "),
            )
        })
        .collect();
    expect![[r#"
        both: local/c > local/d; Ada; None; 
        main: local/a > local/b; Ada; None; read_file write_file edit_file
        own: local/c; Bo; Some(60s); read_file write_file list_dir edit_file session_status process sessions_spawn sessions_send subagents sessions_list sessions_history sessions_yield cron
        plain: local/a > local/b; Ada; None; read_file write_file edit_file
        strict: local/a; Ada; None; read_file write_file edit_file
    "#]]
    .assert_eq(&rows.concat());
}
