//! The first turn: asked, answered, and kept.

use openclaw_proto::v1::RunStatus;
use openclaw_tests::{Api, Behavior, Provider, Setup, TestGateway, ask, request};

#[tokio::test]
async fn a_turn_is_answered_and_kept() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    let first = ask(&owner, request("first", "", "What are you?")).await.unwrap();
    assert_eq!(first.status(), RunStatus::Ok);
    assert!(first.text.contains("offline model"), "{}", first.text);
    assert_eq!(first.text, first.run().text);
    let gateway = gateway.restart().await;
    let again = ask(&gateway.owner().await, request("first", "", "What are you?")).await.unwrap();
    assert_eq!(again.run(), first.run());
    assert!(again.accepted.unwrap().existing);
}

#[tokio::test]
async fn providers_of_both_wires_answer() {
    for api in [Api::OpenAi, Api::Anthropic] {
        let provider = Provider::start(api, [Behavior::text("A crab, I think.")]).await;
        let gateway = Setup::new().provider(&provider).start().await;
        let asked = ask(&gateway.owner().await, request("r", "", "What?")).await.unwrap();
        assert_eq!((asked.status(), asked.text.as_str()), (RunStatus::Ok, "A crab, I think."));
        assert_eq!((asked.pieces, provider.received().len()), (4, 1));
        let usage = asked.run().usage.unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens), (9, 4), "{api:?}");
    }
}
