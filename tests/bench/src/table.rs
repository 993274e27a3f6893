//! Figures as rows of one table.

use std::time::Duration;

use crate::load::Duel;
use crate::statistics::Ratio;

/// A group of figures, with what is said about them.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What is measured, one paragraph.
    pub(crate) measured: String,
    pub(crate) rows: Vec<Row>,
}

/// One figure.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) figure: String,
    pub(crate) ours: String,
    pub(crate) limit: String,
    pub(crate) ratio: Option<Ratio>,
    pub(crate) aim: String,
    pub(crate) is_met: Option<bool>,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Aim {
    /// At least so many a second.
    Rate(f64),
    /// At least this share of the limit.
    Share(f64),
    /// Nothing was asked of it.
    None,
}

impl Row {
    /// A figure without limit or aim.
    pub(crate) fn new(figure: impl Into<String>, ours: impl Into<String>) -> Self {
        Self {
            figure: figure.into(),
            ours: ours.into(),
            limit: String::new(),
            ratio: None,
            aim: String::new(),
            is_met: None,
        }
    }

    /// Puts the limit beside it.
    pub(crate) fn beside(mut self, limit: impl Into<String>) -> Self {
        self.limit = limit.into();
        self
    }

    /// Says what it should be, and whether it is.
    pub(crate) fn aim(mut self, aim: impl Into<String>, met: Met) -> Self {
        self.aim = aim.into();
        self.is_met = Some(met == Met::Yes);
        self
    }

    /// The rows of a duel: the rate with its aim, how long answers took, and what they cost.
    pub(crate) fn of_duel(figure: &str, duel: &Duel, aim: Aim) -> Vec<Self> {
        let (ours, limit, ratio) = (duel.ours(), duel.limit(), duel.ratio());
        let mut row = Self::new(figure, rate(ours.rate)).beside(rate(limit.rate));
        row.ratio = Some(ratio);
        row = match aim {
            Aim::None => row,
            Aim::Rate(least) => {
                row.aim(format!("≥ {}", rate(least)), Met::when(ours.rate >= least))
            }
            Aim::Share(least) => row.aim(format!("≥ {least:.2}"), Met::when(ratio.middle >= least)),
        };
        let times = |it: crate::load::Sample| format!("{} / {}", time(it.p50), time(it.p99));
        let mut rows = vec![row];
        rows.push(Self::new(format!("{figure}: p50 / p99"), times(ours)).beside(times(limit)));
        if let (Some(ours), Some(limit)) = (ours.cpu, limit.cpu) {
            let mut row = Self::new(format!("{figure}: server's processor time"), time(ours));
            row.ratio = Some(duel.ratio_of_cpu());
            rows.push(row.beside(time(limit)));
        }
        rows
    }
}

/// Whether an aim is met.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Met {
    No,
    Yes,
}

impl Met {
    pub(crate) const fn when(is_met: bool) -> Self {
        if is_met { Self::Yes } else { Self::No }
    }
}

/// Writes so many a second, with thousands apart.
pub(crate) fn rate(value: f64) -> String {
    format!("{}/s", thousands(value.round() as u64))
}

/// Writes a whole number, with thousands apart.
pub(crate) fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Writes a time with three digits that count.
pub(crate) fn time(value: Duration) -> String {
    let seconds = value.as_secs_f64();
    let (value, unit) = match seconds {
        ..1e-6 => (seconds * 1e9, "ns"),
        1e-6..1e-3 => (seconds * 1e6, "µs"),
        1e-3..1.0 => (seconds * 1e3, "ms"),
        _ => (seconds, "s"),
    };
    match value {
        0.0 => "0".to_owned(),
        ..10.0 => format!("{value:.2} {unit}"),
        10.0..100.0 if unit != "ns" => format!("{value:.1} {unit}"),
        _ => format!("{value:.0} {unit}"),
    }
}

const HEADS: [&str; 6] = ["figure", "ours", "limit", "ratio", "aim", "met?"];

fn cells(row: &Row) -> [String; 6] {
    let ratio = row.ratio.map(|it| it.to_string()).unwrap_or_default();
    let met = match row.is_met {
        None => "",
        Some(true) => "yes",
        Some(false) => "no",
    };
    let Row { figure, ours, limit, aim, .. } = row.clone();
    [figure, ours, limit, ratio, aim, met.to_owned()]
}

/// The table for a terminal.
pub(crate) fn plain(sections: &[Section]) -> String {
    let rows = sections.iter().flat_map(|section| &section.rows).map(cells);
    let lines = std::iter::once(HEADS.map(str::to_owned)).chain(rows).collect::<Vec<_>>();
    let mut widths = [0; 6];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for line in &lines {
        let mut one = String::new();
        for (cell, width) in line.iter().zip(widths) {
            one.push_str(cell);
            one.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        text.push_str(one.trim_end());
        text.push('\n');
    }
    text
}

/// The table for the document.
pub(crate) fn markdown(sections: &[Section]) -> String {
    let heads = [format!("| {} |", HEADS.join(" | ")), "|---|--:|--:|--:|--:|---|".to_owned()];
    let rows = sections.iter().flat_map(|section| &section.rows);
    let rows = rows.map(|row| format!("| {} |", cells(row).join(" | ")));
    let mut text = heads.into_iter().chain(rows).collect::<Vec<_>>().join("\n");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (value, expected) in [(0, "0"), (999, "999"), (1000, "1 000"), (1_234_567, "1 234 567")]
        {
            assert_eq!(thousands(value), expected);
        }
    }

    #[test]
    fn times() {
        for (nanos, expected) in [
            (12, "12 ns"),
            (1_500, "1.50 µs"),
            (93_000, "93.0 µs"),
            (2_340_000, "2.34 ms"),
            (120_000_000, "120 ms"),
            (3_000_000_000, "3.00 s"),
        ] {
            assert_eq!(time(Duration::from_nanos(nanos)), expected);
        }
    }

    #[test]
    fn columns_are_aligned() {
        let row = Row::new("a figure", "1 000/s").aim("≥ 2", Met::No);
        let section = Section { name: "x", title: "X", measured: String::new(), rows: vec![row] };
        assert_eq!(
            plain(&[section]),
            "figure    ours     limit  ratio  aim  met?\na figure  1 000/s                ≥ 2  no\n"
        );
    }
}
