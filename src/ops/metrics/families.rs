//! The table of what each shard counts: name, kind, help, and for each series its label and where it is read.

use super::super::{ShardCounters, Total};

/// A label, if there is one beside the shard.
type Label = Option<(&'static str, &'static str)>;
/// Reads one number of a shard, in the unit of its metric.
type Read = fn(&ShardCounters) -> f64;

/// One metric with all its series.
pub(super) struct Family {
    pub name: &'static str,
    pub kind: &'static str,
    pub help: &'static str,
    pub series: &'static [(Label, Read)],
}

const GAUGE: &str = "gauge";
const COUNTER: &str = "counter";

/// Reads one of the totals.
macro_rules! total {
    ($total:ident) => {
        |shard| shard.totals.get(Total::$total) as f64
    };
}

/// Every metric that is counted by shard.
pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "anoncam_channels",
        kind: GAUGE,
        help: "Channels that are connected, also those before HELLO.",
        series: &[(None, |shard| shard.online.get() as f64)],
    },
    Family {
        name: "anoncam_sessions",
        kind: GAUGE,
        help: "Sessions in memory by what they do, connected or not.",
        series: &[
            (Some(("state", "idle")), |shard| {
                shard.sessions.get().saturating_sub(shard.waiting() + shard.in_chat.get()) as f64
            }),
            (Some(("state", "waiting")), |shard| shard.waiting() as f64),
            (Some(("state", "chat")), |shard| shard.in_chat.get() as f64),
        ],
    },
    Family {
        name: "anoncam_sessions_away",
        kind: GAUGE,
        help: "Sessions whose connection is gone and that can still be resumed.",
        series: &[(None, |shard| shard.away.get() as f64)],
    },
    Family {
        name: "anoncam_waiting",
        kind: GAUGE,
        help: "Sessions that wait for a stranger.",
        series: &[
            (Some(("pool", "text")), |shard| shard.waiting[0].get() as f64),
            (Some(("pool", "video")), |shard| shard.waiting[1].get() as f64),
        ],
    },
    Family {
        name: "anoncam_connections",
        kind: GAUGE,
        help: "Connections, with a session or without.",
        series: &[
            (Some(("transport", "quic")), |shard| shard.connections.get() as f64),
            (Some(("transport", "websocket")), |shard| shard.websockets.get() as f64),
        ],
    },
    Family {
        name: "anoncam_handshakes_half_open",
        kind: GAUGE,
        help: "Handshakes that are not completed.",
        series: &[(None, |shard| shard.handshakes.get() as f64)],
    },
    Family {
        name: "anoncam_handshakes_total",
        kind: COUNTER,
        help: "Handshakes of QUIC by how they ended.",
        series: &[
            (Some(("result", "done")), total!(HandshakesDone)),
            (Some(("result", "failed")), total!(HandshakesFailed)),
        ],
    },
    Family {
        name: "anoncam_retries_total",
        kind: COUNTER,
        help: "Clients that had to prove their address first.",
        series: &[(None, total!(Retries))],
    },
    Family {
        name: "anoncam_opened_total",
        kind: COUNTER,
        help: "Sessions opened.",
        series: &[
            (Some(("transport", "quic")), total!(OpenedQuic)),
            (Some(("transport", "websocket")), total!(OpenedWebSocket)),
        ],
    },
    Family {
        name: "anoncam_resumed_total",
        kind: COUNTER,
        help: "Sessions taken up again on a new connection.",
        series: &[(None, total!(Resumed))],
    },
    Family {
        name: "anoncam_matched_total",
        kind: COUNTER,
        help: "Sessions matched, two a chat, by where their stranger is.",
        series: &[
            (Some(("stranger", "here")), total!(MatchedHere)),
            (Some(("stranger", "other_shard")), total!(MatchedAcross)),
        ],
    },
    Family {
        name: "anoncam_relayed_frames_total",
        kind: COUNTER,
        help: "Frames relayed.",
        series: &[(None, total!(Relayed))],
    },
    Family {
        name: "anoncam_relayed_bytes_total",
        kind: COUNTER,
        help: "Bytes of relayed frames, headers included.",
        series: &[(None, total!(RelayedBytes))],
    },
    Family {
        name: "anoncam_dropped_frames_total",
        kind: COUNTER,
        help: "Relayed frames that were for nobody any more.",
        series: &[(None, total!(Dropped))],
    },
    Family {
        name: "anoncam_held_back_total",
        kind: COUNTER,
        help: "Times a sender was not read because their stranger read slowly.",
        series: &[(None, total!(HeldBack))],
    },
    Family {
        name: "anoncam_refused_total",
        kind: COUNTER,
        help: "First packets, connections, sessions and requests turned away.",
        series: &[
            (Some(("reason", "connections")), total!(RefusedConnections)),
            (Some(("reason", "unserved")), total!(RefusedUnserved)),
            (Some(("reason", "flood")), total!(RefusedFlood)),
            (Some(("reason", "address")), total!(RefusedAddress)),
            (Some(("reason", "crowded")), total!(RefusedCrowded)),
            (Some(("reason", "barred")), total!(RefusedBarred)),
            (Some(("reason", "work")), total!(RefusedWork)),
            (Some(("reason", "full")), total!(RefusedFull)),
            (Some(("reason", "paused")), total!(RefusedPaused)),
            (Some(("reason", "rate")), total!(RefusedRate)),
        ],
    },
    Family {
        name: "anoncam_closed_total",
        kind: COUNTER,
        help: "Sessions that the server closed, by close code.",
        series: &[
            (Some(("code", "0")), total!(ClosedDone)),
            (Some(("code", "1")), total!(ClosedProtocol)),
            (Some(("code", "2")), total!(ClosedTooLarge)),
            (Some(("code", "3")), total!(ClosedTooMany)),
            (Some(("code", "4")), total!(ClosedBanned)),
            (Some(("code", "5")), total!(ClosedDraining)),
            (Some(("code", "6")), total!(ClosedIdle)),
            (Some(("code", "7")), total!(ClosedInternal)),
            (Some(("code", "8")), total!(ClosedFull)),
        ],
    },
    Family {
        name: "anoncam_work_proven_total",
        kind: COUNTER,
        help: "Newcomers who have proven work.",
        series: &[(None, total!(WorkProven))],
    },
    Family {
        name: "anoncam_delayed_total",
        kind: COUNTER,
        help: "Times a channel was read later because it, or its address, sent too much.",
        series: &[(None, total!(Delayed))],
    },
    Family {
        name: "anoncam_shed_total",
        kind: COUNTER,
        help: "Connections closed because of what they made the server hold.",
        series: &[(None, total!(Shed))],
    },
    Family {
        name: "anoncam_reports_total",
        kind: COUNTER,
        help: "Reports of strangers.",
        series: &[(None, total!(Reports))],
    },
    Family {
        name: "anoncam_reports_counted_total",
        kind: COUNTER,
        help: "Reports of strangers that were not the second from one address.",
        series: &[(None, total!(ReportsCounted))],
    },
    Family {
        name: "anoncam_sentences_total",
        kind: COUNTER,
        help: "Sessions ended by reports or by the operator.",
        series: &[(None, total!(Sentences))],
    },
    Family {
        name: "anoncam_packets_sent_total",
        kind: COUNTER,
        help: "QUIC packets sent.",
        series: &[(None, total!(PacketsSent))],
    },
    Family {
        name: "anoncam_packets_lost_total",
        kind: COUNTER,
        help: "QUIC packets lost on their way to a client.",
        series: &[(None, total!(PacketsLost))],
    },
    Family {
        name: "anoncam_shard_messages_total",
        kind: COUNTER,
        help: "Messages to other shards, by whether they found room.",
        series: &[(Some(("result", "sent")), total!(BusSent)), (Some(("result", "lost")), total!(BusLost))],
    },
    Family {
        name: "anoncam_claims_lost_total",
        kind: COUNTER,
        help: "Claims of a stranger on another shard that came to nothing.",
        series: &[(None, total!(ClaimsLost))],
    },
    Family {
        name: "anoncam_chats_broken_total",
        kind: COUNTER,
        help: "Chats between shards that a gap or silence ended.",
        series: &[(None, total!(ChatsBroken))],
    },
    Family {
        name: "anoncam_turn_credentials_total",
        kind: COUNTER,
        help: "TURN credentials made.",
        series: &[(None, total!(TurnCredentials))],
    },
    Family {
        name: "anoncam_buffered_bytes",
        kind: GAUGE,
        help: "Bytes in buffers for clients, as they count against the cap.",
        series: &[(None, |shard| shard.buffered_bytes.get() as f64)],
    },
    Family {
        name: "anoncam_shard_heap_bytes",
        kind: GAUGE,
        help: "Bytes on the heap that the shard has allocated and nobody has freed.",
        series: &[(None, |shard| shard.heap_bytes.get() as f64)],
    },
    Family {
        name: "anoncam_shard_cpu_seconds_total",
        kind: COUNTER,
        help: "CPU time of the shard's thread.",
        series: &[(None, |shard| shard.cpu_us.get() as f64 / 1e6)],
    },
    Family {
        name: "anoncam_shard_turns_total",
        kind: COUNTER,
        help: "Turns of the shard's loop.",
        series: &[(None, |shard| shard.turns.get() as f64)],
    },
    Family {
        name: "anoncam_shard_panics_total",
        kind: COUNTER,
        help: "Times the shard was started again after a panic.",
        series: &[(None, |shard| shard.panics.get() as f64)],
    },
    Family {
        name: "anoncam_elders",
        kind: GAUGE,
        help: "Older processes whose chats go on after an upgrade.",
        series: &[(None, |shard| shard.elders.get() as f64)],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_total_is_told() {
        // Each total, set to a number of its own, has to appear in some series.
        use crate::ops::{ShardCounters, Totals};
        let shard = ShardCounters::default();
        let mut totals = Totals::default();
        for number in 0..Total::COUNT {
            totals.set_for_test(number, 1_001 + number as u64);
        }
        shard.totals.advance(&Totals::default(), &totals);
        let told: Vec<f64> =
            FAMILIES.iter().flat_map(|family| family.series).map(|(_, read)| read(&shard)).collect();
        let missing: Vec<_> = (0..Total::COUNT)
            .filter(|number| !told.iter().any(|value| (value - (1_001 + number) as f64).abs() < 0.5))
            .collect();
        assert!(missing.is_empty(), "totals that no metric tells: {missing:?}");
    }
}
