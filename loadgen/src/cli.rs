//! The command line: subcommands, and what each exits with.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::condition::Condition;
use crate::options::Options;
use crate::output::Output;
use crate::report::Report;
use crate::run::{self, Plan, machine, target};
use crate::settings::{Kind, Settings};

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
}

#[derive(Args)]
struct RunArgs {
    /// A TOML file of options, instead of the built-in preset
    #[arg(long)]
    preset: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

/// Runs the program.
pub fn main() -> ExitCode {
    let (kind, args) = match Cli::parse().command {
        Command::Connect(args) => (Kind::Connect, args),
        Command::Idle(args) => (Kind::Idle, args),
        Command::Pair(args) => (Kind::Pair, args),
        Command::Relay(args) => (Kind::Relay, args),
        Command::Signal(args) => (Kind::Signal, args),
        Command::Churn(args) => (Kind::Churn, args),
        Command::Mix(args) => (Kind::Mix, args),
        Command::Soak(args) => (Kind::Soak, args),
    };
    match load(kind, args) {
        Ok(code) => code.into(),
        Err(error) => {
            crate::output::complain(&error);
            exit::FAILED.into()
        }
    }
}

fn load(kind: Kind, args: RunArgs) -> Result<u8, String> {
    let options = with_preset(kind, args)?;
    let settings = Settings::new(kind, &options)?;
    let conditions = parse_conditions(options.fail_if.as_deref().unwrap_or_default())?;
    if let Some(cpus) = &options.cpus {
        machine::pin(cpus)?;
    }
    let mut output = Output::open(kind, &options)?;
    let plan = Plan {
        settings,
        target: target::resolve(&options)?,
        server_pid: options.server_pid,
        start_at: options.start_at,
        options,
    };
    crate::output::on_interrupt();
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

/// Reads all conditions before the run, so that a typing error does not cost one.
fn parse_conditions(texts: &[String]) -> Result<Vec<Condition>, String> {
    texts.iter().map(|text| Condition::parse(text)).collect()
}

/// Says which conditions hold, and whether any does.
fn failing(conditions: &[Condition], report: &Report) -> Result<bool, String> {
    let mut any = false;
    for condition in conditions {
        if condition.holds(report)? {
            crate::output::complain(&format!("--fail-if {} holds", condition.text));
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
    // --connections on the command line goes before a preset's stages.
    if options.connections.is_some() && options.stages.is_none() {
        options.stages = options.connections.map(|connections| vec![connections]);
    }
    Ok(options.or(preset))
}
