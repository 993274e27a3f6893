//! Channels, and the people on them, over the wire.

use openclaw_config::DmScope;
use openclaw_proto::v1::channels_server::Channels;
use openclaw_proto::{to_timestamp, v1};
use openclaw_scopes::ChatPerson;
use openclaw_scopes::method::{self, Method as _};
use openclaw_scopes::target::Whole;
use openclaw_sessions::DEFAULT_ACCOUNT;
use openclaw_store::{
    ApprovePerson, ListPeople, People, Person, PersonRequest, RemovePerson, RemovedPerson,
};
use tonic::{Request, Response, Status};

use crate::core::Core;
use crate::{clock, gate, respond};

#[tonic::async_trait]
impl Channels for Core {
    async fn status(
        &self,
        request: Request<v1::ChannelsStatusRequest>,
    ) -> Result<Response<v1::ChannelsStatusResponse>, Status> {
        let (caller, _) = gate::admit(request)?;
        drop(self.peek::<method::ReadChannels>(&caller, Whole).await?);
        let mut channels = Vec::new();
        for lane in self.hub.lanes() {
            let counts = self.store.delivery_counts(&lane.name);
            let (waiting, failed) = counts.map_err(|error| respond::store(&error))?;
            let state = lane.state();
            channels.push(v1::ChannelStatus {
                channel: lane.name.clone(),
                account_id: lane.account.clone(),
                state: state.word.to_owned(),
                error: state.error,
                since: Some(to_timestamp(state.since)),
                waiting,
                failed,
            });
        }
        Ok(Response::new(v1::ChannelsStatusResponse { channels }))
    }

    async fn list_people(
        &self,
        request: Request<v1::ListPeopleRequest>,
    ) -> Result<Response<v1::ListPeopleResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        let now = clock::now();
        let query = ListPeople { channel: message.channel, now };
        let listed = self.store.scan(&caller, query, now).await;
        let People { requests, approved } = listed.map_err(|error| {
            respond::act(error, method::ListPeople::ROW, |never| match *never {})
        })?;
        let asked = requests.into_iter().map(|it| self.asked(it));
        let people = asked.chain(approved.into_iter().map(|it| self.person(it)));
        Ok(Response::new(v1::ListPeopleResponse { people: people.collect() }))
    }

    async fn approve_person(
        &self,
        request: Request<v1::ApprovePersonRequest>,
    ) -> Result<Response<v1::Person>, Status> {
        let (caller, message) = gate::admit(request)?;
        let roster = self.engine.roster();
        let shares = roster.config.session().dm_scope == DmScope::Main && !message.share_main;
        let listed = || {
            let channels = roster.config.channels();
            // Owners write in it whether or not they are listed.
            let people = channels.listed().chain(channels.owners());
            people.map(|(name, id)| format!("{name}:{DEFAULT_ACCOUNT}:{id}")).collect()
        };
        let listed = shares.then(listed);
        let ask = ApprovePerson { channel: message.channel, code: message.code, listed };
        let person = self.perform(&caller, ask, clock::now(), respond::person).await?;
        Ok(Response::new(self.person(person)))
    }

    async fn remove_person(
        &self,
        request: Request<v1::RemovePersonRequest>,
    ) -> Result<Response<v1::Person>, Status> {
        let (caller, message) = gate::admit(request)?;
        let ask = RemovePerson { channel: message.channel, named: message.sender_id };
        let removed = self.perform(&caller, ask, clock::now(), respond::person).await?;
        Ok(Response::new(match removed {
            RemovedPerson::Approved(person) => self.person(person),
            RemovedPerson::Asked(request) => self.asked(request),
        }))
    }
}

impl Core {
    fn owns(&self, who: &ChatPerson) -> bool {
        self.engine.roster().config.channels().is_owner(who.channel(), who.id().as_str())
    }

    fn person(&self, person: Person) -> v1::Person {
        v1::Person {
            channel: person.who.channel().to_owned(),
            account_id: person.who.account().to_owned(),
            sender_id: person.who.id().to_string(),
            owner: self.owns(&person.who),
            name: person.name,
            approved_by: person.approved_by.to_string(),
            approved_at: Some(to_timestamp(person.approved_at)),
            ..v1::Person::default()
        }
    }

    fn asked(&self, request: PersonRequest) -> v1::Person {
        v1::Person {
            channel: request.who.channel().to_owned(),
            account_id: request.who.account().to_owned(),
            sender_id: request.who.id().to_string(),
            owner: self.owns(&request.who),
            name: request.name,
            code: request.code,
            requested_at: Some(to_timestamp(request.requested_at)),
            expires_at: Some(to_timestamp(request.expires_at)),
            ..v1::Person::default()
        }
    }
}
