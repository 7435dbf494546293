//! Steps 2 and 5 of 6: frames on the wire (PROTOCOL.md section 2).
//!
//! In: the bytes of a channel in whatever slices QUIC gives. Out: complete frames, a relayed one as slices of what came
//! in. A header is judged as soon as it is there, before any payload. Nothing is allocated by what a header announces:
//! memory follows the bytes that have really come.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::io::{ChatId, CloseCode, FrameBytes, RelayFrame};
use crate::limits::{
    CONTROL_PAYLOAD_BYTES, COPY_BELOW_BYTES, FRAME_HEADER_BYTES, RECEIVE_BUFFER_BYTES, SIGNAL_PAYLOAD_BYTES,
    TEXT_PAYLOAD_BYTES,
};

/// The type of SIGNAL.
pub const SIGNAL: u8 = 0x81;
/// The type of TEXT.
pub const TEXT: u8 = 0x82;
/// A relayed frame's header and chat number.
const RELAY_HEAD_BYTES: usize = FRAME_HEADER_BYTES + 4;

/// The frames that a client says to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ControlKind {
    /// The first frame.
    Hello = 0x01,
    /// Looks for a stranger.
    Find = 0x02,
    /// Leaves the chat or the queue.
    Leave = 0x03,
    /// Reports the stranger.
    Report = 0x04,
    /// Never meets this stranger again.
    Block = 0x05,
}

/// The frames that the server says to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ServerKind {
    /// Answers HELLO.
    Welcome = 0x41,
    /// No stranger yet.
    Waiting = 0x42,
    /// The chat is on.
    Matched = 0x43,
    /// The chat is over.
    Ended = 0x44,
    /// The stranger's connection went silent, or came back.
    Peer = 0x45,
    /// Something asked for was refused.
    Notice = 0x46,
    /// The server is going away.
    Drain = 0x47,
    /// Fresh TURN credentials.
    Ice = 0x48,
}

/// A complete frame from a client.
#[derive(Clone, derive_more::Debug, PartialEq, Eq)]
pub enum Frame {
    /// Meant for the server.
    Control {
        /// Its type.
        kind: ControlKind,
        /// JSON, or nothing.
        #[debug("{} bytes", payload.len())]
        payload: Bytes,
    },
    /// Meant for the stranger.
    Relay(RelayFrame),
}

/// What a client did wrong; the session is closed for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameFault {
    /// A type that clients do not send.
    Type,
    /// A length over the type's limit.
    TooLong,
    /// A relayed payload without room for a chat number.
    NoChat,
}

impl FrameFault {
    /// The close code for it.
    pub const fn code(self) -> CloseCode {
        match self {
            Self::Type | Self::NoChat => CloseCode::Protocol,
            Self::TooLong => CloseCode::TooLarge,
        }
    }

    /// The reason for it, in plain words.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Type => "unknown frame type",
            Self::TooLong => "frame too large for its type",
            Self::NoChat => "relayed frame without a chat number",
        }
    }
}

/// What a header that has been judged says.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Control(ControlKind),
    Relay,
}

/// Judges a header: the kind and the length of the payload.
fn judge(header: [u8; FRAME_HEADER_BYTES]) -> Result<(Kind, usize), FrameFault> {
    let (kind, longest) = match header[0] {
        0x01 => (Kind::Control(ControlKind::Hello), CONTROL_PAYLOAD_BYTES),
        0x02 => (Kind::Control(ControlKind::Find), CONTROL_PAYLOAD_BYTES),
        0x03 => (Kind::Control(ControlKind::Leave), 0),
        0x04 => (Kind::Control(ControlKind::Report), CONTROL_PAYLOAD_BYTES),
        0x05 => (Kind::Control(ControlKind::Block), 0),
        SIGNAL => (Kind::Relay, SIGNAL_PAYLOAD_BYTES),
        TEXT => (Kind::Relay, TEXT_PAYLOAD_BYTES),
        _ => return Err(FrameFault::Type),
    };
    let length = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
    if length > longest {
        return Err(FrameFault::TooLong);
    }
    if matches!(kind, Kind::Relay) && length < 4 {
        return Err(FrameFault::NoChat);
    }
    Ok((kind, length))
}

/// A frame of which some bytes are missing.
#[derive(derive_more::Debug)]
struct Partial {
    kind: Kind,
    missing: usize,
    /// Slices of what came in, large ones; then, in `tail`, small ones copied together.
    #[debug("{} of them", slices.len())]
    slices: Vec<Bytes>,
    #[debug("{} bytes", tail.len())]
    tail: BytesMut,
}

impl Partial {
    fn add(&mut self, piece: Bytes) {
        self.missing -= piece.len();
        if piece.len() < COPY_BELOW_BYTES {
            self.tail.extend_from_slice(&piece);
        } else {
            self.close_tail();
            self.slices.push(piece);
        }
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.slices.push(std::mem::take(&mut self.tail).freeze());
        }
    }

    fn finish(mut self) -> FrameBytes {
        self.close_tail();
        let mut slices = self.slices.into_iter();
        FrameBytes { first: slices.next().unwrap_or_default(), rest: slices.collect() }
    }

    fn pinned_bytes(&self) -> usize {
        self.slices.len() * RECEIVE_BUFFER_BYTES + self.tail.capacity()
    }
}

/// Cuts the bytes of one channel into frames. One for every connection, so an idle one is small and holds no heap.
///
/// Call [`push`](Self::push) with what came, then [`next`](Self::next) until it gives `None`; to stop in between is
/// allowed, and the rest is kept.
#[derive(derive_more::Debug, Default)]
pub struct FrameDecoder {
    /// What has come and is not yet part of a frame.
    #[debug("{} bytes", current.len())]
    current: Bytes,
    /// A frame that has begun; its bytes come before `current`.
    partial: Option<Box<Partial>>,
    /// The first bytes of a header that is not complete.
    #[debug("{header_bytes} bytes")]
    header: [u8; FRAME_HEADER_BYTES],
    header_bytes: u8,
}

impl FrameDecoder {
    /// Takes the next bytes of the channel. A small chunk is copied, so that it does not pin the datagram it came in.
    pub fn push(&mut self, chunk: Bytes) {
        if !self.current.is_empty() {
            let mut joined = BytesMut::with_capacity(self.current.len() + chunk.len());
            joined.put_slice(&self.current);
            joined.put_slice(&chunk);
            self.current = joined.freeze();
        } else if chunk.len() < COPY_BELOW_BYTES && self.partial.is_none() {
            self.current = Bytes::copy_from_slice(&chunk);
        } else {
            self.current = chunk;
        }
    }

    #[expect(clippy::should_implement_trait, reason = "an iterator would end at the first `None`")]
    /// The next complete frame, `None` until more bytes have come. After a fault the channel makes no sense any more.
    pub fn next(&mut self) -> Result<Option<Frame>, FrameFault> {
        if self.partial.is_none() {
            match self.begin()? {
                Begun::Whole(frame) => return Ok(Some(frame)),
                Begun::Nothing => return Ok(None),
                Begun::Partial => {}
            }
        }
        let Some(partial) = &mut self.partial else { return Ok(None) };
        let take = partial.missing.min(self.current.len());
        if take > 0 {
            partial.add(self.current.split_to(take));
        }
        if partial.missing > 0 {
            return Ok(None);
        }
        Ok(self.partial.take().map(|partial| complete(partial.kind, partial.finish())))
    }

    /// Bytes of memory that what it holds may pin, counted at the worst.
    pub fn pinned_bytes(&self) -> usize {
        let current = if self.current.is_empty() { 0 } else { RECEIVE_BUFFER_BYTES.max(self.current.len()) };
        current + self.partial.as_ref().map_or(0, |partial| size_of::<Partial>() + partial.pinned_bytes())
    }

    fn begin(&mut self) -> Result<Begun, FrameFault> {
        let had = self.header_bytes as usize;
        let take = (FRAME_HEADER_BYTES - had).min(self.current.len());
        self.header[had..had + take].copy_from_slice(&self.current[..take]);
        if had + take < FRAME_HEADER_BYTES {
            self.header_bytes += take as u8;
            self.current = Bytes::new();
            return Ok(Begun::Nothing);
        }
        let (kind, length) = judge(self.header)?;
        let frame_bytes = FRAME_HEADER_BYTES + length;
        if had == 0 && self.current.len() >= frame_bytes {
            let bytes = self.current.split_to(frame_bytes);
            return Ok(Begun::Whole(complete(kind, bytes.into())));
        }
        self.current.advance(take);
        self.header_bytes = 0;
        let mut tail = BytesMut::with_capacity(FRAME_HEADER_BYTES + length.min(COPY_BELOW_BYTES));
        tail.put_slice(&self.header);
        self.partial = Some(Box::new(Partial { kind, missing: length, slices: Vec::new(), tail }));
        Ok(Begun::Partial)
    }
}

enum Begun {
    Nothing,
    Partial,
    Whole(Frame),
}

fn complete(kind: Kind, bytes: FrameBytes) -> Frame {
    match kind {
        Kind::Relay => Frame::Relay(RelayFrame { chat: chat_number(&bytes), bytes }),
        Kind::Control(kind) => Frame::Control { kind, payload: join(bytes).slice(FRAME_HEADER_BYTES..) },
    }
}

/// The chat number of a relayed frame, wherever its slices are cut.
fn chat_number(frame: &FrameBytes) -> ChatId {
    let mut head = [0; RELAY_HEAD_BYTES];
    let slices = std::iter::once(&frame.first).chain(&frame.rest);
    for (to, from) in head.iter_mut().zip(slices.flat_map(|slice| slice.iter())) {
        *to = *from;
    }
    ChatId(u32::from_be_bytes([head[4], head[5], head[6], head[7]]))
}

/// One slice of all: for control frames, which are at most 4 KiB.
fn join(frame: FrameBytes) -> Bytes {
    if frame.rest.is_empty() {
        return frame.first;
    }
    let mut joined = BytesMut::with_capacity(frame.len());
    joined.put_slice(&frame.first);
    frame.rest.iter().for_each(|slice| joined.put_slice(slice));
    joined.freeze()
}

/// A server frame whose payload `write` appends.
pub fn encode(kind: ServerKind, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut frame = Vec::with_capacity(128);
    frame.extend_from_slice(&[kind as u8, 0, 0, 0]);
    write(&mut frame);
    let length = (frame.len() - FRAME_HEADER_BYTES) as u32;
    debug_assert!(length as usize <= CONTROL_PAYLOAD_BYTES);
    frame[1..FRAME_HEADER_BYTES].copy_from_slice(&length.to_be_bytes()[1..]);
    Bytes::from(frame)
}

/// A client frame: for tests, benchmarks and the load generator.
pub fn encode_control(kind: ControlKind, payload: &[u8]) -> Bytes {
    raw(kind as u8, &[payload])
}

/// A relayed frame of type [`SIGNAL`] or [`TEXT`]: for tests, benchmarks and the load generator.
pub fn encode_relay(kind: u8, chat: ChatId, payload: &[u8]) -> Bytes {
    raw(kind, &[&chat.0.to_be_bytes(), payload])
}

fn raw(kind: u8, parts: &[&[u8]]) -> Bytes {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut frame = BytesMut::with_capacity(FRAME_HEADER_BYTES + length);
    frame.put_u32((u32::from(kind) << 24) | (length as u32 & 0x00ff_ffff));
    for part in parts {
        frame.put_slice(part);
    }
    frame.freeze()
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
