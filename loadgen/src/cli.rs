//! The command line: subcommands, and what each exits with.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::condition::Condition;
use crate::options::Options;
use crate::output::{Output, complain, create, on_interrupt, print};
use crate::report::{Report, files, html, terminal};
use crate::run::{self, Plan, machine, target};
use crate::settings::{Kind, Settings};
use crate::span::Span;
use crate::stats::server::Server;
use crate::{capacity, compare, floors, merge};

/// Exit codes. 130 (Ctrl-C) is the shell's convention.
pub mod exit {
    /// The run completed.
    pub const OK: u8 = 0;
    /// The run failed, or could not start.
    pub const FAILED: u8 = 1;
    /// The command line is wrong (clap's own code).
    pub const USAGE: u8 = 2;
    /// A condition of --fail-if holds.
    pub const CONDITION: u8 = 3;
    /// The run was interrupted; what it had is reported.
    pub const INTERRUPTED: u8 = 130;
}

/// The whole command line.
#[derive(Parser)]
#[command(name = "anoncam-loadgen", version, about = ABOUT, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const ABOUT: &str = "Open-loop load for AnonCam: pairing latency at scale";
const EXIT_CODES: &str = "Exit status: 0 done · 1 failed or could not start · 2 wrong arguments · 3 a --fail-if \
                          condition holds · 130 interrupted (what was seen is reported)";

#[derive(Subcommand)]
enum Command {
    /// Open sessions: rate, failures, server CPU each
    Connect(RunArgs),
    /// Hold sessions that do nothing: memory and CPU each
    Idle(RunArgs),
    /// Arrivals look for a stranger: pairing latency
    Pair(RunArgs),
    /// Frames between pairs: one-way latency and rate
    Relay(RunArgs),
    /// The exchange that sets up a video call
    Signal(RunArgs),
    /// People who press next every few seconds
    Churn(RunArgs),
    /// A realistic day: arriving, chatting, calling, leaving
    Mix(RunArgs),
    /// The mix for hours
    Soak(RunArgs),
    /// Search the highest rate at which p99 stays under a bound
    Capacity(CapacityArgs),
    /// Two runs, or groups of runs, side by side, with the noise taken into account
    Compare(CompareArgs),
    /// One report from those of several machines
    Merge(MergeArgs),
    /// Print a run's report again, also of a run that was cut off; --html writes the page
    Show(ShowArgs),
    /// The limits of this machine: UDP, QUIC and curves without any server around them
    Floors(FloorsArgs),
}

#[derive(Args)]
struct RunArgs {
    /// A TOML file of options, instead of the built-in preset
    #[arg(long)]
    preset: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

#[derive(Args)]
struct CapacityArgs {
    /// The load whose rate is searched: pair, relay, signal or connect
    #[arg(value_enum)]
    scenario: Kind,
    /// Bound of the main latency's p99, as 2ms
    #[arg(long, default_value = "2ms")]
    bound: Span,
    /// Write the card as JSON to this file
    #[arg(long)]
    card: Option<PathBuf>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Args)]
struct CompareArgs {
    /// Reports, run directories, or directories of runs; several with commas between
    a: String,
    /// The same for the other side
    b: String,
    /// Exit with status 3 if this holds, as 'p99>+10%' (may be repeated)
    #[arg(long)]
    fail_if: Vec<String>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct MergeArgs {
    /// Reports or run directories
    #[arg(required = true)]
    runs: Vec<String>,
    /// Where the merged report is written
    #[arg(long)]
    json: PathBuf,
    /// Overwrite it if it exists
    #[arg(long)]
    force: bool,
}

#[derive(Args)]
struct ShowArgs {
    /// A report or a run's directory
    run: String,
    /// Write the page here
    #[arg(long)]
    html: Option<PathBuf>,
    /// Overwrite it if it exists
    #[arg(long)]
    force: bool,
}

#[derive(Args)]
struct FloorsArgs {
    /// Time for each floor
    #[arg(long, default_value = "2s")]
    duration: Span,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the program.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Connect(args) => load(Kind::Connect, args),
        Command::Idle(args) => load(Kind::Idle, args),
        Command::Pair(args) => load(Kind::Pair, args),
        Command::Relay(args) => load(Kind::Relay, args),
        Command::Signal(args) => load(Kind::Signal, args),
        Command::Churn(args) => load(Kind::Churn, args),
        Command::Mix(args) => load(Kind::Mix, args),
        Command::Soak(args) => load(Kind::Soak, args),
        Command::Capacity(args) => search(args),
        Command::Compare(args) => side_by_side(&args),
        Command::Merge(args) => merged(&args),
        Command::Show(args) => show(&args),
        Command::Floors(args) => floor(&args),
    };
    match result {
        Ok(code) => code.into(),
        Err(error) if error == "interrupted" => exit::INTERRUPTED.into(),
        Err(error) => {
            complain(&error);
            exit::FAILED.into()
        }
    }
}

fn load(kind: Kind, args: RunArgs) -> Result<u8, String> {
    let options = with_preset(kind, args)?;
    Output::check(&options)?;
    let plan = plan(kind, &options)?;
    let conditions = parse_conditions(options.fail_if.as_deref().unwrap_or_default())?;
    let mut output = Output::open(kind, &options)?;
    on_interrupt();
    let report = run::run(plan, &mut output)?;
    output.finish(&report)?;
    let failing = failing(&conditions, &report)?;
    Ok(match report.end.as_str() {
        "completed" if failing => exit::CONDITION,
        "completed" => exit::OK,
        "interrupted" => exit::INTERRUPTED,
        _ => exit::FAILED,
    })
}

/// Checks everything that can be checked without load.
fn plan(kind: Kind, options: &Options) -> Result<Plan, String> {
    let settings = Settings::new(kind, options)?;
    if let Some(cpus) = &options.cpus {
        machine::pin(cpus)?;
    }
    Ok(Plan {
        settings,
        target: target::resolve(options)?,
        server: Server::new(options)?,
        start_at: options.start_at,
        options: options.clone(),
    })
}

fn search(args: CapacityArgs) -> Result<u8, String> {
    let kind = args.scenario;
    let mut options = with_preset(kind, args.run)?;
    options.closed = None;
    options.steps = None;
    options.ramp = None;
    if matches!(kind, Kind::Idle | Kind::Churn) {
        return Err(format!("{} has no rate that could be searched", kind.name()));
    }
    let start = options.rate.unwrap_or(100.0);
    let card_file =
        args.card.as_ref().map(|path| create(path, options.force.unwrap_or(false))).transpose()?;
    on_interrupt();
    let bound_us = args.bound.as_nanos() / 1000;
    let card = capacity::search(kind.name(), start, bound_us, |rate| {
        complain(&format!("trying {rate:.0}/s"));
        let options = Options { rate: Some(rate), ..options.clone() };
        let mut quiet = Output::quiet();
        run::run(plan(kind, &options)?, &mut quiet)
    })?;
    if let Some(mut file) = card_file {
        let json = serde_json::to_string_pretty(&card).map_err(|error| error.to_string())?;
        files::append(&mut file, &json)?;
    }
    print(&capacity::render(&card));
    Ok(if card.rate > 0.0 { exit::OK } else { exit::FAILED })
}

fn side_by_side(args: &CompareArgs) -> Result<u8, String> {
    let conditions = parse_conditions(&args.fail_if)?;
    let (a, b) = (compare::read_runs(&args.a)?, compare::read_runs(&args.b)?);
    let rows = compare::rows(&a, &b);
    if args.json {
        let figures: Vec<_> = rows
            .iter()
            .map(|row| {
                serde_json::json!({"figure": row.name, "a": row.a, "b": row.b, "ratio": row.ratio,
                    "interval": [row.interval.0, row.interval.1], "p": row.p_value, "differs": row.differs()})
            })
            .collect();
        print(&serde_json::to_string_pretty(&figures).map_err(|error| error.to_string())?);
    } else {
        print(&compare::render(&a, &b, &rows));
    }
    let mut code = exit::OK;
    for condition in &conditions {
        let row = compare::row(&condition.text, &condition.subject, &a, &b)
            .ok_or_else(|| format!("--fail-if \"{}\": not every run has that figure", condition.text))?;
        if row.holds(condition) {
            complain(&format!("--fail-if {} holds: {:+.1} %", condition.text, (row.ratio - 1.0) * 100.0));
            code = exit::CONDITION;
        }
    }
    Ok(code)
}

fn merged(args: &MergeArgs) -> Result<u8, String> {
    let runs: Vec<Vec<Report>> =
        args.runs.iter().map(|run| compare::read_runs(run)).collect::<Result<_, _>>()?;
    let report = merge::merge(&runs.concat())?;
    let json = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
    files::append(&mut create(&args.json, args.force)?, &json)?;
    print(&terminal::render(&report));
    Ok(exit::OK)
}

fn show(args: &ShowArgs) -> Result<u8, String> {
    let mut runs = compare::read_runs(&args.run)?;
    let report = runs.swap_remove(0);
    if let Some(path) = &args.html {
        files::append(&mut create(path, args.force)?, &html::render(&report))?;
    }
    print(&terminal::render(&report));
    Ok(exit::OK)
}

fn floor(args: &FloorsArgs) -> Result<u8, String> {
    let floors = floors::measure(args.duration)?;
    print(&if args.json {
        serde_json::to_string_pretty(&floors).map_err(|error| error.to_string())?
    } else {
        floors::render(&floors)
    });
    Ok(exit::OK)
}

/// Reads all conditions before the run, so that a typing error does not cost one.
fn parse_conditions(texts: &[String]) -> Result<Vec<Condition>, String> {
    texts.iter().map(|text| Condition::parse(text)).collect()
}

/// Says which conditions hold, and whether any does.
fn failing(conditions: &[Condition], report: &Report) -> Result<bool, String> {
    let mut any = false;
    for condition in conditions {
        if condition.holds(report)? {
            complain(&format!("--fail-if {} holds", condition.text));
            any = true;
        }
    }
    Ok(any)
}

/// The command line's options, then those of the preset file or of the built-in preset.
fn with_preset(kind: Kind, args: RunArgs) -> Result<Options, String> {
    let (text, name) = match &args.preset {
        Some(path) => {
            let text =
                std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            (text, path.display().to_string())
        }
        None => (kind.preset().to_string(), format!("preset {}", kind.name())),
    };
    let preset: Options = toml::from_str(&text).map_err(|error| format!("{name}: {error}"))?;
    let mut options = args.options;
    if options.fresh == Some(true) {
        // Who arrives brings its own connection; a crowd beside it has to be asked for.
        options.connections = options.connections.or(Some(0));
    }
    // --connections on the command line goes before a preset's stages.
    if options.connections.is_some() && options.stages.is_none() {
        options.stages = options.connections.map(|connections| vec![connections]);
    }
    Ok(options.or(preset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_option_and_subcommand_is_in_the_reference() {
        let reference = include_str!("../../docs/LOADGEN.md");
        let (mut command, mut options) = (Cli::command(), 0);
        // Subcommands have their options only once they are built.
        command.build();
        for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
            let name = subcommand.get_name();
            assert!(reference.contains(&format!("| `{name}")), "{name} is missing in docs/LOADGEN.md");
            for option in subcommand.get_arguments().filter_map(clap::Arg::get_long) {
                let known =
                    ["help", "version"].contains(&option) || reference.contains(&format!("`--{option}`"));
                assert!(known, "--{option} is missing in docs/LOADGEN.md");
                options += 1;
            }
        }
        assert!(options > 40, "only {options} options were looked at");
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
