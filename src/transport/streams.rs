//! Step 1 of 6: what QUIC says about a connection and its streams.
//!
//! In: quinn-proto's events. Out: bytes for the session layer, in order; and the end of a connection for the core.

use std::time::Instant;

use bytes::Bytes;
use quinn_proto::{Dir, Event, StreamEvent, StreamId};

use super::connection::Phase;
use super::h3;
use super::hub::Hub;
use super::watch;
use crate::core::io::Time;
use crate::limits;
use crate::ops::Total;

/// What reading a stream once has given.
pub(super) enum Taken {
    Data(Bytes),
    End,
    Reset(u64),
    Nothing,
}

impl Hub {
    pub(super) fn poll_quic(&mut self, instant: Instant, now: Time, handle: u32) {
        loop {
            self.pass_endpoint_events(handle);
            let Some(event) = self.conn(handle).and_then(|conn| conn.quic.poll()) else { return };
            match event {
                Event::Connected => self.handshake_done(now, handle),
                Event::Stream(event) => self.stream_event(instant, now, handle, &event),
                Event::DatagramReceived => {
                    let Some(conn) = self.conn(handle) else { return };
                    while conn.quic.datagrams().recv().is_some() {}
                }
                Event::HandshakeDataReady | Event::DatagramsUnblocked => {}
                Event::ConnectionLost { reason } => {
                    if let Some(conn) = self.conn(handle) {
                        let (how, code) = watch::ending(&reason);
                        conn.line.tell(how, code);
                    }
                    self.lost(now, handle);
                }
            }
        }
    }

    pub(super) fn handshake_done(&mut self, now: Time, handle: u32) {
        let Some(conn) = self.conn(handle) else { return };
        if matches!(conn.phase, Phase::Handshake { .. }) {
            conn.line.tell("handshake done", None);
            conn.phase = Phase::Connect { until: now.plus_ms(limits::CONNECT_DEADLINE_MS) };
            conn.session.handle_handshake_done();
            self.totals[Total::HandshakesDone] += 1;
            self.address_proven(now, handle);
        }
    }

    /// QUIC has lost the connection: the client closed it, or was silent for too long.
    pub(super) fn lost(&mut self, now: Time, handle: u32) {
        let Some(conn) = self.conn(handle) else { return };
        conn.phase = Phase::Closed;
        conn.line.out.clear();
        if let Some(link) = conn.line.end() {
            self.core.handle_closed(now, link);
        }
        self.apply(now);
    }

    pub(super) fn stream_event(&mut self, instant: Instant, now: Time, handle: u32, event: &StreamEvent) {
        match *event {
            StreamEvent::Opened { dir } => {
                while let Some(id) = self.accept(handle, dir) {
                    self.read(instant, now, handle, id);
                }
            }
            StreamEvent::Readable { id } => {
                if let Some(conn) = self.conn(handle) {
                    conn.unread.note_frame(id);
                }
                self.read(instant, now, handle, id);
            }
            StreamEvent::Writable { .. } | StreamEvent::Available { .. } => {
                if let Some(conn) = self.conn(handle) {
                    conn.flush_blocked();
                }
            }
            StreamEvent::Finished { .. } => {}
            StreamEvent::Stopped { id, error_code } => {
                if let Some(conn) = self.conn(handle) {
                    conn.session.handle_stop_sending(h3::StreamId(id.into()), error_code.into_inner());
                }
            }
        }
        self.poll_session(instant, now, handle);
    }

    /// The next stream that the client has opened. QUIC tells of its first frame by that.
    fn accept(&mut self, handle: u32, dir: Dir) -> Option<StreamId> {
        let conn = self.conn(handle)?;
        let id = conn.quic.streams().accept(dir)?;
        conn.unread.note_frame(id);
        Some(id)
    }

    /// Reads what there is of one stream, unless it has to stay in QUIC for now.
    pub(super) fn read(&mut self, instant: Instant, now: Time, handle: u32, id: StreamId) {
        if self.conn(handle).is_some_and(|conn| conn.channel == Some(id)) {
            return self.read_channel(now, handle);
        }
        loop {
            let Some(conn) = self.conn(handle) else { return };
            if !conn.session.is_readable(h3::StreamId(id.into())) {
                if !conn.deferred.contains(&id) {
                    conn.deferred.push(id);
                }
                return;
            }
            match self.take_chunk(handle, id) {
                Taken::Data(data) => self.feed(now, handle, id, data, false),
                Taken::End => {
                    self.feed(now, handle, id, Bytes::new(), true);
                    return self.poll_session(instant, now, handle);
                }
                Taken::Reset(code) => {
                    if let Some(conn) = self.conn(handle) {
                        conn.session.handle_reset(h3::StreamId(id.into()), code);
                    }
                    return;
                }
                Taken::Nothing => return,
            }
            self.poll_session(instant, now, handle);
            if self.conn(handle).is_some_and(|conn| conn.channel == Some(id)) {
                return self.read_channel(now, handle);
            }
        }
    }

    pub(super) fn take_chunk(&mut self, handle: u32, id: StreamId) -> Taken {
        let Some(conn) = self.conn(handle) else { return Taken::Nothing };
        let mut stream = conn.quic.recv_stream(id);
        let Ok(mut chunks) = stream.read(true) else {
            conn.unread.note_end(id);
            return Taken::Nothing;
        };
        let taken = match chunks.next(usize::MAX) {
            Ok(Some(chunk)) => Taken::Data(chunk.bytes),
            Ok(None) => Taken::End,
            Err(quinn_proto::ReadError::Blocked) => Taken::Nothing,
            Err(quinn_proto::ReadError::Reset(code)) => Taken::Reset(code.into_inner()),
        };
        // Flow control credit, if any, leaves with the next packets: the connection is being serviced.
        let _ = chunks.finalize();
        match &taken {
            Taken::Data(data) => conn.unread.note_taken(id, data.len()),
            Taken::End | Taken::Reset(_) => conn.unread.note_end(id),
            Taken::Nothing => {}
        }
        taken
    }

    pub(super) fn feed(&mut self, now: Time, handle: u32, id: StreamId, data: Bytes, fin: bool) {
        let Some(conn) = self.conn(handle) else { return };
        if let h3::Received::Channel { data, .. } =
            conn.session.handle_stream(h3::StreamId(id.into()), data, fin)
        {
            conn.line.decoder.push(data);
            self.decode(now, handle);
        }
    }
}
