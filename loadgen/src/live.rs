//! The line that is shown while a run goes on.

use std::fmt::Write;

use crate::report::Interval;
use crate::settings::{Kind, Settings};
use crate::stats::recorder::Count;

/// What the line sums up over the run.
pub struct Live {
    kind: Kind,
    /// Sessions in a chat so far, and what went wrong.
    paired: u64,
    errors: u64,
}

impl Live {
    /// Nothing yet.
    pub fn new(settings: &Settings) -> Self {
        Self { kind: settings.kind, paired: 0, errors: 0 }
    }

    /// The line after another interval.
    pub fn line(&mut self, now: &Interval) -> String {
        let count = |count| now.counts.get(&count).copied().unwrap_or(0);
        self.paired += count(Count::Matched);
        self.errors +=
            count(Count::OpenFailed) + count(Count::Lost) + count(Count::Dropped) + count(Count::Notices);
        let rate = |count: u64| count as f64 / now.seconds.max(0.001);
        let ms = |us: u64| us as f64 / 1000.0;
        let mut line = format!("{:>5.0} s  ", now.at_s);
        // Writing to a String cannot fail.
        let _ = match (now.measuring, count(Count::Planned)) {
            (false, _) => write!(line, "opening {:>6.0}/s", rate(count(Count::Opened))),
            (true, 0) => write!(line, "load {:>7.0}/s", rate(now.operations)),
            (true, planned) => {
                write!(line, "load {:>7.0} of {:.0}/s", rate(count(Count::Started)), rate(planned))
            }
        };
        let _ = write!(line, "  open {}", now.open);
        if !matches!(self.kind, Kind::Connect | Kind::Idle) {
            let _ = write!(line, "  paired {} ({} now)", self.paired, now.in_chat);
        }
        if now.operations > 0 {
            let _ = write!(line, "  p50 {:.2} p99 {:.2} ms", ms(now.p50_us), ms(now.p99_us));
        }
        let _ = write!(line, "  errors {}", self.errors);
        if now.server_rss_bytes > 0 {
            let mib = now.server_rss_bytes as f64 / 1024.0 / 1024.0;
            let _ = write!(line, "  server {:.2} CPUs {mib:.0} MiB", now.server_cpus);
        }
        let _ = write!(line, "  own {:.2} CPUs", now.own_cpus);
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    #[test]
    fn the_line_shows_rate_pairs_latency_errors_and_costs() {
        let options = Options { connections: Some(2), ..Options::default() };
        let mut live = Live::new(&Settings::new(Kind::Pair, &options).unwrap());
        let mut now = Interval {
            at_s: 7.0,
            seconds: 1.0,
            measuring: true,
            open: 40,
            in_chat: 6,
            operations: 90,
            p50_us: 150,
            p99_us: 1500,
            server_cpus: 0.25,
            server_rss_bytes: 64 << 20,
            ..Interval::default()
        };
        now.counts.extend([
            (Count::Planned, 100),
            (Count::Started, 98),
            (Count::Matched, 90),
            (Count::Lost, 2),
        ]);
        live.line(&now);
        let line = live.line(&now);
        for part in [
            "98 of 100/s",
            "paired 180 (6 now)",
            "p50 0.15 p99 1.50 ms",
            "errors 4",
            "server 0.25 CPUs 64 MiB",
        ] {
            assert!(line.contains(part), "{line}");
        }
    }
}
