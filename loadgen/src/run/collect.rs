//! Gathers what the threads report: totals by phase, intervals, and the gauges that the conductor waits for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::INTERRUPTED;
use crate::limits::MAX_INTERVALS;
use crate::net::Traffic;
use crate::report::{Interval, main_metric};
use crate::settings::Settings;
use crate::stats::process::{Usage, usage};
use crate::stats::recorder::{Count, Sample};
use crate::stats::server::Server;
use crate::time::{Nanos, SECOND, now};
use crate::worker::Report as ThreadReport;

/// Is told of every interval while the run goes on.
pub trait Watch {
    /// An interval is over: in few figures, and whole, before and after the schedule started.
    fn interval(&mut self, _interval: &Interval, _opening: &Sample, _measured: &Sample) {}
}

/// Why waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// What was waited for is there.
    Done,
    /// The time is over.
    Deadline,
    /// Ctrl-C.
    Interrupted,
    /// No thread is left.
    ThreadsGone,
}

/// The latest gauges of one thread.
#[derive(Default)]
struct Gauges {
    open: u64,
    in_chat: u64,
    attempted: u64,
    undecided: u64,
    traffic: Traffic,
}

/// All that the threads have reported.
pub struct Collector {
    settings: Arc<Settings>,
    reports: Receiver<ThreadReport>,
    gauges: Vec<Gauges>,
    /// Before the schedule started.
    pub opening: Sample,
    /// After.
    pub measured: Sample,
    /// Finished intervals.
    pub intervals: Vec<Interval>,
    /// Time spent opening sessions, without holding them.
    pub opening_seconds: Option<f64>,
    /// Server CPU spent on opening sessions, without holding them.
    pub opening_cpu_s: Option<f64>,
    /// The kernel's count of dropped datagrams when the run began.
    pub udp_errors_before: u64,
    /// The present interval, before and after the schedule started.
    current: (Sample, Sample),
    measuring: bool,
    server: Server,
    began: Nanos,
    interval_began: Nanos,
    usages: Usages,
}

impl Collector {
    /// Nothing yet.
    pub fn new(settings: Arc<Settings>, server: Server, reports: Receiver<ThreadReport>) -> Self {
        let gauges = (0..settings.threads).map(|_| Gauges::default()).collect();
        Self {
            settings,
            reports,
            gauges,
            opening: Sample::default(),
            measured: Sample::default(),
            intervals: Vec::new(),
            opening_seconds: None,
            opening_cpu_s: None,
            udp_errors_before: super::machine::udp_buffer_errors(),
            current: (Sample::default(), Sample::default()),
            measuring: false,
            began: now(),
            interval_began: now(),
            usages: usages(&server),
            server,
        }
    }

    /// Gathers until `done`, the deadline, Ctrl-C, or the last thread's end.
    pub fn until(
        &mut self,
        watch: &mut dyn Watch,
        deadline: Option<Nanos>,
        done: impl Fn(&Self) -> bool,
    ) -> Until {
        let already_interrupted = INTERRUPTED.load(Ordering::Relaxed);
        loop {
            if done(self) {
                return Until::Done;
            }
            let at = now();
            if deadline.is_some_and(|deadline| at >= deadline) {
                return Until::Deadline;
            }
            // After the first Ctrl-C the threads are only asked to end.
            if INTERRUPTED.load(Ordering::Relaxed) && !already_interrupted {
                return Until::Interrupted;
            }
            if already_interrupted && deadline.is_some() {
                return Until::Interrupted;
            }
            let next = deadline.unwrap_or(Nanos::MAX).min(self.interval_began + self.settings.interval_ns);
            let wait = Duration::from_nanos(next.saturating_sub(at)).min(Duration::from_millis(100));
            match self.reports.recv_timeout(wait) {
                Ok(report) => self.add(&report),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.close_interval(watch);
                    return Until::ThreadsGone;
                }
            }
            if now() >= self.interval_began + self.settings.interval_ns {
                self.close_interval(watch);
            }
        }
    }

    /// Sessions that opened before the schedule.
    pub fn opened(&self) -> u64 {
        self.opening.count(Count::Opened)
    }

    /// Sessions open now.
    pub fn open(&self) -> u64 {
        self.gauges.iter().map(|gauges| gauges.open).sum()
    }

    /// Sessions in a chat now.
    pub fn in_chat(&self) -> u64 {
        self.gauges.iter().map(|gauges| gauges.in_chat).sum()
    }

    /// What passed through the threads' sockets so far.
    pub fn traffic(&self) -> Traffic {
        self.gauges.iter().fold(Traffic::default(), |sum, one| sum + one.traffic)
    }

    /// Whether `target` sessions were attempted and each is open or failed.
    pub fn all_decided(&self, target: u64) -> bool {
        let attempted: u64 = self.gauges.iter().map(|gauges| gauges.attempted).sum();
        attempted >= target && self.gauges.iter().all(|gauges| gauges.undecided == 0)
    }

    /// Whether everybody (but one, if their number is odd) is in a chat.
    pub fn all_matched(&self) -> bool {
        self.open() >= 2 && self.in_chat() + 1 >= self.open()
    }

    /// The most frequent reason of failure.
    pub fn worst_failure(&self) -> String {
        let worst = self.opening.failures.iter().max_by_key(|(_, count)| **count);
        worst.map_or("no reason was seen".into(), |(reason, _)| reason.clone())
    }

    fn add(&mut self, report: &ThreadReport) {
        let (phase, current) = if report.measuring {
            (&mut self.measured, &mut self.current.1)
        } else {
            (&mut self.opening, &mut self.current.0)
        };
        phase.add(&report.sample);
        current.add(&report.sample);
        self.measuring |= report.measuring;
        self.gauges[report.thread] = Gauges {
            open: report.open,
            in_chat: report.in_chat,
            attempted: report.attempted.0,
            undecided: report.attempted.1,
            traffic: report.traffic,
        };
    }

    fn close_interval(&mut self, watch: &mut dyn Watch) {
        let at = now();
        let seconds = (at - self.interval_began) as f64 / SECOND as f64;
        let (opening, measured) = std::mem::take(&mut self.current);
        let mut sample = opening.clone();
        sample.add(&measured);
        let metric = main_metric(self.settings.kind);
        let views = sample.views.get(&metric);
        let quantile = |q: f64| views.map_or(0, |views| views.corrected.value_at_quantile(q));
        let before = std::mem::replace(&mut self.usages, usages(&self.server));
        let cpus = |before: Option<Usage>, after: Option<Usage>| {
            before.zip(after).map_or(0.0, |(before, after)| (after.cpu_s - before.cpu_s) / seconds.max(0.001))
        };
        let interval = Interval {
            at_s: (at - self.began) as f64 / SECOND as f64,
            seconds,
            measuring: self.measuring,
            open: self.open(),
            in_chat: self.in_chat(),
            operations: views.map_or(0, |views| views.corrected.len()),
            p50_us: quantile(0.5),
            p99_us: quantile(0.99),
            max_us: views.map_or(0, |views| views.corrected.max()),
            server_cpus: cpus(before.0, self.usages.0),
            server_rss_bytes: self.usages.0.map_or(0, |usage| usage.rss_bytes),
            own_cpus: cpus(Some(before.1), Some(self.usages.1)),
            busy: sample.busy as f64 / sample.span.max(1) as f64,
            counts: BTreeMap::clone(&sample.counts),
        };
        watch.interval(&interval, &opening, &measured);
        if self.intervals.len() < MAX_INTERVALS {
            self.intervals.push(interval);
        }
        self.interval_began = at;
    }
}

/// Readings of the server, if it is watched, and of this program.
pub type Usages = (Option<Usage>, Usage);

/// Reads both.
pub fn usages(server: &Server) -> Usages {
    (server.usage(), usage(std::process::id()).unwrap_or_default())
}
