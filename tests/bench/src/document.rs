//! The document: the machine, the table, and what each group of figures means.

use std::path::Path;

use anyhow::Context as _;

use crate::table::{Section, markdown};

/// What was measured where.
#[derive(Debug)]
pub(crate) struct Origin {
    commit: String,
    cores: usize,
    date: String,
    kernel: String,
    load: String,
    memory_gib: u64,
    processor: String,
}

impl Origin {
    pub(crate) fn of_this_machine(commit: &str) -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name| {
            let mut lines = text.lines().filter_map(|line| line.split_once(':'));
            let found = lines.find(|(key, _)| key.trim() == name);
            found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kib = memory.split_whitespace().next().and_then(|it| it.parse::<u64>().ok());
        Self {
            commit: commit.to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: read("/proc/loadavg").split_whitespace().next().unwrap_or_default().to_owned(),
            memory_gib: kib.unwrap_or_default() >> 20,
            processor: field(&read("/proc/cpuinfo"), "model name"),
        }
    }
}

/// Writes the document, with the notes on missed aims.
pub(crate) fn write(
    out: &Path,
    notes: Option<&Path>,
    origin: &Origin,
    sections: &[Section],
) -> anyhow::Result<()> {
    let notes = match notes {
        Some(path) => std::fs::read_to_string(path)
            .with_context(|| format!("cannot read `{}`", path.display()))?,
        None => String::new(),
    };
    let text = text(origin, sections, &notes);
    std::fs::write(out, text).with_context(|| format!("cannot write `{}`", out.display()))
}

fn text(origin: &Origin, sections: &[Section], notes: &str) -> String {
    let Origin { commit, cores, date, kernel, load, memory_gib, processor } = origin;
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!(
        "# Benchmarks\n\n\
         Written by `cargo xtask bench`; do not edit. Notes on missed aims stand in \
         `tests/bench/notes.md`.\n\n\
         Version {version} (commit {commit}), {date}: {cores} cores ({processor}), {memory_gib} GiB, \
         Linux {kernel}, load average before the run {load}. Ours and the limit take turns in the same run; each cell is a median over \
         the rounds, a ratio the median over neighbours in time, with the lowest and the \
         highest: where these lie far apart, something else was at work on the machine.\n\n{}",
        markdown(sections)
    );
    for section in sections {
        let Section { title, measured, rows, .. } = section;
        let mut parts = vec![format!("## {title}"), measured.clone()];
        let missed = rows.iter().filter(|row| row.is_met == Some(false));
        let missed = missed.map(|row| row.figure.as_str()).collect::<Vec<_>>();
        let note = note(notes, section.name);
        if !missed.is_empty() {
            let why = note.as_deref().unwrap_or("not explained yet.");
            parts.push(format!("Missed: {}.\nwhy: {why}", missed.join("; ")));
        } else if let Some(note) = note {
            parts.push(note);
        }
        text.extend(parts.into_iter().flat_map(|part| ["\n".to_owned(), part, "\n".to_owned()]));
    }
    text
}

/// What the notes say under `## NAME`.
fn note(notes: &str, name: &str) -> Option<String> {
    let mut parts = notes.split("\n## ").skip(1).filter_map(|part| part.split_once('\n'));
    let (_, said) = parts.find(|(title, _)| title.trim() == name)?;
    let said = said.trim();
    (!said.is_empty()).then(|| said.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Met, Row};

    #[test]
    fn notes_are_found_by_their_heading() {
        let notes = "# Notes\n\n## rpc\n\nSlow.\n\n## idle\n";
        assert_eq!(note(notes, "rpc").as_deref(), Some("Slow."));
        assert_eq!(note(notes, "idle"), None);
        assert_eq!(note(notes, "cli"), None);
    }

    #[test]
    fn a_missed_aim_is_explained() {
        let origin = Origin::of_this_machine("abc");
        let row = Row::new("health", "1/s").aim("≥ 0.90", Met::No);
        let section =
            Section { name: "rpc", title: "Calls", measured: "M.".into(), rows: vec![row] };
        let text = text(&origin, &[section], "# N\n\n## rpc\n\nBecause.\n");
        assert!(text.contains("\nMissed: health.\nwhy: Because.\n"), "{text}");
    }
}
