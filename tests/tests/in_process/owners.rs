//! Who becomes an owner in chats: by a clear word of an administrator, at once, and nobody otherwise.

use openclaw_platforms::{Telegram, Tell};
use openclaw_proto::v1;
use openclaw_proto::v1::audit_record::Decision;
use openclaw_scopes::Scope;
use openclaw_tests::{Client, Refusal, TestGateway};
use tonic::Code;

use super::chats::{said, telegram_gateway};

fn approval(code: &str, owner: bool) -> v1::ApprovePersonRequest {
    v1::ApprovePersonRequest {
        channel: "telegram".into(),
        code: code.into(),
        share_main: false,
        owner,
    }
}

async fn approve(client: &Client, code: &str, owner: bool) -> Result<v1::Person, Refusal> {
    Ok(client.channels().approve_person(approval(code, owner)).await?.into_inner())
}

async fn people(client: &Client) -> v1::ListPeopleResponse {
    client.channels().list_people(v1::ListPeopleRequest::default()).await.unwrap().into_inner()
}

/// A gateway on which somebody has asked to be let in, and their code.
async fn asked(telegram: &Telegram) -> (TestGateway, Client, String) {
    let gateway = telegram_gateway(telegram, "").await;
    let owner = gateway.owner().await;
    telegram.say(&Tell::direct(7, "Hello?"));
    said(telegram, 1).await;
    let people = people(&owner).await;
    assert!(!people.has_owner);
    let code = people.people[0].code.clone();
    (gateway, owner, code)
}

#[tokio::test]
//= docs/threat-model.md#T29
//= docs/threat-model.md#T31
async fn nobody_but_an_administrator_makes_an_owner() {
    let telegram = Telegram::start().await;
    let (gateway, owner, code) = asked(&telegram).await;
    let before = (gateway.config_text(), people(&owner).await);
    let most = [Scope::Approvals, Scope::Pairing, Scope::SessionsRead, Scope::Write];
    for scopes in [&most[..], &[Scope::Pairing], &[Scope::Read], &[]] {
        let client = gateway.narrowed(scopes).await;
        for named in [&*code, "7", "NOBODY22"] {
            let refusal = approve(&client, named, true).await.unwrap_err();
            assert_eq!(refusal.kind(), (Code::PermissionDenied, "MISSING_SCOPE"), "{scopes:?}");
            assert_eq!(refusal.fact("missingScopes"), "operator.admin");
        }
    }
    assert_eq!((gateway.config_text(), people(&owner).await), before, "nobody was let in");
    // Without the word nobody becomes one, whoever approves.
    let person = approve(&owner, &code, false).await.unwrap();
    assert!(!person.owner && !people(&owner).await.has_owner, "{person:?}");
    assert_eq!(gateway.config_text(), before.0);
}

#[tokio::test]
//= docs/threat-model.md#T31
async fn an_owner_is_one_at_once_and_after_a_restart() {
    let telegram = Telegram::start().await;
    let (gateway, owner, code) = asked(&telegram).await;
    let person = approve(&owner, &code, true).await.unwrap();
    assert!(person.owner, "{person:?}");
    let text = gateway.config_text();
    assert!(text.contains("ownerAllowFrom = [\"telegram:7\"]"), "{text}");
    telegram.say(&Tell::direct(7, "Now?"));
    assert!(said(&telegram, 2).await.contains("Now?"));
    telegram.say(&Tell::direct(7, "/model offline/offline"));
    assert!(said(&telegram, 3).await.contains("answers here"));
    let runs = owner.runs().list(v1::ListRunsRequest::default()).await.unwrap().into_inner().runs;
    assert_eq!(runs[0].on_behalf_of, "owner");
    let request = v1::ListAuditRequest {
        all: true,
        method: "channels.pairing.approve".into(),
        ..Default::default()
    };
    let records = owner.audit().list(request).await.unwrap().into_inner().records;
    let [record] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!(record.decision(), Decision::Allowed);
    let target = "sender telegram:default:7: operator.write, as an owner";
    assert_eq!((&*record.target, &*record.on_behalf_of), (target, "owner"), "{record:?}");
    // The code is used up, and the id says who it is.
    let again = approve(&owner, &code, true).await.unwrap_err();
    assert_eq!(again.code, Code::NotFound);
    assert!(approve(&owner, "7", true).await.unwrap().owner);
    assert_eq!(gateway.config_text(), text, "once is enough");
    let gateway = gateway.restart().await;
    let people = people(&gateway.owner().await).await;
    assert!(people.has_owner && people.people[0].owner, "{people:?}");
}

/// The file cannot be changed: whoever was let in is told to be no owner, and becomes one later.
#[tokio::test]
async fn what_could_not_be_written_can_be_asked_for_again() {
    let telegram = Telegram::start().await;
    let (gateway, owner, code) = asked(&telegram).await;
    let (path, text) = (gateway.state().join("openclaw.toml"), gateway.config_text());
    std::fs::write(&path, "not = \"right\"").unwrap();
    let refusal = approve(&owner, &code, true).await.unwrap_err();
    assert!(refusal.message.contains("telegram:7 is let in, and is no owner yet"), "{refusal:?}");
    assert_eq!(refusal.next, "openclaw pairing approve telegram 7 --owner");
    let listed = people(&owner).await;
    assert!(!listed.has_owner && listed.people[0].approved_by == "owner", "{listed:?}");
    std::fs::write(&path, &text).unwrap();
    assert_eq!(approve(&owner, "7", false).await.unwrap_err().code, Code::NotFound);
    assert!(approve(&owner, "7", true).await.unwrap().owner);
    assert!(people(&owner).await.has_owner);
    let request = v1::ListAuditRequest {
        all: true,
        method: "channels.pairing.approve".into(),
        ..Default::default()
    };
    let records = owner.audit().list(request).await.unwrap().into_inner().records;
    assert!(records.iter().any(|record| record.reason == "not-changed"), "{records:?}");
}
