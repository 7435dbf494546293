//! The promises about a person's traces, looked for where they would show: in the log, in memory, on disk and on the wire.

#[path = "../peers/mod.rs"]
mod peers;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/mod.rs"]
mod support;

mod calls;
mod canary;
mod image;
mod kept;
mod log;
mod policy;
mod visits;
mod world;

use peers::http;
