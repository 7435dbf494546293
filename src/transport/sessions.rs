//! Steps 1 and 6: WebTransport sessions begin and end.
//!
//! In: the effects of the session layer. Out: links of the core, and bytes for QUIC.

use std::time::Instant;

use quinn_proto::{StreamId, VarInt};

use super::connection::{Blocked, Phase};
use super::h3;
use super::hub::Hub;
use crate::core::io::{CloseCode, LinkId, Time};
use crate::limits;
use crate::ops::Total;

impl Hub {
    pub(super) fn poll_session(&mut self, instant: Instant, now: Time, handle: u32) {
        while let Some(effect) = self.conn(handle).and_then(|conn| conn.session.poll_effect()) {
            self.effect(instant, now, handle, effect);
        }
        // Streams that had to wait for the session are read once everything before them has been applied.
        let Some(conn) = self.conn(handle) else { return };
        if conn.line.link.is_some() && !conn.deferred.is_empty() {
            for id in std::mem::take(&mut conn.deferred) {
                self.read(instant, now, handle, id);
            }
        }
    }

    pub(super) fn effect(&mut self, instant: Instant, now: Time, handle: u32, effect: h3::Effect) {
        let Some(conn) = self.conn(handle) else { return };
        match effect {
            h3::Effect::OpenUni => conn.write(Blocked::Open),
            h3::Effect::Write { id, data } => conn.write(Blocked::Write(quic_id(id), data)),
            h3::Effect::Finish { id } => conn.write(Blocked::Finish(quic_id(id))),
            h3::Effect::Reset { id, code } => conn.reset(quic_id(id), varint(code)),
            h3::Effect::StopSending { id, code } => {
                drop(conn.quic.recv_stream(quic_id(id)).stop(varint(code)));
                conn.unread.note_end(quic_id(id));
            }
            h3::Effect::SessionOpened => {
                conn.line.tell("session opened", None);
                self.totals[Total::OpenedQuic] += 1;
                self.give_ticket(now, handle);
                let link = self.core.handle_open(now);
                self.bind(now, handle, link);
                self.apply(now);
            }
            h3::Effect::ChannelOpened { id, data, .. } => {
                conn.channel = Some(quic_id(id));
                conn.line.decoder.push(data);
                self.decode(now, handle);
            }
            h3::Effect::SessionClosed { code, .. } => {
                conn.line.tell("session ended by the client", Some(code.into()));
                conn.phase = Phase::Lingering { until: now.plus_ms(limits::LINGER_MS) };
                self.unlink(now, handle);
            }
            h3::Effect::CloseConnection { code, reason } => {
                conn.line.tell(reason, Some(code));
                conn.close_quic(instant, varint(code), reason);
                self.unlink(now, handle);
            }
        }
    }

    pub(super) fn bind(&mut self, now: Time, handle: u32, link: LinkId) {
        let index = link.0 as usize;
        if self.links.len() <= index {
            self.links.resize(index + 1, u32::MAX);
        }
        self.links[index] = handle;
        if let Some(line) = self.line(handle) {
            line.link = Some(link);
            line.behind = line.ticket.as_ref().is_some_and(|ticket| ticket.has_spent_much(now));
        }
        if let Some(conn) = self.conn(handle) {
            conn.phase = Phase::Open;
        }
    }

    /// The session is over from the client's side.
    pub(super) fn unlink(&mut self, now: Time, handle: u32) {
        if let Some(line) = self.line(handle)
            && let Some(link) = line.end()
        {
            line.out.clear();
            self.core.handle_closed(now, link);
            self.apply(now);
        }
    }

    /// After a panic: ends this connection's session with code 7, as far as its state still allows it.
    pub fn abandon(&mut self, handle: u32) {
        let Some(conn) = self.conn(handle) else { return };
        conn.session.close(CloseCode::Internal as u32, b"");
        while let Some(effect) = conn.session.poll_effect() {
            match effect {
                h3::Effect::Write { id, data } => conn.write(Blocked::Write(quic_id(id), data)),
                h3::Effect::Finish { id } => conn.write(Blocked::Finish(quic_id(id))),
                _ => {}
            }
        }
    }
}

pub(super) fn quic_id(id: h3::StreamId) -> StreamId {
    StreamId::from(varint(id.0))
}

/// Stream ids and error codes of the session layer are variable-length integers by construction.
pub(super) fn varint(value: u64) -> VarInt {
    VarInt::from_u64(value).unwrap_or(VarInt::MAX)
}
