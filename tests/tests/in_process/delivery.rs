//! What leaves the gateway: written first, sent once, with a receipt.

use std::time::Duration;

use openclaw_platforms::{Answer, Discord, Telegram, WebSink};
use openclaw_proto::v1;
use openclaw_proto::v1::delivery::State;
use openclaw_proto::v1::job_delivery::Where;
use openclaw_proto::v1::occurrence::Outcome;
use openclaw_scopes::Scope;
use openclaw_tests::{Client, Refusal, Setup, TestGateway, soon};
use tonic::Code;

use super::cron::{add, settled, turn};

/// A gateway that speaks on this Discord.
pub(super) fn on_discord(discord: &Discord) -> Setup {
    let (url, gateway) = (discord.url(), discord.gateway_url());
    Setup::new().variable("DISCORD_TOKEN", Discord::TOKEN).config(&format!(
        "channels.discord.token.env = \"DISCORD_TOKEN\"\n\
         channels.discord.apiUrl = \"{url}\"\n\
         channels.discord.gatewayUrl = \"{gateway}\""
    ))
}

/// A gateway that speaks on this Telegram.
pub(super) fn on_telegram(setup: Setup, telegram: &Telegram) -> Setup {
    let url = telegram.url();
    setup.variable("TELEGRAM_TOKEN", Telegram::TOKEN).config(&format!(
        "channels.telegram.token.env = \"TELEGRAM_TOKEN\"\nchannels.telegram.apiUrl = \"{url}\""
    ))
}

fn message(key: &str, channel: &str, to: &str, text: &str) -> v1::SendMessageRequest {
    v1::SendMessageRequest {
        idempotency_key: key.into(),
        channel: channel.into(),
        to: to.into(),
        text: text.into(),
        ..v1::SendMessageRequest::default()
    }
}

async fn send(client: &Client, message: v1::SendMessageRequest) -> Result<v1::Delivery, Refusal> {
    Ok(client.messages().send(message).await?.into_inner())
}

/// Waits until nothing more is done with a delivery.
pub(super) async fn delivered(client: &Client, id: &str) -> v1::Delivery {
    until(client, id, |delivery| delivery.settled_at.is_some()).await
}

async fn until(client: &Client, id: &str, done: impl Fn(&v1::Delivery) -> bool) -> v1::Delivery {
    soon(async {
        loop {
            let request = v1::GetDeliveryRequest { id: id.into() };
            let delivery = client.messages().get(request).await.unwrap().into_inner();
            if done(&delivery) {
                return delivery;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// Announces what a job says.
pub(super) fn announce(spec: v1::JobSpec, channel: &str, to: &str) -> v1::JobSpec {
    let to = v1::JobAnnounce { channel: channel.into(), to: to.into(), ..Default::default() };
    v1::JobSpec { delivery: Some(v1::JobDelivery { r#where: Some(Where::Announce(to)) }), ..spec }
}

#[tokio::test]
//= docs/threat-model.md#T18
async fn a_message_arrives_once_and_has_a_receipt() {
    let discord = Discord::start().await;
    let gateway = on_discord(&discord).start().await;
    let owner = gateway.owner().await;
    let asked = message("a", "discord", "channel:42", "Hello **world**.");
    let first = send(&owner, asked.clone()).await.unwrap();
    let again = send(&owner, asked.clone()).await.unwrap();
    assert_eq!(first.id, again.id, "a retry is the same message");
    let sent = delivered(&owner, &first.id).await;
    assert_eq!((sent.state(), sent.attempts, sent.parts), (State::Sent, 1, 1), "{sent:?}");
    assert_eq!(sent.receipts, [discord.sent()[0].id.clone()]);
    assert_eq!(discord.sent().len(), 1);
    assert_eq!(discord.sent()[0].channel, "42");
    assert_eq!(discord.sent()[0].text, "Hello **world**.");
    let other = v1::SendMessageRequest { text: "Other.".into(), ..asked };
    assert_eq!(send(&owner, other).await.unwrap_err().reason, "IDEMPOTENCY_CONFLICT");
}

#[tokio::test]
//= docs/threat-model.md#T18
async fn each_fate_of_a_message_is_told() {
    let telegram = Telegram::start().await;
    let gateway = on_telegram(Setup::new(), &telegram).start().await;
    let owner = gateway.owner().await;
    telegram.script(
        "sendMessage",
        [
            Answer::Refused { status: 403, text: "Forbidden: bot was blocked by the user".into() },
            Answer::AcceptThenClose,
        ],
    );
    let blocked = send(&owner, message("a", "telegram", "1", "One.")).await.unwrap();
    let blocked = delivered(&owner, &blocked.id).await;
    assert_eq!((blocked.state(), blocked.attempts), (State::Dead, 1), "{blocked:?}");
    assert!(blocked.error.contains("blocked"), "{blocked:?}");
    let lost = send(&owner, message("b", "telegram", "2", "Two.")).await.unwrap();
    let lost = delivered(&owner, &lost.id).await;
    assert_eq!((lost.state(), lost.attempts), (State::Unknown, 1), "never blindly sent again");
    // Whoever knows that it did not arrive has it sent again; or gives it up.
    let before = telegram.sent().len();
    let retry = v1::RetryDeliveryRequest { id: lost.id.clone() };
    owner.messages().retry(retry).await.unwrap();
    assert_eq!(delivered(&owner, &lost.id).await.state(), State::Sent);
    assert_eq!(telegram.sent().len(), before + 1);
    let discard = v1::DiscardDeliveryRequest { id: blocked.id.clone() };
    let gone = owner.messages().discard(discard).await.unwrap().into_inner();
    assert_eq!(gone.state(), State::Discarded);
    let retry = v1::RetryDeliveryRequest { id: gone.id };
    let settled = owner.messages().retry(retry).await.unwrap_err();
    assert_eq!(settled.code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn a_channel_that_is_limited_holds_up_no_other() {
    let (discord, telegram) = (Discord::start().await, Telegram::start().await);
    telegram.script("sendMessage", [Answer::RateLimited { after: Duration::from_secs(3_600) }]);
    let gateway = on_telegram(on_discord(&discord), &telegram).start().await;
    let owner = gateway.owner().await;
    let limited = send(&owner, message("a", "telegram", "1", "One.")).await.unwrap();
    let limited = until(&owner, &limited.id, |it| !it.error.is_empty()).await;
    assert_eq!((limited.state(), limited.attempts), (State::Waiting, 0), "it was not its fault");
    let wait = limited.next_at.unwrap().seconds - limited.created_at.unwrap().seconds;
    assert!((3_500..=3_700).contains(&wait), "{wait}");
    let quick = send(&owner, message("b", "discord", "channel:1", "Two.")).await.unwrap();
    assert_eq!(delivered(&owner, &quick.id).await.state(), State::Sent);
    // What goes to the same place waits its turn; another place does not.
    let behind = send(&owner, message("c", "telegram", "1", "Three.")).await.unwrap();
    let beside = send(&owner, message("d", "telegram", "2", "Four.")).await.unwrap();
    assert_eq!(delivered(&owner, &beside.id).await.state(), State::Sent);
    let request = v1::GetDeliveryRequest { id: behind.id };
    let behind = owner.messages().get(request).await.unwrap().into_inner();
    assert_eq!((behind.state(), behind.attempts), (State::Waiting, 0));
}

#[tokio::test]
async fn what_is_limited_more_often_than_it_may_fail_arrives() {
    let discord = Discord::start().await;
    let gateway = on_discord(&discord).start().await;
    let owner = gateway.owner().await;
    let limited = Answer::RateLimited { after: Duration::from_millis(1) };
    let answers = [Answer::Normal].into_iter().chain(std::iter::repeat_n(limited, 20));
    discord.script("create_message", answers);
    let text = "word ".repeat(1_000);
    let sent = send(&owner, message("a", "discord", "channel:1", &text)).await.unwrap();
    let sent = delivered(&owner, &sent.id).await;
    assert_eq!((sent.state(), sent.attempts), (State::Sent, 1), "{sent:?}");
    assert_eq!(discord.sent().len(), sent.receipts.len());
}

#[tokio::test]
async fn a_long_message_goes_in_parts_and_goes_on_where_it_stopped() {
    let discord = Discord::start().await;
    let gateway = on_discord(&discord).start().await;
    let owner = gateway.owner().await;
    discord.script("create_message", [Answer::Normal, Answer::Status(404)]);
    let text = "word ".repeat(1_000);
    let sent = send(&owner, message("a", "discord", "channel:1", &text)).await.unwrap();
    let partial = delivered(&owner, &sent.id).await;
    assert_eq!((partial.state(), partial.receipts.len()), (State::Partial, 1), "{partial:?}");
    assert!(partial.parts >= 3);
    let retry = v1::RetryDeliveryRequest { id: sent.id.clone() };
    owner.messages().retry(retry).await.unwrap();
    let whole = delivered(&owner, &sent.id).await;
    assert_eq!(whole.state(), State::Sent);
    let parts = usize::try_from(whole.parts).unwrap();
    assert_eq!((whole.receipts.len(), discord.sent().len()), (parts, parts), "none was sent twice");
}

#[tokio::test]
//= docs/threat-model.md#T10
async fn webhooks_are_signed_and_for_admins_only() {
    let sink = WebSink::start().await;
    let allow = sink.address();
    let gateway = Setup::new()
        .variable("HOOK_KEY", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        .config(&format!(
            "channels.webhook = {{ secret = {{ env = \"HOOK_KEY\" }}, allowAddresses = [\"{allow}\"] }}"
        ))
        .start()
        .await;
    let owner = gateway.owner().await;
    let url = format!("{}/hook", sink.url());
    let writer = gateway.narrowed(&[Scope::Write]).await;
    let refusal = send(&writer, message("a", "webhook", &url, "Hello.")).await.unwrap_err();
    assert_eq!(
        (refusal.reason.as_str(), refusal.message.as_str()),
        ("MISSING_SCOPE", "missing scope: operator.admin")
    );
    let sent = send(&owner, message("a", "webhook", &url, "Hello.")).await.unwrap();
    assert_eq!(delivered(&owner, &sent.id).await.state(), State::Sent);
    let post = sink.received().remove(0);
    let key = data_encoding_key();
    assert!(WebSink::is_signed(&post, &key), "{post:?}");
    // Addresses of the inside are not reached, whoever asks.
    for url in ["https://169.254.169.254/latest", "https://127.0.0.1:1/x", "http://93.184.216.34/x"]
    {
        let sent = send(&owner, message(&format!("k{}", url.len()), "webhook", url, "Hello."))
            .await
            .unwrap();
        let refused = delivered(&owner, &sent.id).await;
        assert_eq!((refused.state(), refused.attempts), (State::Dead, 1), "{refused:?}");
    }
    assert_eq!(sink.received().len(), 1);
    // A job that posts needs the same, when it is added and when it is due.
    let hooked = |spec: v1::JobSpec| v1::JobSpec {
        delivery: Some(v1::JobDelivery { r#where: Some(Where::Webhook(url.clone())) }),
        ..spec
    };
    let refusal = add(&writer, hooked(turn("post", "Hello."))).await.unwrap_err();
    assert_eq!(refusal.message, "missing scope: operator.admin");
    let job = add(&owner, hooked(turn("post", "Hello."))).await.unwrap();
    let ran = settled(&owner, &job.id).await;
    assert_eq!(ran.outcome(), Outcome::Ran);
    assert_eq!(delivered(&owner, &ran.delivery_id).await.state(), State::Sent);
    assert_eq!(sink.received().len(), 2);
}

fn data_encoding_key() -> Vec<u8> {
    b"\x31\xf2\x90\xf6\xbf\x06\x29\x8a\xab\x4f\x08\xd4\x3c\x3f\x08\x2c\xf6\x48\xa3\x62\xda\x2d\xa4\xb0".to_vec()
}

#[tokio::test]
async fn nobody_is_named_who_is_not_there() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    for (message, says) in [
        (message("a", "discord", "channel:1", "x"), "not configured"),
        (message("b", "", "42", "x"), "several channels are configured, or none"),
        (message("c", "webhook", "ftp://x", "x"), "https"),
        (message("d", "webhook", "https://a.example", "  "), "empty"),
    ] {
        let refusal = send(&owner, message).await.unwrap_err();
        assert!(refusal.message.contains(says), "{refusal:?}");
        assert_eq!(refusal.code, Code::InvalidArgument);
    }
    let listed = owner.messages().list(v1::ListDeliveriesRequest::default()).await.unwrap();
    assert_eq!(listed.into_inner().deliveries, []);
}

#[tokio::test]
async fn what_a_job_says_reaches_its_chat() {
    let discord = Discord::start().await;
    let gateway = on_discord(&discord).start().await;
    let owner = gateway.owner().await;
    let job =
        add(&owner, announce(turn("news", "Say hello."), "discord", "channel:7")).await.unwrap();
    let ran = settled(&owner, &job.id).await;
    assert_eq!(ran.outcome(), Outcome::Ran, "{ran:?}");
    let sent = delivered(&owner, &ran.delivery_id).await;
    assert_eq!(sent.state(), State::Sent);
    assert_eq!(sent.source, format!("run:{}", ran.run_id));
    assert_eq!(sent.session_key, ran.session_key);
    assert_eq!(discord.sent()[0].channel, "7");
    assert!(discord.sent()[0].text.contains("Say hello."));
    let ran = settled(&owner, &job.id).await;
    assert_eq!(
        ran.delivery_state, "sent",
        "whether it ran is one thing, whether it arrived another"
    );
}

/// The owner hears of what did not arrive, once for all of it; and not of what the gateway says itself.
#[tokio::test]
async fn owners_are_told_of_what_did_not_arrive() {
    let telegram = Telegram::start().await;
    let setup = on_telegram(Setup::new(), &telegram);
    let gateway = setup.config("commands.ownerAllowFrom = [\"telegram:42\"]").start().await;
    let owner = gateway.owner().await;
    let refused = || Answer::Refused { status: 403, text: "Forbidden: bot was blocked".into() };
    telegram.script("sendMessage", [refused(), refused()]);
    for key in ["a", "b"] {
        let lost = send(&owner, message(key, "telegram", "1", "One.")).await.unwrap();
        assert_eq!(delivered(&owner, &lost.id).await.state(), State::Dead);
    }
    // Whoever looks at what is due tells of it, too.
    let job = add(&owner, turn("look", "Hello.")).await.unwrap();
    settled(&owner, &job.id).await;
    telegram.wait_for(1).await;
    let job = add(&owner, turn("again", "Hello.")).await.unwrap();
    settled(&owner, &job.id).await;
    let sent = telegram.sent();
    assert_eq!((sent.len(), &*sent[0].chat), (1, "42"), "{sent:?}");
    assert!(sent[0].text.contains("2 messages did not arrive"), "{sent:?}");
    assert!(sent[0].text.contains("bot was blocked"), "{sent:?}");
}

/// A gateway with an owner on Telegram and another on Discord.
async fn of_two_owners(discord: &Discord, telegram: &Telegram) -> TestGateway {
    let owners = "commands.ownerAllowFrom = [\"telegram:42\", \"discord:7\"]";
    on_telegram(on_discord(discord), telegram).config(owners).start().await
}

/// Loses a message, and has whoever looks at what is due tell of it.
async fn lose(owner: &Client, message: v1::SendMessageRequest) {
    let lost = send(owner, message).await.unwrap();
    assert_eq!(delivered(owner, &lost.id).await.state(), State::Dead);
    look(owner, "look").await;
}

async fn look(owner: &Client, name: &str) {
    let job = add(owner, turn(name, "Hello.")).await.unwrap();
    settled(owner, &job.id).await;
}

#[tokio::test]
async fn an_owner_is_told_where_it_can_arrive() {
    let (discord, telegram) = (Discord::start().await, Telegram::start().await);
    let refused = || Answer::Refused { status: 401, text: "Unauthorized".into() };
    // The token was revoked.
    telegram.script("getMe", [refused()]);
    telegram.script("sendMessage", [refused()]);
    let gateway = of_two_owners(&discord, &telegram).await;
    let owner = gateway.owner().await;
    super::channels::until_state(&owner, "telegram", "failed").await;
    lose(&owner, message("a", "telegram", "1", "One.")).await;
    discord.wait_for(1).await;
    let told = discord.sent().remove(0);
    assert_eq!(told.channel, "97", "the direct chat");
    assert!(told.text.contains("to telegram 1, is dead"), "{told:?}");
    assert_eq!(telegram.sent(), []);
}

#[tokio::test]
async fn a_notice_that_does_not_arrive_reaches_the_next_owner_once() {
    let (discord, telegram) = (Discord::start().await, Telegram::start().await);
    let gateway = of_two_owners(&discord, &telegram).await;
    let owner = gateway.owner().await;
    let blocked = Answer::Refused { status: 403, text: "Forbidden: bot was blocked".into() };
    telegram.script("sendMessage", [blocked]);
    discord.script("create_message", [Answer::Status(404)]);
    lose(&owner, message("a", "discord", "channel:1", "One.")).await;
    let notice = soon(async {
        loop {
            let request = v1::ListDeliveriesRequest::default();
            let all = owner.messages().list(request).await.unwrap().into_inner().deliveries;
            if let Some(notice) = all.into_iter().find(|it| it.source.starts_with("notice:")) {
                return notice;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(notice.to.as_ref().unwrap().channel, "telegram", "what was lost was not lost there");
    assert_eq!(delivered(&owner, &notice.id).await.state(), State::Dead);
    for name in ["again", "and-again"] {
        look(&owner, name).await;
        discord.wait_for(1).await;
    }
    let told: Vec<_> = discord.sent().into_iter().map(|it| (it.channel, it.text)).collect();
    assert_eq!(told, [("97".to_owned(), notice.text)], "once");
}
