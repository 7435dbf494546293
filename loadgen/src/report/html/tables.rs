//! The tables of a run: latencies, stages, failures, and the server's profile.

use std::fmt::{Result, Write};

use crate::report::svg::escape;
use crate::report::{Phase, Report, Stage, terminal};
use crate::run::profile::Profile;

/// All tables that the run has rows for.
pub fn write(out: &mut String, report: &Report) -> Result {
    for (title, phase) in [("Load", &report.measured), ("Opening", &report.opening)] {
        if !phase.latencies.is_empty() {
            write_latencies(out, title, phase)?;
        }
        write_failures(out, phase)?;
    }
    let stages: Vec<&Stage> = report.stages.iter().filter(|stage| stage.server_rss_bytes > 0).collect();
    if stages.len() > 1 {
        write_stages(out, report, &stages)?;
    }
    report.profile.as_ref().map_or(Ok(()), |profile| write_profile(out, profile))
}

fn head(out: &mut String, title: &str, columns: &[&str]) -> Result {
    write!(out, "<h2>{title}</h2><div class=\"scroll\"><table><thead><tr>")?;
    for column in columns {
        write!(out, "<th>{column}</th>")?;
    }
    write!(out, "</tr></thead><tbody>")
}

const END: &str = "</tbody></table></div>";

fn write_latencies(out: &mut String, title: &str, phase: &Phase) -> Result {
    head(out, title, &["latency, ms", "count", "p50", "p90", "p99", "p99.9", "p99.99", "max"])?;
    let ms = |us: u64| format!("{:.3}", us as f64 / 1000.0);
    for (metric, latency) in &phase.latencies {
        let both = [
            ("", terminal::name(*metric), &latency.corrected),
            ("second", "from sending", &latency.uncorrected),
        ];
        let shown = if latency.corrected.hdr == latency.uncorrected.hdr { 1 } else { 2 };
        for (class, name, row) in both.into_iter().take(shown) {
            write!(out, "<tr class=\"{class}\"><th>{}</th><td>{}</td>", escape(name), row.count)?;
            for value in [row.p50, row.p90, row.p99, row.p999, row.p9999, row.max] {
                write!(out, "<td>{}</td>", ms(value))?;
            }
            write!(out, "</tr>")?;
        }
    }
    write!(out, "{END}")
}

fn write_failures(out: &mut String, phase: &Phase) -> Result {
    if phase.failures.is_empty() {
        return Ok(());
    }
    head(out, "What failed", &["reason", "times"])?;
    for (reason, count) in &phase.failures {
        write!(out, "<tr><th>{}</th><td>{count}</td></tr>", escape(reason))?;
    }
    write!(out, "{END}")
}

fn write_stages(out: &mut String, report: &Report, stages: &[&Stage]) -> Result {
    let columns = [
        "sessions",
        "server, MiB",
        "KiB a session",
        "CPU us a session opened",
        "held, s",
        "keep-alives a session and second",
        "CPU us a keep-alive",
        "generator, KiB a session",
    ];
    head(out, "Stages", &columns)?;
    let (base, own_base) = (
        report.opening.server.map_or(0, |server| server.rss_before_bytes),
        report.opening.own.rss_before_bytes,
    );
    for stage in stages {
        let each =
            |bytes: u64, base: u64| bytes.saturating_sub(base) as f64 / 1024.0 / stage.sessions.max(1) as f64;
        let keep_alive = stage.server_us_per_keep_alive().map_or("-".into(), |us| format!("{us:.1}"));
        write!(
            out,
            "<tr><th>{}</th><td>{:.1}</td><td>{:.1}</td><td>{:.0}</td><td>{:.0}</td><td>{:.3}</td><td>{keep_alive}</td>\
             <td>{:.1}</td></tr>",
            stage.sessions,
            stage.server_rss_bytes as f64 / 1024.0 / 1024.0,
            each(stage.server_rss_bytes, base),
            stage.server_cpu_us_per_open,
            stage.held_s,
            stage.keep_alive_rate(),
            each(stage.own_rss_bytes, own_base)
        )?;
    }
    write!(out, "{END}")
}

fn write_profile(out: &mut String, profile: &Profile) -> Result {
    let title = format!("Where the server's CPU went ({} samples)", profile.samples);
    head(out, &title, &["part", "share"])?;
    let bar = |share: f64| {
        format!("<span class=\"bar\" style=\"width:{:.0}px\"></span>{:.1} %", share * 240.0, share * 100.0)
    };
    for part in &profile.parts {
        write!(out, "<tr><th>{}</th><td class=\"text\">{}</td></tr>", escape(&part.name), bar(part.share))?;
    }
    write!(out, "{END}")?;
    head(out, "Its functions", &["function", "of", "share"])?;
    for entry in &profile.entries {
        let (symbol, module) = (escape(&entry.symbol), escape(&entry.module));
        write!(
            out,
            "<tr><th>{symbol}</th><td class=\"text\">{module}</td><td>{:.1} %</td></tr>",
            entry.share * 100.0
        )?;
    }
    write!(out, "{END}")
}
