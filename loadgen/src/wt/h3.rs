//! The little of HTTP/3 that one WebTransport session needs: varints, frames, SETTINGS, capsules.
//!
//! In: the bytes of one stream as they come. Out: whole frames. RFC 9114 sections 6 and 7, RFC 9297 section 3.

use crate::limits::MAX_H3_FRAME_BYTES;

/// Stream types and frame types in use.
pub mod kind {
    /// The control stream.
    pub const CONTROL_STREAM: u64 = 0x00;
    /// DATA frame.
    pub const DATA: u64 = 0x00;
    /// HEADERS frame.
    pub const HEADERS: u64 = 0x01;
    /// SETTINGS frame.
    pub const SETTINGS: u64 = 0x04;
    /// The first varint of a WebTransport bidirectional stream.
    pub const WEBTRANSPORT_STREAM: u64 = 0x41;
    /// The capsule that ends a session with a code and a reason.
    pub const CLOSE_SESSION: u64 = 0x2843;
}

/// SETTINGS that this client sends: extended CONNECT, datagrams, WebTransport (draft 02, then draft 07).
const SETTINGS: &[(u64, u64)] = &[(0x08, 1), (0x33, 1), (0x2b60_3742, 1), (0xc671_706a, 1)];
/// The setting without which a server does not take extended CONNECT (RFC 9220).
const ENABLE_CONNECT_PROTOCOL: u64 = 0x08;
/// Any of these says that the server speaks WebTransport.
const WEBTRANSPORT_SETTINGS: &[u64] = &[0x2b60_3742, 0xc671_706a, 0x14e9_cd29, 0x2c7c_f000];

/// Appends a QUIC variable-length integer.
pub fn put_varint(out: &mut Vec<u8>, value: u64) {
    match value {
        0..=0x3f => out.push(value as u8),
        0x40..=0x3fff => out.extend_from_slice(&(0x4000 | value as u16).to_be_bytes()),
        0x4000..=0x3fff_ffff => out.extend_from_slice(&(0x8000_0000 | value as u32).to_be_bytes()),
        _ => out.extend_from_slice(&(0xc000_0000_0000_0000 | value).to_be_bytes()),
    }
}

/// Reads a varint from the front of `bytes`; `None` if it is not whole yet.
pub fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let first = *bytes.first()?;
    let length = 1usize << (first >> 6);
    let (head, rest) = bytes.split_at_checked(length)?;
    let value = head[1..].iter().fold(u64::from(first & 0x3f), |value, byte| value << 8 | u64::from(*byte));
    *bytes = rest;
    Some(value)
}

/// Appends a frame (or a capsule: they look the same).
pub fn put_frame(out: &mut Vec<u8>, frame_type: u64, payload: &[u8]) {
    put_varint(out, frame_type);
    put_varint(out, payload.len() as u64);
    out.extend_from_slice(payload);
}

/// The first bytes of the client's control stream.
pub fn control_stream() -> Vec<u8> {
    let (mut payload, mut out) = (Vec::new(), Vec::new());
    for (id, value) in SETTINGS {
        put_varint(&mut payload, *id);
        put_varint(&mut payload, *value);
    }
    put_varint(&mut out, kind::CONTROL_STREAM);
    put_frame(&mut out, kind::SETTINGS, &payload);
    out
}

/// What the server's SETTINGS allow.
pub fn allows_webtransport(mut payload: &[u8]) -> bool {
    let (mut connect, mut webtransport) = (false, false);
    while let (Some(id), Some(value)) = (take_varint(&mut payload), take_varint(&mut payload)) {
        connect |= id == ENABLE_CONNECT_PROTOCOL && value == 1;
        webtransport |= WEBTRANSPORT_SETTINGS.contains(&id) && value > 0;
    }
    connect && webtransport
}

/// The frame is larger than this client is willing to hold.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLarge;

/// Cuts a stream into frames. Holds no memory between frames.
#[derive(Default)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
}

impl FrameBuffer {
    /// Adds bytes of the stream.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The leading varint of a stream (its type), once it is whole.
    pub fn take_varint(&mut self) -> Option<u64> {
        let mut rest = self.bytes.as_slice();
        let value = take_varint(&mut rest)?;
        self.consume(self.bytes.len() - rest.len());
        Some(value)
    }

    /// The next whole frame: its type and its payload.
    pub fn next_frame(&mut self) -> Result<Option<(u64, Vec<u8>)>, TooLarge> {
        let mut rest = self.bytes.as_slice();
        let (Some(frame_type), Some(length)) = (take_varint(&mut rest), take_varint(&mut rest)) else {
            return Ok(None);
        };
        if length > MAX_H3_FRAME_BYTES {
            return Err(TooLarge);
        }
        let Some(payload) = rest.get(..length as usize) else { return Ok(None) };
        let payload = payload.to_vec();
        self.consume(self.bytes.len() - rest.len() + payload.len());
        Ok(Some((frame_type, payload)))
    }

    fn consume(&mut self, count: usize) {
        self.bytes.drain(..count);
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_of_every_length_come_back() {
        for value in [0, 63, 64, 16_383, 16_384, (1 << 30) - 1, 1 << 30, (1 << 62) - 1] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            assert_eq!(take_varint(&mut bytes.as_slice()), Some(value));
            assert_eq!(take_varint(&mut &bytes[..bytes.len() - 1]), None);
        }
    }

    #[test]
    fn frames_come_out_whole_however_they_were_cut() {
        let mut stream = Vec::new();
        put_frame(&mut stream, kind::HEADERS, b"abc");
        put_frame(&mut stream, 0x21, b"");
        put_frame(&mut stream, kind::DATA, &[7; 300]);
        let (mut buffer, mut frames) = (FrameBuffer::default(), Vec::new());
        for byte in stream {
            buffer.extend(&[byte]);
            while let Some((frame_type, payload)) = buffer.next_frame().unwrap() {
                frames.push((frame_type, payload.len()));
            }
        }
        assert_eq!(frames, [(kind::HEADERS, 3), (0x21, 0), (kind::DATA, 300)]);
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_before_it_is_held() {
        let mut buffer = FrameBuffer::default();
        let mut bytes = Vec::new();
        put_varint(&mut bytes, kind::DATA);
        put_varint(&mut bytes, MAX_H3_FRAME_BYTES + 1);
        buffer.extend(&bytes);
        assert_eq!(buffer.next_frame(), Err(TooLarge));
    }

    #[test]
    fn the_servers_settings_must_offer_connect_and_webtransport() {
        let mut own = control_stream();
        own.drain(..3);
        assert!(allows_webtransport(&own));
        assert!(!allows_webtransport(&[0x08, 0x01]));
        assert!(!allows_webtransport(&[]));
    }
}
