//! Reads what an agent's workspace says, bounded, and without following links out of it.

use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::time::SystemTime;

use rustix::fs::Dir;

use super::MAX_FILE_CHARS;
use crate::tool::ToolError;
use crate::tools::Workspace;

/// The files that a prompt holds, in this order.
const NAMES: [&str; 5] = ["AGENTS.md", "SOUL.md", "USER.md", "TOOLS.md", "MEMORY.md"];

/// The most bytes of one file that are read: enough for its characters, however wide.
const MAX_FILE_BYTES: u64 = 80_000;

/// The most bytes of a skill that are read for its description. Reason: it stands at the top.
const MAX_SKILL_BYTES: u64 = 4096;

/// The most skills that a prompt names.
///
/// Reason: each costs a line in every request; the directory is listed in alphabetical order.
const MAX_SKILLS: usize = 100;

/// The most directory entries that are looked at. Reason: a huge directory must not stall a turn.
const MAX_ENTRIES: usize = 10_000;

const MAX_SKILL_NAME_CHARS: usize = 64;
const MAX_DESCRIPTION_CHARS: usize = 200;

/// What a workspace says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WorkspaceFiles {
    /// The files that exist, in the order of the prompt.
    pub files: Vec<WorkspaceFile>,
    /// The skills, by name.
    pub skills: Vec<Skill>,
}

/// One file of a workspace.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WorkspaceFile {
    /// Its name.
    pub name: &'static str,
    /// What it says; empty if it could not be read.
    pub text: String,
    /// Whether the file goes on after what was read.
    pub is_cut: bool,
    /// Why it could not be read.
    pub note: Option<FileNote>,
}

/// Why a file that is there is not shown. The model and the user read it in the prompt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FileNote {
    /// It is no regular file.
    NotAFile,
    /// It is not valid UTF-8.
    NotText,
    /// It leads out of the workspace.
    OutsideWorkspace,
    /// The system does not let us read it.
    Unreadable(io::ErrorKind),
}

impl fmt::Display for FileNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAFile => f.write_str("not shown: it is not a regular file"),
            Self::NotText => f.write_str("not shown: it is not valid UTF-8"),
            Self::OutsideWorkspace => f.write_str("not shown: it is a link out of the workspace"),
            Self::Unreadable(kind) => write!(f, "not shown: {kind}"),
        }
    }
}

/// A skill of a workspace.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Skill {
    /// Its directory's name.
    pub name: String,
    /// What it is for, from the front matter of its file; may be empty.
    pub description: String,
}

/// A mark that changes when a file of the workspace changes, cheap to take.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Fingerprint(Vec<Option<(u64, SystemTime)>>);

/// Takes the workspace's mark: the size and time of its files, and the time of `skills`.
///
/// A skill whose description alone changes is not noticed before a skill comes or goes.
pub fn fingerprint(workspace: &Workspace) -> Fingerprint {
    let mark = |name: &str| {
        let metadata = fs::metadata(workspace.root().join(name)).ok()?;
        Some((metadata.len(), metadata.modified().ok()?))
    };
    Fingerprint(NAMES.iter().copied().chain(["skills"]).map(mark).collect())
}

/// Reads the workspace. What is missing is left out; what cannot be read has a note instead.
///
/// It waits for the disk, so an async caller moves it to where that holds up nobody.
pub fn read_workspace(workspace: &Workspace) -> WorkspaceFiles {
    let files = NAMES.iter().filter_map(|name| read_file(workspace, name)).collect();
    WorkspaceFiles { files, skills: read_skills(workspace) }
}

/// Whether a heartbeat has nothing to do: there is a `HEARTBEAT.md`, and it has only headings, comments and empty
/// items (`runtime.md` §5.2 of the reference).
pub fn has_empty_heartbeat(workspace: &Workspace) -> bool {
    let Ok(bytes) = read_inside(workspace, "HEARTBEAT.md", MAX_FILE_BYTES) else { return false };
    let text = String::from_utf8_lossy(&bytes);
    text.lines().map(str::trim).all(|line| {
        line.is_empty()
            || line.starts_with('#')
            || (line.starts_with("<!--") && line.ends_with("-->"))
            || ["-", "*", "+", "- [ ]", "* [ ]"].contains(&line)
    })
}

fn read_file(workspace: &Workspace, name: &'static str) -> Option<WorkspaceFile> {
    let noted = |note| WorkspaceFile { is_cut: false, name, note: Some(note), text: String::new() };
    let bytes = match read_inside(workspace, name, MAX_FILE_BYTES) {
        Ok(bytes) => bytes,
        Err(error) => return note_of(&error).map(noted),
    };
    let is_full = u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_FILE_BYTES);
    let Some(text) = text_of(bytes, is_full) else { return Some(noted(FileNote::NotText)) };
    let end = text.char_indices().nth(MAX_FILE_CHARS).map(|(at, _)| at);
    let kept = end.and_then(|end| text.get(..end)).map(str::to_owned);
    let is_cut = is_full || kept.is_some();
    Some(WorkspaceFile { is_cut, name, note: None, text: kept.unwrap_or(text) })
}

/// Returns the bytes as text; a character that was cut at the end of a full read is dropped.
fn text_of(bytes: Vec<u8>, is_full: bool) -> Option<String> {
    match String::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if is_full && error.utf8_error().error_len().is_none() => {
            let valid = error.utf8_error().valid_up_to();
            let mut bytes = error.into_bytes();
            bytes.truncate(valid);
            String::from_utf8(bytes).ok()
        }
        Err(_) => None,
    }
}

/// Reads at most one byte more than `max` of a file that must lie inside the workspace.
fn read_inside(workspace: &Workspace, path: &str, max: u64) -> Result<Vec<u8>, ToolError> {
    let file = workspace.open_file(path)?;
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(|source| ToolError::Io {
        action: "read",
        subject: path.to_owned(),
        source,
    })?;
    Ok(bytes)
}

/// Returns what to say of a file that cannot be read, or nothing if there is none.
fn note_of(error: &ToolError) -> Option<FileNote> {
    match error {
        ToolError::NotFound { .. } => None,
        ToolError::OutsideWorkspace { .. } => Some(FileNote::OutsideWorkspace),
        ToolError::Io { source, .. } => Some(FileNote::Unreadable(source.kind())),
        ToolError::BadArguments { .. }
        | ToolError::Canceled
        | ToolError::NoSuchTool { .. }
        | ToolError::Refused { .. }
        | ToolError::Remote { .. }
        | ToolError::SandboxMissing { .. }
        | ToolError::TimedOut { .. }
        | ToolError::TooLarge { .. } => Some(FileNote::NotAFile),
    }
}

fn read_skills(workspace: &Workspace) -> Vec<Skill> {
    let Ok(directory) = workspace.open_dir("skills") else { return Vec::new() };
    let Ok(entries) = Dir::read_from(&directory) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .take(MAX_ENTRIES)
        .filter_map(|entry| entry.ok()?.file_name().to_str().ok().map(str::to_owned))
        .filter(|name| !name.starts_with('.') && name.chars().count() <= MAX_SKILL_NAME_CHARS)
        .filter(|name| !name.chars().any(char::is_control))
        .collect();
    names.sort_unstable();
    let skills = names.into_iter().filter_map(|name| {
        let bytes = read_inside(workspace, &format!("skills/{name}/SKILL.md"), MAX_SKILL_BYTES);
        let description = description(&String::from_utf8_lossy(&bytes.ok()?));
        Some(Skill { name, description })
    });
    skills.take(MAX_SKILLS).collect()
}

/// Returns the `description` of the front matter, if there is one.
fn description(text: &str) -> String {
    let mut lines = text.lines();
    if lines.next().map(str::trim_end) != Some("---") {
        return String::new();
    }
    let found = lines
        .take_while(|line| line.trim_end() != "---")
        .find_map(|line| line.strip_prefix("description:"));
    let text = found.unwrap_or_default().trim().trim_matches(['"', '\'']);
    text.chars().filter(|c| !c.is_control()).take(MAX_DESCRIPTION_CHARS).collect()
}
