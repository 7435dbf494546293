//! A part of a run in figures: what was counted, timed and used.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};
use serde::{Deserialize, Serialize};

use crate::net::Traffic;
use crate::stats::process::Usage;
use crate::stats::recorder::{Count, Hist, Metric, Sample, Views};
use crate::time::SECOND;

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
    /// What passed through this program's sockets.
    #[serde(default)]
    pub traffic: Traffic,
    /// Share of time in which the load threads did not sleep.
    pub busy: f64,
    /// CPUs that neither the server (if it was watched) nor this program used, and CPUs that the hypervisor took away.
    #[serde(default)]
    pub other_cpus: f64,
    /// See [`Phase::other_cpus`].
    #[serde(default)]
    pub stolen_cpus: f64,
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

    /// A count a second.
    pub fn rate(&self, count: Count) -> f64 {
        if self.seconds > 0.0 { self.count(count) as f64 / self.seconds } else { 0.0 }
    }

    /// CPU of the server for each of a count, in microseconds, if the server was watched and there were any.
    pub fn server_us_each(&self, count: Count) -> Option<f64> {
        let times = self.count(count);
        (times > 0).then_some(self.server?.cpu_s * 1e6 / times as f64)
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
