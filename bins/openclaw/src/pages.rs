//! Lists that come in pages.

use openclaw_client::v1;

use crate::cli::ListRows;
use crate::failure::Failure;

/// The most rows that the gateway puts on one page.
const PAGE: u32 = 1000;

/// A page of a list.
pub(crate) trait Page {
    /// Returns how many rows it has.
    fn rows(&self) -> usize;
    /// Returns what asks for the next page; empty on the last.
    fn token(&self) -> &str;
    /// Adds the page that follows.
    fn append(&mut self, next: Self);
}

macro_rules! pages {
    ($($page:ident $rows:ident $place:literal;)*) => {
        $(impl Page for v1::$page {
            fn rows(&self) -> usize {
                self.$rows.len()
            }

            fn token(&self) -> &str {
                &self.next_page_token
            }

            fn append(&mut self, next: Self) {
                let at = if $place == "behind" { self.$rows.len() } else { 0 };
                drop(self.$rows.splice(at..at, next.$rows));
                self.next_page_token = next.next_page_token;
            }
        })*
    };
}

pages! {
    ListAuditResponse records "behind";
    ListDeliveriesResponse deliveries "behind";
    ListJobsResponse jobs "behind";
    ListOccurrencesResponse occurrences "behind";
    ListRunsResponse runs "behind";
    ListSessionsResponse sessions "behind";
    ListSubagentsResponse subagents "behind";
    SessionHistoryResponse entries "before";
}

/// Asks for pages of a size, with a token, until there are as many rows as are wanted.
pub(crate) async fn collect<P: Page>(
    wanted: &ListRows,
    mut ask: impl AsyncFnMut(u32, String) -> Result<P, Failure>,
) -> Result<P, Failure> {
    let mut list = ask(wanted.limit.min(PAGE), wanted.page_token.clone()).await?;
    loop {
        let so_far = u32::try_from(list.rows()).unwrap_or(u32::MAX);
        let missing = wanted.limit.saturating_sub(so_far);
        if missing == 0 || list.token().is_empty() {
            return Ok(list);
        }
        let next = ask(missing.min(PAGE), list.token().to_owned()).await?;
        let is_stuck = next.rows() == 0 && next.token() == list.token();
        list.append(next);
        if is_stuck {
            return Ok(list);
        }
    }
}

#[cfg(test)]
mod tests {
    use openclaw_client::v1::{HistoryEntry, ListRunsResponse, Run, SessionHistoryResponse};

    use super::*;

    /// Serves numbered rows, `total` of them.
    fn runs(total: u32, size: u32, token: &str) -> ListRunsResponse {
        let from: u32 = if token.is_empty() { 0 } else { token.parse().unwrap() };
        let until = total.min(from.saturating_add(size));
        let run = |n: u32| Run { run_id: n.to_string(), ..Run::default() };
        let token = if until < total { until.to_string() } else { String::new() };
        ListRunsResponse { runs: (from..until).map(run).collect(), next_page_token: token }
    }

    #[tokio::test]
    #[rustfmt::skip]
    async fn as_many_rows_as_wanted() {
        for (limit, token, total, rows, rest, asked) in [
            (100,  "",   5,    5,    "",     1),
            (3,    "",   5,    3,    "3",    1),
            (3,    "3",  5,    2,    "",     1),
            (2500, "",   9000, 2500, "2500", 3),
            (2500, "",   2500, 2500, "",     3),
            (2500, "",   0,    0,    "",     1),
        ] {
            let wanted = ListRows { limit, page_token: token.into() };
            let mut calls = 0;
            let list = collect(&wanted, async |size, token| {
                calls += 1;
                assert!((1..=PAGE).contains(&size));
                Ok(runs(total, size, &token))
            }).await.unwrap();
            assert_eq!((list.runs.len(), list.next_page_token.as_str(), calls), (rows, rest, asked));
            let first: u32 = token.parse().unwrap_or(0);
            let in_order = list.runs.iter().zip(first..).all(|(run, n)| run.run_id == n.to_string());
            assert!(in_order);
        }
    }

    #[tokio::test]
    async fn older_history_stands_before_newer() {
        let wanted = ListRows { limit: 5, page_token: String::new() };
        let pages = [(&[4, 5][..], "4"), (&[2, 3], "2"), (&[1], "")];
        let mut pages = pages.iter();
        let list = collect(&wanted, async |_, _| {
            let (sequences, token) = pages.next().unwrap();
            let entry = |n: &u64| HistoryEntry { sequence: *n, ..HistoryEntry::default() };
            Ok(SessionHistoryResponse {
                entries: sequences.iter().map(entry).collect(),
                next_page_token: (*token).to_owned(),
            })
        });
        let sequences: Vec<_> = list.await.unwrap().entries.iter().map(|e| e.sequence).collect();
        assert_eq!(sequences, [1, 2, 3, 4, 5]);
    }

    #[tokio::test]
    async fn a_list_that_does_not_advance_ends() {
        let wanted = ListRows { limit: 5, page_token: String::new() };
        let list = collect(&wanted, async |_, _| {
            Ok(ListRunsResponse { runs: vec![], next_page_token: "same".into() })
        });
        assert_eq!(list.await.unwrap().runs.len(), 0);
    }
}
