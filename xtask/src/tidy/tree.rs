//! The text files of the tree, read once for all rules.

use std::{fs, path::Path};

use anyhow::Context as _;

/// The files that are text by their extension.
const TEXT: [&str; 11] =
    ["json", "md", "proto", "rs", "service", "sh", "sql", "toml", "tsv", "txt", "yml"];

/// Every text file of the workspace, in the order of their paths.
#[derive(Debug)]
pub(super) struct Tree {
    files: Vec<File>,
}

/// A text file.
#[derive(Debug)]
pub(super) struct File {
    /// From the root, with `/` between the parts.
    pub(super) path: String,
    pub(super) text: String,
}

impl Tree {
    /// Reads the files under `root`, except what is built or belongs to git.
    pub(super) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut files = Vec::new();
        read_into(&mut files, root, root)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    /// A tree of these paths and texts.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        };
        Self { files: files.iter().map(file).collect() }
    }

    /// Every file.
    pub(super) fn files(&self) -> impl Iterator<Item = &File> {
        self.files.iter()
    }

    /// The files with this extension.
    pub(super) fn with_extension(&self, extension: &str) -> impl Iterator<Item = &File> {
        self.files.iter().filter(move |file| extension_of(&file.path) == Some(extension))
    }

    /// The file at this path.
    pub(super) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

impl File {
    /// The lines, counted from one.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    /// The number of the first line of a manifest that begins with this key, or one.
    pub(super) fn line_of_key(&self, key: &str) -> usize {
        let begins = |line: &str| {
            line.strip_prefix(key)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', ' ', '=']))
        };
        self.lines().find(|(_, line)| begins(line)).map_or(1, |(number, _)| number)
    }
}

fn extension_of(path: &str) -> Option<&str> {
    Path::new(path).extension()?.to_str()
}

fn read_into(files: &mut Vec<File>, root: &Path, directory: &Path) -> anyhow::Result<()> {
    let entries = fs::read_dir(directory)
        .with_context(|| format!("cannot read `{}`", directory.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let kind = entry.file_type()?;
        // Cargo marks what it builds, wherever that is.
        if kind.is_dir() {
            if entry.file_name() != ".git" && !path.join("CACHEDIR.TAG").exists() {
                read_into(files, root, &path)?;
            }
            continue;
        }
        let name = path.strip_prefix(root)?.to_str().context("a path is not UTF-8")?.to_owned();
        let is_text = extension_of(&name).is_some_and(|it| TEXT.contains(&it)) || name == ".ci/run";
        if kind.is_file() && is_text {
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read `{name}`"))?;
            files.push(File { path: name, text });
        }
    }
    Ok(())
}
