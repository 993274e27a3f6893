//! Tests of cool-downs, in virtual time: who is asked, who is passed over, and what is told of it.

use std::sync::{Mutex, PoisonError};

use super::*;

/// A model that fails so, if at all, and notes that it was asked.
#[derive(Debug)]
struct Noted {
    asked: Arc<Mutex<Vec<&'static str>>>,
    error: Option<ModelError>,
    name: &'static str,
}

impl Model for Noted {
    fn name(&self) -> &str {
        self.name.split_once('@').map_or(self.name, |(name, _)| name)
    }

    fn profile(&self) -> &str {
        self.name.split_once('@').map_or("", |(_, profile)| profile)
    }

    fn respond(&self, _: ModelRequest) -> BoxStream<'static, Result<ModelEvent, ModelError>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(self.name);
        let message = AssistantMessage { model: self.name.into(), ..AssistantMessage::default() };
        let end = self.error.clone().map_or(Ok(ModelEvent::Finished(message)), Err);
        stream::iter([end]).boxed()
    }
}

type Models = [(&'static str, Option<ModelError>)];

fn chain(
    health: &Arc<Health>,
    models: &Models,
    asked: &Arc<Mutex<Vec<&'static str>>>,
) -> ModelChain {
    let mut models = models.iter().map(|(name, error)| -> Arc<dyn Model> {
        Arc::new(Noted { asked: Arc::clone(asked), error: error.clone(), name })
    });
    let primary = models.next().unwrap();
    let policy =
        RetryPolicy { rate_limit_attempts: 1, transient_retries: 0, ..RetryPolicy::default() };
    let jitter = Arc::new(Never(0));
    ModelChain::new(primary, models.collect(), policy, jitter, Arc::clone(health))
}

fn request() -> ModelRequest {
    ModelRequest {
        pictures: crate::Pictures::default(),
        attempt: 0,
        max_output_tokens: None,
        messages: Vec::new(),
        system: "".into(),
        tools: [].into(),
    }
}

/// Asks once; returns who was asked, and what was told: `failure>next …`, then the end.
async fn turn(health: &Arc<Health>, models: &Models) -> (String, String) {
    let asked = Arc::default();
    let events: Vec<_> = chain(health, models, &asked).respond(request()).collect().await;
    let told: Vec<_> = events
        .into_iter()
        .map(|event| match event {
            Ok(ModelEvent::Finished(_)) => "ok".to_owned(),
            Ok(ModelEvent::Retrying(retry)) => {
                assert_eq!(retry.delay, Duration::ZERO);
                format!("{}>{}", retry.error.name(), retry.next)
            }
            Ok(other) => format!("{other:?}"),
            Err(error) => error.name().to_owned(),
        })
        .collect();
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner).join(" ");
    (asked, told.join(" "))
}

/// A turn after so many seconds; each model fails so, or answers.
type Row<'a> = (u64, Vec<(&'static str, Option<ModelError>)>, &'a str, &'a str);

async fn check(rows: Vec<Row<'_>>) {
    let health = Arc::default();
    for (row, (seconds, models, asked, told)) in rows.into_iter().enumerate() {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        let outcome = turn(&health, &models).await;
        assert_eq!((outcome.0.as_str(), outcome.1.as_str()), (asked, told), "row {row}");
    }
}

const A: &str = "p/a";
const B: &str = "q/b";
const C: &str = "r/c";

#[tokio::test(start_paused = true)]
#[rustfmt::skip]
async fn a_model_that_gave_up_is_passed_over_until_it_has_cooled_down() {
    let limit = || Some(limited(0));
    check(vec![
        // after  models                         asked      told
        (   0, vec![(A, limit()), (B, None)],    "p/a q/b", "rate-limited>q/b ok"),
        (   0, vec![(A, limit()), (B, None)],    "q/b",     "cooling-down>q/b ok"),
        (  29, vec![(A, limit()), (B, None)],    "q/b",     "cooling-down>q/b ok"),
        (   1, vec![(A, limit()), (B, None)],    "p/a q/b", "rate-limited>q/b ok"),
        (  59, vec![(A, limit()), (B, None)],    "q/b",     "cooling-down>q/b ok"),
        (   1, vec![(A, limit()), (B, None)],    "p/a q/b", "rate-limited>q/b ok"),
        ( 299, vec![(A, limit()), (B, None)],    "q/b",     "cooling-down>q/b ok"),
        (   1, vec![(A, None),    (B, None)],    "p/a",     "ok"),
        (   0, vec![(A, limit()), (B, None)],    "p/a q/b", "rate-limited>q/b ok"),
        (  30, vec![(A, None),    (B, None)],    "p/a",     "ok"),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
#[rustfmt::skip]
async fn a_provider_without_money_is_passed_over_with_all_its_models() {
    let unpaid = || Some(ModelError::Billing { detail: Detail::default() });
    let limit = || Some(limited(0));
    check(vec![
        // after  models                                            asked        told
        (   0, vec![(A, unpaid()), (B, None)],                      "p/a q/b",   "billing>q/b ok"),
        ( 599, vec![("p/z", unpaid()), (B, None)],                  "q/b",       "cooling-down>q/b ok"),
        (   0, vec![(A, unpaid()), ("p/z", unpaid()), (B, None)],   "q/b",       "cooling-down>q/b cooling-down>q/b ok"),
        (   1, vec![(A, unpaid()), ("p/z", unpaid()), (B, None)],   "p/a q/b",   "billing>q/b cooling-down>q/b ok"),
        ( 600, vec![(A, limit()), ("p/z", None)],                   "p/a p/z",   "rate-limited>p/z ok"),
        (   0, vec![("p/z", None)],                                 "p/z",       "ok"),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
#[rustfmt::skip]
async fn when_all_cool_down_the_first_to_be_ready_is_asked() {
    let unpaid = || Some(ModelError::Billing { detail: Detail::default() });
    let limit = || Some(limited(0));
    check(vec![
        // after  models                                            asked           told
        (   0, vec![(A, unpaid())],                                 "p/a",          "billing"),
        (   0, vec![(A, unpaid())],                                 "p/a",          "billing"),
        (   0, vec![(A, unpaid()), (B, limit()), (C, limit())],     "q/b r/c p/a",  "cooling-down>q/b rate-limited>r/c rate-limited>p/a billing"),
        (   0, vec![(A, unpaid()), (C, None), (B, None)],           "r/c",          "cooling-down>r/c ok"),
        (   0, vec![(A, unpaid()), (B, None)],                      "q/b",          "cooling-down>q/b ok"),
        (   0, vec![(A, None)],                                     "p/a",          "ok"),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
#[rustfmt::skip]
async fn what_is_passed_over_is_asked_before_the_chain_fails() {
    let unpaid = || Some(ModelError::Billing { detail: Detail::default() });
    let bad = || Some(ModelError::InvalidRequest { detail: Detail::default() });
    let long = || Some(ModelError::ContextOverflow { detail: Detail::default() });
    check(vec![
        // after  models                                  asked       told
        (   0, vec![(A, unpaid())],                       "p/a",      "billing"),
        (   0, vec![(A, unpaid()), (B, bad())],           "q/b p/a",  "cooling-down>q/b invalid-request>p/a billing"),
        // What would be too long for those after it may fit into one that comes before it.
        (   0, vec![(A, None), (B, long()), (C, None)],   "q/b p/a",  "cooling-down>q/b context-overflow>p/a ok"),
        (   0, vec![(A, long()), (B, None)],              "p/a",      "context-overflow"),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_bad_session_harms_no_other() {
    let detail = Detail::default();
    for error in [
        ModelError::ContextOverflow { detail: detail.clone() },
        ModelError::InvalidRequest { detail: detail.clone() },
        ModelError::ModelNotFound { detail },
        ModelError::network("x"),
        ModelError::protocol("x"),
        ModelError::timeout("x"),
    ] {
        let health = Arc::default();
        for _ in 0..10 {
            turn(&health, &[(A, Some(error.clone())), (B, None)]).await;
        }
        let (asked, told) = turn(&health, &[(A, None), (B, None)]).await;
        assert_eq!((asked.as_str(), told.as_str()), ("p/a", "ok"), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_is_cancelled_counts_neither_way() {
    let health = Arc::default();
    turn(&health, &[(A, Some(limited(0)))]).await;
    for (name, until) in [(A, 0), (B, u32::MAX)] {
        let model = Arc::new(Failing { error: limited(0), name, until });
        let (policy, jitter) = (RetryPolicy::default(), Arc::new(Never(0)));
        let chain = ModelChain::new(model, Vec::new(), policy, jitter, Arc::clone(&health));
        let mut answer = chain.respond(request());
        assert!(matches!(answer.next().await, Some(Ok(ModelEvent::Text(_)))));
        if name == B {
            assert!(matches!(answer.next().await, Some(Ok(ModelEvent::Retrying(_)))));
        }
    }
    let (asked, told) = turn(&health, &[(A, None), (B, None)]).await;
    assert_eq!((asked.as_str(), told.as_str()), ("q/b", "cooling-down>q/b ok"));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_passed_over_is_told_once_in_each_request() {
    let health = Arc::default();
    let bad = || Some(ModelError::InvalidRequest { detail: Detail::default() });
    turn(&health, &[(A, Some(limited(0)))]).await;
    let (asked, told) = turn(&health, &[(A, None), (B, bad()), (C, None)]).await;
    assert_eq!(asked, "q/b r/c");
    assert_eq!(told, "cooling-down>q/b invalid-request>r/c ok");
}

#[tokio::test(start_paused = true)]
async fn chains_share_what_they_are_given_and_nothing_else() {
    let (shared, own) = (Arc::default(), Arc::default());
    turn(&shared, &[(A, Some(limited(0)))]).await;
    for (health, expected) in [(&shared, "q/b"), (&own, "p/a")] {
        let (asked, _) = turn(health, &[(A, None), (B, None)]).await;
        assert_eq!(asked, expected);
    }
}

#[tokio::test(start_paused = true)]
#[rustfmt::skip]
async fn a_key_that_is_refused_says_nothing_of_the_others() {
    let unpaid = || Some(ModelError::Billing { detail: Detail::default() });
    let refused = || Some(ModelError::Auth { detail: Detail::default() });
    let one = "p/a@K1"; let two = "p/a@K2"; let three = "p/a@K3";
    check(vec![
        // after  models                                                 asked                   told
        (   0, vec![(one, refused()), (two, None), (B, None)],           "p/a@K1 p/a@K2",        "auth>p/a ok"),
        // The next one under the other key at once; nobody is told that again.
        (   0, vec![(one, None),      (two, None), (B, None)],           "p/a@K2",               "ok"),
        ( 599, vec![("p/z@K1", None), ("p/z@K2", None)],                 "p/z@K2",               "ok"),
        (   1, vec![(one, None),      (two, None), (B, None)],           "p/a@K1",               "ok"),
        // All of them in turn, then another model.
        (   0, vec![(one, unpaid()),  (two, refused()), (three, unpaid()), (B, None)],
            "p/a@K1 p/a@K2 p/a@K3 q/b", "billing>p/a auth>p/a billing>q/b ok"),
        (   0, vec![(one, None),      (two, None), (three, None), (B, None)], "q/b", "cooling-down>q/b cooling-down>q/b cooling-down>q/b ok"),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
#[rustfmt::skip]
async fn where_there_is_no_room_one_other_key_is_tried() {
    let limit = || Some(limited(0));
    let wrong = || Some(ModelError::InvalidRequest { detail: Detail::default() });
    let one = "p/a@K1"; let two = "p/a@K2"; let three = "p/a@K3";
    check(vec![
        // after  models                                                    asked               told
        (   0, vec![(one, limit()), (two, None)],                           "p/a@K1 p/a@K2",    "rate-limited>p/a ok"),
        // A key is limited for its model, and not for others.
        (   0, vec![("p/z@K1", None), ("p/z@K2", None)],                    "p/z@K1",           "ok"),
        (  30, vec![(one, limit()), (two, limit()), (three, None), (B, None)], "p/a@K1 p/a@K2 q/b", "rate-limited>p/a rate-limited>q/b ok"),
        // What another key would not help is not asked again under it.
        ( 600, vec![(one, wrong()), (two, None), (B, None)],                "p/a@K1 q/b",       "invalid-request>q/b ok"),
    ])
    .await;
}
