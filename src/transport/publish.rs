//! Steps 1 to 6, seen from outside: what a shard tells the rest of the process about itself.
//!
//! In: what the hub and the core have counted. Out: the shard's [`ShardCounters`](crate::ops::ShardCounters), every
//! [`limits::PUBLISH_MS`] at most. No lock is waited for, nothing is allocated, and nothing of it is about a person.

use super::clock::unix_s;
use super::driver::Driver;
use super::hub::Hub;
use crate::core::io::Time;
use crate::limits;
use crate::ops::{Total, Totals};
use crate::privacy::heap_bytes_of_thread;

/// What was last told to the process's counters.
#[derive(Default)]
pub(super) struct Published {
    totals: Totals,
    pub at: Time,
}

impl Driver<'_> {
    /// Adds what has happened to the process's counters, and tells the core how many people are online.
    pub(super) fn publish(&mut self, now: Time) {
        // A drain waits for the last chat, so it has to know of one that has just begun.
        let at_once = self.draining || self.stopping;
        self.unpublished = now.ms_since(self.published.at) < limits::PUBLISH_MS && !at_once;
        if self.unpublished {
            return;
        }
        self.publish_gauges();
        let totals = self.totals();
        self.own.totals.advance(&self.published.totals, &totals);
        self.published = Published { totals, at: now };
        let latencies = self.hub.core.latencies();
        if !latencies.is_empty() {
            self.own.take_latencies(latencies);
        }
        self.hub.core.set_online(self.counters.online());
        // The clock on the wall may have been set since the start, and a credential has to expire by it.
        self.hub.core.set_unix_time(now, unix_s());
    }

    fn publish_gauges(&self) {
        let (own, hub, counts) = (self.own, &self.hub, self.hub.core.counts());
        own.online.set(gauge(counts.links));
        own.sessions.set(gauge(counts.sessions));
        own.away.set(gauge(counts.away));
        own.waiting.iter().zip(counts.waiting).for_each(|(waiting, count)| waiting.set(gauge(count)));
        own.in_chat.set(gauge(counts.in_chat));
        own.connections.set(gauge(hub.open as u64));
        own.websockets.set(gauge(hub.websockets.len() as u64));
        own.handshakes.set(gauge(hub.half_open() as u64));
        own.buffered_bytes.set(gauge(hub.buffered as u64));
        own.heap_bytes.set(heap_bytes_of_thread());
        own.cpu_us.set(gauge(thread_cpu_us()));
    }

    /// What the shard has counted: the core its part, the hub the rest.
    fn totals(&self) -> Totals {
        let (counts, mut totals) = (self.hub.core.counts(), self.hub.totals);
        for (total, count) in [
            (Total::Resumed, counts.resumed),
            (Total::MatchedHere, 2 * counts.pairs_here),
            (Total::MatchedAcross, counts.pairs_across),
            (Total::Relayed, counts.relayed),
            (Total::RelayedBytes, counts.relayed_bytes),
            (Total::Dropped, counts.dropped),
            (Total::HeldBack, counts.paused),
            (Total::RefusedFull, counts.refused_full),
            (Total::RefusedPaused, counts.refused_paused),
            (Total::RefusedRate, counts.rate_limited),
            (Total::ClaimsLost, counts.claims_lost),
            (Total::ChatsBroken, counts.chats_broken),
            (Total::Reports, counts.reports),
            (Total::TurnCredentials, counts.turn_credentials),
        ] {
            totals[total] = count;
        }
        totals.set_closed(&counts.closed);
        totals
    }
}

impl Hub {
    /// Adds the packets of a connection since the last look. At its timers and its end is often enough, and not on the path of
    /// a frame.
    pub(super) fn count_packets(&mut self, handle: u32) {
        let Some(conn) = self.conn(handle) else { return };
        let path = conn.quic.stats().path;
        let (sent, lost) = std::mem::replace(&mut conn.packets, (path.sent_packets, path.lost_packets));
        self.totals[Total::PacketsSent] += path.sent_packets.saturating_sub(sent);
        self.totals[Total::PacketsLost] += path.lost_packets.saturating_sub(lost);
    }
}

/// CPU time of this thread since it began, in microseconds.
fn thread_cpu_us() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000
}

/// A count of things that are in memory, as a gauge takes it.
pub(super) fn gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
