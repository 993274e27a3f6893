//! Carrying what leaves on one channel: claims, sends, and notes what came of it.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use openclaw_channels::{Button, Channel, Part, SendOutcome, parts};
use openclaw_store::{BODY, ClaimedDelivery, Lost, Progress, Store};
use serde_json::json;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::destination::to_platform;
use super::lane::{Carrier, Happened, Lane};
use super::part::send_part;
use crate::alarm::Alarm;
use crate::clock;
use crate::engine::Engine;

/// Deliveries of one channel at once: each to another place.
const AT_ONCE: usize = 8;
/// The longest sleep.
const LONGEST: Duration = Duration::from_secs(3_600);
/// How long after a failure of the storage is looked again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a stop waits for what is at work: a little less than the drain waits for its tasks.
const LAST: Duration = Duration::from_millis(1_800);

/// Carries what leaves on one channel until it is to stop.
pub(super) async fn carry(lane: &Lane, engine: &Engine, store: &Store, stop: &CancellationToken) {
    run(lane, engine.outbox(), store, stop).await;
}

/// Carries what is written until it is to stop; then only what is at work ends, and the rest waits.
async fn run(lane: &Lane, written: &Notify, store: &Store, stop: &CancellationToken) {
    if let Err(error) = store.lost_deliveries(lane.name.clone(), lane.lost(), clock::now()).await {
        tracing::error!(channel = lane.name, ?error, "what was being sent could not be settled");
    }
    let (alarm, mut sending) = (Alarm::new(), FuturesUnordered::new());
    while !stop.is_cancelled() {
        // Before the look: what is written after it is then noticed.
        let mut change = std::pin::pin!(written.notified());
        change.as_mut().enable();
        let room = AT_ONCE.saturating_sub(sending.len());
        let wait = match claim(lane, store, room).await {
            Ok((claimed, wait)) => {
                sending.extend(claimed.into_iter().map(|it| send(lane, store, it, stop)));
                wait
            }
            Err(error) => {
                tracing::error!(channel = lane.name, error, "what is to be sent is unknown");
                AGAIN
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = alarm.until(clock::now().saturating_add(wait)), if room > 0 => {}
            () = change, if room > 0 => {}
            Some(()) = sending.next() => {}
        }
    }
    let ended = async { while sending.next().await.is_some() {} };
    if tokio::time::timeout(LAST, ended).await.is_err() {
        tracing::warn!(channel = lane.name, "what was being sent at the stop took too long");
    }
}

async fn claim(
    lane: &Lane,
    store: &Store,
    room: usize,
) -> Result<(Vec<ClaimedDelivery>, Duration), String> {
    if room == 0 {
        return Ok((Vec::new(), LONGEST));
    }
    let (name, account) = (lane.name.clone(), lane.account.clone());
    // Most looks find nothing, and a look costs nobody anything.
    let now = clock::now();
    let next = store.next_delivery_at(&name, &account, now).map_err(|error| error.to_string())?;
    let Some(next) = next else { return Ok((Vec::new(), LONGEST)) };
    if next > now {
        return Ok((Vec::new(), next.since(now).min(LONGEST)));
    }
    let limit = u32::try_from(room).unwrap_or(u32::MAX);
    let claimed = store.claim_deliveries(name, account, limit, lane.lost(), now).await;
    let claimed = claimed.map_err(|error| format!("{error:?}"))?;
    Ok((claimed, Duration::ZERO))
}

impl Lane {
    /// What becomes of what was sent when nobody noted what came of it: it is sent again where the other side tells
    /// a repetition from a new message, so that nothing is told twice.
    fn lost(&self) -> Lost {
        match &self.carrier {
            Carrier::Chat(_) | Carrier::None => Lost::Unknown,
            Carrier::Webhook { .. } => Lost::Again,
        }
    }
}

/// Sends one delivery. A panic takes down this one and no other.
async fn send(lane: &Lane, store: &Store, delivery: ClaimedDelivery, stop: &CancellationToken) {
    let sent = AssertUnwindSafe(try_send(lane, store, &delivery, stop)).catch_unwind().await;
    if sent.is_err() {
        let error = "sending it panicked".to_owned();
        let progress = match lane.lost() {
            Lost::Again => Progress::Retry { after: None, error },
            Lost::Unknown => Progress::Unknown(error),
        };
        note(store, &delivery, progress, lane).await;
    }
}

/// Sends one delivery, part after part, unless it is to stop.
async fn try_send(
    lane: &Lane,
    store: &Store,
    delivery: &ClaimedDelivery,
    stop: &CancellationToken,
) {
    match &lane.carrier {
        Carrier::Chat(chat) => send_chat(lane, &**chat, store, delivery, stop).await,
        Carrier::None => {}
        Carrier::Webhook { .. } if stop.is_cancelled() => {
            note(store, delivery, Progress::Later, lane).await;
        }
        Carrier::Webhook { sender, secret } => {
            let body = if delivery.to.kind == BODY {
                delivery.text.clone()
            } else {
                let told = json!({
                    "id": delivery.id,
                    "source": delivery.source,
                    "sessionKey": delivery.session,
                    "text": delivery.text,
                    "createdAt": clock::rfc3339(delivery.created_at),
                });
                told.to_string()
            };
            let (url, body) = (&delivery.to.peer, body.into_bytes());
            let outcome = sender.post(url, body, &delivery.id, secret.as_ref(), clock::now()).await;
            let is_sent = matches!(outcome, SendOutcome::Sent { .. });
            note(store, delivery, progress(outcome, 1), lane).await;
            if is_sent {
                lane.happened(Happened::Sent, &delivery.id);
            }
        }
    }
}

async fn send_chat(
    lane: &Lane,
    chat: &dyn Channel,
    store: &Store,
    delivery: &ClaimedDelivery,
    stop: &CancellationToken,
) {
    let Some(to) = to_platform(&delivery.to) else {
        let dead = Progress::Dead("where it goes cannot be read".to_owned());
        note(store, delivery, dead, lane).await;
        return;
    };
    let mut all = match &delivery.poll {
        Some(poll) => {
            let (silent, poll) = (poll.is_silent(), Some(poll.clone()));
            vec![Part { poll, silent, ..Part::default() }]
        }
        None => parts(&delivery.text, chat.dialect()),
    };
    if !delivery.media.is_empty() {
        match all.last_mut() {
            Some(last) => last.media = Some(delivery.media.clone()),
            None => {
                all.push(Part { media: Some(delivery.media.clone()), ..Part::default() });
            }
        }
    }
    if let Some(first) = all.first_mut().filter(|_| !delivery.to.answers.is_empty()) {
        first.reply_to = Some(delivery.to.answers.clone());
    }
    if let Some(last) = all.last_mut() {
        let button =
            |(label, data): &(String, String)| Button { data: data.clone(), label: label.clone() };
        last.buttons = delivery.buttons.iter().map(button).collect();
    }
    let of = u32::try_from(all.len()).unwrap_or(u32::MAX);
    if of == 0 {
        let dead = Progress::Dead("there is nothing to say".to_owned());
        note(store, delivery, dead, lane).await;
        return;
    }
    for (number, part) in all.iter().enumerate().skip(delivery.gone) {
        if stop.is_cancelled() {
            note(store, delivery, Progress::Later, lane).await;
            return;
        }
        let key = format!("{}-{number}", delivery.id);
        let outcome = send_part(chat, &to, part, &key, stop).await;
        let is_sent = matches!(outcome, SendOutcome::Sent { .. });
        let goes_on = note(store, delivery, progress(outcome, of), lane).await;
        if is_sent && number.saturating_add(1) == all.len() {
            lane.happened(Happened::Sent, &delivery.id);
        }
        if !goes_on {
            return;
        }
    }
}

fn progress(outcome: SendOutcome, of: u32) -> Progress {
    match outcome {
        SendOutcome::Permanent { error, kind: _ } => Progress::Dead(error),
        SendOutcome::Retry { after, error } => Progress::Retry { after, error },
        SendOutcome::Sent { receipt } => Progress::Part { receipt, of },
        SendOutcome::Unknown { error } => Progress::Unknown(error),
    }
}

/// Notes what came of an attempt; returns whether the delivery goes on.
async fn note(store: &Store, delivery: &ClaimedDelivery, progress: Progress, lane: &Lane) -> bool {
    let failed = match &progress {
        Progress::Later | Progress::Part { .. } => None,
        Progress::Dead(error) => Some((Happened::Dead, error)),
        Progress::Retry { error, .. } => Some((Happened::Waiting, error)),
        Progress::Unknown(error) => Some((Happened::Unknown, error)),
    };
    if let Some((what, error)) = failed {
        let channel = &lane.name;
        tracing::warn!(delivery = delivery.id, channel, error, "a message did not arrive");
        // What went wrong may quote what was said.
        lane.happened(what, &delivery.id);
    }
    // Until it is noted nobody knows, so it is tried for as long as the lease lasts.
    for _ in 0..10 {
        match store.delivery_progress(delivery.fence, progress.clone(), clock::now()).await {
            Ok(goes_on) => return goes_on,
            Err(error) => {
                tracing::error!(
                    delivery = delivery.id,
                    ?error,
                    "what came of a message could not be noted"
                );
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures_util::future::BoxFuture;
    use openclaw_channels::{
        Destination, Dialect, FetchError, Identity, Ingress, ListenEnd, Media, PermanentKind,
        StatusSink,
    };
    use openclaw_sessions::DEFAULT_ACCOUNT;
    use openclaw_store::{Options, ReplyTo};

    use super::*;

    /// A platform that panics at `panic`, and holds what contains `slow` until it is let go.
    #[derive(Debug, Default)]
    struct Platform {
        go: Notify,
        heard: Notify,
        sent: Mutex<Vec<String>>,
    }

    impl Platform {
        fn sent(&self) -> Vec<String> {
            self.sent.lock().unwrap().clone()
        }
    }

    impl Channel for Platform {
        fn name(&self) -> &'static str {
            "chat"
        }

        fn account(&self) -> &'static str {
            DEFAULT_ACCOUNT
        }

        fn dialect(&self) -> Dialect {
            Dialect::Plain
        }

        fn replay_window(&self) -> Option<Duration> {
            None
        }

        fn send<'a>(
            &'a self,
            _: &'a Destination,
            part: &'a Part,
            _: &'a str,
        ) -> BoxFuture<'a, SendOutcome> {
            Box::pin(async {
                assert!(part.text != "panic", "as it was told");
                self.heard.notify_one();
                if part.text.contains("slow") {
                    self.go.notified().await;
                }
                self.sent.lock().unwrap().push(part.text.clone());
                SendOutcome::Sent { receipt: "r".into() }
            })
        }

        fn typing<'a>(&'a self, _: &'a Destination) -> BoxFuture<'a, ()> {
            Box::pin(async {})
        }

        fn fetch<'a>(
            &'a self,
            _: &'a Media,
            _: usize,
        ) -> BoxFuture<'a, Result<Vec<u8>, FetchError>> {
            Box::pin(async { Ok(Vec::new()) })
        }

        fn listen<'a>(
            &'a self,
            _: &'a dyn Ingress,
            _: &'a dyn StatusSink,
            _: &'a CancellationToken,
        ) -> BoxFuture<'a, ListenEnd> {
            Box::pin(async { ListenEnd::Cancelled })
        }

        fn check(&self) -> BoxFuture<'_, Result<Identity, SendOutcome>> {
            let (error, kind) = (String::new(), PermanentKind::Invalid);
            Box::pin(async move { Err(SendOutcome::Permanent { error, kind }) })
        }
    }

    /// A lane of a platform, and a store.
    struct Bed {
        _dir: tempfile::TempDir,
        lane: Arc<Lane>,
        platform: Arc<Platform>,
        store: Store,
        written: Notify,
    }

    impl Bed {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(dir.path(), &Options::new(Arc::new(clock::now))).unwrap();
            let platform = Arc::new(Platform::default());
            let carrier = Carrier::Chat(platform.clone());
            let lane = Lane::new("chat", carrier, "connected", String::new());
            Self { _dir: dir, lane, platform, store, written: Notify::new() }
        }

        async fn say(&self, peer: &str, text: &str) {
            let to = ReplyTo {
                channel: "chat".into(),
                account: DEFAULT_ACCOUNT.into(),
                kind: "direct".into(),
                peer: peer.into(),
                ..ReplyTo::default()
            };
            let source = format!("test:{peer}:{}", text.len());
            self.store.say_as_gateway(source, to, text.into(), clock::now()).await.unwrap();
        }

        /// Carries until so many messages were sent.
        async fn carry_until(&self, count: usize) {
            let stop = CancellationToken::new();
            let wait = async {
                while self.platform.sent().len() < count {
                    tokio::task::yield_now().await;
                }
                stop.cancel();
            };
            let both =
                async { tokio::join!(run(&self.lane, &self.written, &self.store, &stop), wait) };
            tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
        }

        /// What waits, and what failed.
        fn counts(&self) -> (u64, u64) {
            self.store.delivery_counts("chat").unwrap()
        }
    }

    #[tokio::test]
    async fn a_panic_takes_down_one_message_and_no_other() {
        let bed = Bed::new();
        bed.say("1", "panic").await;
        bed.say("1", "behind it").await;
        bed.say("2", "beside it").await;
        bed.carry_until(2).await;
        let mut sent = bed.platform.sent();
        sent.sort();
        assert_eq!(sent, ["behind it", "beside it"]);
        assert_eq!(bed.counts(), (0, 1));
    }

    #[tokio::test]
    //= docs/threat-model.md#T18
    async fn a_stop_lets_the_part_at_work_end_and_the_rest_waits() {
        let bed = Bed::new();
        let [first, second] = ["slow ".repeat(800), "rest ".repeat(200)];
        bed.say("1", &format!("{first}\n\n{second}")).await;
        bed.say("1", "behind it").await;
        let stop = CancellationToken::new();
        let stopping = async {
            bed.platform.heard.notified().await;
            stop.cancel();
            tokio::task::yield_now().await;
            bed.platform.go.notify_one();
        };
        tokio::join!(run(&bed.lane, &bed.written, &bed.store, &stop), stopping);
        assert_eq!(bed.platform.sent(), [first.trim()]);
        assert_eq!(bed.counts(), (2, 0), "neither is lost");
        bed.carry_until(3).await;
        assert_eq!(bed.platform.sent(), [first.trim(), second.trim(), "behind it"]);
        assert_eq!(bed.counts(), (0, 0));
    }

    #[tokio::test]
    async fn a_stop_waits_for_nothing_that_hangs() {
        let bed = Bed::new();
        bed.say("1", "slow").await;
        let stop = CancellationToken::new();
        let stopping = async {
            bed.platform.heard.notified().await;
            stop.cancel();
        };
        let both =
            async { tokio::join!(run(&bed.lane, &bed.written, &bed.store, &stop), stopping) };
        tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
        // Nobody knows: the next start says so.
        assert_eq!(bed.counts(), (1, 0));
        bed.say("2", "next").await;
        bed.carry_until(1).await;
        assert_eq!(bed.counts(), (0, 1));
    }
}
