//! Everything that the gateway holds but its log, as the owner sees it: what a refusal must not change.

use openclaw_proto::v1;
use openclaw_tests::{Client, TestGateway};

/// Everything but the audit log, and when something was last used and from where.
#[derive(Debug, PartialEq)]
pub(super) struct World {
    agents: Vec<v1::Agent>,
    config: String,
    deliveries: Vec<String>,
    devices: Vec<v1::Device>,
    effective: String,
    /// Invitations that are open are among them.
    findings: Vec<v1::SecurityFinding>,
    history: Vec<v1::HistoryEntry>,
    jobs: Vec<v1::Job>,
    occurrences: Vec<v1::Occurrence>,
    pending: Vec<v1::PairingRequest>,
    runs: Vec<v1::Run>,
    sessions: Vec<v1::Session>,
    tokens: Vec<v1::Token>,
}

impl World {
    pub(super) async fn of(gateway: &TestGateway, owner: &Client) -> Self {
        let history = v1::SessionHistoryRequest { key: "main".into(), ..Default::default() };
        let (agents, effective) = (v1::ListAgentsRequest {}, v1::GetConfigRequest {});
        let (runs, sessions) = (v1::ListRunsRequest::default(), v1::ListSessionsRequest::default());
        let mut listed = devices(owner).await;
        for device in &mut listed.devices {
            (device.last_used_at, device.last_address) = (None, String::new());
        }
        let mut tokens = tokens(owner).await;
        tokens.iter_mut().for_each(|token| token.last_used_at = None);
        let audit = v1::SecurityAuditRequest {};
        Self {
            agents: owner.agents().list(agents).await.unwrap().into_inner().agents,
            config: gateway.config_text(),
            // How often one was tried is no matter of who may do what.
            deliveries: {
                let request = v1::ListDeliveriesRequest::default();
                let listed = owner.messages().list(request).await.unwrap().into_inner();
                let name = |it: v1::Delivery| format!("{} {}", it.id, it.state == 7);
                listed.deliveries.into_iter().map(name).collect()
            },
            devices: listed.devices,
            effective: owner.gateway().get_config(effective).await.unwrap().into_inner().toml,
            findings: owner.security().audit(audit).await.unwrap().into_inner().findings,
            history: match owner.sessions().history(history).await {
                Ok(history) => history.into_inner().entries,
                Err(status) => {
                    assert_eq!(status.code(), tonic::Code::NotFound, "{status:?}");
                    Vec::new()
                }
            },
            jobs: {
                let request = v1::ListJobsRequest { all: true, ..Default::default() };
                owner.cron().list(request).await.unwrap().into_inner().jobs
            },
            occurrences: {
                let request = v1::ListOccurrencesRequest::default();
                owner.cron().runs(request).await.unwrap().into_inner().occurrences
            },
            pending: listed.pending,
            runs: owner.runs().list(runs).await.unwrap().into_inner().runs,
            sessions: owner.sessions().list(sessions).await.unwrap().into_inner().sessions,
            tokens,
        }
    }

    /// Panics when anything but the requests that wait differs from what it was before.
    #[track_caller]
    pub(super) fn expect_same_but_for_requests(mut self, before: &Self, after: &str) {
        self.pending.clone_from(&before.pending);
        self.expect_same(before, after);
    }

    /// Panics when anything differs from what it was before.
    #[track_caller]
    pub(super) fn expect_same(&self, before: &Self, after: &str) {
        let Self { agents, config, devices, effective, findings, history, .. } = self;
        assert_eq!(agents, &before.agents, "agents after {after}");
        assert_eq!(config, &before.config, "configuration after {after}");
        assert_eq!(self.deliveries, before.deliveries, "deliveries after {after}");
        assert_eq!(devices, &before.devices, "devices after {after}");
        assert_eq!(effective, &before.effective, "configuration after {after}");
        assert_eq!(findings, &before.findings, "findings after {after}");
        assert_eq!(history, &before.history, "history after {after}");
        assert_eq!(self.jobs, before.jobs, "jobs after {after}");
        assert_eq!(self.occurrences, before.occurrences, "due instants after {after}");
        assert_eq!(self.pending, before.pending, "requests after {after}");
        assert_eq!(self.runs, before.runs, "runs after {after}");
        assert_eq!(self.sessions, before.sessions, "conversations after {after}");
        assert_eq!(self.tokens, before.tokens, "tokens after {after}");
    }
}

/// The devices and the requests that wait.
pub(super) async fn devices(owner: &Client) -> v1::ListDevicesResponse {
    let request = v1::ListDevicesRequest { own: false };
    owner.devices().list(request).await.unwrap().into_inner()
}

/// The tokens.
pub(super) async fn tokens(owner: &Client) -> Vec<v1::Token> {
    owner.tokens().list(v1::ListTokensRequest {}).await.unwrap().into_inner().tokens
}

/// The records of the log that a filter lets pass, the newest first.
pub(super) async fn records(owner: &Client, filter: v1::ListAuditRequest) -> Vec<v1::AuditRecord> {
    let mut request = v1::ListAuditRequest { all: true, page_size: 1000, ..filter };
    let mut records = Vec::new();
    loop {
        let page = owner.audit().list(request.clone()).await.unwrap().into_inner();
        records.extend(page.records);
        if page.next_page_token.is_empty() {
            return records;
        }
        request.page_token = page.next_page_token;
    }
}

/// The newest record of the log.
pub(super) async fn newest(owner: &Client) -> v1::AuditRecord {
    let request = v1::ListAuditRequest { all: true, page_size: 1, ..Default::default() };
    owner.audit().list(request).await.unwrap().into_inner().records.remove(0)
}

/// How many refusals and failures the log counts of somebody, by what a reason or method contains.
pub(super) async fn counted(owner: &Client, principal: &str, words: &str) -> u64 {
    let filter = v1::ListAuditRequest { principal: principal.into(), ..Default::default() };
    let records = records(owner, filter).await;
    let refused = records.iter().filter(|record| {
        record.decision() != v1::audit_record::Decision::Allowed
            && (record.reason.contains(words) || record.method == words)
    });
    refused.map(|record| record.count).sum()
}
