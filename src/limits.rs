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

// ---------------------------------------------------------------------------------------------- transport (steps 1 and 5)

// ---------------------------------------------------------------------------------------------- site, configuration, operations

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
/// Most TURN URLs, and the bytes of one: MATCHED has to hold them beside ten interests.
pub const MAX_TURN_URLS: usize = 4;
/// Longest TURN URL, in bytes.
pub const TURN_URL_BYTES: usize = 200;
/// Longest TURN secret, in bytes.
pub const TURN_SECRET_BYTES: u64 = 1_024;
/// Shortest life of a TURN credential, in seconds.
pub const MIN_TURN_TTL_S: u64 = 60;
/// Longest life of a TURN credential, in seconds: what leaks is of no use after it.
pub const MAX_TURN_TTL_S: u64 = 3_600;
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
/// How often the age of the certificate is looked at, in seconds.
pub const CERTIFICATE_CHECK_S: u64 = 60;
const _: () = assert!(SELF_MADE_CERTIFICATE_S + SELF_MADE_CERTIFICATE_BACKDATED_S < 14 * 86_400);
const _: () =
    assert!(SELF_MADE_CERTIFICATE_REPLACED_S + SELF_MADE_CERTIFICATE_ANNOUNCED_S < SELF_MADE_CERTIFICATE_S);

/// Connections of the site at once; more wait in the kernel's backlog. Worst case with
/// [`SITE_HEAD_BYTES`] each: 64 MiB; the files themselves are in the binary.
pub const SITE_CONNECTIONS: usize = 1_024;
/// Longest request head on the site, in bytes, and the buffer of a connection.
pub const SITE_HEAD_BYTES: usize = 16_384;
/// Most header fields of a request.
pub const SITE_HEADERS: usize = 64;
/// How long a client may take to send a request's head, in seconds.
pub const SITE_HEAD_S: u64 = 10;
/// Longest life of a connection to the site, in seconds: a reader who takes nothing holds a place no longer.
pub const SITE_CONNECTION_S: u64 = 120;
