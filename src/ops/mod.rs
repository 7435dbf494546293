//! Around the six steps: what an operator sees of the server, and how it is stopped.

pub mod activation;
pub mod control;
mod counters;
pub mod doctor;
mod levers;
pub mod log;
pub mod metrics;
mod notify;
pub mod panic;
mod signals;
pub mod snapshot;
pub mod top;
mod totals;
pub mod watchdog;

pub use counters::{Count, Counters, Gauge, ServerState, ShardCounters};
pub use levers::{Levers, Pausable};
pub use notify::Notifier;
pub use signals::{Request, Signals};
pub use totals::{CLOSE_CODES, Total, TotalCounts, Totals};
