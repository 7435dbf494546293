//! A run from start to end: open the sessions, start the schedule on all threads, watch, report.
//!
//! In: settings and a target. Out: a [`Report`], also when the run is interrupted.

pub mod collect;
pub mod health;
pub mod http;
pub mod machine;
pub mod target;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::options::Options;
use crate::net::{Net, Target, Transport};
use crate::quic::net::QuicNet;
use crate::report::{Phase, Report, SCHEMA, Stage, Used};
use crate::settings::{Kind, Settings};
use crate::stats::server::Server;
use crate::tcp::channel::ChannelNet;
use crate::tcp::matchbox::MatchboxNet;
use crate::time::{MILLISECOND, Nanos, SECOND, now};
use crate::worker::{Shared, Worker};
use collect::{Collector, Until, Usages, Watch};

/// Time for all to be matched before a schedule starts that needs chats.
const PREPARE_NS: Nanos = 30 * SECOND;
/// The schedule starts this long after the order, so that every thread has it in time.
const LEAD_NS: Nanos = 50 * MILLISECOND;
/// Answers to what was started are waited for this long after the end.
const GRACE_NS: Nanos = SECOND;

/// Set by Ctrl-C: the run ends early and is reported.
pub static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Everything that a run needs to know.
pub struct Plan {
    /// Checked settings.
    pub settings: Settings,
    /// Where to.
    pub target: Target,
    /// For the report.
    pub options: Options,
    /// Where the server's costs are read.
    pub server: Server,
    /// Unix time to start the schedule at.
    pub start_at: Option<f64>,
}

/// Runs. `watch` is told every interval. Errors are those that leave nothing to report.
pub fn run(plan: Plan, watch: &mut dyn Watch) -> Result<Report, String> {
    plan.settings.suit(plan.target.transport)?;
    let settings = Arc::new(plan.settings);
    let shared = Arc::new(Shared { run: std::process::id() ^ now() as u32, ..Shared::default() });
    let (sender, receiver) = mpsc::channel();
    let started_unix_s = unix_seconds();
    let mut collector = Collector::new(Arc::clone(&settings), plan.server.clone(), receiver);
    let mut threads = Vec::new();
    for index in 0..settings.threads {
        let scenario = crate::scenario::new(&settings);
        let worker = Worker::new(index, net(&plan.target)?, Arc::clone(&settings), Arc::clone(&shared));
        let sender = sender.clone();
        threads.push(thread::spawn(move || {
            machine::fine_timers();
            worker.run(scenario, &sender)
        }));
    }
    drop(sender);
    let mut conductor = Conductor { settings: &settings, shared: &shared, server: &plan.server, watch };
    let mut result = conductor.conduct(&mut collector, plan.start_at);
    shared.stop.store(true, Ordering::Relaxed);
    collector.until(conductor.watch, None, |_| false);
    for thread in threads {
        match thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => result.end = error,
            Err(_) => result.end = "a load thread failed".into(),
        }
    }
    let report = Report {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").into(),
        scenario: settings.kind,
        end: result.end,
        started_unix_s,
        options: plan.options,
        target: plan.target.address.to_string(),
        machine: machine::Machine::here(),
        health: health::verdict(&settings, &result.opening, &result.measured, &collector),
        opening: result.opening,
        stages: result.stages,
        measured: result.measured,
        intervals: collector.intervals,
    };
    Ok(report)
}

/// The connections of one thread, by transport.
fn net(target: &Target) -> Result<Box<dyn Net>, String> {
    let target = target.clone();
    Ok(match target.transport {
        Transport::WebTransport => Box::new(QuicNet::new(target)?),
        Transport::WebSocket { .. } => Box::new(ChannelNet::new(target)?),
        Transport::Matchbox => Box::new(MatchboxNet::new(target)?),
    })
}

/// What the conductor brings home.
struct Conducted {
    end: String,
    opening: Phase,
    stages: Vec<Stage>,
    measured: Phase,
}

/// Gives the orders: stages, start, stop.
struct Conductor<'a> {
    settings: &'a Settings,
    shared: &'a Shared,
    server: &'a Server,
    watch: &'a mut dyn Watch,
}

impl Conductor<'_> {
    fn conduct(&mut self, collector: &mut Collector, start_at: Option<f64>) -> Conducted {
        let mut result = Conducted {
            end: "completed".into(),
            opening: Phase::default(),
            stages: Vec::new(),
            measured: Phase::default(),
        };
        let before = self.usages();
        let opened_in = now();
        let mut end = self.open(collector, &mut result.stages);
        let open_s = collector.opening_seconds.unwrap_or_else(|| seconds_since(opened_in));
        if end.is_ok() {
            end = self.prepare(collector);
        }
        let after = self.usages();
        result.opening = Phase::of(&collector.opening, open_s);
        used(&mut result.opening, before, after);
        if let (Some(server), Some(stage_cpu)) = (&mut result.opening.server, collector.opening_cpu_s) {
            server.cpu_s = stage_cpu;
        }
        if end.is_ok() && self.has_load() {
            end = self.measure(collector, start_at, &mut result.measured);
        }
        if let Err(why) = end {
            result.end = why;
        }
        result
    }

    /// Whether anything follows the opening.
    fn has_load(&self) -> bool {
        let settings = self.settings;
        let scheduled = !settings.segments.is_empty() || settings.closed.is_some();
        scheduled && !matches!(settings.kind, Kind::Idle) || settings.kind == Kind::Churn
    }

    /// Opens the sessions stage by stage, and holds each stage.
    fn open(&mut self, collector: &mut Collector, stages: &mut Vec<Stage>) -> Result<(), String> {
        let (mut opened_before, mut open_ns) = (0, 0);
        for target in &self.settings.stages {
            let (before, began) = (self.usages(), now());
            self.shared.target.store(*target, Ordering::Relaxed);
            let until = collector.until(self.watch, None, |seen| seen.all_decided(*target));
            open_ns += now() - began;
            let after = self.usages();
            let opened = collector.opened();
            collector.opening_seconds = Some(open_ns as f64 / SECOND as f64);
            if let (Some(before), Some(after)) = (before.0, after.0) {
                *collector.opening_cpu_s.get_or_insert(0.0) += after.cpu_s - before.cpu_s;
            }
            finished(until)?;
            if *target > 0 && opened == 0 {
                return Err(format!("no session could be opened: {}", collector.worst_failure()));
            }
            let hold = if self.settings.kind == Kind::Idle { self.settings.hold_ns } else { 0 };
            let until = collector.until(self.watch, Some(now() + hold), |_| false);
            let held = self.usages();
            stages.push(stage(opened, opened - opened_before, (before, after, held), hold));
            opened_before = opened;
            finished(until)?;
        }
        Ok(())
    }

    /// Waits until everybody has a stranger, for loads between pairs.
    fn prepare(&mut self, collector: &mut Collector) -> Result<(), String> {
        if self.settings.kind != Kind::Relay {
            return Ok(());
        }
        let deadline = Some(now() + PREPARE_NS);
        match collector.until(self.watch, deadline, Collector::all_matched) {
            Until::Deadline => Err(format!(
                "only {} of {} sessions were matched within 30 s",
                collector.in_chat(),
                collector.open()
            )),
            until => finished(until),
        }
    }

    fn measure(
        &mut self,
        collector: &mut Collector,
        start_at: Option<f64>,
        measured: &mut Phase,
    ) -> Result<(), String> {
        let lead = start_at.map_or(LEAD_NS, |at| {
            Duration::try_from_secs_f64(at - unix_seconds()).map_or(LEAD_NS, |span| span.as_nanos() as Nanos)
        });
        let start = now() + lead;
        self.shared.start.store(start, Ordering::Release);
        let from = start + self.settings.warmup_ns;
        finished(collector.until(self.watch, Some(from), |_| false))?;
        let (before, began) = (self.usages(), now());
        let end = from + self.settings.duration_ns;
        // A load without a clock of its own may be over before its time.
        let until = collector.until(self.watch, Some(end), |_| false);
        let after = self.usages();
        // What counts is what was due in the window, however late this thread woke from it.
        let seconds = match until {
            Until::Deadline => self.settings.duration_ns as f64 / SECOND as f64,
            _ => seconds_since(began),
        };
        let grace = match until {
            Until::Deadline => collector.until(self.watch, Some(now() + GRACE_NS), |_| false),
            other => other,
        };
        *measured = Phase::of(&collector.measured, seconds);
        used(measured, before, after);
        finished(grace)
    }

    fn usages(&self) -> Usages {
        collect::usages(self.server)
    }
}

fn used(phase: &mut Phase, before: Usages, after: Usages) {
    phase.server = before.0.zip(after.0).map(|(before, after)| Used::between(before, after));
    phase.own = Used::between(before.1, after.1);
}

fn stage(sessions: u64, opened: u64, (before, after, held): (Usages, Usages, Usages), hold: Nanos) -> Stage {
    let cpu = |from: Usages, to: Usages| from.0.zip(to.0).map_or(0.0, |(from, to)| to.cpu_s - from.cpu_s);
    let held_s = hold as f64 / SECOND as f64;
    let per = |value: f64, count: f64| if count > 0.0 { value * 1e6 / count } else { 0.0 };
    Stage {
        sessions,
        server_rss_bytes: held.0.map_or(0, |usage| usage.rss_bytes),
        server_cpu_us_per_open: per(cpu(before, after), opened as f64),
        held_s,
        server_cpu_us_per_session_second: per(cpu(after, held), sessions as f64 * held_s),
        own_rss_bytes: held.1.rss_bytes,
    }
}

fn finished(until: Until) -> Result<(), String> {
    match until {
        Until::Done | Until::Deadline => Ok(()),
        Until::Interrupted => Err("interrupted".into()),
        Until::ThreadsGone => Err("the load threads ended early".into()),
    }
}

fn seconds_since(began: Nanos) -> f64 {
    (now() - began) as f64 / SECOND as f64
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
