//! What a provider has when its entry does not say it.

use expect_test::expect;

use super::*;
use crate::parse;

#[test]
fn providers_have_the_defaults_of_their_api() {
    let text = "\
[models.providers.anthropic]
api = 'anthropic-messages'
apiKey = { env = 'ANTHROPIC_API_KEY' }
[models.providers.local]
api = 'openai-completions'
baseUrl = 'http://127.0.0.1:11434/v1/'
[models.providers.lan]
api = 'openai-completions'
baseUrl = 'http://nas.lan:11434/v1'
[models.providers.slow]
api = 'anthropic-messages'
baseUrl = 'http://[::1]:80'
timeoutSeconds = 7
apiKeys = [{ env = 'A' }, { env = 'B' }, { env = 'A' }]
[agents.defaults.model]
primary = 'local/x'
";
    let rows: Vec<String> = parse(text)
        .unwrap()
        .providers()
        .map(|(id, provider)| match provider {
            Provider::AnthropicMessages(to) | Provider::OpenAiCompletions(to) => {
                let keys: Vec<_> = to.api_keys.iter().map(|key| &*key.env).collect();
                let (api, keys) = (provider.api().name(), keys.join(" "));
                format!("{id}: {api} {} {:?} {keys}\n", to.base_url, to.timeout)
            }
            Provider::Offline { script } => format!("{id}: {script:?}\n"),
        })
        .collect();
    expect![[r#"
        anthropic: anthropic-messages https://api.anthropic.com 120s ANTHROPIC_API_KEY
        lan: openai-completions http://nas.lan:11434/v1 120s 
        local: openai-completions http://127.0.0.1:11434/v1 300s 
        offline: None
        slow: anthropic-messages http://[::1]:80 7s A B
    "#]]
    .assert_eq(&rows.concat());
}

#[test]
fn several_keys_are_a_list_of_their_own() {
    let refused = |keys: &str| {
        let text = format!(
            "[models.providers.p]\napi = 'anthropic-messages'\n{keys}\n\
             [agents.defaults]\nmodel.primary = 'p/m'"
        );
        parse(&text).unwrap_err().to_string()
    };
    for (keys, told) in [
        ("apiKeys = []", "must be a list with a `{ env = \"NAME\" }` for each key"),
        (
            "apiKey = { env = 'A' }\napiKeys = [{ env = 'B' }]",
            "`models.providers.p.apiKeys` must be left out where there is `apiKey`",
        ),
        ("apiKeys = [{ env = 'A' }, 'sk-1']", "a secret may not stand in the configuration"),
        ("apiKeys = [{ name = 'A' }]", "apiKeys"),
        ("apiKeys = { env = 'A' }", "must be a list"),
    ] {
        let refused = refused(keys);
        assert!(refused.contains(told) && !refused.contains("sk-1"), "{keys}: {refused}");
    }
}
