//! Tests of what a model is told. Commands themselves are tested beside the helper.

use super::*;

fn finished(ended: Ended) -> Finished {
    Finished {
        ended,
        dropped: 0,
        head: "out".into(),
        tail: String::new(),
        survivors: Survivors::None,
    }
}

#[test]
fn the_end_of_a_command_is_told_first() {
    let check = |finished: Finished, expected: &str| {
        assert_eq!(answer(&finished, Duration::from_secs(7)).unwrap(), expected);
    };
    check(finished(Ended::Exited(3)), "exit code 3\n\nout");
    check(finished(Ended::Signaled(9)), "killed by signal 9\n\nout");
    check(finished(Ended::TimedOut), "timed out after 7 seconds, and was killed\n\nout");
    check(
        Finished { dropped: 5, tail: "end".into(), ..finished(Ended::Exited(0)) },
        "exit code 0\n\nout\n[… 5 bytes were dropped here …]\nend",
    );
    check(
        Finished { survivors: Survivors::Some, ..finished(Ended::Exited(0)) },
        "exit code 0\n[a process hangs in the kernel and is still there]\n\nout",
    );
    assert!(matches!(answer(&finished(Ended::Canceled), Duration::ZERO), Err(ToolError::Canceled)));
}

#[test]
fn a_missing_sandbox_names_the_switch() {
    let error = ToolError::from(JobError::Sandbox { problem: "no Landlock".into() });
    let text = error.to_string();
    assert!(
        text.contains("no Landlock") && text.contains("tools.exec.sandbox = \"off\""),
        "{text}"
    );
}
