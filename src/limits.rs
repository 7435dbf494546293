//! Every bound in the program, each with its reason and, where it holds memory, its worst case.
//!
//! Bounds are compile-time ceilings. Configuration can tighten some of them, never loosen one.

// ---------------------------------------------------------------------------------------------- frames (steps 2 and 5)

/// Bytes of a frame's header: type and length.
pub const FRAME_HEADER_BYTES: usize = 4;
/// Longest JSON payload of a control frame, in bytes (PROTOCOL.md section 2).
pub const CONTROL_PAYLOAD_BYTES: usize = 4_096;
/// Longest payload of a SIGNAL frame, in bytes.
pub const SIGNAL_PAYLOAD_BYTES: usize = 32_768;
/// Longest payload of a TEXT frame, in bytes.
pub const TEXT_PAYLOAD_BYTES: usize = 8_192;
/// A chunk below this is copied instead of sliced: copying costs less than what a slice would pin of its datagram.
/// Worst case: a slice of 1,024 bytes pins a receive buffer of [`RECEIVE_BUFFER_BYTES`], twice its length.
pub const COPY_BELOW_BYTES: usize = 1_024;
/// What one slice of a received datagram pins at the worst, in bytes: accounting counts this for each.
pub const RECEIVE_BUFFER_BYTES: usize = 2_048;

// ---------------------------------------------------------------------------------------------- core (steps 2 to 6)

/// What the server holds for a stranger who reads slowly, in bytes; past it the sender is not read (PROTOCOL.md section 5).
pub const HOLD_BYTES: usize = 65_536;
/// Below this many bytes waiting for a slow stranger the sender is read again: half, so that it does not flap.
pub const RESUME_READING_BYTES: usize = HOLD_BYTES / 2;
/// Relayed bytes out of the way on another shard are told in steps of this many. Two such steps lie below
/// [`RESUME_READING_BYTES`], so a sender is never left unread for a credit that was not worth telling.
pub const CREDIT_BYTES: usize = 8_192;
/// A session without a connection is kept for so long, in seconds (PROTOCOL.md section 4), unless configured shorter.
pub const RESUME_S: u64 = 60;
/// On a full shard a session outside of a chat keeps its place for so long without a connection, in milliseconds: a phone that
/// changes its network needs less. 24 bytes for each that is away, at most as many as there are places.
pub const KEEP_PLACE_MS: u64 = 10_000;
/// HELLO has to come within this time.
pub const HELLO_MS: u64 = 5_000;
/// The same while the server drains: long enough to come back to a chat, and everybody else is soon told to go elsewhere.
pub const DRAIN_HELLO_MS: u64 = 1_000;
/// A session that neither chats nor waits is closed after this time (PROTOCOL.md section 6).
pub const IDLE_MS: u64 = 600_000;
/// WAITING is told again after this time.
pub const WAITING_MS: u64 = 5_000;
/// The last stranger can be reported for so long after the chat.
pub const LATE_REPORT_MS: u64 = 60_000;
/// FINDs at once by one session: a person who clicks "next" as fast as they can stays far below.
pub const FIND_BURST: u64 = 20;
/// After a burst of FINDs one more is granted every so many ms (5 a second).
pub const FIND_EVERY_MS: u64 = 200;
/// Control frames at once by one session; past it the session is closed with code 3. Who searches too fast is told so first, eighty times.
pub const CONTROL_BURST: u64 = 100;
/// After a burst of control frames one more is granted every so many ms (10 a second): a thousand sessions that ask as fast as they may
/// take a fifth of a core.
pub const CONTROL_EVERY_MS: u64 = 100;
/// A control frame that is refused because of its address counts as so many: who was told when to ask again and does not wait is soon gone.
pub const LIMITED_COUNTS: u64 = 5;
/// What a client that is closed with code 3, 5 or 8 is told to wait before it comes back.
pub const RETRY_AFTER_MS: u64 = 5_000;
/// What a client is told to wait that asks for something an operator has paused: pauses last minutes or hours.
pub const PAUSED_RETRY_MS: u64 = 30_000;
/// When a newer process takes over, idle sessions are told in steps of this many milliseconds...
pub const MOVE_STEP_MS: u64 = 100;
/// ... this many sessions of a shard at least: 1,000 a second, for whom the newer process's shard needs a quarter of a core.
/// With more they are as many as it takes to tell all in half of the time that chats have.
pub const MOVE_STEP_SESSIONS: u32 = 100;
/// A search that was cut goes on after this time: 64 people each time are over 4,000 a second.
pub const SEARCH_AGAIN_MS: u64 = 15;

/// Who is left over after this time is offered to other shards.
pub const FIRST_OFFER_MS: u64 = 1;
/// An offer is repeated after this time, in ms, then after twice as long each time.
pub const OFFER_AGAIN_MS: u32 = 1_000;
/// The longest time between two offers, in ms: a lost message costs a person no more than this.
pub const OFFER_AGAIN_MOST_MS: u32 = 8_000;
/// A claim of a stranger on another shard is asked again after this time.
pub const ASK_AGAIN_MS: u64 = 25;
/// A claim is asked again so often, then given up.
pub const ASK_TRIES: u8 = 4;
/// Chats and links between shards are told to be alive this often.
pub const BEAT_MS: u64 = 5_000;
/// A chat or link between shards that is not heard for so long is broken: three heartbeats.
pub const SILENCE_MS: u64 = 15_000;
/// A connection that resumes a session of another shard asks there again after this time, then after twice as long each time:
/// a question that is asked again makes the answer to the one before useless, so a home that is slow to answer gets longer.
pub const ATTACH_AGAIN_MS: u64 = 250;
/// Such a connection asks so often before it starts afresh, after 3.75 s. It counts questions, not time: a machine
/// that stood still for a while has not shown that nobody answers.
pub const ATTACH_TRIES: u8 = 4;
/// Control frames kept until the home of a session has answered: FIND follows HELLO, no client needs more.
/// 32 KiB a connection at the worst.
pub const ATTACH_FRAMES: usize = 8;

/// Most interests in a FIND, and the longest one in Unicode scalar values (PROTOCOL.md section 3).
pub const INTERESTS: usize = 10;
/// See [`INTERESTS`].
pub const INTEREST_CHARACTERS: usize = 32;
/// Most languages in a FIND (PROTOCOL.md section 3).
pub const LANGS: usize = 5;
/// Longest primary subtag of BCP 47.
pub const LANG_LETTERS: usize = 8;
/// People looked at in one search of the waiting room (PROTOCOL.md section 8).
pub const CANDIDATES: usize = 64;
/// Strangers that a session does not meet again at once (PROTOCOL.md section 8).
pub const RECENT_STRANGERS: usize = 8;
/// Blocked people a session remembers; over it the oldest is forgotten. 512 bytes a session at the worst.
pub const BLOCKS: usize = 64;
/// After this wait recent strangers may meet again.
pub const RECENT_WAIT_MS: u64 = 2_000;
/// After this wait interests and languages matter no more, unless strict.
pub const RELAX_WAIT_MS: u64 = 5_000;

// ---------------------------------------------------------------------------------------------- what is kept, and for how long

// The privacy policy is rendered from these. To raise one takes a notice (src/site/policy/ledger.rs).

/// An address is gone from memory this many seconds after its connection. What leads there: a connection that is silent is
/// lost after [`IDLE_TIMEOUT_MS`], and what it leaves is wiped by the second round of forgetting at the latest.
pub const ADDRESS_GONE_S: u64 = 300;
/// A session's token is gone from memory this many seconds after its last connection.
pub const TOKEN_GONE_S: u64 = 300;
const _: () = assert!(IDLE_TIMEOUT_MS as u64 + 2 * FORGET_MS < ADDRESS_GONE_S * 1_000);
const _: () = assert!(RESUME_S * 1_000 + 2 * FORGET_MS < TOKEN_GONE_S * 1_000);
/// A counter of requests is gone from memory this many seconds after its last use.
pub const COUNTER_GONE_S: u64 = 300;
/// A mark of an address that was reported is gone after this many seconds.
pub const MARK_GONE_S: u64 = 86_400;
/// What a monitor has counted is gone after this many hours: deploy/monitoring keeps to it, and the privacy policy says so. Long enough
/// to compare a night with the one before.
pub const MONITOR_H: u64 = 24;
/// How long the first page says that the privacy policy has changed, in days.
pub const NOTICE_DAYS: u64 = 30;
/// Longest value of a setting that stands in the privacy policy, in bytes.
pub const IMPRINT_BYTES: usize = 300;
/// Largest list of ranges that are not served, in bytes: all ranges of all registries are 10 MiB.
pub const PREFIXES_BYTES: u64 = 32 << 20;
/// Most names of countries that are not served.
pub const MAX_COUNTRIES: usize = 64;
/// A line of the access log, or of a log of connection events, is deleted after this many seconds at the latest.
pub const ACCESS_LOG_S: u64 = 86_400;
/// A line of the server's own log is deleted after this many seconds at the latest, where the server keeps the log itself.
pub const SERVER_LOG_S: u64 = 7 * 86_400;

/// How long an operator may look at what becomes of connections before it turns itself off, in seconds.
pub const DEBUG_S: u64 = 7_200;

/// Lines of the server's own log at once: more than a start, a reload and a hundred mistakes.
pub const LOG_BURST_LINES: u64 = 500;
/// After a burst of lines about the server one more is granted every so many ms (20 a second).
pub const LOG_EVERY_MS: u64 = 50;
/// Lines about requests or connections at once.
pub const ACCESS_BURST_LINES: u64 = 10_000;
/// After a burst of lines about requests or connections one more is granted every so many ms (1,000 a second).
pub const ACCESS_EVERY_MS: u64 = 1;
/// Lines that wait for a slow disk; past them lines are lost and counted. 1 MiB at the worst.
pub const LOG_QUEUE_LINES: usize = 4_096;
/// Files of the server's own log together, in bytes; past it the oldest goes.
pub const SERVER_LOG_BYTES: u64 = 256 << 20;
/// Files of one kind of line about requests or connections together, in bytes; past it the oldest goes.
pub const ACCESS_LOG_BYTES: u64 = 1 << 30;
/// Files that the time of a kind of line is cut into: an hour each for a day.
pub const LOG_FILES: u64 = 24;
/// How often the age of the log's files is looked at, in seconds.
pub const LOG_CHECK_S: u64 = 60;
const _: () =
    assert!(3_600 / LOG_FILES > LOG_CHECK_S, "the shortest time that can be configured has its files");

// ---------------------------------------------------------------------------------------------- session layer (steps 1 and 6)

/// Longest reason in a close capsule, in bytes (draft-ietf-webtrans-http3, section 6).
pub const CLOSE_REASON_BYTES: usize = 1_024;
/// Bidirectional streams that a client may have open: the CONNECT stream, the channel, and two to be refused.
pub const CLIENT_BIDI_STREAMS: usize = 4;
/// Unidirectional streams that a client may have open: control, two of QPACK, and one to be refused (RFC 9114,
/// section 6.2, asks for at least three). What is refused makes room for the next as soon as the client has reset it.
pub const CLIENT_UNI_STREAMS: usize = 4;
/// Streams of a client that the session layer keeps a place for; one more is refused with `H3_EXCESSIVE_LOAD`.
pub const CLIENT_STREAMS: usize = CLIENT_BIDI_STREAMS + CLIENT_UNI_STREAMS;
/// Largest field section of a request, coded or not, in bytes: browsers send under 1 KiB, and none of it is stored. A
/// larger one is answered with status 431.
pub const FIELD_SECTION_BYTES: usize = 8_192;
/// Longest value of a field that is compared with something, in bytes: an Origin with the longest host name (253) and a
/// port. A longer value equals nothing.
pub const FIELD_VALUE_BYTES: usize = 272;
/// Bytes of the session layer's state in every connection.
pub const SESSION_LAYER_BYTES: usize = 256;
/// Bytes of a request while it is read; one for each bidirectional stream at worst.
pub const REQUEST_BYTES: usize = 512;

// ---------------------------------------------------------------------------------------------- abuse (steps 1 and 2)

/// People behind one address (IPv4 /32, IPv6 /64) unless configured. Offices and schools have some hundred people behind one; a
/// phone network has a few thousand, of whom no more than some hundred are here at once.
pub const DEFAULT_PEOPLE_PER_ADDRESS: u32 = 500;
/// Fewest people behind one address that can be configured: a household with guests.
pub const MIN_PEOPLE_PER_ADDRESS: u32 = 10;
/// Most people behind one address that can be configured: a proxy of the operator's own, or a load test.
pub const MAX_PEOPLE_PER_ADDRESS: u32 = 100_000;
/// How much more an IPv6 /48 may do than a /64: a site has up to 65,536 of these, and few of them hold people.
pub const WIDE_FACTOR: u64 = 8;

/// What some people may do at once, and in a minute after that.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// Of what comes back, so much is there at first, for 100 people.
    pub burst: u64,
    /// So much comes back in a minute, for 100 people.
    pub minute: u64,
}

/// Connections: Firefox opens two a visit, and a page is seldom loaded more often than once a minute.
pub const CONNECTIONS: Share = Share { burst: 200, minute: 100 };
/// FINDs: everybody at once after a break, and a stranger every two seconds for everybody after that.
pub const FINDS: Share = Share { burst: 400, minute: 3_000 };
/// Relayed frames: two a second for everybody, all the time. A lively text chat has one every two seconds, with its acknowledgements.
pub const FRAMES: Share = Share { burst: 2_000, minute: 12_000 };
/// Relayed KiB: four a second for everybody. A video chat begins with some 40 KiB, and then needs none.
pub const KIBS: Share = Share { burst: 6_400, minute: 24_000 };
/// Reports that count: one in ten people each minute.
pub const REPORTS: Share = Share { burst: 20, minute: 10 };
/// Part of a burst, one in so many, past which others go first: everybody in an office who presses next at once is not past it. Half of the
/// people of an office who come in the same minute are; they wait only while there is more to do than can be done.
pub const MUCH_OF_BURST: u64 = 4;
/// Connections past those allowed, in halves of the burst, that are let in to be told so with close code 3. Past them a connection is
/// refused by QUIC, which costs the server a tenth.
pub const TOLD_HALVES: u64 = 1;

/// Relayed frames of one session at once, and in each second after that: nobody types faster, and a call begins with under a hundred.
pub const SESSION_FRAMES: u64 = 400;
/// See [`SESSION_FRAMES`].
pub const SESSION_FRAMES_PER_S: u64 = 20;
/// Relayed KiB of one session at once, and in each second after that: some long messages, or a call's descriptions.
pub const SESSION_KIBS: u64 = 1_024;
/// See [`SESSION_KIBS`].
pub const SESSION_KIBS_PER_S: u64 = 64;
/// Relayed frames that a channel takes from its address at a time, so that the shared table is not touched for each frame.
pub const PACE_FRAMES: u32 = 16;
/// The same in KiB.
pub const PACE_KIBS: u32 = 16;

/// First packets without proof of an address, on one shard and in one second, past which such a proof is demanded: more than a core
/// can make connections of, with the two or three that each has.
pub const FLOOD_INITIALS_PER_S: u32 = 10_000;
/// Such packets in a flood that are looked at all the same in a second, because they seem to belong to a handshake: 1 % of a core.
pub const GUESSED_INITIALS_PER_S: u32 = 1_000;
/// Buckets of a shard in which addresses share what they may send unproven in a flood: 32 KiB.
pub const UNPROVEN_BUCKETS: usize = 4_096;
/// First packets without proof that are answered in a flood, of one bucket at once. A person needs one.
pub const UNPROVEN_BURST: u64 = 1_000;
/// The same in each second after that.
pub const UNPROVEN_PER_S: u64 = 200;

/// Smallest table of address prefixes, in places of 64 bytes: 1 MiB.
pub const MIN_PLACES: usize = 16_384;
/// Places of the table for each session that fits: an IPv6 session holds one for its /64 and one for its /48. 128 bytes a session
/// at the worst, in pages that come with use.
pub const PLACES_PER_SESSION: usize = 2;
/// A counter is gone so long after its last use, in seconds.
pub const COUNTER_S: u64 = 300;
/// The longest that an allowance takes to be whole again: until then a counter says something, and is kept.
pub const COUNTER_DEBT_S: u64 = 180;
const fn recovers(share: Share) -> bool {
    share.burst * (2 + TOLD_HALVES) / 2 * 60 <= share.minute * COUNTER_DEBT_S
}
const _: () = assert!(
    recovers(CONNECTIONS) && recovers(FINDS) && recovers(FRAMES) && recovers(KIBS) && recovers(REPORTS)
);
const _: () =
    assert!(COUNTER_DEBT_S + FORGET_MS / 1_000 < COUNTER_S, "one round of forgetting comes in time");
/// Pages of the table, of 4 KiB each, that are swept in one turn: about 20 us.
pub const TURN_SWEPT_PAGES: usize = 16;

/// What reports weigh until a session ends: four, or two that say `minor`. One person never ends another's session.
pub const REPORTS_END: u64 = 4;
/// What a report weighs.
pub const REPORT_WEIGHT: u64 = 1;
/// What a report weighs that says `minor`.
pub const MINOR_WEIGHT: u64 = 2;
const _: () = assert!(MINOR_WEIGHT < REPORTS_END && REPORT_WEIGHT < REPORTS_END);
/// So much weight fades in this time, in ms: somebody who is reported now and then, in hundreds of chats, stays.
pub const REPORT_FADES_MS: u64 = 600_000;
/// Prefixes that reported one session and are told apart; of more, those that are forgotten first count again.
pub const REPORTERS: usize = 8;
/// Longest case code, in characters (PROTOCOL.md section 3).
pub const CASE_CHARACTERS: usize = 12;
/// Case codes kept for one session under report; of more, the first ones are kept.
pub const CASE_CODES: usize = 4;
/// Sessions under report that the operator can look up; of more, the one that was not reported for longest is left out. 256 KiB.
pub const CASES: usize = 1_024;

/// A mark on an address prefix is forgotten so long after the last offence, in seconds.
pub const MARK_S: u64 = 86_400;
/// The ban for a second offence, in seconds; each further one doubles it. The first has proof of work only.
pub const FIRST_BAN_S: u64 = 900;
/// The longest ban, in seconds: with it the mark ends too.
pub const LONGEST_BAN_S: u64 = MARK_S;
/// Marks at once; over it the one that would be forgotten first is. 1 MiB.
pub const MARKS: usize = 16_384;

/// Numbers that a proof of work consists of: more of them make the time to find all more even. Half of the people are within 4 %
/// of the mean, and one in a hundred takes twice as long.
pub const WORK_COUNT: u32 = 8;
/// Zero bits that each hash begins with, at the base level: 2^13 hashes a number on average, 65,536 in all.
pub const WORK_BITS: u32 = 13;
/// The most zero bits that are asked for: 64 times the base level, half a minute on a phone.
pub const MOST_WORK_BITS: u32 = WORK_BITS + 6;
/// A challenge is good for so long, in seconds.
pub const CHALLENGE_S: u64 = 120;
/// Longest challenge, in bytes: with a number it is one block of SHA-256 (55 bytes and its padding).
pub const CHALLENGE_BYTES: usize = 51;
/// Challenges that were used, remembered for each span of [`CHALLENGE_S`]: 8 MiB, twice. Past three quarters of it proofs are refused.
pub const USED_CHALLENGES: usize = 1 << 20;
/// Newcomers a second, over all shards, past which each has to prove work, unless configured: an eighth of what two shards can take.
pub const DEFAULT_WORK_ABOVE: u32 = 1_000;
/// Highest setting of it.
pub const MAX_WORK_ABOVE: u32 = 1_000_000;
/// What somebody who has to prove work is told to wait, in ms: for clients that do not know how to.
pub const WORK_RETRY_MS: u64 = 30_000;
/// What a newcomer is told to wait, in ms, while as many as fit are here from where they are.
pub const CROWDED_RETRY_MS: u64 = 30_000;
/// Proof of work is asked for until newcomers have been few for so long, in seconds.
pub const WORK_LASTS_S: u64 = 30;

// ---------------------------------------------------------------------------------------------- transport (steps 1 and 5)

/// Datagram slots of one receive call (recvmmsg); each may hold a batch that the kernel has merged (GRO).
pub const RECV_BATCH_DATAGRAMS: usize = 32;
/// Bytes of one datagram in a receive slot: the largest payload that the server announces to take, rounded up.
pub const RECV_SLOT_BYTES: usize = 1_536;
/// Kernel buffer of a shard's socket in bytes, each way, where the system allows it: 50 ms at 100,000 small datagrams a second.
pub const SOCKET_BUFFER_BYTES: usize = 4 << 20;

/// How often a shard wipes, unless it is configured to do so more often, what would show who was there: dead stack frames, buffers, vacated slots. An address
/// is promised to be gone 5 minutes after its connection.
pub const FORGET_MS: u64 = 60_000;
/// Vacated slots that are covered or given back in one turn, at about 4 us each.
pub const TURN_COVERED_SLOTS: usize = 64;
const _: () =
    assert!(FORGET_MS < 2 * 60_000, "a slot that is vacated right after one round is covered by the next");

/// Unread bytes of one stream, at most.
pub const STREAM_WINDOW_BYTES: u32 = 16_384;
/// Unread bytes of all streams of a connection, at most: a channel that is not read leaves room for the others.
pub const CONNECTION_WINDOW_BYTES: u32 = STREAM_WINDOW_BYTES + 4_096;
/// STREAM frames of the channel that may lie unread in QUIC: as many as fill its window with frames of 16 bytes, while a slow stranger
/// is waited for. Past it the connection is closed, and an honest client comes back and resumes.
pub const UNREAD_CHANNEL_FRAMES: i32 = 1_024;
/// STREAM frames of all other streams together that may lie unread in QUIC. Each has a few frames in the life of a
/// connection; on a bad network some of them come twice.
pub const UNREAD_OTHER_FRAMES: i32 = 48;
/// CRYPTO frames after the handshake: only such come as a bad network repeats.
pub const UNREAD_CRYPTO_FRAMES: u64 = 32;
/// Frames with data from one client that are taken in before it is looked at whether they can be read.
pub const TURN_FRAMES: u64 = 16;
/// Frames with data that fit into one datagram at most, at 5 bytes each.
const DATAGRAM_FRAMES: usize = RECV_SLOT_BYTES / 5;
/// Connection IDs that a client may retire before the connection is closed. One goes with each change of its address, and
/// quinn-proto keeps the ID that takes its place until the client acknowledges it, which a hostile one never does. An honest client
/// comes back and resumes.
pub const RETIRED_IDS: u64 = 32;
/// What quinn-proto keeps for one such ID, in bytes: sequence number, ID and reset token, doubled because its list grows by doubling.
const RETIRED_ID_BYTES: usize = 2 * 64;
/// Bytes written to a connection and not yet acknowledged, at most.
pub const SEND_WINDOW_BYTES: u64 = 32_768;
/// QUIC datagram frames are ignored in version 1, but HTTP/3 datagrams have to be announced for browsers, which needs
/// a buffer that is not empty. What arrives is dropped at once.
pub const DATAGRAM_BUFFER_BYTES: usize = 2_048;
/// Handshake bytes that wait for a gap to close, at most; the largest hellos of today have 2 KiB.
pub const CRYPTO_BUFFER_BYTES: usize = 8_192;
/// Packets of one handshake that may wait until it is begun. Today's largest hellos have one beside the first.
pub const INCOMING_BUFFER_BYTES: u64 = 4_096;
/// The same of all handshakes of a shard that are to be begun: 4 MiB.
pub const INCOMING_BUFFERS_BYTES: u64 = 1_024 * INCOMING_BUFFER_BYTES;

/// A connection without a completed handshake ends after this many milliseconds.
pub const HANDSHAKE_DEADLINE_MS: u64 = 5_000;
/// A connection that brings no session ends this many milliseconds after its handshake.
pub const CONNECT_DEADLINE_MS: u64 = 3_000;
/// A connection whose session has ended is closed by the server after this many milliseconds, if the client has not done so.
pub const LINGER_MS: u64 = 1_000;
/// What was written to the channel before a close has this many milliseconds at most to arrive before the close does.
pub const CLOSE_DELAY_MS: u64 = 100;
/// A connection that is silent for this long is lost (RFC 9000, section 10.1), in milliseconds.
pub const IDLE_TIMEOUT_MS: u32 = 30_000;
/// The server sends a PING to an idle client after this many silent milliseconds.
pub const KEEP_ALIVE_MS: u64 = 20_000;
/// The server probes a client in a chat after this many silent milliseconds (PROTOCOL.md section 5).
pub const PROBE_MS: u64 = 5_000;
/// A client in a chat that has been silent for this many milliseconds is away (PROTOCOL.md section 5).
pub const SILENT_MS: u64 = 10_000;
/// A client that takes nothing of what is pending for this many milliseconds has stalled (PROTOCOL.md section 5).
pub const STALL_MS: u64 = 10_000;

/// Relayed frames shorter than this are gathered in one buffer on their way out; longer ones keep the buffer that they arrived in.
/// A slice pins its datagram's buffer of up to 1.5 KiB, so that what is held for a slow client is at most 1.5 times its length.
pub const GATHER_BYTES: usize = 1_024;
/// What may wait for one client besides the held frames of its chat (control frames, in bytes) before the client is closed as stalled.
pub const CONTROL_QUEUE_BYTES: usize = 32_768;
/// Chunks that are taken out of QUIC at a time for one stream, so that a connection cannot hold up its shard.
pub const READ_CHUNKS: usize = 16;

/// What one channel may hold in all: the hold and the frame that crossed it, control frames, and a frame that is arriving.
pub const CHANNEL_BYTES: usize = HOLD_BYTES
    + 2 * (SIGNAL_PAYLOAD_BYTES + FRAME_HEADER_BYTES)
    + CONTROL_QUEUE_BYTES
    + STREAM_WINDOW_BYTES as usize;

/// A connection, its session and what QUIC and TLS keep for it while nothing happens, in bytes: measured as RSS, rounded up.
pub const IDLE_CONNECTION_BYTES: usize = 24_576;
/// What quinn-proto lets a stream over-allocate before it compacts (its assembler's threshold), in bytes. The channel can be
/// made to, and the stream of the handshake; all others together have too few unread frames.
const REASSEMBLY_SLACK_BYTES: usize = 32_768;
/// What the unread frames of other streams pin at most: a datagram each.
const OTHERS_PIN_BYTES: usize = (UNREAD_OTHER_FRAMES as usize + TURN_FRAMES as usize + 1) * RECV_SLOT_BYTES;
/// What quinn-proto keeps for one unread frame beside its data, in bytes, doubled because its heap grows by doubling.
const UNREAD_FRAME_BYTES: usize = 2 * 56;
/// Unread frames of one client at once.
const UNREAD_FRAMES: usize = UNREAD_CHANNEL_FRAMES as usize
    + UNREAD_OTHER_FRAMES as usize
    + UNREAD_CRYPTO_FRAMES as usize
    + TURN_FRAMES as usize
    + DATAGRAM_FRAMES;
/// **The most that one client can make the server hold, whatever it sends**, in bytes. Nearly half of it is what is relayed: the hold
/// that the protocol promises to slow readers, and frames on their way. Most of the rest is reassembly of what comes with gaps, which
/// is quinn-proto's. What is relayed lies in slices of receive buffers, and counts half as much again (see [`GATHER_BYTES`]);
/// what arrives is counted by what it pins.
pub const CLIENT_BYTES: usize = IDLE_CONNECTION_BYTES
    + 2 * REASSEMBLY_SLACK_BYTES
    + OTHERS_PIN_BYTES
    + CONNECTION_WINDOW_BYTES as usize
    + CRYPTO_BUFFER_BYTES
    + UNREAD_FRAMES * UNREAD_FRAME_BYTES
    + RETIRED_IDS as usize * RETIRED_ID_BYTES
    + SEND_WINDOW_BYTES as usize
    + CHANNEL_BYTES
    + (SEND_WINDOW_BYTES as usize + HOLD_BYTES + SIGNAL_PAYLOAD_BYTES + FRAME_HEADER_BYTES) / 2
    + CLIENT_BIDI_STREAMS * REQUEST_BYTES;
const _: () = assert!(CLIENT_BYTES < 650 * 1_024, "one client stays below 650 KiB");

/// Pieces on their way from a WebSocket's client to its shard, at most; [`STREAM_WINDOW_BYTES`] in all.
pub const PIPE_UP_SLOTS: usize = 16;
/// Pieces on their way from a shard to a WebSocket's client, at most; [`SEND_WINDOW_BYTES`] in all.
pub const PIPE_DOWN_SLOTS: usize = 64;
/// WebSockets that have something new in one turn of a shard before others get their turn.
pub const TURN_PIPES: usize = 1_024;

/// Datagrams that are sent to one client with one call (GSO), at most.
pub const SEND_SEGMENTS: usize = 10;
/// Half-open handshakes, in multiples of the number above which Retry is demanded, past which connections are refused.
pub const HALF_OPEN_FACTOR: usize = 4;
/// Half-open handshakes of a shard below which none is refused: with Retry for everybody, the number above is 0.
pub const HALF_OPEN_LEAST: usize = 64;
/// How often a shard tells the process what it has counted, in milliseconds.
pub const PUBLISH_MS: u64 = 50;
/// Older processes whose chats an upgraded server still carries, at most: the next upgrade is refused until one of them has
/// ended. Each has its sessions' memory.
pub const ELDERS: usize = 8;
const _: () = assert!(ELDERS < 128, "a generation is told to be before or after another by one byte");
/// Longest message of datagrams from one process to another, in bytes: some fifty full ones. What is on its way in one
/// direction is bounded by the kernel's send buffer ([`SOCKET_BUFFER_BYTES`], or `net.core.wmem_max`); past it messages are lost.
pub const PASSED_MESSAGE_BYTES: usize = 61_440;
/// How long idle sessions that were told of a newer process have to leave, in milliseconds, before they are closed.
pub const MOVED_LINGER_MS: u64 = 10_000;
/// A shard answers the process within this time, in milliseconds, or an upgrade is given up.
pub const SHARD_ANSWER_MS: u64 = 5_000;
/// A new program has so long to be ready to take over, in seconds: a configuration on a slow disk, a large certificate store, a
/// machine that is busy. Then the old one goes on.
pub const UPGRADE_READY_S: u64 = 30;
/// From the order to serve until it does, in seconds. The sockets are not read meanwhile: it takes milliseconds.
pub const UPGRADE_GO_S: u64 = 5;
/// Messages from other processes in one turn.
pub const TURN_PASSED_MESSAGES: usize = 16;
/// Receive batches in one turn of a shard before others get their turn.
pub const TURN_RECEIVE_BATCHES: usize = 4;
/// Handshakes that are begun in one turn, at about 0.1 ms each.
pub const TURN_NEWCOMERS: usize = 2;
/// Half-open handshakes of those behind the others, at most: some 30 ms of work. They are counted apart, so that a crowd does not use up those
/// of everybody; past them an address has to be proven, and one that is is refused.
pub const NEWCOMERS_BEHIND: usize = 256;
/// What those behind the others get of one turn, in microseconds: a handshake or two, or ten frames.
pub const TURN_BEHIND_US: u64 = 200;
/// Messages from other shards in one turn.
pub const TURN_BUS_MESSAGES: usize = 1_024;
/// Slots of the ring from one shard to another. 64 shards: 63 rings of 1,024 slots each, 12 MiB a shard.
pub const RING_SLOTS: usize = 1_024;
/// Messages that wait behind a full ring; past it a message is lost, which the core is made for.
pub const RING_OVERFLOW: usize = 65_536;
/// Connections of a shard without a session, as a share of its sessions, past which new ones are refused.
pub const EXTRA_CONNECTIONS: usize = 4_096;
/// Connections that hold at least this many bytes are candidates when a shard must shed some.
pub const HEAVY_BYTES: usize = 8_192;

// ---------------------------------------------------------------------------------------------- site, configuration, operations

/// Connections to the control socket at once: an operator, a live view, and scripts.
pub const CONTROL_CONNECTIONS: usize = 8;
/// Longest order on the control socket, in bytes: a message for all pages is at most a part of it.
pub const CONTROL_ORDER_BYTES: usize = 4_096;
/// Longest message of the operator to everybody, in characters: two lines on a phone. It goes with every client-config.json.
pub const MESSAGE_CHARACTERS: usize = 280;
const _: () = assert!(
    2 * 4 * MESSAGE_CHARACTERS < CONTROL_ORDER_BYTES,
    "escaped, in the widest letters, it fits an order"
);
/// How long an order, and its answer, may take to arrive, in seconds.
pub const CONTROL_S: u64 = 10;

/// Most ranges of addresses of proxies in front of the site.
pub const MAX_PROXIES: usize = 64;
/// Most addresses that one part of the server listens on; each costs a socket a shard.
pub const MAX_ADDRESSES: usize = 8;
/// Port of WebTransport (UDP) when none is given.
pub const DEFAULT_LISTEN_PORT: u16 = 4433;
/// Port of the page (TCP) when none is given.
pub const DEFAULT_SITE_PORT: u16 = 8080;
/// Most shards: one a core of the largest machine at hand, and what fits into the two bytes of a connection ID.
pub const MAX_SHARDS: u16 = 256;
/// Most sessions at once that can be configured: 96 GiB at 24 KiB each.
pub const MAX_SESSIONS: u32 = 4_000_000;
/// Sessions at once unless configured.
pub const DEFAULT_MAX_SESSIONS: u32 = 1_000_000;
/// Most WebSockets at once that can be configured: one thread serves all of them.
pub const MAX_WEBSOCKETS: u32 = 100_000;
/// WebSockets at once unless configured.
pub const DEFAULT_MAX_WEBSOCKETS: u32 = 10_000;
/// Longest drain, in seconds: an hour outlasts nearly every chat, and a supervisor's patience.
pub const MAX_DRAIN_S: u64 = 3_600;
/// Drain unless configured, in seconds.
pub const DEFAULT_DRAIN_S: u64 = 30;
/// Highest setting of the half-open handshakes above which Retry is demanded; each holds about 8 KiB.
pub const MAX_RETRY_ABOVE: u32 = 1_000_000;
/// Half-open handshakes above which Retry is demanded unless configured: what 0.2 s of a full machine brings.
pub const DEFAULT_RETRY_ABOVE: u32 = 1_000;
/// Smallest cap on the buffers of a shard, in MiB: some hundred full holds.
pub const MIN_SHARD_BUFFER_MIB: u64 = 8;
/// Largest cap on the buffers of a shard, in MiB.
pub const MAX_SHARD_BUFFER_MIB: u64 = 65_536;
/// Cap on the buffers of a shard unless configured, in MiB: 4,096 strangers who hold 64 KiB each.
pub const DEFAULT_SHARD_BUFFER_MIB: u64 = 256;
/// Most origins in the configuration; each CONNECT is compared with all.
pub const MAX_ORIGINS: usize = 32;
/// Most TURN and STUN URLs: two relays over UDP, TCP and TLS, and their STUN.
pub const MAX_TURN_URLS: usize = 8;
/// Longest TURN or STUN URL, in bytes.
pub const TURN_URL_BYTES: usize = 120;
/// Most TURN secrets at once: the present one and the one that follows it.
pub const TURN_SECRETS: usize = 2;
/// Bytes of one entry of iceServers beside its URLs: names, a user name of 27 letters, a password of 28.
const ICE_ENTRY_BYTES: usize = 120;
/// Bytes of MATCHED beside iceServers and the interests.
const MATCHED_BYTES: usize = 120;
const _: () = assert!(
    TURN_SECRETS * (MAX_TURN_URLS * (TURN_URL_BYTES + 3) + ICE_ENTRY_BYTES)
        + INTERESTS * (4 * INTEREST_CHARACTERS + 3)
        + MATCHED_BYTES
        <= CONTROL_PAYLOAD_BYTES,
    "MATCHED holds all URLs with two credentials, and ten interests in the widest letters"
);
/// Longest TURN secret, in bytes.
pub const TURN_SECRET_BYTES: u64 = 1_024;
/// Shortest life of a TURN credential, in seconds. Under a minute is for tests: a browser that is slow to gather meets an
/// expired one.
pub const MIN_TURN_TTL_S: u64 = 10;
/// Longest life of a TURN credential, in seconds: what leaks is of no use after it.
pub const MAX_TURN_TTL_S: u64 = 600;
/// Life of a TURN credential unless configured, in seconds.
pub const DEFAULT_TURN_TTL_S: u64 = 600;
/// Largest configuration file, in bytes.
pub const CONFIG_FILE_BYTES: u64 = 65_536;
/// Largest PEM file, in bytes: a chain of ten certificates is 20 KiB.
pub const PEM_FILE_BYTES: u64 = 262_144;

/// Life of the self-made certificate, in seconds: 10 days and the hour before now, under the 14 days that browsers allow.
pub const SELF_MADE_CERTIFICATE_S: u64 = 10 * 86_400;
/// How long before now a self-made certificate begins, in seconds, for clients whose clock is behind.
pub const SELF_MADE_CERTIFICATE_BACKDATED_S: u64 = 3_600;
/// Age at which the next self-made certificate takes over, in seconds.
pub const SELF_MADE_CERTIFICATE_REPLACED_S: u64 = 5 * 86_400;
/// How long the next certificate's hash is listed before it is served, in seconds: a page that read the list just before
/// the change still knows it.
pub const SELF_MADE_CERTIFICATE_ANNOUNCED_S: u64 = 600;
/// How often it is looked at whether the certificate's files have changed, or a self-made one is old, in seconds: two calls of stat.
pub const CERTIFICATE_CHECK_S: u64 = 5;
const _: () = assert!(SELF_MADE_CERTIFICATE_S + SELF_MADE_CERTIFICATE_BACKDATED_S < 14 * 86_400);
const _: () =
    assert!(SELF_MADE_CERTIFICATE_REPLACED_S + SELF_MADE_CERTIFICATE_ANNOUNCED_S < SELF_MADE_CERTIFICATE_S);

/// How long an order with an authority may take, in seconds: it looks at every name from several places.
pub const ACME_ORDER_S: u64 = 300;
/// After an order that failed the next comes after so many seconds, then after twice as long each time. Authorities
/// count failures by the hour.
pub const ACME_SHORTEST_PAUSE_S: u64 = 60;
/// The longest time between two looks at the certificate, and between two orders, in seconds.
pub const ACME_LONGEST_PAUSE_S: u64 = 3_600;

/// Connections of the site at once; more wait in the kernel's backlog. Worst case with
/// [`SITE_HEAD_BYTES`] each: 64 MiB; the files themselves are in the binary.
pub const SITE_CONNECTIONS: usize = 1_024;
/// Connections that wait in the kernel's backlog of each address (Linux takes no more than `net.core.somaxconn`); the next ask again.
pub const SITE_BACKLOG: i32 = 1_024;
/// Longest request head on the site, in bytes, and the buffer of a connection.
pub const SITE_HEAD_BYTES: usize = 16_384;
/// Most header fields of a request.
pub const SITE_HEADERS: usize = 64;
/// How long a client may take to send a request's head, in seconds.
pub const SITE_HEAD_S: u64 = 10;
/// How long the connections of a site that a newer process has taken over may take to end, in seconds, before the old process does.
pub const SITE_FINISH_S: u64 = 5;
/// Longest life of a connection to the site, in seconds: a reader who takes nothing holds a place no longer.
pub const SITE_CONNECTION_S: u64 = 120;

/// Read from a WebSocket's connection at a time, in bytes: a piece of a channel pins no more than a slice of a datagram does.
pub const WEBSOCKET_READ_BYTES: usize = RECEIVE_BUFFER_BYTES;
/// Written to a WebSocket's connection at a time, in bytes: one record of TLS.
pub const WEBSOCKET_WRITE_BYTES: usize = 16_384;
/// What the system may hold unsent for one WebSocket before it counts as not taken by the client, in bytes.
pub const WEBSOCKET_UNSENT_BYTES: u32 = 16_384;
/// What TLS may hold for one connection of the site while the system takes nothing, in bytes.
pub const SITE_TLS_BYTES: usize = 32_768;
/// Longest payload of a WebSocket control frame (RFC 6455, section 5.5).
pub const WEBSOCKET_CONTROL_BYTES: usize = 125;
/// Longest reason in a WebSocket close frame, in bytes: a control frame less the code.
pub const WEBSOCKET_REASON_BYTES: usize = WEBSOCKET_CONTROL_BYTES - 2;
