//! The channels of the gateway of this test, and who is on them.

use openclaw_client::Code;
use openclaw_client::v1::channels_server::Channels;
use openclaw_client::v1::{
    AddChannelRequest, ApprovePersonRequest, ChannelLogLine, ChannelLogsRequest,
    ChannelLogsResponse, ChannelStatus, ChannelsStatusRequest, ChannelsStatusResponse,
    ListPeopleRequest, ListPeopleResponse, Person, RemovePersonRequest, StartChannelRequest,
    StopChannelRequest,
};
use tonic::{Request, Response, Status};

use super::{Fake, refusal};

fn channel(name: &str, state: &str, error: &str) -> ChannelStatus {
    ChannelStatus {
        channel: name.into(),
        account_id: "default".into(),
        state: state.into(),
        error: error.into(),
        platform: name.into(),
        enabled: true,
        ..ChannelStatus::default()
    }
}

fn absent() -> Status {
    refusal(Code::NotFound, "", "no channel `absent` is configured")
}

fn ada() -> Person {
    Person {
        channel: "telegram".into(),
        account_id: "default".into(),
        sender_id: "123".into(),
        name: "Ada\u{1b}[2J".into(),
        ..Person::default()
    }
}

#[tonic::async_trait]
impl Channels for Fake {
    async fn status(
        &self,
        _: Request<ChannelsStatusRequest>,
    ) -> Result<Response<ChannelsStatusResponse>, Status> {
        let discord = ChannelStatus {
            waiting: 2,
            failed: 1,
            ..channel("discord", "reconnecting", "closed with code 4000: \u{1b}[2J")
        };
        let telegram = ChannelStatus { enabled: false, ..channel("telegram", "disabled", "") };
        let channels = vec![discord, telegram, channel("webhook", "ready", "")];
        Ok(Response::new(ChannelsStatusResponse { channels }))
    }

    async fn logs(
        &self,
        asked: Request<ChannelLogsRequest>,
    ) -> Result<Response<ChannelLogsResponse>, Status> {
        let ChannelLogsRequest { channel, limit } = asked.into_inner();
        if channel == "absent" {
            return Err(absent());
        }
        let line = |event: &str, id: &str, error: &str| ChannelLogLine {
            at: None,
            event: event.into(),
            id: id.into(),
            error: error.into(),
        };
        let all = [
            line("reconnecting", "", "closed: \u{1b}[2J"),
            line("connected", "", ""),
            line("refused", "7", ""),
        ];
        let limit = usize::try_from(limit).unwrap();
        let lines = all.into_iter().rev().take(limit).rev().collect();
        Ok(Response::new(ChannelLogsResponse { lines }))
    }

    async fn add(
        &self,
        asked: Request<AddChannelRequest>,
    ) -> Result<Response<ChannelStatus>, Status> {
        let AddChannelRequest { idempotency_key, channel: name, token_env, dm_policy } =
            asked.into_inner();
        assert!(!idempotency_key.is_empty());
        match token_env.as_str() {
            "THERE" => Err(Status::already_exists("the channel `discord` is already configured")),
            "UNSET" => {
                let error = "the environment variable `UNSET` is not set";
                Ok(Response::new(channel(&name, "failed", error)))
            }
            _ => {
                assert_eq!(dm_policy, if name == "discord" { "allowlist" } else { "" });
                Ok(Response::new(channel(&name, "connecting", "")))
            }
        }
    }

    async fn start(
        &self,
        asked: Request<StartChannelRequest>,
    ) -> Result<Response<ChannelStatus>, Status> {
        match asked.into_inner().channel.as_str() {
            "absent" => Err(absent()),
            name => Ok(Response::new(channel(name, "connecting", ""))),
        }
    }

    async fn stop(
        &self,
        asked: Request<StopChannelRequest>,
    ) -> Result<Response<ChannelStatus>, Status> {
        match asked.into_inner().channel.as_str() {
            "absent" => Err(absent()),
            name => Ok(Response::new(channel(name, "stopped", ""))),
        }
    }

    async fn list_people(
        &self,
        asked: Request<ListPeopleRequest>,
    ) -> Result<Response<ListPeopleResponse>, Status> {
        let asked = asked.into_inner();
        if asked.channel == "discord" {
            return Ok(Response::new(ListPeopleResponse::default()));
        }
        let requested = Person { code: "7K2Q9XBD".into(), ..ada() };
        let approved = Person {
            sender_id: "42".into(),
            name: "Bob".into(),
            approved_by: "owner".into(),
            owner: true,
            ..ada()
        };
        Ok(Response::new(ListPeopleResponse { people: vec![requested, approved], has_owner: true }))
    }

    async fn approve_person(
        &self,
        asked: Request<ApprovePersonRequest>,
    ) -> Result<Response<Person>, Status> {
        let ApprovePersonRequest { channel, code, share_main, owner } = asked.into_inner();
        if code == "WRONG" {
            let message = "nobody on telegram has the code or id `WRONG`";
            return Err(refusal(Code::NotFound, "", message));
        }
        if code == "SHARED" && !share_main {
            return Err(Status::failed_precondition("telegram:default:42 may write already"));
        }
        if owner && code == "NARROW" {
            let message = "missing scope: operator.admin";
            return Err(refusal(Code::PermissionDenied, "MISSING_SCOPE", message));
        }
        let owner = owner || code == "OWNER";
        Ok(Response::new(Person { channel, approved_by: "owner".into(), owner, ..ada() }))
    }

    async fn remove_person(
        &self,
        asked: Request<RemovePersonRequest>,
    ) -> Result<Response<Person>, Status> {
        let RemovePersonRequest { channel, sender_id } = asked.into_inner();
        let owner = sender_id == "1";
        Ok(Response::new(Person { channel, sender_id, owner, name: String::new(), ..ada() }))
    }
}
