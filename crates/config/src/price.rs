//! What models cost.

use std::fmt;

/// Millionths of a dollar.
const MICROS: u64 = 1_000_000;

/// What a model costs, in dollars for a million tokens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Price {
    /// Of input tokens.
    pub input: Dollars,
    /// Of output tokens.
    pub output: Dollars,
    /// Of input tokens that were read from the provider's cache.
    pub cache_read: Dollars,
}

impl Price {
    /// Returns what so many tokens cost; those that were read from a cache are among the input tokens.
    pub fn of(&self, input: u64, output: u64, cached: u64) -> Dollars {
        let anew = input.saturating_sub(cached);
        let parts = [(self.input, anew), (self.output, output), (self.cache_read, cached)];
        let picos = parts.into_iter().fold(0_u128, |sum, (price, tokens)| {
            sum.saturating_add(u128::from(price.0).saturating_mul(u128::from(tokens)))
        });
        // A price is for a million tokens.
        Dollars(u64::try_from(picos.div_ceil(u128::from(MICROS))).unwrap_or(u64::MAX))
    }
}

/// An amount of money, in millionths of a dollar.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Dollars(pub u64);

impl Dollars {
    /// Reads an amount such as `3` or `0.25`, with six decimals at most; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
        if !is_number(whole) || !is_number(part) || part.len() > 6 {
            return None;
        }
        let part: u64 = format!("{part:0<6}").parse().ok()?;
        let whole: u64 = whole.parse().ok()?;
        whole.checked_mul(MICROS)?.checked_add(part).map(Self)
    }

    /// Returns the sum, or the most that there can be.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Dollars {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{:06}", self.0 / MICROS, self.0 % MICROS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        for (text, micros) in [
            ("3", Some(3_000_000)),
            ("0.25", Some(250_000)),
            ("0.000001", Some(1)),
            ("0.0000001", None),
            ("-1", None),
            ("1.", None),
            (".5", None),
            ("1e3", None),
            ("", None),
            ("99999999999999999999", None),
            ("18446744073709.551616", None),
        ] {
            assert_eq!(Dollars::parse(text).map(|it| it.0), micros, "{text}");
        }
        assert_eq!(Dollars(1_250_000).to_string(), "1.250000");
        let price = Price {
            input: Dollars(3_000_000),
            output: Dollars(15_000_000),
            cache_read: Dollars(0),
        };
        assert_eq!(price.of(6_000, 100, 5_000).to_string(), "0.004500");
        assert_eq!(price.of(1, 0, 0).0, 3);
        assert_eq!(price.of(u64::MAX, u64::MAX, 0).0, u64::MAX);
    }
}
