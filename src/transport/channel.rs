//! Step 5 of 6: the path of a frame, and what the core decides on it.
//!
//! In: the bytes of channels. Out: frames in the queues of other channels, relayed bytes credited, and the core's effects applied
//! in the order in which it decided them.

use bytes::Bytes;
use quinn_proto::StreamId;

use super::h3;
use super::hub::Hub;
use super::line::Line;
use super::streams::Taken;
use super::websocket::is_websocket;
use crate::core::bus::BusMessage;
use crate::core::frame::Frame;
use crate::core::io::{CloseCode, FrameBytes, LinkId, Output, Relayed, ShardId, Time};
use crate::limits;
use crate::ops::Total;

impl Hub {
    pub(super) fn read_channel(&mut self, now: Time, handle: u32) {
        self.decode(now, handle);
        loop {
            let Some(conn) = self.conn(handle) else { return };
            let (Some(id), true) = (conn.channel, conn.line.may_read() && conn.line.link.is_some()) else {
                return;
            };
            let mut chunks = std::mem::take(&mut self.chunks);
            let end = self.take_chunks(handle, id, &mut chunks);
            for data in chunks.drain(..) {
                if let Some(conn) = self.conn(handle) {
                    conn.line.decoder.push(data);
                }
            }
            self.chunks = chunks;
            self.decode(now, handle);
            match end {
                Taken::Data(_) => {}
                Taken::Nothing => return,
                Taken::End => return self.feed(now, handle, id, Bytes::new(), true),
                Taken::Reset(code) => {
                    if let Some(conn) = self.conn(handle) {
                        conn.session.handle_reset(h3::StreamId(id.into()), code);
                    }
                    return;
                }
            }
        }
    }

    /// Takes chunks up to the bound; `Taken::Data` (empty) means that there may be more.
    pub(super) fn take_chunks(&mut self, handle: u32, id: StreamId, into: &mut Vec<Bytes>) -> Taken {
        while into.len() < limits::READ_CHUNKS {
            match self.take_chunk(handle, id) {
                Taken::Data(data) => into.push(data),
                end => return end,
            }
        }
        Taken::Data(Bytes::new())
    }

    /// Hands complete frames to the core, one at a time, as long as the sender may be read.
    pub(super) fn decode(&mut self, now: Time, handle: u32) {
        loop {
            let Some(line) = self.line(handle) else { return };
            let (Some(link), true) = (line.link, line.may_read()) else { return };
            match line.decoder.next() {
                Ok(None) => return,
                Ok(Some(Frame::Relay(frame))) => {
                    if line.pass(now, frame.bytes.len()) {
                        self.totals[Total::Delayed] += 1;
                    }
                    let relayed = self.core.handle_relay(now, link, frame);
                    self.apply(now);
                    self.forward(relayed);
                }
                Ok(Some(Frame::Control { kind, payload })) => self.control(now, handle, link, kind, &payload),
                Err(fault) => {
                    self.core.handle_fault(now, link, fault);
                    return self.apply(now);
                }
            }
        }
    }

    pub(super) fn forward(&mut self, relayed: Relayed) {
        match relayed {
            Relayed::Here { to, frame } => self.push(to, frame),
            Relayed::There { to, message } => self.post(to, message),
            Relayed::Dropped => {}
        }
    }

    /// Tells another shard. What is lost is counted; the core is made for it.
    fn post(&mut self, to: ShardId, message: BusMessage) {
        let result = if self.bus.send(to, message) { Total::BusSent } else { Total::BusLost };
        self.totals[result] += 1;
    }

    pub(super) fn push(&mut self, to: LinkId, frame: FrameBytes) {
        let Some(&handle) = self.links.get(to.0 as usize) else { return };
        if let Some(line) = self.line(handle) {
            line.out.push_relayed(frame);
            self.mark(handle);
        }
    }

    /// Writes what QUIC takes, and tells the core what has left.
    pub(super) fn flush(&mut self, now: Time, handle: u32) {
        let Some(conn) = self.conn(handle) else { return };
        let relayed = conn.flush(now);
        if relayed > 0 {
            self.credit(now, handle, relayed);
        }
    }

    /// So many relayed bytes have left the queue of a channel.
    pub(super) fn credit(&mut self, now: Time, handle: u32, relayed: usize) {
        if let Some(link) = self.line(handle).and_then(|line| line.link) {
            self.core.handle_flushed(now, link, relayed);
            self.apply(now);
        }
    }

    /// Applies what the core has decided, in order.
    pub(super) fn apply(&mut self, now: Time) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Bus { to, message } => self.post(to, message),
                Output::Send { link, frame } => self.with_line(link, |line| line.out.push_control(&frame)),
                Output::Read { link, on } => self.with_line(link, |line| line.set_reading(on)),
                Output::InChat { link, on } => self.with_line(link, |line| {
                    line.in_chat = on;
                    line.silent &= on;
                }),
                Output::Close { link, code, reason } => self.close_link(now, link, code, reason),
                Output::Accused(accusation) => self.accused(now, &accusation),
                Output::CaseClosed { person } => self.guard.case_closed(person),
            }
        }
    }

    fn with_line(&mut self, link: LinkId, act: impl FnOnce(&mut Line)) {
        let Some(&handle) = self.links.get(link.0 as usize) else { return };
        let Some(line) = self.line(handle) else { return };
        act(line);
        self.mark(handle);
    }

    /// The core is done with a session.
    fn close_link(&mut self, now: Time, link: LinkId, code: CloseCode, reason: Bytes) {
        let Some(&handle) = self.links.get(link.0 as usize) else { return };
        self.with_line(link, |line| {
            line.end();
            line.tell("session ended by the server", Some(code as u64));
        });
        if is_websocket(handle) {
            self.close_websocket(now, handle, code, reason);
        } else if let Some(conn) = self.conn(handle) {
            conn.close_session(now, code, reason);
        }
    }
}
