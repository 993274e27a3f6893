//! Tests of the set of tools.

use openclaw_scopes::{Caller, CapabilitySet, Epoch, Grant, RunId, SessionKey, authorize};

use super::*;

#[derive(Debug)]
struct Echo(ToolSpec);

impl Tool for Echo {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    fn capability(&self) -> Capability {
        Capability::SessionsStatus
    }

    fn call<'a>(
        &'a self,
        arguments: Value,
        _cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<String, ToolError>> {
        Box::pin(std::future::ready(Ok(arguments.to_string())))
    }
}

fn echo(name: &str) -> Arc<dyn Tool> {
    Arc::new(Echo(ToolSpec {
        name: name.to_owned(),
        description: String::new(),
        parameters: Value::Null,
    }))
}

#[test]
fn a_set_keeps_its_order_and_refuses_a_second_of_a_name() {
    let names = |toolbox: &Toolbox| {
        toolbox.specs().iter().map(|spec| spec.name.clone()).collect::<Vec<_>>()
    };
    let toolbox = Toolbox::new(vec![echo("b"), echo("a")]).unwrap();
    assert_eq!(names(&toolbox), ["b", "a"]);
    let target = toolbox.target("a").unwrap();
    assert_eq!((target.tool.as_str(), target.capability), ("a", Capability::SessionsStatus));
    assert!(toolbox.target("c").is_none());
    assert!(matches!(
        Toolbox::new(vec![echo("a"), echo("a")]),
        Err(BuildToolboxError::Duplicate { .. })
    ));
    assert!(matches!(Toolbox::new(vec![echo("")]), Err(BuildToolboxError::Name(_))));
}

fn authorized(target: ToolTarget) -> Authorized<InvokeTool> {
    let run = RunId::parse("r").unwrap();
    let session = SessionKey::parse("agent:main:main").unwrap();
    let held = CapabilitySet::of(Capability::ALL);
    let caller = Caller::run(run, session, Grant::owner(Epoch(1)), held);
    authorize::<InvokeTool>(&caller, target, Some(Epoch(1))).unwrap()
}

#[tokio::test]
async fn a_witness_is_spent_on_the_tool_that_it_names() {
    let toolbox = Toolbox::new(vec![echo("a"), echo("b")]).unwrap();
    let cancel = CancellationToken::new();
    let invoke = async |target: Option<ToolTarget>, arguments: &str| {
        let target = target.unwrap();
        let invoked = toolbox.invoke(authorized(target), arguments, &cancel).await;
        invoked.map_err(|error| error.to_string())
    };
    assert_eq!(invoke(toolbox.target("a"), "{\"x\":1}").await, Ok("{\"x\":1}".into()));
    assert_eq!(invoke(toolbox.target("a"), " ").await, Ok("{}".into()));
    let malformed = invoke(toolbox.target("b"), "{\"x\":").await.unwrap_err();
    assert!(malformed.starts_with("argument `arguments` is not valid JSON"), "{malformed}");

    let none = Err("there is no tool `a` in this run".to_owned());
    let other = ToolTarget { capability: Capability::FilesRead, ..toolbox.target("a").unwrap() };
    assert_eq!(invoke(Some(other), "{}").await, none);
    let elsewhere = Toolbox::new(vec![echo("b")]).unwrap();
    let target = toolbox.target("a").unwrap();
    let invoked = elsewhere.invoke(authorized(target), "{}", &cancel).await;
    assert_eq!(invoked.map_err(|error| error.to_string()), none);
    cancel.cancel();
    assert_eq!(invoke(toolbox.target("a"), "{}").await, Err("the call was canceled".into()));
}
