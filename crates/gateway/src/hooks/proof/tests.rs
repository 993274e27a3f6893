//! Credentials that are right, and all that are not.

use hyper::header::{HeaderName, HeaderValue};

use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn headers(values: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in values {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

#[test]
//= docs/threat-model.md#T30
fn a_token_is_sent_once_and_is_the_right_one() {
    let bearer = format!("Bearer {SECRET}");
    for (given, is_right) in [
        (vec![("authorization", bearer.as_str())], true),
        (vec![("x-openclaw-token", SECRET)], true),
        (vec![], false),
        (vec![("authorization", SECRET)], false),
        (vec![("authorization", "Bearer ")], false),
        (vec![("x-openclaw-token", "")], false),
        (vec![("x-openclaw-token", SECRET.get(..31).unwrap())], false),
        (vec![("x-openclaw-token", SECRET), ("x-openclaw-token", SECRET)], false),
        (vec![("authorization", &bearer), ("x-openclaw-token", SECRET)], false),
    ] {
        assert_eq!(token(&headers(&given), &secret(SECRET)).is_ok(), is_right, "{given:?}");
    }
}

#[test]
fn a_signature_is_that_of_the_specification() {
    // The example of the specification's reference implementations.
    let secret = secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let body = br#"{"test": 2432232314}"#;
    let (id, time) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330");
    let right = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    let now = Timestamp::from_millis(1_614_265_330_000);
    let check = |signature: &str, body: &[u8], time: &str, now: Timestamp| {
        let given =
            [("webhook-id", id), ("webhook-timestamp", time), ("webhook-signature", signature)];
        standard(&headers(&given), body, &secret, now)
    };
    assert_eq!(check(right, body, time, now), Ok(PostId::Named(id.into())));
    assert!(check(&format!("v1,AAAA v2,{right} {right}"), body, time, now).is_ok());
    let late = now.saturating_add(Duration::from_secs(301));
    let early = Timestamp::from_millis(1_614_265_330_000 - 301_000);
    for (signature, body, time, now) in [
        ("v1,AAAA", &body[..], time, now),
        ("g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", body, time, now),
        (right, b"{}", time, now),
        (right, body, "1614265331", now),
        (right, body, "9223372036854775807", now),
        (right, body, "now", now),
        (right, body, time, late),
        (right, body, time, early),
    ] {
        assert_eq!(check(signature, body, time, now), Err(Wrong), "{signature} {time}");
    }
    let unsigned = headers(&[("webhook-id", id), ("webhook-timestamp", time)]);
    assert_eq!(standard(&unsigned, body, &secret, now), Err(Wrong));
}

#[test]
//= docs/threat-model.md#T18
fn a_signature_of_github_names_the_post_by_its_body() {
    // The example of GitHub's documentation.
    let secret = secret("It's a Secret to Everybody");
    let right = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let check = |signature: &str, delivery: &str| {
        let given = [("x-hub-signature-256", signature), ("x-github-delivery", delivery)];
        github(&headers(&given), b"Hello, World!", &secret)
    };
    let named = check(right, "1").unwrap();
    assert_eq!(
        check(right, "2").unwrap(),
        named,
        "what is not signed does not make it another post"
    );
    assert!(matches!(named, PostId::Named(id) if id.len() == 64));
    for wrong in [
        "",
        "sha256=",
        right.get(7..).unwrap(),
        &right.replace('7', "8"),
        &right.replace("256", "1"),
    ] {
        assert_eq!(check(wrong, "1"), Err(Wrong), "{wrong}");
    }
}

#[test]
fn whoever_sends_a_token_may_name_the_post() {
    let named = |text: &str| Ok(PostId::Named(text.into()));
    assert_eq!(chosen_id(&headers(&[])), Ok(PostId::Unnamed));
    assert_eq!(chosen_id(&headers(&[("idempotency-key", "a")])), named("a"));
    assert_eq!(chosen_id(&headers(&[("webhook-id", "b")])), named("b"));
    assert_eq!(chosen_id(&headers(&[("idempotency-key", "a b")])), Err(Wrong));
    assert_eq!(chosen_id(&headers(&[("idempotency-key", &"a".repeat(257))])), Err(Wrong));
}
