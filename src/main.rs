//! The server program: allocator, arguments, configuration, run.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anoncam::config::{Arguments, Command, Config, ConfigError, SETTINGS};
use anoncam::ops::control::{self, Order};
use anoncam::ops::{self, Notifier, Request, Signals, watchdog};
use anoncam::privacy::memory;
use anoncam::server::{Given, Server};
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
    let arguments = Arguments::parse();
    match &arguments.command {
        Some(Command::CheckConfig { file }) => match Config::check_file(file) {
            Ok(config) => tell(&format!("ok\n{config}")),
            Err(error) => wrong(&error),
        },
        Some(Command::Settings) => {
            let all: Vec<_> = SETTINGS.iter().map(ToString::to_string).collect();
            tell(&all.join("\n\n"))
        }
        Some(Command::Order(given)) => order(&arguments.control_path(), given),
        None => match Config::load(&arguments) {
            Ok(config) => serve(config, &exposed),
            Err(error) => wrong(&error),
        },
    }
}

fn serve(config: Config, exposed: &[String]) -> ExitCode {
    ops::log::start(config.log);
    ops::panic::report_place_only();
    guard_memory(&config, exposed);
    if cfg!(feature = "unwiped") {
        tracing::error!("this build does not wipe freed memory: it is for a measurement, not for people");
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    match run(config) {
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

fn run(config: Config) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let given = Given::by_service_manager()?;
        let signals = Signals::listen()?;
        let server = Server::start_with(config, given)?;
        let notifier = Notifier::from_environment();
        let pulse = server.pulse();
        say(&format!("AnonCam is ready: open {}", server.page_url()));
        notifier.ready();
        tokio::select! {
            result = serve_and_stop(signals, server, &notifier) => result,
            never = watchdog::feed(&notifier, pulse) => match never {},
        }
    })
}

async fn serve_and_stop(
    mut signals: Signals,
    mut server: Server,
    notifier: &Notifier,
) -> Result<(), Box<dyn std::error::Error>> {
    serve_until_told(&mut signals, &mut server, notifier).await;
    let drain = server.drain();
    notifier.stopping();
    tracing::info!(within_s = drain.as_secs(), "draining; a second signal stops at once");
    let mut stopping = tokio::task::spawn_blocking(move || server.drain_and_stop(drain));
    loop {
        tokio::select! {
            stopped = &mut stopping => return Ok(stopped??),
            request = signals.next() => if let Request::Stop { status } = request {
                std::process::exit(status.into());
            },
        }
    }
}

/// Serves until it is asked to stop.
async fn serve_until_told(signals: &mut Signals, server: &mut Server, notifier: &Notifier) {
    while next_request(signals, server).await == Request::Reload {
        notifier.reloading();
        match server.reload() {
            Ok(reloaded) => tracing::info!("{reloaded}"),
            Err(error) => tracing::error!("{error}"),
        }
        notifier.ready();
    }
}

/// From the operating system, or from the operator over the control socket.
async fn next_request(signals: &mut Signals, server: &mut Server) -> Request {
    tokio::select! {
        request = signals.next() => request,
        request = server.requested() => request,
    }
}

/// Asks a running server, and tells its answer.
fn order(path: &Path, order: &Order) -> ExitCode {
    match control::client::ask(path, order) {
        Ok(Ok(text)) => tell(&text),
        Ok(Err(text)) => failed(&text),
        Err(error) => failed(&format!(
            "no server answers at {}: {error}; is it running, with the setting control, and as this user?",
            path.display()
        )),
    }
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
