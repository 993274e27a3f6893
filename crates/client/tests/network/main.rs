//! The client against a gateway of this test, over real TLS.

#[cfg(test)]
mod fake;

#[cfg(test)]
mod network {
    use std::sync::Arc;
    use std::time::Duration;

    use openclaw_client::v1::{GetConfigRequest, StatusRequest};
    use openclaw_client::{
        CallError, Client, Code, ConnectError, DeviceKey, Fingerprint, Identity, InvitationCode,
        InvitationSecret, Link, Options, Origin, Target, Trust,
    };
    use openclaw_scopes::{Scope, ScopeSet};

    use crate::fake::Fake;

    fn device() -> Identity {
        Identity::Device(Arc::new(DeviceKey::from_seed([3; 32]).unwrap()))
    }

    fn trusting(fingerprint: Fingerprint) -> Options {
        Options { trust: Some(Trust::Fingerprint(fingerprint)), ..Options::default() }
    }

    async fn connect(fake: &Fake) -> Client {
        let options = trusting(fake.fingerprint);
        Client::connect(&fake.target(), device(), &options).await.unwrap()
    }

    async fn status(client: &Client) -> Result<String, CallError> {
        let answer = client.gateway().status(StatusRequest {}).await;
        Ok(answer.map_err(CallError::from)?.into_inner().version)
    }

    #[tokio::test]
    async fn a_device_proves_its_key_and_calls() {
        let fake = Fake::listen().await;
        let client = connect(&fake).await;
        for _ in 0..3 {
            assert_eq!(status(&client).await.unwrap(), "1.2.3");
        }
        let admission = client.admission().unwrap();
        assert_eq!(admission.scopes, ScopeSet::from(Scope::Read));
        assert_eq!(admission.gateway, fake.fingerprint);
        assert_eq!(admission.pending, None);
        assert_eq!(client.fingerprint(), Some(fake.fingerprint));
        let state = fake.state();
        assert_eq!((state.connections, state.challenges, state.calls), (1, 1, 3));
        assert_eq!(state.asked_for_access, [false; 3]);
    }

    #[tokio::test]
    //= docs/threat-model.md#T27
    async fn another_gateway_gets_nothing() {
        let fake = Fake::listen().await;
        let other = Fingerprint::of_spki(b"another key");
        for trust in [Trust::Fingerprint(other), Trust::Pin(other.pin())] {
            let options = Options { trust: Some(trust), ..Options::default() };
            let error = Client::connect(&fake.target(), device(), &options).await.unwrap_err();
            assert_eq!(error.reason(), Some("FINGERPRINT_MISMATCH"));
            match error {
                ConnectError::Untrusted { expected, found, .. } => {
                    assert_eq!((expected, found), (trust, fake.fingerprint));
                }
                other => panic!("{other:?}"),
            }
        }
        let none = Client::connect(&fake.target(), device(), &Options::default()).await;
        assert!(matches!(none, Err(ConnectError::NoTrust { .. })), "{none:?}");
        let state = fake.state();
        assert_eq!((state.connections, state.challenges), (0, 0));
    }

    #[tokio::test]
    //= docs/threat-model.md#T27
    async fn a_gateway_that_became_another_gets_no_call() {
        let (fake, other) = (Fake::listen().await, Fake::listen().await);
        // An invitation's pin becomes the whole fingerprint at the first sight.
        let options = Options {
            trust: Some(Trust::Pin(fake.fingerprint.pin())),
            ..trusting(other.fingerprint)
        };
        let client = Client::connect(&fake.target(), device(), &options).await.unwrap();
        status(&client).await.unwrap();
        fake.become_another(&other);
        fake.cut().await;
        let error = loop {
            let error = status(&client).await.unwrap_err();
            if error.reason().is_some() {
                break error;
            }
            // The client notices the end a moment later.
            tokio::task::yield_now().await;
        };
        assert_eq!(error.reason(), Some("FINGERPRINT_MISMATCH"));
        assert_eq!(error.origin(), Origin::Transport);
        let state = fake.state();
        assert_eq!((state.connections, state.challenges, state.calls), (1, 1, 1));
    }

    #[tokio::test]
    async fn a_broken_connection_is_made_anew_and_the_key_proved_again() {
        let fake = Fake::listen().await;
        let client = connect(&fake).await;
        status(&client).await.unwrap();
        fake.cut().await;
        // Its tokens were good on that connection only.
        fake.state().tokens.clear();
        while status(&client).await.is_err_and(|error| error.origin() == Origin::Transport) {
            // The client notices the end a moment later.
            tokio::task::yield_now().await;
        }
        status(&client).await.unwrap();
        let state = fake.state();
        assert_eq!((state.connections, state.challenges), (2, 2));
    }

    #[tokio::test]
    //= docs/threat-model.md#T32
    async fn a_call_with_a_stale_token_is_repeated_once() {
        let fake = Fake::listen().await;
        let client = connect(&fake).await;
        fake.state().tokens.clear();
        // Rotated: all calls at once prove the key once.
        let answers = tokio::join!(status(&client), status(&client), status(&client));
        for answer in [answers.0, answers.1, answers.2] {
            assert_eq!(answer.unwrap(), "1.2.3");
        }
        {
            let state = fake.state();
            assert_eq!((state.connections, state.challenges, state.calls), (1, 2, 3));
        }
        let refused = client.gateway().get_config(GetConfigRequest {}).await.unwrap_err();
        let refused = CallError::from(refused);
        assert_eq!(refused.reason(), Some("TOKEN_REVOKED"));
        assert_eq!(refused.origin(), Origin::Gateway);
        assert_eq!(fake.state().challenges, 3, "once, and not again");
    }

    #[tokio::test]
    //= docs/threat-model.md#T32
    async fn a_revoked_device_is_told_so() {
        let fake = Fake::listen().await;
        let client = connect(&fake).await;
        {
            let mut state = fake.state();
            state.tokens.clear();
            state.refusal = Some("DEVICE_REVOKED");
        }
        let error = status(&client).await.unwrap_err();
        assert_eq!(
            (error.code(), error.reason()),
            (Code::PermissionDenied, Some("DEVICE_REVOKED"))
        );
        assert_eq!(error.origin(), Origin::Gateway);
        assert_eq!(fake.state().calls, 0);
        fake.state().refusal = Some("PAIRING_REQUIRED");
        let options = trusting(fake.fingerprint);
        match Client::connect(&fake.target(), device(), &options).await.unwrap_err() {
            ConnectError::Refused(error) => {
                assert_eq!(error.reason(), Some("PAIRING_REQUIRED"));
                assert_eq!((error.kind(), error.request_id()), (Some("not-paired"), Some("r1")));
            }
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_token_that_ends_soon_is_replaced_before_it_does() {
        let fake = Fake::listen().await;
        fake.state().life = Duration::ZERO;
        let client = connect(&fake).await;
        fake.state().life = Duration::from_secs(3600);
        status(&client).await.unwrap();
        status(&client).await.unwrap();
        let state = fake.state();
        assert_eq!((state.connections, state.challenges, state.calls), (1, 2, 2));
    }

    #[tokio::test]
    async fn an_approved_upgrade_counts_without_connecting_again() {
        let fake = Fake::listen().await;
        let client = connect(&fake).await;
        let request = client.wait_upgrade("r1", Duration::from_secs(1)).await.unwrap();
        assert_eq!(request.state(), openclaw_client::v1::pairing_request::State::Approved);
        assert_eq!(client.admission().unwrap().scopes, ScopeSet::from(Scope::Write));
        assert_eq!(fake.state().connections, 1);
    }

    #[tokio::test]
    async fn an_invitation_is_told_once_at_the_first_address_that_is_the_gateways() {
        let (fake, other) = (Fake::listen().await, Fake::listen().await);
        let code = InvitationCode::new(InvitationSecret([9; 12]), &fake.fingerprint);
        let addresses = ["127.0.0.1:1", &other.address.to_string(), &fake.address.to_string()];
        let addresses = addresses.map(|address| address.parse().unwrap()).into();
        let link = Link { code, addresses };
        let (client, address) =
            Client::redeem(&link, &device(), &Options::default()).await.unwrap();
        assert_eq!(address.to_string(), fake.address.to_string());
        status(&client).await.unwrap();
        client.refresh().await.unwrap();
        assert_eq!(fake.state().invitations, [vec![9; 12], vec![]]);
        assert_eq!(other.state().connections, 0);

        let nowhere =
            Link { addresses: vec![link.addresses[0].clone(), link.addresses[1].clone()], ..link };
        let error = Client::redeem(&nowhere, &device(), &Options::default()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Untrusted { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn an_api_token_is_sent_as_it_is() {
        let fake = Fake::listen().await;
        let secret = format!("oct_{}", "A".repeat(43));
        let options = Options { request_access: true, ..trusting(fake.fingerprint) };
        let identity = Identity::Token(secret.parse().unwrap());
        let client = Client::connect(&fake.target(), identity, &options).await.unwrap();
        status(&client).await.unwrap();
        assert_eq!(client.admission(), None);
        {
            let state = fake.state();
            assert_eq!((state.challenges, state.calls), (0, 1));
            assert_eq!(state.asked_for_access, [true]);
        }
        let refused = client.gateway().get_config(GetConfigRequest {}).await.unwrap_err();
        assert_eq!(CallError::from(refused).reason(), Some("TOKEN_REVOKED"));
    }

    #[tokio::test]
    async fn an_identity_fits_its_target() {
        let unix: Target = "unix:/nowhere".parse().unwrap();
        let https: Target = "https://127.0.0.1:1".parse().unwrap();
        let options = trusting(Fingerprint::of_spki(b""));
        for (target, identity) in [(&unix, device()), (&https, Identity::Local)] {
            let error = Client::connect(target, identity, &options).await.unwrap_err();
            assert!(matches!(error, ConnectError::Identity { .. }), "{error:?}");
        }
        let error = Client::connect(&https, device(), &options).await.unwrap_err();
        assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
    }

    #[tokio::test]
    //= docs/threat-model.md#T27
    async fn older_tls_is_not_spoken() {
        let fake = Fake::speaking(&rustls::version::TLS12).await;
        let options = trusting(fake.fingerprint);
        let error = Client::connect(&fake.target(), device(), &options).await.unwrap_err();
        assert!(matches!(error, ConnectError::Tls { .. }), "{error:?}");
        assert_eq!(fake.state().connections, 0);
    }

    #[tokio::test]
    async fn who_speaks_no_tls_is_an_error_and_not_a_hang() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target: Target = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
        let connect_timeout = Duration::from_millis(300);
        let options = Options { connect_timeout, ..trusting(Fingerprint::of_spki(b"")) };
        let (error, accepted) = tokio::join!(Client::connect(&target, device(), &options), async {
            listener.accept().await.unwrap()
        });
        drop(accepted);
        assert!(matches!(error, Err(ConnectError::TimedOut { .. })), "{error:?}");
        let rude = async {
            let (stream, _) = listener.accept().await.unwrap();
            stream.writable().await.unwrap();
            stream.try_write(b"220 mail.example.org ESMTP\r\n").unwrap();
            stream
        };
        let (error, _stream) = tokio::join!(Client::connect(&target, device(), &options), rude);
        assert!(matches!(error, Err(ConnectError::Tls { .. })), "{error:?}");
    }
}
