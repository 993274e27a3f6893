//! Asking in a chat whether a command may be done: where, and in which words.

use openclaw_config::ChannelSettings;
use openclaw_scopes::{GrantHolder, SessionKey, command_words};
use openclaw_sessions::ChatType;
use openclaw_store::ReplyTo;

/// Whose turn wants to do it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Asker {
    /// Something that nobody follows: a job, an event, a turn that goes on after a start.
    Nobody,
    /// Somebody who has just written, and follows the turn.
    Person,
}

/// Where it is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum AskedAt {
    /// Where the answer goes: an owner reads there.
    Here(ReplyTo),
    /// Where the first owner reads: whoever reads where the answer goes could not approve it, and is not shown it.
    Owner,
}

/// Decides where an approval is asked for, by where the answer of the turn goes; `None` when it is not asked in
/// a chat.
//= docs/threat-model.md#T37
pub(crate) fn asked_at(
    channels: &ChannelSettings,
    to: ReplyTo,
    on_behalf_of: &GrantHolder,
    asker: Asker,
) -> Option<AskedAt> {
    if !channels.chats.contains_key(&to.channel) {
        return None;
    }
    let is_of_message = !to.answers.is_empty();
    let is_owners_chat =
        to.kind == ChatType::Direct.name() && channels.is_owner(&to.channel, &to.peer);
    if is_owners_chat || (is_of_message && *on_behalf_of == GrantHolder::Owner) {
        return Some(AskedAt::Here(to));
    }
    match asker {
        // What a guest wants is for whoever looks at what waits.
        Asker::Person if is_of_message => None,
        Asker::Nobody | Asker::Person => Some(AskedAt::Owner),
    }
}

/// Returns what answers it with one touch.
pub(crate) fn buttons(id: &str) -> Vec<(String, String)> {
    let button = |label: &str, word: &str| (label.to_owned(), format!("/{word} {id}"));
    vec![button("Approve", "approve"), button("Deny", "deny")]
}

/// Says in which conversation it is that something is asked, to somebody who is not in it.
pub(crate) fn elsewhere(
    session: &SessionKey,
    on_behalf_of: &GrantHolder,
    question: &str,
) -> String {
    let (session, holder) = (fenced(session.as_str()), fenced(&on_behalf_of.to_string()));
    format!("In this conversation:\n\n{session}\n\nOn behalf of:\n\n{holder}\n\n{question}")
}

/// Says what somebody is asked to approve, and how they answer: in lines of the gateway's own, whatever the model
/// wrote.
//= docs/threat-model.md#T37
pub(crate) fn question(id: &str, operation: &str, program: &str, cwd: &str) -> String {
    let (operation, program, cwd) =
        (fenced(operation), command_words(&[program]), command_words(&[cwd]));
    let (program, cwd) = (fenced(&program), fenced(&cwd));
    format!(
        "I need an approval to go on:\n\n{operation}\n\nThe program:\n\n{program}\n\nIn the directory:\n\n{cwd}\n\n\
         Answer `/approve {id}` or `/deny {id}`."
    )
}

/// Puts a text into a block of code of one line that it cannot leave.
fn fenced(text: &str) -> String {
    let mut fenced = String::from("```\n");
    let mut before = '\n';
    for c in text.chars() {
        if c == '`' && before == '`' {
            // No two in a row fence anything.
            fenced.push('\u{200b}');
        }
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            fenced.extend(c.escape_default());
        } else {
            fenced.push(c);
        }
        before = c;
    }
    fenced.push_str("\n```");
    fenced
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "channels.telegram.token.env = 'T'\n\
        commands.ownerAllowFrom = ['telegram:42']";

    #[test]
    //= docs/threat-model.md#T37
    fn only_whoever_can_approve_is_asked() {
        let config = openclaw_config::parse(CONFIG).unwrap();
        let owner = GrantHolder::Owner;
        let guest: GrantHolder = "sender:telegram:default:7".parse().unwrap();
        let to = |channel: &str, kind: &str, peer: &str, answers: &str| ReplyTo {
            channel: channel.into(),
            account: "default".into(),
            kind: kind.into(),
            peer: peer.into(),
            answers: answers.into(),
            ..ReplyTo::default()
        };
        use Asker::{Nobody, Person};
        #[rustfmt::skip]
        let table = [
            // to                                     on behalf of  asker   where
            (to("telegram", "direct", "42",   "1"), &owner,       Person, "here"),
            (to("telegram", "direct", "42",   "1"), &owner,       Nobody, "here"),
            (to("telegram", "direct", "42",   ""),  &owner,       Nobody, "here"),
            (to("telegram", "direct", "42",   ""),  &guest,       Nobody, "here"),
            (to("telegram", "group",  "-100", "1"), &owner,       Person, "here"),
            (to("telegram", "group",  "-100", "1"), &owner,       Nobody, "here"),
            (to("telegram", "group",  "-100", ""),  &owner,       Nobody, "owner"),
            (to("telegram", "group",  "42",   ""),  &owner,       Nobody, "owner"),
            (to("telegram", "direct", "7",    ""),  &owner,       Nobody, "owner"),
            (to("telegram", "direct", "7",    "1"), &guest,       Person, ""),
            (to("telegram", "direct", "7",    "1"), &guest,       Nobody, "owner"),
            (to("telegram", "group",  "-100", "1"), &guest,       Person, ""),
            (to("webhook",  "direct", "https://a.example", ""), &owner, Nobody, ""),
            (to("discord",  "direct", "42",   ""),  &owner,       Nobody, ""),
        ];
        for (to, on_behalf_of, asker, expected) in table {
            let place = format!("{to:?} {on_behalf_of} {asker:?}");
            let asked = match asked_at(config.channels(), to.clone(), on_behalf_of, asker) {
                Some(AskedAt::Here(here)) if here == to => "here",
                Some(AskedAt::Here(_)) => "elsewhere",
                Some(AskedAt::Owner) => "owner",
                None => "",
            };
            assert_eq!(asked, expected, "{place}");
        }
    }

    #[test]
    fn whoever_approves_sees_all_of_it() {
        let asked = question("ap-1", "git push", "/usr/bin/git", "/srv/my tree");
        for line in ["git push", "/usr/bin/git", "'/srv/my tree'"] {
            assert!(asked.lines().any(|it| it == line), "{line}: {asked}");
        }
        assert!(asked.ends_with("Answer `/approve ap-1` or `/deny ap-1`."), "{asked}");
    }

    #[test]
    fn nothing_leaves_its_block() {
        let fake = "```\n\nThe program:\n\n```\nls\r\u{2028}```\u{1b}[2J";
        let calm = question("ap-1", "ls", "ls", "ls");
        for asked in [
            question("ap-1", fake, "ls", "ls"),
            question("ap-1", "ls", fake, "ls"),
            question("ap-1", "ls", "ls", fake),
        ] {
            let fences = |text: &str| text.matches("```").count();
            assert_eq!(asked.lines().count(), calm.lines().count(), "{asked}");
            assert_eq!(fences(&asked), fences(&calm), "{asked}");
            assert!(!asked.contains(['\r', '\u{1b}', '\u{2028}']), "{asked:?}");
        }
    }

    #[test]
    fn whoever_is_asked_elsewhere_is_told_where_it_is() {
        let guest: GrantHolder = "sender:telegram:default:7".parse().unwrap();
        let session = SessionKey::parse("agent:main:telegram:group:-100").unwrap();
        let told = elsewhere(&session, &guest, &question("ap-1", "ls", "/bin/ls", "/"));
        for line in ["agent:main:telegram:group:-100", "sender:telegram:default:7", "ls"] {
            assert!(told.lines().any(|it| it == line), "{line}: {told}");
        }
    }
}
