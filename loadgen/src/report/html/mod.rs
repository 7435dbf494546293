//! Reports as self-contained pages: verdict, figures, plots. They open from disk, in light and in dark.

mod card;
mod compare;
mod plots;
mod tables;

use std::fmt::{Result, Write};

use super::stage::{memory_slope, open_cpu_range};
use super::svg::escape;
use super::{Built, Health, Report};
use crate::options::Options;
use crate::run::machine::Machine;
use crate::settings::Kind;
use crate::stats::recorder::Count;
use crate::stats::server::Program;
pub use card::card;
pub use compare::compare;

const STYLE: &str = include_str!("page.css");

/// The page of a run.
pub fn render(report: &Report) -> String {
    let name = report.scenario.name();
    page(&format!("{name} · AnonCam load"), |out| {
        let (target, end) = (escape(&report.target), escape(&report.end));
        write!(out, "<h1>{name}</h1><p class=\"sub\">against {target} · {end}</p>")?;
        write_verdict(out, &report.health)?;
        write_tiles(out, &tiles(report))?;
        plots::write(out, report)?;
        tables::write(out, report)?;
        let text = super::terminal::render(report);
        write!(
            out,
            "<details><summary>The report as text</summary><pre>{}</pre></details>",
            escape(text.trim())
        )?;
        let Report { built, machine, server_program, options, .. } = report;
        write_conditions(out, built, machine, server_program.as_ref(), options)
    })
}

/// A whole page around a body.
fn page(title: &str, body: impl FnOnce(&mut String) -> Result) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{}</title><style>{STYLE}</style></head><body><main>",
        escape(title)
    );
    let _ = body(&mut out);
    out += "</main></body></html>";
    out
}

fn write_verdict(out: &mut String, health: &Health) -> Result {
    if health.sound {
        write!(out, "<div class=\"verdict\"><p><b>Sound.</b> No limit of the generator was met.</p>")?;
    } else {
        write!(
            out,
            "<div class=\"verdict unsound\"><p><b>Not sound.</b> The figures are a lower bound of what the server can \
             do, not its measure:</p><ul>"
        )?;
        for finding in &health.findings {
            write!(out, "<li>{}</li>", escape(finding))?;
        }
        write!(out, "</ul>")?;
    }
    for remark in &health.remarks {
        write!(out, "<p class=\"note\">{}</p>", escape(remark))?;
    }
    write!(out, "</div>")
}

/// A figure that is seen first: value, unit, and what it is.
type Tile = (String, &'static str, String);

fn write_tiles(out: &mut String, tiles: &[Tile]) -> Result {
    write!(out, "<ul class=\"tiles\">")?;
    for (value, unit, name) in tiles {
        write!(out, "<li><b>{value} <small>{unit}</small></b><span>{}</span></li>", escape(name))?;
    }
    write!(out, "</ul>")
}

fn tiles(report: &Report) -> Vec<Tile> {
    let phase = report.main_phase();
    let mut tiles = stage_tiles(report);
    if let Some(latency) = report.main_latency() {
        let metric = super::terminal::name(super::main_metric(report.scenario));
        let summary = &latency.corrected;
        for (us, name) in [(summary.p50, "p50"), (summary.p99, "p99"), (summary.p999, "p99.9")] {
            tiles.push((milliseconds(us), "ms", format!("{metric}, {name}")));
        }
    }
    let rates = [
        (Count::FramesReceived, "frames relayed"),
        (Count::Matched, "matches"),
        (Count::Opened, "sessions opened"),
    ];
    if phase.count(Count::Planned) > 0 {
        let name = format!("achieved of {:.0} asked", phase.target_rate);
        tiles.push((format!("{:.0}", phase.achieved_rate), "/s", name));
    } else if let Some((count, name)) = rates.iter().find(|(count, _)| phase.count(*count) > 0) {
        tiles.push((format!("{:.0}", phase.rate(*count)), "/s", (*name).into()));
    }
    let each = [
        (Count::FramesReceived, "server CPU a frame"),
        (Count::Matched, "server CPU a match, each end"),
        (Count::Opened, "server CPU a session opened"),
    ];
    if let Some((cpu, name)) =
        each.iter().find_map(|(count, name)| Some((phase.server_us_each(*count)?, name)))
    {
        tiles.push((format!("{cpu:.0}"), "us", (*name).into()));
    }
    let failed = [&report.opening, &report.measured]
        .map(|phase| phase.count(Count::OpenFailed) + phase.count(Count::Lost));
    tiles.push(((failed[0] + failed[1]).to_string(), "", "sessions failed or lost".into()));
    tiles
}

/// What `idle` is about.
fn stage_tiles(report: &Report) -> Vec<Tile> {
    let mut tiles = Vec::new();
    if report.scenario != Kind::Idle {
        return tiles;
    }
    if let Some(slope) = memory_slope(report) {
        tiles.push((format!("{:.1}", slope / 1024.0), "KiB", "server memory a session (slope)".into()));
    }
    if let Some((least, most)) = open_cpu_range(report) {
        let name = format!("opening costs from {least:.0} to {most:.0} us of CPU");
        tiles.push((format!("{:.0}", (most / least - 1.0) * 100.0), "%", name));
    }
    if let Some(keep) = report.stages.last().filter(|stage| stage.keep_alives > 0) {
        let cpu = keep.server_cpu_us_per_session_second;
        tiles.push((format!("{cpu:.2}"), "us", "keep-alive CPU a session and second".into()));
    }
    tiles
}

/// What has to be known to repeat it.
fn write_conditions(
    out: &mut String,
    built: &Built,
    machine: &Machine,
    server: Option<&Program>,
    options: &Options,
) -> Result {
    write!(
        out,
        "<h2>To repeat it</h2><p>anoncam-loadgen {}, {} build ({}; {}), on {}.",
        env!("CARGO_PKG_VERSION"),
        escape(&built.profile),
        escape(&built.compiler),
        escape(&built.libraries),
        escape(&machine.to_string())
    )?;
    if let Some(Program { path, sha256 }) = server {
        write!(out, " Server: {}, SHA-256 {}.", escape(path), escape(sha256))?;
    }
    let options = toml::to_string(options).unwrap_or_default();
    write!(out, "</p><pre>{}</pre>", escape(&options))
}

/// Microseconds as milliseconds with as many digits as matter.
fn milliseconds(us: u64) -> String {
    let ms = us as f64 / 1000.0;
    if ms < 10.0 {
        format!("{ms:.2}")
    } else if ms < 100.0 {
        format!("{ms:.1}")
    } else {
        format!("{ms:.0}")
    }
}
