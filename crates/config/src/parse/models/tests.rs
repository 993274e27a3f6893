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
[agents.defaults.model]
primary = 'local/x'
";
    let rows: Vec<String> = parse(text)
        .unwrap()
        .providers()
        .map(|(id, provider)| match provider {
            Provider::AnthropicMessages(to) | Provider::OpenAiCompletions(to) => {
                let key = to.api_key.as_ref().map_or("-", |key| &key.env);
                format!("{id}: {} {} {:?} {key}\n", provider.api().name(), to.base_url, to.timeout)
            }
            Provider::Offline { script } => format!("{id}: {script:?}\n"),
        })
        .collect();
    expect![[r#"
        anthropic: anthropic-messages https://api.anthropic.com 120s ANTHROPIC_API_KEY
        lan: openai-completions http://nas.lan:11434/v1 120s -
        local: openai-completions http://127.0.0.1:11434/v1 300s -
        offline: None
        slow: anthropic-messages http://[::1]:80 7s -
    "#]]
    .assert_eq(&rows.concat());
}
