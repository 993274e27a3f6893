//! Refuses the keys that nothing reads.

use toml::de::DeValue;

use crate::Problem;
use crate::key::{ANY, KEYS, LIST, known_in, nearest};
use crate::read::{Faults, Field, Section};

use super::shortened;

/// Reports each key of `section`, and of the tables in it, that is not in the table of keys.
///
/// `pattern` is the path of the section with `<id>` for names that the reader chose, and `[]` after
/// those of lists. Keys at the
/// byte `end` or after it are passed over.
pub(super) fn check(section: &Section<'_>, pattern: &str, end: usize, faults: &mut Faults<'_>) {
    let known = known_in(pattern);
    let step = |name: &'static str| match pattern {
        "" => name.to_owned(),
        pattern => format!("{pattern}.{name}"),
    };
    for field in section.fields() {
        // A name that is known is not one that the reader chose.
        let exact = known.iter().copied().find(|name| plain(name) == field.name);
        let name = exact.or_else(|| known.iter().copied().find(|name| *name == ANY));
        let Some(child) = name.map(step) else {
            if field.key_at < end {
                let problem = Problem::UnknownKey {
                    key: shortened(field.name),
                    path: section.path.clone(),
                    suggestion: suggestion(field.name, &known),
                    known: known.iter().map(|name| plain(name)).collect(),
                };
                faults.report(field.key_at, problem);
            }
            continue;
        };
        // A table where a value belongs is the affair of whoever reads the value.
        if known_in(&child).is_empty() {
            continue;
        }
        if child.ends_with(LIST) {
            field.elements().for_each(|element| inside(&element, &child, end, faults));
        } else {
            inside(&field, &child, end, faults);
        }
    }
}

/// Checks the table that stands here; anything else is not refused for its keys.
fn inside(field: &Field<'_>, pattern: &str, end: usize, faults: &mut Faults<'_>) {
    if matches!(field.value, DeValue::Table(_)) {
        let inner = field.section(faults);
        inner.iter().for_each(|inner| check(inner, pattern, end, faults));
    }
}

/// The name of a key without the mark of a list.
fn plain(name: &'static str) -> &'static str {
    name.strip_suffix(LIST).unwrap_or(name)
}

/// Returns a known key of the same table that is nearly the same, or else the path at which a key
/// of exactly this name is known.
fn suggestion(name: &str, known: &[&'static str]) -> Option<String> {
    let elsewhere = || {
        let is_there = |path: &&'static str| path.split('.').any(|part| plain(part) == name);
        KEYS.iter().map(|key| key.path).find(is_there)
    };
    nearest(name, known.iter().map(|name| plain(name))).or_else(elsewhere).map(str::to_owned)
}
