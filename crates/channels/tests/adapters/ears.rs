//! A gateway that remembers what it hears, and refuses when told to.

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use openclaw_channels::{
    ButtonPress, Channel, ConnectionStatus, Inbound, Ingress, IngressError, ListenEnd, StatusSink,
};
use openclaw_platforms::soon;

/// What was heard, and how often it is still refused.
#[derive(Debug, Default)]
pub(crate) struct Ears {
    heard: watch::Sender<Heard>,
    refusals: Mutex<usize>,
}

#[derive(Debug, Default)]
struct Heard {
    messages: Vec<Inbound>,
    offers: usize,
    presses: Vec<ButtonPress>,
    statuses: Vec<ConnectionStatus>,
}

impl Ears {
    /// Refuses what is offered, so many times.
    pub(crate) fn refuse(&self, times: usize) {
        *self.refusals.lock().unwrap() += times;
    }

    /// Waits for so many messages in all, and returns them.
    pub(crate) async fn messages(&self, count: usize) -> Vec<Inbound> {
        self.wait(|heard| heard.messages.len() >= count).await;
        self.heard.borrow().messages.clone()
    }

    /// Waits for so many messages in all, and returns what they say.
    pub(crate) async fn texts(&self, count: usize) -> Vec<String> {
        self.messages(count).await.into_iter().map(|message| message.text).collect()
    }

    /// Waits for so many presses in all, and returns them.
    pub(crate) async fn presses(&self, count: usize) -> Vec<ButtonPress> {
        self.wait(|heard| heard.presses.len() >= count).await;
        self.heard.borrow().presses.clone()
    }

    /// Waits until something was offered so many times in all.
    pub(crate) async fn offers(&self, count: usize) {
        self.wait(|heard| heard.offers >= count).await;
    }

    /// Waits until the connection has been there so many times in all.
    pub(crate) async fn connected(&self, count: usize) {
        let is = |status: &&ConnectionStatus| **status == ConnectionStatus::Connected;
        self.wait(|heard| heard.statuses.iter().filter(is).count() >= count).await;
    }

    /// Waits until the connection was reported lost so many times in all.
    pub(crate) async fn lost(&self, count: usize) {
        let is =
            |status: &&ConnectionStatus| matches!(status, ConnectionStatus::Reconnecting { .. });
        self.wait(|heard| heard.statuses.iter().filter(is).count() >= count).await;
    }

    /// Returns the last that was said about the connection.
    pub(crate) fn status(&self) -> Option<ConnectionStatus> {
        self.heard.borrow().statuses.last().cloned()
    }

    async fn wait(&self, holds: impl Fn(&Heard) -> bool) {
        soon(self.heard.subscribe().wait_for(|heard| holds(heard))).await.unwrap();
    }

    fn offered(&self) -> Result<(), IngressError> {
        self.heard.send_modify(|heard| heard.offers += 1);
        let mut refusals = self.refusals.lock().unwrap();
        if *refusals > 0 {
            *refusals -= 1;
            return Err(IngressError { reason: "the disk is full".to_owned() });
        }
        Ok(())
    }
}

impl Ingress for Ears {
    fn accept<'a>(&'a self, message: Inbound) -> BoxFuture<'a, Result<(), IngressError>> {
        Box::pin(async move {
            self.offered()?;
            self.heard.send_modify(|heard| heard.messages.push(message));
            Ok(())
        })
    }

    fn pressed<'a>(&'a self, press: ButtonPress) -> BoxFuture<'a, Result<(), IngressError>> {
        Box::pin(async move {
            self.offered()?;
            self.heard.send_modify(|heard| heard.presses.push(press));
            Ok(())
        })
    }
}

impl StatusSink for Ears {
    fn status(&self, status: ConnectionStatus) {
        self.heard.send_modify(|heard| heard.statuses.push(status));
    }
}

/// A channel that is listened to.
#[derive(Debug)]
pub(crate) struct Listening {
    cancel: CancellationToken,
    pub(crate) ears: Arc<Ears>,
    task: JoinHandle<ListenEnd>,
}

impl Listening {
    /// Begins to listen.
    pub(crate) fn to(channel: Arc<dyn Channel>) -> Self {
        Self::with(channel, Arc::new(Ears::default()))
    }

    /// Begins to listen with ears that may have heard something before.
    #[expect(clippy::disallowed_methods, reason = "a test has no supervisor of tasks")]
    pub(crate) fn with(channel: Arc<dyn Channel>, ears: Arc<Ears>) -> Self {
        let cancel = CancellationToken::new();
        let (its_ears, its_cancel) = (Arc::clone(&ears), cancel.clone());
        let task =
            tokio::spawn(async move { channel.listen(&*its_ears, &*its_ears, &its_cancel).await });
        Self { cancel, ears, task }
    }

    /// Stops listening.
    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        assert_eq!(soon(self.task).await.unwrap(), ListenEnd::Cancelled);
        assert_eq!(self.ears.status(), Some(ConnectionStatus::Stopped));
    }

    /// Waits until it ends by itself, and returns why.
    pub(crate) async fn end(self) -> ListenEnd {
        soon(self.task).await.unwrap()
    }

    /// Breaks off as a crash does.
    pub(crate) async fn crash(self) {
        self.task.abort();
        assert!(soon(self.task).await.is_err());
    }
}
