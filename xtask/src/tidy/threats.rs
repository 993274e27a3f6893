//! Threats: each one in the document is met by a line of code and proven by a test, which cite it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Report, Tree, tree::File};

const THREAT: &str = "threat citation";
const DOCUMENT: &str = "docs/threat-model.md";

pub(super) fn check(tree: &Tree, report: &mut Report) {
    let Some(document) = tree.file(DOCUMENT) else { return };
    let threats = headings(document);
    let excepted = exceptions(document, report);
    let mut in_code = BTreeSet::new();
    let mut in_tests = BTreeSet::new();
    for file in tree.with_extension("rs") {
        for (number, threat, place) in citations(file) {
            if !threats.contains_key(threat) {
                let message = format!("{DOCUMENT} has no threat {threat}");
                report.problem((&file.path, number), THREAT, message);
            }
            match place {
                Place::Code => in_code.insert(threat),
                Place::Test => in_tests.insert(threat),
            };
        }
    }
    for (threat, line) in &threats {
        for (cited, place) in [(&in_code, "line of code"), (&in_tests, "test")] {
            if !cited.contains(threat) && !excepted.contains(threat) {
                let message = format!(
                    "no {place} cites {threat} with `//= {DOCUMENT}#{threat}`, and \"Exceptions\" does not name it"
                );
                report.problem((DOCUMENT, *line), THREAT, message);
            }
        }
    }
}

/// Where a citation stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Code,
    Test,
}

/// The citations of a file: line, threat, place.
fn citations(file: &File) -> impl Iterator<Item = (usize, &str, Place)> {
    let is_test_file = file.path.starts_with("tests/")
        || file.path.contains("/tests/")
        || file.path.ends_with("/tests.rs");
    let mut place = if is_test_file { Place::Test } else { Place::Code };
    file.lines().filter_map(move |(number, line)| {
        let code = line.trim_start();
        if code.starts_with("mod tests {") {
            place = Place::Test;
        }
        let cited = code.strip_prefix("//= ")?.strip_prefix(DOCUMENT)?.strip_prefix('#')?;
        Some((number, cited.split_whitespace().next()?, place))
    })
}

/// The threats that have a heading of their own, each with its line.
fn headings(document: &File) -> BTreeMap<&str, usize> {
    document
        .lines()
        .filter(|(_, line)| line.starts_with('#'))
        .filter_map(|(number, line)| Some((threat(line.trim_start_matches('#'))?, number)))
        .collect()
}

/// The threats that the section "Exceptions" names, each of which needs a reason.
fn exceptions<'text>(document: &'text File, report: &mut Report) -> BTreeSet<&'text str> {
    let mut excepted = BTreeSet::new();
    let mut is_inside = false;
    for (number, line) in document.lines() {
        if line.starts_with('#') {
            is_inside = line.trim_start_matches('#').trim() == "Exceptions";
        } else if is_inside
            && let Some(threat) = threat(line.trim_start_matches(['-', '*', '|', ' ']))
        {
            let reason = line.split_once(threat).map_or("", |(_, reason)| reason);
            if reason.chars().filter(|c| c.is_alphabetic()).count() < 10 {
                let message = format!("the exception of {threat} needs a reason");
                report.problem((DOCUMENT, number), THREAT, message);
            }
            excepted.insert(threat);
        }
    }
    excepted
}

/// The threat that the text begins with, as `T7`.
fn threat(text: &str) -> Option<&str> {
    let word = text
        .trim_start()
        .trim_start_matches('*')
        .split(|c: char| !c.is_ascii_alphanumeric())
        .next()?;
    let digits = word.strip_prefix('T')?;
    (!digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit())).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::DOCUMENT;
    use crate::tidy::tests::problems;

    #[test]
    #[rustfmt::skip]
    fn every_threat_is_cited_by_code_and_by_a_test() {
        const CODE: &str = "//= docs/threat-model.md#T1\nfn f() {}\n";
        const BOTH: &str = "//= docs/threat-model.md#T1\nfn f() {}\nmod tests {\n    //= docs/threat-model.md#T1\n}";
        let check = |document: &str, code: &str| {
            problems(&[(DOCUMENT, document), ("src/lib.rs", code)], super::check)
        };
        let none: [&str; 0] = [];
        assert_eq!(check("### T1: a thief", ""),     ["docs/threat-model.md:1", "docs/threat-model.md:1"]);
        assert_eq!(check("### T1: a thief", CODE),   ["docs/threat-model.md:1"]);
        assert_eq!(check("### T1: a thief", BOTH),   none);
        assert_eq!(check("# The model", BOTH),       ["src/lib.rs:1", "src/lib.rs:4"]);
        assert_eq!(check("## T12 x\n## Exceptions\n- T12: the kernel alone can tell\n", ""), none);
        assert_eq!(check("## T12 x\n## Exceptions\n- T12: no\n", ""), ["docs/threat-model.md:3"]);
    }

    #[test]
    fn a_test_is_known_by_its_file() {
        let cite = "//= docs/threat-model.md#T1\n";
        for path in ["tests/e2e/a.rs", "crates/x/tests/a.rs", "crates/x/src/a/tests.rs"] {
            let tree = [(DOCUMENT, "## T1 x"), ("src/lib.rs", cite), (path, cite)];
            assert_eq!(problems(&tree, super::check).len(), 0, "{path}");
        }
    }
}
