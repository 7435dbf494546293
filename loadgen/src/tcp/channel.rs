//! AnonCam's channel over WebSocket (docs/PROTOCOL.md section 9): binary messages are the channel's bytes, in any slicing.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;

use super::sockets::{Happened, Sockets};
use super::websocket::BINARY;
use crate::net::{Gone, Net, NetEvent, SessionId, Target, Traffic, What};
use crate::time::Nanos;
use crate::wt::frame::FrameReader;
use crate::wt::session::End;

/// The sessions of one load thread.
pub struct ChannelNet {
    sockets: Sockets,
    /// By the session's place.
    readers: Vec<FrameReader>,
    events: VecDeque<NetEvent>,
}

impl ChannelNet {
    /// None yet.
    pub fn new(target: Target) -> Result<Self, String> {
        Ok(Self { sockets: Sockets::new(target)?, readers: Vec::new(), events: VecDeque::new() })
    }

    /// From messages to frames.
    fn collect(&mut self) {
        while let Some((session, at, happened)) = self.sockets.next() {
            let mut tell = |what| self.events.push_back(NetEvent { session, at, what });
            match happened {
                Happened::Handshaken => tell(What::Handshaken),
                Happened::Open => tell(What::Open),
                Happened::Gone(gone) => tell(What::Gone(gone)),
                Happened::Message(bytes) => {
                    let Some(reader) = self.readers.get_mut(session.index()) else { continue };
                    if reader.push(bytes, |kind, payload| tell(What::Frame(kind, payload))).is_err() {
                        let end = End::Protocol("a frame over the protocol's limit");
                        tell(What::Gone(Gone::Session(end)));
                        self.sockets.close(session, 0);
                    }
                }
            }
        }
    }
}

impl Net for ChannelNet {
    fn open(&mut self) -> Result<SessionId, String> {
        let session = self.sockets.open()?;
        if self.readers.len() <= session.index() {
            self.readers.resize_with(session.index() + 1, FrameReader::default);
        }
        self.readers[session.index()] = FrameReader::default();
        Ok(session)
    }

    fn send(&mut self, session: SessionId, frame: Bytes) {
        self.sockets.send(session, BINARY, &frame);
    }

    fn close(&mut self, session: SessionId, code: u32) {
        self.sockets.close(session, code);
    }

    fn receive(&mut self) -> io::Result<Option<Nanos>> {
        self.sockets.receive();
        Ok(None)
    }

    fn expire(&mut self) {
        self.sockets.expire();
    }

    fn drive(&mut self) {
        self.sockets.drive();
        self.collect();
    }

    fn next_event(&mut self) -> Option<NetEvent> {
        self.events.pop_front()
    }

    fn wait(&self, until: Nanos) {
        self.sockets.wait(until);
    }

    fn traffic(&self) -> Traffic {
        self.sockets.traffic()
    }
}
