//! Lengths of time as people write them: `500ms`, `10s`, `2m`, `1h`; a bare number is seconds.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::{Nanos, SECOND};

/// A length of time in seconds, written with its unit.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(f64);

impl Span {
    /// From seconds.
    pub const fn seconds(seconds: f64) -> Self {
        Self(seconds)
    }

    /// In seconds.
    pub const fn as_seconds(self) -> f64 {
        self.0
    }

    /// In nanoseconds.
    pub fn as_nanos(self) -> Nanos {
        (self.0 * SECOND as f64) as Nanos
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let factor = match unit {
            "us" => 1e-6,
            "ms" => 1e-3,
            "" | "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(format!("\"{text}\" is not a length of time: write 500ms, 10s, 2m or 1h")),
        };
        let number: f64 = number.parse().map_err(|_| format!("\"{text}\" is not a length of time"))?;
        Ok(Self(number * factor))
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > 0.0 && self.0 < 1.0 { write!(f, "{}ms", self.0 * 1e3) } else { write!(f, "{}s", self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_with_their_unit_and_written_back() {
        for (text, seconds) in [("500ms", 0.5), ("10s", 10.0), ("2m", 120.0), ("1.5h", 5400.0), ("3", 3.0)] {
            assert_eq!(text.parse::<Span>().unwrap(), Span(seconds));
        }
        assert_eq!(Span(0.25).to_string(), "250ms");
        assert!("ten".parse::<Span>().is_err());
        assert!("10 days".parse::<Span>().is_err());
    }
}
