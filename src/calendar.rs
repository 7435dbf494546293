//! Days and dates of the Gregorian calendar, in UTC. A library for this brings time zones, formats and a clock of its own.

use std::time::{SystemTime, UNIX_EPOCH};

/// A day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// Four digits.
    pub year: u64,
    /// 1 to 12.
    pub month: u64,
    /// 1 to 31.
    pub day: u64,
}

/// Days of 400 years.
const ERA_DAYS: u64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: u64 = 719_468;

impl Date {
    /// Reads `2026-11-28`; `None` if there is no such day.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let formed = bytes.len() == 10
            && bytes.iter().enumerate().all(|(at, byte)| match at {
                4 | 7 => *byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        if !formed {
            return None;
        }
        let number = |from: usize, to: usize| text.get(from..to)?.parse().ok();
        let date = Self { year: number(0, 4)?, month: number(5, 7)?, day: number(8, 10)? };
        // A day that does not exist becomes another one.
        let real = date.year >= 1970 && (1..=12).contains(&date.month) && date.day >= 1;
        (real && Self::from_days(date.days()) == date).then_some(date)
    }

    /// The day that is `days` after 1970-01-01. A year is taken to begin in March, so that the leap day is its last and the
    /// months' lengths follow one formula.
    pub fn from_days(days: u64) -> Self {
        let since_0000 = days + EPOCH_DAYS;
        let (era, day) = (since_0000 / ERA_DAYS, since_0000 % ERA_DAYS);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day_of_month = day - (153 * month + 2) / 5 + 1;
        let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        Self { year: era * 400 + year + next_year, month, day: day_of_month }
    }

    /// Days since 1970-01-01; not for dates before.
    pub fn days(self) -> u64 {
        let (year, month) =
            if self.month > 2 { (self.year, self.month - 3) } else { (self.year - 1, self.month + 9) };
        let (era, year) = (year / 400, year % 400);
        let day = 365 * year + year / 4 - year / 100 + (153 * month + 2) / 5 + self.day - 1;
        era * ERA_DAYS + day - EPOCH_DAYS
    }

    /// The day of a moment.
    pub fn of(time: SystemTime) -> Self {
        Self::from_days(unix_s(time) / 86_400)
    }
}

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// Seconds since 1970, by a clock that may be wrong; 0 before.
pub fn unix_s(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Seconds since 1970 as `2026-11-23T14:05:09Z` (RFC 3339).
pub fn utc(seconds: u64) -> String {
    let (date, second) = (Date::from_days(seconds / 86_400), seconds % 86_400);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{date}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_in_rfc_3339() {
        let told = [
            (0, "1970-01-01T00:00:00Z"),
            (951_827_696, "2000-02-29T12:34:56Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (seconds, expected) in told {
            assert_eq!(utc(seconds), expected);
        }
    }

    #[test]
    fn every_day_is_counted_once_and_others_do_not_exist() {
        for days in (0..60_000).chain([2_932_896]) {
            let date = Date::from_days(days);
            assert_eq!((date.days(), Date::parse(&date.to_string())), (days, Some(date)));
        }
        for wrong in [
            "2026-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-1-01",
            "2026-11-31",
            "+026-11-01",
            "ä026-11-1",
            "1969-12-31",
            "",
        ] {
            assert_eq!(Date::parse(wrong), None, "{wrong}");
        }
    }
}
