//! What a command is, to the last argument: so that what was approved is what runs.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use ring::digest::{Context, SHA256};

use crate::exec::SandboxMode;
use crate::tool::ToolError;

/// A command that somebody may have to approve.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ExecOperation {
    /// The arguments, the name that the program is called by first.
    pub argv: Vec<String>,
    /// Where it works, without links.
    pub cwd: PathBuf,
    /// Which directory that is: its file system and its number there. Another one of the same name is no part of
    /// [`ExecOperation::digest`], and is not what somebody saw who was asked.
    pub directory: (u64, u64),
    /// The program, by its whole path and without links.
    pub binary: PathBuf,
    /// SHA-256 of the program.
    pub binary_digest: [u8; 32],
    /// SHA-256 of its environment.
    pub environment_digest: [u8; 32],
    /// How it is confined.
    pub sandbox: SandboxMode,
}

impl ExecOperation {
    /// Looks at what would run now.
    pub(super) fn of(
        program: &Program,
        cwd: &Path,
        environment: &BTreeMap<String, String>,
        sandbox: SandboxMode,
    ) -> Result<Self, ToolError> {
        let binary_digest = digest_of(&program.binary).map_err(|source| ToolError::Io {
            action: "read",
            subject: program.binary.display().to_string(),
            source,
        })?;
        let mut all = Context::new(&SHA256);
        for (name, value) in environment {
            add(&mut all, name.as_bytes());
            add(&mut all, value.as_bytes());
        }
        let about = std::fs::metadata(cwd).map_err(|source| ToolError::Io {
            action: "look at",
            subject: cwd.display().to_string(),
            source,
        })?;
        Ok(Self {
            argv: program.argv.clone(),
            directory: (about.dev(), about.ino()),
            cwd: cwd.to_owned(),
            binary: program.binary.clone(),
            binary_digest,
            environment_digest: finish(all),
            sandbox,
        })
    }

    /// Returns SHA-256 over all of it.
    pub fn digest(&self) -> [u8; 32] {
        let Self { argv, cwd, directory: _, binary, binary_digest, environment_digest, sandbox } =
            self;
        let mut all = Context::new(&SHA256);
        add(&mut all, b"exec");
        add(&mut all, cwd.as_os_str().as_encoded_bytes());
        add(&mut all, binary.as_os_str().as_encoded_bytes());
        add(&mut all, binary_digest);
        add(&mut all, environment_digest);
        add(&mut all, Self::confinement(*sandbox).as_bytes());
        for argument in argv {
            add(&mut all, argument.as_bytes());
        }
        finish(all)
    }

    /// Returns the name of how it is confined.
    pub const fn confinement(sandbox: SandboxMode) -> &'static str {
        match sandbox {
            SandboxMode::Off => "off",
            SandboxMode::Workspace => "workspace",
        }
    }

    /// Names what differs from another look at the same.
    pub(super) fn difference(&self, other: &Self) -> Option<&'static str> {
        [
            (self.argv != other.argv, "its arguments"),
            (self.binary != other.binary, "which program it is"),
            (self.binary_digest != other.binary_digest, "the program"),
            (self.cwd != other.cwd || self.directory != other.directory, "where it works"),
            (self.environment_digest != other.environment_digest, "its environment"),
            (self.sandbox != other.sandbox, "how it is confined"),
        ]
        .into_iter()
        .find_map(|(differs, what)| differs.then_some(what))
    }
}

/// Adds a part with its length, so that no two lists of parts are one text.
fn add(context: &mut Context, part: &[u8]) {
    context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
    context.update(part);
}

fn finish(context: Context) -> [u8; 32] {
    let mut digest = [0; 32];
    for (to, from) in digest.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    digest
}

fn digest_of(path: &Path) -> std::io::Result<[u8; 32]> {
    let mut file = std::fs::File::open(path)?;
    let (mut all, mut buffer) = (Context::new(&SHA256), vec![0; 64 * 1024]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(finish(all)),
            Ok(count) => all.update(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Returns a digest as people see it.
pub fn shown(digest: &[u8; 32]) -> String {
    HEXLOWER.encode(digest)
}

/// A program that was found, and what it is called with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Program {
    pub(super) binary: PathBuf,
    pub(super) argv: Vec<String>,
    pub(super) form: Form,
}

/// How a model asked for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// As arguments.
    Argv,
    /// As a text for the shell, in which anything may stand.
    Shell,
}

impl Program {
    /// A text for the shell.
    pub(super) fn shell(command: String) -> Self {
        let argv = vec!["sh".to_owned(), "-c".to_owned(), command];
        Self { binary: PathBuf::from("/bin/sh"), argv, form: Form::Shell }
    }

    /// Finds a program as the shell would: by its path from where it works, or by the search path.
    pub(super) fn find(
        argv: Vec<String>,
        cwd: &Path,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, ToolError> {
        let name = argv.first().map(String::as_str).unwrap_or_default();
        let binary = resolve(name, cwd, environment).ok_or_else(|| {
            let name: String = name.chars().take(200).collect();
            ToolError::argument("argv", format!("names `{name}`, and there is no such program"))
        })?;
        Ok(Self { binary, argv, form: Form::Argv })
    }

    /// Whether it begins as one of the list does. A text for the shell never does.
    pub(super) fn is_listed(
        &self,
        list: &[Vec<String>],
        cwd: &Path,
        environment: &BTreeMap<String, String>,
    ) -> bool {
        let Some((called, rest)) = self.argv.split_first() else { return false };
        self.form == Form::Argv
            && list.iter().any(|entry| {
                entry.split_first().is_some_and(|(name, prefix)| {
                    // A file that is many programs does what it is called.
                    base(called) == base(name)
                        && rest.starts_with(prefix)
                        && resolve(name, cwd, environment).as_ref() == Some(&self.binary)
                })
            })
    }
}

fn base(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn resolve(name: &str, cwd: &Path, environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    if name.is_empty() || name.contains('\0') {
        return None;
    }
    let is_program = |path: PathBuf| {
        let path = path.canonicalize().ok()?;
        let about = path.metadata().ok()?;
        (about.is_file() && about.permissions().mode() & 0o111 != 0).then_some(path)
    };
    if name.contains('/') {
        return is_program(cwd.join(name));
    }
    let path = environment.get("PATH").map(String::as_str).unwrap_or_default();
    // An empty or relative entry is where it works, and what lies there is nobody's choice.
    let dirs = path.split(':').filter(|dir| dir.starts_with('/'));
    dirs.map(|dir| Path::new(dir).join(name)).find_map(is_program)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(path: &Path) -> BTreeMap<String, String> {
        BTreeMap::from([("PATH".to_owned(), format!(":.:{}", path.display()))])
    }

    fn program(path: &Path, name: &str, text: &str) {
        std::fs::write(path.join(name), text).unwrap();
        std::fs::set_permissions(path.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn argv(words: &str) -> Vec<String> {
        words.split(' ').map(str::to_owned).collect()
    }

    /// Whatever is changed makes another operation, and is named.
    #[test]
    fn every_part_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (bin, other) = (dir.path().join("bin"), dir.path().join("other"));
        std::fs::create_dir(&bin).unwrap();
        std::fs::create_dir(&other).unwrap();
        program(&bin, "tool", "one");
        let variables = environment(&bin);
        let of = |words: &str, cwd: &Path, variables: &BTreeMap<String, String>, sandbox| {
            let program = Program::find(argv(words), cwd, variables).unwrap();
            ExecOperation::of(&program, cwd, variables, sandbox).unwrap()
        };
        let first = of("tool a b", dir.path(), &variables, SandboxMode::Off);
        assert_eq!(
            first.difference(&of("tool a b", dir.path(), &variables, SandboxMode::Off)),
            None
        );
        let mut more = variables.clone();
        more.insert("A".into(), "B".into());
        let table = [
            (of("tool a c", dir.path(), &variables, SandboxMode::Off), "its arguments"),
            (of("tool ab", dir.path(), &variables, SandboxMode::Off), "its arguments"),
            (of("tool a b", &other, &variables, SandboxMode::Off), "where it works"),
            (of("tool a b", dir.path(), &more, SandboxMode::Off), "its environment"),
            (of("tool a b", dir.path(), &variables, SandboxMode::Workspace), "how it is confined"),
        ];
        for (changed, what) in table {
            assert_eq!(first.difference(&changed), Some(what));
            assert_ne!(first.digest(), changed.digest(), "{what}");
        }
        // Another directory of the same name is another place, and no other operation.
        let there = of("tool a b", &other, &variables, SandboxMode::Off);
        std::fs::rename(&other, dir.path().join("aside")).unwrap();
        std::fs::create_dir(&other).unwrap();
        let changed = of("tool a b", &other, &variables, SandboxMode::Off);
        assert_eq!(there.difference(&changed), Some("where it works"));
        assert_eq!(there.digest(), changed.digest());
        program(&bin, "tool", "two");
        let changed = of("tool a b", dir.path(), &variables, SandboxMode::Off);
        assert_eq!(first.difference(&changed), Some("the program"));
        assert_ne!(first.digest(), changed.digest());
    }

    #[test]
    fn programs_are_listed_by_what_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        program(&bin, "git", "real");
        program(dir.path(), "git", "planted where it works");
        std::fs::write(bin.join("plain"), "no program").unwrap();
        let variables = environment(&bin);
        let list = [argv("git status"), argv("missing")];
        let listed = |words: &str| {
            let program = Program::find(argv(words), dir.path(), &variables);
            program.map(|program| program.is_listed(&list, dir.path(), &variables))
        };
        assert!(listed("git status").unwrap());
        assert!(listed("git status --short").unwrap());
        assert!(listed(&format!("{}/git status", bin.display())).unwrap(), "by its path, too");
        for words in ["git", "git push", "git statusx", "./git status"] {
            assert!(!listed(words).unwrap(), "{words}");
        }
        for words in ["plain", "missing", "bin/none", "."] {
            listed(words).unwrap_err();
        }
        std::os::unix::fs::symlink(bin.join("git"), bin.join("other")).unwrap();
        assert!(!listed("other status").unwrap(), "the same file under another name is another");
        let shell = Program::shell("git status".into());
        assert!(!shell.is_listed(&[argv("sh"), argv("/bin/sh")], dir.path(), &variables));
    }
}
