//! Who acts, on whose behalf, and why.

use std::fmt;
use std::net::SocketAddr;

use crate::{
    Capability, CapabilitySet, ChatPerson, DeviceId, Epoch, Grant, GrantHolder, HookName, PluginId,
    RunId, ScopeSet, SenderId, SessionKey, TokenId,
};

/// The identity that an operation runs as.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Principal {
    /// A paired device.
    Device {
        /// Its id.
        id: DeviceId,
        /// What it connected as.
        role: DeviceRole,
    },
    /// A program elsewhere that showed the credential of a hook.
    Hook {
        /// The hook.
        name: HookName,
    },
    /// The peer of the local socket, or an embedding program: the state directory is theirs.
    Owner {
        /// The operating system's id of the account.
        uid: u32,
    },
    /// An installed plugin.
    Plugin {
        /// Its id.
        id: PluginId,
    },
    /// The tools of an agent's turn.
    Run {
        /// The turn.
        run: RunId,
        /// The conversation it belongs to.
        session: SessionKey,
    },
    /// A person in a chat.
    Sender {
        /// The channel's name.
        channel: Box<str>,
        /// The channel account that received the message.
        account: Box<str>,
        /// The person, as the channel names them.
        sender: SenderId,
        /// Whether the configuration lists them as an owner.
        standing: Standing,
    },
    /// A part of the gateway itself.
    System {
        /// Which part.
        component: Component,
    },
    /// A program that holds a named API token.
    Token {
        /// The token's id.
        id: TokenId,
    },
}

/// What a device connected as.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum DeviceRole {
    /// Offers capabilities of its machine.
    Node,
    /// Operates the gateway.
    Operator,
}

/// Whether a person in a chat is one of the gateway's owners.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// Anybody else.
    Guest,
    /// Listed as an owner.
    Owner,
}

/// The parts of the gateway that act by themselves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Component {
    /// Tells conversations what came of what they delegated.
    Announcer,
    /// Lets devices in that proved their key.
    Doorkeeper,
    /// Removes sessions that nobody keeps.
    Reaper,
    /// Ends work that a crash or a drain left behind.
    Recovery,
    /// Removes what has outlived its retention.
    Retention,
    /// Does what jobs are for that are due.
    Scheduler,
}

impl Component {
    /// Every component.
    pub const ALL: [Self; 6] = [
        Self::Announcer,
        Self::Doorkeeper,
        Self::Reaper,
        Self::Recovery,
        Self::Retention,
        Self::Scheduler,
    ];

    /// Returns the name used in logs and audit records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Announcer => "announcer",
            Self::Doorkeeper => "doorkeeper",
            Self::Reaper => "reaper",
            Self::Recovery => "recovery",
            Self::Retention => "retention",
            Self::Scheduler => "scheduler",
        }
    }

    /// Returns all that this part may ever do.
    pub const fn capabilities(self) -> CapabilitySet {
        match self {
            Self::Announcer => CapabilitySet::of(&[Capability::RunsContinue]),
            Self::Doorkeeper => CapabilitySet::of(&[Capability::DevicesAdmit]),
            Self::Reaper => CapabilitySet::of(&[Capability::SessionsReap]),
            Self::Recovery => CapabilitySet::of(&[Capability::RunsRecover]),
            Self::Retention => CapabilitySet::of(&[Capability::AuditSeal]),
            Self::Scheduler => CapabilitySet::of(&[Capability::CronFire]),
        }
    }
}

impl DeviceRole {
    /// Both roles.
    pub const ALL: [Self; 2] = [Self::Node, Self::Operator];

    /// Returns the name that users and the wire use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Operator => "operator",
        }
    }

    /// Parses the name of a role.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == text)
    }
}

impl fmt::Display for DeviceRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device { id, role: DeviceRole::Node } => write!(f, "node:{id}"),
            Self::Device { id, role: DeviceRole::Operator } => write!(f, "device:{id}"),
            Self::Hook { name } => write!(f, "hook:{name}"),
            Self::Owner { uid } => write!(f, "owner:{uid}"),
            Self::Plugin { id } => write!(f, "plugin:{id}"),
            Self::Run { run, .. } => write!(f, "run:{run}"),
            Self::Sender { channel, account, sender, .. } => {
                write!(f, "sender:{channel}:{account}:{sender}")
            }
            Self::System { component } => write!(f, "system:{}", component.name()),
            Self::Token { id } => write!(f, "token:{id}"),
        }
    }
}

/// Why an operation happens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Cause {
    /// The gateway is stopping.
    Drain,
    /// A system event came in.
    Event(Box<str>),
    /// A job was due.
    Job(Box<str>),
    /// A message came in from a chat platform.
    Message(Box<str>),
    /// Somebody asked over the network.
    Peer(SocketAddr),
    /// A process on this machine asked.
    Process {
        /// Its id when it connected.
        pid: i32,
    },
    /// The program that embeds the gateway asked, or one that works without a running gateway.
    Request,
    /// A run's model asked.
    Run(RunId),
    /// The gateway started.
    Startup,
    /// Its time had come.
    Timer,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drain => f.write_str("drain"),
            Self::Event(id) => write!(f, "event:{id}"),
            Self::Job(id) => write!(f, "job:{id}"),
            Self::Message(id) => write!(f, "message:{id}"),
            Self::Peer(address) => write!(f, "request:{address}"),
            Self::Process { pid } => write!(f, "request:pid-{pid}"),
            Self::Request => f.write_str("request"),
            Self::Run(run) => write!(f, "run:{run}"),
            Self::Startup => f.write_str("startup"),
            Self::Timer => f.write_str("timer"),
        }
    }
}

/// An actor, the grant it acts on behalf of, and the cause. There is no work without one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Caller {
    actor: Principal,
    capabilities: CapabilitySet,
    cause: Cause,
    grant: Grant,
}

impl Caller {
    /// Asserts that the operating system vouches for the owner.
    ///
    /// Only the identity layer and embedders may say so: elsewhere the call is a lint error.
    pub const fn assertion(uid: u32, cause: Cause, epoch: Epoch) -> Self {
        Self {
            actor: Principal::Owner { uid },
            capabilities: CapabilitySet::EMPTY,
            cause,
            grant: Grant::owner(epoch),
        }
    }

    /// Asserts that a device proved its key on the connection that the grant was issued for.
    ///
    /// Only the identity layer may say so: elsewhere the call is a lint error.
    pub const fn device(id: DeviceId, role: DeviceRole, grant: Grant, cause: Cause) -> Self {
        let actor = Principal::Device { id, role };
        Self { actor, capabilities: CapabilitySet::EMPTY, cause, grant }
    }

    /// Asserts that a program showed the secret of an API token.
    ///
    /// Only the identity layer may say so: elsewhere the call is a lint error.
    pub const fn token(id: TokenId, grant: Grant, cause: Cause) -> Self {
        let actor = Principal::Token { id };
        Self { actor, capabilities: CapabilitySet::EMPTY, cause, grant }
    }

    /// Asserts that a program showed the credential of a hook that the configuration opens.
    ///
    /// Only the door of hooks may say so: elsewhere the call is a lint error.
    pub const fn hook(name: HookName, grant: Grant, cause: Cause) -> Self {
        let actor = Principal::Hook { name };
        Self { actor, capabilities: CapabilitySet::EMPTY, cause, grant }
    }

    /// Asserts that a platform said that a person wrote, and that the configuration or an approval lets them in.
    ///
    /// Only the ingress of channels may say so: elsewhere the call is a lint error.
    pub fn sender(person: &ChatPerson, standing: Standing, grant: Grant, cause: Cause) -> Self {
        let actor = Principal::Sender {
            channel: person.channel().into(),
            account: person.account().into(),
            sender: person.id().clone(),
            standing,
        };
        Self { actor, capabilities: CapabilitySet::EMPTY, cause, grant }
    }

    /// The same caller with at most the authority that `wish` names: what is handed to a part that
    /// needs less.
    #[must_use]
    pub fn narrowed(&self, wish: ScopeSet) -> Self {
        Self { grant: self.grant.narrowed(wish), ..self.clone() }
    }

    /// A part of the gateway, acting for the gateway's own grant with its fixed capabilities.
    pub const fn system(component: Component, cause: Cause, epoch: Epoch) -> Self {
        Self {
            actor: Principal::System { component },
            capabilities: component.capabilities(),
            cause,
            grant: Grant::gateway(epoch),
        }
    }

    /// A part of the gateway that goes on with work of somebody else, on behalf of the grant under which
    /// that was accepted: no more than its own capability, and no more than that grant.
    pub const fn delegate(component: Component, grant: Grant, cause: Cause) -> Self {
        Self {
            actor: Principal::System { component },
            capabilities: component.capabilities(),
            cause,
            grant,
        }
    }

    /// The tools of a run, on behalf of the grant under which the run was accepted.
    ///
    /// A run has capabilities and never scopes of its own; what its grant lacks, it lacks too.
    pub fn run(
        run: RunId,
        session: SessionKey,
        on_behalf_of: Grant,
        capabilities: CapabilitySet,
    ) -> Self {
        Self {
            cause: Cause::Run(run.clone()),
            actor: Principal::Run { run, session },
            capabilities,
            grant: on_behalf_of,
        }
    }

    /// Returns who acts.
    pub const fn actor(&self) -> &Principal {
        &self.actor
    }

    /// Returns on whose behalf.
    pub const fn on_behalf_of(&self) -> &GrantHolder {
        self.grant.holder()
    }

    /// Returns the grant that the work rests on.
    pub const fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Returns why.
    pub const fn cause(&self) -> &Cause {
        &self.cause
    }

    /// Returns what the actor may do by itself; `None` for people and devices, whom scopes judge.
    pub const fn capabilities(&self) -> Option<CapabilitySet> {
        match self.actor {
            Principal::Plugin { .. } | Principal::Run { .. } | Principal::System { .. } => {
                Some(self.capabilities)
            }
            Principal::Device { .. }
            | Principal::Hook { .. }
            | Principal::Owner { .. }
            | Principal::Sender { .. }
            | Principal::Token { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "tests say who is who")]
    fn names_tell_who_it_was() {
        let owner = Caller::assertion(1000, Cause::Request, Epoch(1));
        assert_eq!(owner.actor().to_string(), "owner:1000");
        assert_eq!(owner.capabilities(), None);
        let (run, session) =
            (RunId::parse("r-1").unwrap(), SessionKey::parse("agent:main:main").unwrap());
        let child = Caller::run(run, session, owner.grant().clone(), CapabilitySet::EMPTY);
        assert_eq!(
            (
                child.actor().to_string(),
                child.on_behalf_of().to_string(),
                child.cause().to_string()
            ),
            ("run:r-1".into(), "owner".into(), "run:r-1".into())
        );
        assert_eq!(child.capabilities(), Some(CapabilitySet::EMPTY));
    }

    #[test]
    fn components_act_for_the_gateway_without_a_scope() {
        for component in Component::ALL {
            let caller = Caller::system(component, Cause::Startup, Epoch(1));
            assert!(caller.grant().scopes().is_empty());
            assert_eq!(caller.on_behalf_of(), &GrantHolder::Gateway);
        }
    }
}
