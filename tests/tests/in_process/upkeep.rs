//! What goes by itself: conversations that were made for one piece of work, and files beyond the disk budget;
//! never a conversation of people.

use openclaw_proto::v1;
use openclaw_tests::{Client, Setup, ask, request};
use tonic::Code;

async fn cleanup(client: &Client, dry_run: bool) -> v1::CleanupResponse {
    client.sessions().cleanup(v1::CleanupRequest { dry_run }).await.unwrap().into_inner()
}

#[tokio::test]
async fn what_was_used_just_now_stays() {
    let gateway = Setup::new().config("session.maintenance.pruneAfter = \"1h\"").start().await;
    let owner = gateway.owner().await;
    for session in ["main", "hook:mail", "cron:j:run:1"] {
        ask(&owner, request(&format!("r-{session}"), session, "Hello.")).await.unwrap();
    }
    for dry_run in [true, false] {
        let gone = cleanup(&owner, dry_run).await;
        assert_eq!((gone.keys.len(), gone.files.len(), gone.done), (0, 0, !dry_run));
        assert!(gone.disk_bytes > 0);
    }
}

#[tokio::test]
async fn files_go_when_the_disk_budget_is_used_up() {
    for (budget, expected) in [(0_u64, 0), (1, 3), (1 << 40, 0)] {
        let config = format!("session.maintenance.maxDiskBytes = {budget}");
        let gateway = Setup::new().config(&config).start().await;
        let owner = gateway.owner().await;
        for number in 0..3 {
            let key = format!("explicit:s{number}");
            ask(&owner, request(&format!("r{number}"), &key, "Hello.")).await.unwrap();
            let delete = v1::DeleteSessionRequest { key, ..Default::default() };
            owner.sessions().delete(delete).await.unwrap();
        }
        let would = cleanup(&owner, true).await;
        assert_eq!((would.files.len(), would.done), (expected, false), "{budget}: {would:?}");
        assert!(would.files.iter().all(|file| std::path::Path::new(file).exists()));
        let gone = cleanup(&owner, false).await;
        assert_eq!((gone.files, gone.done), (would.files.clone(), true));
        assert!(would.files.iter().all(|file| !std::path::Path::new(file).exists()));
    }
}

#[tokio::test]
async fn only_an_administrator_asks_for_it() {
    let gateway = Setup::new().start().await;
    let writer = gateway.narrowed(&[openclaw_scopes::Scope::Write]).await;
    let refused = writer.sessions().cleanup(v1::CleanupRequest { dry_run: true }).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
}
