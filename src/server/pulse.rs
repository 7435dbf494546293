//! Whether the shards work: their turns, counted from outside.

use std::sync::Arc;

use crate::ops::Counters;
use crate::ops::watchdog::Pulse;
use crate::transport::settings::Shards;

/// Looks whether every shard goes on taking turns.
pub(super) struct ShardPulse {
    shards: Shards,
    counters: Arc<Counters>,
    /// Turns of each shard when all had taken one last.
    seen: Vec<u64>,
}

impl ShardPulse {
    pub fn new(shards: Shards, counters: Arc<Counters>) -> Self {
        let seen = turns(&counters);
        Self { shards, counters, seen }
    }
}

impl Pulse for ShardPulse {
    fn ask(&self) {
        self.shards.wake();
    }

    fn beats(&mut self) -> bool {
        let now = turns(&self.counters);
        let all = now.iter().zip(&self.seen).all(|(now, before)| now > before);
        if all {
            self.seen = now;
        }
        all
    }
}

fn turns(counters: &Counters) -> Vec<u64> {
    counters.shards().iter().map(|shard| shard.turns.get()).collect()
}
