//! Starts the real programs and never leaves one behind.

mod processes;
mod script;

use std::fmt;
use std::fs::File;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use openclaw_client::v1::StatusRequest;
use openclaw_client::{Client, Identity, Options, Target};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

pub(super) use processes::{Signal, kernel_at_least, processes_with, signal};
pub(super) use script::{Script, quoted};

/// How long anything that should happen at once may take before a test gives up.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How often something is looked at that tells nobody when it changes.
const POLL: Duration = Duration::from_millis(10);

/// Returns one of the two programs.
///
/// `cargo xtask test` builds both and says where they are; without it they are looked for beside
/// this test, where an earlier build may have left them.
pub(super) fn program(name: &str) -> PathBuf {
    if let Some(directory) = std::env::var_os("OPENCLAW_TEST_BIN_DIR") {
        let program = Path::new(&directory).join(name);
        assert!(program.exists(), "OPENCLAW_TEST_BIN_DIR holds no `{name}`");
        return program;
    }
    let beside = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
    assert!(
        beside.join("openclaw").exists() && beside.join("openclaw-gateway").exists(),
        "the programs are not built: run `cargo xtask test`"
    );
    beside.join(name)
}

/// Waits until `probe` sees what it looks for.
pub(super) async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let mut pulse = tokio::time::interval(POLL);
    let seen = async {
        loop {
            pulse.tick().await;
            if let Some(seen) = probe().await {
                return seen;
            }
        }
    };
    match tokio::time::timeout(PATIENCE, seen).await {
        Ok(seen) => seen,
        Err(_elapsed) => panic!("{what}: it did not happen"),
    }
}

/// A place for one gateway: its state directory and everything around it, gone after the test.
pub(super) struct Home {
    dir: TempDir,
    config: String,
    variables: Vec<(String, String)>,
}

impl Home {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["state", "home", "tmp"] {
            std::fs::DirBuilder::new().mode(0o700).create(dir.path().join(name)).unwrap();
        }
        Self { dir, config: String::new(), variables: Vec::new() }
    }

    /// A place whose offline model plays a script.
    pub(super) fn with(script: &Script) -> Self {
        let mut home = Self::new();
        home.play(script);
        home
    }

    /// Lets the offline model play a script.
    pub(super) fn play(&mut self, script: &Script) {
        let path = self.path("script.toml");
        std::fs::write(&path, script.text()).unwrap();
        self.configure(&format!(
            "[models.providers.offline]\napi = \"offline\"\nscript = \"{}\"\n\
             [agents.defaults]\nmodel = {{ primary = \"offline/offline\" }}\n",
            path.display()
        ));
    }

    /// Adds lines to the configuration.
    pub(super) fn configure(&mut self, toml: &str) {
        self.config.push_str(toml);
        std::fs::write(self.state().join("openclaw.toml"), &self.config).unwrap();
    }

    /// Sets a variable in the environment of the programs.
    pub(super) fn variable(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// The workspace of the agent `main`, made as the gateway would.
    pub(super) fn workspace(&self) -> PathBuf {
        let workspace = self.state().join("agents/main/workspace");
        std::fs::create_dir_all(&workspace).unwrap();
        workspace
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.state().join("gateway.sock")
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        command.env_clear().stdin(Stdio::null()).kill_on_drop(true);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path("home")).env("TMPDIR", self.path("tmp"));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The command line, told nothing but these variables and arguments.
    pub(super) async fn tell_bare(&self, variables: &[(&str, &str)], line: &str) -> Told {
        let mut command = self.command("openclaw");
        command.envs(variables.iter().copied()).args(line.split_whitespace());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        finish(command.spawn().unwrap()).await
    }

    /// The command line on this state directory, with these arguments.
    pub(super) fn openclaw(&self, arguments: &[&str]) -> Command {
        let mut command = self.command("openclaw");
        command.arg("--state-dir").arg(self.state()).args(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The daemon, told nothing; its streams are pipes.
    pub(super) fn bare_gateway(&self) -> Command {
        let mut command = self.command("openclaw-gateway");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The daemon on this state directory, its log going to a file.
    pub(super) fn gateway(&self) -> Command {
        let mut command = self.command("openclaw-gateway");
        command.arg("--state-dir").arg(self.state());
        command.stdout(Stdio::null());
        command.stderr(File::options().create(true).append(true).open(self.path("log")).unwrap());
        command
    }

    /// What daemons here have logged.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Runs the command line to its end; the arguments are separated by spaces.
    pub(super) async fn run(&self, line: &str) -> Told {
        self.tell(&line.split_whitespace().collect::<Vec<_>>()).await
    }

    /// Runs the command line to its end.
    pub(super) async fn tell(&self, arguments: &[&str]) -> Told {
        finish(self.openclaw(arguments).spawn().unwrap()).await
    }

    /// Starts the daemon, which must not become ready, and returns how it ended.
    pub(super) async fn refuses_to_start(&self) -> Told {
        let mut command = self.bare_gateway();
        command.arg("--state-dir").arg(self.state());
        finish(command.spawn().unwrap()).await
    }

    /// Starts the daemon and waits until it serves.
    pub(super) async fn start(&self) -> Daemon<'_> {
        let daemon = self.spawn();
        let told = self.run("health --wait 60s").await;
        assert_eq!((told.code, told.out.as_str()), (0, "serving\n"), "{told}\n{}", self.log());
        daemon
    }

    /// Starts the daemon without waiting.
    pub(super) fn spawn(&self) -> Daemon<'_> {
        Daemon { child: self.gateway().spawn().unwrap(), home: self }
    }
}

/// Waits for the end of a program whose streams are pipes.
pub(super) async fn finish(child: Child) -> Told {
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let output = output.expect("a program does not come to its end").unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap_or(-1);
    Told { code, out: text(output.stdout), err: text(output.stderr) }
}

/// What a program left behind.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) err: String,
}

impl Told {
    /// The program succeeded and said nothing on standard error: what it printed.
    #[track_caller]
    pub(super) fn ok(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{self}");
        self.out
    }

    /// The program succeeded: the JSON document that it printed.
    #[track_caller]
    pub(super) fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    /// The program failed with this exit code: the error that it printed as JSON.
    #[track_caller]
    pub(super) fn error(&self, code: i32) -> Value {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{self}");
        let mut report: Value = serde_json::from_str(&self.err).unwrap();
        report["error"].take()
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}\nstdout: {}\nstderr: {}", self.code, self.out, self.err)
    }
}

/// A daemon that runs. Dropping it kills it.
pub(super) struct Daemon<'a> {
    child: Child,
    home: &'a Home,
}

impl Daemon<'_> {
    pub(super) fn pid(&self) -> u32 {
        self.child.id().expect("the daemon has ended")
    }

    /// Connects to its socket, which is there soon.
    pub(super) async fn connect(&mut self) -> Client {
        let target = Target::Unix(self.home.socket());
        let home = self.home;
        eventually("the gateway listens", async || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the gateway ended: {status}\n{}", home.log());
            }
            let client =
                Client::connect(&target, Identity::Local, &Options::default()).await.ok()?;
            // Where one was just killed, a child that it was about to start may hold its socket a moment longer.
            let answered = client.gateway().status(StatusRequest {}).await;
            answered.is_ok().then_some(client)
        })
        .await
    }

    /// Kills it as the kernel would: at once, and without a word.
    pub(super) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks it to stop and returns its exit code.
    pub(super) async fn stop(self, how: Signal) -> i32 {
        signal(self.pid(), how);
        self.ended().await
    }

    /// Waits for its end and returns its exit code.
    pub(super) async fn ended(mut self) -> i32 {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = status.expect("the gateway does not stop").unwrap();
        status.code().unwrap_or(-1)
    }
}
