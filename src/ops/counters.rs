//! Numbers that shards write and the site reads: counts only, nothing that could name a person.
//!
//! Each shard has its own cache lines and is the only writer of them, so counting is a plain add that no other core
//! waits for. Readers sum over the shards; the sum is of slightly different moments, which is good enough for a count.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use super::levers::{Levers, Pausable};
use super::totals::TotalCounts;
use crate::core::latencies::Latencies;
use crate::core::reply::round_online;

/// The counters of all shards, the state of the server, and what its operator has set.
#[derive(Debug)]
pub struct Counters {
    shards: Box<[ShardCounters]>,
    state: AtomicU8,
    max_sessions: AtomicU64,
    levers: Levers,
}

/// Whether a newcomer is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// Yes.
    Open,
    /// Not for now: nobody else fits in, or newcomers are paused.
    Full,
    /// No: the server is going away.
    Draining,
}

impl ServerState {
    /// The word in client-config.json (PROTOCOL.md section 1).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Full => "full",
            Self::Draining => "draining",
        }
    }
}

/// What one shard counts. 128 bytes apart from its neighbours: two cache lines, which processors fetch in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ShardCounters {
    /// Channels that are connected now, also those before HELLO.
    pub online: Gauge,
    /// Sessions in memory now, connected or not.
    pub sessions: Gauge,
    /// Sessions without a connection now.
    pub away: Gauge,
    /// Sessions that wait for a stranger now, by mode.
    pub waiting: [Gauge; 2],
    /// Sessions in a chat now.
    pub in_chat: Gauge,
    /// QUIC connections now, sessions or not.
    pub connections: Gauge,
    /// WebSockets now.
    pub websockets: Gauge,
    /// Handshakes that are half-open now.
    pub handshakes: Gauge,
    /// Older processes whose datagrams this shard passes on, after an upgrade.
    pub elders: Gauge,
    /// Bytes in buffers for clients now, as accounted against the cap.
    pub buffered_bytes: Gauge,
    /// Bytes on the heap now that the shard's thread has allocated and nobody has freed.
    pub heap_bytes: Gauge,
    /// CPU time of the shard's thread, in microseconds.
    pub cpu_us: Gauge,
    /// What it has counted since the start of the process.
    pub totals: TotalCounts,
    /// How long people wait. The shard never waits for this lock: whoever reads makes it tell later.
    latencies: Mutex<Latencies>,
    /// Times this shard panicked and was started again.
    pub panics: Count,
    /// Turns that this shard has finished: a shard that hangs does not.
    pub turns: Count,
}

impl ShardCounters {
    /// Adds what a shard has recorded, unless somebody reads at this moment.
    pub fn take_latencies(&self, from: &mut Latencies) {
        if let Ok(mut all) = self.latencies.try_lock() {
            all.take(from);
        }
    }

    /// How long people have waited on this shard.
    pub fn latencies(&self) -> Latencies {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sessions that wait for a stranger now.
    pub fn waiting(&self) -> u64 {
        self.waiting.iter().map(Gauge::get).sum()
    }
}

/// A number that goes up and down; one writer.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Adds `change`, which may be negative.
    pub fn add(&self, change: i64) {
        self.0.fetch_add(change, Relaxed);
    }

    /// Sets the number.
    pub fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }

    /// The number; never below 0, whatever a restarted shard left behind.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed).max(0).unsigned_abs()
    }
}

/// A number that only goes up; one writer.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds `more`.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Counters {
    /// Counters at zero for so many shards, on an open server that is full at `max_sessions`.
    pub fn new(shards: u16, max_sessions: u32) -> Self {
        Self {
            shards: (0..shards).map(|_| ShardCounters::default()).collect(),
            state: AtomicU8::new(0),
            max_sessions: AtomicU64::new(max_sessions.into()),
            levers: Levers::default(),
        }
    }

    /// The counters of one shard; a shard that does not exist has none.
    pub fn shard(&self, shard: u16) -> Option<&ShardCounters> {
        self.shards.get(usize::from(shard))
    }

    /// The counters of every shard, in order.
    pub fn shards(&self) -> &[ShardCounters] {
        &self.shards
    }

    /// Sum of a gauge over the shards.
    pub fn sum(&self, gauge: impl Fn(&ShardCounters) -> u64) -> u64 {
        self.shards.iter().map(gauge).sum()
    }

    /// Sessions that are connected, exactly: for the server itself.
    pub fn online(&self) -> u64 {
        self.sum(|shard| shard.online.get())
    }

    /// Sessions that are connected, for everybody's eyes: rounded, so that nobody can be seen to come or go.
    pub fn online_rounded(&self) -> u64 {
        round_online(self.online())
    }

    /// Sessions at which the server is full.
    pub fn max_sessions(&self) -> u64 {
        self.max_sessions.load(Relaxed)
    }

    /// From now on it is full at this many.
    pub fn set_max_sessions(&self, max_sessions: u32) {
        self.max_sessions.store(max_sessions.into(), Relaxed);
    }

    /// What the operator has set.
    pub fn levers(&self) -> &Levers {
        &self.levers
    }

    /// Whether a newcomer is let in. Paused is as good as full to whoever asks.
    pub fn state(&self) -> ServerState {
        if self.state.load(Relaxed) != 0 {
            ServerState::Draining
        } else if self.online() >= self.max_sessions() || self.levers.is_paused(Pausable::New) {
            ServerState::Full
        } else {
            ServerState::Open
        }
    }

    /// The server is going away; there is no way back.
    pub fn begin_drain(&self) {
        self.state.store(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_summed_over_shards() {
        let counters = Counters::new(3, 10);
        for (shard, people) in counters.shards().iter().zip(1..) {
            shard.online.add(people);
        }
        assert_eq!(counters.online(), 6);
        assert_eq!(counters.state(), ServerState::Open);
        counters.shards()[0].online.add(4);
        assert_eq!(counters.state(), ServerState::Full);
        counters.begin_drain();
        assert_eq!(counters.state().as_str(), "draining");
        assert!(counters.shard(3).is_none());
    }

    #[test]
    fn shards_share_no_cache_line() {
        assert_eq!(std::mem::align_of::<ShardCounters>(), 128);
    }
}
