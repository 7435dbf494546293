//! What the tests share: a run against a liar in this process, and the program itself in another.

#![allow(dead_code, missing_docs, clippy::unwrap_used, reason = "a test helper: each test uses a part of it")]

use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anoncam_loadgen::options::Options;
use anoncam_loadgen::report::{Interval, Latency, Report};
use anoncam_loadgen::run::collect::Watch;
use anoncam_loadgen::run::{self, Plan, target};
use anoncam_loadgen::settings::{Kind, Settings};
use anoncam_loadgen::stats::recorder::{Metric, Sample};
use anoncam_loadgen::stats::server::Server;

/// One load at a time: two on the same few cores would measure each other.
pub fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks away.
pub struct Unwatched;

impl Watch for Unwatched {
    fn interval(&mut self, _interval: &Interval, _opening: &Sample, _measured: &Sample) {}
}

/// Runs a scenario with these options (TOML) over the built-in preset, in this process.
pub fn load(kind: Kind, url: &str, options: &str) -> Result<Report, String> {
    let own: Options = toml::from_str(options).unwrap();
    let preset: Options = toml::from_str(kind.preset()).unwrap();
    let mut options = own.or(preset);
    options.url.get_or_insert(url.into());
    if let Some(connections) = options.connections {
        options.stages = Some(vec![connections]);
    }
    let settings = Settings::new(kind, &options)?;
    let target = target::resolve(&options)?;
    run::run(Plan { settings, target, options, server: Server::Unwatched, start_at: None }, &mut Unwatched)
}

/// Repeats a measurement until it shows what it should: a busy machine only ever adds time, so the best of a few counts.
pub fn at_best(mut measure: impl FnMut() -> Result<(), String>) {
    const ATTEMPTS: usize = 8;
    let mut seen = Vec::new();
    for _ in 0..ATTEMPTS {
        match measure() {
            Ok(()) => return,
            Err(why) => seen.push(why),
        }
    }
    panic!("never in {ATTEMPTS} attempts: {seen:?}");
}

/// `Err` with what was seen, unless it is in range.
pub fn within(what: &str, value: u64, range: std::ops::Range<u64>) -> Result<(), String> {
    if range.contains(&value) { Ok(()) } else { Err(format!("{what}: {value} is not in {range:?}")) }
}

/// The latency of a metric in the measured phase.
pub fn latency(report: &Report, metric: Metric) -> &Latency {
    report
        .measured
        .latencies
        .get(&metric)
        .unwrap_or_else(|| panic!("no {metric:?} in {:?}", report.measured.counts))
}

/// Runs the program.
pub fn program(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_anoncam-loadgen")).args(arguments).output().unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
