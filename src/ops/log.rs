//! The log: lines on stderr about the server, never about a person.
//!
//! In: `tracing` events. Out: one line each. This program's own events are shown up to the configured level; they carry
//! counts, shards and causes, and nothing that came from the network. Of dependencies, whose lines may name addresses
//! (quinn-proto prints them at debug and trace), only the fact shows that one of them warned: its text is withheld.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::config::LogLevel;

/// What the process's log shows, as a number: it can be changed while the server runs.
static LEVEL: AtomicU8 = AtomicU8::new(LogLevel::Info as u8);

/// Starts the log for the whole process. A second start changes nothing.
pub fn start(level: LogLevel) {
    LEVEL.store(level as u8, Relaxed);
    let shown = || LogLevel::from_number(LEVEL.load(Relaxed));
    let lines =
        Lines { shown, write: |line: &str| drop(std::io::stderr().lock().write_all(line.as_bytes())) };
    // The only failure is that a log is already there.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines));
}

/// Shows more or less from now on.
pub fn set_level(level: LogLevel) {
    if LEVEL.swap(level as u8, Relaxed) != level as u8 {
        tracing::callsite::rebuild_interest_cache();
    }
}

struct Lines<S, W> {
    /// The level and everything more severe.
    shown: S,
    write: W,
}

impl<S: Subscriber, L: Fn() -> LogLevel + 'static, W: Fn(&str) + 'static> Layer<S> for Lines<L, W> {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        if metadata.is_span() {
            return false;
        }
        let shown = (self.shown)();
        let most = if is_own(metadata) { shown } else { shown.min(LogLevel::Warn) };
        most >= level_of(metadata)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut line = format!("{} {:5} {}", utc(SystemTime::now()), metadata.level(), metadata.target());
        if is_own(metadata) {
            event.record(&mut Fields(&mut line));
        } else {
            line.push_str(" (a dependency's text is withheld: it may name a person)");
        }
        line.push('\n');
        (self.write)(&line);
    }
}

fn is_own(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    target == "anoncam" || target.starts_with("anoncam::")
}

fn level_of(metadata: &Metadata<'_>) -> LogLevel {
    match *metadata.level() {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        Level::TRACE => LogLevel::Trace,
    }
}

/// Appends an event's message, then its fields as `name=value`, on one line.
struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let start = self.0.len();
        // Writing to a String does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
        if self.0[start..].contains(['\n', '\r']) {
            let one_line = self.0[start..].replace(['\n', '\r'], " ");
            self.0.replace_range(start.., &one_line);
        }
    }
}

/// A moment as `2026-11-23T14:05:09Z`.
fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The Gregorian date of a day counted from 1970-01-01. A year is taken to begin in March, so that the leap day is its last
/// and the months' lengths follow one formula.
fn civil(days: u64) -> (u64, u64, u64) {
    const ERA_DAYS: u64 = 146_097; // 400 years
    let since_0000 = days + 719_468; // 0000-03-01 to 1970-01-01
    let (era, day) = (since_0000 / ERA_DAYS, since_0000 % ERA_DAYS);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next_year, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    fn logged(level: LogLevel, work: impl FnOnce()) -> String {
        let text = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&text);
        let write = move |line: &str| sink.lock().expect("a lock").push_str(line);
        let subscriber = tracing_subscriber::registry().with(Lines { shown: move || level, write });
        tracing::subscriber::with_default(subscriber, work);
        let text = text.lock().expect("a lock");
        text.clone()
    }

    #[test]
    fn what_a_dependency_says_is_withheld_at_every_level() {
        let text = logged(LogLevel::Trace, || {
            tracing::trace!(target: "quinn_proto::connection", remote = "203.0.113.7:4242", "drop 203.0.113.7");
            tracing::debug!(target: "quinn_proto", "203.0.113.7");
            tracing::warn!(target: "quinn_udp", remote = "203.0.113.7:4242", "sendmsg error to 203.0.113.7");
            tracing::error!(target: "anoncamera", "203.0.113.7");
        });
        assert!(!text.contains("203.0.113"), "{text}");
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains(" WARN  quinn_udp (a dependency's text is withheld"), "{text}");
    }

    #[test]
    fn own_lines_show_up_to_the_level() {
        let text = logged(LogLevel::Info, || {
            tracing::info!(target: "anoncam::server", shards = 4, "ready");
            tracing::debug!(target: "anoncam::server", "not shown");
        });
        assert!(text.ends_with("INFO  anoncam::server ready shards=4\n"), "{text}");
        assert_eq!(logged(LogLevel::Off, || tracing::error!(target: "anoncam", "no")), "");
    }

    #[test]
    fn a_line_stays_one_line() {
        let text = logged(LogLevel::Info, || tracing::info!(target: "anoncam", "two\nlines"));
        assert_eq!(text.lines().count(), 1, "{text}");
    }

    #[test]
    fn moments_are_written_as_in_rfc_3339() {
        let told = [
            (0, "1970-01-01T00:00:00Z"),
            (951_827_696, "2000-02-29T12:34:56Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (seconds, expected) in told {
            assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }
}
