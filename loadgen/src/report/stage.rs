//! What so many sessions cost: memory, CPU of opening them, and CPU of keep-alives, apart.

use serde::{Deserialize, Serialize};

use super::Report;
use crate::run::collect::Reading;
use crate::time::SECOND;

/// A shorter time between the two readings is what reading takes.
const SHORTEST_HOLD_S: f64 = 0.05;

/// A number of sessions, and what they cost.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Stage {
    /// Sessions open.
    pub sessions: u64,
    /// Of these, opened in this stage, and how long that took.
    #[serde(default)]
    pub opened: u64,
    /// See [`Stage::opened`].
    #[serde(default)]
    pub open_s: f64,
    /// Server memory with them, in bytes.
    pub server_rss_bytes: u64,
    /// Server CPU for each session opened in this stage, in microseconds, without the keep-alives of those that were
    /// there before (as measured while they were held).
    pub server_cpu_us_per_open: f64,
    /// Time that the stage was held.
    pub held_s: f64,
    /// Server CPU while held (keep-alives and timers), in microseconds a session and second.
    pub server_cpu_us_per_session_second: f64,
    /// Datagrams (over TCP: reads) that came while held: the server's keep-alives.
    #[serde(default)]
    pub keep_alives: u64,
    /// This program's memory with them, in bytes.
    pub own_rss_bytes: u64,
}

impl Stage {
    /// From the readings before opening, after it, and after holding. `earlier` is the stage before.
    pub fn of(sessions: u64, earlier: Option<&Self>, [before, open, held]: &[Reading; 3]) -> Self {
        let seconds = |from: &Reading, to: &Reading| (to.at - from.at) as f64 / SECOND as f64;
        let cpu_us = |from: &Reading, to: &Reading| {
            from.server.zip(to.server).map_or(0.0, |(from, to)| (to.cpu_s - from.cpu_s) * 1e6)
        };
        let per = |value: f64, count: f64| if count > 0.0 { value / count } else { 0.0 };
        // Two readings in a row are no hold.
        let held_s = Some(seconds(open, held)).filter(|held_s| *held_s > SHORTEST_HOLD_S).unwrap_or(0.0);
        let open_s = seconds(before, open);
        let opened = sessions - earlier.map_or(0, |earlier| earlier.sessions.min(sessions));
        let kept_alive = earlier.map_or(0.0, |earlier| {
            earlier.server_cpu_us_per_session_second * earlier.sessions as f64 * open_s
        });
        Self {
            sessions,
            opened,
            open_s,
            server_rss_bytes: held.server.map_or(0, |usage| usage.rss_bytes),
            server_cpu_us_per_open: per((cpu_us(before, open) - kept_alive).max(0.0), opened as f64),
            held_s,
            server_cpu_us_per_session_second: per(cpu_us(open, held), sessions as f64 * held_s),
            keep_alives: held.traffic.received - open.traffic.received,
            own_rss_bytes: held.own.rss_bytes,
        }
    }

    /// Keep-alives a session and second.
    pub fn keep_alive_rate(&self) -> f64 {
        let session_seconds = self.sessions as f64 * self.held_s;
        if session_seconds > 0.0 { self.keep_alives as f64 / session_seconds } else { 0.0 }
    }

    /// Server CPU for each keep-alive, in microseconds, if any came.
    pub fn server_us_per_keep_alive(&self) -> Option<f64> {
        let rate = self.keep_alive_rate();
        (rate > 0.0).then(|| self.server_cpu_us_per_session_second / rate)
    }
}

/// Bytes of server memory a session, by least squares over the stages; `None` with fewer than two.
pub fn memory_slope(report: &Report) -> Option<f64> {
    slope(report, |stage| stage.server_rss_bytes)
}

/// The same for this program.
pub fn own_memory_slope(report: &Report) -> Option<f64> {
    slope(report, |stage| stage.own_rss_bytes)
}

fn slope(report: &Report, bytes: fn(&Stage) -> u64) -> Option<f64> {
    let known = report.stages.iter().filter(|stage| bytes(stage) > 0);
    let points: Vec<(f64, f64)> = known.map(|stage| (stage.sessions as f64, bytes(stage) as f64)).collect();
    let count = points.len() as f64;
    let (x, y) =
        points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0 / count, sum.1 + point.1 / count));
    let above: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let below: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    (points.len() >= 2 && below > 0.0).then(|| above / below)
}

/// Least and most server CPU of opening a session over the stages, in microseconds; `None` with fewer than two.
pub fn open_cpu_range(report: &Report) -> Option<(f64, f64)> {
    let known = report.stages.iter().map(|stage| stage.server_cpu_us_per_open).filter(|cpu| *cpu > 0.0);
    let (least, most, count) = known.fold((f64::INFINITY, 0.0f64, 0), |(least, most, count), cpu| {
        (cpu.min(least), cpu.max(most), count + 1)
    });
    (count >= 2).then_some((least, most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Traffic;
    use crate::stats::process::Usage;

    fn reading(seconds: u64, cpu_s: f64, rss_bytes: u64, received: u64) -> Reading {
        Reading {
            at: seconds * SECOND,
            server: Some(Usage { cpu_s, rss_bytes, ..Usage::default() }),
            traffic: Traffic { received, ..Traffic::default() },
            ..Reading::default()
        }
    }

    #[test]
    fn keep_alives_are_told_apart_from_opening() {
        // A thousand sessions in 1 s at 200 us each; held for 40 s, two keep-alives each, at 10 us.
        let first = [reading(0, 0.0, 0, 0), reading(1, 0.2, 0, 9000), reading(41, 0.22, 20 << 20, 11_000)];
        let first = Stage::of(1000, None, &first);
        assert!((first.server_cpu_us_per_open - 200.0).abs() < 1e-6);
        assert!((first.keep_alive_rate() - 0.05).abs() < 1e-9);
        assert!((first.server_us_per_keep_alive().unwrap() - 10.0).abs() < 1e-6);
        // A thousand more in 20 s: their 0.2 s, and 0.01 s for the keep-alives of the first.
        let second = [reading(41, 0.22, 0, 11_000), reading(61, 0.43, 0, 0), reading(61, 0.43, 40 << 20, 0)];
        let second = Stage::of(2000, Some(&first), &second);
        assert_eq!(second.opened, 1000);
        assert!((second.server_cpu_us_per_open - 200.0).abs() < 1e-6, "{second:?}");
        assert_eq!(second.server_us_per_keep_alive(), None, "it was not held");
    }
}
