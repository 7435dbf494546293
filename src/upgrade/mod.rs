//! Around the six steps: a newer process takes the place of a running one, and nobody is cut off.
//!
//! The running process (the *elder*) starts the program anew, from where it was started itself, and gives the new process
//! (the *heir*) its sockets, its keys and what its operator has set. They talk over one pair of Unix sockets:
//!
//! | elder | | heir |
//! | --- | --- | --- |
//! | starts the program | ▶ | |
//! | | ◀ | `here`: its process number |
//! | `estate`, then descriptors | ▶ | reads its configuration, takes what fits |
//! | | ◀ | `ready`, or `refused` with the reason |
//! | stops reading its sockets; `go` | ▶ | begins to serve |
//! | sends its people over | ◀ | `serving` |
//!
//! Until `serving` the elder can go on as if nothing had happened, and does if the heir is not ready within
//! [`crate::limits::UPGRADE_READY_S`]. An heir whose elder goes away before `go` ends. Afterwards the two need each other no more than
//! `transport::generations` says.
//!
//! The heir is not the elder's child but a grandchild whose parent ends at once: so the process that looks after orphans, which
//! is the service manager, hears of its end.

mod channel;
mod elder;
mod estate;
mod heir;

pub use elder::{Candidate, Program, Proposal};
pub use estate::{ControlEstate, Estate};
pub use heir::{Beginning, Heir};

use serde::{Deserialize, Serialize};

/// The format of what two processes say to each other, here and in `transport::generations`. Processes of different formats
/// refuse each other: then a restart is needed.
pub const FORMAT: u32 = 2;

/// The variable that tells a process that its standard input is the way to an elder.
pub const VARIABLE: &str = "ANONCAM_UPGRADE";

/// What an elder says. An estate comes in a message of its own kind (`estate.rs`).
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "lowercase")]
enum Elder {
    /// The sockets are yours.
    Go,
}

/// What an heir says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "lowercase")]
enum HeirSays {
    /// It runs.
    Here {
        /// Its process number.
        id: u32,
        /// What it understands.
        format: u32,
        /// Its version, for the operator.
        version: String,
    },
    /// It has everything and could serve.
    Ready,
    /// It cannot serve.
    Refused {
        /// Why, for the operator.
        why: String,
    },
    /// It serves.
    Serving,
}
