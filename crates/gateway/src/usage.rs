//! What models have used, and what it costs.

use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_config::{Config, Dollars, ModelName};
use openclaw_proto::{to_duration, v1};
use openclaw_sessions::Usage;
use openclaw_store::{UsageBy, UsageOf};

/// Rows of one answer at most.
const MAX_ROWS: usize = 1_000;

const NONE: Usage = Usage { input_tokens: 0, output_tokens: 0, cached_tokens: 0 };

/// What was used for something, over all models.
#[derive(Clone, Copy, Debug)]
struct Sum {
    answers: u64,
    usage: Usage,
    worked_millis: u64,
    /// What it costs; `None` once the price of a model is not known.
    cost: Option<Dollars>,
}

impl Sum {
    const NOTHING: Self =
        Self { answers: 0, usage: NONE, worked_millis: 0, cost: Some(Dollars(0)) };

    fn add(&mut self, used: &UsageOf, cost: Option<Dollars>) {
        self.answers = self.answers.saturating_add(used.answers);
        self.usage = self.usage.plus(used.usage);
        self.worked_millis = self.worked_millis.saturating_add(used.worked_millis);
        self.cost = self.cost.zip(cost).map(|(sum, cost)| sum.plus(cost));
    }

    const fn tokens(&self) -> u64 {
        self.usage.input_tokens.saturating_add(self.usage.output_tokens)
    }

    fn row(self, name: String) -> v1::UsageRow {
        let Usage { input_tokens, output_tokens, cached_tokens } = self.usage;
        v1::UsageRow {
            name,
            answers: self.answers,
            input_tokens,
            output_tokens,
            cached_tokens,
            cost: self.cost.map_or_else(|| "unknown".to_owned(), |cost| cost.to_string()),
            worked: Some(to_duration(Duration::from_millis(self.worked_millis))),
        }
    }
}

/// Returns what something cost by the prices that are configured now; `None` when that of the model is not.
/// Nothing costs nothing, whatever the price.
pub(crate) fn cost(config: &Config, model: &str, usage: Usage) -> Option<Dollars> {
    if usage == Usage::default() {
        return Some(Dollars(0));
    }
    let price = config.price(&ModelName::parse(model).ok()?)?;
    Some(price.of(usage.input_tokens, usage.output_tokens, usage.cached_tokens))
}

/// Adds up what models have used, a row for each name.
pub(crate) fn summed(rows: &[UsageOf], by: UsageBy, config: &Config) -> v1::UsageResponse {
    let (mut sums, mut total) = (BTreeMap::<&str, Sum>::new(), Sum::NOTHING);
    for used in rows {
        let cost = cost(config, &used.model, used.usage);
        sums.entry(&used.name).or_insert(Sum::NOTHING).add(used, cost);
        total.add(used, cost);
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    match by {
        UsageBy::Day => sums.reverse(),
        UsageBy::Agent | UsageBy::Model | UsageBy::Session => {
            sums.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.tokens()));
        }
    }
    let rows = sums.into_iter().take(MAX_ROWS).map(|(name, sum)| sum.row(name.to_owned()));
    v1::UsageResponse { rows: rows.collect(), total: Some(total.row("total".to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_price_makes_the_sum_unknown() {
        let config = openclaw_config::parse(
            "models.prices.'offline/a' = { input = 2, output = 10, cacheRead = 0.5 }",
        )
        .unwrap();
        let used = |name: &str, model: &str, input_tokens| UsageOf {
            name: name.into(),
            model: model.into(),
            answers: 1,
            usage: Usage { input_tokens, output_tokens: 100, cached_tokens: 0 },
            worked_millis: 600,
        };
        let rows =
            [used("x", "offline/a", 500), used("y", "offline/a", 1), used("y", "offline/b", 1)];
        let summed = summed(&rows, UsageBy::Agent, &config);
        let shown: Vec<_> = summed.rows.iter().map(|row| (&*row.name, &*row.cost)).collect();
        assert_eq!(shown, [("x", "0.002000"), ("y", "unknown")]);
        let total = summed.total.unwrap();
        let worked = total.worked.unwrap();
        assert_eq!((worked.seconds, worked.nanos), (1, 800_000_000));
        assert_eq!((total.answers, total.input_tokens, &*total.cost), (3, 502, "unknown"));
        assert_eq!(cost(&config, "offline/b", Usage::default()), Some(Dollars(0)));
    }
}
