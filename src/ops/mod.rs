//! Around the six steps: what an operator sees of the server, and how it is stopped.

mod counters;

pub use counters::{Count, Counters, Gauge, ServerState, ShardCounters};
