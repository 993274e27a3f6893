//! Unary calls over the socket, beside a bare server.

use openclaw_client::health::HealthCheckRequest;
use openclaw_client::health::health_client::HealthClient;
use openclaw_client::v1::sessions_client::SessionsClient;
use openclaw_client::{Client, Transport, v1};

use crate::Effort;
use crate::load::{Operation, duel};
use crate::place::Place;
use crate::process::Server;
use crate::table::{Aim, Row, Section};

/// The conversation that is read.
pub(crate) const SESSION: &str = "agent:main:bench";

/// How callers share connections.
#[derive(Clone, Copy, Debug)]
struct Shape {
    name: &'static str,
    connections: usize,
    in_flight: usize,
}

const SHAPES: [Shape; 3] = [
    Shape { name: "sequential", connections: 1, in_flight: 1 },
    Shape { name: "64 in flight", connections: 1, in_flight: 64 },
    Shape { name: "16 connections", connections: 16, in_flight: 1 },
];

/// Asks for nothing.
struct Check(HealthClient<Transport>);

impl Operation for Check {
    async fn perform(&mut self) -> anyhow::Result<()> {
        self.0.check(HealthCheckRequest::default()).await?;
        Ok(())
    }
}

/// Asks for one row.
struct Get(SessionsClient<Transport>);

impl Operation for Get {
    async fn perform(&mut self) -> anyhow::Result<()> {
        let request = v1::GetSessionRequest { key: SESSION.into(), agent_id: String::new() };
        self.0.get(request).await?;
        Ok(())
    }
}

pub(crate) async fn measure(place: &Place, effort: Effort) -> anyhow::Result<Section> {
    let ours = Server::gateway(place, &place.state("rpc")?).await?;
    let limit = Server::bare(place, &place.state("rpc-bare")?).await?;
    let create = v1::CreateSessionRequest {
        idempotency_key: "bench".into(),
        key: SESSION.into(),
        ..v1::CreateSessionRequest::default()
    };
    ours.connect().await?.sessions().create(create).await?;
    let mut rows = Vec::new();
    for shape in SHAPES {
        let check = |client: &Client| Check(client.health());
        let (a, b) = (shape.callers(&ours, check).await?, shape.callers(&limit, check).await?);
        let figure = format!("health, {}", shape.name);
        rows.extend(Row::of_duel(
            &figure,
            &duel((&ours, a), (&limit, b), effort).await?,
            shape.aim(0.9),
        ));
    }
    for shape in SHAPES {
        let get = |client: &Client| Get(client.sessions());
        let (a, b) = (shape.callers(&ours, get).await?, shape.callers(&limit, get).await?);
        let figure = format!("sessions.get, {}", shape.name);
        rows.extend(Row::of_duel(
            &figure,
            &duel((&ours, a), (&limit, b), effort).await?,
            shape.aim(0.75),
        ));
    }
    Ok(Section {
        name: "rpc",
        title: "Unary calls",
        measured: "Closed loops of one client process over the Unix socket of the daemon, its \
                   release build with default logging: `grpc.health.v1` (no storage) and \
                   `sessions.get` (authorized, one point read). The limit is a bare tonic server \
                   of the same runtime that answers the same messages from constants, in a process \
                   of its own. 64 in flight share one connection; 16 connections have one caller \
                   each. The client shares the cores with the server, so a ratio of rates counts the                    client on both sides; the server's processor time for each answer does not, and                    minds the load of the machine least."
            .into(),
        rows,
    })
}

impl Shape {
    /// What is asked of a shape: the aim is set for 64 in flight.
    const fn aim(self, share: f64) -> Aim {
        if self.in_flight > 1 { Aim::Share(share) } else { Aim::None }
    }

    async fn callers<O>(
        self,
        server: &Server,
        caller: impl Fn(&Client) -> O,
    ) -> anyhow::Result<Vec<O>> {
        let mut callers = Vec::new();
        for _ in 0..self.connections {
            let client = server.connect().await?;
            callers.extend((0..self.in_flight).map(|_| caller(&client)));
        }
        Ok(callers)
    }
}
