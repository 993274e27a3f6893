//! Every state that a kill can leave on the disk, one after the other: whatever was awaited just then, what had been
//! promised is kept, and nothing is said twice.
//!
//! What is on the disk after a kill is some number of whole commits. So one gateway does the work, and its log is
//! cut behind each of its commits; from each of these states another gateway goes on.

mod delegation;
mod turn;

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openclaw_gateway::{Environment, Gateway};
use openclaw_platforms::{Telegram, WebSink};
use openclaw_proto::v1;
use openclaw_proto::v1::delivery::State;
use openclaw_tests::{Client, alone, connect, soon};

use super::cron::{add, turn};
use super::delivery::announce;

const FILES: [&str; 2] = ["gateway.db", "gateway.db-wal"];
/// What is to arrive in the end: on the chat platform, and by a post.
const CHAT: [&str; 2] = ["The report is ready.", "Somebody sent this."];
const POST: &str = "Somebody posted this.";
const SCRIPT: &str = "[[reply]]\ntext = \"The report is ready.\"\n";

/// The state directory of a gateway, and the platforms that it knows.
struct World {
    dir: tempfile::TempDir,
    telegram: Telegram,
    sink: Arc<WebSink>,
}

impl World {
    /// A new one, but for where is posted to: that stands in what was asked for.
    async fn new(sink: Arc<WebSink>) -> Self {
        Self::with(sink, SCRIPT).await
    }

    /// The same, whose agent does what a script says.
    async fn with(sink: Arc<WebSink>, script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::DirBuilder::new().mode(0o700).create(dir.path().join("state")).unwrap();
        std::fs::write(dir.path().join("script.toml"), script).unwrap();
        let telegram = Telegram::start().await;
        let config = format!(
            "channels.telegram.token.env = \"TELEGRAM_TOKEN\"\nchannels.telegram.apiUrl = \"{}\"\n\
             channels.webhook.allowAddresses = [\"{}\"]\n\
             models.providers.offline.api = \"offline\"\n\
             models.providers.offline.script = \"{}\"\n\
             agents.defaults.model.primary = \"offline/offline\"\n",
            telegram.url(),
            sink.address(),
            dir.path().join("script.toml").display(),
        );
        std::fs::write(dir.path().join("state/openclaw.toml"), config).unwrap();
        Self { dir, telegram, sink }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("state").join(name)
    }

    async fn start(&self) -> (Gateway, Client) {
        let variables = [("TELEGRAM_TOKEN".to_owned(), Telegram::TOKEN.to_owned())];
        let environment = Environment::of(BTreeMap::from(variables));
        let builder = Gateway::builder(self.dir.path().join("state")).environment(environment);
        let gateway = builder.in_process().start().await.unwrap();
        let owner = connect(gateway.connect().await.unwrap()).await;
        (gateway, owner)
    }
}

/// Where each commit of a write-ahead log ends (<https://sqlite.org/fileformat2.html#walformat>).
fn commits(log: &[u8]) -> Vec<usize> {
    const HEADER: usize = 32;
    const FRAME: usize = 24;
    let number = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().unwrap());
    let page = usize::try_from(number(8)).unwrap();
    let frames = (HEADER..log.len()).step_by(FRAME + page);
    // The last frame of a commit has the size of the database.
    let last = frames.filter(|frame| log.len() >= frame + FRAME + page && number(frame + 4) != 0);
    last.map(|frame| frame + FRAME + page).collect()
}

async fn deliveries(client: &Client) -> BTreeMap<String, v1::Delivery> {
    let request = v1::ListDeliveriesRequest::default();
    let listed = client.messages().list(request).await.unwrap().into_inner().deliveries;
    listed.into_iter().map(|delivery| (delivery.text.clone(), delivery)).collect()
}

/// Waits until nothing is at work, nothing waits, and nothing is to leave.
async fn settled(client: &Client) -> BTreeMap<String, v1::Delivery> {
    soon(async {
        loop {
            let runs = client.runs().list(v1::ListRunsRequest::default()).await.unwrap();
            let rows = client.cron().runs(v1::ListOccurrencesRequest::default()).await.unwrap();
            let jobs = client.cron().list(v1::ListJobsRequest::default()).await.unwrap();
            let deliveries = deliveries(client).await;
            let is_open = |row: &v1::Occurrence| row.outcome() == v1::occurrence::Outcome::Claimed;
            let is_quiet = runs.into_inner().runs.iter().all(|run| run.ended_at.is_some())
                && deliveries.values().all(|delivery| delivery.settled_at.is_some());
            let is_over = jobs.into_inner().jobs.iter().all(|job| job.next_at.is_none())
                && !rows.into_inner().occurrences.iter().any(is_open);
            match (is_quiet, is_over) {
                (true, true) => return deliveries,
                // What was interrupted is tried again after a while. While something is at work, no time is lost
                // for it.
                (true, false) => openclaw_gateway::advance_clock(Duration::from_secs(1)),
                (false, _) => {}
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

fn send(key: &str, channel: &str, to: &str, text: &str) -> v1::SendMessageRequest {
    v1::SendMessageRequest {
        idempotency_key: key.into(),
        channel: channel.into(),
        to: to.into(),
        text: text.into(),
        ..v1::SendMessageRequest::default()
    }
}

/// Does all the work; returns what it left on the disk, and how much of the log was there before.
async fn work(world: &World) -> (Vec<u8>, Vec<u8>, usize) {
    let (gateway, _owner) = world.start().await;
    gateway.drain().await;
    // It is written now and then: a kill leaves an older one.
    std::fs::copy(world.file("audit.head"), world.file("audit.kept")).unwrap();
    let (gateway, owner) = world.start().await;
    let before = std::fs::read(world.file(FILES[1])).unwrap().len();
    let job = announce(turn("report", "Report."), "telegram", "1");
    // One after the other: what happens at once is one commit.
    add(&owner, job).await.unwrap();
    settled(&owner).await;
    owner.messages().send(send("chat", "telegram", "2", CHAT[1])).await.unwrap();
    settled(&owner).await;
    owner.messages().send(send("post", "webhook", &world.sink.url(), POST)).await.unwrap();
    let left = settled(&owner).await;
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(left.values().all(|delivery| delivery.state() == State::Sent), "{left:?}");
    let [database, log] = FILES.map(|name| std::fs::read(world.file(name)).unwrap());
    gateway.drain().await;
    (database, log, before)
}

/// How a message left, as seen from one state: the later the state, the further.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Seen {
    /// Nobody had asked for it yet.
    Nothing,
    /// It left now.
    Now,
    /// It may have left before: who knows.
    Unknown,
    /// It had left before.
    Before,
}

/// Gives a world all else that stands in the directory of another: keys, which never change.
fn furnish(world: &World, with: &World) {
    for entry in std::fs::read_dir(with.file("")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let is_of_its_own = ["gateway", "openclaw.toml", "audit.head"];
        if entry.file_type().unwrap().is_file()
            && !is_of_its_own.iter().any(|own| name.starts_with(own))
        {
            std::fs::copy(entry.path(), world.file(&name)).unwrap();
        }
    }
    std::fs::rename(world.file("audit.kept"), world.file("audit.head")).unwrap();
}

async fn goes_on(world: &World, database: &[u8], log: &[u8]) -> BTreeMap<String, Seen> {
    std::fs::write(world.file(FILES[0]), database).unwrap();
    std::fs::write(world.file(FILES[1]), log).unwrap();
    let posted = world.sink.received().len();
    let (gateway, owner) = world.start().await;
    let left = settled(&owner).await;
    let (told, posts) = (world.telegram.sent(), world.sink.received().split_off(posted));
    let mut seen = BTreeMap::new();
    for text in CHAT.into_iter().chain([POST]) {
        let told = told.iter().filter(|message| message.text == text).count();
        let posts = posts.iter().filter(|post| post.json()["text"] == text).count();
        let how = match (left.get(text).map(v1::Delivery::state), told + posts) {
            (None, 0) => Seen::Nothing,
            (Some(State::Sent), 1) => Seen::Now,
            (Some(State::Unknown), 0) => Seen::Unknown,
            (Some(State::Sent), 0) => Seen::Before,
            other => panic!("{text}: {other:?}"),
        };
        seen.insert(text.to_owned(), how);
    }
    let rows = owner.cron().runs(v1::ListOccurrencesRequest::default()).await.unwrap().into_inner();
    assert!(rows.occurrences.len() <= 1, "{rows:?}");
    let verified =
        owner.audit().verify(v1::VerifyAuditRequest::default()).await.unwrap().into_inner();
    assert!(verified.ok, "{verified:?}");
    gateway.drain().await;
    seen
}

async fn goes_on_from_everywhere() {
    let world = World::new(Arc::new(WebSink::start().await)).await;
    let (database, log, before) = work(&world).await;
    let ends: Vec<_> = commits(&log).into_iter().filter(|end| *end >= before).collect();
    assert!(ends.len() > 8, "{ends:?}");
    let mut furthest = BTreeMap::new();
    for (number, end) in ends.iter().enumerate() {
        let next = World::new(Arc::clone(&world.sink)).await;
        furnish(&next, &world);
        let seen = goes_on(&next, &database, &log[..*end]).await;
        println!("{number}: {seen:?}");
        for (text, how) in seen {
            let former = furthest.insert(text.clone(), how);
            assert!(former <= Some(how), "{number}: {text} was {former:?}, and is {how:?}");
        }
    }
    assert!(furthest.values().all(|how| *how == Seen::Before), "{furthest:?}");
}

#[test]
//= docs/threat-model.md#T18
fn a_kill_at_any_instant_loses_nothing_and_says_nothing_twice() {
    let name =
        "in_process::crash_states::a_kill_at_any_instant_loses_nothing_and_says_nothing_twice";
    if alone(name) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(goes_on_from_everywhere());
    }
}
