//! What weakens the gateway, over the wire.

use openclaw_config::expand_home;
use openclaw_proto::v1::security_server::Security;
use openclaw_proto::{to_timestamp, v1};
use openclaw_scopes::method::{AuditSecurity, Method as _};
use openclaw_store::ReadFacts;
use tonic::{Request, Response, Status};

use crate::core::Core;
use crate::posture::{self, Around, Hooks, Severity};
use crate::{clock, gate, hooks, respond};

#[tonic::async_trait]
impl Security for Core {
    async fn audit(
        &self,
        request: Request<v1::SecurityAuditRequest>,
    ) -> Result<Response<v1::SecurityAuditResponse>, Status> {
        let (caller, v1::SecurityAuditRequest {}) = gate::admit(request)?;
        let now = clock::now();
        let facts = self.store.scan(&caller, ReadFacts(now), now).await;
        let facts = facts
            .map_err(|error| respond::act(error, AuditSecurity::ROW, |never| match *never {}))?;
        let (store, around) = (self.store.clone(), self.around_for_audit());
        let looked = tokio::task::spawn_blocking(move || {
            let chain = store.verify_audit(None);
            posture::look(&facts, &around, chain.as_ref(), now)
        });
        let (findings, checks) = looked.await.map_err(|error| respond::Reply::internal(&error))?;
        let findings = findings.into_iter().map(|finding| v1::SecurityFinding {
            id: finding.id.into(),
            severity: match finding.severity {
                Severity::Critical => v1::security_finding::Severity::Critical,
                Severity::Info => v1::security_finding::Severity::Info,
                Severity::Warn => v1::security_finding::Severity::Warn,
            }
            .into(),
            message: finding.message,
            fix: finding.fix,
            subject: finding.subject,
        });
        Ok(Response::new(v1::SecurityAuditResponse {
            findings: findings.collect(),
            checks,
            at: Some(to_timestamp(now)),
        }))
    }
}

impl Core {
    fn around_for_audit(&self) -> Around {
        let roster = self.engine.roster();
        Around {
            listen: self.network.as_ref().map(|network| network.local),
            certificate_expires_at: self.certificate_expires_at,
            exec: roster.config.exec().clone(),
            hooks: Hooks {
                listen: self.hooks_listen_on,
                all: hooks::looked_at(&roster.config, &self.around.environment),
            },
            in_main: self.engine.people_in_main(),
            state_dir: self.around.state_dir.clone(),
            tls_key: roster
                .config
                .listen()
                .and_then(|listen| listen.tls.as_ref())
                .map(|tls| expand_home(&tls.key, &self.around.environment.home())),
        }
    }
}
