//! What the gateway tells the log, for tests that look at it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Metadata, Subscriber};

/// What is logged on the thread of a test: the gateway runs there too, as tests have one thread.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Vec<Line>>>);

/// One event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// How grave it is.
    pub level: Level,
    /// The message, which is constant.
    pub message: String,
    /// Its facts, by name.
    pub facts: BTreeMap<String, String>,
}

impl Log {
    /// Listens for as long as the guard lives.
    pub fn listen() -> (Self, DefaultGuard) {
        let log = Self::default();
        let guard = tracing::subscriber::set_default(log.clone());
        (log, guard)
    }

    /// Returns the events with this message, in order.
    pub fn said(&self, message: &str) -> Vec<Line> {
        let lines = self.0.lock().unwrap();
        lines.iter().filter(|line| line.message == message).cloned().collect()
    }
}

impl Line {
    /// Returns a fact; empty when it is not there.
    pub fn fact(&self, name: &str) -> &str {
        self.facts.get(name).map(String::as_str).unwrap_or_default()
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut facts = Facts::default();
        event.record(&mut facts);
        let message = facts.0.remove("message").unwrap_or_default();
        let level = *event.metadata().level();
        self.0.lock().unwrap().push(Line { level, message, facts: facts.0 });
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Facts(BTreeMap<String, String>);

impl Visit for Facts {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}
