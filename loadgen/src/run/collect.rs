//! Gathers what the threads report: totals by phase, intervals, and the gauges that the conductor waits for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::INTERRUPTED;
use crate::limits::MAX_INTERVALS;
use crate::net::Traffic;
use crate::report::{Interval, Phase, Stage, Used, main_metric};
use crate::settings::Settings;
use crate::stats::process::{MachineTime, Usage, machine_time, usage};
use crate::stats::recorder::{Count, Sample};
use crate::stats::server::Server;
use crate::time::{Nanos, SECOND, now};
use crate::worker::Report as ThreadReport;

/// Is told of every interval while the run goes on.
pub trait Watch {
    /// An interval is over: in few figures, and whole, before and after the schedule started.
    fn interval(&mut self, _interval: &Interval, _opening: &Sample, _measured: &Sample) {}

    /// A stage of opening is over.
    fn stage(&mut self, _stage: &Stage) {}
}

/// What everybody has used up to a moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// The moment.
    pub at: Nanos,
    /// The server, if it is watched.
    pub server: Option<Usage>,
    /// This program.
    pub own: Usage,
    /// The whole machine.
    pub machine: MachineTime,
    /// What passed through this program's sockets.
    pub traffic: Traffic,
}

impl Reading {
    /// Fills in what a phase used between two readings.
    pub fn used(before: &Self, after: &Self, phase: &mut Phase) {
        phase.server = before.server.zip(after.server).map(|(before, after)| Used::between(before, after));
        phase.own = Used::between(before.own, after.own);
        phase.traffic = after.traffic - before.traffic;
        let seconds = ((after.at - before.at) as f64 / SECOND as f64).max(0.001);
        let known = phase.own.cpu_s + phase.server.map_or(0.0, |server| server.cpu_s);
        let all = after.machine.used_s - before.machine.used_s;
        phase.other_cpus = (all - known).max(0.0) / seconds;
        phase.stolen_cpus = (after.machine.stolen_s - before.machine.stolen_s).max(0.0) / seconds;
    }
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
    looking: u64,
    finished: bool,
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
    /// Sessions are held and none are opened: how busy the threads are says nothing about opening.
    pub holding: bool,
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
            holding: false,
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
                Ok(report) => self.add(report),
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

    /// Whether the schedule was acted on to its end and all that was asked is answered, but for one left over in each mode.
    pub fn all_answered(&self) -> bool {
        const LEFT_OVER: u64 = 2;
        let looking: u64 = self.gauges.iter().map(|gauges| gauges.looking).sum();
        let frames = |count| self.measured.count(count);
        let finished = self.gauges.iter().all(|gauges| gauges.finished);
        finished && looking <= LEFT_OVER && frames(Count::FramesSent) <= frames(Count::FramesReceived)
    }

    /// The most frequent reason of failure.
    pub fn worst_failure(&self) -> String {
        let worst = self.opening.failures.iter().max_by_key(|(_, count)| **count);
        worst.map_or("no reason was seen".into(), |(reason, _)| reason.clone())
    }

    /// What everybody has used so far.
    pub fn reading(&self) -> Reading {
        let (server, own) = usages(&self.server);
        Reading { at: now(), server, own, machine: machine_time(), traffic: self.traffic() }
    }

    fn add(&mut self, mut report: ThreadReport) {
        if self.holding {
            (report.sample.busy, report.sample.span) = (0, 0);
        }
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
            looking: report.looking,
            finished: report.finished,
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
            failures: BTreeMap::clone(&sample.failures),
        };
        watch.interval(&interval, &opening, &measured);
        if self.intervals.len() < MAX_INTERVALS {
            self.intervals.push(interval);
        }
        self.interval_began = at;
    }
}

/// Readings of the server, if it is watched, and of this program.
type Usages = (Option<Usage>, Usage);

fn usages(server: &Server) -> Usages {
    (server.usage(), usage(std::process::id()).unwrap_or_default())
}
