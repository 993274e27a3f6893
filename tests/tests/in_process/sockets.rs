//! The gateway never dials itself: a run with tools and a model opens no socket to it.

use std::os::unix::net::UnixListener;

use openclaw_proto::v1::RunStatus;
use openclaw_tests::{Behavior, Provider, Setup, request, start};
use serde_json::json;

/// The sockets of the machine that bear this path: those that listen there, and the gateway's end
/// of every connection that was made to it.
fn sockets_at(path: &std::path::Path) -> usize {
    let table = std::fs::read_to_string("/proc/self/net/unix").unwrap();
    let path = path.to_str().unwrap();
    table.lines().filter(|line| line.ends_with(path)).count()
}

/// The gateway's own socket is moved away and a decoy takes its place: whoever dialed the gateway,
/// however shortly, would stand in the decoy's queue; and what was dialed before would stand in the
/// system's table.
#[tokio::test]
async fn no_socket_to_itself() {
    let calls = Behavior::Calls(vec![
        ("write_file".into(), json!({ "path": "a.txt", "content": "one" })),
        ("session_status".into(), json!({})),
        ("list_dir".into(), json!({ "path": "." })),
        ("web_fetch".into(), json!({ "url": "http://127.0.0.1:1/" })),
    ]);
    let script = [calls, Behavior::held("Done.")];
    let provider = Provider::openai(script).await;
    let gateway = Setup::new().provider(&provider).socket().start().await;
    let socket = gateway.gateway().socket();
    assert_eq!(sockets_at(&socket), 1, "it listens, and nobody has connected");
    std::fs::rename(&socket, gateway.dir().join("aside")).unwrap();
    let decoy = UnixListener::bind(&socket).unwrap();
    decoy.set_nonblocking(true).unwrap();

    let owner = gateway.owner().await;
    let events = start(&owner, request("r", "main", "Work.")).await.unwrap();
    provider.requests(2).await;
    assert_eq!(sockets_at(&socket), 2, "in the middle of the run: the gateway's and the decoy's");
    provider.release(1);
    let asked = events.rest().await.unwrap();
    assert_eq!((asked.status(), asked.tools.len()), (RunStatus::Ok, 4), "{asked:?}");
    let stopped = gateway.stop().await;
    let dialed = decoy.accept().expect_err("nobody dialed the gateway");
    assert_eq!(dialed.kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(stopped.drained().interrupted, 0);
}

/// The same with the offline model: its answers come from inside the process.
#[tokio::test]
async fn the_offline_model_opens_no_socket() {
    let gateway = Setup::new().socket().start().await;
    let socket = gateway.gateway().socket();
    std::fs::rename(&socket, gateway.dir().join("aside")).unwrap();
    let decoy = UnixListener::bind(&socket).unwrap();
    decoy.set_nonblocking(true).unwrap();
    let owner = gateway.owner().await;
    for number in 0..20 {
        let request = request(&format!("r{number}"), &format!("explicit:{number}"), "Hello.");
        let asked = openclaw_tests::ask(&owner, request).await.unwrap();
        assert_eq!(asked.status(), RunStatus::Ok);
    }
    assert_eq!(sockets_at(&socket), 2);
    assert_eq!(decoy.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}
