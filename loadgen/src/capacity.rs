//! The highest rate at which a latency stays under a bound, by open-loop runs: doubled until it does not hold, then
//! halved in between. The outcome is the capacity card.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::report::Report;
use crate::stats::recorder::Count;

/// The search ends when the highest rate that held and the lowest that did not are this close.
const CLOSE_ENOUGH: f64 = 1.05;
/// No search needs more runs: 20 doublings and 10 halvings span any rate there is,
/// each tried twice at most.
const MAX_TRIALS: usize = 60;
/// Arrivals that have to be acted on, or the rate was not reached.
const ACHIEVED: f64 = 0.99;

/// One run of the search.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trial {
    /// Rate asked for.
    pub rate: f64,
    /// Rate acted on.
    pub achieved: f64,
    /// The bounded quantile of the main latency, corrected, in microseconds; none if nothing was timed.
    pub latency_us: Option<u64>,
    /// Server CPU in CPUs, if it was watched.
    pub server_cpus: Option<f64>,
    /// Whether the rate held.
    pub held: bool,
    /// Why not, or that the generator was the limit.
    pub why: String,
}

/// The outcome.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Card {
    /// What kind of load.
    pub scenario: String,
    /// The bound, in microseconds.
    pub bound_us: u64,
    /// The highest rate that held; 0 if none did.
    pub rate: f64,
    /// Whether a higher rate failed for the generator's own reasons: then the server's capacity is higher.
    pub generator_limited: bool,
    /// Every run, in order.
    pub trials: Vec<Trial>,
}

/// Judges one run.
pub fn judge(report: &Report, rate: f64, bound_us: u64) -> Trial {
    let phase = &report.measured;
    let summary = report.main_latency().map(|latency| &latency.corrected).filter(|summary| summary.count > 0);
    let latency_us = summary.map(|summary| summary.p99);
    let planned = phase.count(Count::Planned) as f64;
    let failed = phase.count(Count::OpenFailed) + phase.count(Count::Lost);
    let mut why = String::new();
    if latency_us.is_none_or(|latency| latency > bound_us) {
        why = "the latency was over the bound".into();
    } else if (phase.count(Count::Started) as f64) < planned * ACHIEVED {
        why = "the rate was not reached".into();
    } else if failed > 0 {
        why = format!("{failed} sessions failed");
    }
    let held = why.is_empty();
    if !held && !report.health.sound {
        write!(why, " (generator: {})", report.health.findings.join("; ")).unwrap_or_default();
    }
    Trial {
        rate,
        achieved: phase.achieved_rate,
        latency_us,
        server_cpus: phase.server.map(|server| server.cpu_s / phase.seconds.max(0.001)),
        held,
        why,
    }
}

/// Searches from `start` on; `run` makes one run at a rate. An error of a run ends the search.
pub fn search(
    scenario: &str,
    start: f64,
    bound_us: u64,
    mut run: impl FnMut(f64) -> Result<Report, String>,
) -> Result<Card, String> {
    let mut card = Card { scenario: scenario.into(), bound_us, ..Card::default() };
    let (mut held, mut broke) = (0.0, f64::INFINITY);
    let mut doubted = false;
    let mut rate = start;
    while card.trials.len() < MAX_TRIALS && (held <= 0.0 || broke / held > CLOSE_ENOUGH) && rate >= 1.0 {
        let report = run(rate)?;
        // A run that did not come to its end says nothing about the rate.
        if report.end != "completed" {
            return Err(report.end);
        }
        let trial = judge(&report, rate, bound_us);
        let held_now = trial.held;
        card.trials.push(trial);
        if !held_now && !doubted {
            // One bad run may be the machine's hiccup: it takes two to call a rate too high.
            doubted = true;
            continue;
        }
        doubted = false;
        if held_now {
            held = rate;
        } else {
            broke = rate;
            card.generator_limited = !report.health.sound;
        }
        rate = match (held > 0.0, broke.is_finite()) {
            (true, true) => f64::midpoint(held, broke),
            (true, false) => held * 2.0,
            (false, _) => broke / 2.0,
        };
    }
    card.rate = held;
    Ok(card)
}

/// The card as text.
pub fn render(card: &Card) -> String {
    let mut out = format!(
        "Capacity of {}: {:.0}/s with p99 at most {:.3} ms\n",
        card.scenario,
        card.rate,
        card.bound_us as f64 / 1000.0
    );
    if card.generator_limited {
        out += "  The generator was the limit: the server's capacity is at least this.\n";
    }
    out += "      rate/s  achieved/s      p99 ms  server CPUs\n";
    for trial in &card.trials {
        let latency = trial.latency_us.map_or("-".into(), |us| format!("{:.3}", us as f64 / 1000.0));
        let cpus = trial.server_cpus.map_or("-".into(), |cpus| format!("{cpus:.2}"));
        let verdict = if trial.held { "held" } else { &trial.why };
        // Writing to a String cannot fail.
        let _ =
            writeln!(out, "{:>12.0}{:>12.0}{latency:>12}{cpus:>13}  {verdict}", trial.rate, trial.achieved);
    }
    out
}
