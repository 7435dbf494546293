//! What this program thinks of itself: whether the figures are the server's, or limited by the generator.

use super::collect::Collector;
use super::conductor::Conducted;
use super::machine::udp_buffer_errors;
use crate::report::{Health, Phase, main_metric};
use crate::settings::{Kind, Settings};
use crate::stats::recorder::{Count, Metric};

/// Share of time without sleep from which on a load thread is its own limit.
const BUSY_LIMIT: f64 = 0.9;
/// Own lag that may spoil a tenth of the main latency; below 200 us it is the machine's own noise.
const LAG_SHARE: f64 = 0.1;
const LAG_FLOOR_US: u64 = 200;
/// Share of the schedule that has to be acted on.
const ACHIEVED_SHARE: f64 = 0.99;
/// CPUs that other programs, or the hypervisor, may take before it is remarked upon.
const OTHERS_LIMIT: f64 = 0.1;
/// Share of what was asked that may stay without an answer; and of a pairing, the odd one out of each of a few threads.
const UNANSWERED_SHARE: f64 = 0.01;
const ODD_ONES: u64 = 4;
/// A hold without a keep-alive is shorter than the server's interval, or the server has none.
const LONG_HOLD_S: f64 = 40.0;

/// Datagrams that were dropped up to the end of the load; what is dropped while everybody says goodbye spoils nothing.
pub struct Drops {
    sends: u64,
    receives: u64,
    elsewhere: u64,
}

impl Drops {
    /// Up to now.
    pub fn since(collector: &Collector) -> Self {
        let traffic = collector.traffic();
        let all = udp_buffer_errors().saturating_sub(collector.udp_errors_before);
        Self {
            sends: traffic.dropped_sends,
            receives: traffic.dropped_receives,
            elsewhere: all.saturating_sub(traffic.dropped_receives),
        }
    }
}

/// Looks for every limit of this program that the run may have met.
pub fn verdict(
    settings: &Settings,
    opening: &Phase,
    measured: &Phase,
    conducted: &Conducted,
    drops: &Drops,
) -> Health {
    let scheduled = measured.seconds > 0.0;
    let phase = if scheduled { measured } else { opening };
    let mut findings = Vec::new();
    let mut remarks = remarks(settings, phase, conducted);
    if phase.busy > BUSY_LIMIT {
        let share = phase.busy * 100.0;
        let text = format!(
            "the load threads were busy {share:.0} % of the time: rates are this program's limit (more --threads or \
             CPUs)"
        );
        // Memory, and what keep-alives cost, do not depend on how fast sessions were opened.
        if settings.kind == Kind::Idle { remarks.push(text) } else { findings.push(text) }
    }
    findings.extend(lag(settings, phase));
    findings.extend(missing(phase));
    if let Some(late_s) = conducted.late_s {
        findings.push(format!(
            "the sessions were ready {late_s:.1} s after --start-at: this generator began after the others"
        ));
    }
    let Drops { sends, receives, elsewhere } = *drops;
    if sends + receives > 0 {
        findings.push(format!(
            "this program's sockets were full: {sends} datagrams could not be sent, {receives} not be received"
        ));
    }
    if elsewhere > 0 {
        remarks.push(format!(
            "the kernel dropped {elsewhere} datagrams at other sockets of this machine (the server's?)"
        ));
    }
    Health { sound: findings.is_empty(), findings, remarks }
}

/// Own lag, where latency was measured on a schedule.
fn lag(settings: &Settings, phase: &Phase) -> Vec<String> {
    let corrected = |metric: Metric| phase.latencies.get(&metric).map(|latency| &latency.corrected);
    // A closed loop is meant to be busy: it goes as fast as both sides can.
    let scheduled =
        settings.closed.is_none() && phase.count(Count::Planned) > 0 || settings.kind == Kind::Churn;
    let Some(main) = corrected(main_metric(settings.kind)).filter(|_| scheduled) else {
        return Vec::new();
    };
    let allowed = ((main.p99 as f64 * LAG_SHARE) as u64).max(LAG_FLOOR_US);
    [
        (Metric::Lag, "started what was due late by"),
        (Metric::ReceiveLag, "left datagrams waiting in the kernel for"),
    ]
    .into_iter()
    .filter_map(|(metric, what)| {
        let lag = corrected(metric).filter(|lag| lag.p99 > allowed)?;
        Some(format!(
            "this program {what} {} us at p99, of a main p99 of {} us: latency is partly its own",
            lag.p99, main.p99
        ))
    })
    .collect()
}

/// What the schedule asked for and nobody did.
fn missing(phase: &Phase) -> Option<String> {
    let (planned, started) = (phase.count(Count::Planned), phase.count(Count::Started));
    ((started as f64) < planned as f64 * ACHIEVED_SHARE).then(|| {
        format!(
            "{} of {planned} arrivals never found a free session: more --connections or a shorter --dwell, if the \
             server was not the one to keep them",
            planned - started
        )
    })
}

fn remarks(settings: &Settings, phase: &Phase, conducted: &Conducted) -> Vec<String> {
    let mut remarks = Vec::new();
    if settings.closed.is_some() && settings.kind != Kind::Connect {
        remarks.push(
            "closed loop: a slow server slows the load, so latencies look better than people feel".into(),
        );
    }
    if phase.other_cpus > OTHERS_LIMIT {
        remarks.push(format!(
            "other programs used {:.1} CPUs meanwhile: latencies and capacity are those of a busy machine",
            phase.other_cpus
        ));
    }
    if phase.stolen_cpus > OTHERS_LIMIT {
        remarks.push(format!("the hypervisor took {:.1} CPUs away meanwhile", phase.stolen_cpus));
    }
    // A chat that is left before both have heard of it looks the same, and is rare.
    let foreign = phase.count(Count::Foreign);
    if foreign > ODD_ONES && foreign as f64 > phase.count(Count::Matched) as f64 * UNANSWERED_SHARE {
        remarks.push(format!(
            "{foreign} chats had their other end outside this program; their pairing latency is unknown"
        ));
    }
    remarks.extend(unanswered(phase));
    let quiet = |stage: &&crate::report::Stage| stage.held_s > 0.0 && stage.keep_alives == 0;
    if let Some(stage) = conducted.stages.iter().find(quiet).filter(|stage| stage.held_s < LONG_HOLD_S) {
        remarks.push(format!(
            "no keep-alive came while {} sessions were held for {:.0} s: hold them for longer than the server's \
             interval",
            stage.sessions, stage.held_s
        ));
    }
    if let Some(Err(why)) = &conducted.profile {
        remarks.push(format!("no profile: {why}"));
    }
    remarks
}

/// What was asked and had no answer at the end: it is in no percentile.
fn unanswered(phase: &Phase) -> Option<String> {
    let looking = phase.count(Count::Unanswered);
    let lost = phase.count(Count::FramesSent).saturating_sub(phase.count(Count::FramesReceived));
    let found = phase.count(Count::Matched);
    if looking > ODD_ONES && looking as f64 > found as f64 * UNANSWERED_SHARE {
        return Some(format!(
            "{looking} were still looking for a stranger at the end, beside {found} that had found one: they are in no \
             percentile"
        ));
    }
    let sent = phase.count(Count::FramesSent);
    (lost as f64 > sent as f64 * UNANSWERED_SHARE)
        .then(|| format!("{lost} of {sent} frames had not arrived at the end: they are in no percentile"))
}
