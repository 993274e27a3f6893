//! People in chats: who is let in, and who of them becomes an owner.

use std::sync::Arc;

use openclaw_config::add_owner;
use openclaw_proto::{to_timestamp, v1};
use openclaw_scopes::method::{self, Method as _};
use openclaw_scopes::target::{Authority, PersonTarget};
use openclaw_scopes::{Caller, ChatPerson, Standing};
use openclaw_sessions::DEFAULT_ACCOUNT;
use openclaw_store::{
    ApprovePerson, ListPeople, People, Person, PersonRequest, RemovePerson, RemovedPerson, Sharing,
};

use super::edit::edit_error;
use crate::core::Core;
use crate::respond::{self, Reply};
use crate::{clock, route};

impl Core {
    pub(super) async fn people(
        &self,
        caller: &Caller,
        message: v1::ListPeopleRequest,
    ) -> Result<v1::ListPeopleResponse, Reply> {
        let now = clock::now();
        let query = ListPeople { channel: message.channel, now };
        let listed = self.store.scan(caller, query, now).await;
        let People { requests, approved } = listed.map_err(|error| {
            respond::act(error, method::ListPeople::ROW, |never| match *never {})
        })?;
        let asked = requests.into_iter().map(|it| self.asked(it));
        let people = asked.chain(approved.into_iter().map(|it| self.person(it))).collect();
        let has_owner = self.engine.roster().config.channels().owners().next().is_some();
        Ok(v1::ListPeopleResponse { people, has_owner })
    }

    /// Lets somebody in, and makes an owner of them if that is asked for.
    pub(super) async fn let_in(
        &self,
        caller: &Caller,
        message: v1::ApprovePersonRequest,
    ) -> Result<v1::Person, Reply> {
        let standing = if message.owner { Standing::Owner } else { Standing::Guest };
        if standing == Standing::Owner && self.engine.is_draining() {
            return Err(Reply::draining());
        }
        let roster = self.engine.roster();
        let sharing = || {
            let channels = roster.config.channels();
            // Owners write in it whether or not they are listed.
            let people = channels.listed().chain(channels.owners());
            let listed = people.filter_map(|(name, id)| {
                let main = route::main_of_person(name, DEFAULT_ACCOUNT, id, &roster.routes)?;
                Some((format!("{name}:{DEFAULT_ACCOUNT}:{id}"), main))
            });
            let (listed, roster) = (listed.collect(), Arc::clone(&roster));
            let main_of = move |who: &ChatPerson| {
                route::main_of_person(
                    who.channel(),
                    who.account(),
                    who.id().as_str(),
                    &roster.routes,
                )
            };
            Sharing { listed, main_of: Arc::new(main_of) }
        };
        let sharing = (!message.share_main).then(sharing);
        let ask = ApprovePerson { channel: message.channel, code: message.code, sharing, standing };
        let person = self.perform(caller, ask, clock::now(), respond::person).await?;
        match standing {
            Standing::Guest => {}
            Standing::Owner => self.make_owner(caller, &person.who).await?,
        }
        Ok(self.person(person))
    }

    /// Writes somebody who is let in into the configuration as an owner.
    async fn make_owner(&self, caller: &Caller, who: &ChatPerson) -> Result<(), Reply> {
        let (channel, id) = (who.channel(), who.id().as_str());
        let again = format!("openclaw pairing approve {channel} {id} --owner");
        let edited = self.edit(|text| {
            let with = add_owner(text, channel, id);
            let with = with.map_err(|error| edit_error(&error, "openclaw config check"))?;
            Ok((with != text).then_some(with))
        });
        let edited = edited.await.map_err(|reply| {
            let message =
                format!("{channel}:{id} is let in, and is no owner yet: {}", reply.message());
            reply.saying(&message).next(again)
        });
        let authority = Authority::named(format!("sender {who}"));
        let target = PersonTarget { authority, standing: Standing::Owner };
        self.recorded::<method::ApprovePerson, _>(caller, &target, edited).await
    }

    pub(super) async fn take_back(
        &self,
        caller: &Caller,
        message: v1::RemovePersonRequest,
    ) -> Result<v1::Person, Reply> {
        let ask = RemovePerson { channel: message.channel, named: message.sender_id };
        let removed = self.perform(caller, ask, clock::now(), respond::person).await?;
        Ok(match removed {
            RemovedPerson::Approved(person) => self.person(person),
            RemovedPerson::Asked(request) => self.asked(request),
        })
    }

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
