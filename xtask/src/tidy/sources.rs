//! Source files: each says what it is for, is compiled, and leaves nothing for later.

use super::{Report, Tree, tree::File};

const HEADER: &str = "first line";
const FORGOTTEN: &str = "forgotten file";
const UNFINISHED: &str = "unfinished";

/// What makes a test say nothing.
const SILENT: [&str; 2] = ["#[ignore", "#[should_panic"];

/// What stands for code that is not there.
const MISSING: [&str; 2] = [concat!("todo", "!("), concat!("unimplemented", "!(")];

/// The files that cargo finds by their name.
const ROOTS: [&str; 3] = ["build", "lib", "main"];

pub(super) fn check(tree: &Tree, report: &mut Report) {
    for file in tree.with_extension("rs") {
        check_header(file, report);
        check_forgotten(tree, file, report);
        for (number, line) in file.lines() {
            let code = line.trim_start();
            if let Some(silent) = SILENT.iter().find(|it| code.starts_with(**it)) {
                let message = format!("a test with `{silent}]` proves nothing");
                report.problem((&file.path, number), UNFINISHED, message);
            }
            if let Some(missing) = MISSING.iter().find(|it| code.contains(**it))
                && !code.starts_with("//")
            {
                report.problem((&file.path, number), UNFINISHED, format!("`{missing}…)` is left"));
            }
        }
    }
}

/// Checks that the file opens with `//!` and a sentence, which may go on over further lines.
fn check_header(file: &File, report: &mut Report) {
    let mut sentence = file
        .text
        .lines()
        .map_while(|line| line.strip_prefix("//! "))
        .take_while(|line| !line.trim().is_empty())
        .map(str::trim_end);
    let Some(first) = sentence.next() else {
        let message = "the first line must be `//!` and a sentence on what the file is for";
        report.problem((&file.path, 1), HEADER, message.to_owned());
        return;
    };
    if !sentence.last().unwrap_or(first).ends_with('.') {
        let message = "the sentence on what the file is for must end in a full stop";
        report.problem((&file.path, 1), HEADER, message.to_owned());
    }
}

/// Checks that the file's parent names it: a module that nobody names is never compiled.
fn check_forgotten(tree: &Tree, file: &File, report: &mut Report) {
    let Some((directory, name)) = file.path.rsplit_once('/') else { return };
    let Some(stem) = name.strip_suffix(".rs") else { return };
    if ROOTS.contains(&stem) {
        return;
    }
    let parents =
        [format!("{directory}/lib.rs"), format!("{directory}/main.rs"), format!("{directory}.rs")];
    let mut parents = parents.iter().filter_map(|path| tree.file(path)).peekable();
    // Without a parent it is a target of its own, which cargo finds: a test, an example, a bench.
    if parents.peek().is_none() {
        return;
    }
    let declared = format!("mod {stem};");
    let by_path = format!("{name}\"");
    if !parents.any(|it| it.text.contains(&declared) || it.text.contains(&by_path)) {
        let message = format!("no `{declared}` names it, so it is not compiled");
        report.problem((&file.path, 1), FORGOTTEN, message);
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::tests::problems;

    #[test]
    #[rustfmt::skip]
    fn headers_and_leftovers() {
        for (text, expected) in [
            ("//! What it is for.\n",                        &[][..]),
            ("//! What it is for,\n//! in two lines.\n",     &[]),
            ("//! What it is for.\n//!\n//! # More\n",       &[]),
            ("//! placeholder\nfn main() {}",                &["src/lib.rs:1"]),
            ("\n//! Late.",                                  &["src/lib.rs:1"]),
            ("//!\n",                                        &["src/lib.rs:1"]),
            ("fn main() {}",                                 &["src/lib.rs:1"]),
            ("//! A.\n    #[ignore]\n",                      &["src/lib.rs:2"]),
            ("//! A.\n#[should_panic(expected = \"x\")]\n",  &["src/lib.rs:2"]),
            (concat!("//! A.\nfn f() { todo", "!() }\n"),    &["src/lib.rs:2"]),
            (concat!("//! A.\n/// { ..todo", "!() }\n"),     &[]),
        ] {
            assert_eq!(problems(&[("src/lib.rs", text)], super::check), expected, "{text}");
        }
    }

    #[test]
    fn a_file_that_nobody_names_is_forgotten() {
        let tree = [
            ("src/a.rs", "//! A.\nmod b;"),
            ("src/a/b.rs", "//! B."),
            ("src/a/c.rs", "//! C."),
            ("src/lib.rs", "//! L.\npub mod a;"),
            ("src/lost.rs", "//! Lost."),
            ("tests/flow.rs", "//! A target of its own."),
        ];
        assert_eq!(problems(&tree, super::check), ["src/a/c.rs:1", "src/lost.rs:1"]);
    }
}
