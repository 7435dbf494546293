//! The highest rate at which a latency stays under a bound, by open-loop runs: doubled until it does not hold, then
//! halved in between. The outcome is the capacity card.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::options::Options;
use crate::report::{Built, Report};
use crate::run::machine::Machine;
use crate::stats::recorder::Count;
use crate::stats::server::Program;

/// No search needs more runs: 20 doublings and 10 halvings span any rate there is,
/// each tried twice at most.
const MAX_TRIALS: usize = 60;
/// Arrivals that have to be acted on, or the rate was not reached.
const ACHIEVED: f64 = 0.99;
/// What was started has to be answered, but for the odd ones out.
const ANSWERED: f64 = 0.99;

/// One run of the search.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Trial {
    /// Rate asked for.
    pub rate: f64,
    /// Rate acted on.
    pub achieved: f64,
    /// The main latency, corrected, in microseconds: the median; none if nothing was timed.
    pub p50_us: Option<u64>,
    /// The bounded quantile, its 99th percentile.
    pub latency_us: Option<u64>,
    /// Its 99.9th percentile.
    pub p999_us: Option<u64>,
    /// Server CPU in CPUs, if it was watched.
    pub server_cpus: Option<f64>,
    /// This program's CPU in CPUs.
    pub own_cpus: f64,
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
    /// `completed`, `interrupted`, or why the search ended early.
    pub end: String,
    /// The bound, in microseconds.
    pub bound_us: u64,
    /// The highest rate that held; 0 if none did.
    pub rate: f64,
    /// Whether a higher rate failed for the generator's own reasons: then the server's capacity is higher.
    pub generator_limited: bool,
    /// Every run, in order.
    pub trials: Vec<Trial>,
    /// With these every run can be repeated, at its own rate.
    pub options: Options,
    /// The server's address.
    pub target: String,
    /// The server's program, if it is known.
    pub server_program: Option<Program>,
    /// What this program was built from.
    pub built: Built,
    /// Where the load came from.
    pub machine: Machine,
}

impl Card {
    /// The run at the highest rate that held.
    pub fn best(&self) -> Option<&Trial> {
        self.trials.iter().filter(|trial| trial.held).max_by(|a, b| a.rate.total_cmp(&b.rate))
    }
}

/// Judges one run.
pub fn judge(report: &Report, rate: f64, bound_us: u64) -> Trial {
    let phase = &report.measured;
    let summary = report.main_latency().map(|latency| &latency.corrected).filter(|summary| summary.count > 0);
    let latency_us = summary.map(|summary| summary.p99);
    let planned = phase.count(Count::Planned) as f64;
    let failed = phase.count(Count::OpenFailed) + phase.count(Count::Lost);
    let unanswered = phase.count(Count::Unanswered)
        + phase.count(Count::FramesSent).saturating_sub(phase.count(Count::FramesReceived));
    let asked = phase.count(Count::Matched) + phase.count(Count::FramesSent) + unanswered;
    let mut why = String::new();
    if latency_us.is_none_or(|latency| latency > bound_us) {
        why = "the latency was over the bound".into();
    } else if (phase.count(Count::Started) as f64) < planned * ACHIEVED {
        why = "the rate was not reached".into();
    } else if failed > 0 {
        why = format!("{failed} sessions failed");
    } else if unanswered > 2 && unanswered as f64 > asked as f64 * (1.0 - ANSWERED) {
        why = format!("{unanswered} had no answer at the end");
    }
    let held = why.is_empty();
    if !held && !report.health.sound {
        write!(why, " (generator: {})", report.health.findings.join("; ")).unwrap_or_default();
    }
    Trial {
        rate,
        achieved: phase.achieved_rate,
        p50_us: summary.map(|summary| summary.p50),
        latency_us,
        p999_us: summary.map(|summary| summary.p999),
        server_cpus: phase.server.map(|server| server.cpu_s / phase.seconds.max(0.001)),
        own_cpus: phase.own.cpu_s / phase.seconds.max(0.001),
        held,
        why,
    }
}

/// What is searched for.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// The rate that is tried first.
    pub start: f64,
    /// Bound of the main latency's p99, in microseconds.
    pub bound_us: u64,
    /// The search ends when the highest rate that held and the lowest that did not differ by no more than this share.
    pub within: f64,
}

/// Searches from the goal's start on; `run` makes one run at a rate. A run that does not come to its end says nothing about its
/// rate, and ends the search: what was found until then stays. An error is one of the first run, which leaves nothing.
pub fn search(
    scenario: &str,
    goal: Goal,
    mut run: impl FnMut(f64) -> Result<Report, String>,
) -> Result<Card, String> {
    let Goal { start, bound_us, within } = goal;
    let mut card = Card { scenario: scenario.into(), bound_us, end: "completed".into(), ..Card::default() };
    let (mut held, mut broke) = (0.0, f64::INFINITY);
    let mut doubted = false;
    let mut rate = start;
    while card.trials.len() < MAX_TRIALS && (held <= 0.0 || broke / held > 1.0 + within) && rate >= 1.0 {
        let report = match run(rate) {
            Err(error) if card.trials.is_empty() => return Err(error),
            Err(end) => {
                card.end = end;
                break;
            }
            Ok(report) => report,
        };
        describe(&mut card, &report);
        if report.end != "completed" {
            card.end = report.end;
            break;
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

fn describe(card: &mut Card, report: &Report) {
    card.options = Options { rate: None, ..report.options.clone() };
    card.target.clone_from(&report.target);
    card.server_program.clone_from(&report.server_program);
    card.built.clone_from(&report.built);
    card.machine.clone_from(&report.machine);
}

/// The card as text.
pub fn render(card: &Card) -> String {
    let bound_ms = card.bound_us as f64 / 1000.0;
    let mut out =
        format!("Capacity of {}: {:.0}/s with p99 at most {bound_ms:.3} ms\n", card.scenario, card.rate);
    if card.end != "completed" {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  The search ended early ({}): this is what it had found.", card.end);
    }
    if card.generator_limited {
        out += "  The generator was the limit: the server's capacity is at least this.\n";
    }
    out += "      rate/s  achieved/s      p50 ms      p99 ms  server CPUs  own CPUs\n";
    for trial in &card.trials {
        let ms = |us: Option<u64>| us.map_or("-".into(), |us| format!("{:.3}", us as f64 / 1000.0));
        let cpus = trial.server_cpus.map_or("-".into(), |cpus| format!("{cpus:.2}"));
        let verdict = if trial.held { "held" } else { &trial.why };
        let _ = writeln!(
            out,
            "{:>12.0}{:>12.0}{:>12}{:>12}{cpus:>13}{:>10.2}  {verdict}",
            trial.rate,
            trial.achieved,
            ms(trial.p50_us),
            ms(trial.latency_us),
            trial.own_cpus
        );
    }
    out
}
