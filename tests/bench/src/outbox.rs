//! Messages that leave, beside the same posts without an outbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use openclaw_channels::{SendOutcome, WebhookOptions, WebhookSender};
use openclaw_client::{Client, v1};
use openclaw_platforms::WebSink;

use crate::Effort;
use crate::place::Place;
use crate::process::Server;
use crate::statistics::{Ratio, median, percentile};
use crate::table::{Row, Section, rate, time};
use crate::writes::now;

/// Messages of one round, and how many are asked for at once.
const MESSAGES: usize = 400;
const WORKERS: usize = 32;
/// Posts that the gateway has on their way at once, on one channel.
const AT_ONCE: usize = 8;
/// Messages whose way is timed one by one.
const SINGLE: usize = 100;

/// Sends one message through the gateway.
async fn send(client: &Client, sink: &WebSink, key: String) -> anyhow::Result<()> {
    let request = v1::SendMessageRequest {
        idempotency_key: key,
        channel: "webhook".into(),
        to: sink.url(),
        text: "It is built.".into(),
        ..v1::SendMessageRequest::default()
    };
    client.messages().send(request).await?;
    Ok(())
}

/// Posts once, as the gateway does, with nothing before it.
async fn post(sender: &WebhookSender, url: &str, key: &str) -> anyhow::Result<()> {
    let body = br#"{"id":"dl-0123456789abcdef","source":"send:owner:key","sessionKey":"","text":"It is built."}"#;
    let outcome = sender.post(url, body.to_vec(), key, None, now()).await;
    ensure!(matches!(outcome, SendOutcome::Sent { .. }), "a post failed: {outcome:?}");
    Ok(())
}

/// How long a round of messages takes until the last has arrived.
async fn round(client: &Client, sink: &Arc<WebSink>, number: usize) -> anyhow::Result<Duration> {
    let (begun, before) = (Instant::now(), sink.count());
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..WORKERS {
        let (client, sink, next) = (client.clone(), Arc::clone(sink), Arc::clone(&next));
        tasks.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= MESSAGES {
                    return anyhow::Ok(());
                }
                send(&client, &sink, format!("m-{number}-{n}")).await?;
            }
        });
    }
    while let Some(sent) = tasks.join_next().await {
        sent??;
    }
    sink.wait_for(before + MESSAGES).await;
    Ok(begun.elapsed())
}

/// The same posts, as many at once as the gateway has.
async fn bare_round(sender: &WebhookSender, url: &str, number: usize) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let (sender, url, next) = (sender.clone(), url.to_owned(), Arc::clone(&next));
        tasks.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= MESSAGES {
                    return anyhow::Ok(());
                }
                post(&sender, &url, &format!("b-{number}-{n}")).await?;
            }
        });
    }
    while let Some(sent) = tasks.join_next().await {
        sent??;
    }
    Ok(begun.elapsed())
}

pub(crate) async fn measure(place: &Place, effort: Effort) -> anyhow::Result<Section> {
    let sink = Arc::new(WebSink::start().await);
    let config = format!("channels.webhook.allowAddresses = [\"{}\"]\n", sink.address());
    let server = Server::configured(place, &place.state("outbox")?, &config).await?;
    let client = server.connect().await?;
    let options = WebhookOptions {
        allow: std::iter::once(sink.address()).collect(),
        ..WebhookOptions::new(|_address| None, "openclaw-bench")
    };
    let (sender, url) = (WebhookSender::new(options), sink.url());
    let (mut ours, mut limit) = (Vec::new(), Vec::new());
    for number in 0..effort.rounds {
        let per_second = |took: Duration| MESSAGES as f64 / took.as_secs_f64();
        ours.push(per_second(round(&client, &sink, number).await?));
        limit.push(per_second(bare_round(&sender, &url, number).await?));
    }
    let ratio = Ratio::of(ours.iter().zip(&limit).map(|(ours, limit)| ours / limit));
    let figure = format!("messages sent and arrived, {WORKERS} at once");
    let middle = |rates: Vec<f64>| rate(median(rates));
    let mut throughput = Row::new(figure, middle(ours)).beside(middle(limit));
    throughput.ratio = Some(ratio);
    // One by one: from the request until it has arrived.
    let (mut ways, mut bare) = (Vec::new(), Vec::new());
    for n in 0..SINGLE {
        let (since, before) = (Instant::now(), sink.count());
        send(&client, &sink, format!("s-{n}")).await?;
        sink.wait_for(before + 1).await;
        ways.push(since.elapsed());
        let since = Instant::now();
        post(&sender, &url, &format!("bs-{n}")).await?;
        bare.push(since.elapsed());
    }
    let shown = |mut samples: Vec<Duration>| {
        samples.sort_unstable();
        format!("{} / {}", time(percentile(&samples, 0.5)), time(percentile(&samples, 0.99)))
    };
    let figure = "one message, from the request until it has arrived: p50 / p99";
    let single = Row::new(figure, shown(ways)).beside(shown(bare));
    Ok(Section {
        name: "outbox",
        title: "Messages that leave",
        measured: format!(
            "Messages to a webhook of this process: {MESSAGES} in a round, {WORKERS} asked for at once over the \
             wire, until the last has arrived. Each is a durable row before it leaves, is claimed, posted, and \
             its receipt is durable, too. The limit is the gateway's own sender called directly, {AT_ONCE} posts \
             at once, as the gateway has on one channel: a connection for each post, and nothing on the disk."
        ),
        rows: vec![throughput, single],
    })
}
