//! Webhooks against a receiver.

use std::net::IpAddr;
use std::time::Duration;

use openclaw_channels::{PermanentKind, SendOutcome, WebhookOptions, WebhookSender};
use openclaw_config::Secret;
use openclaw_platforms::{Answer, WebSink};
use openclaw_scopes::Timestamp;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_999);

fn refuse(address: IpAddr) -> Option<&'static str> {
    let is_inside = match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local() || v4.is_private(),
        IpAddr::V6(v6) => v6.is_loopback(),
    };
    is_inside.then_some("leads inside")
}

fn sender(sink: &WebSink) -> WebhookSender {
    sender_with(sink, Duration::from_secs(20))
}

fn sender_with(sink: &WebSink, timeout: Duration) -> WebhookSender {
    let mut options = WebhookOptions::new(refuse, "test/1");
    options.allow.insert(sink.address());
    options.timeout = timeout;
    WebhookSender::new(options)
}

async fn post(sender: &WebhookSender, url: &str) -> SendOutcome {
    sender.post(url, b"{\"a\":1}".to_vec(), "key-1", None, NOW).await
}

#[tokio::test]
async fn a_post_is_signed() {
    let sink = WebSink::start().await;
    let secret = Secret::new("whsec_c2VjcmV0".to_owned());
    let outcome =
        sender(&sink).post(&sink.url(), b"{}".to_vec(), "key-1", Some(&secret), NOW).await;
    assert_eq!(outcome, SendOutcome::Sent { receipt: "key-1".to_owned() });
    let posts = sink.received();
    let header = |name: &str| posts[0].headers.get(name).map(String::as_str);
    assert_eq!(header("webhook-id"), Some("key-1"));
    assert_eq!(header("webhook-timestamp"), Some("1700000000"));
    assert_eq!(header("user-agent"), Some("test/1"));
    assert!(WebSink::is_signed(&posts[0], b"secret"));
    assert!(!WebSink::is_signed(&posts[0], b"another secret"));
}

#[tokio::test]
async fn what_the_receiver_says_decides() {
    let sink = WebSink::start().await;
    let sender = sender(&sink);
    let after = Duration::from_secs(7);
    #[rustfmt::skip]
    let table = [
        (Answer::Status(204),            "sent"),
        (Answer::Status(400),            "Invalid"),
        (Answer::Status(401),            "Auth"),
        (Answer::Status(403),            "Forbidden"),
        (Answer::Status(404),            "NotFound"),
        (Answer::Status(410),            "NotFound"),
        (Answer::Status(418),            "Invalid"),
        (Answer::Status(500),            "retry None"),
        (Answer::Status(503),            "retry None"),
        (Answer::RateLimited { after },  "retry Some(7s)"),
        (Answer::AcceptThenClose,        "retry None"),
        (Answer::Big(8 << 20),           "sent"),
    ];
    for (answer, expected) in table {
        sink.script([answer.clone()]);
        let said = match post(&sender, &sink.url()).await {
            SendOutcome::Permanent { kind, .. } => format!("{kind:?}"),
            SendOutcome::Retry { after, .. } => format!("retry {after:?}"),
            SendOutcome::Sent { .. } => "sent".to_owned(),
            SendOutcome::Unknown { .. } => "unknown".to_owned(),
        };
        assert_eq!(said, expected, "{answer:?}");
    }
    assert_eq!(sink.received().len(), 12);
}

#[tokio::test]
async fn what_is_never_answered_is_tried_again() {
    let sink = WebSink::start().await;
    sink.script([Answer::HangAfterAccept]);
    let outcome = post(&sender_with(&sink, Duration::from_millis(300)), &sink.url()).await;
    assert!(matches!(outcome, SendOutcome::Retry { after: None, .. }), "{outcome:?}");
    sink.wait_for(1).await;
}

#[tokio::test]
//= docs/threat-model.md#T10
async fn a_redirect_is_not_followed() {
    let (sink, other) = (WebSink::start().await, WebSink::start().await);
    sink.script([Answer::Redirect { to: other.url() }]);
    let outcome = post(&sender(&sink), &sink.url()).await;
    let SendOutcome::Permanent { kind: PermanentKind::Invalid, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(other.received().is_empty());
}

//= docs/threat-model.md#T10
#[tokio::test]
async fn only_addresses_that_may_be_reached_are() {
    let (sink, other) = (WebSink::start().await, WebSink::start().await);
    let sender = sender(&sink);
    let port = other.address().port();
    for (url, kind) in [
        ("http://169.254.169.254/latest/meta-data/".to_owned(), PermanentKind::Forbidden),
        ("https://169.254.169.254/latest/meta-data/".to_owned(), PermanentKind::Forbidden),
        ("http://93.184.216.34/".to_owned(), PermanentKind::Forbidden),
        (other.url(), PermanentKind::Forbidden),
        (format!("https://127.0.0.1:{port}/"), PermanentKind::Forbidden),
        (format!("https://localhost:{port}/"), PermanentKind::Forbidden),
        ("ftp://example.com/".to_owned(), PermanentKind::Invalid),
        ("https://user:pass@example.com/".to_owned(), PermanentKind::Invalid),
        ("nonsense".to_owned(), PermanentKind::Invalid),
    ] {
        let outcome = post(&sender, &url).await;
        let SendOutcome::Permanent { kind: found, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(found, kind, "{url}");
    }
    assert!(other.received().is_empty());
}

#[tokio::test]
async fn nobody_there_is_tried_again() {
    let sink = WebSink::start().await;
    let (sender, url, address) = (sender(&sink), sink.url(), sink.address());
    drop(sink);
    while tokio::net::TcpStream::connect(address).await.is_ok() {}
    let outcome = post(&sender, &url).await;
    assert!(matches!(outcome, SendOutcome::Retry { after: None, .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_key_must_be_fit_for_a_header() {
    let sink = WebSink::start().await;
    for key in ["", "a b", "a\nb", "é"] {
        let outcome = sender(&sink).post(&sink.url(), Vec::new(), key, None, NOW).await;
        assert!(matches!(outcome, SendOutcome::Permanent { .. }), "{key:?}");
    }
    assert!(sink.received().is_empty());
}
