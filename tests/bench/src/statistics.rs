//! Medians and percentiles.

use std::fmt;
use std::time::Duration;

/// The value below which a share of `sorted` lies; zero of nothing.
pub(crate) fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    let at = (last as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

/// The middle of `values`; not a number of nothing.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values = values.into_iter().collect::<Vec<_>>();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    if values.len().is_multiple_of(2) && middle > 0 {
        f64::midpoint(at(middle - 1), at(middle))
    } else {
        at(middle)
    }
}

/// Ours by the limit, over the rounds: the middle, and how far the rounds lie apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ratio {
    pub(crate) middle: f64,
    low: f64,
    high: f64,
}

impl Ratio {
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Self {
        let values = values.collect::<Vec<_>>();
        Self {
            low: values.iter().copied().fold(f64::INFINITY, f64::min),
            high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            middle: median(values),
        }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { middle, low, high } = self;
        write!(f, "{middle:.2} ({low:.2}–{high:.2})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle() {
        for (values, expected) in [(&[1.0][..], 1.0), (&[3.0, 1.0], 2.0), (&[9.0, 1.0, 2.0], 2.0)] {
            assert!((median(values.iter().copied()) - expected).abs() < 1e-9, "{values:?}");
        }
        assert!(median([]).is_nan());
    }

    #[test]
    fn ratios_tell_how_far_the_rounds_lie_apart() {
        assert_eq!(Ratio::of([0.5, 0.9, 0.7].into_iter()).to_string(), "0.70 (0.50–0.90)");
    }

    #[test]
    fn shares() {
        let sorted = (0..=100).map(Duration::from_millis).collect::<Vec<_>>();
        for (share, expected) in [(0.0, 0), (0.5, 50), (0.99, 99), (1.0, 100)] {
            assert_eq!(percentile(&sorted, share), Duration::from_millis(expected), "{share}");
        }
        assert_eq!(percentile(&[], 0.5), Duration::ZERO);
    }
}
