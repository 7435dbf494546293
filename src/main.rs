//! The server program: allocator, arguments, configuration, run.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use anoncam::calendar::Date;
use anoncam::config::{Arguments, Command, Config, ConfigError, SETTINGS};
use anoncam::ops;
use anoncam::ops::control::{self, Order};
use anoncam::ops::log::LogConfig;
use anoncam::privacy::memory;
use anoncam::server;
use anoncam::site::policy::PrivacyPolicy;
use anoncam::upgrade::{Beginning, Heir, Program};
use clap::Parser;

/// Freed memory is wiped, in the whole process.
#[cfg(not(feature = "unwiped"))]
#[global_allocator]
static ALLOCATOR: anoncam::privacy::Wiping<mimalloc::MiMalloc> = anoncam::privacy::Wiping(mimalloc::MiMalloc);

/// Without wiping, to measure what it costs.
#[cfg(feature = "unwiped")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit status of a server that could not start or stop.
const FAILED: u8 = 1;
/// Exit status of wrong arguments or a wrong configuration, as clap has it.
const WRONG_CONFIGURATION: u8 = 2;

fn main() -> ExitCode {
    let exposed = memory::forbid_dumps();
    // Before there is much memory. A system that has no huge pages has nothing to turn off.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let arguments = Arguments::parse();
    match &arguments.command {
        Some(Command::CheckConfig { file }) => match Config::check_file(file) {
            Ok(config) => tell(&format!("ok\n{config}")),
            Err(error) => wrong(&error),
        },
        Some(Command::Policy { file }) => match Config::read_policy(file) {
            Ok(config) => tell_policy(&config),
            Err(error) => wrong(&error),
        },
        Some(Command::Settings) => {
            let all: Vec<_> = SETTINGS.iter().map(ToString::to_string).collect();
            tell(&all.join("\n\n"))
        }
        Some(Command::Top(top)) => {
            let path = arguments.control_path();
            top.run(&path).map_or_else(|error| unheard(&path, &error), |()| ExitCode::SUCCESS)
        }
        Some(Command::Doctor { config }) => {
            let arguments = Arguments { config: config.clone(), ..Arguments::default() };
            match Config::load(&arguments) {
                Ok(config) => doctor(&config),
                Err(error) => wrong(&error),
            }
        }
        Some(Command::Order(given)) => order(&arguments.control_path(), given),
        None => match Beginning::of_this_process() {
            Ok(Beginning::First) => start(&arguments, &exposed, None),
            Ok(Beginning::Heir(heir)) => start(&arguments, &exposed, Some(heir)),
            Ok(Beginning::Between) => ExitCode::SUCCESS,
            Err(error) => failed(&error.to_string()),
        },
    }
}

fn start(arguments: &Arguments, exposed: &[String], heir: Option<Box<Heir>>) -> ExitCode {
    match (Config::load(arguments), heir) {
        (Ok(config), heir) => serve(config, exposed, heir),
        (Err(error), None) => wrong(&error),
        (Err(error), Some(heir)) => {
            heir.refuse(&error.to_string());
            wrong(&error)
        }
    }
}

fn serve(config: Config, exposed: &[String], heir: Option<Box<Heir>>) -> ExitCode {
    if let Err(error) = ops::log::start(LogConfig::from(&config)) {
        let folder = config.log_dir.unwrap_or_default();
        let why = format!(
            "no log can be written in {}: {error}; log_dir has to be a folder of this user",
            folder.display()
        );
        if let Some(heir) = heir {
            heir.refuse(&why);
        }
        return failed(&why);
    }
    ops::panic::report_place_only();
    guard_memory(&config, exposed);
    if cfg!(feature = "unwiped") {
        tracing::error!("this build does not wipe freed memory: it is for a measurement, not for people");
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let ran = Program::of_this_process().map_err(Into::into).and_then(|program| run(config, heir, program));
    ops::log::finish();
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error.to_string()),
    }
}

/// Says what of the memory could reach a disk or a debugger because the system does not allow to prevent it.
fn guard_memory(config: &Config, exposed: &[String]) {
    for warning in exposed {
        tracing::warn!("{warning}");
    }
    match (config.lock_memory, memory::may_be_swapped()) {
        (true, _) => match memory::lock() {
            Ok(()) => tracing::info!("memory is kept out of swap"),
            Err(error) => tracing::warn!(%error, "memory cannot be kept out of swap"),
        },
        (false, true) => tracing::warn!(
            "this system swaps, so memory may reach its disk; set lock_memory, or MemorySwapMax=0 for the service"
        ),
        (false, false) => {}
    }
    if config.dumpable_for_tests {
        let allowed = memory::allow_reading_for_tests();
        tracing::warn!(allowed = allowed.is_ok(), "memory can be read, for tests");
    }
}

fn run(config: Config, heir: Option<Box<Heir>>, program: Program) -> Result<(), server::Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(server::live(config, heir, program, |server| {
        say(&format!("AnonCam is ready: open {}", server.page_url()));
    }))
}

/// The policy for the operator to read, and what they set when they have.
fn tell_policy(config: &Config) -> ExitCode {
    let (policy, today) = (PrivacyPolicy::of(config), Date::of(SystemTime::now()));
    tell(&format!(
        "{}\nTo adopt this text, with the day from which it applies:\n\n    [operator]\n    policy = \"{today} {}\"",
        policy.text(),
        policy.fingerprint()
    ))
}

/// Looks at the machine, and tells what it found.
fn doctor(config: &Config) -> ExitCode {
    let findings = ops::doctor::examine(config);
    for finding in &findings {
        say(&finding.to_string());
    }
    let ill = findings.iter().filter(|finding| finding.is_ill()).count();
    if ill == 0 { ExitCode::SUCCESS } else { failed(&format!("{ill} of {} to mend", findings.len())) }
}

/// Asks a running server, and tells its answer.
fn order(path: &Path, order: &Order) -> ExitCode {
    match control::client::ask(path, order) {
        Ok(Ok(text)) => tell(&text),
        Ok(Err(text)) => failed(&text),
        Err(error) => unheard(path, &error),
    }
}

fn unheard(path: &Path, error: &std::io::Error) -> ExitCode {
    failed(&format!(
        "no server answers at {}: {error}; is it running, with the setting control, and as this user?",
        path.display()
    ))
}

fn failed(text: &str) -> ExitCode {
    complain(&format!("anoncam: {text}"));
    ExitCode::from(FAILED)
}

fn tell(text: &str) -> ExitCode {
    say(text);
    ExitCode::SUCCESS
}

fn wrong(error: &ConfigError) -> ExitCode {
    complain(&error.to_string());
    ExitCode::from(WRONG_CONFIGURATION)
}

/// To stdout; a reader who has gone away is no reason to stop.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
