//! Channels that are added, stopped and started while the gateway runs, and what is told of them.

use openclaw_platforms::{Answer, Telegram, Tell};
use openclaw_proto::v1;
use openclaw_proto::v1::audit_record::Decision;
use openclaw_proto::v1::delivery::State;
use openclaw_scopes::Scope;
use openclaw_tests::{Client, Refusal, Setup, TestGateway, soon};
use tonic::Code;

use super::chats::{said, telegram_gateway};
use super::delivery::{delivered, on_telegram};

const CONFIG: &str =
    "channels.telegram.allowFrom = [\"42\"]\ncommands.ownerAllowFrom = [\"telegram:42\"]";

async fn start(client: &Client, channel: &str) -> Result<v1::ChannelStatus, Refusal> {
    let request = v1::StartChannelRequest { channel: channel.into() };
    Ok(soon(client.channels().start(request)).await?.into_inner())
}

async fn stop(client: &Client, channel: &str) -> Result<v1::ChannelStatus, Refusal> {
    let request = v1::StopChannelRequest { channel: channel.into() };
    Ok(soon(client.channels().stop(request)).await?.into_inner())
}

async fn lines(client: &Client, channel: &str, limit: u32) -> Vec<v1::ChannelLogLine> {
    let request = v1::ChannelLogsRequest { channel: channel.into(), limit };
    client.channels().logs(request).await.unwrap().into_inner().lines
}

async fn listed(client: &Client, channel: &str) -> v1::ChannelStatus {
    let listed = client.channels().status(v1::ChannelsStatusRequest {}).await.unwrap();
    listed.into_inner().channels.into_iter().find(|it| it.channel == channel).unwrap()
}

pub(super) async fn until_state(client: &Client, channel: &str, state: &str) -> v1::ChannelStatus {
    soon(async {
        loop {
            let status = listed(client, channel).await;
            if status.state == state {
                return status;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

async fn send(client: &Client, key: &str) -> v1::Delivery {
    let request = v1::SendMessageRequest {
        idempotency_key: key.into(),
        channel: "telegram".into(),
        to: "42".into(),
        text: "A secret word.".into(),
        ..v1::SendMessageRequest::default()
    };
    client.messages().send(request).await.unwrap().into_inner()
}

#[tokio::test]
//= docs/threat-model.md#T18
async fn a_channel_that_is_stopped_hears_and_sends_nothing_until_it_is_started() {
    let telegram = Telegram::start().await;
    let gateway = telegram_gateway(&telegram, CONFIG).await;
    let owner = gateway.owner().await;
    telegram.say(&Tell::direct(42, "One?"));
    said(&telegram, 1).await;
    telegram.all_confirmed().await;
    for _ in 0..2 {
        let stopped = stop(&owner, "telegram").await.unwrap();
        assert_eq!((&*stopped.state, &*stopped.error), ("stopped", ""), "again is no other");
    }
    telegram.say(&Tell::direct(42, "Two?"));
    let waits = send(&owner, "a").await;
    assert_eq!(listed(&owner, "telegram").await.waiting, 1);
    assert_eq!((telegram.sent().len(), telegram.unconfirmed()), (1, 1));
    for _ in 0..3 {
        let started = start(&owner, "telegram").await.unwrap();
        assert!(["connecting", "connected"].contains(&&*started.state), "{started:?}");
    }
    assert_eq!(delivered(&owner, &waits.id).await.state(), State::Sent);
    telegram.wait_for(3).await;
    telegram.all_confirmed().await;
    let texts: Vec<_> = telegram.sent().into_iter().map(|it| it.text).collect();
    assert_eq!(texts.iter().filter(|text| text.contains("Two?")).count(), 1, "{texts:?}");
    // Each listener asks once who it is.
    assert_eq!(telegram.received("getMe").len(), 2, "there is one listener at a time");
    // A stop is not written down.
    stop(&owner, "telegram").await.unwrap();
    let before = gateway.config_text();
    let gateway = gateway.restart().await;
    let owner = gateway.owner().await;
    until_state(&owner, "telegram", "connected").await;
    assert_eq!(gateway.config_text(), before);
}

#[tokio::test]
async fn webhooks_are_stopped_and_started_too() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    assert_eq!(stop(&owner, "webhook").await.unwrap().state, "stopped");
    assert_eq!(start(&owner, "webhook").await.unwrap().state, "ready");
    let events: Vec<_> =
        lines(&owner, "webhook", 0).await.into_iter().map(|line| line.event).collect();
    assert_eq!(events, ["ready", "stopping", "stopped", "ready"]);
}

#[tokio::test]
async fn a_channel_that_has_failed_begins_anew() {
    let telegram = Telegram::start().await;
    telegram.script("getMe", [Answer::Refused { status: 401, text: "Unauthorized".into() }]);
    let gateway = telegram_gateway(&telegram, CONFIG).await;
    let owner = gateway.owner().await;
    let failed = until_state(&owner, "telegram", "failed").await;
    assert!(failed.error.contains("Invalid bot token"), "{failed:?}");
    start(&owner, "telegram").await.unwrap();
    until_state(&owner, "telegram", "connected").await;
}

/// What has happened is told by ids: no word of what was said, and no token.
#[tokio::test]
//= docs/threat-model.md#T14
async fn what_has_happened_is_told_without_a_word_of_what_was_said() {
    let telegram = Telegram::start().await;
    let gateway = telegram_gateway(&telegram, CONFIG).await;
    let owner = gateway.owner().await;
    let heard = telegram.say(&Tell::direct(42, "A secret word?"));
    said(&telegram, 1).await;
    telegram.say(&Tell::direct(7, "A secret word, from a stranger."));
    said(&telegram, 2).await;
    telegram.all_confirmed().await;
    let quoting = Answer::Refused { status: 400, text: "Bad Request: `A secret word.`".into() };
    telegram.script("sendMessage", [quoting]);
    let dead = send(&owner, "a").await;
    assert_eq!(delivered(&owner, &dead.id).await.state(), State::Dead);
    telegram.script("sendMessage", [Answer::AcceptThenClose]);
    let unknown = send(&owner, "b").await;
    assert_eq!(delivered(&owner, &unknown.id).await.state(), State::Unknown);
    let reader = gateway.narrowed(&[Scope::Read]).await;
    let told = soon(async {
        loop {
            let told = lines(&reader, "telegram", 200).await;
            if told.iter().any(|line| line.id == unknown.id) {
                return told;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let find = |event: &str| -> Vec<_> {
        told.iter().filter(|line| line.event == event).map(|line| &*line.id).collect()
    };
    assert_eq!(
        (find("connected"), find("heard"), find("refused")),
        (vec![""], vec![&*heard], vec!["7"])
    );
    assert_eq!((find("dead"), find("unknown")), (vec![&*dead.id], vec![&*unknown.id]));
    assert_eq!(find("sent").len(), 2, "the answer and the code: {told:?}");
    let all = format!("{told:?}");
    assert!(!all.contains("secret") && !all.contains(Telegram::TOKEN), "{all}");
    let last = lines(&reader, "telegram", 1).await;
    assert_eq!(last, told[told.len() - 1..]);
    for (channel, limit, code) in
        [("telegram", 201, Code::InvalidArgument), ("absent", 0, Code::NotFound)]
    {
        let request = v1::ChannelLogsRequest { channel: channel.into(), limit };
        let refusal = Refusal::from(reader.channels().logs(request).await.unwrap_err());
        assert_eq!(refusal.code, code, "{refusal:?}");
    }
}

fn add(key: &str, channel: &str, token_env: &str) -> v1::AddChannelRequest {
    v1::AddChannelRequest {
        idempotency_key: key.into(),
        channel: channel.into(),
        token_env: token_env.into(),
        dm_policy: String::new(),
    }
}

#[tokio::test]
//= docs/threat-model.md#T14
async fn a_channel_is_added_by_the_name_of_a_variable() {
    let config = "# The house's gateway.\n[cron] # short\nmaxConcurrentRuns = 2\n";
    // What cannot be sent is refused before anything is.
    let gateway = Setup::new().config(config).variable("BROKEN", "1:\n2").start().await;
    let owner = gateway.owner().await;
    let before = gateway.config_text();
    for (request, says) in [
        (add("a", "irc", "VAR"), "`discord` or `telegram`"),
        (add("b", "telegram", "123:SECRET"), "name of an environment variable"),
        (add("c", "telegram", ""), "name of an environment variable"),
        (
            v1::AddChannelRequest { dm_policy: "open".into(), ..add("d", "telegram", "V") },
            "allowFrom",
        ),
        (
            v1::AddChannelRequest { dm_policy: "all".into(), ..add("e", "telegram", "V") },
            "dm_policy",
        ),
    ] {
        let refusal = Refusal::from(owner.channels().add(request).await.unwrap_err());
        assert_eq!(refusal.code, Code::InvalidArgument, "{refusal:?}");
        assert!(refusal.message.contains(says), "{says}: {refusal:?}");
        assert!(!format!("{refusal:?}").contains("SECRET"), "{refusal:?}");
    }
    assert_eq!(gateway.config_text(), before);
    let added = owner.channels().add(add("f", "telegram", "ABSENT")).await.unwrap().into_inner();
    assert_eq!((&*added.state, &*added.platform, added.enabled), ("failed", "telegram", true));
    assert!(added.error.contains("`ABSENT` is not set"), "{added:?}");
    let text = gateway.config_text();
    let entry = "[channels.telegram]\ntoken = { env = \"ABSENT\" }\ndmPolicy = \"pairing\"\n";
    assert!(text.contains(entry) && text.contains("[cron] # short"), "{text}");
    let again = owner.channels().add(add("f", "telegram", "ABSENT")).await.unwrap().into_inner();
    assert_eq!((again, gateway.config_text()), (added, text), "a retry changes nothing");
    let other = Refusal::from(owner.channels().add(add("g", "telegram", "V")).await.unwrap_err());
    assert_eq!(other.code, Code::AlreadyExists, "{other:?}");
    // It is there at once: what is to be sent waits for it.
    assert_eq!(send(&owner, "x").await.state(), State::Waiting);
    let broken = owner.channels().add(add("h", "discord", "BROKEN")).await.unwrap().into_inner();
    assert!(broken.error.contains("cannot be sent"), "the variable is read: {broken:?}");
    let unusable = start(&owner, "telegram").await.unwrap_err();
    assert_eq!(unusable.code, Code::FailedPrecondition, "{unusable:?}");
    assert!(unusable.message.contains("ABSENT") && !unusable.next.is_empty(), "{unusable:?}");
    for refusal in [start(&owner, "absent").await, stop(&owner, "absent").await] {
        assert_eq!(refusal.unwrap_err().code, Code::NotFound);
    }
    let request =
        v1::ListAuditRequest { all: true, method: "channels.add".into(), ..Default::default() };
    let records = owner.audit().list(request).await.unwrap().into_inner().records;
    let failed = records.iter().filter(|row| row.decision() == Decision::Failed).count();
    assert!(records.iter().any(|row| row.target == "channel telegram"), "{records:?}");
    assert_eq!(failed, 2, "what could not be written is recorded: {records:?}");
}

#[tokio::test]
async fn only_an_administrator_changes_channels() {
    let telegram = Telegram::start().await;
    let gateway = on_telegram(Setup::new(), &telegram).config(CONFIG).start().await;
    let owner = gateway.owner().await;
    until_state(&owner, "telegram", "connected").await;
    let before = gateway.config_text();
    for scopes in [&[Scope::Write, Scope::Pairing][..], &[Scope::Read], &[]] {
        let client = gateway.narrowed(scopes).await;
        let added = client.channels().add(add("a", "discord", "ABSENT")).await.unwrap_err();
        for refusal in [
            Refusal::from(added),
            start(&client, "telegram").await.unwrap_err(),
            stop(&client, "telegram").await.unwrap_err(),
            stop(&client, "absent").await.unwrap_err(),
        ] {
            assert_eq!(refusal.kind(), (Code::PermissionDenied, "MISSING_SCOPE"), "{refusal:?}");
            assert_eq!(refusal.metadata["missingScopes"], "operator.admin");
        }
    }
    assert_eq!(gateway.config_text(), before);
    assert_eq!(listed(&owner, "telegram").await.state, "connected");
}
