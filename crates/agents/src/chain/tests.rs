//! Tests of the chain, in virtual time: who is asked, how often, and how long is waited.

mod cool_down;

use openclaw_sessions::AssistantMessage;

use super::*;
use crate::model::Detail;

/// A model that fails in the same way every time, after some text, until an attempt.
#[derive(Debug)]
struct Failing {
    name: &'static str,
    error: ModelError,
    until: u32,
}

impl Model for Failing {
    fn name(&self) -> &str {
        self.name
    }

    fn respond(&self, request: ModelRequest) -> BoxStream<'static, Result<ModelEvent, ModelError>> {
        let text = Ok(ModelEvent::Text("t".into()));
        let end = if request.attempt < self.until {
            Err(self.error.clone())
        } else {
            let model = self.name.to_owned();
            Ok(ModelEvent::Finished(AssistantMessage { model, ..AssistantMessage::default() }))
        };
        stream::iter([text, end]).boxed()
    }
}

#[derive(Debug)]
struct Never(u32);

impl Jitter for Never {
    fn next(&self) -> u32 {
        self.0
    }
}

struct Outcome {
    end: Result<String, &'static str>,
    retries: Vec<(String, Duration)>,
    took: Duration,
}

async fn ask(models: Vec<(&'static str, ModelError, u32)>) -> Outcome {
    let mut models = models
        .into_iter()
        .map(|(name, error, until)| -> Arc<dyn Model> { Arc::new(Failing { name, error, until }) });
    let primary = models.next().unwrap();
    let chain = ModelChain::new(
        primary,
        models.collect(),
        RetryPolicy::default(),
        Arc::new(Never(0)),
        Arc::default(),
    );
    let start = Instant::now();
    let request = ModelRequest {
        pictures: crate::Pictures::default(),
        attempt: 0,
        max_output_tokens: None,
        messages: Vec::new(),
        system: "".into(),
        tools: [].into(),
    };
    let events: Vec<_> = chain.respond(request).collect().await;
    let mut outcome = Outcome { end: Err("nothing"), retries: Vec::new(), took: start.elapsed() };
    for event in events {
        assert_eq!(outcome.end, Err("nothing"), "nothing follows the end");
        match event {
            Ok(ModelEvent::Finished(message)) => outcome.end = Ok(message.model),
            Ok(ModelEvent::Retrying(retry)) => outcome.retries.push((retry.next, retry.delay)),
            Ok(_) => {}
            Err(error) => outcome.end = Err(error.name()),
        }
    }
    outcome
}

fn limited(seconds: u64) -> ModelError {
    let retry_after = (seconds > 0).then(|| Duration::from_secs(seconds));
    ModelError::RateLimited { detail: Detail::default(), retry_after }
}

#[tokio::test(start_paused = true)]
async fn who_is_asked_and_how_long_it_takes() {
    let detail = Detail::default();
    let network = ModelError::network("x");
    let auth = ModelError::Auth { detail: detail.clone() };
    let overflow = ModelError::ContextOverflow { detail };
    let last = ("b/b", network.clone(), 0);
    let all = u32::MAX;
    #[rustfmt::skip]
    let table = [
        // models                                             end                     retries  seconds
        (vec![("a/a", network.clone(), 0)],                    Ok("a/a"),                   0, 0),
        (vec![("a/a", network.clone(), 2)],                    Ok("a/a"),                   2, 1 + 2),
        (vec![("a/a", network.clone(), all)],                  Err("network"),              7, 1 + 2 + 4 + 8 + 16 + 30 + 30),
        (vec![("a/a", network.clone(), all), last.clone()],    Ok("b/b"),                   8, 91),
        (vec![("a/a", limited(0), all)],                       Err("rate-limited"),         9, 1 + 2 + 4 + 8 + 16 + 30 * 4),
        (vec![("a/a", limited(20), 1)],                        Ok("a/a"),                   1, 20),
        (vec![("a/a", limited(90), 1)],                        Ok("a/a"),                   1, 90),
        (vec![("a/a", limited(90), 1), last.clone()],          Ok("a/a"),                   1, 60),
        (vec![("a/a", limited(86_400), all)],                  Err("rate-limited"),         0, 0),
        (vec![("a/a", auth.clone(), all), last.clone()],       Ok("b/b"),                   1, 0),
        (vec![("a/a", auth.clone(), all)],                     Err("auth"),                 0, 0),
        (vec![("a/a", overflow, all), last.clone()],           Err("context-overflow"),     0, 0),
        (vec![("a/a", auth, all), ("b/b", network, 1)],        Ok("b/b"),                   2, 1),
    ];
    for (models, end, retries, seconds) in table {
        let case = format!("{models:?}");
        let outcome = ask(models).await;
        assert_eq!(outcome.end, end.map(str::to_owned), "{case}");
        assert_eq!(outcome.retries.len(), retries, "{case}");
        assert_eq!(outcome.took, Duration::from_secs(seconds), "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_says_that_the_text_is_void_before_more_text_comes() {
    let chain = ModelChain::new(
        Arc::new(Failing { error: ModelError::network("x"), name: "a/a", until: 1 }),
        Vec::new(),
        RetryPolicy::default(),
        Arc::new(Never(0)),
        Arc::default(),
    );
    let request = ModelRequest {
        pictures: crate::Pictures::default(),
        attempt: 0,
        max_output_tokens: None,
        messages: Vec::new(),
        system: "".into(),
        tools: [].into(),
    };
    let events: Vec<_> = chain.respond(request).collect().await;
    assert!(matches!(
        events.as_slice(),
        [
            Ok(ModelEvent::Text(_)),
            Ok(ModelEvent::Retrying(_)),
            Ok(ModelEvent::Text(_)),
            Ok(ModelEvent::Finished(_)),
        ]
    ));
}

#[test]
fn backoff_doubles_is_capped_and_spread() {
    let policy = RetryPolicy::default();
    for (count, seconds) in [(1, 1), (2, 2), (5, 16), (6, 30), (99, 30), (u32::MAX, 30)] {
        let full = Duration::from_secs(seconds);
        assert_eq!(policy.backoff(count, 0), full);
        assert_eq!(policy.backoff(count, u32::MAX), full / 2);
        let some = policy.backoff(count, u32::MAX / 3);
        assert!(full / 2 < some && some < full, "{some:?}");
    }
}

#[test]
fn seeded_jitter_follows_from_its_seed_and_spreads() {
    let numbers = |seed| -> Vec<u32> {
        let jitter = SeededJitter::new(seed);
        (0..1000).map(|_| jitter.next()).collect()
    };
    assert_eq!(numbers(7), numbers(7));
    assert_ne!(numbers(7), numbers(8));
    let low = numbers(7).iter().filter(|number| **number < u32::MAX / 2).count();
    assert!((400..600).contains(&low), "{low} of 1000 in the lower half");
}
