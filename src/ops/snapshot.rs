//! The numbers of a running server at one moment, for `anoncam top` and for scripts.
//!
//! In: the [`Counters`]. Out: the same numbers as `/metrics`, as JSON, with quantiles of the waits. Counts only, nothing about a
//! person.

use std::ops::AddAssign;
use std::time::Instant;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{Counters, Gauge, ShardCounters, Total};
use crate::core::latencies::Latencies;
use crate::core::pairing::Mode;

/// A server at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The program's version.
    pub version: String,
    /// Microseconds since some moment, to tell how far two snapshots are apart.
    pub at_us: u64,
    /// `open`, `full` or `draining`.
    pub state: String,
    /// What the operator has paused.
    pub paused: Vec<String>,
    /// Connected sessions at which the server is full.
    pub sessions_max: u64,
    /// Waits by mode, text first.
    pub pools: [Pool; 2],
    /// In order.
    pub shards: Vec<ShardNow>,
}

/// People of one mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    /// Sessions that wait now.
    pub waiting: u64,
    /// Sessions that were matched since the start.
    pub matched: u64,
    /// From FIND to MATCHED.
    pub wait_ms: Quantiles,
    /// From the later FIND of two to their chat.
    pub pairing_ms: Quantiles,
}

/// Where a distribution lies, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Quantiles {
    pub p50: f64,
    pub p99: f64,
    pub most: f64,
}

/// One shard at one moment; totals since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are those of ShardCounters and Total")]
pub struct ShardNow {
    pub cpu_us: u64,
    pub heap_bytes: u64,
    pub buffered_bytes: u64,
    pub channels: u64,
    pub sessions: u64,
    pub away: u64,
    pub waiting: u64,
    pub in_chat: u64,
    pub connections: u64,
    pub websockets: u64,
    pub half_open: u64,
    pub elders: u64,
    pub opened: u64,
    pub matched: u64,
    pub relayed: u64,
    pub relayed_bytes: u64,
    pub held_back: u64,
    pub refused: u64,
    pub packets_sent: u64,
    pub packets_lost: u64,
    pub messages: u64,
    pub panics: u64,
}

impl Snapshot {
    /// The server now; `started` is any moment that stays the same.
    pub fn of(counters: &Counters, started: Instant) -> Self {
        let mut latencies = Latencies::default();
        for shard in counters.shards() {
            latencies.take(&mut shard.latencies());
        }
        let pools = [Mode::Text, Mode::Video].map(|mode| {
            let pool = latencies.pool(mode);
            Pool {
                waiting: counters.sum(|shard| shard.waiting[mode as usize].get()),
                matched: pool.waits.len(),
                wait_ms: Quantiles::of(&pool.waits),
                pairing_ms: Quantiles::of(&pool.pairings),
            }
        });
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            at_us: started.elapsed().as_micros().try_into().unwrap_or(u64::MAX),
            state: counters.state().as_str().to_owned(),
            paused: counters.levers().paused_names().into_iter().map(str::to_owned).collect(),
            sessions_max: counters.max_sessions(),
            pools,
            shards: counters.shards().iter().map(ShardNow::of).collect(),
        }
    }
}

impl Quantiles {
    fn of(us: &Histogram<u64>) -> Self {
        let ms = |us: u64| us as f64 / 1e3;
        Self { p50: ms(us.value_at_quantile(0.5)), p99: ms(us.value_at_quantile(0.99)), most: ms(us.max()) }
    }
}

impl ShardNow {
    fn of(shard: &ShardCounters) -> Self {
        let sum = |totals: &[Total]| totals.iter().map(|total| shard.totals.get(*total)).sum();
        let one = |gauge: &Gauge| gauge.get();
        Self {
            cpu_us: one(&shard.cpu_us),
            heap_bytes: one(&shard.heap_bytes),
            buffered_bytes: one(&shard.buffered_bytes),
            channels: one(&shard.online),
            sessions: one(&shard.sessions),
            away: one(&shard.away),
            waiting: shard.waiting(),
            in_chat: one(&shard.in_chat),
            connections: one(&shard.connections),
            websockets: one(&shard.websockets),
            half_open: one(&shard.handshakes),
            elders: one(&shard.elders),
            opened: sum(&[Total::OpenedQuic, Total::OpenedWebSocket]),
            matched: sum(&[Total::MatchedHere, Total::MatchedAcross]),
            relayed: sum(&[Total::Relayed]),
            relayed_bytes: sum(&[Total::RelayedBytes]),
            held_back: sum(&[Total::HeldBack]),
            refused: sum(&Total::REFUSED),
            packets_sent: sum(&[Total::PacketsSent]),
            packets_lost: sum(&[Total::PacketsLost]),
            messages: sum(&[Total::BusSent, Total::BusLost]),
            panics: shard.panics.get(),
        }
    }
}

impl AddAssign for ShardNow {
    /// Sums over shards; what all of them see alike is not added.
    fn add_assign(&mut self, other: Self) {
        self.cpu_us += other.cpu_us;
        self.heap_bytes += other.heap_bytes;
        self.buffered_bytes += other.buffered_bytes;
        self.channels += other.channels;
        self.sessions += other.sessions;
        self.away += other.away;
        self.waiting += other.waiting;
        self.in_chat += other.in_chat;
        self.connections += other.connections;
        self.websockets += other.websockets;
        self.half_open += other.half_open;
        // The same older processes have chats on every shard.
        self.elders = self.elders.max(other.elders);
        self.opened += other.opened;
        self.matched += other.matched;
        self.relayed += other.relayed;
        self.relayed_bytes += other.relayed_bytes;
        self.held_back += other.held_back;
        self.refused += other.refused;
        self.packets_sent += other.packets_sent;
        self.packets_lost += other.packets_lost;
        self.messages += other.messages;
        self.panics += other.panics;
    }
}
