//! What happens, as it is watched: in order, without gaps but those of what somebody may not see, and again from
//! wherever they were.

mod matrix;
mod slow;

use openclaw_proto::v1;
use openclaw_proto::v1::watch_events_response::Sent;
use openclaw_scopes::Scope;
use openclaw_tests::{Client, Device, Refusal, Setup, TestGateway, ask, background, request, soon};
use tonic::{Code, Status, Streaming};

/// A stream of events.
pub(super) struct Watched(Streaming<v1::WatchEventsResponse>);

impl Watched {
    pub(super) async fn open(
        client: &Client,
        request: v1::WatchEventsRequest,
    ) -> Result<Self, Status> {
        Ok(Self(client.events().watch(request).await?.into_inner()))
    }

    async fn sent(&mut self) -> Result<Option<Sent>, Status> {
        let sent = soon(self.0.message()).await?;
        Ok(sent.map(|sent| sent.sent.expect("a message is one of the known ones")))
    }

    async fn bookmark(&mut self) -> v1::Bookmark {
        match self.sent().await.unwrap().unwrap() {
            Sent::Bookmark(bookmark) => bookmark,
            Sent::Event(event) => panic!("{event:?}"),
        }
    }

    /// The next event; `None` at the end of the stream.
    pub(super) async fn event(&mut self) -> Result<Option<v1::Event>, Status> {
        loop {
            match self.sent().await? {
                Some(Sent::Bookmark(_)) => {}
                Some(Sent::Event(event)) => return Ok(Some(event)),
                None => return Ok(None),
            }
        }
    }

    /// The next event of a kind.
    pub(super) async fn until(&mut self, kind: &str) -> v1::Event {
        loop {
            let event = self.event().await.unwrap().unwrap();
            if event.kind == kind {
                return event;
            }
        }
    }

    async fn kinds(&mut self, count: usize) -> Vec<String> {
        let mut kinds = Vec::new();
        while kinds.len() < count {
            kinds.push(self.event().await.unwrap().unwrap().kind);
        }
        kinds
    }

    async fn error(mut self) -> Refusal {
        loop {
            match self.sent().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the stream ended in order"),
                Err(status) => return Refusal::from(status),
            }
        }
    }
}

fn since(seq: u64) -> v1::WatchEventsRequest {
    v1::WatchEventsRequest { since_seq: Some(seq), ..v1::WatchEventsRequest::default() }
}

/// Everything that is kept and that the client may see, and the number up to which it was looked.
pub(super) async fn kept(
    client: &Client,
    request: v1::WatchEventsRequest,
) -> (Vec<v1::Event>, u64) {
    let request = v1::WatchEventsRequest { replay_only: true, ..request };
    let mut watched = Watched::open(client, request).await.unwrap();
    watched.bookmark().await;
    let mut events = Vec::new();
    loop {
        match watched.sent().await.unwrap().expect("a bookmark is the last message") {
            Sent::Event(event) => events.push(event),
            Sent::Bookmark(bookmark) => {
                assert_eq!(watched.sent().await.unwrap(), None);
                return (events, bookmark.seq);
            }
        }
    }
}

#[tokio::test]
async fn a_turn_is_told_as_it_happens_and_again_after_a_restart() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    let mut live = Watched::open(&owner, v1::WatchEventsRequest::default()).await.unwrap();
    assert_eq!(live.bookmark().await, v1::Bookmark { seq: 0, latest: 0 });
    ask(&owner, request("r", "main", "Hello.")).await.unwrap();
    let turn = ["session.created", "run.accepted", "run.started", "run.ended"];
    assert_eq!(live.kinds(4).await, turn);
    let (events, seq) = kept(&owner, since(0)).await;
    assert!(seq == 4 && events.iter().map(|event| event.seq).eq(1..=4), "a turn is three events");
    let ended = &events[3];
    assert_eq!((ended.subject.as_str(), ended.state.as_str()), ("r", "ok"));
    assert_eq!((ended.owner.as_str(), ended.agent_id.as_str()), ("owner", "main"));
    assert_eq!(ended.session_key, "agent:main:main");
    let gateway = gateway.restart().await;
    assert_eq!(live.error().await.code, Code::Unavailable, "it ends with the gateway");
    let owner = gateway.owner().await;
    assert_eq!(kept(&owner, since(0)).await, (events.clone(), 4));
    assert_eq!(kept(&owner, since(2)).await.0, events[2..]);
    // Numbers go on where they were, and what comes joins what was.
    let mut resumed = Watched::open(&owner, since(3)).await.unwrap();
    assert_eq!(resumed.bookmark().await, v1::Bookmark { seq: 3, latest: 4 });
    assert_eq!(resumed.event().await.unwrap().unwrap(), events[3]);
    ask(&owner, request("s", "main", "Hello.")).await.unwrap();
    assert_eq!(resumed.event().await.unwrap().unwrap().seq, 5);
    assert_eq!(resumed.kinds(2).await, turn[2..]);
}

#[tokio::test]
async fn filters_and_what_makes_no_sense() {
    let gateway = Setup::new().config("agents.entries.two = {}").start().await;
    let owner = gateway.owner().await;
    for (key, session) in [("a", "main"), ("b", "agent:two:main"), ("c", "agent:main:explicit:x")] {
        ask(&owner, request(key, session, "Hello.")).await.unwrap();
    }
    let named = |kinds: &[&str], session: &str, agent: &str| v1::WatchEventsRequest {
        since_seq: Some(0),
        kinds: kinds.iter().map(|&kind| kind.to_owned()).collect(),
        session_key: session.into(),
        agent_id: agent.into(),
        replay_only: true,
    };
    #[rustfmt::skip]
    let table: [(&[&str], &str, &str, usize); 9] = [
        (&[],                            "",                      "",     12),
        (&["run"],                       "",                      "",     9),
        (&["run.ended"],                 "",                      "",     3),
        (&["session", "run.ended"],      "",                      "",     6),
        (&["cron"],                      "",                      "",     0),
        (&[],                            "main",                  "",     4),
        (&[],                            "explicit:x",            "",     4),
        (&["run"],                       "main",                  "two",  3),
        (&[],                            "",                      "two",  4),
    ];
    for (kinds, session, agent, count) in table {
        let (events, seq) = kept(&owner, named(kinds, session, agent)).await;
        assert_eq!((events.len(), seq), (count, 12), "{kinds:?} {session:?} {agent:?}");
    }
    let refused = async |request: v1::WatchEventsRequest| {
        Refusal::from(Watched::open(&owner, request).await.map(drop).unwrap_err())
    };
    let unknown = refused(named(&["runs"], "", "")).await;
    assert_eq!(unknown.code, Code::InvalidArgument);
    assert!(unknown.message.contains("`runs`") && unknown.message.contains("run.ended"));
    assert_eq!(refused(named(&[], "agent:two:main", "main")).await.reason, "MALFORMED_KEY");
    let future = refused(since(13)).await;
    assert_eq!((future.code, future.next.as_str()), (Code::InvalidArgument, "openclaw events"));
    let many = vec!["run"; 65];
    assert_eq!(refused(named(&many, "", "")).await.code, Code::InvalidArgument);
}

/// Whoever is cut off from what they watch learns of nothing more, and a narrower grant shows less.
#[tokio::test]
//= docs/threat-model.md#T32
//= docs/threat-model.md#T38
async fn revocation_ends_a_watch() {
    let gateway = Setup::new().network().start().await;
    let owner = gateway.owner().await;
    let device = Device::new(1);
    let connected = device.paired(&gateway, &[Scope::Read]).await;
    let runs = || v1::WatchEventsRequest { kinds: vec!["run".into()], ..Default::default() };
    let mut watched = Watched::open(&connected.client, runs()).await.unwrap();
    watched.bookmark().await;
    ask(&owner, request("r", "main", "Hello.")).await.unwrap();
    assert_eq!(watched.kinds(3).await, ["run.accepted", "run.started", "run.ended"]);
    // Rotated: the same device, with another token that is allowed less.
    let rotate = v1::RotateDeviceRequest {
        device: device.id().to_string(),
        scopes: vec!["operator.sessions.read".into()],
        ..Default::default()
    };
    owner.devices().rotate(rotate).await.unwrap();
    assert_eq!(watched.error().await.reason, "TOKEN_REVOKED");
    let again = device.connect(&gateway, &Default::default()).await.unwrap();
    assert_eq!(
        kept(&again.client, v1::WatchEventsRequest { since_seq: Some(0), ..runs() }).await.0,
        []
    );
    let mut watched = Watched::open(&again.client, runs()).await.unwrap();
    watched.bookmark().await;
    let waits = background(watched.error());
    let revoke = v1::RevokeDeviceRequest { device: device.id().to_string(), role: String::new() };
    owner.devices().revoke(revoke).await.unwrap();
    ask(&owner, request("s", "main", "Hello.")).await.unwrap();
    let ended = soon(waits).await.unwrap();
    assert_eq!(ended.kind(), (Code::PermissionDenied, "DEVICE_REVOKED"));
}

/// A stream on which nothing is told says so now and then, also while there is much that it may not tell.
#[tokio::test]
async fn a_quiet_stream_is_marked() {
    let gateway = TestGateway::start().await;
    let nobody = gateway.narrowed(&[Scope::Talk]).await;
    let request = v1::WatchEventsRequest { kinds: vec!["session".into()], ..Default::default() };
    let mut watched = Watched::open(&nobody, request).await.unwrap();
    assert_eq!(watched.bookmark().await, v1::Bookmark { seq: 0, latest: 0 });
    ask(&gateway.owner().await, openclaw_tests::request("r", "main", "Hello.")).await.unwrap();
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let marked = watched.bookmark().await;
    assert!(began.elapsed() <= std::time::Duration::from_secs(31));
    assert_eq!(marked, v1::Bookmark { seq: 4, latest: 4 });
}

#[tokio::test]
async fn there_is_room_for_so_many() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(Watched::open(&owner, v1::WatchEventsRequest::default()).await.unwrap());
    }
    let many = Watched::open(&owner, v1::WatchEventsRequest::default()).await.map(drop);
    let many = Refusal::from(many.unwrap_err());
    assert_eq!(many.kind(), (Code::ResourceExhausted, "LIMIT_EXCEEDED"));
}
