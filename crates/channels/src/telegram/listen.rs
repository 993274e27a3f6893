//! Listening to Telegram: long polling, confirmed update by update.
//!
//! A question for news names the first update that it wants; with that, Telegram forgets those
//! before. It names the one behind the last that the ingress took, so that what was not taken comes
//! again, after a crash too.

use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::port::{
    ConnectionStatus, Ingress, IngressError, ListenEnd, PermanentKind, SendOutcome, StatusSink,
};

use super::api::Me;
use super::update::{Update, number};
use super::{NAME, Telegram};

/// Listens until it is cancelled or will never be let in.
pub(super) async fn listen(
    telegram: &Telegram,
    ingress: &dyn Ingress,
    status: &dyn StatusSink,
    cancel: &CancellationToken,
) -> ListenEnd {
    let mut listener =
        Listener { failures: 0, ingress, offset: None, refusals: 0, status, telegram };
    status.status(ConnectionStatus::Connecting);
    let end = tokio::select! {
        () = cancel.cancelled() => ListenEnd::Cancelled,
        end = listener.run() => end,
    };
    status.status(ConnectionStatus::Stopped);
    end
}

struct Listener<'a> {
    /// Attempts in a row that failed.
    failures: u32,
    ingress: &'a dyn Ingress,
    /// The first update that is wanted.
    offset: Option<i64>,
    /// Offers to the ingress in a row that it did not take.
    refusals: u32,
    status: &'a dyn StatusSink,
    telegram: &'a Telegram,
}

impl Listener<'_> {
    async fn run(&mut self) -> ListenEnd {
        let me = loop {
            match self.telegram.api.me().await {
                Ok(me) => break me,
                Err(outcome) => {
                    if let Err(end) = self.failed(outcome).await {
                        return end;
                    }
                }
            }
        };
        self.connected();
        loop {
            let updates = match self.telegram.api.updates(self.offset).await {
                Ok(updates) => updates,
                Err(outcome) => match self.failed(outcome).await {
                    Ok(()) => continue,
                    Err(end) => return end,
                },
            };
            if self.failures > 0 {
                self.connected();
            }
            if updates.is_empty() {
                // Everything before is confirmed now. Keeping the number would hide what comes
                // after a week of silence: Telegram then counts from anywhere.
                self.offset = None;
                continue;
            }
            let before = self.offset;
            match self.hear(updates, &me).await {
                Err(error) => self.refused(&error).await,
                Ok(()) if self.offset == before => {
                    let error = "the updates have no numbers".to_owned();
                    if let Err(end) = self.failed(SendOutcome::Unknown { error }).await {
                        return end;
                    }
                }
                Ok(()) => self.refusals = 0,
            }
        }
    }

    fn connected(&mut self) {
        self.failures = 0;
        self.status.status(ConnectionStatus::Connected);
    }

    /// Hands on what is new, one by one; what is not taken is asked for again, and all behind it.
    async fn hear(&mut self, updates: Vec<Value>, me: &Me) -> Result<(), IngressError> {
        for update in updates {
            let Some(number) = number(&update) else { continue };
            match serde_json::from_value::<Update>(update) {
                Ok(update) => self.update(&update, me).await?,
                Err(error) => warn!(
                    channel.name = NAME,
                    channel.account = self.telegram.account,
                    %error,
                    "an update cannot be read and was skipped"
                ),
            }
            self.offset = Some(number.saturating_add(1));
        }
        Ok(())
    }

    async fn update(&self, update: &Update, me: &Me) -> Result<(), IngressError> {
        let account = &self.telegram.account;
        if let Some(message) = &update.message
            && let Some(inbound) = message.inbound(account, me)
        {
            self.ingress.accept(inbound).await?;
        }
        if let Some(callback) = &update.callback_query {
            if let Some(press) = callback.press(account) {
                self.ingress.pressed(press).await?;
            }
            // Until then, the button of whoever pressed it shows that it waits.
            if let Err(refusal) = self.telegram.api.answer_press(&callback.id).await {
                debug!(channel.account = account, ?refusal, "a press was not answered");
            }
        }
        Ok(())
    }

    async fn refused(&mut self, error: &IngressError) {
        warn!(channel.account = self.telegram.account, %error, "a message was not taken");
        tokio::time::sleep(self.telegram.backoff.after(self.refusals)).await;
        self.refusals = self.refusals.saturating_add(1);
    }

    /// Waits after a failed attempt, or says why there will be no other one.
    async fn failed(&mut self, outcome: SendOutcome) -> Result<(), ListenEnd> {
        let (error, after) = match outcome {
            SendOutcome::Permanent { error, kind: PermanentKind::Auth } => {
                return Err(ListenEnd::Fatal { error });
            }
            SendOutcome::Permanent { error, .. } | SendOutcome::Unknown { error } => (error, None),
            SendOutcome::Retry { after, error } => (error, after),
            SendOutcome::Sent { .. } => return Ok(()),
        };
        warn!(
            channel.name = NAME,
            channel.account = self.telegram.account,
            error,
            "the platform cannot be listened to"
        );
        self.status.status(ConnectionStatus::Reconnecting { error });
        let wait = self.telegram.backoff.after(self.failures);
        self.failures = self.failures.saturating_add(1);
        tokio::time::sleep(wait.max(after.unwrap_or(Duration::ZERO))).await;
        Ok(())
    }
}
