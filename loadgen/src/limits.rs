//! Every bound in the program, each with its reason.

/// Largest HTTP/3 frame that is held: a response or SETTINGS is under 200 bytes; a close reason is at most 1,024.
pub const MAX_H3_FRAME_BYTES: u64 = 16 * 1024;
/// Largest payload on the channel: a SIGNAL frame (docs/PROTOCOL.md section 2).
pub const MAX_CHANNEL_PAYLOAD_BYTES: usize = 32_768;
/// Server streams of one connection that are read: control, QPACK encoder and decoder, and one to spare.
pub const MAX_SERVER_STREAMS: usize = 4;
/// Bytes a session may have waiting for the server's flow control before it counts as stuck and is closed.
pub const MAX_UNSENT_BYTES: usize = 256 * 1024;
/// Datagrams in one GSO send.
pub const MAX_GSO_DATAGRAMS: usize = 8;
/// Receive batches that are handled before timers and the schedule get their turn.
pub const MAX_RECEIVE_BATCHES: usize = 8;
/// Sends that a full socket may hold back; beyond it datagrams are dropped, as a network would, and counted.
pub const MAX_BLOCKED_SENDS: usize = 4096;
/// Largest answer to `GET /client-config.json`, and largest metrics page.
pub const MAX_HTTP_BYTES: usize = 1024 * 1024;
/// Chats of which one end has been told and the other not: beyond it new ones are not measured, and counted.
pub const MAX_OPEN_PAIRS: usize = 1_000_000;
/// Arrivals of one thread that wait for an idle session: 10 s of 10,000 a second; beyond it they are dropped, and counted.
pub const MAX_BACKLOG: usize = 100_000;
/// Different reasons of failure that a report lists; the rest are summed up as "other".
pub const MAX_FAILURE_KINDS: usize = 32;
/// Longest latency that is told apart: 10 minutes. Longer ones count as this.
pub const MAX_LATENCY_US: u64 = 600_000_000;
/// Interval samples in a report: a week of seconds.
pub const MAX_INTERVALS: usize = 7 * 24 * 3600;
