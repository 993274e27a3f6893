//! One call of every method about what leaves, and about what comes in without being asked for.

use openclaw_proto::v1;
use openclaw_tests::Client;
use tonic::Status;

use super::About;

pub(super) async fn call(
    client: &Client,
    name: &str,
    when: &str,
    tag: &str,
    about: &About,
) -> Result<(), Status> {
    let (mut messages, mut channels, mut system) =
        (client.messages(), client.channels(), client.system());
    let id = match when {
        "delivery of others" => about.others_delivery.clone(),
        _ => about.delivery.clone(),
    };
    match (name, when) {
        ("send", "chat platform" | "webhook") => {
            let (channel, to) = match when {
                "webhook" => ("webhook", "https://127.0.0.1:9/nobody"),
                _ => ("telegram", "42"),
            };
            let request = v1::SendMessageRequest {
                idempotency_key: format!("send-{tag}-{channel}"),
                channel: channel.into(),
                to: to.into(),
                text: "Hello.".into(),
                ..v1::SendMessageRequest::default()
            };
            messages.send(request).await.map(drop)
        }
        ("poll", "") => {
            let poll = v1::Poll {
                question: "Lunch?".into(),
                options: vec!["Pizza".into(), "Soup".into()],
                ..v1::Poll::default()
            };
            let request = v1::PollRequest {
                idempotency_key: format!("poll-{tag}"),
                channel: "telegram".into(),
                to: "42".into(),
                poll: Some(poll),
                ..v1::PollRequest::default()
            };
            messages.poll(request).await.map(drop)
        }
        ("delivery.list", "") => {
            messages.list(v1::ListDeliveriesRequest::default()).await.map(drop)
        }
        ("delivery.get", "") => messages.get(v1::GetDeliveryRequest { id }).await.map(drop),
        ("delivery.retry", "own delivery" | "delivery of others") => {
            messages.retry(v1::RetryDeliveryRequest { id }).await.map(drop)
        }
        ("delivery.discard", "own delivery" | "delivery of others") => {
            messages.discard(v1::DiscardDeliveryRequest { id }).await.map(drop)
        }
        ("channels.status", "") => channels.status(v1::ChannelsStatusRequest {}).await.map(drop),
        ("channels.logs", "") => {
            let request = v1::ChannelLogsRequest { channel: "telegram".into(), limit: 0 };
            channels.logs(request).await.map(drop)
        }
        ("channels.add", "") => {
            let request = v1::AddChannelRequest {
                idempotency_key: format!("channel-{tag}"),
                channel: "telegram".into(),
                token_env: "ABSENT".into(),
                dm_policy: String::new(),
            };
            channels.add(request).await.map(drop)
        }
        ("channels.start", "") => {
            let request = v1::StartChannelRequest { channel: "webhook".into() };
            channels.start(request).await.map(drop)
        }
        ("channels.stop", "") => {
            let request = v1::StopChannelRequest { channel: "telegram".into() };
            channels.stop(request).await.map(drop)
        }
        ("channels.pairing.list", "") => {
            channels.list_people(v1::ListPeopleRequest::default()).await.map(drop)
        }
        ("channels.pairing.approve", "" | "as an owner") => {
            let request = v1::ApprovePersonRequest {
                channel: "telegram".into(),
                code: "NOBODY22".into(),
                share_main: false,
                owner: when == "as an owner",
            };
            channels.approve_person(request).await.map(drop)
        }
        ("channels.pairing.remove", "") => {
            let request =
                v1::RemovePersonRequest { channel: "telegram".into(), sender_id: "1".into() };
            channels.remove_person(request).await.map(drop)
        }
        ("system.event", "") => {
            let request = v1::SystemEventRequest {
                idempotency_key: format!("event-{tag}"),
                session_key: "explicit:events".into(),
                text: format!("It is {tag}."),
                ..v1::SystemEventRequest::default()
            };
            system.event(request).await.map(drop)
        }
        ("system.event.get", "") => {
            system.get_event(v1::GetSystemEventRequest { id: "event-none".into() }).await.map(drop)
        }
        ("wake", "") => system.wake(v1::WakeRequest::default()).await.map(drop),
        (name, when) => panic!("`{name}` on `{when}` is new: say here how it is called"),
    }
}
