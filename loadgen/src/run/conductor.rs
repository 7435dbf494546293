//! Gives a run its orders: open, stage by stage; start the schedule; stop. Notes what everybody used in between.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::collect::{Collector, Reading, Until, Watch};
use super::profile::{Profile, Sampler};
use super::unix_seconds;
use crate::report::{Phase, Stage};
use crate::settings::{Kind, Settings};
use crate::time::{MILLISECOND, Nanos, SECOND, now};
use crate::worker::Shared;

/// Time for all to be matched before a schedule starts that needs chats.
const PREPARE_NS: Nanos = 30 * SECOND;
/// The schedule starts this long after the order, so that every thread has it in time.
const LEAD_NS: Nanos = 50 * MILLISECOND;
/// Answers to what was started are waited for this long after the end, at most.
const GRACE_NS: Nanos = 5 * SECOND;
/// After so long every thread has reported once more.
const HEARD_NS: Nanos = 250 * MILLISECOND;

/// What a run was, beside what its threads saw.
#[derive(Default)]
pub struct Conducted {
    /// Why it ended early, if it did.
    pub end: Option<String>,
    /// What each stage of opening cost.
    pub stages: Vec<Stage>,
    /// Where the server's CPU went, or why that is not known.
    pub profile: Option<Result<Profile, String>>,
    /// How long after --start-at the sessions were ready, if they were late.
    pub late_s: Option<f64>,
    /// The readings around each piece of opening, without holding.
    opening: Vec<[Reading; 2]>,
    /// The readings around the load, and how long it was measured.
    load: Option<([Reading; 2], f64)>,
}

impl Conducted {
    /// The opening and the load in figures.
    pub fn phases(&self, collector: &Collector) -> (Phase, Phase) {
        let mut open_ns = 0;
        let mut sum = [self.opening.first().map_or_else(Reading::default, |[before, _]| *before); 2];
        for [before, after] in &self.opening {
            open_ns += after.at - before.at;
            add(&mut sum[1], before, after);
        }
        let mut opening = Phase::of(&collector.opening, open_ns as f64 / SECOND as f64);
        Reading::used(&sum[0], &sum[1], &mut opening);
        let mut measured = Phase::default();
        if let Some(([before, after], seconds)) = &self.load {
            measured = Phase::of(&collector.measured, *seconds);
            Reading::used(before, after, &mut measured);
        }
        (opening, measured)
    }
}

/// Adds what was used between two readings, so that what was used between the pieces is left out.
fn add(sum: &mut Reading, before: &Reading, after: &Reading) {
    sum.at += after.at - before.at;
    sum.machine.used_s += after.machine.used_s - before.machine.used_s;
    sum.machine.stolen_s += after.machine.stolen_s - before.machine.stolen_s;
    sum.traffic = sum.traffic + (after.traffic - before.traffic);
    let pairs = [
        (Some(&mut sum.own), Some((before.own, after.own))),
        (sum.server.as_mut(), before.server.zip(after.server)),
    ];
    for (sum, between) in pairs {
        if let (Some(sum), Some((before, after))) = (sum, between) {
            sum.cpu_s += after.cpu_s - before.cpu_s;
            sum.voluntary_switches += after.voluntary_switches.saturating_sub(before.voluntary_switches);
            sum.involuntary_switches +=
                after.involuntary_switches.saturating_sub(before.involuntary_switches);
            (sum.rss_bytes, sum.threads) = (after.rss_bytes, after.threads);
        }
    }
}

/// Gives the orders.
pub struct Conductor<'a> {
    settings: &'a Settings,
    shared: &'a Shared,
    /// Is told what happens.
    pub watch: &'a mut dyn Watch,
    /// The process whose profile is taken.
    profiled: Option<u32>,
    /// What has been so far.
    pub conducted: Conducted,
}

impl<'a> Conductor<'a> {
    /// Nothing yet. `profiled` is the process whose profile is taken.
    pub fn new(
        settings: &'a Settings,
        shared: &'a Shared,
        watch: &'a mut dyn Watch,
        profiled: Option<u32>,
    ) -> Self {
        Self { settings, shared, watch, profiled, conducted: Conducted::default() }
    }

    /// The run from start to end; an error says why it ended early.
    pub fn conduct(&mut self, collector: &mut Collector, start_at: Option<f64>) -> Result<(), String> {
        if !self.has_load() {
            return self.sampled(|conductor| conductor.open(collector));
        }
        self.open(collector)?;
        self.prepare(collector)?;
        self.measure(collector, start_at)
    }

    /// Whether anything follows the opening.
    fn has_load(&self) -> bool {
        let settings = self.settings;
        let scheduled = !settings.segments.is_empty() || settings.closed.is_some();
        scheduled && settings.kind != Kind::Idle || settings.kind == Kind::Churn
    }

    /// Does something while the server's profile is taken, if it is to be.
    fn sampled<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let sampler = self.profiled.map(Sampler::start);
        let result = work(self);
        self.conducted.profile = sampler.map(|sampler| sampler?.stop());
        result
    }

    /// Opens the sessions stage by stage, and holds each stage.
    fn open(&mut self, collector: &mut Collector) -> Result<(), String> {
        for target in &self.settings.stages {
            let before = collector.reading();
            self.shared.target.store(*target, Ordering::Relaxed);
            let until = collector.until(self.watch, None, |seen| seen.all_decided(*target));
            let open = collector.reading();
            self.conducted.opening.push([before, open]);
            let opened = collector.opened();
            finished(until)?;
            if *target > 0 && opened == 0 {
                return Err(format!("no session could be opened: {}", collector.worst_failure()));
            }
            let until = self.hold(collector);
            let readings = [before, open, collector.reading()];
            let stage = Stage::of(opened, self.conducted.stages.last(), &readings);
            self.watch.stage(&stage);
            self.conducted.stages.push(stage);
            finished(until)?;
        }
        Ok(())
    }

    /// Leaves the sessions of a stage alone for a while, if that is the load.
    fn hold(&mut self, collector: &mut Collector) -> Until {
        if self.settings.kind != Kind::Idle || self.settings.hold_ns == 0 {
            return Until::Done;
        }
        collector.holding = true;
        let until = collector.until(self.watch, Some(now() + self.settings.hold_ns), |_| false);
        collector.holding = false;
        until
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

    fn measure(&mut self, collector: &mut Collector, start_at: Option<f64>) -> Result<(), String> {
        let lead = start_at.map_or(Ok(LEAD_NS), |at| {
            let ahead = at - unix_seconds();
            Duration::try_from_secs_f64(ahead).map(|span| span.as_nanos() as Nanos).map_err(|_| -ahead)
        });
        self.conducted.late_s = lead.err();
        let start = now() + lead.unwrap_or(LEAD_NS);
        self.shared.start.store(start, Ordering::Release);
        let from = start + self.settings.warmup_ns;
        finished(collector.until(self.watch, Some(from), |_| false))?;
        let before = collector.reading();
        let end = from + self.settings.duration_ns;
        // A load without a clock of its own may be over before its time.
        let until = self.sampled(|conductor| {
            let until = collector.until(conductor.watch, Some(end), |_| false);
            let after = collector.reading();
            // What counts is what was due in the window, however late this thread woke from it.
            let span = if until == Until::Deadline { end - from } else { after.at - before.at };
            conductor.conducted.load = Some(([before, after], span as f64 / SECOND as f64));
            until
        });
        // What the threads have told by then is from after the end.
        let (heard, last) = (now() + HEARD_NS, now() + GRACE_NS);
        let grace = match until {
            Until::Deadline => {
                let answered = |seen: &Collector| now() > heard && seen.all_answered();
                collector.until(self.watch, Some(last), answered)
            }
            other => other,
        };
        finished(grace)
    }
}

fn finished(until: Until) -> Result<(), String> {
    match until {
        Until::Done | Until::Deadline => Ok(()),
        Until::Interrupted => Err("interrupted".into()),
        Until::ThreadsGone => Err("the load threads ended early".into()),
    }
}
