//! What this program thinks of itself: whether the figures are the server's, or limited by the generator.

use super::collect::Collector;
use super::machine::udp_buffer_errors;
use crate::net::Traffic;
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

/// Looks for every limit of this program that the run may have met.
pub fn verdict(settings: &Settings, opening: &Phase, measured: &Phase, collector: &Collector) -> Health {
    let scheduled = measured.seconds > 0.0;
    let phase = if scheduled { measured } else { opening };
    let mut findings = Vec::new();
    // A closed loop is meant to be busy: it goes as fast as both sides can.
    let open_loop = settings.closed.is_none() && scheduled;
    if phase.busy > BUSY_LIMIT {
        let share = phase.busy * 100.0;
        findings.push(format!(
            "the load threads were busy {share:.0} % of the time: rates are this program's limit (more --threads or \
             CPUs)"
        ));
    }
    let corrected = |metric: Metric| phase.latencies.get(&metric).map(|latency| &latency.corrected);
    if open_loop && let Some(main) = corrected(main_metric(settings.kind)) {
        let allowed = ((main.p99 as f64 * LAG_SHARE) as u64).max(LAG_FLOOR_US);
        for (metric, what) in [
            (Metric::Lag, "started what was due late by"),
            (Metric::ReceiveLag, "left datagrams waiting in the kernel for"),
        ] {
            if let Some(lag) = corrected(metric).filter(|lag| lag.p99 > allowed) {
                findings.push(format!(
                    "this program {what} {} us at p99, of a main p99 of {} us: latency is partly its own",
                    lag.p99, main.p99
                ));
            }
        }
    }
    let planned = phase.count(Count::Planned);
    if planned > 0 && (phase.count(Count::Started) as f64) < planned as f64 * ACHIEVED_SHARE {
        let missing = planned.saturating_sub(phase.count(Count::Started));
        findings.push(format!(
            "{missing} of {planned} arrivals never found a free session: more --connections or a shorter --dwell, if \
             the server was not the one to keep them"
        ));
    }
    let Traffic { dropped_sends: sends, dropped_receives: receives, .. } = collector.traffic();
    if sends + receives > 0 {
        findings.push(format!(
            "this program's sockets were full: {sends} datagrams could not be sent, {receives} not be received"
        ));
    }
    let elsewhere = udp_buffer_errors().saturating_sub(collector.udp_errors_before + receives);
    let mut remarks = remarks(settings, phase);
    if elsewhere > 0 {
        remarks.push(format!(
            "the kernel dropped {elsewhere} datagrams at other sockets of this machine (the server's?)"
        ));
    }
    Health { sound: findings.is_empty(), findings, remarks }
}

fn remarks(settings: &Settings, phase: &Phase) -> Vec<String> {
    let mut remarks = Vec::new();
    if settings.closed.is_some() && settings.kind != Kind::Connect {
        remarks.push(
            "closed loop: a slow server slows the load, so latencies look better than people feel".into(),
        );
    }
    let matched = phase.count(Count::Matched);
    let met = phase.latencies.get(&Metric::Pair).map_or(0, |latency| latency.corrected.count);
    if matched > met + matched / 100 + 2 {
        remarks.push(format!(
            "{} of {matched} MATCHED had their other end outside this program; their pairing latency is unknown",
            matched - met.min(matched)
        ));
    }
    remarks
}
