//! Paths of one machine: what was written on it must be true everywhere.

use std::{env, path::Path};

use super::{Report, Tree};

const PATH: &str = "machine path";

/// Directories that belong to every machine, so that naming them says nothing about this one.
const GENERAL: [&str; 10] =
    ["/", "/home", "/mnt", "/opt", "/root", "/src", "/srv", "/tmp", "/usr/src", "/var/tmp"];

pub(super) fn check(tree: &Tree, root: &Path, report: &mut Report) {
    let home = env::var_os("HOME").unwrap_or_default();
    let private = [Some(root), root.parent(), Some(Path::new(&home))]
        .into_iter()
        .flatten()
        .filter_map(Path::to_str)
        .map(|path| path.trim_end_matches('/'))
        .filter(|path| path.starts_with('/') && !GENERAL.contains(path))
        .collect::<Vec<_>>();
    for file in tree.files() {
        for (number, line) in file.lines() {
            if let Some(path) = private.iter().find(|path| names(line, path)) {
                let message = format!("`{path}` exists on this machine only");
                report.problem((&file.path, number), PATH, message);
            }
        }
    }
}

/// Whether the line names this path or something in it.
fn names(line: &str, path: &str) -> bool {
    let part_of_name = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    line.match_indices(path).any(|(at, _)| {
        let (before, rest) = line.split_at(at);
        let after = rest.strip_prefix(path).unwrap_or_default();
        !before.ends_with(part_of_name) && !after.starts_with(part_of_name)
    })
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    #[rustfmt::skip]
    fn a_path_is_named_as_a_whole() {
        for (line, expected) in [
            ("cd /desk/project",          true),
            ("\"/desk/project/src\"",     true),
            ("/desk/projects",            false),
            ("https://a.example/desk/project", false),
            ("desk/project",              false),
        ] {
            assert_eq!(names(line, "/desk/project"), expected, "{line}");
        }
    }
}
