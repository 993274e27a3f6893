//! The decision log over the wire.

use std::pin::Pin;

use futures_util::{Stream, stream};
use openclaw_proto::v1;
use openclaw_proto::v1::audit_server::Audit;
use openclaw_scopes::Caller;
use openclaw_scopes::method::{self, ExportAudit, ListAudit, Method as _, VerifyAudit};
use openclaw_scopes::target::{AuditRange, Whole};
use openclaw_store::{AuditFilter, Note, StoreError, Verification, Whose};
use tonic::{Request, Response, Status};

use crate::core::Core;
use crate::respond::{self, Reply};
use crate::{clock, convert, gate};

/// Records that are read at once for an export: no snapshot is held between two reads.
const EXPORT_PAGE: u32 = 500;

#[tonic::async_trait]
impl Audit for Core {
    type ExportStream = Pin<Box<dyn Stream<Item = Result<v1::AuditRecord, Status>> + Send>>;

    async fn list(
        &self,
        request: Request<v1::ListAuditRequest>,
    ) -> Result<Response<v1::ListAuditResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        let before = match message.page_token.as_str() {
            "" => None,
            token => Some(token.parse().map_err(|_error| convert::bad_token())?),
        };
        // A name that no method has finds nothing, which would look like an answer.
        if !message.method.is_empty() && method::find(&message.method).is_none() {
            return Err(Reply::unknown_method(&message.method).into());
        }
        let range = if message.all { AuditRange::All } else { AuditRange::Own };
        let principal = self.acting(&caller, range, message.principal).await?;
        let filter = AuditFilter {
            range,
            before,
            limit: convert::page_size(message.page_size)?,
            method: message.method,
            principal,
            decision: convert::parse_decision(message.decision)?,
        };
        let listed = self.store.scan(&caller, filter, clock::now()).await;
        let page =
            listed.map_err(|error| respond::act(error, ListAudit::ROW, |never| match *never {}))?;
        Ok(Response::new(v1::ListAuditResponse {
            records: page.records.into_iter().map(convert::audit_record).collect(),
            next_page_token: page.next_before.map(|seq| seq.to_string()).unwrap_or_default(),
        }))
    }

    async fn verify(
        &self,
        request: Request<v1::VerifyAuditRequest>,
    ) -> Result<Response<v1::VerifyAuditResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        let known = match message.head {
            None => None,
            Some(head) => {
                let text = format!("{}:{}", head.sequence, head.digest);
                let head = text.parse::<openclaw_store::AuditHead>();
                Some(head.map_err(|error| Reply::invalid(error.to_string()))?)
            }
        };
        let authorized = self.peek::<VerifyAudit>(&caller, Whole).await?;
        let (_, Whole) = authorized.into_parts();
        let store = self.store.clone();
        let verified = tokio::task::spawn_blocking(move || store.verify_audit(known)).await;
        let verified = verified.unwrap_or(Err(StoreError::Closed));
        let verification = verified.map_err(|error| respond::store(&error))?;
        Ok(Response::new(response(verification)))
    }

    async fn export(
        &self,
        request: Request<v1::ExportAuditRequest>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        let (caller, message) = gate::admit(request)?;
        let noted = self.store.act(&caller, Note::<ExportAudit>(Whole), clock::now()).await;
        let authorized = noted
            .map_err(|error| respond::act(error, ExportAudit::ROW, |never| match *never {}))?;
        let (_, Whole) = authorized.into_parts();
        let store = self.store.clone();
        let pages =
            stream::try_unfold((store, message.from_sequence), |(store, from)| async move {
                let reader = store.clone();
                let read = move || reader.audit_from(from, EXPORT_PAGE);
                let page =
                    tokio::task::spawn_blocking(read).await.unwrap_or(Err(StoreError::Closed));
                let page = page.map_err(|error| Status::from(respond::store(&error)))?;
                let next = page.last().map(|last| last.seq.saturating_add(1));
                let rows = page.into_iter().map(|record| Ok(convert::audit_record(record)));
                let rows = stream::iter(rows.collect::<Vec<Result<_, Status>>>());
                Ok::<_, Status>(next.map(|next| (rows, (store, next))))
            });
        Ok(Response::new(Box::pin(futures_util::TryStreamExt::try_flatten(pages))))
    }
}

impl Core {
    /// Returns how the log names a principal: it knows tokens by their ids, people by their names.
    async fn acting(
        &self,
        caller: &Caller,
        range: AuditRange,
        principal: String,
    ) -> Result<String, Reply> {
        let Some(name) = principal.strip_prefix("token:") else { return Ok(principal) };
        // Which tokens there are is told to nobody who may not read the whole log.
        if range == AuditRange::All {
            drop(self.peek::<ListAudit>(caller, range).await?);
            let held = self.store.held(caller, &Whose::Token(name.to_owned()));
            let held =
                held.map_err(|error| respond::act(error, ListAudit::ROW, respond::device))?;
            return Ok(held.holder.to_string());
        }
        Ok(principal)
    }
}

fn response(verification: Verification) -> v1::VerifyAuditResponse {
    v1::VerifyAuditResponse {
        ok: verification.findings.is_empty(),
        checked: verification.checked,
        sealed: verification.sealed,
        head: Some(convert::audit_head(verification.head)),
        unchecked: verification.unchecked.into_iter().map(convert::audit_head).collect(),
        findings: verification
            .findings
            .into_iter()
            .map(|finding| v1::AuditFinding {
                sequence: finding.seq,
                kind: finding.kind.name().into(),
                detail: finding.detail,
            })
            .collect(),
    }
}
