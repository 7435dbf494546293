//! The files of a run that are written while it goes on, so that a run which is cut off can still be read.
//!
//! `intervals.jsonl`: a first line about the run, then one line an interval. `latency.hlog`: the histograms of every
//! interval in `HdrHistogram`'s log format 1.3 (values in microseconds, maxima in milliseconds), one tag a metric and
//! view. `latency.hgrm`: the percentiles of the main latency, for `HdrHistogram`'s plotter, at the end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

use super::{Built, Health, Interval, Phase, Report, SCHEMA, Stage, Used};
use crate::options::Options;
use crate::run::machine::Machine;
use crate::settings::Kind;
use crate::stats::recorder::{Hist, Metric, Sample, Views};
use crate::stats::server::Program;

/// Names of the files in the directory of a run.
pub const REPORT: &str = "report.json";
/// See [`REPORT`].
pub const INTERVALS: &str = "intervals.jsonl";
/// See [`REPORT`].
pub const LOG: &str = "latency.hlog";

/// The first line of [`INTERVALS`].
#[derive(Serialize, Deserialize)]
pub struct Header {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What kind of load.
    pub scenario: Kind,
    /// Unix time of the start.
    pub started_unix_s: f64,
    /// Preset and command line together.
    pub options: Options,
    /// The server's address.
    #[serde(default)]
    pub target: String,
    /// The server's program, if it is known.
    #[serde(default)]
    pub server_program: Option<Program>,
    /// What this program was built from.
    #[serde(default)]
    pub built: Built,
    /// Where the load came from.
    pub machine: Machine,
}

/// A line of [`INTERVALS`] after the first.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Stage {
        /// What a number of sessions cost.
        stage: Stage,
    },
    Interval(Box<Interval>),
}

/// The line of a stage.
pub fn stage_line(stage: &Stage) -> String {
    serde_json::json!({ "stage": stage }).to_string()
}

/// The first lines of a histogram log.
pub fn log_header(started_unix_s: f64) -> String {
    format!(
        "#[Histogram log format version 1.3]\n#[StartTime: {started_unix_s:.3} (seconds since epoch)]\n\
         \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n"
    )
}

/// The lines of one interval. `phase` is `opening.` or empty.
pub fn log_lines(interval: &Interval, phase: &str, sample: &Sample) -> String {
    let mut out = String::new();
    for (metric, views) in &sample.views {
        for (view, histogram) in [("corrected", &views.corrected), ("uncorrected", &views.uncorrected)] {
            let mut bytes = Vec::new();
            // Writing to memory fails only for histograms of a size that none here has.
            let _ = V2DeflateSerializer::new().serialize(histogram, &mut bytes);
            let (start, max) = (interval.at_s - interval.seconds, histogram.max() as f64 / 1000.0);
            let name = metric_name(*metric);
            let _ = writeln!(
                out,
                "Tag={phase}{name}.{view},{start:.3},{:.3},{max:.3},{}",
                interval.seconds,
                STANDARD.encode(bytes)
            );
        }
    }
    out
}

/// A metric's name in files.
pub fn metric_name(metric: Metric) -> String {
    match serde_json::to_value(metric) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

/// A metric by its name in files.
pub fn metric_of(name: &str) -> Option<Metric> {
    serde_json::from_value(name.into()).ok()
}

/// The percentiles of a histogram, as `HdrHistogram`'s own tools write them.
pub fn hgrm(histogram: &Hist) -> String {
    let mut out =
        format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut total = 0;
    for step in histogram.iter_quantiles(5) {
        total += step.count_since_last_iteration();
        let quantile = step.quantile_iterated_to();
        let _ = write!(out, "{:>12.3} {quantile:>2.12} {total:>10}", step.value_iterated_to() as f64);
        let _ =
            if quantile < 1.0 { writeln!(out, " {:>14.2}", 1.0 / (1.0 - quantile)) } else { writeln!(out) };
    }
    let _ = writeln!(
        out,
        "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]",
        histogram.mean(),
        histogram.stdev()
    );
    let _ = writeln!(out, "#[Max     = {:>12.3}, Total count    = {:>12}]", histogram.max(), histogram.len());
    let buckets = histogram.buckets();
    let _ = writeln!(out, "#[Buckets = {buckets:>12}, SubBuckets     = {:>12}]", 2048);
    out
}

/// Reads the report of a run's directory; of a run that was cut off, what its other files still tell.
pub fn read_directory(directory: &Path) -> Result<Report, String> {
    match Report::read(&directory.join(REPORT)) {
        Ok(report) => Ok(report),
        Err(error) => rebuild(directory).map_err(|why| format!("{error}; and {why}")),
    }
}

fn rebuild(directory: &Path) -> Result<Report, String> {
    let path = directory.join(INTERVALS);
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = std::fs::File::open(&path).map_err(|error| named(&error))?;
    let mut lines = BufReader::new(file).lines().map_while(Result::ok);
    let first = lines.next().ok_or_else(|| named(&"empty"))?;
    let header: Header = serde_json::from_str(&first).map_err(|error| named(&error))?;
    let (mut intervals, mut stages) = (Vec::new(), Vec::new());
    // The last line may be half written.
    for line in lines.map_while(|line| serde_json::from_str(&line).ok()) {
        match line {
            Line::Stage { stage } => stages.push(stage),
            Line::Interval(interval) => intervals.push(*interval),
        }
    }
    let (opening_views, measured_views) = read_log(&directory.join(LOG));
    Ok(Report {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").into(),
        built: header.built,
        scenario: header.scenario,
        end: "cut off".into(),
        started_unix_s: header.started_unix_s,
        options: header.options,
        target: header.target,
        server_program: header.server_program,
        machine: header.machine,
        health: Health {
            sound: false,
            findings: vec!["the run was cut off: this is what its interval files tell".into()],
            remarks: Vec::new(),
        },
        opening: phase(&intervals, false, opening_views),
        stages,
        measured: phase(&intervals, true, measured_views),
        intervals,
        profile: None,
    })
}

/// A phase from its intervals and histograms.
fn phase(intervals: &[Interval], measuring: bool, views: AllViews) -> Phase {
    let mut sample = Sample { views, ..Sample::default() };
    let (mut seconds, mut server, mut own) = (0.0, Used::default(), Used::default());
    for interval in intervals.iter().filter(|interval| interval.measuring == measuring) {
        seconds += interval.seconds;
        server.cpu_s += interval.server_cpus * interval.seconds;
        own.cpu_s += interval.own_cpus * interval.seconds;
        server.rss_after_bytes = interval.server_rss_bytes;
        for (count, value) in &interval.counts {
            *sample.counts.entry(*count).or_default() += value;
        }
        for (reason, value) in &interval.failures {
            *sample.failures.entry(reason.clone()).or_default() += value;
        }
    }
    let watched = server.rss_after_bytes > 0;
    Phase { server: watched.then_some(server), own, ..Phase::of(&sample, seconds) }
}

type AllViews = BTreeMap<Metric, Views>;

/// The histograms of a log, summed up: of the opening, and of the load.
fn read_log(path: &Path) -> (AllViews, AllViews) {
    let (mut opening, mut measured) = (AllViews::new(), AllViews::new());
    let text = std::fs::read_to_string(path).unwrap_or_default();
    for line in text.lines().filter_map(|line| line.strip_prefix("Tag=")) {
        let mut fields = line.split(',');
        let (Some(tag), Some(payload)) = (fields.next(), fields.nth(3)) else { continue };
        let (views, tag) = match tag.strip_prefix("opening.") {
            Some(tag) => (&mut opening, tag),
            None => (&mut measured, tag),
        };
        let Some((name, view)) = tag.split_once('.') else { continue };
        let (Some(metric), Ok(bytes)) = (metric_of(name), STANDARD.decode(payload)) else { continue };
        let Ok(histogram) = Deserializer::new().deserialize::<u64, _>(&mut bytes.as_slice()) else {
            continue;
        };
        let views = views.entry(metric).or_default();
        let into = if view == "corrected" { &mut views.corrected } else { &mut views.uncorrected };
        // Another program's histogram may have other bounds; what does not fit is left out.
        let _ = into.add(&histogram);
    }
    (opening, measured)
}

/// Appends to a file that is read while it grows.
pub fn append(file: &mut std::fs::File, text: &str) -> Result<(), String> {
    file.write_all(text.as_bytes()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::recorder::{Recorder, histogram};

    #[test]
    fn a_log_gives_its_histograms_back_and_ignores_a_torn_line() {
        let mut recorder = Recorder::default();
        recorder.latency(Metric::Pair, 0, 1000, 5000);
        let sample = recorder.take(0, 0);
        let interval = Interval { at_s: 1.0, seconds: 1.0, ..Interval::default() };
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(LOG);
        let lines = log_lines(&interval, "", &sample);
        let torn = &lines[..lines.len() / 3];
        std::fs::write(&path, format!("{}{lines}{lines}{torn}", log_header(0.0))).unwrap();
        let (opening, measured) = read_log(&path);
        assert!(opening.is_empty());
        assert_eq!(measured[&Metric::Pair].corrected.len(), 2);
        assert_eq!(measured[&Metric::Pair].uncorrected.max(), 4);
    }

    #[test]
    fn percentiles_are_written_for_the_plotter() {
        let mut values = histogram();
        (1..=1000).for_each(|value| values.record(value).unwrap());
        let text = hgrm(&values);
        assert!(text.contains("Percentile TotalCount"), "{text}");
        assert!(text.contains("Total count    =         1000"), "{text}");
        assert!(text.lines().any(|line| line.trim_start().starts_with("500.000 0.5000")), "{text}");
    }
}
