//! OUTER: starts INNER, watches it, and leaves nothing alive below itself.

use std::io::{self, BufRead as _, BufReader, PipeReader, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{WaitOptions, WaitStatus, getpid, set_child_subreaper, setsid, wait};

use super::descendants;
use super::output::Output;
use super::wire::{
    CommandOrder, Ended, Finished, InnerFailure, Order, OuterOrder, Report, Survivors,
};

/// The pause between two rounds of killing, and how many rounds there are: five seconds in all.
const KILL_PAUSE: Duration = Duration::from_millis(10);
const KILL_ROUNDS: usize = 500;

/// How long the rest of the output may take once everybody who could write it is dead.
const DRAIN: Duration = Duration::from_secs(1);

/// How often the gateway is told what is new.
const TELL: Duration = Duration::from_millis(200);

/// The longest failure that INNER may report.
const MAX_FAILURE: u64 = 64 * 1024;

/// What OUTER's threads tell it.
#[derive(Debug)]
enum Event {
    /// The gateway closed its end.
    Closed,
    /// INNER, or what it became, ended.
    Ended(Ended),
    /// No child is left.
    NoneLeft,
}

/// Runs one command to its end, whichever end it is.
pub(super) fn run(order: OuterOrder, mut control: UnixStream) -> io::Result<ExitCode> {
    set_child_subreaper(Some(getpid()))?;
    // Fails only for the leader of a session, which is as good.
    setsid().ok();
    let private_dir = PrivateDir::create(&order.temp_root)?;
    let report = supervise(order, &private_dir.0, &control)
        .unwrap_or_else(|error| Report::Failed(InnerFailure::Setup { problem: error.to_string() }));
    drop(private_dir);
    let mut line = serde_json::to_vec(&report)?;
    line.push(b'\n');
    // The gateway may be gone, which is no failure of this program: its work is done.
    drop(control.write_all(&line));
    Ok(ExitCode::SUCCESS)
}

fn supervise(order: OuterOrder, private_dir: &Path, control: &UnixStream) -> io::Result<Report> {
    let (events, inbox) = channel();
    let (output_ends, output_end) = channel();
    let (reader, writer) = io::pipe()?;
    let (status, theirs) = UnixStream::pair()?;
    let inner = Command::new("/proc/self/exe")
        .args(&order.helper_arguments)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::from(writer))
        .spawn()?;
    let inner = i32::try_from(inner.id()).map_err(io::Error::other)?;
    let output = Arc::new(Mutex::new(Output::new(order.output_bytes)));
    let kept = Arc::clone(&output);
    start(&output_ends, move |ends| collect(reader, &kept, ends))?;
    let (quiet, said, mut heard) = (channel(), Arc::clone(&output), control.try_clone()?);
    let (hush, listen) = quiet;
    let teller = thread::Builder::new().spawn(move || tell_pieces(&said, &mut heard, &listen))?;
    start(&events, move |events| reap(inner, events))?;
    let watched = control.try_clone()?;
    start(&events, move |events| watch(watched, events))?;
    let time_limit = Duration::from_millis(order.time_limit_millis);
    let failure = tell(order.command, private_dir, status);
    let ended = match failure {
        Ok(None) => decide(&inbox, time_limit),
        Ok(Some(_)) | Err(_) => Ended::Canceled,
    };
    let survivors = kill_all(&inbox);
    // A survivor, or a stranger who was handed the pipe, can hold it open for ever.
    output_end.recv_timeout(DRAIN).ok();
    // Nothing is told after the report, and nothing before it is left out.
    drop(hush);
    teller.join().ok();
    if let Some(failure) = failure? {
        return Ok(Report::Failed(failure));
    }
    let output = output.lock().unwrap_or_else(PoisonError::into_inner);
    let (head, dropped, tail) = output.parts();
    Ok(Report::Ended(Finished { ended, dropped, head, tail, survivors }))
}

/// Starts a thread that reports what it sees.
fn start<T: Send + 'static>(
    reports: &Sender<T>,
    work: impl FnOnce(&Sender<T>) + Send + 'static,
) -> io::Result<()> {
    let reports = reports.clone();
    drop(thread::Builder::new().spawn(move || work(&reports))?);
    Ok(())
}

/// Reports to the main thread. When it listens no more, the program is about to exit.
fn report<T>(reports: &Sender<T>, what: T) {
    drop(reports.send(what));
}

/// Tells INNER what to become, and waits until it has or has failed.
fn tell(
    mut command: CommandOrder,
    private_dir: &Path,
    mut status: UnixStream,
) -> io::Result<Option<InnerFailure>> {
    let text = private_dir.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
    command.environment.entry("HOME".to_owned()).or_insert_with(|| text.to_owned());
    command.environment.insert("TMPDIR".to_owned(), text.to_owned());
    command.private_dir = private_dir.to_owned();
    command.parent = getpid().as_raw_nonzero().get();
    let mut line = serde_json::to_vec(&Order::Inner(Box::new(command)))?;
    line.push(b'\n');
    status.write_all(&line)?;
    let mut failure = Vec::new();
    status.take(MAX_FAILURE).read_to_end(&mut failure)?;
    if failure.is_empty() { Ok(None) } else { Ok(Some(serde_json::from_slice(&failure)?)) }
}

/// Waits for the first reason to end.
fn decide(inbox: &Receiver<Event>, time_limit: Duration) -> Ended {
    match inbox.recv_timeout(time_limit) {
        Ok(Event::Ended(ended)) => ended,
        Ok(Event::Closed | Event::NoneLeft) | Err(RecvTimeoutError::Disconnected) => {
            Ended::Canceled
        }
        Err(RecvTimeoutError::Timeout) => Ended::TimedOut,
    }
}

/// Kills until no child is left.
fn kill_all(inbox: &Receiver<Event>) -> Survivors {
    for _ in 0..KILL_ROUNDS {
        descendants::kill_all();
        match inbox.recv_timeout(KILL_PAUSE) {
            Ok(Event::NoneLeft) => return Survivors::None,
            Ok(Event::Closed | Event::Ended(_)) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    Survivors::Some
}

fn collect(mut reader: PipeReader, output: &Mutex<Output>, ends: &Sender<()>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match reader.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => break,
            Ok(count) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                output.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
            }
        }
    }
    report(ends, ());
}

/// Tells the gateway what is new, again and again until nobody holds the other end of `listen`.
fn tell_pieces(output: &Mutex<Output>, control: &mut UnixStream, listen: &Receiver<()>) {
    loop {
        let is_last = !matches!(listen.recv_timeout(TELL), Err(RecvTimeoutError::Timeout));
        let piece = output.lock().unwrap_or_else(PoisonError::into_inner).take_fresh();
        if let Some(piece) = piece {
            let Ok(mut line) = serde_json::to_vec(&Report::Said(piece)) else { return };
            line.push(b'\n');
            if control.write_all(&line).is_err() {
                return;
            }
        }
        if is_last {
            return;
        }
    }
}

/// Reaps every child, those that were orphaned by others included.
fn reap(inner: i32, events: &Sender<Event>) {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == inner => {
                report(events, Event::Ended(ended(status)));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => break,
        }
    }
    report(events, Event::NoneLeft);
}

fn ended(status: WaitStatus) -> Ended {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ended::Exited(code),
        (None, Some(signal)) => Ended::Signaled(signal),
        (None, None) => Ended::Canceled,
    }
}

/// Waits until the gateway closes its end. It has nothing more to say.
fn watch(control: UnixStream, events: &Sender<Event>) {
    let mut reader = BufReader::new(control);
    loop {
        let count = match reader.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok([]) | Err(_) => break,
            Ok(bytes) => bytes.len(),
        };
        reader.consume(count);
    }
    report(events, Event::Closed);
}

/// A directory that only this user may enter, and that goes with the command.
#[derive(Debug)]
struct PrivateDir(PathBuf);

impl PrivateDir {
    fn create(root: &Path) -> io::Result<Self> {
        let root = root.canonicalize()?;
        let mut number = 0_u32;
        loop {
            let path = root.join(format!("openclaw-exec-{}-{number}", std::process::id()));
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 1000 => {
                    number = number.saturating_add(1);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        if std::fs::remove_dir_all(&self.0).is_err() {
            // The command may have locked its own directories. It is dead: nothing races.
            unlock(&self.0);
            drop(std::fs::remove_dir_all(&self.0));
        }
    }
}

/// Makes every directory of a tree removable, without following links.
fn unlock(dir: &Path) {
    drop(std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)));
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            unlock(&entry.path());
        }
    }
}
