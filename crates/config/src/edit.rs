//! Adding and removing agents in the text of a configuration, leaving the rest as it was written.

mod channels;

use openclaw_scopes::AgentId;
use toml_edit::{DocumentMut, InlineTable, Item, Table, Value};

use crate::agent::MAIN;
use crate::{Config, ConfigErrors, Platform, parse};

pub use channels::{NewChannel, add_channel, add_owner};

/// What the entry of a new agent says; what is absent, it takes from the defaults.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NewAgent {
    /// Where its files are.
    pub workspace: Option<String>,
    /// The model it asks first, as `provider/model`.
    pub model: Option<String>,
    /// The name it gives itself.
    pub name: Option<String>,
}

/// Returns the text with an entry for one more agent.
///
/// # Errors
/// When the text is not a valid configuration, the agent exists, or a setting is not valid.
pub fn add_agent(text: &str, id: &AgentId, settings: NewAgent) -> Result<String, EditError> {
    let (config, mut document) = open(text)?;
    if config.agent(id).is_some() {
        return Err(EditError::AgentExists { id: id.clone() });
    }
    let mut entry = entry(settings);
    keep_comments(&mut document, &mut entry);
    let agents = document.entry("agents").or_insert_with(header);
    let absent = if agents.is_table() { header() } else { Item::Value(InlineTable::new().into()) };
    let entries = agents
        .as_table_like_mut()
        .ok_or(EditError::Unsupported)?
        .entry("entries")
        .or_insert(absent);
    match entries {
        Item::Table(entries) => entries.insert(id.as_str(), Item::Table(entry)),
        Item::Value(Value::InlineTable(entries)) => {
            let entry = Item::Value(entry.into_inline_table().into());
            toml_edit::TableLike::insert(entries, id.as_str(), entry)
        }
        Item::ArrayOfTables(_) | Item::None | Item::Value(_) => return Err(EditError::Unsupported),
    };
    close(&document)
}

/// Returns the text without the entry of an agent.
///
/// # Errors
/// When the text is not a valid configuration, there is no such agent, or it is `main`.
pub fn remove_agent(text: &str, id: &AgentId) -> Result<String, EditError> {
    let (_, mut document) = open(text)?;
    if id.as_str() == MAIN {
        return Err(EditError::MainStays);
    }
    let entries = document
        .get_mut("agents")
        .and_then(Item::as_table_like_mut)
        .and_then(|agents| agents.get_mut("entries"))
        .and_then(Item::as_table_like_mut);
    if entries.and_then(|entries| entries.remove(id.as_str())).is_none() {
        return Err(EditError::UnknownAgent { id: id.clone() });
    }
    close(&document)
}

fn open(text: &str) -> Result<(Config, DocumentMut), EditError> {
    let config = parse(text).map_err(|errors| EditError::Invalid { errors })?;
    // INVARIANT: both readers share one grammar, so what `parse` took is a document.
    let document = text.parse().ok().ok_or(EditError::Unsupported)?;
    Ok((config, document))
}

/// Has the comments of a text without a key stand above its first entry; they would otherwise end up below.
fn keep_comments(document: &mut DocumentMut, entry: &mut Table) {
    if document.is_empty() {
        let comments = document.trailing().as_str().unwrap_or_default().trim_end().to_owned();
        let gap = if comments.is_empty() { "" } else { "\n\n" };
        entry.decor_mut().set_prefix(format!("{comments}{gap}"));
        document.set_trailing("");
    }
}

/// Nothing is handed out that the gateway would refuse.
fn close(document: &DocumentMut) -> Result<String, EditError> {
    let text = document.to_string();
    match parse(&text) {
        Ok(_) => Ok(text),
        Err(errors) => Err(EditError::Refused { errors }),
    }
}

/// A table that is only written if it has keys of its own.
fn header() -> Item {
    let mut table = Table::new();
    table.set_implicit(true);
    Item::Table(table)
}

fn entry(settings: NewAgent) -> Table {
    let NewAgent { workspace, model, name } = settings;
    let one = |key: &str, text: String| {
        let mut table = InlineTable::new();
        table.insert(key, text.into());
        table
    };
    let mut entry = Table::new();
    entry.extend(workspace.map(|path| ("workspace", Value::from(path))));
    entry.extend(model.map(|model| ("model", Value::from(one("primary", model)))));
    entry.extend(name.map(|name| ("identity", Value::from(one("name", name)))));
    entry
}

/// Why a configuration was not changed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EditError {
    /// There is an agent of this id already.
    #[error("the agent `{id}` already exists")]
    AgentExists {
        /// The id.
        id: AgentId,
    },
    /// There is a channel of this platform already.
    #[error("the channel `{}` is already configured", .platform.name())]
    ChannelExists {
        /// The platform.
        platform: Platform,
    },
    /// The text has mistakes, and is not touched before they are corrected.
    #[error("the configuration has mistakes; correct them first")]
    Invalid {
        /// The mistakes, placed in the text as it is.
        #[source]
        errors: ConfigErrors,
    },
    /// The agent that always exists cannot be removed.
    #[error("the agent `main` always exists and cannot be removed")]
    MainStays,
    /// The changed text would have mistakes.
    #[error("the configuration would not be valid with this change")]
    Refused {
        /// The mistakes, placed in the text as it would be.
        #[source]
        errors: ConfigErrors,
    },
    /// There is no entry for an agent of this id.
    #[error("there is no agent `{id}`")]
    UnknownAgent {
        /// The id.
        id: AgentId,
    },
    /// What is to be changed is written in a form that cannot be edited.
    #[error("it is written in a form that cannot be edited; edit the file by hand")]
    Unsupported,
}

#[cfg(test)]
mod tests;
