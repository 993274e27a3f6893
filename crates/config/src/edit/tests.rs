//! What editing changes, and what it leaves alone.

use expect_test::{Expect, expect};

use super::*;

fn id(text: &str) -> AgentId {
    AgentId::parse(text).unwrap()
}

fn named(name: &str) -> NewAgent {
    NewAgent { name: Some(name.into()), ..NewAgent::default() }
}

#[track_caller]
fn adds(text: &str, settings: NewAgent, expected: &Expect) {
    let with = add_agent(text, &id("new"), settings).unwrap();
    expected.assert_eq(&with);
    let added = parse(&with).unwrap();
    assert!(added.agent(&id("new")).is_some());
    assert_eq!(
        add_agent(&with, &id("new"), named("X")),
        Err(EditError::AgentExists { id: id("new") })
    );
    let without = remove_agent(&with, &id("new")).unwrap();
    assert_eq!(parse(&without), parse(text), "removing undoes adding");
}

#[test]
fn an_entry_is_added_however_the_others_are_written() {
    let all = NewAgent {
        workspace: Some("/srv/\"new\"".into()),
        model: Some("offline/x".into()),
        name: Some("Ada".into()),
    };
    adds(
        "",
        all.clone(),
        &expect![[r#"
        [agents.entries.new]
        workspace = '/srv/"new"'
        model = { primary = "offline/x" }
        identity = { name = "Ada" }
    "#]],
    );
    adds(
        "# only a comment",
        named("Ada"),
        &expect![[r##"
            # only a comment

            [agents.entries.new]
            identity = { name = "Ada" }
        "##]],
    );
    adds(
        "# top\n[agents.entries.a] # one\nworkspace='/a'\n\n# two\n[agents.entries.b]\n\n# exec\n[tools.exec]\ntimeoutSeconds   = 1 # odd\n# end\n",
        all,
        &expect![[r##"
            # top
            [agents.entries.a] # one
            workspace='/a'

            # two
            [agents.entries.b]

            [agents.entries.new]
            workspace = '/srv/"new"'
            model = { primary = "offline/x" }
            identity = { name = "Ada" }

            # exec
            [tools.exec]
            timeoutSeconds   = 1 # odd
            # end
        "##]],
    );
    adds(
        "[agents.defaults]\ntimeoutSeconds = 1\n\n[audit]\nretention = '7d'\n",
        NewAgent::default(),
        &expect![[r#"
            [agents.defaults]
            timeoutSeconds = 1

            [agents.entries.new]

            [audit]
            retention = '7d'
        "#]],
    );
    adds(
        "[agents]\nentries = { a = { workspace = '/a' } } # inline\n",
        named("Ada"),
        &expect![[r#"
            [agents]
            entries = { a = { workspace = '/a' } , new = { identity = { name = "Ada" } } } # inline
        "#]],
    );
    adds(
        "agents = { defaults = { timeoutSeconds = 1 } }\n",
        named("Ada"),
        &expect![[r#"
        agents = { defaults = { timeoutSeconds = 1 } , entries = { new = { identity = { name = "Ada" } } } }
    "#]],
    );
    adds(
        "agents.entries.a.workspace = '/a' # dotted\n[audit]\n",
        named("Ada"),
        &expect![[r#"
        agents.entries.a.workspace = '/a' # dotted

        [agents.entries.new]
        identity = { name = "Ada" }
        [audit]
    "#]],
    );
}

#[test]
fn only_the_entry_is_removed() {
    let text = "\
# The house.
[agents.entries.a]  # first
workspace = '/a'

# The garden.
[agents.entries.b]
[agents.entries.b.tools]
deny = ['exec']

# Commands.
[tools.exec]
timeoutSeconds = 1
";
    expect![[r#"
        # The house.
        [agents.entries.a]  # first
        workspace = '/a'

        # Commands.
        [tools.exec]
        timeoutSeconds = 1
    "#]]
    .assert_eq(&remove_agent(text, &id("b")).unwrap());
}

#[test]
fn what_cannot_be_done_is_refused_with_a_reason() {
    let refused = |result: Result<String, EditError>| result.unwrap_err().to_string();
    assert_eq!(refused(add_agent("", &id("main"), named("A"))), "the agent `main` already exists");
    assert_eq!(
        refused(remove_agent("[agents.entries.main]", &id("main"))),
        "the agent `main` always exists and cannot be removed"
    );
    assert_eq!(refused(remove_agent("", &id("ghost"))), "there is no agent `ghost`");
    assert_eq!(
        refused(add_agent("colour = 1", &id("new"), named("A"))),
        "the configuration has mistakes; correct them first"
    );
    for settings in [
        NewAgent { model: Some("nowhere/x".into()), ..NewAgent::default() },
        NewAgent { workspace: Some("relative".into()), ..NewAgent::default() },
        named("two\nlines"),
    ] {
        let error = add_agent("", &id("new"), settings).unwrap_err();
        assert!(matches!(error, EditError::Refused { .. }), "{error}");
    }
}
