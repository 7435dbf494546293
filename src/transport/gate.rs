//! Step 1 of 6: first packets in a flood, before they cost anything.
//!
//! In: a datagram, and how hard pressed the shard is. Out: whether QUIC is to look at it. For QUIC the first packet of a connection
//! means some ten microseconds of key derivation, whoever sent it and whether anything comes of it. In peace they all pass. In a flood
//! only those pass that bring a proof of their address; the others are answered with a Retry (RFC 9000, section 8.1.2), which asks for
//! one and costs no state; and past a few hundred a second from one prefix with nothing, for each answer is a datagram to be sent.
//!
//! Whom an unproven address belongs to nobody knows, so what comes from it is held against a bucket that it shares with one in four
//! thousand others, by a keyed hash, on this shard and for seconds; never against what is kept of addresses that are proven.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use quinn_proto::crypto::{HandshakeTokenKey, ServerConfig};
use quinn_proto::{ConnectionId, ConnectionIdGenerator as _, Transmit};
use quinn_udp::RecvMeta;

use super::cid::{Generation, ShardCidGenerator, generation_of};
use crate::abuse::mark::Marker;
use crate::core::io::Time;
use crate::core::session::Rate;
use crate::limits;

const LONG_HEADER: u8 = 0x80;
/// Type and fixed bits of a Retry (RFC 9000, section 17.2.5).
const RETRY: u8 = 0xf0;
const VERSION_1: u32 = 1;
/// Longest connection ID (RFC 9000, section 17.2).
const CID_BYTES: usize = 20;
/// Bytes of the random number beside a token, from which its key is made.
const NONCE_BYTES: usize = 16;
/// The kind of token that quinn-proto takes for that of a Retry.
const RETRY_TOKEN: u8 = 0;

/// What becomes of a datagram.
pub enum Verdict {
    /// QUIC looks at it.
    Pass,
    /// It is forgotten.
    Drop,
    /// It is answered with what is in the buffer.
    Answer(Transmit),
}

/// The gate of one shard.
pub struct Gate {
    token_key: Box<dyn HandshakeTokenKey>,
    crypto: Arc<dyn ServerConfig>,
    generation: Generation,
    ids: ShardCidGenerator,
    marker: Marker,
    /// What unproven addresses may still send, by a part of their hash. Empty where addresses are not limited.
    buckets: Vec<Rate>,
    /// The present second, and first packets without proof in it and in the one before.
    second: u64,
    newcomers: [u32; 2],
    /// Those of them that passed in this second because they seem to belong to a handshake.
    guessed: u32,
}

/// The beginning of a first packet (RFC 9000, section 17.2.2).
struct Initial<'a> {
    destination: &'a [u8],
    source: &'a [u8],
    token: &'a [u8],
}

impl<'a> Initial<'a> {
    /// Reads it; `None` if it is something else, which costs QUIC little.
    fn read(datagram: &'a [u8]) -> Option<Self> {
        let (first, rest) = datagram.split_first()?;
        let (version, rest) = rest.split_first_chunk()?;
        if first & 0xf0 != LONG_HEADER | 0x40 || u32::from_be_bytes(*version) != VERSION_1 {
            return None;
        }
        let (destination, rest) = short(rest)?;
        let (source, rest) = short(rest)?;
        let (length, rest) = varint(rest)?;
        Some(Self { destination, source, token: rest.get(..length)? })
    }
}

/// A connection ID behind its length.
fn short(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let length = usize::from(*length);
    if length > CID_BYTES { None } else { rest.split_at_checked(length) }
}

/// A variable-length integer (RFC 9000, section 16) that fits into a datagram's length.
fn varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let first = *bytes.first()?;
    let (number, rest) = bytes.split_at_checked(1 << (first >> 6))?;
    let value = number.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    let value = value & (u64::MAX >> (66 - 8 * number.len() as u32));
    Some((usize::try_from(value).ok()?, rest))
}

impl Gate {
    /// The gate of a shard of so many, in a process of this generation. `limit_addresses` is off where a load shall measure the server.
    pub fn new(
        token_key: Box<dyn HandshakeTokenKey>,
        crypto: Arc<dyn ServerConfig>,
        (generation, shard, shards): (Generation, u16, u16),
        limit_addresses: bool,
    ) -> Result<Self, getrandom::Error> {
        let buckets = if limit_addresses { limits::UNPROVEN_BUCKETS } else { 0 };
        Ok(Self {
            token_key,
            crypto,
            generation,
            ids: ShardCidGenerator::new(generation, shard, shards),
            marker: Marker::new()?,
            buckets: vec![Rate::default(); buckets],
            second: 0,
            newcomers: [0; 2],
            guessed: 0,
        })
    }

    /// Judges a datagram. `pressed`: so many handshakes are half-open that addresses have to be proven.
    pub fn judge(
        &mut self,
        now: Time,
        pressed: bool,
        datagram: &[u8],
        meta: &RecvMeta,
        buffer: &mut Vec<u8>,
    ) -> Verdict {
        if datagram.first().is_none_or(|first| first & LONG_HEADER == 0) {
            return Verdict::Pass;
        }
        let Some(initial) = Initial::read(datagram) else { return Verdict::Pass };
        self.turn(now);
        if !initial.token.is_empty() && self.proves(initial.token, meta.addr) {
            return Verdict::Pass;
        }
        self.newcomers[0] = self.newcomers[0].saturating_add(1);
        let flood = self.newcomers.iter().any(|count| *count > limits::FLOOD_INITIALS_PER_S);
        if !(flood || pressed) {
            return Verdict::Pass;
        }
        // Of a handshake that began before the flood: sent to an ID of this process. Or made to look so.
        if generation_of(datagram) == Some(self.generation) && self.guessed < limits::GUESSED_INITIALS_PER_S {
            self.guessed += 1;
            return Verdict::Pass;
        }
        if !self.may_be_answered(now, meta.addr.ip()) {
            return Verdict::Drop;
        }
        match self.retry(&initial, meta, buffer) {
            Some(transmit) => Verdict::Answer(transmit),
            None => Verdict::Drop,
        }
    }

    /// Whether many newcomers without proof came in this second or the last.
    fn turn(&mut self, now: Time) {
        let second = now.0 / 1_000_000;
        if second != self.second {
            let last = if second == self.second + 1 { self.newcomers[0] } else { 0 };
            (self.second, self.newcomers, self.guessed) = (second, [0, last], 0);
        }
    }

    fn may_be_answered(&mut self, now: Time, address: IpAddr) -> bool {
        if self.buckets.is_empty() {
            return true;
        }
        let at = self.marker.near(address) as usize % self.buckets.len();
        let every_ms = 1_000 / limits::UNPROVEN_PER_S;
        self.buckets[at].take(now, limits::UNPROVEN_BURST, every_ms).is_ok()
    }

    /// Whether a token is one of this server's for that address. How old it may be is QUIC's to say, which looks at it once more.
    fn proves(&self, token: &[u8], address: SocketAddr) -> bool {
        let Some((sealed, nonce)) = token.split_last_chunk::<NONCE_BYTES>() else { return false };
        let mut sealed = sealed.to_vec();
        let opened = self.token_key.aead_from_hkdf(nonce).open(&mut sealed, &[]);
        let mut expected = vec![RETRY_TOKEN];
        write_address(&mut expected, address);
        opened.is_ok_and(|plain| plain.starts_with(&expected))
    }

    /// Asks for a proof of the address: a Retry with a token as quinn-proto makes and takes them.
    fn retry(&mut self, initial: &Initial<'_>, meta: &RecvMeta, buffer: &mut Vec<u8>) -> Option<Transmit> {
        let id = self.ids.generate_cid();
        let mut random = [0; NONCE_BYTES];
        self.ids.fill(&mut random);
        let mut token = vec![RETRY_TOKEN];
        write_address(&mut token, meta.addr);
        token.push(initial.destination.len() as u8);
        token.extend_from_slice(initial.destination);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        token.extend_from_slice(&now.as_secs().to_be_bytes());
        self.token_key.aead_from_hkdf(&random).seal(&mut token, &[]).ok()?;
        token.extend_from_slice(&random);

        buffer.clear();
        buffer.push(RETRY | random[0] & 0x0f);
        buffer.extend_from_slice(&VERSION_1.to_be_bytes());
        buffer.push(initial.source.len() as u8);
        buffer.extend_from_slice(initial.source);
        buffer.push(id.len() as u8);
        buffer.extend_from_slice(&id);
        buffer.extend_from_slice(&token);
        let tag = self.crypto.retry_tag(VERSION_1, &ConnectionId::new(initial.destination), buffer);
        buffer.extend_from_slice(&tag);
        Some(Transmit {
            destination: meta.addr,
            ecn: None,
            size: buffer.len(),
            segment_size: None,
            src_ip: meta.dst_ip,
        })
    }
}

/// An address as quinn-proto writes it into its tokens.
fn write_address(to: &mut Vec<u8>, address: SocketAddr) {
    match address.ip() {
        IpAddr::V4(ip) => {
            to.push(0);
            to.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            to.push(1);
            to.extend_from_slice(&ip.octets());
        }
    }
    to.extend_from_slice(&address.port().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use bytes::BytesMut;
    use quinn_proto::{ClientConfig, Connection, DatagramEvent, Endpoint, EndpointConfig};

    use super::*;
    use crate::transport::keys::QuicKeys;
    use crate::transport::quic;

    const CLIENT: ([u8; 4], u16) = ([192, 0, 2, 1], 4_000);

    struct World {
        gate: Gate,
        server: Endpoint,
        now: Time,
        meta: RecvMeta,
        buffer: Vec<u8>,
    }

    impl World {
        fn new(limit_addresses: bool) -> Self {
            let keys = QuicKeys::new().expect("random bytes");
            let made = crate::tls::CertificateStore::self_made(SystemTime::now()).expect("a certificate");
            let tls = Arc::new(crate::tls::server_crypto(Arc::new(made), true).expect("TLS"));
            let config = quic::server_config(tls, &keys).expect("QUIC");
            let (generation, token_key) = (Generation(7), Box::new(keys.token_key()));
            let gate = Gate::new(token_key, Arc::clone(&config.crypto), (generation, 0, 1), limit_addresses);
            let endpoint = quic::endpoint_config(&keys, generation, 0, 1);
            let mut meta = RecvMeta::default();
            meta.addr = CLIENT.into();
            Self {
                gate: gate.expect("random bytes"),
                server: Endpoint::new(endpoint, Some(config), true, None),
                now: Time(5_000_000),
                meta,
                buffer: Vec::new(),
            }
        }

        fn judge(&mut self, pressed: bool, datagram: &[u8]) -> Verdict {
            self.gate.judge(self.now, pressed, datagram, &self.meta, &mut self.buffer)
        }
    }

    /// A client that has something to say.
    fn client() -> (Endpoint, Connection) {
        let verifier = rustls::RootCertStore::empty();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(verifier)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h3".to_vec()];
        let crypto = quinn_proto::crypto::rustls::QuicClientConfig::try_from(tls).expect("QUIC");
        let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::default()), None, true, None);
        let config = ClientConfig::new(Arc::new(crypto));
        let server = ([192, 0, 2, 9], 4_433).into();
        let (_, connection) =
            endpoint.connect(Instant::now(), config, server, "chat.example").expect("a client");
        (endpoint, connection)
    }

    fn first_packet(connection: &mut Connection) -> Vec<u8> {
        let mut bytes = Vec::new();
        let transmit = connection.poll_transmit(Instant::now(), 1, &mut bytes).expect("a packet");
        bytes.truncate(transmit.size);
        bytes
    }

    #[test]
    fn in_peace_everything_passes() {
        let mut world = World::new(true);
        let (_, mut connection) = client();
        let first = first_packet(&mut connection);
        for datagram in [&first[..], &[0x40; 30], &[], &[0xc0; 3], &first[..20]] {
            assert!(matches!(world.judge(false, datagram), Verdict::Pass));
        }
    }

    #[test]
    fn who_is_asked_for_a_proof_gives_one_that_quic_takes() {
        let mut world = World::new(true);
        let (mut endpoint, mut connection) = client();
        let first = first_packet(&mut connection);
        let Verdict::Answer(answer) = world.judge(true, &first) else { panic!("an answer") };
        assert!(answer.size * 3 < first.len(), "a forged address gains nothing by it");
        let retry = BytesMut::from(&world.buffer[..answer.size]);
        let mut nothing = Vec::new();
        let server = ([192, 0, 2, 9], 4_433).into();
        match endpoint.handle(Instant::now(), server, None, None, retry, &mut nothing) {
            Some(DatagramEvent::ConnectionEvent(_, event)) => connection.handle_event(event),
            _ => panic!("the client knows its connection"),
        }
        let second = first_packet(&mut connection);
        assert!(matches!(world.judge(true, &second), Verdict::Pass));
        let datagram = BytesMut::from(&second[..]);
        match world.server.handle(Instant::now(), world.meta.addr, None, None, datagram, &mut nothing) {
            Some(DatagramEvent::NewConnection(incoming)) => {
                assert!(incoming.remote_address_validated());
                world.server.ignore(incoming);
            }
            _ => panic!("a connection"),
        }
        world.meta.addr.set_port(4_001);
        world.gate.guessed = limits::GUESSED_INITIALS_PER_S;
        assert!(matches!(world.judge(true, &second), Verdict::Answer(_)), "a proof of another address");
    }

    #[test]
    fn a_flood_is_answered_for_a_while_and_then_forgotten_and_others_are_still_answered() {
        let mut world = World::new(true);
        let (_, mut connection) = client();
        let first = first_packet(&mut connection);
        let (mut passed, mut answered, mut dropped) = (0_u32, 0_u64, 0_u32);
        for _ in 0..50_000 {
            match world.judge(false, &first) {
                Verdict::Pass => passed += 1,
                Verdict::Answer(_) => answered += 1,
                Verdict::Drop => dropped += 1,
            }
        }
        assert_eq!(passed, limits::FLOOD_INITIALS_PER_S);
        assert_eq!(answered, limits::UNPROVEN_BURST);
        assert!(dropped > 38_000);
        world.meta.addr = ([198, 51, 100, 1], 7).into();
        assert!(matches!(world.judge(false, &first), Verdict::Answer(_)), "somebody else");
        world.now = world.now.plus_ms(1_000);
        assert!(matches!(world.judge(false, &first), Verdict::Answer(_)), "the flood was a second ago");
        world.now = world.now.plus_ms(2_000);
        assert!(matches!(world.judge(false, &first), Verdict::Pass), "it is over");
    }

    #[test]
    fn what_looks_like_a_handshake_under_way_passes_within_a_bound() {
        let mut world = World::new(true);
        // A client's random ID of 8 bytes that looks as if this process had issued it, no ID of its own, no token.
        let first = [&[0xc3, 0, 0, 0, 1, 8, 1, 2, 7, 4, 5, 6, 7, 8, 0, 0][..], &[0; 1_184]].concat();
        let passed = (0..3_000).filter(|_| matches!(world.judge(true, &first), Verdict::Pass)).count();
        assert_eq!(passed, limits::GUESSED_INITIALS_PER_S as usize);
    }

    #[test]
    fn without_limits_every_newcomer_is_answered() {
        let mut world = World::new(false);
        let (_, mut connection) = client();
        let first = first_packet(&mut connection);
        assert!((0..3_000).all(|_| matches!(world.judge(true, &first), Verdict::Answer(_))));
    }
}
