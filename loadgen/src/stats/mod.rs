//! Counting and timing: what the load threads saw, what the processes cost, and how well this program kept up.

pub mod process;
pub mod recorder;
pub mod server;
