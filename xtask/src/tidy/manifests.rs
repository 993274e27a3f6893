//! Manifests: lints are inherited, and every version stands in the workspace's manifest.

use super::{Report, Tree, tree::File};

const LINTS: &str = "inherited lints";
const DEPENDENCIES: &str = "workspace dependencies";

/// The tables that name dependencies.
const TABLES: [&str; 3] = ["build-dependencies", "dependencies", "dev-dependencies"];

pub(super) fn check(tree: &Tree, report: &mut Report) {
    for file in tree.with_extension("toml") {
        if file.path == "Cargo.toml" {
            check_root(file, report);
        } else if file.path.ends_with("/Cargo.toml") {
            check_package(file, report);
        }
    }
}

fn parse(file: &File, report: &mut Report) -> Option<toml::Table> {
    let table = file.text.parse::<toml::Table>();
    if let Err(error) = &table {
        report.problem((&file.path, 1), DEPENDENCIES, error.message().to_owned());
    }
    table.ok()
}

fn check_root(file: &File, report: &mut Report) {
    let Some(table) = parse(file, report) else { return };
    let workspace = table.get("workspace").and_then(toml::Value::as_table);
    let Some(all) = workspace.and_then(|it| it.get("dependencies")).and_then(|it| it.as_table())
    else {
        report.problem((&file.path, 1), DEPENDENCIES, "no workspace dependencies".to_owned());
        return;
    };
    for (name, value) in all {
        let is_ours = value.get("path").is_some();
        if !is_ours && value.get("default-features") != Some(&toml::Value::Boolean(false)) {
            let message = format!("`{name}` lacks `default-features = false`");
            report.problem((&file.path, file.line_of_key(name)), DEPENDENCIES, message);
        }
    }
}

fn check_package(file: &File, report: &mut Report) {
    let Some(table) = parse(file, report) else { return };
    let inherits = |value: Option<&toml::Value>| {
        value.and_then(|it| it.get("workspace")).and_then(toml::Value::as_bool) == Some(true)
    };
    if !inherits(table.get("lints")) {
        let message = "add `[lints]` with `workspace = true`".to_owned();
        report.problem((&file.path, 1), LINTS, message);
    }
    let targets = table.get("target").and_then(toml::Value::as_table);
    let targets = targets.into_iter().flat_map(toml::Table::values).filter_map(|it| it.as_table());
    for part in std::iter::once(&table).chain(targets) {
        let tables = TABLES.iter().filter_map(|it| part.get(*it)).filter_map(|it| it.as_table());
        for (name, value) in tables.flatten() {
            if !inherits(Some(value)) {
                let message = format!("`{name}` must be inherited with `workspace = true`");
                report.problem((&file.path, file.line_of_key(name)), DEPENDENCIES, message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::tests::problems;

    const LINTS: &str = "[lints]\nworkspace = true\n";

    #[test]
    #[rustfmt::skip]
    fn manifests() {
        for (text, expected) in [
            ("[dependencies]\na.workspace = true",                     &[][..]),
            ("[dependencies]\na = { workspace = true, features = [] }", &[]),
            ("[dependencies]\nb = \"1\"",                              &["x/Cargo.toml:4"]),
            ("[dev-dependencies]\na = { path = \"a\" }",               &["x/Cargo.toml:4"]),
            ("[target.'cfg(unix)'.dependencies]\na = \"1\"",           &["x/Cargo.toml:4"]),
        ] {
            let manifest = format!("{LINTS}{text}");
            assert_eq!(problems(&[("x/Cargo.toml", &manifest)], super::check), expected, "{text}");
        }
        assert_eq!(problems(&[("x/Cargo.toml", "[package]")], super::check), ["x/Cargo.toml:1"]);
    }

    #[test]
    fn the_workspace_names_features_one_by_one() {
        let text = "[workspace.dependencies]\na = { version = \"1\", default-features = false }\nb = \"1\"\nc = { path = \"c\" }";
        assert_eq!(problems(&[("Cargo.toml", text)], super::check), ["Cargo.toml:3"]);
    }
}
