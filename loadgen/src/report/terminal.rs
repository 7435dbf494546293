//! The report as text: the verdict first, then what was asked and achieved, then latencies, then costs.

use std::fmt::Write;

use super::{Latency, Phase, Report, Summary};
use crate::stats::recorder::{Count, Metric};

/// The end report.
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_report(&mut out, report);
    out
}

fn write_report(out: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(out, "\n{} against {} · {}", report.scenario.name(), report.target, report.end)?;
    for finding in &report.health.findings {
        writeln!(out, "  NOT SOUND  {finding}")?;
    }
    if !report.health.sound {
        writeln!(out, "  The figures below are a lower bound of what the server can do, not its measure.")?;
    }
    for remark in &report.health.remarks {
        writeln!(out, "  note       {remark}")?;
    }
    if report.opening.count(Count::Opened) + report.opening.count(Count::OpenFailed) > 0 {
        write_opening(out, report)?;
    }
    if report.measured.seconds > 0.0 {
        write_measured(out, report)?;
    }
    Ok(())
}

fn write_opening(out: &mut String, report: &Report) -> std::fmt::Result {
    let phase = &report.opening;
    let opened = phase.count(Count::Opened);
    let failed = phase.count(Count::OpenFailed);
    let rate = opened as f64 / phase.seconds.max(0.001);
    writeln!(out, "\nOpening   {opened} sessions in {:.1} s ({rate:.0}/s), {failed} failed", phase.seconds)?;
    write_failures(out, phase)?;
    write_latencies(out, phase, &[Metric::Handshake, Metric::Open])?;
    if let Some(server) = phase.server.filter(|_| opened > 0) {
        let cpu_us = server.cpu_s * 1e6 / opened as f64;
        writeln!(out, "  server    {cpu_us:.0} us CPU a session opened")?;
    }
    let base = phase.server.map_or(0, |server| server.rss_before_bytes);
    for stage in report.stages.iter().filter(|stage| stage.server_rss_bytes > 0 && stage.sessions > 0) {
        let memory = stage.server_rss_bytes.saturating_sub(base) as f64 / 1024.0 / stage.sessions as f64;
        write!(
            out,
            "  {:>7} sessions  {} RSS  {memory:.1} KiB a session",
            stage.sessions,
            mib(stage.server_rss_bytes)
        )?;
        if stage.held_s > 0.0 {
            let keep = stage.server_cpu_us_per_session_second;
            write!(out, "  {keep:.2} us CPU a session and second (keep-alives)")?;
        }
        writeln!(out)?;
    }
    if let Some(slope) = memory_slope(report) {
        writeln!(out, "  slope     {:.1} KiB a session (least squares over the stages)", slope / 1024.0)?;
    }
    let own = phase.own.rss_after_bytes.saturating_sub(phase.own.rss_before_bytes) as f64 / 1024.0;
    writeln!(out, "  generator {:.1} KiB a session", own / opened.max(1) as f64)
}

/// Bytes of server memory a session, by least squares over the stages; `None` with fewer than two.
pub fn memory_slope(report: &Report) -> Option<f64> {
    let points: Vec<(f64, f64)> = report
        .stages
        .iter()
        .filter(|stage| stage.server_rss_bytes > 0)
        .map(|stage| (stage.sessions as f64, stage.server_rss_bytes as f64))
        .collect();
    let count = points.len() as f64;
    let (x, y) =
        points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0 / count, sum.1 + point.1 / count));
    let above: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let below: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    (points.len() >= 2 && below > 0.0).then(|| above / below)
}

fn write_measured(out: &mut String, report: &Report) -> std::fmt::Result {
    let phase = &report.measured;
    write!(out, "\nLoad      {:.1} s", phase.seconds)?;
    if phase.count(Count::Planned) > 0 {
        let dropped = phase.count(Count::Planned).saturating_sub(phase.count(Count::Started));
        write!(
            out,
            "  target {:.1}/s  achieved {:.1}/s  never started {dropped}",
            phase.target_rate, phase.achieved_rate
        )?;
    }
    writeln!(out)?;
    let shown = [
        (Count::Opened, "opened"),
        (Count::OpenFailed, "not opened"),
        (Count::Lost, "lost"),
        (Count::Matched, "matched"),
        (Count::Exchanges, "exchanges"),
        (Count::FramesSent, "frames sent"),
        (Count::FramesReceived, "frames received"),
        (Count::Notices, "notices"),
    ];
    let counts: Vec<String> = shown
        .iter()
        .map(|(count, name)| (phase.count(*count), name))
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{name} {count}"))
        .collect();
    if !counts.is_empty() {
        writeln!(out, "  {}", counts.join("  "))?;
    }
    write_failures(out, phase)?;
    let all: Vec<Metric> = phase.latencies.keys().copied().collect();
    write_latencies(out, phase, &all)?;
    if let Some(server) = phase.server {
        let cpus = server.cpu_s / phase.seconds.max(0.001);
        write!(
            out,
            "  server    {cpus:.2} CPUs  {} RSS  {} context switches",
            mib(server.rss_after_bytes),
            server.context_switches
        )?;
        for (count, what) in [
            (Count::FramesReceived, "a frame relayed"),
            (Count::Matched, "a match (each end)"),
            (Count::Opened, "a session opened"),
        ] {
            if phase.count(count) > 0 {
                let cpu_us = server.cpu_s * 1e6 / phase.count(count) as f64;
                write!(out, "  {cpu_us:.1} us CPU {what}")?;
            }
        }
        writeln!(out)?;
    }
    let own = phase.own.cpu_s / phase.seconds.max(0.001);
    writeln!(out, "  generator {own:.2} CPUs, busy {:.0} %", phase.busy * 100.0)
}

fn write_failures(out: &mut String, phase: &Phase) -> std::fmt::Result {
    for (reason, count) in &phase.failures {
        writeln!(out, "  failed    {count} × {reason}")?;
    }
    Ok(())
}

fn write_latencies(out: &mut String, phase: &Phase, metrics: &[Metric]) -> std::fmt::Result {
    let found: Vec<(&Metric, &Latency)> =
        metrics.iter().filter_map(|metric| Some((metric, phase.latencies.get(metric)?))).collect();
    if found.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "  {:<22} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "ms", "count", "p50", "p90", "p99", "p99.9", "max"
    )?;
    for (metric, latency) in found {
        write_row(out, name(*metric), &latency.corrected)?;
        if latency.corrected.max != latency.uncorrected.max
            || latency.corrected.p50 != latency.uncorrected.p50
        {
            write_row(out, "  from sending", &latency.uncorrected)?;
        }
    }
    Ok(())
}

fn write_row(out: &mut String, name: &str, row: &Summary) -> std::fmt::Result {
    let ms = |us: u64| format!("{:.3}", us as f64 / 1000.0);
    writeln!(
        out,
        "  {name:<22} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        row.count,
        ms(row.p50),
        ms(row.p90),
        ms(row.p99),
        ms(row.p999),
        ms(row.max)
    )
}

/// A metric's name for people.
pub const fn name(metric: Metric) -> &'static str {
    match metric {
        Metric::Handshake => "handshake",
        Metric::Open => "open (to WELCOME)",
        Metric::Pair => "pairing",
        Metric::PairWait => "earlier one waited",
        Metric::Find => "own FIND to MATCHED",
        Metric::Next => "next to MATCHED",
        Metric::Relay => "relay, one way",
        Metric::RoundTrip => "relay, round trip",
        Metric::Exchange => "call exchange",
        Metric::Lag => "own lag: schedule",
        Metric::ReceiveLag => "own lag: receive",
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1024.0 / 1024.0)
}
