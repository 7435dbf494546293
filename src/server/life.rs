//! A server as a program: from its beginning, by itself or in the place of an older process, through signals, orders and
//! upgrades, to its end.

use std::error::Error;
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Given, Server};
use crate::config::Config;
use crate::limits::UPGRADE_READY_S;
use crate::ops::watchdog::{self, Pulse};
use crate::ops::{self, Notifier, Request, Signals};
use crate::upgrade::{Candidate, Heir, Program};

/// Why a program ends that could not do what it was to do.
pub type Failure = Box<dyn Error>;

/// Runs a server until it has stopped. `serves` is called when it does.
pub async fn live(
    config: Config,
    heir: Option<Box<Heir>>,
    program: Program,
    serves: impl FnOnce(&Server),
) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let server = match heir {
        None => Server::prepare(config, Given::by_service_manager()?)?.serve(),
        Some(heir) => take_over(config, *heir)?,
    };
    let mut pulse = server.pulse();
    serves(&server);
    let notifier = Notifier::from_environment();
    notifier.ready();
    let mut life = Life { server, signals, notifier: &notifier, program };
    let end = tokio::select! {
        end = life.serve_until_told() => end,
        never = watchdog::feed(&notifier, &mut pulse) => match never {},
    };
    match end {
        End::Stop => life.drain_and_stop(&mut pulse).await,
        End::HandedOver => life.move_out_and_stop().await,
    }
}

/// Serves in the place of an older process, or tells it why that cannot be.
fn take_over(config: Config, mut heir: Heir) -> Result<Server, Failure> {
    let Some(estate) = heir.estate.take() else { return Err("an older process left nothing".into()) };
    let (paused, message) = (estate.paused.clone(), estate.message.clone());
    let prepared = match Server::prepare(config, Given::by_older_process(estate)) {
        Ok(prepared) => prepared,
        Err(error) => {
            heir.refuse(&error.to_string());
            return Err(error.into());
        }
    };
    prepared.set_levers(&paused, message.as_deref());
    heir.wait_for_go()?;
    let server = prepared.serve();
    heir.serves()?;
    Ok(server)
}

/// Why a server serves no longer.
enum End {
    /// It was told to stop.
    Stop,
    /// A newer process does.
    HandedOver,
}

struct Life<'a> {
    server: Server,
    signals: Signals,
    notifier: &'a Notifier,
    program: Program,
}

impl Life<'_> {
    async fn serve_until_told(&mut self) -> End {
        loop {
            match self.next_request().await {
                Request::Reload => self.reload(),
                Request::Stop { .. } | Request::Drain => return End::Stop,
                Request::Upgrade(answer) => {
                    self.notifier.reloading();
                    let upgraded = self.upgrade().await;
                    let failed = upgraded.as_ref().err().map(|failed| failed.stop);
                    // Whoever asked may have gone.
                    let _ = answer.send(upgraded.map_err(|failed| failed.why));
                    match failed {
                        None => return End::HandedOver,
                        Some(true) => return End::Stop,
                        Some(false) => self.notifier.ready(),
                    }
                }
            }
        }
    }

    fn reload(&self) {
        self.notifier.reloading();
        match self.server.reload() {
            Ok(reloaded) => tracing::info!("{reloaded}"),
            Err(error) => tracing::error!("{error}"),
        }
        self.notifier.ready();
    }

    /// From the operating system, or from the operator over the control socket.
    async fn next_request(&mut self) -> Request {
        tokio::select! {
            request = self.signals.next() => request,
            request = self.server.requested() => request,
        }
    }

    /// Starts the program anew and leaves everything to it. What the operator is told.
    async fn upgrade(&mut self) -> Result<String, UpgradeFailed> {
        let (proposal, succession) =
            self.server.propose(self.program.clone()).map_err(|error| error.to_string())?;
        let (found, finding) = oneshot::channel();
        // A thread that nobody waits for: whoever is told to stop meanwhile stops.
        let within = Duration::from_secs(UPGRADE_READY_S);
        std::thread::spawn(move || found.send(proposal.find_heir(within)));
        let heir = self.unless_stopped(finding).await?;
        let (id, told) = (heir.id, format!("process {} (version {}) serves", heir.id, heir.version));
        self.server.hand_over(succession, heir)?;
        self.notifier.succeeded_by(id);
        let within_s = self.server.drain().as_secs();
        Ok(format!("{told}; this one ends with its last chat, in {within_s} s at the latest"))
    }

    async fn unless_stopped(
        &mut self,
        mut finding: oneshot::Receiver<Result<Candidate, String>>,
    ) -> Result<Candidate, UpgradeFailed> {
        loop {
            let request = tokio::select! {
                found = &mut finding => {
                    return Ok(found.unwrap_or_else(|_| Err("the upgrade was broken off".to_owned()))?);
                }
                request = self.signals.next() => request,
                request = self.server.requested() => request,
            };
            match request {
                Request::Reload => self.reload(),
                Request::Upgrade(answer) => drop(answer.send(Err("an upgrade is under way".to_owned()))),
                Request::Stop { .. } | Request::Drain => {
                    return Err(UpgradeFailed { why: "the server was told to stop".to_owned(), stop: true });
                }
            }
        }
    }

    async fn drain_and_stop(mut self, pulse: &mut impl Pulse) -> Result<(), Failure> {
        let drain = self.server.drain();
        self.notifier.stopping();
        tracing::info!(within_s = drain.as_secs(), "draining; a second signal stops at once");
        let server = self.server;
        let mut stopping = tokio::task::spawn_blocking(move || server.drain_and_stop(drain));
        loop {
            tokio::select! {
                stopped = &mut stopping => return Ok(stopped??),
                request = self.signals.next() => exit_if_told(&request),
                never = watchdog::feed(self.notifier, pulse) => match never {},
            }
        }
    }

    /// The service manager's business is with the newer process from now on.
    async fn move_out_and_stop(mut self) -> Result<(), Failure> {
        let drain = self.server.drain();
        tracing::info!(
            within_s = drain.as_secs(),
            "a newer process serves; this one ends with its last chat, and at once on a second signal"
        );
        let server = self.server;
        let mut stopping = tokio::task::spawn_blocking(move || server.move_out_and_stop(drain));
        let mut told = false;
        loop {
            tokio::select! {
                stopped = &mut stopping => return Ok(stopped??),
                // The first may be meant for all processes of the service: this one is about to end anyway.
                request = self.signals.next() => {
                    if told {
                        exit_if_told(&request);
                    }
                    told |= matches!(request, Request::Stop { .. });
                }
            }
        }
    }
}

fn exit_if_told(request: &Request) {
    if let Request::Stop { status } = request {
        ops::log::finish();
        std::process::exit((*status).into());
    }
}

/// Why there is no upgrade.
struct UpgradeFailed {
    why: String,
    /// Whether the server was told to stop instead.
    stop: bool,
}

impl From<String> for UpgradeFailed {
    fn from(why: String) -> Self {
        tracing::error!(error = %why, "there is no upgrade, and this process goes on");
        Self { why, stop: false }
    }
}
