//! The plots of a run.

use std::fmt::{Result, Write};

use crate::report::svg::{Axis, Line, Plot, escape};
use crate::report::{Interval, Latency, Report, Stage};
use crate::stats::recorder::{Count, Hist};

/// All that the run has data for.
pub fn write(out: &mut String, report: &Report) -> Result {
    write!(out, "<div class=\"plots\">")?;
    if let Some(latency) = report.main_latency() {
        figure(out, &by_percentile(latency))?;
    }
    for plot in over_time(report).iter().chain(&by_sessions(report)) {
        if plot.lines.iter().any(|line| line.points.iter().any(|point| point.1 > 0.0)) {
            figure(out, plot)?;
        }
    }
    write!(out, "</div>")
}

/// A plot with its caption.
pub fn figure(out: &mut String, plot: &Plot<'_>) -> Result {
    write!(out, "<figure><figcaption>{}</figcaption>{}</figure>", escape(plot.title), plot.render())
}

fn by_percentile(latency: &Latency) -> Plot<'static> {
    let lines = vec![
        Line::solid("from intended", points(latency.corrected.histogram())),
        Line::dashed("from sending", points(latency.uncorrected.histogram())),
    ];
    Plot {
        title: "Latency by percentile",
        x_label: "percentile",
        y_label: "ms",
        lines,
        x: Axis::Nines,
        y: Axis::Log,
        ..Plot::default()
    }
}

/// A histogram by percentile, in milliseconds.
pub fn points(histogram: std::result::Result<Hist, String>) -> Vec<(f64, f64)> {
    let Ok(histogram) = histogram else { return Vec::new() };
    // Beyond one in as many values as there are, nothing is known.
    let last = 1.0 - 1.0 / histogram.len().max(2) as f64;
    let steps = histogram.iter_quantiles(10).filter(|step| step.quantile_iterated_to() <= last);
    steps
        .map(|step| (step.quantile_iterated_to() * 100.0, step.value_iterated_to() as f64 / 1000.0))
        .collect()
}

fn over_time(report: &Report) -> Vec<Plot<'static>> {
    // The last interval is what was left of it: too short for a rate.
    let length = report.intervals.first().map_or(0.0, |interval| interval.seconds);
    let whole: Vec<&Interval> =
        report.intervals.iter().filter(|interval| interval.seconds > length / 2.0).collect();
    let series = |value: &dyn Fn(&Interval) -> f64| -> Vec<(f64, f64)> {
        let points: Vec<_> = whole.iter().map(|interval| (interval.at_s, value(interval))).collect();
        if points.iter().any(|point| point.1 > 0.0) { points } else { Vec::new() }
    };
    let rate = |count: Count| {
        series(&|interval: &Interval| {
            interval.counts.get(&count).copied().unwrap_or(0) as f64 / interval.seconds.max(0.001)
        })
    };
    let timed = |value: fn(&Interval) -> u64| -> Vec<(f64, f64)> {
        let timed = whole.iter().filter(|interval| interval.operations > 0);
        timed.map(|interval| (interval.at_s, value(interval) as f64 / 1000.0)).collect()
    };
    let operations = series(&|interval| interval.operations as f64 / interval.seconds.max(0.001));
    let mut rates = vec![Line::solid("timed", operations)];
    if report.measured.count(Count::Planned) > 0 {
        rates =
            vec![Line::dashed("asked", rate(Count::Planned)), Line::solid("started", rate(Count::Started))];
    }
    let plots = [
        ("Rate over time", "a second", rates, Axis::Linear),
        (
            "Latency over time",
            "ms",
            vec![
                Line::solid("p50", timed(|i| i.p50_us)),
                Line::solid("p99", timed(|i| i.p99_us)),
                Line::dashed("max", timed(|i| i.max_us)),
            ],
            Axis::Log,
        ),
        (
            "Sessions over time",
            "sessions",
            vec![
                Line::solid("open", series(&|i| i.open as f64)),
                Line::solid("in a chat", series(&|i| i.in_chat as f64)),
            ],
            Axis::Linear,
        ),
        (
            "CPU over time",
            "CPUs",
            vec![
                Line::solid("server", series(&|i| i.server_cpus)),
                Line::solid("generator", series(&|i| i.own_cpus)),
            ],
            Axis::Linear,
        ),
    ];
    let shaded = opening(report);
    plots
        .into_iter()
        .map(|(title, y_label, lines, y)| Plot {
            title,
            x_label: "seconds",
            y_label,
            lines,
            y,
            shaded,
            ..Plot::default()
        })
        .collect()
}

/// The time before the load began, if there was any load.
fn opening(report: &Report) -> Option<(f64, f64, &'static str)> {
    let first = report.intervals.iter().find(|interval| interval.measuring)?;
    let start = first.at_s - first.seconds;
    (start > 0.0).then_some((0.0, start, "opening"))
}

fn by_sessions(report: &Report) -> Vec<Plot<'static>> {
    let series = |value: &dyn Fn(&Stage) -> f64| -> Vec<(f64, f64)> {
        report.stages.iter().map(|stage| (stage.sessions as f64, value(stage))).collect()
    };
    if report.stages.len() < 2 {
        return Vec::new();
    }
    let mib = |bytes: u64| bytes as f64 / 1024.0 / 1024.0;
    let before = report.opening.server.map_or(0, |server| server.rss_before_bytes);
    let with_base = |mut points: Vec<(f64, f64)>, base: u64| {
        points.insert(0, (0.0, mib(base)));
        points
    };
    let server = with_base(series(&|stage| mib(stage.server_rss_bytes)), before);
    let own = with_base(series(&|stage| mib(stage.own_rss_bytes)), report.opening.own.rss_before_bytes);
    let memory = vec![Line::solid("server", server), Line::dashed("generator", own)];
    let opening = vec![Line::solid("opening", series(&|stage| stage.server_cpu_us_per_open))];
    let keeping = vec![Line::solid("keep-alives", series(&|stage| stage.server_cpu_us_per_session_second))];
    let plots = [
        ("Memory against sessions", "MiB", memory, Axis::Linear),
        ("Server CPU of opening a session", "us a session", opening, Axis::Log),
        ("Server CPU of keep-alives", "us a session and second", keeping, Axis::Log),
    ];
    plots
        .into_iter()
        .map(|(title, y_label, lines, x)| Plot {
            title,
            x_label: "sessions",
            y_label,
            lines,
            x,
            ..Plot::default()
        })
        .collect()
}
