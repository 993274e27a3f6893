//! What happens, over the wire: each watcher reads from its own place, page by page, as fast as it takes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, stream};
use openclaw_proto::v1::events_server::Events;
use openclaw_proto::v1::watch_events_response::Sent;
use openclaw_proto::{to_timestamp, v1};
use openclaw_scopes::Caller;
use openclaw_scopes::method::{Method as _, WatchEvents as WatchMethod};
use openclaw_store::{EventFilter, EventKind, EventPage, LoggedEvent, Since, WatchEvents};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::{Code, Request, Response, Status};

use crate::core::Core;
use crate::respond::{self, Reply};
use crate::watchers::Place;
use crate::{clock, convert, gate};

/// How long a stream is quiet at most.
const QUIET: Duration = Duration::from_secs(30);
/// How long a watcher that has seen all rests until it looks again: what happens in between is one look.
const REST: Duration = Duration::from_millis(50);
/// Kinds that a request may name.
const MAX_KINDS: usize = 64;

#[tonic::async_trait]
impl Events for Core {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::WatchEventsResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<v1::WatchEventsRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (caller, message) = gate::admit(request)?;
        let ends = if message.replay_only { Ends::WithReplay } else { Ends::Never };
        let query = parse(&message)?;
        // Before the first look: what comes in between is then not missed.
        let changes = self.store.events();
        let page = read(self, &caller, query.clone()).await?;
        let place = self.watchers.enter(caller.on_behalf_of()).map_err(|many| {
            Reply::new(Code::ResourceExhausted, "LIMIT_EXCEEDED", many.to_string())
                .retry(Duration::from_secs(10))
                .next("end watchers that are not needed")
        })?;
        let now = Instant::now();
        let first = bookmark(page.from, page.latest);
        let watcher = Watcher {
            caller,
            changes,
            core: self.clone(),
            ends_at: (ends == Ends::WithReplay).then_some(page.latest),
            filter: query.filter,
            latest: page.latest,
            _place: place,
            read_at: now,
            ready: page.events.into(),
            reached: page.reached,
            told_at: now,
        };
        let rest = stream::try_unfold(Some(watcher), |watcher| async {
            let Some(mut watcher) = watcher else { return Ok(None) };
            let next = watcher.next().await.map_err(Status::from)?;
            Ok(Some(match next {
                Next::Sent(sent) => (sent, Some(watcher)),
                Next::Last(sent) => (sent, None),
            }))
        });
        let first = stream::iter([Ok(first)]);
        Ok(Response::new(Box::pin(futures_util::StreamExt::chain(first, rest))))
    }
}

/// When a stream ends by itself.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Ends {
    Never,
    WithReplay,
}

fn parse(message: &v1::WatchEventsRequest) -> Result<WatchEvents, Reply> {
    if message.kinds.len() > MAX_KINDS {
        return Err(Reply::invalid(format!("at most {MAX_KINDS} kinds can be named")));
    }
    let mut kinds = Vec::new();
    for named in &message.kinds {
        let found = EventKind::matching(named);
        kinds.extend(found.map_err(|unknown| Reply::invalid(unknown.to_string()))?);
    }
    let (session, agent) = match (message.session_key.as_str(), message.agent_id.as_str()) {
        ("", "") => (None, None),
        ("", agent) => (None, Some(convert::agent_id(agent)?)),
        (key, agent) => (Some(convert::session_key(key, agent)?.0), None),
    };
    let since = match message.since_seq {
        None => Since::Now,
        Some(0) => Since::Oldest,
        Some(seq) => Since::After(seq),
    };
    Ok(WatchEvents { since, filter: EventFilter { kinds, session, agent } })
}

async fn read(core: &Core, caller: &Caller, query: WatchEvents) -> Result<EventPage, Reply> {
    let page = core.store.scan(caller, query, clock::now()).await;
    page.map_err(|error| respond::act(error, WatchMethod::ROW, respond::watch))
}

/// One who watches: no more of what happened is held than one page.
struct Watcher {
    caller: Arc<Caller>,
    changes: watch::Receiver<u64>,
    core: Core,
    /// The last event that is sent; absent when there is no last one.
    ends_at: Option<u64>,
    filter: EventFilter,
    /// The newest event there was at the last look.
    latest: u64,
    _place: Place,
    read_at: Instant,
    /// What is still to be sent of the last page.
    ready: VecDeque<LoggedEvent>,
    /// How far was looked.
    reached: u64,
    /// When something was sent last.
    told_at: Instant,
}

/// What is sent next.
enum Next {
    Last(v1::WatchEventsResponse),
    Sent(v1::WatchEventsResponse),
}

impl Watcher {
    async fn next(&mut self) -> Result<Next, Reply> {
        loop {
            let is_wanted = |event: &LoggedEvent| self.ends_at.is_none_or(|last| event.seq <= last);
            if let Some(event) = self.ready.pop_front().filter(is_wanted) {
                self.told_at = Instant::now();
                return Ok(Next::Sent(sent(event)));
            }
            if let Some(last) = self.ends_at.filter(|last| *last <= self.reached) {
                return Ok(Next::Last(bookmark(last, self.latest)));
            }
            let quiet_until = self.told_at.checked_add(QUIET);
            if quiet_until.is_some_and(|until| until <= Instant::now()) {
                self.told_at = Instant::now();
                return Ok(Next::Sent(bookmark(self.reached, self.latest)));
            }
            if self.reached >= self.latest && !self.has_moved(quiet_until).await? {
                continue;
            }
            self.look().await?;
        }
    }

    /// Waits until something has happened, and has rested by then; or until the stream was quiet for long enough.
    async fn has_moved(&mut self, quiet_until: Option<Instant>) -> Result<bool, Reply> {
        let quiet = async {
            match quiet_until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let (reached, rested) = (self.reached, self.read_at.checked_add(REST));
        let moved = async {
            self.changes.wait_for(|newest| *newest > reached).await.map(drop)?;
            if let Some(rested) = rested {
                tokio::time::sleep_until(rested).await;
            }
            Ok::<_, watch::error::RecvError>(())
        };
        tokio::select! {
            () = self.core.stop.cancelled() => Err(Reply::draining()),
            moved = moved => moved.map(|()| true).map_err(|_closed| Reply::draining()),
            () = quiet => Ok(false),
        }
    }

    /// Reads the next page; who may see what is decided anew.
    //= docs/threat-model.md#T38
    async fn look(&mut self) -> Result<(), Reply> {
        let (since, filter) = (Since::After(self.reached), self.filter.clone());
        let page = read(&self.core, &self.caller, WatchEvents { since, filter }).await?;
        self.read_at = Instant::now();
        (self.reached, self.latest) = (page.reached, page.latest);
        self.ready = page.events.into();
        Ok(())
    }
}

const fn bookmark(seq: u64, latest: u64) -> v1::WatchEventsResponse {
    v1::WatchEventsResponse { sent: Some(Sent::Bookmark(v1::Bookmark { seq, latest })) }
}

fn sent(event: LoggedEvent) -> v1::WatchEventsResponse {
    let event = v1::Event {
        seq: event.seq,
        at: Some(to_timestamp(event.at)),
        kind: event.kind.name().into(),
        subject: event.subject,
        session_key: event.session,
        agent_id: event.agent,
        state: event.state,
        owner: event.owner.map(|owner| owner.to_string()).unwrap_or_default(),
    };
    v1::WatchEventsResponse { sent: Some(Sent::Event(event)) }
}
