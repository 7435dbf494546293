//! The report as one self-contained page: verdict, figures, plots. It opens from disk, in light and in dark.

use std::fmt::Write;

use super::svg::{Line, Plot, escape};
use super::{Latency, Phase, Report, terminal};
use crate::stats::recorder::Hist;

const STYLE: &str = include_str!("report.css");

/// The page.
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_page(&mut out, report);
    out
}

fn write_page(out: &mut String, report: &Report) -> std::fmt::Result {
    let name = report.scenario.name();
    write!(
        out,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\"><title>{name} · AnonCam \
         load</title><style>{STYLE}</style></head><body><main>"
    )?;
    let end = escape(&report.end);
    write!(out, "<h1>{name}</h1><p class=\"sub\">against {} · {end}</p>", escape(&report.target))?;
    write_verdict(out, report)?;
    write_plots(out, report)?;
    for (title, phase) in [("Load", &report.measured), ("Opening", &report.opening)] {
        if !phase.latencies.is_empty() {
            write_table(out, title, phase)?;
        }
    }
    write!(out, "<h2>In full</h2><pre>{}</pre>", escape(terminal::render(report).trim()))?;
    write_conditions(out, report)?;
    write!(out, "</main></body></html>")
}

fn write_verdict(out: &mut String, report: &Report) -> std::fmt::Result {
    if report.health.sound {
        write!(out, "<p class=\"sound\">Sound: no limit of the generator was met.</p>")?;
    } else {
        write!(
            out,
            "<div class=\"unsound\"><b>Not sound: the figures are partly the generator's own.</b><ul>"
        )?;
        for finding in &report.health.findings {
            write!(out, "<li>{}</li>", escape(finding))?;
        }
        write!(out, "</ul></div>")?;
    }
    for remark in &report.health.remarks {
        write!(out, "<p class=\"sub\">{}</p>", escape(remark))?;
    }
    Ok(())
}

fn write_plots(out: &mut String, report: &Report) -> std::fmt::Result {
    if let Some(latency) = report.main_latency() {
        figure(out, "Latency by percentile", &percentile_plot(latency))?;
    }
    let over_time = |value: fn(&super::Interval) -> f64| -> Vec<(f64, f64)> {
        report.intervals.iter().map(|interval| (interval.at_s, value(interval))).collect()
    };
    let time = |title, y_label, lines, log_y| {
        Plot { title, x_label: "seconds", y_label, lines, percentiles: false, log_y }.render()
    };
    let line = |name, points| Line { name, points, dashed: false };
    let rate = vec![line("operations", over_time(|i| i.operations as f64 / i.seconds.max(0.001)))];
    figure(out, "Rate over time", &time("Rate over time", "a second", rate, false))?;
    let timed = |value: fn(&super::Interval) -> u64| -> Vec<(f64, f64)> {
        let timed = report.intervals.iter().filter(|interval| interval.operations > 0);
        timed.map(|interval| (interval.at_s, value(interval) as f64 / 1000.0)).collect()
    };
    let latency = vec![
        line("p50", timed(|i| i.p50_us)),
        line("p99", timed(|i| i.p99_us)),
        line("max", timed(|i| i.max_us)),
    ];
    figure(out, "Latency over time", &time("Latency over time", "ms", latency, true))?;
    let sessions =
        vec![line("open", over_time(|i| i.open as f64)), line("in a chat", over_time(|i| i.in_chat as f64))];
    figure(out, "Sessions", &time("Sessions over time", "sessions", sessions, false))?;
    let cpus =
        vec![line("server", over_time(|i| i.server_cpus)), line("generator", over_time(|i| i.own_cpus))];
    figure(out, "CPU", &time("CPU over time", "CPUs", cpus, false))?;
    if report.stages.iter().any(|stage| stage.server_rss_bytes > 0) {
        figure(out, "Memory against sessions", &memory_plot(report))?;
    }
    Ok(())
}

fn percentile_plot(latency: &Latency) -> String {
    let points = |histogram: Result<Hist, String>| -> Vec<(f64, f64)> {
        let Ok(histogram) = histogram else { return Vec::new() };
        // Beyond one in as many values as there are, nothing is known.
        let last = 1.0 - 1.0 / histogram.len().max(2) as f64;
        let steps = histogram.iter_quantiles(10).filter(|step| step.quantile_iterated_to() <= last);
        steps
            .map(|step| (step.quantile_iterated_to() * 100.0, step.value_iterated_to() as f64 / 1000.0))
            .collect()
    };
    let lines = vec![
        Line { name: "from intended", points: points(latency.corrected.histogram()), dashed: false },
        Line { name: "from sending", points: points(latency.uncorrected.histogram()), dashed: true },
    ];
    Plot {
        title: "Latency by percentile",
        x_label: "percentile",
        y_label: "ms",
        lines,
        percentiles: true,
        log_y: true,
    }
    .render()
}

fn memory_plot(report: &Report) -> String {
    let before = report.opening.server.map_or(0, |server| server.rss_before_bytes);
    let mib = |bytes: u64| bytes as f64 / 1024.0 / 1024.0;
    let mut points = vec![(0.0, mib(before))];
    points.extend(report.stages.iter().map(|stage| (stage.sessions as f64, mib(stage.server_rss_bytes))));
    let lines = vec![Line { name: "server RSS", points, dashed: false }];
    let title = "Memory against sessions";
    Plot { title, x_label: "sessions", y_label: "MiB", lines, percentiles: false, log_y: false }.render()
}

fn figure(out: &mut String, caption: &str, svg: &str) -> std::fmt::Result {
    write!(out, "<figure><figcaption>{}</figcaption>{svg}</figure>", escape(caption))
}

fn write_table(out: &mut String, title: &str, phase: &Phase) -> std::fmt::Result {
    write!(
        out,
        "<h2>{title}</h2><div class=\"scroll\"><table><thead><tr><th>ms</th><th>count</th><th>p50</th><th>p90</th>\
         <th>p99</th><th>p99.9</th><th>p99.99</th><th>max</th></tr></thead><tbody>"
    )?;
    let ms = |us: u64| format!("{:.3}", us as f64 / 1000.0);
    for (metric, latency) in &phase.latencies {
        let name = escape(terminal::name(*metric));
        let both = [(name.as_str(), &latency.corrected), ("from sending", &latency.uncorrected)];
        let shown = if latency.corrected.hdr == latency.uncorrected.hdr { 1 } else { 2 };
        for (name, row) in both.into_iter().take(shown) {
            write!(out, "<tr><th>{name}</th><td>{}</td>", row.count)?;
            for value in [row.p50, row.p90, row.p99, row.p999, row.p9999, row.max] {
                write!(out, "<td>{}</td>", ms(value))?;
            }
            write!(out, "</tr>")?;
        }
    }
    write!(out, "</tbody></table></div>")
}

fn write_conditions(out: &mut String, report: &Report) -> std::fmt::Result {
    let machine = &report.machine;
    let options = toml::to_string(&report.options).unwrap_or_default();
    write!(
        out,
        "<h2>To repeat it</h2><p>anoncam-loadgen {} on {} CPUs of {}, Linux {}, {:.0} GiB. Options:</p><pre>{}</pre>",
        escape(&report.version),
        machine.cpus,
        escape(&machine.cpu_model),
        escape(&machine.kernel),
        machine.memory_bytes as f64 / 1024f64.powi(3),
        escape(&options)
    )
}
