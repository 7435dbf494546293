//! Around the six steps: what an operator sees of the server, and how it is stopped.

pub mod control;
mod counters;
mod levers;
pub mod log;
pub mod metrics;
pub mod panic;
mod signals;

pub use counters::{Count, Counters, Gauge, ServerState, ShardCounters};
pub use levers::{Levers, Pausable};
pub use signals::{Request, Signals};
