//! What happens there: three events that are kept, and two that come, with a break in between.

use openclaw_client::v1::events_server::Events;
use openclaw_client::v1::watch_events_response::Sent;
use openclaw_client::v1::{Bookmark, Event, WatchEventsRequest, WatchEventsResponse};

use super::*;

type Told = tokio_stream::Iter<std::vec::IntoIter<Result<WatchEventsResponse, Status>>>;

fn event(seq: u64) -> Sent {
    Sent::Event(Event {
        seq,
        at: Some(prost_types::Timestamp { seconds: 1_767_225_600, nanos: 0 }),
        kind: "run.ended".into(),
        subject: format!("r{seq}"),
        session_key: "agent:main:main".into(),
        agent_id: "main".into(),
        state: "ok".into(),
        owner: "owner".into(),
    })
}

fn bookmark(seq: u64) -> Sent {
    Sent::Bookmark(Bookmark { seq, latest: 9 })
}

#[tonic::async_trait]
impl Events for Fake {
    type WatchStream = Told;

    async fn watch(&self, asked: Request<WatchEventsRequest>) -> Result<Response<Told>, Status> {
        let WatchEventsRequest { since_seq, kinds, replay_only, .. } = asked.into_inner();
        let gone = || {
            let mut details = ErrorDetails::new();
            details.add_help_link("openclaw events, then go on", "");
            let message = "events before 9 are gone; list anew and watch from 12";
            Status::with_error_details(Code::OutOfRange, message, details)
        };
        let (sent, end) = match (since_seq, replay_only) {
            _ if kinds == ["none"] => (vec![bookmark(3)], None),
            (Some(0), true) => (vec![bookmark(0), event(1), event(2), event(3), bookmark(3)], None),
            (_, true) => return Err(gone()),
            (None, false) => (vec![bookmark(4), event(5)], Some(Status::unavailable("stopping"))),
            // After the break it goes on from the last one that was shown.
            (Some(5), false) => (vec![bookmark(5), event(6), bookmark(8)], Some(gone())),
            (Some(_), false) => return Err(Status::internal("not what was asked for before")),
        };
        let sent = sent.into_iter().map(|sent| Ok(WatchEventsResponse { sent: Some(sent) }));
        let told: Vec<_> = sent.chain(end.map(Err)).collect();
        Ok(Response::new(tokio_stream::iter(told)))
    }
}
