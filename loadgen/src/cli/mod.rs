//! The command line: subcommands, and what each exits with.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::options::Options;
use crate::output::complain;
use crate::settings::Kind;
use crate::span::Span;

mod run;
mod search;
mod tools;

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
    /// The load whose rate is searched: pair, relay, signal, connect or mix
    #[arg(value_enum)]
    scenario: Kind,
    /// Bound of the main latency's p99, as 2ms
    #[arg(long, default_value = "2ms")]
    bound: Span,
    /// End when the highest rate that held and the lowest that did not are so close, in per cent
    #[arg(long, default_value_t = 5.0)]
    within: f64,
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
    /// Write a page here: both by percentile, and the figures
    #[arg(long)]
    html: Option<PathBuf>,
    /// Overwrite it if it exists
    #[arg(long)]
    force: bool,
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
        Command::Connect(args) => run::load(Kind::Connect, args),
        Command::Idle(args) => run::load(Kind::Idle, args),
        Command::Pair(args) => run::load(Kind::Pair, args),
        Command::Relay(args) => run::load(Kind::Relay, args),
        Command::Signal(args) => run::load(Kind::Signal, args),
        Command::Churn(args) => run::load(Kind::Churn, args),
        Command::Mix(args) => run::load(Kind::Mix, args),
        Command::Soak(args) => run::load(Kind::Soak, args),
        Command::Capacity(args) => search::search(args),
        Command::Compare(args) => tools::side_by_side(&args),
        Command::Merge(args) => tools::merged(&args),
        Command::Show(args) => tools::show(&args),
        Command::Floors(args) => tools::floor(&args),
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_option_and_subcommand_is_in_the_reference() {
        let reference = include_str!("../../../docs/LOADGEN.md");
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
