//! Tests of the session layer: one test world, and what clients write.

mod conformance;
mod privacy;
mod slicing;
mod story;

use std::sync::Arc;

use bytes::Bytes;

use super::codes::setting;
use super::varint::write_varint;
use super::{Effect, Policy, Received, Session, StreamId};

/// Where the client's streams are in most tests.
pub const CONTROL: u64 = 2;
pub const ENCODER: u64 = 6;
pub const DECODER: u64 = 10;
pub const CONNECT: u64 = 0;
pub const CHANNEL: u64 = 4;

/// A session layer behind a handshake, and everything that it asked its driver to do.
pub struct World {
    pub session: Session,
}

impl World {
    pub fn new() -> Self {
        let policy = Policy::new(vec!["https://chat.example".into()], true);
        let mut session = Session::new(Arc::new(policy));
        session.handle_handshake_done();
        assert_eq!(session.poll_effect(), Some(Effect::OpenUni));
        session.handle_uni_opened(StreamId(3));
        assert!(matches!(session.poll_effect(), Some(Effect::Write { id: StreamId(3), .. })));
        assert_eq!(session.poll_effect(), None);
        Self { session }
    }

    /// A world in which the client has an open session and no channel yet.
    pub fn with_session() -> Self {
        let mut world = Self::new();
        world.send(CONTROL, &control());
        world.send(CONNECT, &connect());
        let effects = world.effects();
        assert!(matches!(&effects[..], [Effect::Write { id: StreamId(CONNECT), .. }, Effect::SessionOpened]));
        world
    }

    /// A world in which the client has a session and its channel.
    pub fn with_channel() -> Self {
        let mut world = Self::with_session();
        world.send(CHANNEL, &webtransport_stream(CONNECT));
        assert!(matches!(&world.effects()[..], [Effect::ChannelOpened { id: StreamId(CHANNEL), .. }]));
        world
    }

    pub fn send(&mut self, id: u64, bytes: &[u8]) -> Received {
        self.session.handle_stream(StreamId(id), Bytes::copy_from_slice(bytes), false)
    }

    pub fn send_last(&mut self, id: u64, bytes: &[u8]) -> Received {
        self.session.handle_stream(StreamId(id), Bytes::copy_from_slice(bytes), true)
    }

    pub fn effects(&mut self) -> Vec<Effect> {
        std::iter::from_fn(|| self.session.poll_effect()).collect()
    }
}

pub fn varint(value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    write_varint(&mut out, value);
    out
}

pub fn frame(frame_type: u64, payload: &[u8]) -> Vec<u8> {
    [varint(frame_type), varint(payload.len() as u64), payload.to_vec()].concat()
}

pub fn data(payload: &[u8]) -> Vec<u8> {
    frame(0x00, payload)
}

pub fn capsule(capsule_type: u64, payload: &[u8]) -> Vec<u8> {
    frame(capsule_type, payload)
}

pub fn settings(pairs: &[(u64, u64)]) -> Vec<u8> {
    let payload: Vec<u8> =
        pairs.iter().flat_map(|(id, value)| [varint(*id), varint(*value)].concat()).collect();
    frame(0x04, &payload)
}

/// What a browser's control stream begins with.
pub fn control() -> Vec<u8> {
    let settings =
        settings(&[(0x01, 65_536), (0x07, 16), (setting::H3_DATAGRAM, 1), (setting::ENABLE_WEBTRANSPORT, 1)]);
    [vec![0x00], settings].concat()
}

/// A field section of literal fields.
pub fn fields(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut out = vec![0, 0];
    for (name, value) in pairs {
        prefixed(&mut out, 0x20, 3, name.len());
        out.extend_from_slice(name.as_bytes());
        prefixed(&mut out, 0x00, 7, value.len());
        out.extend_from_slice(value.as_bytes());
    }
    out
}

fn prefixed(out: &mut Vec<u8>, pattern: u8, bits: u8, length: usize) {
    let mask = (1 << bits) - 1;
    if length < mask {
        return out.push(pattern | length as u8);
    }
    out.push(pattern | mask as u8);
    let mut rest = length - mask;
    while rest >= 0x80 {
        out.push(0x80 | (rest & 0x7f) as u8);
        rest >>= 7;
    }
    out.push(rest as u8);
}

pub fn headers(pairs: &[(&str, &str)]) -> Vec<u8> {
    frame(0x01, &fields(pairs))
}

pub const CONNECT_FIELDS: [(&str, &str); 6] = [
    (":method", "CONNECT"),
    (":protocol", "webtransport"),
    (":scheme", "https"),
    (":authority", "chat.example"),
    (":path", "/v1"),
    ("origin", "https://chat.example"),
];

/// The CONNECT that opens a session.
pub fn connect() -> Vec<u8> {
    headers(&CONNECT_FIELDS)
}

/// The CONNECT with one field set to another value, or left out.
pub fn connect_with(name: &str, value: Option<&str>) -> Vec<u8> {
    let pairs: Vec<_> = CONNECT_FIELDS
        .into_iter()
        .filter_map(
            |(other, old)| if other == name { value.map(|new| (other, new)) } else { Some((other, old)) },
        )
        .collect();
    headers(&pairs)
}

pub fn webtransport_stream(session: u64) -> Vec<u8> {
    [varint(0x41), varint(session)].concat()
}
