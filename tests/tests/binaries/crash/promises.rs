//! What the gateway has promised so far, and whether it keeps it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use openclaw_client::v1::{
    AuditHead, ExportAuditRequest, GetSessionRequest, ListRunsRequest, Run, RunStatus,
    StartRunRequest, VerifyAuditRequest, WaitRunRequest, audit_record, run_event,
};
use openclaw_client::{CallError, Client};
use openclaw_sessions::RESUMED;

use super::super::harness::PATIENCE;
use super::journal;
use super::load::{Acknowledged, PromisedRun, PromisedSession, SESSIONS};

/// Everything that was acknowledged, over all rounds.
#[derive(Debug, Default)]
pub(super) struct Promises {
    all: Acknowledged,
    /// Where the last round's part begins: in runs and in sessions.
    newest: (usize, usize),
    /// How each run ended, once that was seen.
    ends: BTreeMap<String, Run>,
}

impl Promises {
    pub(super) fn add(&mut self, mut round: Acknowledged) {
        self.newest = (self.all.runs.len(), self.all.sessions.len());
        self.all.runs.append(&mut round.runs);
        self.all.sessions.append(&mut round.sessions);
        self.all.heads.append(&mut round.heads);
    }

    pub(super) fn remember_head(&mut self, head: AuditHead) {
        self.all.heads.push(head);
    }

    pub(super) fn head(&self) -> String {
        let newest = self.all.heads.iter().max_by_key(|head| head.sequence).unwrap();
        format!("{}:{}", newest.sequence, newest.digest)
    }

    /// Everything of the last round is there, ends, and answers a retry with the same.
    pub(super) async fn check_newest(&mut self, client: &Client) {
        let (runs, sessions) = self.newest;
        for promised in &self.all.runs[runs..] {
            let run = ended(client, promised).await;
            check_retry(client, promised, &run).await;
            self.ends.insert(run.run_id.clone(), run);
        }
        check_conflict(client, self.all.runs[runs..].first()).await;
        for promised in &self.all.sessions[sessions..] {
            check_session(client, promised).await;
        }
    }

    /// A head that was told before a kill stands in the chain after it.
    pub(super) async fn check_chain(&self, client: &Client) {
        let newest = self.all.heads.iter().max_by_key(|head| head.sequence).cloned();
        let request = VerifyAuditRequest { head: newest.clone() };
        let verified = client.audit().verify(request).await.unwrap().into_inner();
        assert!(verified.ok, "head {newest:?}: {:?}", verified.findings);
    }

    /// A new run in each session completes: none is stuck behind what was killed.
    pub(super) async fn check_sessions_work(&mut self, client: &Client, round: u64) {
        let asked = (0..SESSIONS).map(|lane| StartRunRequest {
            idempotency_key: format!("check-{round}-{lane}"),
            message: format!("plain check {round}"),
            session_key: format!("explicit:lane-{lane}"),
            ..StartRunRequest::default()
        });
        for request in asked {
            let answer = follow(client, &request).await;
            let expected = (RunStatus::Ok, format!("answer to plain check {round}"));
            assert_eq!((answer.status(), answer.text.clone()), expected, "{answer:?}");
            self.ends.insert(answer.run_id.clone(), answer.clone());
            self.all.runs.push(PromisedRun { request, ended: Some(answer) });
        }
    }

    /// Everything since the first round is there, as it was seen then, and once.
    pub(super) async fn check_all(&self, client: &Client) {
        // What was accepted as the gateway died, and whose client never heard of it, may yet work.
        let unfinished = |run: &Run| matches!(run.status(), RunStatus::Queued | RunStatus::Running);
        for run in all_runs(client).await.into_values().filter(unfinished) {
            wait(client, run.run_id).await;
        }
        let runs = all_runs(client).await;
        let mut per_session = BTreeMap::<&str, usize>::new();
        for run in runs.values() {
            *per_session.entry(&run.session_key).or_default() += 1;
        }
        for promised in &self.all.runs {
            let key = &promised.request.idempotency_key;
            let run = runs.get(key).unwrap_or_else(|| panic!("run {key} is gone"));
            if let Some(seen) = self.ends.get(key) {
                assert_eq!(run, seen, "run {key} has changed");
            }
        }
        for run in runs.values() {
            assert!(
                !matches!(run.status(), RunStatus::Queued | RunStatus::Running),
                "{run:?} has not ended"
            );
        }
        for promised in &self.all.sessions {
            check_session(client, promised).await;
        }
        let mut seen = BTreeSet::new();
        for lane in 0..SESSIONS {
            let key = format!("agent:main:explicit:lane-{lane}");
            journal::check(client, &key, &runs, &mut seen).await;
        }
        let without: Vec<_> = runs.keys().filter(|run| !seen.contains(*run)).collect();
        assert!(without.is_empty(), "these runs left nothing in their journals: {without:?}");
        self.check_decisions(client, &per_session).await;
    }

    /// A command took effect at most once for each run that asked for it, and once if that was answered.
    pub(super) async fn check_effects(&self, client: &Client, effects: usize) {
        let is_exec = |run: &&Run| run.run_id.starts_with("exec-");
        let asked = all_runs(client).await.values().filter(is_exec).count();
        let ended = self.ends.values().filter(is_exec);
        // One that was begun again did not ask for it once more.
        let ended = ended.filter(|run| run.text == "found").count();
        assert!((ended..=asked).contains(&effects), "{effects} effects of {ended} to {asked} runs");
    }

    /// Every run and session has its decision in the log, and every head stands in it.
    async fn check_decisions(&self, client: &Client, runs: &BTreeMap<&str, usize>) {
        let mut rows = client
            .audit()
            .export(ExportAuditRequest { from_sequence: 0 })
            .await
            .unwrap()
            .into_inner();
        let mut decisions = BTreeMap::<(String, String), usize>::new();
        let mut digests = BTreeMap::new();
        let (mut previous, mut tools) = (0, BTreeSet::new());
        while let Some(row) = rows.message().await.unwrap() {
            assert_eq!(row.sequence, previous + 1, "the log has a gap");
            previous = row.sequence;
            if row.decision() == audit_record::Decision::Allowed {
                *decisions.entry((row.method, row.target)).or_default() += 1;
                tools.extend(row.principal.strip_prefix("run:").map(str::to_owned));
            }
            digests.insert(row.sequence, row.digest);
        }
        for head in self.all.heads.iter().filter(|head| head.sequence > 0) {
            assert_eq!(digests.get(&head.sequence), Some(&head.digest), "a head was rewritten");
        }
        let count = |method: &str, session: &str| {
            let key = (method.to_owned(), format!("session {session}"));
            decisions.get(&key).copied().unwrap_or(0)
        };
        for (session, runs) in runs {
            assert!(count("agent", session) >= *runs, "{session}: {runs} runs, fewer decisions");
        }
        for run in self.ends.values().filter(|run| run.text == "found") {
            assert!(tools.contains(&run.run_id), "{run:?} wrote a file without a decision");
        }
        for promised in &self.all.sessions {
            assert!(count("sessions.create", &promised.session.key) >= 1, "{promised:?}");
        }
    }
}

impl fmt::Display for Promises {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heard = self.all.runs.iter().filter(|run| run.ended.is_some()).count();
        let (runs, sessions, heads) =
            (self.all.runs.len(), self.all.sessions.len(), self.all.heads.len());
        let mut by_status = BTreeMap::<&str, usize>::new();
        for run in self.ends.values() {
            *by_status.entry(run.status().as_str_name()).or_default() += 1;
        }
        write!(
            f,
            "{runs} runs accepted, {heard} ends heard, {sessions} sessions, {heads} heads; {by_status:?}"
        )
    }
}

/// The run is there, comes to its end, and ends as its client heard.
async fn ended(client: &Client, promised: &PromisedRun) -> Run {
    let run = wait(client, promised.request.idempotency_key.clone()).await;
    match (&promised.ended, run.status()) {
        (Some(heard), _) => assert_eq!(&run, heard, "the end that was told has changed"),
        // Nobody heard how it ended: it was answered, or interrupted under way.
        (None, RunStatus::Interrupted) => {
            assert!(run.text.is_empty() || run.text.starts_with("slow"), "{run:?}");
        }
        (None, RunStatus::Ok) => {}
        (None, status) => panic!("{status:?} of {promised:?}"),
    }
    if run.status() == RunStatus::Ok {
        let message = &promised.request.message;
        let expected = match message.split_once(' ').unwrap().0 {
            "tool" | "exec" => "found".to_owned(),
            "slow" => format!("slow answer to {message}"),
            _ => format!("answer to {message}"),
        };
        // Or it was begun again, and answered that.
        assert!(run.text == expected || run.text == format!("answer to {RESUMED}"), "{run:?}");
    }
    run
}

/// Waits for the end of a run, which must be there.
async fn wait(client: &Client, run_id: String) -> Run {
    let timeout = Some(openclaw_proto::to_duration(PATIENCE));
    let request = WaitRunRequest { run_id, timeout };
    let run = client.runs().wait(request.clone()).await;
    run.unwrap_or_else(|status| panic!("{request:?}: {status}")).into_inner()
}

/// Asks again with the same key: the same run answers.
async fn check_retry(client: &Client, promised: &PromisedRun, run: &Run) {
    let again = follow_existing(client, &promised.request).await;
    assert_eq!(&again, run, "a retry was answered otherwise");
}

/// Asks for something else with a key that was used.
async fn check_conflict(client: &Client, promised: Option<&PromisedRun>) {
    let Some(promised) = promised else { return };
    let request = StartRunRequest { message: "another".to_owned(), ..promised.request.clone() };
    let refused = client.runs().start(request).await.map(drop).unwrap_err();
    assert_eq!(CallError::from(refused).reason(), Some("IDEMPOTENCY_CONFLICT"));
}

async fn check_session(client: &Client, promised: &PromisedSession) {
    let key = promised.session.key.clone();
    let request = GetSessionRequest { key, agent_id: String::new() };
    let found = client.sessions().get(request).await;
    let found = found.unwrap_or_else(|status| panic!("{promised:?}: {status}")).into_inner();
    assert_eq!(found, promised.session);
    let again = client.sessions().create(promised.request.clone()).await.unwrap().into_inner();
    assert_eq!(again, promised.session);
}

async fn follow(client: &Client, request: &StartRunRequest) -> Run {
    events(client, request).await.1
}

async fn follow_existing(client: &Client, request: &StartRunRequest) -> Run {
    let (is_existing, run) = events(client, request).await;
    assert!(is_existing, "{} was run again", run.run_id);
    run
}

/// Follows a run to its end; also returns whether it was there before.
async fn events(client: &Client, request: &StartRunRequest) -> (bool, Run) {
    let followed = async {
        let mut events = client.runs().start(request.clone()).await.unwrap().into_inner();
        let mut is_existing = false;
        loop {
            match events.message().await.unwrap().unwrap().event.unwrap() {
                run_event::Event::Accepted(accepted) => is_existing = accepted.existing,
                run_event::Event::Final(run) => return (is_existing, run),
                _ => {}
            }
        }
    };
    let followed = tokio::time::timeout(PATIENCE, followed).await;
    followed.unwrap_or_else(|_elapsed| panic!("stuck: {request:?}"))
}

/// Returns all runs by their ids; none is listed twice.
async fn all_runs(client: &Client) -> BTreeMap<String, Run> {
    let mut runs = BTreeMap::new();
    let mut page_token = String::new();
    loop {
        let request = ListRunsRequest { page_size: 1000, page_token, ..ListRunsRequest::default() };
        let page = client.runs().list(request).await.unwrap().into_inner();
        for run in page.runs {
            let id = run.run_id.clone();
            assert!(runs.insert(id.clone(), run).is_none(), "run {id} is there twice");
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return runs;
        }
    }
}
