//! Tests of the set of tools.

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
