//! What is asked about what happens.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use openclaw_scopes::AgentId;

/// Which events, and whether to wait for more.
#[derive(Args, Clone, Debug)]
pub(crate) struct WatchArgs {
    /// Go on with what is to come: from now on, or after --since-seq.
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Only what comes after this number; 0 for all that is kept.
    #[arg(long, value_name = "N")]
    pub(crate) since_seq: Option<u64>,
    /// Only these kinds, whole or by their first word, for example run.ended or cron. May be given
    /// several times.
    #[arg(long, value_name = "KIND", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) kind: Vec<String>,
    /// Only what belongs to this conversation, by its full or short key.
    #[arg(long, value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) session: Option<String>,
    /// Only what belongs to this agent.
    #[arg(long, value_name = "ID")]
    pub(crate) agent: Option<AgentId>,
    /// How many to show at most: the newest.
    #[arg(
        long,
        value_name = "N",
        default_value = "100",
        value_parser = clap::value_parser!(u32).range(1..=100_000),
        conflicts_with = "follow"
    )]
    pub(crate) limit: u32,
}
