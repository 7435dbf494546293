//! WebSocket frames (RFC 6455, section 5), as a server reads and writes them: without sockets.
//!
//! In: what the connection gave. Out: the payload of binary messages, piece by piece as it comes, so that a message of any length costs no
//! memory; pings, pongs and the client's close. Headers are read and written by tungstenite.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use crate::limits::{WEBSOCKET_CONTROL_BYTES, WEBSOCKET_REASON_BYTES};

/// Longest header of a client's frame.
const HEADER_BYTES: usize = 14;

/// What a client did wrong, as the code that its connection is closed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not the framing of RFC 6455.
    Framing,
    /// A text message: the channel's bytes are binary.
    Text,
}

/// What a step has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// So many bytes of the channel, at the end of what the step used.
    Payload(usize),
    /// The client wants its payload back: [`Reader::control`].
    Ping,
    /// The client has answered, or says that it is there.
    Pong,
    /// The client is done, with this code if it gave one.
    Close(Option<u16>),
    /// Nothing, but there may be more.
    Nothing,
}

/// Reads one client's frames. A frame that has begun keeps its header and how much is missing, nothing else.
#[derive(Debug, Default)]
pub struct Reader {
    header: [u8; HEADER_BYTES],
    header_bytes: usize,
    frame: Option<Open>,
    /// Whether a message has begun of which more frames have to come.
    in_message: bool,
    /// The payload of the control frame that was read last, at most [`WEBSOCKET_CONTROL_BYTES`].
    control: Vec<u8>,
}

/// A frame whose payload is being read.
#[derive(Clone, Copy, Debug)]
struct Open {
    kind: OpCode,
    missing: u64,
    /// Turned so that its first byte is for the next byte of the payload.
    mask: [u8; 4],
}

impl Reader {
    /// Reads from the front of `input` until something is found; unmasks in place. Returns how many bytes were used.
    pub fn step(&mut self, input: &mut [u8]) -> Result<(usize, Found), Fault> {
        let Some(open) = self.frame else { return self.read_header(input) };
        let take = usize::try_from(open.missing).unwrap_or(usize::MAX).min(input.len());
        let payload = &mut input[..take];
        for (byte, mask) in payload.iter_mut().zip(open.mask.iter().cycle()) {
            *byte ^= mask;
        }
        let mut mask = open.mask;
        mask.rotate_left(take % 4);
        let missing = open.missing - take as u64;
        self.frame = (missing > 0).then_some(Open { missing, mask, ..open });
        let OpCode::Control(kind) = open.kind else { return Ok((take, Found::Payload(take))) };
        self.control.extend_from_slice(payload);
        if missing > 0 { Ok((take, Found::Nothing)) } else { Ok((take, self.end_control(kind)?)) }
    }

    /// The payload of the last ping.
    pub fn control(&self) -> &[u8] {
        &self.control
    }

    fn read_header(&mut self, input: &[u8]) -> Result<(usize, Found), Fault> {
        let had = self.header_bytes;
        let take = (HEADER_BYTES - had).min(input.len());
        self.header[had..had + take].copy_from_slice(&input[..take]);
        let mut cursor = Cursor::new(&self.header[..had + take]);
        let Some((header, length)) = FrameHeader::parse(&mut cursor).map_err(|_| Fault::Framing)? else {
            self.header_bytes += take;
            return Ok((take, Found::Nothing));
        };
        let used = cursor.position() as usize - had;
        self.header_bytes = 0;
        self.begin(&header, length)?;
        match header.opcode {
            OpCode::Control(kind) if length == 0 => Ok((used, self.end_control(kind)?)),
            OpCode::Control(_) | OpCode::Data(_) => Ok((used, Found::Nothing)),
        }
    }

    fn begin(&mut self, header: &FrameHeader, length: u64) -> Result<(), Fault> {
        let FrameHeader { is_final, rsv1, rsv2, rsv3, opcode, mask } = *header;
        let mask = mask.filter(|_| !(rsv1 || rsv2 || rsv3)).ok_or(Fault::Framing)?;
        match opcode {
            OpCode::Data(Data::Text) => return Err(Fault::Text),
            OpCode::Data(kind) => {
                if (kind == Data::Continue) != self.in_message {
                    return Err(Fault::Framing);
                }
                self.in_message = !is_final;
            }
            OpCode::Control(_) => {
                if !is_final || length > WEBSOCKET_CONTROL_BYTES as u64 {
                    return Err(Fault::Framing);
                }
                self.control.clear();
            }
        }
        self.frame = (length > 0).then_some(Open { kind: opcode, missing: length, mask });
        Ok(())
    }

    fn end_control(&self, kind: Control) -> Result<Found, Fault> {
        match (kind, self.control()) {
            (Control::Ping, _) => Ok(Found::Ping),
            (Control::Pong, _) => Ok(Found::Pong),
            (Control::Close, []) => Ok(Found::Close(None)),
            (Control::Close, &[high, low, ..]) => Ok(Found::Close(Some(u16::from_be_bytes([high, low])))),
            (Control::Close | Control::Reserved(_), _) => Err(Fault::Framing),
        }
    }
}

/// Appends the header of a whole message of `length` bytes.
pub fn write_binary_header(length: usize, to: &mut Vec<u8>) {
    write_header(OpCode::Data(Data::Binary), length, to);
}

/// Appends a ping without a payload.
pub fn write_ping(to: &mut Vec<u8>) {
    write_header(OpCode::Control(Control::Ping), 0, to);
}

/// Appends a pong.
pub fn write_pong(payload: &[u8], to: &mut Vec<u8>) {
    write_header(OpCode::Control(Control::Pong), payload.len(), to);
    to.extend_from_slice(payload);
}

/// Appends a close. The reason is cut at the end of a character.
pub fn write_close(code: u16, reason: &str, to: &mut Vec<u8>) {
    let most = reason.len().min(WEBSOCKET_REASON_BYTES);
    let end = (0..=most).rev().find(|at| reason.is_char_boundary(*at)).unwrap_or(0);
    let reason = &reason[..end];
    write_header(OpCode::Control(Control::Close), 2 + reason.len(), to);
    to.extend_from_slice(&code.to_be_bytes());
    to.extend_from_slice(reason.as_bytes());
}

fn write_header(opcode: OpCode, length: usize, to: &mut Vec<u8>) {
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    // Writing to a Vec does not fail.
    let _ = header.format(length as u64, to);
}

/// Whether a code may be sent back in a close frame (RFC 6455, section 7.4).
pub fn may_be_sent(code: u16) -> bool {
    CloseCode::from(code).is_allowed()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's frame, masked.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        const MASK: [u8; 4] = [0xa1, 0x02, 0xf3, 0x44];
        let mut bytes = vec![first];
        match payload.len() {
            short @ 0..=125 => bytes.push(0x80 | short as u8),
            long => {
                bytes.push(0xfe);
                bytes.extend_from_slice(&(long as u16).to_be_bytes());
            }
        }
        bytes.extend_from_slice(&MASK);
        bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    /// What a reader makes of bytes that come in pieces of this size: the channel's bytes, and everything else.
    fn read(bytes: &[u8], piece: usize) -> Result<(Vec<u8>, Vec<Found>), Fault> {
        let (mut reader, mut channel, mut others) = (Reader::default(), Vec::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            let mut input = piece.to_vec();
            let mut at = 0;
            while at < input.len() {
                let (used, found) = reader.step(&mut input[at..])?;
                at += used;
                match found {
                    Found::Payload(length) => channel.extend_from_slice(&input[at - length..at]),
                    Found::Nothing => {}
                    found => others.push(found),
                }
            }
        }
        Ok((channel, others))
    }

    #[test]
    fn the_channel_is_the_same_in_any_slicing() {
        let words: Vec<u8> = (0..3_000_u32).map(|n| n as u8).collect();
        let stream = [
            frame(0x82, &words[..10]),
            frame(0x02, &words[10..500]), // begins a message of three frames, with a ping between them
            frame(0x89, b"are you there?"),
            frame(0x00, &[]),
            frame(0x80, &words[500..]),
            frame(0x8a, b""),
            frame(0x88, &[&4_001_u16.to_be_bytes()[..], "adieu".as_bytes()].concat()),
        ]
        .concat();
        let expected = vec![Found::Ping, Found::Pong, Found::Close(Some(4_001))];
        for piece in [1, 2, 3, 7, 64, 1_000, stream.len()] {
            assert_eq!(read(&stream, piece), Ok((words.clone(), expected.clone())), "pieces of {piece}");
        }
    }

    #[test]
    fn what_is_no_websocket_is_refused() {
        let unmasked = vec![0x82, 1, b'x'];
        let faults = [
            (unmasked, Fault::Framing),
            (frame(0x81, b"text"), Fault::Text),
            (frame(0x80, b"continues nothing"), Fault::Framing),
            ([frame(0x02, b"a"), frame(0x82, b"b")].concat(), Fault::Framing),
            (frame(0xc2, b"a reserved bit"), Fault::Framing),
            (frame(0x83, b"an unknown kind"), Fault::Framing),
            (frame(0x09, b"a ping in parts"), Fault::Framing),
            (frame(0x89, &[0; 126]), Fault::Framing),
            (frame(0x88, &[3]), Fault::Framing),
        ];
        for (bytes, fault) in faults {
            assert_eq!(read(&bytes, bytes.len()), Err(fault), "{bytes:02x?}");
        }
    }

    #[test]
    fn a_message_without_end_costs_nothing() {
        // 2^62 bytes are announced, and what has come is passed on.
        let mut bytes = vec![0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend_from_slice(b"a beginning");
        assert_eq!(read(&bytes, 5), Ok((b"a beginning".to_vec(), vec![])));
        assert!(size_of::<Reader>() < 256);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        for text in ["x".repeat(200), "ü".repeat(100), "🙂".repeat(50), "short".to_owned()] {
            let mut bytes = Vec::new();
            write_close(4_008, &text, &mut bytes);
            let reason = std::str::from_utf8(&bytes[4..]).expect("UTF-8");
            assert_eq!(bytes[..4], [0x88, (2 + reason.len()) as u8, 0x0f, 0xa8]);
            assert!(text.starts_with(reason) && reason.len() <= 123, "{reason}");
            assert!(reason.len() > 119 || reason == text, "no more is cut than has to be");
        }
    }
}
