//! Steps 2 and 5 of 6 across processes: what the two ends of a link say to each other, as bytes.
//!
//! A session of an older process may be resumed on a connection of a newer one, as it may on another shard (`core/remote.rs`).
//! Only the messages of such links pass between processes; people of two processes do not meet. The bus may lose what
//! it carries, so bytes that make no sense are lost, too.

use bytes::Bytes;

use crate::core::bus::{Attach, FarLink, LinkBody, LinkMessage};
use crate::core::frame::ControlKind;
use crate::core::io::{ChatId, CloseCode, Mark, RelayFrame, Time};
use crate::core::token::{SECRET_BYTES, Secret};

/// Appends a message. Moments are told as how long ago they are: each process has a clock of its own.
pub fn write(to: &mut Vec<u8>, message: &LinkMessage, now: Time) {
    let LinkMessage { far, sequence, body } = message;
    to.extend_from_slice(&far.link.to_be_bytes());
    to.extend_from_slice(&far.nonce.to_be_bytes());
    to.extend_from_slice(&sequence.to_be_bytes());
    let tag = |to: &mut Vec<u8>, tag: u8, rest: &[&[u8]]| {
        to.push(tag);
        to.extend(rest.iter().copied().flatten());
    };
    match body {
        LinkBody::Attach(attach) => {
            // Where the connection comes from is hashed under a key of this process: it would mean nothing there.
            let ago = now.0.saturating_sub(attach.said.0);
            tag(to, 0, &[&attach.slot.to_be_bytes(), &ago.to_be_bytes(), attach.secret.expose()]);
        }
        LinkBody::NoSession => tag(to, 1, &[]),
        LinkBody::Control(kind, payload) => tag(to, 2, &[&[*kind as u8], payload]),
        LinkBody::Relay(frame) => {
            tag(to, 3, &[&frame.chat.0.to_be_bytes(), &frame.bytes.first]);
            to.extend(frame.bytes.rest.iter().flatten());
        }
        LinkBody::Flushed(bytes) => tag(to, 4, &[&bytes.to_be_bytes()]),
        LinkBody::Silent => tag(to, 5, &[]),
        LinkBody::Heard => tag(to, 6, &[]),
        LinkBody::Stalled => tag(to, 7, &[]),
        LinkBody::Closed => tag(to, 8, &[]),
        LinkBody::Send(frame) => tag(to, 9, &[frame]),
        LinkBody::Close(code, reason) => tag(to, 10, &[&[*code as u8], reason]),
        LinkBody::Read(on) => tag(to, 11, &[&[u8::from(*on)]]),
        LinkBody::InChat(on) => tag(to, 12, &[&[u8::from(*on)]]),
        LinkBody::Beat => tag(to, 13, &[]),
        LinkBody::Gone => tag(to, 14, &[]),
    }
}

/// Reads what [`write`] wrote; `None` if that is something else.
pub fn read(bytes: &[u8], now: Time) -> Option<LinkMessage> {
    let mut bytes = Reader(bytes);
    let far = FarLink { link: bytes.u32()?, nonce: bytes.u64()? };
    let sequence = bytes.u32()?;
    let body = match bytes.u8()? {
        0 => {
            let (slot, ago) = (bytes.u32()?, bytes.u64()?);
            let secret: &[u8; SECRET_BYTES] = bytes.rest().first_chunk()?;
            let secret = Secret::new(|to| to.copy_from_slice(secret));
            let said = Time(now.0.saturating_sub(ago));
            LinkBody::Attach(Box::new(Attach { slot, secret, mark: Mark::default(), said }))
        }
        1 => LinkBody::NoSession,
        2 => LinkBody::Control(control_kind(bytes.u8()?)?, bytes.owned()),
        3 => LinkBody::Relay(RelayFrame { chat: ChatId(bytes.u32()?), bytes: bytes.owned().into() }),
        4 => LinkBody::Flushed(bytes.u32()?),
        5 => LinkBody::Silent,
        6 => LinkBody::Heard,
        7 => LinkBody::Stalled,
        8 => LinkBody::Closed,
        9 => LinkBody::Send(bytes.owned()),
        10 => LinkBody::Close(close_code(bytes.u8()?)?, bytes.owned()),
        11 => LinkBody::Read(bytes.u8()? != 0),
        12 => LinkBody::InChat(bytes.u8()? != 0),
        13 => LinkBody::Beat,
        14 => LinkBody::Gone,
        _ => return None,
    };
    Some(LinkMessage { far, sequence, body })
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn u8(&mut self) -> Option<u8> {
        self.0.split_off_first().copied()
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(*self.0.split_off(..4)?.first_chunk()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(*self.0.split_off(..8)?.first_chunk()?))
    }

    fn rest(&self) -> &'b [u8] {
        self.0
    }

    fn owned(&self) -> Bytes {
        Bytes::copy_from_slice(self.0)
    }
}

fn control_kind(byte: u8) -> Option<ControlKind> {
    use ControlKind::{Block, Find, Hello, Leave, Report};
    [Hello, Find, Leave, Report, Block].into_iter().find(|kind| *kind as u8 == byte)
}

fn close_code(byte: u8) -> Option<CloseCode> {
    use CloseCode::{Banned, Done, Draining, Full, Idle, Internal, Protocol, TooLarge, TooMany};
    let all = [Done, Protocol, TooLarge, TooMany, Banned, Draining, Idle, Internal, Full];
    all.into_iter().find(|code| *code as u8 == byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::io::FrameBytes;

    const NOW: Time = Time(5_000_000);

    fn attach(slot: u32, secret: u8) -> LinkBody {
        let secret = Secret::new(|to| to.fill(secret));
        LinkBody::Attach(Box::new(Attach { slot, secret, mark: Mark::default(), said: Time(4_000_000) }))
    }

    fn bodies() -> Vec<LinkBody> {
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        let frame = FrameBytes { first: bytes("first"), rest: vec![bytes(" and"), bytes(" rest")] };
        vec![
            attach(7, 9),
            LinkBody::NoSession,
            LinkBody::Control(ControlKind::Report, bytes("{}")),
            LinkBody::Relay(RelayFrame { chat: ChatId(3), bytes: frame }),
            LinkBody::Flushed(70_000),
            LinkBody::Silent,
            LinkBody::Heard,
            LinkBody::Stalled,
            LinkBody::Closed,
            LinkBody::Send(bytes("welcome")),
            LinkBody::Close(CloseCode::Full, bytes("no room")),
            LinkBody::Read(false),
            LinkBody::InChat(true),
            LinkBody::Beat,
            LinkBody::Gone,
        ]
    }

    /// A message as one can compare it: a frame in one piece.
    fn told(message: &LinkMessage) -> String {
        let shown = format!("{:?} {} {:?}", message.far, message.sequence, message.body);
        match &message.body {
            LinkBody::Relay(frame) => {
                let parts = std::iter::once(&frame.bytes.first).chain(&frame.bytes.rest);
                let bytes: Vec<u8> = parts.flatten().copied().collect();
                format!("{:?} {bytes:?}", frame.chat)
            }
            LinkBody::Attach(attach) => format!("{shown} {:?} {:?}", attach.secret.expose(), attach.said),
            LinkBody::Control(_, bytes) | LinkBody::Send(bytes) | LinkBody::Close(_, bytes) => {
                format!("{shown} {bytes:?}")
            }
            _ => shown,
        }
    }

    #[test]
    fn every_message_is_read_as_it_was_written() {
        for body in bodies() {
            let message =
                LinkMessage { far: FarLink { link: 1, nonce: u64::MAX - 2 }, sequence: 4_000_000_000, body };
            let mut bytes = Vec::new();
            write(&mut bytes, &message, NOW);
            assert_eq!(told(&read(&bytes, NOW).expect("a message")), told(&message));
        }
    }

    #[test]
    fn moments_are_told_by_how_long_ago_they_are() {
        let body = attach(0, 0);
        let mut bytes = Vec::new();
        write(&mut bytes, &LinkMessage { far: FarLink { link: 0, nonce: 0 }, sequence: 0, body }, NOW);
        let LinkBody::Attach(attach) = read(&bytes, Time(9_000_000)).expect("a message").body else {
            panic!("another message");
        };
        assert_eq!(attach.said, Time(8_000_000), "a second before, on a clock that is four ahead");
    }

    #[test]
    fn bytes_that_make_no_sense_are_no_message() {
        for body in bodies() {
            let mut bytes = Vec::new();
            write(&mut bytes, &LinkMessage { far: FarLink { link: 0, nonce: 0 }, sequence: 0, body }, NOW);
            for length in 0..17 {
                assert!(read(&bytes[..length.min(bytes.len() - 1)], NOW).is_none() || length >= 16);
            }
        }
        let head = [0; 16];
        for tail in [&[15][..], &[2, 6], &[10, 9], &[0, 0, 0, 0, 1]] {
            assert!(read(&[&head, tail].concat(), NOW).is_none(), "{tail:?}");
        }
    }
}
