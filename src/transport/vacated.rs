//! Step 6 of 6: the address of a connection that has gone leaves quinn-proto's table too.
//!
//! quinn-proto keeps what it knows of connections in a slab. Removing an entry marks its slot as vacant and leaves the bytes,
//! the client's address among them, until the slot is used again, which after a busy hour may be never. So once in a while
//! every vacant slot is used: a connection that goes nowhere is begun in it, and given up when all are covered. Bytes of it that mean
//! nothing come from the stack as it is, so that is wiped before.
//!
//! Its table of stateless resets, which would keep addresses too, is left empty ([`remembers_address`]).
//!
//! In: how many slots are vacant. Out: slots that hold nobody's address. Nothing of it is ever sent.

use std::any::Any;
use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use quinn_proto::crypto::{
    self, CryptoError, ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey, Session,
};
use quinn_proto::transport_parameters::TransportParameters;
use quinn_proto::{
    ClientConfig, ConnectError, ConnectionHandle, ConnectionId, Endpoint, EndpointEvent, Side, TransportError,
};

use super::hub::Hub;
use crate::limits;
use crate::ops::Total;
use crate::privacy::apart;

/// Nowhere: an address for documentation (RFC 3849) and the discard port. Of IPv6, to cover every byte of what was there.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 9);

/// The vacant slots of one shard, and how far covering them has come.
#[derive(Default)]
pub struct Vacated {
    /// Whether a connection has gone since the last round began.
    noted: bool,
    work: Work,
    /// Slots that are covered by connections to nowhere.
    covered: Vec<ConnectionHandle>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Work {
    #[default]
    None,
    /// A vacated slot is used again last in, first out: the covers stay until no slot is vacant.
    Covering,
    GivingBack,
}

impl Vacated {
    /// A connection has gone.
    pub fn note(&mut self) {
        self.noted = true;
    }

    /// Begins a round, unless one is going on or nobody has gone since the last.
    pub fn begin(&mut self) {
        if self.work == Work::None && std::mem::take(&mut self.noted) {
            self.work = Work::Covering;
        }
    }

    /// Whether [`Vacated::cover`] has anything to do.
    pub fn is_covering(&self) -> bool {
        self.work != Work::None
    }

    /// Covers or gives back a few slots; `vacant` counts those without a client, covered or not. Returns whether there is
    /// more to do.
    pub fn cover(&mut self, endpoint: &mut Endpoint, vacant: usize, now: Instant) -> bool {
        match self.work {
            Work::None => return false,
            Work::Covering => {
                let open = vacant.saturating_sub(self.covered.len());
                for _ in 0..open.min(limits::TURN_COVERED_SLOTS) {
                    // The connection is dropped at once; its slot is what counts.
                    let Ok((handle, _)) = endpoint.connect(now, config(), NOWHERE, "") else { break };
                    self.covered.push(handle);
                }
                if open <= limits::TURN_COVERED_SLOTS {
                    self.work = Work::GivingBack;
                }
            }
            Work::GivingBack => {
                let left = self.covered.len().saturating_sub(limits::TURN_COVERED_SLOTS);
                for handle in self.covered.drain(left..) {
                    endpoint.handle_event(handle, EndpointEvent::drained());
                }
                if self.covered.is_empty() {
                    self.covered = Vec::new();
                    self.work = Work::None;
                }
            }
        }
        self.work != Work::None
    }
}

impl Hub {
    /// Passes on what a connection has for its endpoint, but for one kind: see [`remembers_address`].
    pub(super) fn pass_endpoint_events(&mut self, handle: u32) {
        apart(|| self.pass_endpoint_events_now(handle));
    }

    fn pass_endpoint_events_now(&mut self, handle: u32) {
        while let Some(event) = self.conn(handle).and_then(|conn| conn.quic.poll_endpoint_events()) {
            if remembers_address(&event) {
                continue;
            }
            let answer = self.endpoint.handle_event(ConnectionHandle(handle as usize), event);
            if let (Some(answer), Some(conn)) = (answer, self.conn(handle)) {
                conn.quic.handle_event(answer);
            }
        }
    }

    pub(super) fn forget(&mut self, handle: u32) {
        self.account_forgotten(handle);
        self.count_packets(handle);
        let Some(conn) = self.conns[handle as usize].take() else { return };
        conn.line.tell("forgotten", None);
        self.open -= 1;
        self.vacated.note();
        if let Some(queue) = conn.half_open {
            self.half_open[queue as usize] -= 1;
            self.totals[Total::HandshakesFailed] += 1;
        }
        self.wheel.cancel(handle);
        debug_assert!(conn.line.link.is_none(), "the core was told before QUIC forgot the connection");
    }

    /// Wipes what its own structures still hold of people who have gone, and begins to overwrite what quinn-proto's table
    /// does, if there are any.
    pub fn forget_the_gone(&mut self) {
        // Empty, but what was moved out of it is still there until it is freed.
        self.messages = Vec::new();
        self.bus.forget();
        self.core.forget_the_gone();
        self.vacated.begin();
    }

    /// Whether [`Hub::cover_vacated`] has anything to do.
    pub fn is_covering(&self) -> bool {
        self.vacated.is_covering()
    }

    /// Overwrites a few slots of quinn-proto's table. Returns whether there is more to do.
    pub fn cover_vacated(&mut self, instant: Instant) -> bool {
        // One more than there are here: a connection that failed at once had a slot, too.
        let vacant = self.conns.len() - self.open + 1;
        self.vacated.cover(&mut self.endpoint, vacant, instant)
    }
}

/// Whether the endpoint would put this event into its table of stateless resets: a hash table, by the client's address, whose
/// removed entries nothing overwrites. Without it, a client that has lost its state is noticed by its silence.
///
/// quinn-proto does not show what an event is but in its `Debug` text, of which this reads the first word.
fn remembers_address(event: &EndpointEvent) -> bool {
    let mut start = Start::default();
    // Writing fails as soon as enough is known.
    let _ = write!(start, "{event:?}");
    start.0 == *RESET_TOKEN_EVENT
}

const RESET_TOKEN_EVENT: &[u8; 25] = b"EndpointEvent(ResetToken(";

/// The first bytes of a text.
#[derive(Default)]
struct Start([u8; RESET_TOKEN_EVENT.len()], usize);

impl fmt::Write for Start {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.0[self.1..];
        let taken = text.len().min(room.len());
        room[..taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.1 += taken;
        if self.1 == RESET_TOKEN_EVENT.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

fn config() -> ClientConfig {
    ClientConfig::new(Arc::new(Nobody))
}

/// The cryptography of a connection to nowhere: there is none.
struct Nobody;

impl crypto::ClientConfig for Nobody {
    fn start_session(
        self: Arc<Self>,
        _: u32,
        _: &str,
        _: &TransportParameters,
    ) -> Result<Box<dyn Session>, ConnectError> {
        Ok(Box::new(Nobody))
    }
}

impl Session for Nobody {
    fn initial_keys(&self, _: &ConnectionId, _: Side) -> Keys {
        Keys {
            header: KeyPair { local: Box::new(Nobody), remote: Box::new(Nobody) },
            packet: KeyPair { local: Box::new(Nobody), remote: Box::new(Nobody) },
        }
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        None
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        None
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        None
    }

    fn early_data_accepted(&self) -> Option<bool> {
        None
    }

    fn is_handshaking(&self) -> bool {
        true
    }

    fn read_handshake(&mut self, _: &[u8]) -> Result<bool, TransportError> {
        Ok(false)
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        Ok(None)
    }

    fn write_handshake(&mut self, _: &mut Vec<u8>) -> Option<Keys> {
        None
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        None
    }

    fn is_valid_retry(&self, _: &ConnectionId, _: &[u8], _: &[u8]) -> bool {
        false
    }

    fn export_keying_material(
        &self,
        _: &mut [u8],
        _: &[u8],
        _: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        Err(ExportKeyingMaterialError)
    }
}

impl HeaderKey for Nobody {
    fn decrypt(&self, _: usize, _: &mut [u8]) {}

    fn encrypt(&self, _: usize, _: &mut [u8]) {}

    fn sample_size(&self) -> usize {
        0
    }
}

impl PacketKey for Nobody {
    fn encrypt(&self, _: u64, _: &mut [u8], _: usize) {}

    fn decrypt(&self, _: u64, _: &[u8], _: &mut BytesMut) -> Result<(), CryptoError> {
        Err(CryptoError)
    }

    fn tag_len(&self) -> usize {
        0
    }

    fn confidentiality_limit(&self) -> u64 {
        u64::MAX
    }

    fn integrity_limit(&self) -> u64 {
        u64::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vacant_slot_is_used_once_and_given_back() {
        let config = Arc::default();
        let mut endpoint = Endpoint::new(config, None, false, None);
        let now = Instant::now();
        let vacant = 2 * limits::TURN_COVERED_SLOTS + 3;
        let mut vacated = Vacated::default();
        vacated.begin();
        assert!(!vacated.cover(&mut endpoint, vacant, now), "nobody has gone, nothing to do");
        vacated.note();
        vacated.begin();
        let mut most = 0;
        while vacated.cover(&mut endpoint, vacant, now) {
            most = most.max(endpoint.open_connections());
        }
        assert_eq!((most, endpoint.open_connections()), (vacant, 0));
    }
}
