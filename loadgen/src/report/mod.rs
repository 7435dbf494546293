//! The report of a run, as it is written to JSON and read again by `compare`, `merge` and `html`.

pub mod files;
pub mod html;
pub mod svg;
pub mod terminal;

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};
use serde::{Deserialize, Serialize};

use crate::options::Options;
use crate::run::machine::Machine;
use crate::settings::Kind;
use crate::stats::process::Usage;
use crate::stats::recorder::{Count, Hist, Metric, Sample, Views};
use crate::time::SECOND;

/// Version of this format; a reader refuses another.
pub const SCHEMA: u32 = 1;

/// A whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Version of this program.
    pub version: String,
    /// What kind of load.
    pub scenario: Kind,
    /// `completed`, `interrupted`, or why it failed.
    pub end: String,
    /// Unix time of the start.
    pub started_unix_s: f64,
    /// Preset and command line together: with these the run can be repeated.
    pub options: Options,
    /// The server's UDP address.
    pub target: String,
    /// Where the load came from.
    pub machine: Machine,
    /// What this program thinks of itself.
    pub health: Health,
    /// Opening the sessions that the load needs.
    pub opening: Phase,
    /// After each stage of opening: what the sessions cost.
    pub stages: Vec<Stage>,
    /// The load itself, without its warm-up.
    pub measured: Phase,
    /// Interval by interval.
    pub intervals: Vec<Interval>,
}

/// Whether the figures are the server's or this program's own.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Health {
    /// No limit of this program was met.
    pub sound: bool,
    /// Limits that were met, in sentences.
    pub findings: Vec<String>,
    /// Remarks that do not spoil the figures.
    pub remarks: Vec<String>,
}

/// A part of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Phase {
    /// How long it took.
    pub seconds: f64,
    /// Arrivals a second that the schedule asked for; 0 without a schedule.
    pub target_rate: f64,
    /// Arrivals a second that were acted on.
    pub achieved_rate: f64,
    /// What was counted.
    pub counts: BTreeMap<Count, u64>,
    /// Why sessions failed or were lost.
    pub failures: BTreeMap<String, u64>,
    /// What was timed.
    pub latencies: BTreeMap<Metric, Latency>,
    /// What the server used.
    pub server: Option<Used>,
    /// What this program used.
    pub own: Used,
    /// Share of time in which the load threads did not sleep.
    pub busy: f64,
}

/// What a process used in a phase.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Used {
    /// CPU seconds.
    pub cpu_s: f64,
    /// Resident memory at the beginning, in bytes.
    pub rss_before_bytes: u64,
    /// Resident memory at the end, in bytes.
    pub rss_after_bytes: u64,
    /// Context switches, wished and forced.
    pub context_switches: u64,
    /// Threads at the end.
    pub threads: u64,
}

impl Used {
    /// Between two readings.
    pub fn between(before: Usage, after: Usage) -> Self {
        let switches = |usage: Usage| usage.voluntary_switches + usage.involuntary_switches;
        Self {
            cpu_s: after.cpu_s - before.cpu_s,
            rss_before_bytes: before.rss_bytes,
            rss_after_bytes: after.rss_bytes,
            context_switches: switches(after).saturating_sub(switches(before)),
            threads: after.threads,
        }
    }
}

/// A number of sessions, and what they cost.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stage {
    /// Sessions open.
    pub sessions: u64,
    /// Server memory with them, in bytes.
    pub server_rss_bytes: u64,
    /// Server CPU for each session opened in this stage, in microseconds.
    pub server_cpu_us_per_open: f64,
    /// Time that the stage was held.
    pub held_s: f64,
    /// Server CPU while held (keep-alives and timers), in microseconds a session and second.
    pub server_cpu_us_per_session_second: f64,
    /// This program's memory with them, in bytes.
    pub own_rss_bytes: u64,
}

/// One interval of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Interval {
    /// Seconds since the run began, at the interval's end.
    pub at_s: f64,
    /// Its length.
    pub seconds: f64,
    /// Whether the schedule was running.
    pub measuring: bool,
    /// Sessions open at its end.
    pub open: u64,
    /// Of these, in a chat.
    pub in_chat: u64,
    /// What was counted.
    pub counts: BTreeMap<Count, u64>,
    /// Operations timed by the main latency.
    pub operations: u64,
    /// Main latency, corrected, in microseconds.
    pub p50_us: u64,
    /// The same.
    pub p99_us: u64,
    /// The same.
    pub max_us: u64,
    /// Server CPU in CPUs.
    pub server_cpus: f64,
    /// Server memory in bytes.
    pub server_rss_bytes: u64,
    /// Own CPU in CPUs.
    pub own_cpus: f64,
    /// Share of time in which the load threads did not sleep.
    pub busy: f64,
}

/// One latency in both views.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Latency {
    /// From the intended moment.
    pub corrected: Summary,
    /// From the moment of sending.
    pub uncorrected: Summary,
}

/// A histogram in few numbers, and whole. Microseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Values.
    pub count: u64,
    /// Smallest.
    pub min: u64,
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub deviation: f64,
    /// Median.
    pub p50: u64,
    /// 90 % are at most this.
    pub p90: u64,
    /// 99 % are at most this.
    pub p99: u64,
    /// 99.9 % are at most this.
    pub p999: u64,
    /// 99.99 % are at most this.
    pub p9999: u64,
    /// Largest.
    pub max: u64,
    /// The whole histogram: `HdrHistogram` V2 in base64.
    pub hdr: String,
}

impl Summary {
    /// Of a histogram.
    pub fn of(histogram: &Hist) -> Self {
        let mut bytes = Vec::new();
        // Writing to memory fails only for histograms of a size that none here has.
        let _ = V2Serializer::new().serialize(histogram, &mut bytes);
        Self {
            count: histogram.len(),
            min: if histogram.is_empty() { 0 } else { histogram.min() },
            mean: histogram.mean(),
            deviation: histogram.stdev(),
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            p9999: histogram.value_at_quantile(0.9999),
            max: histogram.max(),
            hdr: STANDARD.encode(bytes),
        }
    }

    /// The histogram again.
    pub fn histogram(&self) -> Result<Hist, String> {
        let bytes =
            STANDARD.decode(&self.hdr).map_err(|error| format!("a histogram is not base64: {error}"))?;
        Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|error| format!("a histogram cannot be read: {error}"))
    }
}

impl Latency {
    /// Of a metric's two histograms.
    pub fn of(views: &Views) -> Self {
        Self { corrected: Summary::of(&views.corrected), uncorrected: Summary::of(&views.uncorrected) }
    }
}

impl Phase {
    /// From what all threads saw.
    pub fn of(sample: &Sample, seconds: f64) -> Self {
        let rate = |count| if seconds > 0.0 { sample.count(count) as f64 / seconds } else { 0.0 };
        Self {
            seconds,
            target_rate: rate(Count::Planned),
            achieved_rate: rate(Count::Started),
            counts: sample.counts.clone(),
            failures: sample.failures.clone(),
            latencies: sample.views.iter().map(|(metric, views)| (*metric, Latency::of(views))).collect(),
            busy: sample.busy as f64 / (sample.span.max(SECOND / 1000) as f64),
            ..Self::default()
        }
    }

    /// A count, 0 if nothing was counted.
    pub fn count(&self, count: Count) -> u64 {
        self.counts.get(&count).copied().unwrap_or(0)
    }
}

/// The latency that a kind of load is about.
pub const fn main_metric(kind: Kind) -> Metric {
    match kind {
        Kind::Connect | Kind::Idle => Metric::Open,
        Kind::Pair | Kind::Mix | Kind::Soak => Metric::Pair,
        Kind::Relay => Metric::Relay,
        Kind::Signal => Metric::Exchange,
        Kind::Churn => Metric::Next,
    }
}

impl Report {
    /// The phase that the run is about: without a schedule that is the opening.
    pub fn main_phase(&self) -> &Phase {
        let metric = main_metric(self.scenario);
        if self.measured.latencies.contains_key(&metric) { &self.measured } else { &self.opening }
    }

    /// The latency that the run is about, if anything was timed.
    pub fn main_latency(&self) -> Option<&Latency> {
        self.main_phase().latencies.get(&main_metric(self.scenario))
    }

    /// Reads a report from a file; the error names the file.
    pub fn read(path: &std::path::Path) -> Result<Self, String> {
        let named = |error: String| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
        let report: Self = serde_json::from_str(&text)
            .map_err(|error| named(format!("not a report of this program: {error}")))?;
        if report.schema != SCHEMA {
            return Err(named(format!(
                "format {} is not format {SCHEMA}, which this program reads",
                report.schema
            )));
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::recorder::histogram;

    #[test]
    fn a_histogram_survives_the_report() {
        let mut original = histogram();
        for value in [1, 50, 700, 90_000, 500_000_000] {
            original.record(value).unwrap();
        }
        let summary = Summary::of(&original);
        let json = serde_json::to_string(&summary).unwrap();
        let again: Summary = serde_json::from_str(&json).unwrap();
        assert_eq!(again.histogram().unwrap(), original);
        assert_eq!((again.count, again.min), (5, 1));
    }
}
