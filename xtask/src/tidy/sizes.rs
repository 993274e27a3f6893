//! The size of files: a reader takes in a file of three screens, and gives up on one of ten.

use std::collections::BTreeMap;

use super::{Report, Tree, tree::File};

const SIZE: &str = "file size";

/// Above this many lines a file should be split.
const SOFT: usize = 300;

/// Above this many lines a file must be split, unless it is listed.
const HARD: usize = 500;

/// The list of longer files, each with its lines: `path lines`.
const LIST: &str = "xtask/size-exceptions.txt";

/// How many files the list may hold. The list may only shrink, so this number may only fall.
const MOST_EXCEPTIONS: usize = 0;

pub(super) fn check(tree: &Tree, report: &mut Report) {
    let listed = tree.file(LIST).map(|file| exceptions(file, report)).unwrap_or_default();
    if listed.len() > MOST_EXCEPTIONS {
        let message = format!("lists {} files, at most {MOST_EXCEPTIONS} may be", listed.len());
        report.problem((LIST, 1), SIZE, message);
    }
    for file in tree.with_extension("rs") {
        let lines = file.text.lines().count();
        let entry = listed.get(file.path.as_str());
        match problem(lines, entry.map(|(_, lines)| *lines)) {
            Some(message) => report.problem((&file.path, lines), SIZE, message),
            None if lines > SOFT => {
                let message = format!("{lines} lines; split it by topic above {SOFT}");
                report.warning((&file.path, lines), SIZE, message);
            }
            None => {}
        }
    }
    for (path, (line, _)) in &listed {
        if tree.file(path).is_none() {
            report.problem((LIST, *line), SIZE, format!("`{path}` is gone: remove its line"));
        }
    }
}

/// What is wrong with a file of so many lines and its entry in the list.
fn problem(lines: usize, listed: Option<usize>) -> Option<String> {
    match listed {
        None if lines > HARD => Some(format!("{lines} lines, at most {HARD}: split it by topic")),
        None => None,
        Some(_) if lines <= HARD => Some(format!("fits now: remove its line from {LIST}")),
        Some(most) if lines > most => Some(format!("grew from {most} to {lines} lines: split it")),
        Some(most) if lines < most => Some(format!("shrank: lower its line in {LIST} to {lines}")),
        Some(_) => None,
    }
}

/// The listed paths, each with its place in the list and its lines.
fn exceptions<'text>(
    file: &'text File,
    report: &mut Report,
) -> BTreeMap<&'text str, (usize, usize)> {
    let mut listed = BTreeMap::new();
    for (number, line) in file.lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let entry =
            line.split_once(' ').and_then(|(path, lines)| Some((path, lines.parse().ok()?)));
        match entry {
            Some((path, lines)) => {
                listed.insert(path, (number, lines));
            }
            None => report.problem((LIST, number), SIZE, "expected `path lines`".to_owned()),
        }
    }
    listed
}

#[cfg(test)]
mod tests {
    use super::{LIST, problem};
    use crate::tidy::tests::problems;

    #[test]
    #[rustfmt::skip]
    fn sizes() {
        for (lines, listed,    says) in [
            (500,   None,      ""),
            (501,   None,      "at most 500"),
            (600,   Some(600), ""),
            (601,   Some(600), "grew from 600 to 601"),
            (599,   Some(600), "shrank"),
            (500,   Some(600), "fits now"),
        ] {
            let problem = problem(lines, listed).unwrap_or_default();
            assert!(problem.contains(says) && problem.is_empty() == says.is_empty(), "{lines}: {problem}");
        }
    }

    #[test]
    fn the_list_holds_nothing_that_is_gone_or_unreadable() {
        let list = "# why\nsrc/gone.rs 700\nsrc/lib.rs many\n";
        let found = problems(&[(LIST, list), ("src/lib.rs", "")], super::check);
        // Too many entries, one that cannot be read, one that is gone.
        assert_eq!(found.len(), 3, "{found:?}");
    }
}
