//! Where what a job says goes: as the command line says it, as the wire wants it, and as people read it.

use openclaw_client::v1::job_delivery::Where;
use openclaw_client::v1::job_payload::What;
use openclaw_client::v1::{Job, JobAnnounce, JobDelivery};
use openclaw_scopes::target::Reach;

use super::text;
use crate::cli::DeliverArgs;

/// Returns how far a job reaches for which this is said.
pub(super) const fn wanted(args: &DeliverArgs) -> Reach {
    if args.webhook.is_some() { Reach::Programs } else { Reach::Agents }
}

/// Returns how far a job reaches; one that cannot be read any more, as far as it may have.
pub(super) fn reach(job: &Job) -> Reach {
    let r#where = job.delivery.as_ref().and_then(|delivery| delivery.r#where.as_ref());
    let what = job.payload.as_ref().and_then(|payload| payload.what.as_ref());
    let does = match what {
        Some(What::Command(_) | What::Webhook(_)) => Reach::Programs,
        _ if !job.problem.is_empty() => Reach::Programs,
        Some(What::AgentTurn(_) | What::Heartbeat(_) | What::SystemEvent(_)) | None => {
            Reach::Agents
        }
    };
    let says = match r#where {
        Some(Where::Webhook(_)) => Reach::Programs,
        Some(Where::Announce(_) | Where::None(_)) | None => Reach::Agents,
    };
    does.max(says)
}

/// Returns what was said of it; `None` when nothing was.
pub(super) fn given(args: DeliverArgs) -> Option<JobDelivery> {
    let DeliverArgs { announce, channel, to, thread, account, no_deliver, webhook } = args;
    let r#where = match (announce, no_deliver, webhook) {
        (true, _, _) => Where::Announce(JobAnnounce {
            channel: text(channel),
            to: text(to),
            account_id: text(account),
            thread_id: text(thread),
        }),
        (false, true, _) => Where::None(true),
        (false, false, Some(url)) => Where::Webhook(url),
        (false, false, None) => return None,
    };
    Some(JobDelivery { r#where: Some(r#where) })
}

/// Returns where it goes, in a few words; empty for where answers of its conversation go.
pub(super) fn words(delivery: Option<&JobDelivery>) -> String {
    match delivery.and_then(|delivery| delivery.r#where.as_ref()) {
        None => String::new(),
        Some(Where::None(_)) => "nowhere".to_owned(),
        Some(Where::Webhook(url)) => format!("to webhook {url}"),
        Some(Where::Announce(JobAnnounce { channel, to, thread_id, .. })) => {
            let thread = if thread_id.is_empty() { "" } else { "thread" };
            let words = ["to", channel, to, thread, thread_id];
            words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
        }
    }
}

#[cfg(test)]
mod tests {
    use openclaw_client::v1::{JobCommand, JobPayload};

    use super::*;

    #[test]
    #[rustfmt::skip]
    fn said_sent_and_shown() {
        let some = |text: &str| Some(text.to_owned());
        let announced = DeliverArgs { announce: true, to: some("-100123"), ..DeliverArgs::default() };
        let telegram = DeliverArgs { channel: some("telegram"), ..announced.clone() };
        let threaded = DeliverArgs { thread: some("7"), ..telegram.clone() };
        let webhook = DeliverArgs { webhook: some("https://x.example/y"), ..DeliverArgs::default() };
        let nowhere = DeliverArgs { no_deliver: true, ..DeliverArgs::default() };
        for (args, expected, reaches) in [
            (DeliverArgs::default(), "",                                Reach::Agents),
            (announced,              "to -100123",                      Reach::Agents),
            (telegram,               "to telegram -100123",             Reach::Agents),
            (threaded,               "to telegram -100123 thread 7",    Reach::Agents),
            (nowhere,                "nowhere",                         Reach::Agents),
            (webhook,                "to webhook https://x.example/y",  Reach::Programs),
        ] {
            assert_eq!(wanted(&args), reaches);
            let delivery = given(args);
            assert_eq!(words(delivery.as_ref()), expected);
            assert_eq!(reach(&Job { delivery, ..Job::default() }), reaches);
        }
        for what in [What::Command(JobCommand::default()), What::Webhook("{}".into())] {
            let payload = Some(JobPayload { what: Some(what) });
            assert_eq!(reach(&Job { payload, ..Job::default() }), Reach::Programs);
        }
        let torn = Job { problem: "it is torn".into(), ..Job::default() };
        assert_eq!(reach(&torn), Reach::Programs);
    }
}
