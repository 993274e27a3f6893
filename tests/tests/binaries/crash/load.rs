//! Clients that ask for as much as they can, and write down what they were promised.

use std::path::Path;
use std::sync::{Arc, Mutex};

use openclaw_client::v1::{
    AuditHead, CreateSessionRequest, Run, Session, StartRunRequest, StatusRequest, run_event,
};
use openclaw_client::{Client, Identity, Options, Target};
use tokio::task::JoinSet;

/// Clients of one round, each with a connection of its own.
const CLIENTS: u64 = 3;
/// Requests that one client has open at once.
const OPEN: u64 = 4;
/// Sessions in which runs are started.
pub(super) const SESSIONS: u64 = 8;

/// Randomness that can be played again (`SplitMix64`).
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }
}

/// A run that was acknowledged.
#[derive(Clone, Debug)]
pub(in crate::binaries::crash) struct PromisedRun {
    pub(super) request: StartRunRequest,
    /// The run as it ended, if the client heard of it.
    pub(super) ended: Option<Run>,
}

/// A session that was acknowledged.
#[derive(Clone, Debug)]
pub(in crate::binaries::crash) struct PromisedSession {
    pub(super) request: CreateSessionRequest,
    pub(super) session: Session,
}

/// All that one round was promised.
#[derive(Clone, Debug, Default)]
pub(in crate::binaries::crash) struct Acknowledged {
    pub(super) heads: Vec<AuditHead>,
    pub(super) runs: Vec<PromisedRun>,
    pub(super) sessions: Vec<PromisedSession>,
}

/// The load of one round.
pub(super) struct Load {
    acknowledged: Arc<Mutex<Acknowledged>>,
    clients: JoinSet<()>,
}

impl Load {
    /// Waits until every client has noticed that the gateway is gone; returns what was promised.
    pub(super) async fn acknowledged(self) -> Acknowledged {
        self.clients.join_all().await;
        Arc::try_unwrap(self.acknowledged).unwrap().into_inner().unwrap()
    }
}

/// Connects the clients and lets them go.
pub(super) async fn start(socket: &Path, dice: &mut Dice, round: u64) -> Load {
    let acknowledged = Arc::new(Mutex::new(Acknowledged::default()));
    let mut clients = JoinSet::new();
    let target = Target::Unix(socket.to_owned());
    for client in 0..CLIENTS {
        let connected =
            Client::connect(&target, Identity::Local, &Options::default()).await.unwrap();
        for lane in 0..OPEN {
            let name = format!("r{round}-c{client}-{lane}");
            let worker = Worker {
                acknowledged: Arc::clone(&acknowledged),
                client: connected.clone(),
                dice: Dice::new(dice.roll()),
                name,
            };
            clients.spawn(worker.work());
        }
    }
    Load { acknowledged, clients }
}

struct Worker {
    acknowledged: Arc<Mutex<Acknowledged>>,
    client: Client,
    dice: Dice,
    name: String,
}

impl Worker {
    /// Asks one thing after the other until nobody answers.
    async fn work(mut self) {
        for number in 0.. {
            let key = format!("{}-{number}", self.name);
            let is_served = match self.dice.below(16) {
                0 | 1 => self.create_session(key).await,
                2 | 3 => self.look().await,
                4 => self.run("exec", &key).await,
                5..=7 => self.run("tool", &key).await,
                8..=10 => self.run("slow", &key).await,
                _ => self.run("plain", &key).await,
            };
            if !is_served {
                return;
            }
        }
    }

    fn note(&self, write: impl FnOnce(&mut Acknowledged)) {
        write(&mut self.acknowledged.lock().unwrap());
    }

    async fn look(&self) -> bool {
        let Ok(status) = self.client.gateway().status(StatusRequest {}).await else { return false };
        let head = status.into_inner().audit_head.unwrap();
        self.note(|noted| noted.heads.push(head));
        true
    }

    async fn create_session(&self, key: String) -> bool {
        let request = CreateSessionRequest {
            idempotency_key: key.clone(),
            key: format!("explicit:{key}"),
            agent_id: String::new(),
            label: format!("label of {key}"),
        };
        let Ok(created) = self.client.sessions().create(request.clone()).await else {
            return false;
        };
        let session = created.into_inner();
        self.note(|noted| noted.sessions.push(PromisedSession { request, session }));
        true
    }

    async fn run(&mut self, kind: &str, key: &str) -> bool {
        let request = StartRunRequest {
            message: format!("{kind} {key}"),
            idempotency_key: format!("{kind}-{key}"),
            session_key: format!("explicit:lane-{}", self.dice.below(SESSIONS)),
            ..StartRunRequest::default()
        };
        let mut events = match self.client.runs().start(request.clone()).await {
            Ok(events) => events.into_inner(),
            // A session in which too many wait is served, and says so.
            Err(status) => return status.code() == openclaw_client::Code::ResourceExhausted,
        };
        let mut index = None;
        loop {
            let Ok(Some(event)) = events.message().await else { return false };
            match event.event.unwrap() {
                run_event::Event::Accepted(accepted) => {
                    assert!(!accepted.existing, "{} was there before", request.idempotency_key);
                    let promised = PromisedRun { request: request.clone(), ended: None };
                    self.note(|noted| {
                        index = Some(noted.runs.len());
                        noted.runs.push(promised);
                    });
                }
                run_event::Event::Final(run) => {
                    let index = index.expect("an end before the acceptance");
                    self.note(|noted| noted.runs[index].ended = Some(run));
                    // Going away early is part of the load.
                    return true;
                }
                _ if self.dice.below(16) == 0 => return true,
                _ => {}
            }
        }
    }
}
