//! What an operator says to a server that runs: one Unix socket, one order a line, one answer a line.
//!
//! In: an [`Order`] from `anoncam SUBCOMMAND` on the same machine. Out: what was done, or why not. The socket is a file that only
//! the server's own user (and root) can open, and the kernel is asked who connects. No order can name or show what anybody
//! said, and no answer holds an address that was not in the order.

pub mod client;
mod listener;

use serde::{Deserialize, Serialize};

pub use listener::{ControlError, ControlSocket};

/// Where the socket lies unless configured: systemd makes the folder for the server's user.
pub const DEFAULT_PATH: &str = "/run/anoncam/control.sock";

/// What an operator asks of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Order {
    /// How the server is doing, in a line.
    Status,
    /// Read the certificate again, as SIGHUP does.
    Reload,
    /// Drain and stop, as SIGTERM does.
    Drain,
}

/// What the server answers: a text for the terminal, or for the program that asked.
pub type Answer = Result<String, String>;

/// Carries orders out.
pub trait Obey: Send + Sync + 'static {
    /// Does what is asked, now. Runs on the site's thread: an order that takes time says so and goes on elsewhere.
    fn obey(&self, order: Order) -> Answer;
}
