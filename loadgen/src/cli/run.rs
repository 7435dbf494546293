//! One run: its options, its plan, and what it exits with.

use super::{RunArgs, exit};
use crate::condition::Condition;
use crate::options::Options;
use crate::output::{Output, complain, on_interrupt};
use crate::report::Report;
use crate::run::profile::Sampler;
use crate::run::{self, Plan, machine, target};
use crate::settings::{Kind, Settings};
use crate::stats::server::Server;

/// Runs a scenario.
pub fn load(kind: Kind, args: RunArgs) -> Result<u8, String> {
    let options = with_preset(kind, args)?;
    Output::check(&options)?;
    let conditions = parse_conditions(options.fail_if.as_deref().unwrap_or_default())?;
    let plan = plan(kind, &options)?;
    let mut output = Output::open(&plan)?;
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
pub fn plan(kind: Kind, options: &Options) -> Result<Plan, String> {
    let settings = Settings::new(kind, options)?;
    if let Some(cpus) = &options.cpus {
        machine::pin(cpus)?;
    }
    if options.start_at.is_some_and(|at| at < run::unix_seconds()) {
        return Err(
            "--start-at is in the past: give a moment at which all generators have opened their sessions"
                .into(),
        );
    }
    if options.profile.unwrap_or(false) {
        Sampler::check()?;
        if options.server_pid.is_none() {
            return Err("--profile needs --server-pid: it samples a process of this machine".into());
        }
    }
    Ok(Plan {
        settings,
        target: target::resolve(options)?,
        server: Server::new(options)?,
        start_at: options.start_at,
        options: options.clone(),
    })
}

/// Reads all conditions before the run, so that a typing error does not cost one.
pub fn parse_conditions(texts: &[String]) -> Result<Vec<Condition>, String> {
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
pub fn with_preset(kind: Kind, args: RunArgs) -> Result<Options, String> {
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
