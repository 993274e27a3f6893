//! The client: connecting, the services, and what a device does about its own authority.

use std::sync::Arc;
use std::time::Duration;

use openclaw_pairing::{Address, Fingerprint, Link};
use openclaw_proto::to_duration;
use tokio::time::Instant;

use crate::admission::Admission;
use crate::health::health_client::HealthClient;
use crate::remote::Remote;
use crate::transport::{Local, Transport, Way};
use crate::v1::access_client::AccessClient;
use crate::v1::agents_client::AgentsClient;
use crate::v1::approvals_client::ApprovalsClient;
use crate::v1::audit_client::AuditClient;
use crate::v1::channels_client::ChannelsClient;
use crate::v1::cron_client::CronClient;
use crate::v1::devices_client::DevicesClient;
use crate::v1::events_client::EventsClient;
use crate::v1::gateway_client::GatewayClient;
use crate::v1::messages_client::MessagesClient;
use crate::v1::models_client::ModelsClient;
use crate::v1::pairing_request::State;
use crate::v1::runs_client::RunsClient;
use crate::v1::security_client::SecurityClient;
use crate::v1::sessions_client::SessionsClient;
use crate::v1::subagents_client::SubagentsClient;
use crate::v1::system_client::SystemClient;
use crate::v1::tokens_client::TokensClient;
use crate::v1::{PairingRequest, WaitUpgradeRequest};
use crate::{CallError, ConnectError, Identity, Options, Target, Trust, socket};

/// How long the gateway is asked to wait for a decision at a time.
const WAIT: Duration = Duration::from_secs(30);

/// A connection to a gateway. Clones share it.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Transport,
    max_message_bytes: usize,
}

macro_rules! services {
    ($($(#[$doc:meta])* $name:ident -> $client:ident;)*) => {
        impl Client {
            $(
                $(#[$doc])*
                pub fn $name(&self) -> $client<Transport> {
                    $client::new(self.transport.clone())
                        .max_decoding_message_size(self.max_message_bytes)
                }
            )*
        }
    };
}

services! {
    /// Returns the client of questions about authority.
    access -> AccessClient;
    /// Returns the client of the configured agents.
    agents -> AgentsClient;
    /// Returns the client of the decision log.
    audit -> AuditClient;
    /// Returns the client of the chat platforms that the gateway speaks on.
    channels -> ChannelsClient;
    /// Returns the client of jobs.
    cron -> CronClient;
    /// Returns the client of devices, and of what they may do.
    devices -> DevicesClient;
    /// Returns the client of what happens.
    events -> EventsClient;
    /// Returns the client of approvals of tool calls.
    approvals -> ApprovalsClient;
    /// Returns the client of the daemon itself.
    gateway -> GatewayClient;
    /// Returns the client of `grpc.health.v1`.
    health -> HealthClient;
    /// Returns the client of what leaves the gateway.
    messages -> MessagesClient;
    /// Returns the client of models.
    models -> ModelsClient;
    /// Returns the client of runs.
    runs -> RunsClient;
    /// Returns the client of what weakens the gateway.
    security -> SecurityClient;
    /// Returns the client of conversations.
    sessions -> SessionsClient;
    /// Returns the client of delegated runs.
    subagents -> SubagentsClient;
    /// Returns the client of what conversations are told.
    system -> SystemClient;
    /// Returns the client of API tokens.
    tokens -> TokensClient;
}

impl Client {
    /// Connects to the gateway at `target`, over the network only to the one that is trusted. A
    /// connection that breaks is made anew by later calls, and the device's key proved again.
    ///
    /// # Errors
    /// When nobody listens there, or somebody else than is meant, or the gateway does not let the
    /// identity in.
    pub async fn connect(
        target: &Target,
        identity: Identity,
        options: &Options,
    ) -> Result<Self, ConnectError> {
        let unfit = |identity: &Identity| ConnectError::Identity {
            target: target.clone(),
            identity: identity.kind(),
        };
        let way = match target {
            Target::Https(address) => {
                // Boxed, for it is large and most programs connect over the socket.
                let remote = Remote::connect(address.clone(), identity, options);
                Way::Remote(Arc::new(Box::pin(remote).await?))
            }
            Target::Unix(path) => {
                let bearer = match &identity {
                    Identity::Device(_) => return Err(unfit(&identity)),
                    Identity::Local => None,
                    Identity::Token(token) => Some(token.header().ok_or_else(|| unfit(&identity))?),
                };
                let channel = socket::connect(path, options.connect_timeout).await?;
                Way::Local(Local { channel, bearer, options: Arc::new(options.clone()) })
            }
        };
        Ok(Self { transport: Transport(way), max_message_bytes: options.max_message_bytes })
    }

    /// Connects to the first of `targets` at which the gateway that is meant answers, and returns it
    /// with its place in the list.
    ///
    /// # Errors
    /// When the gateway does not let the identity in, or none of the targets is it: then the error
    /// of the first one, or of the first at which another gateway answered.
    pub async fn connect_first(
        targets: &[Target],
        identity: &Identity,
        options: &Options,
    ) -> Result<(Self, usize), ConnectError> {
        let mut failed: Option<ConnectError> = None;
        for (index, target) in targets.iter().enumerate() {
            match Self::connect(target, identity.clone(), options).await {
                Ok(client) => return Ok((client, index)),
                Err(error) => match (&error, &failed) {
                    (ConnectError::Refused(_), _) => return Err(error),
                    (_, None) => failed = Some(error),
                    (ConnectError::Untrusted { .. }, Some(former))
                        if !matches!(former, ConnectError::Untrusted { .. }) =>
                    {
                        failed = Some(error);
                    }
                    _ => {}
                },
            }
        }
        Err(failed.unwrap_or_else(|| ConnectError::Transport("no address is known".into())))
    }

    /// Pairs with the gateway that an invitation is from: tries its addresses in their order, at
    /// none but the gateway whose key it names. Returns the address that answered.
    ///
    /// # Errors
    /// When no address is that of the gateway, or it does not take the invitation.
    pub async fn redeem(
        link: &Link,
        identity: &Identity,
        options: &Options,
    ) -> Result<(Self, Address), ConnectError> {
        let options = Options {
            trust: Some(Trust::Pin(link.code.pin)),
            invitation: Some(link.code.secret.clone()),
            ..options.clone()
        };
        let targets: Vec<_> = link.addresses.iter().cloned().map(Target::Https).collect();
        let (client, index) = Self::connect_first(&targets, identity, &options).await?;
        let address = link.addresses.get(index).cloned();
        let address = address
            .ok_or_else(|| ConnectError::Transport("the address is not in the link".into()))?;
        Ok((client, address))
    }

    /// Returns what the device may do on the connection; `None` for other identities.
    pub fn admission(&self) -> Option<Arc<Admission>> {
        match &self.transport.0 {
            Way::Local(_) => None,
            Way::Remote(remote) => remote.admission(),
        }
    }

    /// Returns the key of the gateway's certificate; `None` over the socket.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        match &self.transport.0 {
            Way::Local(_) => None,
            Way::Remote(remote) => remote.gateway(),
        }
    }

    /// Proves the device's key again, so that what was approved since counts from now on.
    ///
    /// # Errors
    /// When the gateway cannot be reached, or does not let the device in any more.
    pub async fn refresh(&self) -> Result<(), ConnectError> {
        match &self.transport.0 {
            Way::Local(_) => Ok(()),
            Way::Remote(remote) => Box::pin(remote.prove_again()).await,
        }
    }

    /// Waits until somebody decides about the device's request, or the time is up, and returns the
    /// request as it then is. What was approved counts for calls from then on.
    ///
    /// # Errors
    /// When the gateway cannot be asked, or the request is not the device's own.
    pub async fn wait_upgrade(
        &self,
        request_id: &str,
        limit: Duration,
    ) -> Result<PairingRequest, CallError> {
        let started = Instant::now();
        loop {
            let left = limit.saturating_sub(started.elapsed());
            let wait = WaitUpgradeRequest {
                request_id: request_id.to_owned(),
                timeout: Some(to_duration(left.min(WAIT))),
            };
            let request = self.devices().wait_upgrade(wait).await?.into_inner();
            match request.state() {
                State::Approved => {
                    self.refresh().await.map_err(CallError::from)?;
                    return Ok(request);
                }
                State::Pending if left > WAIT => {}
                State::Expired | State::Pending | State::Rejected | State::Unspecified => {
                    return Ok(request);
                }
            }
        }
    }
}
