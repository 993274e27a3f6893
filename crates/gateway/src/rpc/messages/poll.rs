//! Polls, over the wire.

use openclaw_channels::poll_limits;
use openclaw_config::ChannelSettings;
use openclaw_proto::{to_duration, v1};
use openclaw_sessions::{Ballot, Poll, PollDraft};
use openclaw_store::{ReplyTo, SendPoll, WEBHOOK};

use crate::channels::destination;
use crate::respond::Reply;
use crate::{convert, digest};

/// Reads what is asked for, and fixes where it goes.
pub(super) fn ask(request: v1::PollRequest, channels: &ChannelSettings) -> Result<SendPoll, Reply> {
    let v1::PollRequest { channel, to, account_id, thread_id, poll, .. } = request;
    let idempotency_key = convert::idempotency_key(&request.idempotency_key)?;
    let answers = super::answered(request.reply_to_id)?;
    let none = |channel: &str| {
        Reply::invalid(format!("channel `{channel}` has no polls"))
            .next("name `telegram` or `discord`, or send the question with openclaw message send")
    };
    if channel == WEBHOOK {
        return Err(none(WEBHOOK));
    }
    let fixed = destination(channels, &channel, &to, &account_id, &thread_id);
    let fixed = fixed.map_err(|error| super::nowhere(&error))?;
    let chat = channels.chats.get(&fixed.channel).ok_or_else(|| none(&fixed.channel))?;
    let asked = draft(poll.unwrap_or_default())?;
    let poll = Poll::parse(&asked, poll_limits(chat.platform)).map_err(|error| {
        Reply::invalid(error.to_string()).next("openclaw message poll --help says what fits")
    })?;
    let to = ReplyTo { answers, ..fixed };
    // What is meant the same is the same, however it was written.
    let meant = serde_json::to_string(&poll).map_err(|error| Reply::internal(&error))?;
    let told = ["poll", &to.channel, &to.kind, &to.peer, &to.thread, &to.answers, &meant];
    Ok(SendPoll { idempotency_key, digest: digest::of(&told), to, poll, guard: None })
}

fn draft(poll: v1::Poll) -> Result<PollDraft, Reply> {
    let v1::Poll { question, options, max_selections, duration, is_anonymous, silent } = poll;
    let open = convert::duration(duration.as_ref(), "duration")?;
    let ballot = is_anonymous.map(|is| if is { Ballot::Anonymous } else { Ballot::Public });
    Ok(PollDraft { question, options, max_selections, open, ballot, silent })
}

/// Writes a poll.
pub(super) fn shown(poll: &Poll) -> v1::Poll {
    v1::Poll {
        question: poll.question().to_owned(),
        options: poll.options().to_vec(),
        max_selections: Some(poll.max_selections()),
        duration: poll.open().map(to_duration),
        is_anonymous: Some(poll.ballot() == Ballot::Anonymous),
        silent: poll.is_silent(),
    }
}
