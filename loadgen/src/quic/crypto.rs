//! The TLS side of a light connection: rustls while the handshake lasts, a few hundred bytes after it.
//!
//! In: quinn-proto's calls to its crypto traits. Out: handshake bytes and packet keys.
//!
//! quinn-proto keeps its crypto session for the life of a connection and asks for the next generation of packet keys
//! ahead of time. Both cost memory that most connections never use: the finished rustls state (3.7 KiB) and two
//! AEAD contexts (1.2 KiB). [`LightSession`] lets go of rustls in the call that hands out the 1-RTT keys, and
//! [`LazyKey`] derives the next generation when a packet first needs it.
//!
//! Measured on 1,000 to 5,000 idle sessions: 23.9 KiB each with quinn-proto's own TLS session, 18.4 KiB with this one.
//!
//! What quinn-proto still asks a client session after the handshake, and what answers it:
//! `is_handshaking` and `transport_parameters` (once, in the packet that completes the handshake: kept as raw bytes),
//! `next_1rtt_keys` (at the 1-RTT keys and at every key update: the traffic secrets), `read_handshake` (a session
//! ticket: ignored, this client never resumes). Nothing else is asked for unless the application does it, and this
//! one does not: `peer_identity`, `handshake_data` and `export_keying_material` have no answer.

use std::any::Any;
use std::io;
use std::sync::{Arc, OnceLock};

use bytes::BytesMut;
use quinn_proto::crypto::{
    self, CryptoError, ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey,
};
use quinn_proto::transport_parameters::TransportParameters;
use quinn_proto::{ConnectError, ConnectionId, Side, TransportError, TransportErrorCode};
use rustls::pki_types::ServerName;
use rustls::quic::{ClientConnection, KeyChange, PacketKeySet, Secrets, Suite, Version};

/// QUIC version 1, the only one this client speaks.
const QUIC_V1: u32 = 1;
/// Key and nonce of the Retry integrity tag, RFC 9001 section 5.8.
const RETRY_KEY: [u8; 16] =
    [0xbe, 0x0c, 0x69, 0x0b, 0x9f, 0x66, 0x57, 0x5a, 0x1d, 0x76, 0x6b, 0x54, 0xe3, 0x68, 0xc8, 0x4e];
const RETRY_NONCE: [u8; 12] = [0x46, 0x15, 0x99, 0xd3, 0x5d, 0x63, 0x2b, 0xf2, 0x23, 0x98, 0x25, 0xbb];
/// Length of every AEAD tag in TLS 1.3.
const TAG_BYTES: usize = 16;

/// Starts [`LightSession`]s.
pub struct LightClientConfig {
    tls: Arc<rustls::ClientConfig>,
    initial: Suite,
}

impl LightClientConfig {
    /// Wraps a TLS 1.3 configuration; `None` if it lacks AES-128-GCM, which QUIC's first packets need.
    pub fn new(tls: Arc<rustls::ClientConfig>) -> Option<Self> {
        let initial = tls.crypto_provider().cipher_suites.iter().find_map(|suite| {
            (suite.suite() == rustls::CipherSuite::TLS13_AES_128_GCM_SHA256)
                .then(|| suite.tls13().and_then(rustls::Tls13CipherSuite::quic_suite))
                .flatten()
        })?;
        Some(Self { tls, initial })
    }
}

impl crypto::ClientConfig for LightClientConfig {
    fn start_session(
        self: Arc<Self>,
        version: u32,
        server_name: &str,
        params: &TransportParameters,
    ) -> Result<Box<dyn crypto::Session>, ConnectError> {
        if version != QUIC_V1 {
            return Err(ConnectError::UnsupportedVersion);
        }
        let bad_name = || ConnectError::InvalidServerName(server_name.into());
        let name = ServerName::try_from(server_name).map_err(|_| bad_name())?.to_owned();
        let mut raw = Vec::new();
        params.write(&mut raw);
        let tls =
            ClientConnection::new(Arc::clone(&self.tls), Version::V1, name, raw).map_err(|_| bad_name())?;
        Ok(Box::new(LightSession {
            tls: Some(Box::new(tls)),
            initial: self.initial,
            peer_params: None,
            next: None,
            told_ready: false,
        }))
    }
}

/// A client's TLS session that shrinks to its traffic secrets when the handshake is over.
struct LightSession {
    /// `Some` exactly while the handshake lasts.
    tls: Option<Box<ClientConnection>>,
    initial: Suite,
    /// The server's transport parameters as they came, kept when `tls` goes.
    peer_params: Option<Box<[u8]>>,
    /// The latest generation handed to quinn-proto by `next_1rtt_keys`, or what it will be derived from.
    next: Option<Next>,
    told_ready: bool,
}

/// Where the next generation of packet keys comes from.
enum Next {
    /// Not asked for yet.
    Secrets(Box<Secrets>, Limits),
    /// Handed out; the generation after it is derived from the same secrets.
    Given(Arc<Generation>),
}

impl LightSession {
    /// Lets go of rustls. The peer's parameters are asked for once more after this.
    fn retire_tls(&mut self) {
        if let Some(tls) = self.tls.take() {
            self.peer_params = tls.quic_transport_parameters().map(Into::into);
        }
    }
}

impl crypto::Session for LightSession {
    fn initial_keys(&self, dst_cid: &ConnectionId, side: Side) -> Keys {
        let side = match side {
            Side::Client => rustls::Side::Client,
            Side::Server => rustls::Side::Server,
        };
        boxed(self.initial.keys(dst_cid, side, Version::V1))
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
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    fn read_handshake(&mut self, buf: &[u8]) -> Result<bool, TransportError> {
        let Some(tls) = &mut self.tls else { return Ok(false) };
        tls.read_hs(buf).map_err(|error| TransportError {
            code: tls.alert().map_or(TransportErrorCode::PROTOCOL_VIOLATION, |alert| {
                TransportErrorCode::crypto(alert.into())
            }),
            frame: None,
            reason: error.to_string(),
        })?;
        let ready = !self.told_ready && (tls.alpn_protocol().is_some() || !tls.is_handshaking());
        self.told_ready |= ready;
        Ok(ready)
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        let raw = match &self.tls {
            Some(tls) => tls.quic_transport_parameters(),
            None => self.peer_params.as_deref(),
        };
        let read =
            |raw| TransportParameters::read(Side::Client, &mut io::Cursor::new(raw)).map_err(Into::into);
        raw.map(read).transpose()
    }

    fn write_handshake(&mut self, buf: &mut Vec<u8>) -> Option<Keys> {
        match self.tls.as_mut()?.write_hs(buf)? {
            KeyChange::Handshake { keys } => Some(boxed(keys)),
            KeyChange::OneRtt { keys, next } => {
                let limits = Limits {
                    confidentiality: keys.local.packet.confidentiality_limit(),
                    integrity: keys.local.packet.integrity_limit(),
                };
                self.next = Some(Next::Secrets(Box::new(next), limits));
                // The client's Finished is in `buf` and rustls has no more to say: these keys are the last it makes.
                if self.tls.as_ref().is_some_and(|tls| !tls.is_handshaking()) {
                    self.retire_tls();
                }
                Some(boxed(keys))
            }
        }
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        let (secrets, limits) = match self.next.take()? {
            Next::Secrets(secrets, limits) => (*secrets, limits),
            Next::Given(given) => (given.following(), given.limits),
        };
        let generation = Arc::new(Generation { secrets, limits, keys: OnceLock::new() });
        self.next = Some(Next::Given(Arc::clone(&generation)));
        Some(KeyPair {
            local: Box::new(LazyKey { generation: Arc::clone(&generation), local: true }),
            remote: Box::new(LazyKey { generation, local: false }),
        })
    }

    fn is_valid_retry(&self, orig_dst_cid: &ConnectionId, header: &[u8], payload: &[u8]) -> bool {
        let Some(tag_start) = payload.len().checked_sub(TAG_BYTES) else { return false };
        let (body, tag) = payload.split_at(tag_start);
        let mut pseudo_packet = vec![orig_dst_cid.len() as u8];
        pseudo_packet.extend_from_slice(orig_dst_cid);
        pseudo_packet.extend_from_slice(header);
        pseudo_packet.extend_from_slice(body);
        let Ok(key) = aws_lc_rs::aead::UnboundKey::new(&aws_lc_rs::aead::AES_128_GCM, &RETRY_KEY) else {
            return false;
        };
        let nonce = aws_lc_rs::aead::Nonce::assume_unique_for_key(RETRY_NONCE);
        let aad = aws_lc_rs::aead::Aad::from(pseudo_packet);
        aws_lc_rs::aead::LessSafeKey::new(key).open_in_place(nonce, aad, &mut tag.to_vec()).is_ok()
    }

    fn export_keying_material(
        &self,
        _output: &mut [u8],
        _label: &[u8],
        _context: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        // A load generator binds nothing to its TLS session; a server that needs an exporter takes it before the
        // rustls state goes.
        Err(ExportKeyingMaterialError)
    }
}

/// How much one key may be used; the same for every generation of a cipher suite.
#[derive(Clone, Copy)]
struct Limits {
    confidentiality: u64,
    integrity: u64,
}

/// One generation of 1-RTT packet keys: its secrets, and the keys once a packet needed them.
struct Generation {
    secrets: Secrets,
    limits: Limits,
    keys: OnceLock<PacketKeySet>,
}

impl Generation {
    fn keys(&self) -> &PacketKeySet {
        self.keys.get_or_init(|| self.secrets.clone().next_packet_keys())
    }

    /// The secrets of the generation after this one.
    fn following(&self) -> Secrets {
        let mut secrets = self.secrets.clone();
        // rustls advances the secrets as a side effect of making keys.
        drop(secrets.next_packet_keys());
        secrets
    }
}

/// One direction of a [`Generation`], derived on first use.
struct LazyKey {
    generation: Arc<Generation>,
    local: bool,
}

impl LazyKey {
    fn key(&self) -> &dyn PacketKey {
        let keys = self.generation.keys();
        if self.local { &keys.local } else { &keys.remote }
    }
}

impl PacketKey for LazyKey {
    fn encrypt(&self, packet: u64, buf: &mut [u8], header_len: usize) {
        self.key().encrypt(packet, buf, header_len);
    }

    fn decrypt(&self, packet: u64, header: &[u8], payload: &mut BytesMut) -> Result<(), CryptoError> {
        self.key().decrypt(packet, header, payload)
    }

    fn tag_len(&self) -> usize {
        TAG_BYTES
    }

    fn confidentiality_limit(&self) -> u64 {
        self.generation.limits.confidentiality
    }

    fn integrity_limit(&self) -> u64 {
        self.generation.limits.integrity
    }
}

fn boxed(keys: rustls::quic::Keys) -> Keys {
    Keys {
        header: KeyPair { local: Box::new(keys.local.header), remote: Box::new(keys.remote.header) },
        packet: KeyPair { local: Box::new(keys.local.packet), remote: Box::new(keys.remote.packet) },
    }
}

#[cfg(test)]
#[path = "crypto_tests.rs"]
mod tests;
