//! `tidy`: what the compiler cannot check about the tree, each finding with its file, line and rule.

mod layers;
mod manifests;
mod paths;
mod sizes;
mod sources;
mod threats;
mod tree;

use std::fmt;

use anyhow::bail;

use self::tree::Tree;
use crate::{
    policy,
    workspace::{Metadata, Workspace},
};

/// Everything that the rules found.
#[derive(Debug, Default)]
struct Report {
    /// What breaks a rule.
    problems: Vec<Finding>,
    /// What comes close to it.
    warnings: Vec<Finding>,
}

/// One place, the rule it breaks, and how.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Finding {
    path: String,
    line: usize,
    rule: &'static str,
    message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, rule, message } = self;
        write!(f, "{path}:{line}: {rule}: {message}")
    }
}

impl Report {
    fn problem(&mut self, place: (&str, usize), rule: &'static str, message: String) {
        self.problems.push(Finding { path: place.0.to_owned(), line: place.1, rule, message });
    }

    fn warning(&mut self, place: (&str, usize), rule: &'static str, message: String) {
        self.warnings.push(Finding { path: place.0.to_owned(), line: place.1, rule, message });
    }
}

/// Prints what is not tidy, and fails when a rule is broken.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let report = check(workspace)?;
    for warning in &report.warnings {
        println!("warning: {warning}");
    }
    for problem in &report.problems {
        println!("{problem}");
    }
    match report.problems.len() {
        0 => Ok(()),
        1 => bail!("the tree is not tidy: 1 problem"),
        count => bail!("the tree is not tidy: {count} problems"),
    }
}

fn check(workspace: &Workspace) -> anyhow::Result<Report> {
    let tree = Tree::read(workspace.root())?;
    let Metadata { packages, .. } = workspace.metadata()?;
    let mut report = Report::default();
    layers::check(&tree, &packages, workspace, &mut report);
    manifests::check(&tree, &mut report);
    paths::check(&tree, workspace.root(), &mut report);
    sizes::check(&tree, &mut report);
    sources::check(&tree, &mut report);
    threats::check(&tree, &mut report);
    if !policy::is_fresh(tree.file(policy::PAGE).map(|page| page.text.as_str())) {
        let message = "is not what the policy says: run `cargo xtask policy`".to_owned();
        report.problem((policy::PAGE, 1), "policy", message);
    }
    report.problems.sort();
    report.warnings.sort();
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::{Report, Tree, check};
    use crate::workspace::Workspace;

    /// What a rule finds in a tree of these files, as `path:line`.
    pub(super) fn problems(files: &[(&str, &str)], rule: fn(&Tree, &mut Report)) -> Vec<String> {
        let mut report = Report::default();
        rule(&Tree::of(files), &mut report);
        report.problems.iter().map(|it| format!("{}:{}", it.path, it.line)).collect()
    }

    #[test]
    fn the_tree_is_tidy() {
        let report = check(&Workspace::find().unwrap()).unwrap();
        let problems = report.problems.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    }
}
