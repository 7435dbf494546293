//! How the operating system tells the server to stop, or to read its configuration again.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::control::Answer;

/// What the operating system or the operator asks for.
#[derive(Debug)]
pub enum Request {
    /// SIGHUP: read configuration, certificate and secrets again.
    Reload,
    /// Over the control socket: stop as with a first SIGTERM, however often it is asked.
    Drain,
    /// Over the control socket: start the program anew and leave everything to it. The answer says whether that is done.
    Upgrade(oneshot::Sender<Answer>),
    /// SIGTERM or Ctrl-C: stop; the second time, at once. Carries the exit status that a shell expects for the signal.
    Stop {
        /// 128 plus the number of the signal.
        status: u8,
    },
}

/// The signals that the server listens to.
#[derive(Debug)]
pub struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes over from the default, which is to die. Needs a tokio runtime.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.hangup.recv() => Request::Reload,
            _ = self.interrupt.recv() => Request::Stop { status: 130 },
            _ = self.terminate.recv() => Request::Stop { status: 143 },
        }
    }
}
