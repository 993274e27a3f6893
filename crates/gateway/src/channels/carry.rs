//! Carrying what leaves on one channel: claims, sends, and notes what came of it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use openclaw_channels::{Button, Channel, Part, SendOutcome, parts};
use openclaw_store::{ClaimedDelivery, Lost, Progress, Store};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::destination::to_platform;
use super::{Carrier, Lane};
use crate::clock;
use crate::engine::Engine;

/// Deliveries of one channel at once: each to another place.
const AT_ONCE: usize = 8;
/// The longest sleep: the clock on the wall may be set meanwhile.
const LONGEST: Duration = Duration::from_secs(60);
/// How long after a failure of the storage is looked again.
const AGAIN: Duration = Duration::from_secs(1);

/// Carries what leaves on one channel until the gateway stops.
pub(super) async fn carry(lane: Arc<Lane>, engine: Engine, store: Store, stop: CancellationToken) {
    if matches!(lane.carrier, Carrier::None) {
        // What is written for it waits, and `channels status` says why.
        return;
    }
    if let Err(error) = store.lost_deliveries(lane.name.clone(), lane.lost(), clock::now()).await {
        tracing::error!(channel = lane.name, ?error, "what was being sent could not be settled");
    }
    let mut sending = FuturesUnordered::new();
    loop {
        // Before the look: what is written after it is then noticed.
        let mut change = std::pin::pin!(engine.outbox().notified());
        change.as_mut().enable();
        let room = AT_ONCE.saturating_sub(sending.len());
        let wait = match claim(&lane, &store, room).await {
            Ok((claimed, wait)) => {
                sending.extend(claimed.into_iter().map(|it| send(&lane, &store, it)));
                wait
            }
            Err(error) => {
                tracing::error!(channel = lane.name, error, "what is to be sent is unknown");
                AGAIN
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait), if room > 0 => {}
            () = change, if room > 0 => {}
            Some(()) = sending.next() => {}
        }
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
    let next = store.next_delivery_at(&name, &account).map_err(|error| error.to_string())?;
    let now = clock::now();
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

/// Sends one delivery, part after part.
async fn send(lane: &Lane, store: &Store, delivery: ClaimedDelivery) {
    match &lane.carrier {
        Carrier::Chat(chat) => send_chat(&**chat, store, &delivery).await,
        Carrier::None => {}
        Carrier::Webhook { sender, secret } => {
            let body = json!({
                "id": delivery.id,
                "source": delivery.source,
                "sessionKey": delivery.session,
                "text": delivery.text,
                "createdAt": clock::rfc3339(delivery.created_at),
            });
            let (url, body) = (&delivery.to.peer, body.to_string().into_bytes());
            let outcome = sender.post(url, body, &delivery.id, secret.as_ref(), clock::now()).await;
            note(store, &delivery, progress(outcome, 1), &lane.name).await;
        }
    }
}

async fn send_chat(chat: &dyn Channel, store: &Store, delivery: &ClaimedDelivery) {
    let Some(to) = to_platform(&delivery.to) else {
        let dead = Progress::Dead("where it goes cannot be read".to_owned());
        note(store, delivery, dead, chat.name()).await;
        return;
    };
    let mut all = parts(&delivery.text, chat.dialect());
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
        note(store, delivery, dead, chat.name()).await;
        return;
    }
    for (number, part) in all.iter().enumerate().skip(delivery.gone) {
        let key = format!("{}-{number}", delivery.id);
        let outcome = chat.send(&to, part, &key).await;
        let outcome = match (outcome, chat.replay_window()) {
            // The platform tells a repetition from a new message for so long.
            (SendOutcome::Unknown { error }, Some(window))
                if clock::now().since(delivery.created_at) < window / 2 =>
            {
                SendOutcome::Retry { after: None, error }
            }
            (outcome, _) => outcome,
        };
        if !note(store, delivery, progress(outcome, of), chat.name()).await {
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
async fn note(
    store: &Store,
    delivery: &ClaimedDelivery,
    progress: Progress,
    channel: &str,
) -> bool {
    match &progress {
        Progress::Later | Progress::Part { .. } => {}
        Progress::Dead(error) | Progress::Unknown(error) | Progress::Retry { error, .. } => {
            tracing::warn!(delivery = delivery.id, channel, error, "a message did not arrive");
        }
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
