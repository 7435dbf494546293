//! Numbers of the wire: stream, frame, setting and capsule types, and the error codes that answer their misuse.
//!
//! Part of steps 1 and 6. Sources: RFC 9114 (HTTP/3), RFC 9204 (QPACK), RFC 9297 (datagrams and capsules),
//! draft-ietf-webtrans-http3-02 (WebTransport).

/// Error codes of connections and streams.
pub mod error {
    /// The connection or stream ends without an error.
    pub const NO_ERROR: u64 = 0x100;
    /// The peer opened a stream that it must not open.
    pub const STREAM_CREATION_ERROR: u64 = 0x103;
    /// A stream that has to live as long as the connection was closed.
    pub const CLOSED_CRITICAL_STREAM: u64 = 0x104;
    /// A frame came where it is not allowed.
    pub const FRAME_UNEXPECTED: u64 = 0x105;
    /// A frame's length contradicts its content.
    pub const FRAME_ERROR: u64 = 0x106;
    /// The peer asks for more than is reasonable.
    pub const EXCESSIVE_LOAD: u64 = 0x107;
    /// An id was used wrongly.
    pub const ID_ERROR: u64 = 0x108;
    /// A setting is forbidden, repeated or out of range.
    pub const SETTINGS_ERROR: u64 = 0x109;
    /// The control stream did not begin with SETTINGS.
    pub const MISSING_SETTINGS: u64 = 0x10a;
    /// A request was not processed.
    pub const REQUEST_REJECTED: u64 = 0x10b;
    /// A request is no longer of interest.
    pub const REQUEST_CANCELLED: u64 = 0x10c;
    /// A request's stream ended before the request did.
    pub const REQUEST_INCOMPLETE: u64 = 0x10d;
    /// A request or capsule is malformed.
    pub const MESSAGE_ERROR: u64 = 0x10e;
    /// A field section could not be decoded.
    pub const QPACK_DECOMPRESSION_FAILED: u64 = 0x200;
    /// The encoder stream carried an instruction that is not allowed.
    pub const QPACK_ENCODER_STREAM_ERROR: u64 = 0x201;
    /// The decoder stream carried an instruction that is not allowed.
    pub const QPACK_DECODER_STREAM_ERROR: u64 = 0x202;
    /// A WebTransport stream names a session that does not exist.
    pub const WEBTRANSPORT_BUFFERED_STREAM_REJECTED: u64 = 0x3994_bd84;
    /// The session of a WebTransport stream is over.
    pub const WEBTRANSPORT_SESSION_GONE: u64 = 0x170d_7b68;
}

/// Types of unidirectional streams.
pub mod stream {
    /// The HTTP/3 control stream.
    pub const CONTROL: u64 = 0x00;
    /// A push stream: only servers may open one.
    pub const PUSH: u64 = 0x01;
    /// QPACK instructions of the peer's encoder.
    pub const QPACK_ENCODER: u64 = 0x02;
    /// QPACK instructions of the peer's decoder.
    pub const QPACK_DECODER: u64 = 0x03;
    /// A unidirectional stream of a WebTransport session.
    pub const WEBTRANSPORT_UNI: u64 = 0x54;
    /// What a bidirectional stream of a WebTransport session begins with, in place of a frame type.
    pub const WEBTRANSPORT_BIDI: u64 = 0x41;
}

/// Ids of settings.
pub mod setting {
    /// Bytes of QPACK's dynamic table: 0 here.
    pub const QPACK_MAX_TABLE_CAPACITY: u64 = 0x01;
    /// Largest field section the sender takes.
    pub const MAX_FIELD_SECTION_SIZE: u64 = 0x06;
    /// Streams that may wait for QPACK's dynamic table: 0 here.
    pub const QPACK_BLOCKED_STREAMS: u64 = 0x07;
    /// Extended CONNECT (RFC 9220).
    pub const ENABLE_CONNECT_PROTOCOL: u64 = 0x08;
    /// HTTP datagrams (RFC 9297).
    pub const H3_DATAGRAM: u64 = 0x33;
    /// WebTransport as of draft 02: Chromium and Firefox look for it.
    pub const ENABLE_WEBTRANSPORT: u64 = 0x2b60_3742;
    /// WebTransport as of draft 07: Safari looks for it.
    pub const WEBTRANSPORT_MAX_SESSIONS: u64 = 0xc671_706a;
}

/// Types of capsules.
pub mod capsule {
    /// Ends the session with a code and a reason.
    pub const CLOSE_WEBTRANSPORT_SESSION: u64 = 0x2843;
}

/// The HTTP/3 error code that carries a WebTransport application error, so that the peer's page reads `code` again.
///
/// The mapping leaves out the codepoints of the form `0x1f * N + 0x21`, which HTTP/3 reserves
/// (draft-ietf-webtrans-http3-02, section 4.3).
#[must_use]
pub const fn webtransport_error(code: u32) -> u64 {
    let code = code as u64;
    0x52e4_a40f_a8db + code + code / 0x1e
}

#[cfg(test)]
mod tests {
    use super::webtransport_error;

    #[test]
    fn application_errors_map_as_the_draft_says_and_never_to_a_reserved_codepoint() {
        assert_eq!(webtransport_error(0), 0x52e4_a40f_a8db);
        assert_eq!(webtransport_error(1), 0x52e4_a40f_a8dc);
        assert_eq!(webtransport_error(0x1e), 0x52e4_a40f_a8db + 0x1f);
        assert_eq!(webtransport_error(u32::MAX), 0x52e5_ac98_3162, "the last codepoint the draft registers");
        for code in (0..10_000).chain(u32::MAX - 10_000..=u32::MAX) {
            assert_ne!((webtransport_error(code) - 0x21) % 0x1f, 0, "{code}");
        }
    }
}
