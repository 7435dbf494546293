//! Step 1 of 6: who is let in.
//!
//! In: the first datagram of a connection, and how full the shard is. Out: a newcomer who waits for a handshake, a Retry that makes the client prove its
//! address, or a refusal. Overload is met here, where it is cheapest.

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use quinn_proto::{DatagramEvent, EcnCodepoint, Incoming, Transmit};
use quinn_udp::RecvMeta;

use super::connection::Conn;
use super::gate::Verdict;
use super::hub::Hub;
use super::precedence::Queue;
use super::watch::tell_refused;
use crate::core::io::Time;
use crate::limits;
use crate::ops::Total;
use crate::privacy::{PeerAddress, Prefixes};

/// When a shard stops being generous.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Half-open handshakes above which an address has to be proven.
    pub retry_above: usize,
    /// Half-open handshakes, proven or not, above which connections are refused.
    pub refuse_above: usize,
    /// Connections above which new ones are refused.
    pub max_connections: usize,
    /// From where nobody is let in.
    pub not_served: Option<Arc<Prefixes>>,
}

/// What became of a datagram.
pub enum Received {
    /// It was taken, or means nothing.
    Done,
    /// This is to be sent at once: its bytes are in the buffer.
    Answer(Transmit),
    /// It is the first of a newcomer, whom this process leaves to its heir.
    Newcomer,
}

impl Hub {
    /// A datagram from the network.
    pub fn handle_received(
        &mut self,
        instant: Instant,
        now: Time,
        payload: &[u8],
        meta: &RecvMeta,
        buffer: &mut Vec<u8>,
    ) -> Received {
        let pressed = self.half_open_in(Queue::Ahead) >= self.admission.retry_above;
        match if self.has_heir { Verdict::Pass } else { self.gate.judge(now, pressed, payload, meta, buffer) }
        {
            Verdict::Pass => {}
            Verdict::Drop => {
                self.totals[Total::RefusedFlood] += 1;
                return Received::Done;
            }
            Verdict::Answer(transmit) => return Received::Answer(transmit),
        }
        let ecn = meta.ecn.and_then(|ecn| EcnCodepoint::from_bits(ecn as u8));
        let datagram = BytesMut::from(payload);
        match self.endpoint.handle(instant, meta.addr, meta.dst_ip, ecn, datagram, buffer) {
            None => Received::Done,
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                self.handle_datagram(now, handle, event);
                self.look_if_flooding(instant, now, handle.0 as u32);
                Received::Done
            }
            Some(DatagramEvent::NewConnection(incoming)) if self.has_heir => {
                self.endpoint.ignore(incoming);
                Received::Newcomer
            }
            Some(DatagramEvent::NewConnection(incoming)) => {
                self.handle_incoming(now, incoming, buffer).map_or(Received::Done, Received::Answer)
            }
            Some(DatagramEvent::Response(transmit)) => Received::Answer(transmit),
        }
    }

    fn handle_incoming(&mut self, now: Time, incoming: Incoming, buffer: &mut Vec<u8>) -> Option<Transmit> {
        buffer.clear();
        if let Some(prefixes) = &self.admission.not_served
            && prefixes.contain(&PeerAddress::new(incoming.remote_address().ip()))
        {
            self.totals[Total::RefusedUnserved] += 1;
            return Some(self.endpoint.refuse(incoming, buffer));
        }
        let Admission { retry_above, refuse_above, max_connections, .. } = self.admission;
        if self.open + self.newcomers.len() >= max_connections
            || self.half_open_in(Queue::Ahead) >= refuse_above
        {
            self.totals[Total::RefusedConnections] += 1;
            tell_refused("refused: too many connections");
            return Some(self.endpoint.refuse(incoming, buffer));
        }
        let proven = incoming.remote_address_validated();
        let address = incoming.remote_address().ip();
        let queue = if self.guard.defers(now, address) { Queue::Behind } else { Queue::Ahead };
        let crowd = queue == Queue::Behind && self.half_open_in(queue) >= limits::NEWCOMERS_BEHIND;
        let refused = crowd || self.guard.refuses(now, address);
        if refused && proven {
            self.totals[Total::RefusedAddress] += 1;
            tell_refused("refused: too many from its address");
            return Some(self.endpoint.refuse(incoming, buffer));
        }
        if (refused || self.half_open_in(Queue::Ahead) >= retry_above) && !proven {
            tell_refused("asked to prove its address");
            self.totals[Total::Retries] += 1;
            return match self.endpoint.retry(incoming, buffer) {
                Ok(transmit) => Some(transmit),
                Err(error) => Some(self.endpoint.refuse(error.into_incoming(), buffer)),
            };
        }
        self.add_newcomer(incoming, proven, queue);
        None
    }

    pub(super) fn insert(&mut self, handle: u32, conn: Conn) {
        let index = handle as usize;
        if self.conns.len() <= index {
            self.conns.resize_with(index + 1, || None);
        }
        conn.line.tell("began", None);
        let half_open = conn.half_open;
        self.conns[index] = Some(Box::new(conn));
        self.open += 1;
        if let Some(queue) = half_open {
            self.half_open[queue as usize] += 1;
        }
        self.mark(handle);
    }
}
