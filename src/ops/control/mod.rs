//! What an operator says to a server that runs: one Unix socket, one order a line, one answer a line.
//!
//! In: an [`Order`] from `anoncam SUBCOMMAND` on the same machine. Out: what was done, or why not. The socket is a file that only
//! the server's own user (and root) can open, and the kernel is asked who connects. No order can name or show what anybody
//! said, and no answer holds an address that was not in the order.

pub mod client;
pub mod duration;
mod listener;

use std::net::IpAddr;
use std::time::Duration;

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

pub use listener::{ControlError, ControlSocket};

use super::Pausable;
use crate::abuse::Asking;
use crate::limits::{DEBUG_S, LONGEST_BAN_S, SHARD_ANSWER_MS, UPGRADE_GO_S, UPGRADE_READY_S};

/// Where the socket lies unless configured: systemd makes the folder for the server's user.
pub const DEFAULT_PATH: &str = "/run/anoncam/control.sock";
/// The environment variable that names another place.
pub const PATH_VARIABLE: &str = "ANONCAM_CONTROL";

/// What an operator asks of a server: a subcommand of the program, and a line on the socket. The comments are its help.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Order {
    /// Ask a running server how it is doing
    Status,
    /// Print all numbers of a running server as JSON, for scripts
    Snapshot,
    /// Let a running server read its configuration, certificate and secrets again, as SIGHUP does
    Reload,
    /// Let no new chats of a mode begin, or no newcomers in; chats that are on go on
    Pause {
        /// What to pause
        #[arg(required = true)]
        what: Vec<Pausable>,
    },
    /// End a pause
    Resume {
        /// What to pause no longer [default: everything]
        what: Vec<Pausable>,
    },
    /// Show everybody a message on the page, take it away, or tell which one is shown
    Message {
        /// One line of plain text, at most 280 characters
        text: Option<String>,
        /// Take the message away
        #[arg(long, conflicts_with = "text")]
        #[serde(default)]
        clear: bool,
    },
    /// Start the program anew, in a running server's place: chats go on, nobody is cut off
    Upgrade,
    /// Write down what becomes of connections for a while, under throwaway numbers, in files that are gone in a day
    Debug {
        /// For how long: 90s, 30m or 2h, which is the most
        #[arg(long = "for", value_name = "TIME", default_value = "30m", value_parser = span_s)]
        #[serde(rename = "for_s")]
        span_s: u64,
        /// End it now
        #[arg(long, conflicts_with = "span_s")]
        #[serde(default)]
        off: bool,
    },
    /// List sessions under report by case code, marked addresses, and what was refused
    Reports,
    /// End the session that a case code belongs to, and bar newcomers from its address
    Ban {
        /// What a reporter, or somebody who appeals, was shown
        code: String,
        /// For how long, a day at most
        #[arg(long = "for", value_name = "TIME", default_value = "24h", value_parser = ban_s)]
        #[serde(rename = "for_s")]
        span_s: u64,
    },
    /// End a ban
    Unban {
        /// What came with the ban
        code: String,
    },
    /// Tell what is held about an address, for a person who asks, and forget it
    Rights {
        /// Their address
        address: IpAddr,
        /// Erase it: counters, reports and a ban
        #[arg(long)]
        #[serde(default)]
        erase: bool,
    },
    /// Ask newcomers to prove work, or not, or tell what is set
    Pow {
        /// When to ask
        when: Option<Asking>,
    },
    /// Let a running server drain and stop, as SIGTERM does
    Drain,
}

impl Order {
    /// How long it may take to be carried out, beside the time for its way.
    pub(super) const fn takes(&self) -> Duration {
        Duration::from_secs(match self {
            Self::Upgrade => UPGRADE_READY_S + 2 * UPGRADE_GO_S + 2 * SHARD_ANSWER_MS / 1_000,
            _ => 0,
        })
    }
}

/// For how long connections are written down.
fn span_s(text: &str) -> Result<u64, String> {
    duration::seconds(text, DEBUG_S)
}

/// For how long an address is barred.
fn ban_s(text: &str) -> Result<u64, String> {
    duration::seconds(text, LONGEST_BAN_S)
}

/// What the server answers: a text for the terminal, or for the program that asked.
pub type Answer = Result<String, String>;

/// Carries orders out.
pub trait Obey: Send + Sync + 'static {
    /// Does what is asked, now. Runs on the site's thread: an order that takes time says so and goes on elsewhere.
    fn obey(&self, order: Order) -> Answer;

    /// Begins an order that takes longer than its place on the site's thread allows, and says where its answer will come from;
    /// `None` for all others.
    fn obey_later(&self, order: &Order) -> Option<oneshot::Receiver<Answer>> {
        let _ = order;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_read_as_people_write_it() {
        assert_eq!(["90", "90s", "30m", "2h"].map(span_s), [Ok(90), Ok(90), Ok(1_800), Ok(7_200)]);
        for wrong in ["", "s", "0", "3h", "1d", "-1m", "99999999999999999999h", "1.5h", "ä"] {
            assert!(span_s(wrong).is_err(), "{wrong}");
        }
    }
}
