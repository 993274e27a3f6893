//! Sending one part of a delivery: once, and again only where the platform tells a repetition from a new message.

use std::time::Duration;

use openclaw_channels::{Channel, Destination, Part, SendOutcome};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long after an attempt of which the fate cannot be told the same is sent again.
const AGAIN: Duration = Duration::from_secs(5);

/// Sends one part under its key.
///
/// One that may have arrived is sent again at once, under the same key, for as long as the platform certainly knows
/// that key. It is never put off: by then the platform may have forgotten it, and would tell it twice. So whatever
/// comes of a repetition but a receipt, whether it arrived cannot be told.
//= docs/threat-model.md#T18
pub(super) async fn send_part(
    chat: &dyn Channel,
    to: &Destination,
    part: &Part,
    key: &str,
    stop: &CancellationToken,
) -> SendOutcome {
    // Half of the time is for the way to the platform.
    let until = chat.replay_window().and_then(|window| Instant::now().checked_add(window / 2));
    let mut outcome = chat.send(to, part, key).await;
    while let SendOutcome::Unknown { .. } = outcome {
        let next = Instant::now().checked_add(AGAIN).filter(|next| until > Some(*next));
        let Some(next) = next else { break };
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = stop.cancelled() => break,
        }
        outcome = match chat.send(to, part, key).await {
            SendOutcome::Permanent { error, kind: _ }
            | SendOutcome::Retry { after: _, error }
            | SendOutcome::Unknown { error } => SendOutcome::Unknown { error },
            SendOutcome::Sent { receipt } => SendOutcome::Sent { receipt },
        };
    }
    outcome
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use futures_util::future::BoxFuture;
    use openclaw_channels::{
        Dialect, FetchError, Identity, Ingress, ListenEnd, Media, PermanentKind, StatusSink,
    };
    use openclaw_sessions::{ChatType, DEFAULT_ACCOUNT};

    use super::*;

    /// A platform that answers as it is told, and then that it cannot be told.
    #[derive(Debug)]
    struct Platform {
        answers: Mutex<VecDeque<SendOutcome>>,
        attempts: Mutex<Vec<(String, Duration)>>,
        begun: Instant,
        window: Option<Duration>,
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
            self.window
        }

        fn send<'a>(
            &'a self,
            _: &'a Destination,
            _: &'a Part,
            key: &'a str,
        ) -> BoxFuture<'a, SendOutcome> {
            Box::pin(async {
                self.attempts.lock().unwrap().push((key.to_owned(), self.begun.elapsed()));
                self.answers.lock().unwrap().pop_front().unwrap_or_else(unknown)
            })
        }

        fn typing<'a>(&'a self, _: &'a Destination) -> BoxFuture<'a, ()> {
            Box::pin(async {})
        }

        fn listen<'a>(
            &'a self,
            _: &'a dyn Ingress,
            _: &'a dyn StatusSink,
            _: &'a CancellationToken,
        ) -> BoxFuture<'a, ListenEnd> {
            Box::pin(async { ListenEnd::Cancelled })
        }

        fn fetch<'a>(
            &'a self,
            _: &'a Media,
            _: usize,
        ) -> BoxFuture<'a, Result<Vec<u8>, FetchError>> {
            Box::pin(async { Err(FetchError::Refused("nothing is kept here".to_owned())) })
        }

        fn check(&self) -> BoxFuture<'_, Result<Identity, SendOutcome>> {
            Box::pin(async { Err(unknown()) })
        }
    }

    fn unknown() -> SendOutcome {
        SendOutcome::Unknown { error: "no answer".into() }
    }

    fn sent() -> SendOutcome {
        SendOutcome::Sent { receipt: "r".into() }
    }

    fn limited() -> SendOutcome {
        SendOutcome::Retry { after: Some(Duration::from_secs(3_600)), error: "limited".into() }
    }

    fn refused() -> SendOutcome {
        SendOutcome::Permanent { error: "refused".into(), kind: PermanentKind::Forbidden }
    }

    #[tokio::test(start_paused = true)]
    //= docs/threat-model.md#T18
    async fn what_may_have_arrived_is_sent_again_only_while_the_platform_knows_its_key() {
        let minute = Some(Duration::from_secs(60));
        #[rustfmt::skip]
        let table = [
            // window  answers                                  outcome    attempts
            (None,   vec![unknown(), sent()],                  unknown(), 1),
            (None,   vec![limited()],                          limited(), 1),
            (minute, vec![sent()],                             sent(),    1),
            (minute, vec![limited(), sent()],                  limited(), 1),
            (minute, vec![refused(), sent()],                  refused(), 1),
            (minute, vec![unknown(), sent()],                  sent(),    2),
            (minute, vec![unknown(), limited(), sent()],       sent(),    3),
            (minute, vec![],                                   unknown(), 6),
            (minute, [unknown(), limited()].into_iter().chain([(); 9].map(|()| limited())).collect(),
                SendOutcome::Unknown { error: "limited".into() }, 6),
            (minute, [unknown(), refused()].into_iter().chain([(); 9].map(|()| refused())).collect(),
                SendOutcome::Unknown { error: "refused".into() }, 6),
        ];
        for (window, answers, expected, attempts) in table {
            let place = format!("{window:?} {answers:?}");
            let (answers, begun) = (Mutex::new(answers.into()), Instant::now());
            let platform = Platform { answers, attempts: Mutex::default(), begun, window };
            let to = Destination {
                account: DEFAULT_ACCOUNT.into(),
                channel: "chat".into(),
                kind: ChatType::Direct,
                peer: "1".into(),
                thread: None,
            };
            let stop = CancellationToken::new();
            let outcome = send_part(&platform, &to, &Part::default(), "key", &stop).await;
            let made = platform.attempts.lock().unwrap();
            assert_eq!((outcome, made.len()), (expected, attempts), "{place}");
            let in_time = |(key, at): &(String, Duration)| key == "key" && at.as_secs() < 30;
            assert!(made.iter().all(in_time), "{place}: {made:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_does_not_wait_for_a_repetition() {
        let (answers, begun) = (Mutex::default(), Instant::now());
        let window = Some(Duration::from_secs(60));
        let platform = Platform { answers, attempts: Mutex::default(), begun, window };
        let to = Destination {
            account: DEFAULT_ACCOUNT.into(),
            channel: "chat".into(),
            kind: ChatType::Direct,
            peer: "1".into(),
            thread: None,
        };
        let stop = CancellationToken::new();
        stop.cancel();
        let outcome = send_part(&platform, &to, &Part::default(), "key", &stop).await;
        assert_eq!((outcome, begun.elapsed()), (unknown(), Duration::ZERO));
    }
}
