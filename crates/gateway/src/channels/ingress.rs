//! What people say on a platform: who is let in, which conversation it is, and that it is taken in once.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use openclaw_channels::{ButtonPress, Channel, Inbound, Ingress, IngressError};
use openclaw_config::{ChatChannel, DmPolicy, GroupPolicy, Mention};
use openclaw_scopes::{
    Caller, Cause, ChatPerson, Component, Epoch, GrantHolder, IdempotencyKey, RunId, Scope,
    ScopeSet, SessionKey, Standing,
};
use openclaw_sessions::{ChatType, DEFAULT_ACCOUNT, Dropped, Event, Origin, Peer, Routed, route};
use openclaw_store::{ActError, FilePerson, FiledPerson, NewDelivery, ReplyTo, SendMessage, Store};
use tokio::time::Instant;

use super::commands::{self, Command};
use super::destination::to_platform;
use super::lane::{Happened, Lane};
use super::media::{Allowance, Intake, text_of};
use crate::engine::{Engine, Event as RunEvent, Hold, Limit, Novelty, Request, StartError, Watch};
use crate::task::Tasks;
use crate::{clock, digest, secrets};

/// How often it is shown that an answer is being written (`runtime.md` §7.5 of the reference).
const TYPING: Duration = Duration::from_secs(6);
/// How long the rest of a long text may take to come (`runtime.md` §7.4 of the reference).
const PASTE: Duration = Duration::from_millis(1_500);
/// What codes are made of: nothing that is read as something else (`runtime.md` §7.3 of the reference).
const CODE: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// How often an answer to a command is tried, and how long after a failure of the storage it is again.
const ANSWERS: usize = 10;
const AGAIN: Duration = Duration::from_secs(1);
/// Bytes of a message that are taken in.
pub(super) const MAX_TEXT: usize = 64 * 1024;

/// What comes in on one channel.
#[derive(Clone, Debug)]
pub(super) struct Door {
    /// How much was fetched for people today.
    pub(super) allowance: Arc<Allowance>,
    pub(super) lane: Arc<Lane>,
    pub(super) chat: Arc<dyn Channel>,
    pub(super) engine: Engine,
    pub(super) store: Store,
    pub(super) tasks: Tasks,
}

/// Somebody who wrote, and is let in.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) caller: Caller,
    pub(super) standing: Standing,
}

/// Whether somebody is let in.
enum Admission {
    /// They are.
    Known(Known),
    /// They may ask for it.
    MayAsk,
    /// They are not, and are told nothing.
    Nobody,
}

fn unavailable(error: impl std::fmt::Debug) -> IngressError {
    IngressError { reason: format!("{error:?}") }
}

impl Ingress for Door {
    fn accept<'a>(&'a self, message: Inbound) -> BoxFuture<'a, Result<(), IngressError>> {
        Box::pin(self.take_whole(message))
    }

    fn pressed<'a>(&'a self, press: ButtonPress) -> BoxFuture<'a, Result<(), IngressError>> {
        // A button says what its command would.
        Box::pin(self.take_whole(spoken(press)))
    }
}

/// What a button stands for, as if it had been written.
fn spoken(press: ButtonPress) -> Inbound {
    Inbound {
        account: press.account,
        at: clock::now(),
        channel: press.channel,
        guild: None,
        is_bot: false,
        is_mention: true,
        kind: press.kind,
        media: Vec::new(),
        message_id: format!("press-{}", press.press_id),
        parent: press.parent,
        peer: press.peer,
        reply_to: press.message_id,
        reply_to_bot: true,
        roles: Vec::new(),
        sender_id: press.sender_id,
        sender_name: press.sender_name,
        text: press.data,
        thread: press.thread,
    }
}

impl Door {
    /// Takes in a message in a task of its own: a channel that is stopped meanwhile leaves nothing half done, which
    /// the platform would tell of again.
    async fn take_whole(&self, message: Inbound) -> Result<(), IngressError> {
        let door = self.clone();
        let taken = self.engine.whole(async move { door.take(message).await }).await;
        taken.unwrap_or_else(|| Err(unavailable("it could not be taken in")))
    }

    async fn take(&self, message: Inbound) -> Result<(), IngressError> {
        if message.is_bot {
            return Ok(());
        }
        let person = ChatPerson::new(&self.lane.name, DEFAULT_ACCOUNT, &message.sender_id);
        let Ok(person) = person else { return Ok(()) };
        let roster = self.engine.roster();
        let Some(settings) = roster.config.channels().chats.get(&self.lane.name) else {
            return Ok(());
        };
        match self.admit(&person, settings, &message).await? {
            Admission::Known(known) => {
                let id = message.message_id.clone();
                self.hear(known, &person, message).await?;
                self.lane.happened(Happened::Heard, &id);
                Ok(())
            }
            Admission::MayAsk => {
                self.lane.happened(Happened::Refused, person.id().as_str());
                self.give_code(person, &message).await
            }
            Admission::Nobody => {
                tracing::debug!(channel = self.lane.name, "somebody wrote who is not let in");
                // What is said in a group to others is nothing that is refused.
                if message.kind == ChatType::Direct || message.is_mention || message.reply_to_bot {
                    self.lane.happened(Happened::Refused, person.id().as_str());
                }
                Ok(())
            }
        }
    }

    /// Decides whether somebody is let in, by immutable ids only.
    async fn admit(
        &self,
        person: &ChatPerson,
        settings: &ChatChannel,
        message: &Inbound,
    ) -> Result<Admission, IngressError> {
        let roster = self.engine.roster();
        let id = person.id().as_str();
        let is_in = |list: &[String]| list.iter().any(|it| it == id || it == "*");
        let is_owner = roster.config.channels().is_owner(&self.lane.name, id);
        let approved = || {
            let people = self.store.approved_people(Some(&self.lane.name)).map_err(unavailable)?;
            Ok::<bool, IngressError>(people.contains(person))
        };
        let is_let_in = if message.kind == ChatType::Direct {
            let is_listed = is_owner || settings.allow_from.iter().any(|it| it == id);
            match settings.dm_policy {
                DmPolicy::Disabled => false,
                DmPolicy::Open => is_owner || is_in(&settings.allow_from),
                DmPolicy::Allowlist | DmPolicy::Pairing => is_listed || approved()?,
            }
        } else {
            let list = if settings.group_allow_from.is_empty() {
                &settings.allow_from
            } else {
                &settings.group_allow_from
            };
            let of_group = |id: &str| settings.groups.get(id).copied();
            let parent = message.parent.as_deref().and_then(of_group);
            let group = of_group(&message.peer).or(parent).or_else(|| of_group("*"));
            let may = match settings.group_policy {
                GroupPolicy::Disabled => false,
                GroupPolicy::Open => true,
                GroupPolicy::Allowlist => group.is_some() && (is_owner || is_in(list)),
            };
            let is_meant = message.is_mention
                || message.reply_to_bot
                || group.unwrap_or_default() == Mention::Optional;
            may && is_meant
        };
        if !is_let_in {
            let may_ask =
                message.kind == ChatType::Direct && settings.dm_policy == DmPolicy::Pairing;
            return Ok(if may_ask { Admission::MayAsk } else { Admission::Nobody });
        }
        let standing = if is_owner { Standing::Owner } else { Standing::Guest };
        let (holder, wish) = match standing {
            // An owner's turns have no devices, tokens, configuration and no commands outside the sandbox: those need
            // scopes that are not among these.
            Standing::Owner => {
                let wish = [Scope::Write, Scope::Approvals, Scope::SessionsRead];
                (GrantHolder::Owner, ScopeSet::of(&wish))
            }
            Standing::Guest => {
                let admitted = self.store.admit_listed(
                    person.clone(),
                    message.sender_name.clone(),
                    clock::now(),
                );
                admitted.await.map_err(unavailable)?;
                (GrantHolder::Sender(person.clone()), ScopeSet::of(&[Scope::Write]))
            }
        };
        let grant = self.store.grant(&holder, wish).map_err(unavailable)?;
        let Some(grant) = grant else { return Ok(Admission::Nobody) };
        let cause = Cause::Message(message.message_id.chars().take(64).collect::<String>().into());
        #[expect(clippy::disallowed_methods, reason = "this is the ingress of channels")]
        let caller = Caller::sender(person, standing, grant, cause);
        Ok(Admission::Known(Known { caller, standing }))
    }

    /// Tells somebody a code with which they can be let in, once.
    async fn give_code(&self, who: ChatPerson, message: &Inbound) -> Result<(), IngressError> {
        let bytes = secrets::random::<8>().map_err(|_told| unavailable("randomness"))?;
        let letter = |byte: &u8| CODE.get(usize::from(*byte % 32)).copied().map(char::from);
        let code: String = bytes.iter().filter_map(letter).collect();
        let epoch = self.store.epoch(&GrantHolder::Gateway).map_err(unavailable)?;
        let epoch: Epoch = epoch.ok_or_else(|| unavailable("no grant"))?;
        let caller = Caller::system(Component::Doorkeeper, Cause::Message("pairing".into()), epoch);
        let name = openclaw_pairing::clean_name(&message.sender_name);
        let ask = FilePerson { who, name, code };
        let filed = self.store.act(&caller, ask, clock::now()).await;
        match filed.map_err(unavailable)? {
            FiledPerson::Full => Ok(()),
            // Somebody who asked before was told, unless the storage failed in between: then they are now.
            FiledPerson::Again(request) | FiledPerson::New(request) => {
                let (channel, code) = (&self.lane.name, &request.code);
                let text = format!(
                    "I do not know you yet. Have the gateway's owner run:\n\n```\nopenclaw pairing approve {channel} {code}\n```\n\nThe code is valid for an hour."
                );
                // Of the request, and not the code itself: sources are shown to whoever may read.
                let about =
                    format!("{}:{}", request.who.id().as_str(), request.requested_at.as_millis());
                self.say_as_gateway(&about, self.reply_to(message), text).await
            }
        }
    }

    /// Says something that the gateway has to say to somebody who has no grant.
    async fn say_as_gateway(
        &self,
        about: &str,
        to: ReplyTo,
        text: String,
    ) -> Result<(), IngressError> {
        let source = format!("door:{}:{about}", self.lane.name);
        let said = self.store.say_as_gateway(source, to, text, clock::now()).await;
        said.map_err(unavailable)?;
        self.engine.outbox().notify_waiters();
        Ok(())
    }

    /// Returns where an answer to a message goes.
    fn reply_to(&self, message: &Inbound) -> ReplyTo {
        ReplyTo {
            channel: self.lane.name.clone(),
            account: DEFAULT_ACCOUNT.into(),
            kind: message.kind.name().into(),
            peer: message.peer.clone(),
            thread: message.thread.clone().unwrap_or_default(),
            answers: if message.message_id.starts_with("press-") {
                String::new()
            } else {
                message.message_id.clone()
            },
            ..ReplyTo::default()
        }
    }

    fn routed(&self, message: &Inbound) -> Option<Routed> {
        let roster = self.engine.roster();
        let roles: Vec<_> = message.roles.iter().map(String::as_str).collect();
        let origin = Origin {
            account: None,
            channel: &self.lane.name,
            guild: message.guild.as_deref(),
            parent: message.parent.as_deref().map(|id| Peer { id, kind: ChatType::Channel }),
            peer: Some(Peer { id: &message.peer, kind: message.kind }),
            roles: &roles,
            team: None,
            thread: message.thread.as_deref(),
        };
        match route(&Event::Message(origin), &roster.routes) {
            Ok(routed) => Some(routed),
            Err(error) => {
                tracing::warn!(channel = self.lane.name, %error, "a message leads nowhere");
                None
            }
        }
    }

    /// Takes in what somebody says who is let in: a command, or a turn of an agent.
    async fn hear(
        &self,
        known: Known,
        person: &ChatPerson,
        message: Inbound,
    ) -> Result<(), IngressError> {
        let Some(routed) = self.routed(&message) else { return Ok(()) };
        let mut text = text_of(&message);
        if text.is_empty() && message.media.is_empty() {
            return Ok(());
        }
        let to = self.reply_to(&message);
        let (command, is_text) = (Command::parse(&text), message.media.is_empty());
        if command.is_some() || !is_text {
            self.engine.flush(&routed.session, person).await;
        }
        if let Some(command) = command {
            return self.command(&known, &routed, &message, to, command).await;
        }
        let (agent, session) = (routed.agent, routed.session.clone());
        let id = [&message.channel, &message.peer, &message.message_id].map(|part| {
            let well = |c: char| if c.is_ascii_graphic() { c } else { '-' };
            part.chars().map(well).take(40).collect::<String>()
        });
        let run = RunId::parse(&format!("chat-{}", id.join("-"))).map_err(unavailable)?;
        let roster = self.engine.roster();
        // What was taken in before is told of again.
        if !is_text && self.store.run(&run).map_err(unavailable)?.is_none() {
            let intake = Intake {
                allowance: &self.allowance,
                budget: roster.config.inbound().max_media_bytes,
                chat: &*self.chat,
                guest: (known.standing == Standing::Guest).then_some(person),
                worker: roster.agent(&agent),
            };
            text = intake.words(text, &message).await;
        }
        let queue = roster.config.queue().of_channel(&self.lane.name);
        let mut quiet = roster.config.inbound().of_channel(&self.lane.name);
        if self.chat.may_go_on(&message.text) {
            quiet = quiet.max(PASTE);
        }
        let request = Request {
            run: run.clone(),
            // A message that comes again is the same one, however the platform tells of it.
            digest: digest::of(&[&message.message_id, person.id().as_str()]),
            session,
            agent,
            message: text,
            limit: Limit::OfAgent,
            reply_to: to.clone().by_gateway(),
            queue: crate::route::queue_mode(queue),
            hold: is_text.then(|| Hold { who: person.clone(), quiet }),
            dropped: Dropped::default(),
        };
        match self.engine.start(&known.caller, request).await {
            Ok(watch) => {
                // Whoever follows what it has become one with follows it, too.
                if watch.novelty == Novelty::New && watch.accepted.merged_into.is_none() {
                    self.follow(routed.session, to, watch);
                }
                Ok(())
            }
            Err(StartError::Full(_)) => {
                let text = "Too many messages wait for me here. Please say it again later.";
                self.say(&known.caller, &message, to, text.to_owned()).await
            }
            Err(StartError::Act(ActError::Store(error))) => Err(unavailable(error)),
            Err(StartError::Draining) => Err(unavailable("the gateway is stopping")),
            Err(error) => {
                tracing::warn!(channel = self.lane.name, ?error, "a message was not taken in");
                Ok(())
            }
        }
    }

    /// Does what a command says and answers, unless it was answered before: then the platform tells of it again.
    async fn command(
        &self,
        known: &Known,
        routed: &Routed,
        message: &Inbound,
        to: ReplyTo,
        command: Command,
    ) -> Result<(), IngressError> {
        let key = self.answer_key(message)?;
        if self.store.was_sent(known.caller.on_behalf_of(), &key).map_err(unavailable)? {
            return Ok(());
        }
        let said = commands::run(&self.engine, &self.store, known, routed, command).await;
        // What was done must not be done again because the answer to it could not be written.
        for _ in 1..ANSWERS {
            match self.say(&known.caller, message, to.clone(), said.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) => tracing::error!(channel = self.lane.name, %error, "not yet answered"),
            }
            tokio::time::sleep(AGAIN).await;
        }
        self.say(&known.caller, message, to, said).await
    }

    /// Returns the name under which the answer to a message is sent once.
    fn answer_key(&self, message: &Inbound) -> Result<IdempotencyKey, IngressError> {
        let key = digest::of(&[&self.lane.name, &message.peer, &message.message_id]);
        let key = format!("answer-{}", data_encoding::HEXLOWER.encode(&key));
        IdempotencyKey::parse(&key).map_err(unavailable)
    }

    /// Says something on behalf of whoever wrote.
    async fn say(
        &self,
        caller: &Caller,
        message: &Inbound,
        to: ReplyTo,
        text: String,
    ) -> Result<(), IngressError> {
        let idempotency_key = self.answer_key(message)?;
        let new = NewDelivery {
            source: String::new(),
            digest: key_digest(&message.message_id),
            to,
            text,
            media: String::new(),
            session: String::new(),
            buttons: Vec::new(),
            poll: None,
        };
        match self
            .store
            .act(caller, SendMessage { idempotency_key, new, guard: None }, clock::now())
            .await
        {
            Ok(_delivery) => {
                self.engine.outbox().notify_waiters();
                Ok(())
            }
            Err(ActError::Store(error)) => Err(unavailable(error)),
            Err(error) => {
                tracing::warn!(channel = self.lane.name, ?error, "an answer was not sent");
                Ok(())
            }
        }
    }

    /// Shows that an answer is being written until it is, if it is to leave.
    fn follow(&self, session: SessionKey, to: ReplyTo, mut watch: Watch) {
        let (chat, lane) = (Arc::clone(&self.chat), Arc::clone(&self.lane));
        let (engine, store) = (self.engine.clone(), self.store.clone());
        let is_silent = move |to: &ReplyTo| {
            store.is_silent(&session, to, &engine.roster().send_rules).unwrap_or(true)
        };
        self.tasks.spawn(async move {
            let Some(place) = to_platform(&to) else { return };
            let mut due = Instant::now();
            loop {
                tokio::select! {
                    event = watch.next() => match event {
                        Some(RunEvent::Turn(_)) => {}
                        Some(RunEvent::Ended(_) | RunEvent::Left) | None => return,
                    },
                    () = tokio::time::sleep_until(due) => {
                        if lane.is_on() && !is_silent(&to) {
                            chat.typing(&place).await;
                        }
                        due = Instant::now().checked_add(TYPING).unwrap_or(due);
                    }
                }
            }
        });
    }
}

fn key_digest(id: &str) -> [u8; 32] {
    digest::of(&[id])
}
