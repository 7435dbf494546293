//! What one load thread has seen since it was last asked: histograms and counts.
//!
//! In: latencies, each with the moment it was meant to start and the moment it did. Out: [`Sample`]s.
//! Every latency exists in two views. "Corrected" counts from the intended moment, so a generator or server that
//! falls behind shows. "Uncorrected" counts from the moment of sending: what a closed-loop tool would report.

use std::collections::BTreeMap;
use std::ops::Range;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::limits::{MAX_FAILURE_KINDS, MAX_LATENCY_US};
use crate::time::Nanos;

/// Significant decimal digits of every histogram: 0.1 %.
const SIGNIFICANT_DIGITS: u8 = 3;

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Start of the connection to the end of the QUIC handshake.
    Handshake,
    /// Start of the connection to WELCOME.
    Open,
    /// Later of the two FINDs to each MATCHED.
    Pair,
    /// How long the earlier of the two had waited when the later one came: a property of the load, not of the server.
    PairWait,
    /// Own FIND to own MATCHED.
    Find,
    /// FIND in a chat ("next") to MATCHED.
    Next,
    /// A relayed frame from one end to the other.
    Relay,
    /// A relayed frame to an end elsewhere and back.
    RoundTrip,
    /// MATCHED to the last candidate of the exchange, as the offerer sees it.
    Exchange,
    /// How late this program started what was due: its own lag.
    Lag,
    /// How long datagrams waited for this program in the kernel: its own lag.
    ReceiveLag,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    /// Arrivals that the schedule asked for.
    Planned,
    /// Arrivals that were acted on.
    Started,
    /// Arrivals that were given up: nobody was free, and too many were waiting already.
    Dropped,
    /// Sessions opened (WELCOME received).
    Opened,
    /// Sessions that did not open.
    OpenFailed,
    /// Open sessions that ended without this program's wish.
    Lost,
    /// Sessions that were left because their server goes away; each is followed by another.
    Moved,
    /// Sessions that this program closed.
    Closed,
    /// MATCHED received.
    Matched,
    /// WAITING received.
    Waiting,
    /// ENDED received.
    Ended,
    /// NOTICE received: the server refused something.
    Notices,
    /// Relayed frames sent.
    FramesSent,
    /// Relayed frames received.
    FramesReceived,
    /// Payload bytes of relayed frames received.
    BytesReceived,
    /// Exchanges completed.
    Exchanges,
    /// Chats whose other end is not in this process.
    Foreign,
    /// FINDs that had no answer when the run ended.
    Unanswered,
}

/// One histogram in microseconds.
pub type Hist = Histogram<u64>;

/// An empty histogram.
pub fn histogram() -> Hist {
    Hist::new_with_bounds(1, MAX_LATENCY_US, SIGNIFICANT_DIGITS).expect("constant bounds are valid")
}

/// The two views of one metric.
#[derive(Clone, Debug)]
pub struct Views {
    /// From the intended moment.
    pub corrected: Hist,
    /// From the moment of sending.
    pub uncorrected: Hist,
}

impl Default for Views {
    fn default() -> Self {
        Self { corrected: histogram(), uncorrected: histogram() }
    }
}

impl Views {
    /// Adds another's values.
    pub fn add(&mut self, other: &Self) {
        // Both have the same bounds, so nothing can be out of range.
        let _ = self.corrected.add(&other.corrected);
        let _ = self.uncorrected.add(&other.uncorrected);
    }
}

/// What was seen in one interval, or in a whole run.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Latencies.
    pub views: BTreeMap<Metric, Views>,
    /// Counts.
    pub counts: BTreeMap<Count, u64>,
    /// Why sessions failed or were lost, with how often.
    pub failures: BTreeMap<String, u64>,
    /// Nanoseconds that the thread did not sleep.
    pub busy: Nanos,
    /// Nanoseconds that the sample covers, summed over threads.
    pub span: Nanos,
}

impl Sample {
    /// Adds another's values.
    pub fn add(&mut self, other: &Self) {
        for (metric, views) in &other.views {
            self.views.entry(*metric).or_default().add(views);
        }
        for (count, value) in &other.counts {
            *self.counts.entry(*count).or_default() += value;
        }
        for (reason, count) in &other.failures {
            self.add_failure(reason, *count);
        }
        self.busy += other.busy;
        self.span += other.span;
    }

    /// A count, 0 if nothing was counted.
    pub fn count(&self, count: Count) -> u64 {
        self.counts.get(&count).copied().unwrap_or(0)
    }

    fn add_failure(&mut self, reason: &str, count: u64) {
        let known = self.failures.contains_key(reason) || self.failures.len() < MAX_FAILURE_KINDS;
        *self.failures.entry(if known { reason } else { "other" }.to_string()).or_default() += count;
    }
}

/// Collects one thread's sample.
pub struct Recorder {
    sample: Sample,
    /// What was meant to start outside of this belongs to the warm-up or comes after the end, and is left out.
    window: Range<Nanos>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { sample: Sample::default(), window: 0..Nanos::MAX }
    }
}

impl Recorder {
    /// Latencies and scheduled arrivals count if they were meant to start in this time.
    pub fn set_window(&mut self, window: Range<Nanos>) {
        self.window = window;
    }

    /// Records a latency that ended at `end`, in both views.
    pub fn latency(&mut self, metric: Metric, intended: Nanos, sent: Nanos, end: Nanos) {
        if !self.window.contains(&intended) {
            return;
        }
        let views = self.sample.views.entry(metric).or_default();
        views.corrected.saturating_record(microseconds(end.saturating_sub(intended)));
        views.uncorrected.saturating_record(microseconds(end.saturating_sub(sent)));
    }

    /// Counts.
    pub fn count(&mut self, count: Count, by: u64) {
        *self.sample.counts.entry(count).or_default() += by;
    }

    /// Counts something scheduled, if it counts.
    pub fn scheduled(&mut self, count: Count, intended: Nanos) {
        if self.window.contains(&intended) {
            self.count(count, 1);
        }
    }

    /// Counts a failure by its reason.
    pub fn failure(&mut self, reason: &str) {
        self.sample.add_failure(reason, 1);
    }

    /// Takes what was seen since the last call.
    pub fn take(&mut self, busy: Nanos, span: Nanos) -> Sample {
        let mut sample = std::mem::take(&mut self.sample);
        sample.busy = busy;
        sample.span = span;
        sample
    }
}

fn microseconds(span: Nanos) -> u64 {
    // Rounded up: an interval never looks shorter than it was.
    span.div_ceil(1000).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::MILLISECOND;

    #[test]
    fn the_two_views_differ_by_the_lateness_of_the_start() {
        let mut recorder = Recorder::default();
        recorder.latency(Metric::Pair, 0, 5 * MILLISECOND, 7 * MILLISECOND);
        let sample = recorder.take(0, 0);
        let views = &sample.views[&Metric::Pair];
        assert!(views.corrected.equivalent(views.corrected.max(), 7000));
        assert!(views.uncorrected.equivalent(views.uncorrected.max(), 2000));
    }

    #[test]
    fn the_warm_up_and_the_aftermath_leave_no_trace() {
        let mut recorder = Recorder::default();
        recorder.set_window(100..200);
        for outside in [99, 200] {
            recorder.latency(Metric::Pair, outside, outside, 500);
            recorder.scheduled(Count::Planned, outside);
        }
        let sample = recorder.take(0, 0);
        assert!(sample.views.is_empty());
        assert_eq!(sample.count(Count::Planned), 0);
    }

    #[test]
    fn many_reasons_are_summed_up() {
        let mut recorder = Recorder::default();
        for reason in 0..100 {
            recorder.failure(&format!("reason {reason}"));
        }
        let sample = recorder.take(0, 0);
        assert_eq!(sample.failures.len(), MAX_FAILURE_KINDS + 1);
        assert_eq!(sample.failures["other"], 100 - MAX_FAILURE_KINDS as u64);
    }
}
