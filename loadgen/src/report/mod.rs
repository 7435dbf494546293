//! The report of a run, as it is written to JSON and read again by `compare`, `merge` and `html`.

pub mod files;
pub mod html;
pub mod phase;
pub mod stage;
pub mod svg;
pub mod terminal;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::options::Options;
use crate::run::machine::Machine;
use crate::run::profile::Profile;
use crate::settings::Kind;
use crate::stats::recorder::{Count, Metric};
use crate::stats::server::Program;
pub use phase::{Latency, Phase, Summary, Used};
pub use stage::Stage;

/// Version of this format; a reader refuses another.
pub const SCHEMA: u32 = 1;

/// A whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Version of this program.
    pub version: String,
    /// What it was built from.
    #[serde(default)]
    pub built: Built,
    /// What kind of load.
    pub scenario: Kind,
    /// `completed`, `interrupted`, or why it failed.
    pub end: String,
    /// Unix time of the start.
    pub started_unix_s: f64,
    /// Preset and command line together: with these the run can be repeated.
    pub options: Options,
    /// The server's UDP address.
    pub target: String,
    /// The server's program, if it was named by --server-pid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_program: Option<Program>,
    /// Where the load came from.
    pub machine: Machine,
    /// What this program thinks of itself.
    pub health: Health,
    /// Opening the sessions that the load needs.
    pub opening: Phase,
    /// After each stage of opening: what the sessions cost.
    pub stages: Vec<Stage>,
    /// The load itself, without its warm-up.
    pub measured: Phase,
    /// Interval by interval.
    pub intervals: Vec<Interval>,
    /// Where the server's CPU went while it was measured, with --profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
}

/// What this program was built from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Built {
    /// The compiler.
    pub compiler: String,
    /// `release` or `debug`.
    pub profile: String,
    /// The libraries that figures depend on, with their versions.
    pub libraries: String,
}

impl Built {
    /// This program.
    pub fn here() -> Self {
        Self {
            compiler: env!("LOADGEN_COMPILER").into(),
            profile: env!("LOADGEN_PROFILE").into(),
            libraries: env!("LOADGEN_LIBRARIES").into(),
        }
    }
}

/// Whether the figures are the server's or this program's own.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Health {
    /// No limit of this program was met.
    pub sound: bool,
    /// Limits that were met, in sentences.
    pub findings: Vec<String>,
    /// Remarks that do not spoil the figures.
    pub remarks: Vec<String>,
}

/// One interval of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Interval {
    /// Seconds since the run began, at the interval's end.
    pub at_s: f64,
    /// Its length.
    pub seconds: f64,
    /// Whether the schedule was running.
    pub measuring: bool,
    /// Sessions open at its end.
    pub open: u64,
    /// Of these, in a chat.
    pub in_chat: u64,
    /// What was counted.
    pub counts: BTreeMap<Count, u64>,
    /// Why sessions failed or were lost.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failures: BTreeMap<String, u64>,
    /// Operations timed by the main latency.
    pub operations: u64,
    /// Main latency, corrected, in microseconds.
    pub p50_us: u64,
    /// The same.
    pub p99_us: u64,
    /// The same.
    pub max_us: u64,
    /// Server CPU in CPUs.
    pub server_cpus: f64,
    /// Server memory in bytes.
    pub server_rss_bytes: u64,
    /// Own CPU in CPUs.
    pub own_cpus: f64,
    /// Share of time in which the load threads did not sleep.
    pub busy: f64,
}

/// The latency that a kind of load is about.
pub const fn main_metric(kind: Kind) -> Metric {
    match kind {
        Kind::Connect | Kind::Idle => Metric::Open,
        Kind::Pair | Kind::Mix | Kind::Soak => Metric::Pair,
        Kind::Relay => Metric::Relay,
        Kind::Signal => Metric::Exchange,
        Kind::Churn => Metric::Next,
    }
}

impl Report {
    /// The phase that the run is about: without a schedule that is the opening.
    pub fn main_phase(&self) -> &Phase {
        let metric = main_metric(self.scenario);
        if self.measured.latencies.contains_key(&metric) { &self.measured } else { &self.opening }
    }

    /// The latency that the run is about, if anything was timed.
    pub fn main_latency(&self) -> Option<&Latency> {
        self.main_phase().latencies.get(&main_metric(self.scenario))
    }

    /// Reads a report from a file; the error names the file.
    pub fn read(path: &std::path::Path) -> Result<Self, String> {
        let named = |error: String| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
        let report: Self = serde_json::from_str(&text)
            .map_err(|error| named(format!("not a report of this program: {error}")))?;
        if report.schema != SCHEMA {
            return Err(named(format!(
                "format {} is not format {SCHEMA}, which this program reads",
                report.schema
            )));
        }
        Ok(report)
    }
}
