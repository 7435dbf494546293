//! The session layer: a client that does anything on any stream, in two slicings that have to come to the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anoncam::transport::h3::{Effect, Policy, Received, Session, StreamId};
use bytes::Bytes;

use super::Input;

/// Streams that the client may use: three requests or channels more than one session has, and all that are unidirectional.
const STREAMS: [u64; 10] = [0, 4, 8, 12, 16, 2, 6, 10, 14, 18];

/// Pieces that a fuzzer finds only slowly.
const PIECES: [&[u8]; 8] = [
    // The control stream and its SETTINGS.
    b"\x00\x04\x02\x33\x01",
    // A CONNECT without Origin: two fields of the static table, three literal ones.
    b"\x01\x24\x00\x00\xcf\xd7\x27\x02:protocol\x0cwebtransport\x50\x01a\x51\x03/v1",
    // WebTransport streams of session 0 and 4.
    b"\x40\x41\x00",
    b"\x40\x41\x04",
    // A close capsule in a DATA frame.
    b"\x00\x0a\x68\x43\x07\x00\x00\x00\x01bye",
    // A GET.
    b"\x01\x08\x00\x00\xd1\xd7\xc1\x50\x01a",
    // Streams of QPACK.
    b"\x02\x20",
    b"\x03\x44",
];

/// One thing that a client does.
enum Step<'a> {
    Send(u64, &'a [u8], bool),
    Reset(u64),
    Stop(u64),
    Close,
}

fn steps(data: &[u8]) -> Vec<Step<'_>> {
    let (mut input, mut steps) = (Input(data), Vec::new());
    while !input.is_empty() && steps.len() < 200 {
        let (what, stream) = (input.byte(), STREAMS[usize::from(input.byte()) % STREAMS.len()]);
        let last = what & 0x80 != 0;
        steps.push(match what & 0x7f {
            0..16 => Step::Send(stream, PIECES[usize::from(what) % PIECES.len()], last),
            16 => Step::Reset(stream),
            17 => Step::Stop(stream),
            18 => Step::Close,
            length => Step::Send(stream, input.take(usize::from(length) - 18), last),
        });
    }
    steps
}

/// The input is a list of steps.
pub fn run(data: &[u8]) {
    let whole = Driver::default().run(data, usize::MAX);
    assert_eq!(Driver::default().run(data, 1), whole, "byte by byte");
    assert_eq!(Driver::default().run(data, 3), whole, "in threes");
}

/// What the layer does in the steps of `data`.
pub fn seen(data: &[u8]) -> Vec<String> {
    Driver::default().run(data, usize::MAX).0
}

/// A driver that keeps the layer's rules, and checks that the layer keeps its own.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools)] // Each is a fact of its own.
struct Driver {
    /// What is left in QUIC, of streams that are not readable.
    held: BTreeMap<u64, (Vec<u8>, bool)>,
    /// Streams that bring nothing more.
    done: BTreeSet<u64>,
    seen: Vec<String>,
    channel: Vec<u8>,
    open: bool,
    opened: bool,
    broken: bool,
    channel_open: bool,
}

impl Driver {
    fn run(mut self, data: &[u8], slice: usize) -> (Vec<String>, Vec<u8>) {
        let policy = Policy::new(vec!["https://a".into()], true);
        let mut session = Session::new(Arc::new(policy));
        session.handle_handshake_done();
        session.handle_uni_opened(StreamId(3));
        self.effects(&mut session);
        for step in steps(data) {
            match step {
                Step::Send(stream, bytes, last) => self.send(&mut session, stream, bytes, last, slice),
                Step::Reset(stream) if self.done.insert(stream) => {
                    self.held.remove(&stream);
                    session.handle_reset(StreamId(stream), 1);
                    self.effects(&mut session);
                }
                Step::Stop(stream) => {
                    session.handle_stop_sending(StreamId(stream), 1);
                    self.effects(&mut session);
                }
                Step::Close => {
                    self.open = false;
                    session.close(3, b"too many");
                    self.effects(&mut session);
                }
                Step::Reset(_) => {}
            }
        }
        (self.seen, self.channel)
    }

    fn send(&mut self, session: &mut Session, stream: u64, bytes: &[u8], last: bool, slice: usize) {
        if self.done.contains(&stream) {
            return;
        }
        let held = self.held.entry(stream).or_default();
        held.0.extend_from_slice(bytes);
        held.1 |= last;
        if last {
            self.done.insert(stream);
        }
        self.deliver(session, stream, slice);
        // What waited for this may be readable now.
        for waiting in self.held.keys().copied().collect::<Vec<_>>() {
            self.deliver(session, waiting, slice);
        }
    }

    fn deliver(&mut self, session: &mut Session, stream: u64, slice: usize) {
        while !self.broken && session.is_readable(StreamId(stream)) {
            let Some((bytes, last)) = self.held.get_mut(&stream) else { return };
            let piece: Vec<u8> = bytes.drain(..slice.min(bytes.len())).collect();
            let fin = *last && bytes.is_empty();
            if bytes.is_empty() {
                self.held.remove(&stream);
            }
            if let Received::Channel { data, .. } =
                session.handle_stream(StreamId(stream), Bytes::from(piece), fin)
            {
                assert!(self.channel_open, "channel bytes come from an open channel");
                self.channel.extend_from_slice(&data);
            }
            self.effects(session);
        }
    }

    fn effects(&mut self, session: &mut Session) {
        let mut count = 0;
        while let Some(effect) = session.poll_effect() {
            count += 1;
            assert!(count <= 40, "one step has few effects");
            assert!(!self.broken, "nothing is said after the connection is closed");
            match &effect {
                Effect::SessionOpened => {
                    assert!(!self.opened, "there is one session");
                    (self.opened, self.open) = (true, true);
                }
                Effect::ChannelOpened { id, data, fin } => {
                    assert!(self.opened && !self.channel_open, "there is one channel");
                    self.channel_open = true;
                    self.channel.extend_from_slice(data);
                    // Which bytes come along with the header depends on the slicing.
                    self.seen.push(format!("channel {id:?} {fin}"));
                    continue;
                }
                Effect::SessionClosed { .. } => {
                    assert!(self.open, "what is not open does not close");
                    self.open = false;
                }
                Effect::CloseConnection { .. } => self.broken = true,
                Effect::StopSending { id, .. } => {
                    self.done.insert(id.0);
                    self.held.remove(&id.0);
                }
                _ => {}
            }
            self.seen.push(format!("{effect:?}"));
        }
    }
}
