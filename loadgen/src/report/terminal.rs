//! The report as text: the verdict first, then what was asked and achieved, then latencies, then costs.

use std::fmt::Write;

use super::stage::{memory_slope, open_cpu_range, own_memory_slope};
use super::{Latency, Phase, Report, Stage, Summary};
use crate::run::profile::Profile;
use crate::settings::Kind;
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
    let rate = phase.traffic.received as f64 / opened.max(1) as f64;
    if let Some(cpu_us) = phase.server_us_each(Count::Opened) {
        writeln!(
            out,
            "  server    {cpu_us:.0} us CPU a session opened, {rate:.1} datagrams to the generator"
        )?;
    }
    write_stages(out, report)?;
    let own = phase.own.rss_after_bytes.saturating_sub(phase.own.rss_before_bytes) as f64 / 1024.0;
    let slope =
        own_memory_slope(report).map_or(String::new(), |slope| format!(", slope {:.1}", slope / 1024.0));
    writeln!(
        out,
        "  generator {:.1} KiB a session{slope}; busy {:.0} %",
        own / opened.max(1) as f64,
        phase.busy * 100.0
    )
}

fn write_stages(out: &mut String, report: &Report) -> std::fmt::Result {
    let known = |stage: &&Stage| stage.server_rss_bytes > 0 && stage.sessions > 0;
    let stages: Vec<&Stage> = report.stages.iter().filter(known).collect();
    // Of other loads the sessions are the beginning, not the subject.
    if stages.is_empty() || report.scenario != Kind::Idle {
        return Ok(());
    }
    let held = stages.iter().any(|stage| stage.held_s > 0.0);
    write!(out, "  {:>10} {:>10} {:>12} {:>12}", "sessions", "RSS", "KiB each", "us an open")?;
    writeln!(
        out,
        "{}",
        if held { "     keep-alives: a second       us each   us a session and s" } else { "" }
    )?;
    let base = report.opening.server.map_or(0, |server| server.rss_before_bytes);
    for stage in stages {
        let memory = stage.server_rss_bytes.saturating_sub(base) as f64 / 1024.0 / stage.sessions as f64;
        let (sessions, rss, open) =
            (stage.sessions, mib(stage.server_rss_bytes), stage.server_cpu_us_per_open);
        write!(out, "  {sessions:>10} {rss:>10} {memory:>12.1} {open:>12.0}")?;
        if stage.held_s > 0.0 {
            let each = stage.server_us_per_keep_alive().map_or("-".into(), |us| format!("{us:.1}"));
            let a_second = stage.keep_alive_rate() * stage.sessions as f64;
            let keep = stage.server_cpu_us_per_session_second;
            write!(out, " {a_second:>26.1} {each:>13} {keep:>20.2}")?;
        }
        writeln!(out)?;
    }
    if let Some(slope) = memory_slope(report) {
        writeln!(out, "  slope     {:.1} KiB a session (least squares over the stages)", slope / 1024.0)?;
    }
    if let Some((least, most)) = open_cpu_range(report) {
        let spread = (most / least - 1.0) * 100.0;
        writeln!(
            out,
            "  flatness  opening costs from {least:.0} to {most:.0} us: {spread:.0} % more at most"
        )?;
    }
    Ok(())
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
        (Count::Moved, "moved"),
        (Count::Matched, "matched"),
        (Count::Exchanges, "exchanges"),
        (Count::FramesSent, "frames sent"),
        (Count::FramesReceived, "frames received"),
        (Count::Notices, "notices"),
        (Count::Unanswered, "without an answer"),
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
            if let Some(cpu_us) = phase.server_us_each(count) {
                write!(out, "  {cpu_us:.1} us CPU {what}")?;
            }
        }
        writeln!(out)?;
    }
    let own = phase.own.cpu_s / phase.seconds.max(0.001);
    writeln!(out, "  generator {own:.2} CPUs, busy {:.0} %", phase.busy * 100.0)?;
    report.profile.as_ref().map_or(Ok(()), |profile| write_profile(out, profile))
}

/// Functions of a profile that are listed here; the JSON and the page have more.
const PROFILE_LINES: usize = 10;

fn write_profile(out: &mut String, profile: &Profile) -> std::fmt::Result {
    let parts: Vec<String> =
        profile.parts.iter().map(|part| format!("{} {:.0} %", part.name, part.share * 100.0)).collect();
    writeln!(out, "\nProfile   of the server, {} samples: {}", profile.samples, parts.join(", "))?;
    for entry in profile.entries.iter().take(PROFILE_LINES) {
        writeln!(out, "  {:>5.1} %  {}  ({})", entry.share * 100.0, entry.symbol, entry.module)?;
    }
    Ok(())
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
