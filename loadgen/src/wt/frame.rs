//! The frames of the AnonCam channel (docs/PROTOCOL.md section 2), as a client writes and reads them.
//!
//! In: chunks of the channel as QUIC delivers them. Out: whole frames, as slices of the chunks where they can be.

use bytes::{Bytes, BytesMut};

use crate::limits::MAX_CHANNEL_PAYLOAD_BYTES;

/// HELLO, client to server.
pub const HELLO: u8 = 0x01;
/// FIND, client to server.
pub const FIND: u8 = 0x02;
/// LEAVE, client to server.
pub const LEAVE: u8 = 0x03;
/// WELCOME, server to client.
pub const WELCOME: u8 = 0x41;
/// WAITING, server to client.
pub const WAITING: u8 = 0x42;
/// MATCHED, server to client.
pub const MATCHED: u8 = 0x43;
/// ENDED, server to client.
pub const ENDED: u8 = 0x44;
/// NOTICE, server to client.
pub const NOTICE: u8 = 0x46;
/// DRAIN, server to client.
pub const DRAIN: u8 = 0x47;
/// SIGNAL, relayed both ways.
pub const SIGNAL: u8 = 0x81;
/// TEXT, relayed both ways.
pub const TEXT: u8 = 0x82;

/// Bytes of a frame's header: type, and a length of three bytes.
pub const HEADER_BYTES: usize = 4;

/// A whole frame.
pub fn encode(frame_type: u8, payload: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(HEADER_BYTES + payload.len());
    out.extend_from_slice(&(u32::from(frame_type) << 24 | payload.len() as u32).to_be_bytes());
    out.extend_from_slice(payload);
    out.into()
}

/// The server announced a frame that the protocol does not allow.
#[derive(Debug, PartialEq, Eq)]
pub struct Oversized;

/// Cuts the channel into frames. Holds no memory while no frame is cut in two.
#[derive(Default)]
pub struct FrameReader {
    /// The bytes of a frame that is not whole yet.
    partial: BytesMut,
}

impl FrameReader {
    /// Takes a chunk and calls `whole` for every frame that it completes.
    pub fn push(&mut self, mut chunk: Bytes, mut whole: impl FnMut(u8, Bytes)) -> Result<(), Oversized> {
        if !self.partial.is_empty() {
            self.partial.extend_from_slice(&chunk);
            chunk = std::mem::take(&mut self.partial).freeze();
        }
        while let Some((header, _)) = chunk.split_first_chunk::<HEADER_BYTES>() {
            let length = (u32::from_be_bytes(*header) & 0x00ff_ffff) as usize;
            if length > MAX_CHANNEL_PAYLOAD_BYTES {
                return Err(Oversized);
            }
            if chunk.len() < HEADER_BYTES + length {
                break;
            }
            let frame_type = header[0];
            let frame = chunk.split_to(HEADER_BYTES + length);
            whole(frame_type, frame.slice(HEADER_BYTES..));
        }
        if !chunk.is_empty() {
            self.partial = BytesMut::from(chunk.as_ref());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_whole_however_they_were_cut() {
        let mut stream = encode(WELCOME, b"{}").to_vec();
        stream.extend_from_slice(&encode(TEXT, &[9; 700]));
        stream.extend_from_slice(&encode(LEAVE, b""));
        for cut in 1..stream.len() {
            let (mut reader, mut seen) = (FrameReader::default(), Vec::new());
            for part in [&stream[..cut], &stream[cut..]] {
                let chunk = Bytes::copy_from_slice(part);
                reader.push(chunk, |frame_type, payload| seen.push((frame_type, payload.len()))).unwrap();
            }
            assert_eq!(seen, [(WELCOME, 2), (TEXT, 700), (LEAVE, 0)], "cut at {cut}");
            assert!(reader.partial.is_empty());
        }
    }

    #[test]
    fn a_length_over_the_limit_is_refused() {
        let header = Bytes::from_static(&[SIGNAL, 0xff, 0xff, 0xff]);
        assert_eq!(FrameReader::default().push(header, |_, _| ()), Err(Oversized));
    }
}
