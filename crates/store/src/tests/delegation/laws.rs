//! What holds after every step, read from the disk.

use std::collections::{BTreeMap, BTreeSet};

use openclaw_scopes::{RunId, SessionKey};
use openclaw_sessions::{Notice, Record};
use rusqlite::{OptionalExtension as _, Row};

use super::model::{State, Told};
use super::world::World;

impl World {
    /// What holds after every step.
    pub(super) fn check(&mut self) {
        self.check_runs();
        self.check_conversations();
        self.check_inbox();
    }

    pub(super) fn texts(&self, sql: &str) -> Vec<String> {
        let mut statement = self.disk.prepare_cached(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// At most one run of a conversation writes; who works is who was told so, and all that wait can begin.
    fn check_runs(&self) {
        let sql = "SELECT run_id FROM runs WHERE status = 'running' ORDER BY run_id";
        let working: Vec<_> = self.working.keys().map(ToString::to_string).collect();
        assert_eq!(self.texts(sql), working);
        let sessions: BTreeSet<_> = self.working.values().map(|it| &it.view.session).collect();
        assert_eq!(sessions.len(), working.len(), "one writer a conversation");
        let sql = "SELECT s.key FROM sessions s WHERE s.active_run IS NOT
                       (SELECT id FROM runs WHERE session = s.id AND status = 'running')";
        assert_eq!(self.texts(sql), Vec::<String>::new(), "each knows its writer");
        let sql = "SELECT run_id FROM runs WHERE status = 'queued'";
        let tickets: BTreeSet<_> = self.tickets.iter().map(|ticket| ticket.run.as_str()).collect();
        assert!(self.texts(sql).iter().all(|run| tickets.contains(run.as_str())));
    }

    /// What was deleted does not come back, and nothing goes on in it.
    fn check_conversations(&self) {
        let sql = "SELECT key, id FROM sessions WHERE deleted_at IS NULL";
        let mut statement = self.disk.prepare_cached(sql).unwrap();
        let read = |row: &Row<'_>| {
            Ok((SessionKey::parse(&row.get::<_, String>(0)?).unwrap(), row.get(1)?))
        };
        let there = statement.query_map([], read).unwrap();
        let there: BTreeMap<_, i64> = there.map(Result::unwrap).collect();
        assert_eq!(there, self.model.there);
        let sql = "SELECT r.run_id FROM runs r JOIN sessions s ON s.id = r.session
                   WHERE s.deleted_at IS NOT NULL AND r.status IN ('queued', 'running')";
        assert_eq!(self.texts(sql), Vec::<String>::new(), "nothing goes on in what was deleted");
        let sql = "SELECT r.run_id FROM children c JOIN runs r ON r.id = c.run
                   JOIN inbox i ON i.source = r.run_id WHERE c.held = 1 AND c.parent IS NOT NULL";
        assert_eq!(self.texts(sql), Vec::<String>::new(), "nobody waits for what was heard");
        let sql = "SELECT d.run_id FROM children c JOIN runs d ON d.id = c.run
                       JOIN sessions p ON p.id = c.parent
                   WHERE p.deleted_at IS NULL AND d.run_id NOT IN (SELECT source FROM inbox)
                       AND c.session NOT IN
                           (SELECT session FROM runs WHERE status IN ('queued', 'running'))
                       AND c.session NOT IN
                           (SELECT session FROM inbox WHERE state = 'waiting' AND session > 0)
                       AND c.session NOT IN
                           (SELECT b.parent FROM children b JOIN runs w ON w.id = b.run
                            WHERE b.parent > 0 AND w.run_id NOT IN (SELECT source FROM inbox))";
        assert_eq!(self.texts(sql), Vec::<String>::new(), "nothing is left that these wait for");
    }

    /// What is told takes only steps that lead there, and is told when there is nothing to wait for.
    fn check_inbox(&mut self) {
        let inbox = self.inbox();
        for (source, before) in &self.model.inbox {
            match inbox.get(source) {
                Some(after) => {
                    if after.parent != before.parent {
                        let is_there = self.model.there.values().any(|id| *id == before.parent);
                        assert!(!is_there, "{source}: {before:?} waits elsewhere");
                        assert_eq!(before.state, State::Waiting, "{source}: it was not read");
                    }
                    let may = self.model.may_follow(&before.state, &after.state);
                    assert!(may, "{source}: {before:?} became {after:?}");
                }
                None => {
                    let is_there = self.model.there.values().any(|id| *id == before.parent);
                    assert!(!is_there, "{source}: {before:?} is gone");
                }
            }
        }
        for (source, told) in &inbox {
            if let State::Consumed(by) = &told.state {
                assert!(self.model.accepted.contains(by), "{source} was told to nobody: {by}");
            }
            if !self.model.inbox.contains_key(source) {
                self.check_first(source);
            }
        }
        self.model.inbox = inbox;
    }

    fn inbox(&self) -> BTreeMap<RunId, Told> {
        let sql = "SELECT source, session, state, consumed_by FROM inbox";
        let mut statement = self.disk.prepare_cached(sql).unwrap();
        let rows = statement.query_map([], |row| {
            let text = |column| row.get::<_, String>(column);
            let state = State::read(&text(2)?, &text(3)?);
            Ok((RunId::parse(&text(0)?).unwrap(), Told { parent: row.get(1)?, state }))
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    /// What is told says what the last turn said, and nothing was left to wait for.
    fn check_first(&self, source: &RunId) {
        let sql = "SELECT i.text, i.status, r.status, r.error, coalesce(j.record, ''),
                       EXISTS (SELECT 1 FROM runs w
                           WHERE w.session = d.session AND w.status IN ('queued', 'running')),
                       EXISTS (SELECT 1 FROM inbox w
                           WHERE w.session = d.session AND w.state = 'waiting'),
                       EXISTS (SELECT 1 FROM children b JOIN runs w ON w.id = b.run
                           WHERE b.parent = d.session AND w.run_id NOT IN (SELECT source FROM inbox))
                   FROM inbox i JOIN runs d ON d.run_id = i.source
                       JOIN runs r ON r.id = (SELECT id FROM runs WHERE session = d.session
                           ORDER BY ended_at DESC, id DESC LIMIT 1)
                       LEFT JOIN journal j ON j.session = r.session AND j.entry = r.answer_entry
                   WHERE i.source = ?1";
        let mut statement = self.disk.prepare_cached(sql).unwrap();
        let found = statement.query_row([source.as_str()], |row| {
            let text = |column| row.get::<_, String>(column);
            let told = (text(0)?, text(1)?);
            let open: [bool; 3] = [row.get(5)?, row.get(6)?, row.get(7)?];
            Ok((told, (text(2)?, text(3)?, text(4)?), open))
        });
        // Its conversation may be gone.
        let Some((told, (status, error, answer), open)) = found.optional().unwrap() else { return };
        assert_eq!(open, [false; 3], "{source}: runs, notices, sub-agents are open");
        let said = match serde_json::from_str(&answer) {
            Ok(Record::AssistantMessage(message)) if error.is_empty() => message.text,
            Ok(_) | Err(_) => error,
        };
        assert_eq!(told, (said, status), "{source}");
    }

    /// Asked before a conversation is removed that nobody wants: its parent has heard of it, or is gone.
    pub(super) fn may_go(&self, key: &SessionKey) {
        let sql = "SELECT r.run_id FROM children c JOIN runs r ON r.id = c.run
                       JOIN sessions s ON s.id = c.session JOIN sessions p ON p.id = c.parent
                   WHERE s.key = ?1 AND p.deleted_at IS NULL";
        let mut statement = self.disk.prepare_cached(sql).unwrap();
        let source = statement.query_row([key.as_str()], |row| row.get::<_, String>(0));
        let Some(source) = source.optional().unwrap() else { return };
        let told = self.model.inbox.get(&RunId::parse(&source).unwrap());
        let is_heard = told.is_some_and(|told| self.model.is_heard(&told.state));
        assert!(is_heard, "{key} would go: {told:?}");
        assert!(self.working.values().all(|started| started.view.session != *key));
    }

    /// What was told stands in the journal of its parent once, written by who was told; and what begins a
    /// turn of its own rests on the grant under which the work was delegated.
    pub(super) fn check_journals(&self) {
        let said = self.said();
        let sql = "SELECT i.source, i.child, i.status, i.text, i.state, i.consumed_by,
                       coalesce((r.on_behalf_of, r.grant_epoch) = (i.on_behalf_of, i.grant_epoch), 0)
                   FROM inbox i JOIN sessions s ON s.id = i.session
                       LEFT JOIN runs r ON r.run_id = i.consumed_by WHERE s.deleted_at IS NULL";
        let mut statement = self.disk.prepare_cached(sql).unwrap();
        let mut rows = statement.query([]).unwrap();
        let mut heard = 0;
        while let Some(row) = rows.next().unwrap() {
            let text = |column| row.get::<_, String>(column).unwrap();
            let (source, child, status) = (text(0), text(1), text(2));
            let quoted: String = text(3).lines().map(|line| format!("\n> {line}")).collect();
            let words = format!(", run {source}, session {child}: {status}]{quoted}\n\n");
            let told = said.iter().filter(|said| said.text.contains(&words));
            let told: Vec<_> = told.map(|said| (said.by.as_str(), said.how)).collect();
            match (State::read(&text(4), &text(5)), &*told) {
                (State::Consumed(by), &[(told, how)]) if by.as_str() == told => {
                    let is_own: bool = row.get(6).unwrap();
                    assert!(is_own || how == How::Between, "{source} is told for another grant");
                    heard += 1;
                }
                (State::Dead | State::Discarded | State::Waiting, []) => {}
                (state, told) => panic!("{source} is {state:?}, and was told {told:?}"),
            }
        }
        let all: usize = said.iter().map(|said| said.text.matches(", run sub").count()).sum();
        assert_eq!(all, heard, "nothing else was told");
    }

    /// What stands in the journals of what conversations were told, and in messages that wait.
    fn said(&self) -> Vec<Said> {
        let sql = "SELECT r.run_id, j.record FROM journal j JOIN runs r ON r.id = j.run
                       JOIN sessions s ON s.id = j.session
                   WHERE s.deleted_at IS NULL AND (j.record LIKE '{\"type\":\"notices\"%'
                       OR j.record LIKE '{\"type\":\"userMessage\",\"text\":\"[Sub-agents of %')
                   UNION ALL
                   SELECT run_id, message FROM runs WHERE message LIKE '[Sub-agents of %'";
        let mut statement = self.disk.prepare_cached(sql).unwrap();
        let read = |row: &Row<'_>| Ok(Said::read(row.get(0)?, row.get(1)?));
        statement.query_map([], read).unwrap().map(Result::unwrap).collect()
    }
}

/// How a run was told something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum How {
    Between,
    Message,
}

/// What a run was told, each notice with an empty line after it.
struct Said {
    by: String,
    how: How,
    text: String,
}

impl Said {
    fn read(by: String, text: String) -> Self {
        let (how, text) = match serde_json::from_str(&text) {
            Ok(Record::Notices { notices }) => (How::Between, Notice::told(&notices)),
            Ok(Record::UserMessage { text }) => (How::Message, text),
            Ok(other) => panic!("{other:?}"),
            Err(_) => (How::Message, text),
        };
        Self { by, how, text: text + "\n\n" }
    }
}
