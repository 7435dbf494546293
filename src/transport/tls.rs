//! Step 1 of 6: the TLS side of a QUIC connection, which keeps only what an established connection needs.
//!
//! In: a rustls server configuration. Out: a [`quinn_proto::crypto::ServerConfig`] whose sessions let go of rustls's
//! handshake state when the client's Finished has been read, and derive the keys of the next generation (RFC 9001,
//! section 6) only when a key update asks for them. Both are kept for the life of a connection otherwise, and
//! most connections never need either (docs/DECISIONS.md has what it saves).

use std::any::Any;
use std::sync::{Arc, OnceLock};

use bytes::BytesMut;
use quinn_proto::crypto::rustls::{NoInitialCipherSuite, QuicServerConfig};
use quinn_proto::crypto::{
    CryptoError, ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey, ServerConfig, Session,
    UnsupportedVersion,
};
use quinn_proto::transport_parameters::TransportParameters;
use quinn_proto::{ConnectionId, Side, TransportError, TransportErrorCode};
use rustls::quic::{KeyChange, Secrets, ServerConnection, Version};

use super::padding::Unpadded;

/// Makes one [`Session`] for every connection.
pub struct LeanServerConfig {
    tls: Arc<rustls::ServerConfig>,
    /// Initial keys and Retry tags, which are the same for everybody.
    quic: Arc<QuicServerConfig>,
}

impl LeanServerConfig {
    /// Wraps `tls`. The error means that it lacks `TLS13_AES_128_GCM_SHA256`, which QUIC's first packets need.
    pub fn new(tls: Arc<rustls::ServerConfig>) -> Result<Self, NoInitialCipherSuite> {
        Ok(Self { quic: Arc::new(QuicServerConfig::try_from(Arc::clone(&tls))?), tls })
    }
}

impl ServerConfig for LeanServerConfig {
    fn initial_keys(&self, version: u32, dst_cid: &ConnectionId) -> Result<Keys, UnsupportedVersion> {
        let mut keys = self.quic.initial_keys(version, dst_cid)?;
        keys.packet.remote = Box::new(Unpadded(keys.packet.remote));
        Ok(keys)
    }

    fn retry_tag(&self, version: u32, orig_dst_cid: &ConnectionId, packet: &[u8]) -> [u8; 16] {
        self.quic.retry_tag(version, orig_dst_cid, packet)
    }

    fn start_session(self: Arc<Self>, version: u32, params: &TransportParameters) -> Box<dyn Session> {
        let mut encoded = Vec::new();
        params.write(&mut encoded);
        let quic_version = if version == 1 { Version::V1 } else { Version::V1Draft };
        let handshake = ServerConnection::new(Arc::clone(&self.tls), quic_version, encoded).ok();
        Box::new(LeanSession {
            config: self,
            version,
            handshake: handshake.map(Box::new),
            next: None,
            handed_out: false,
        })
    }
}

/// The TLS session of one connection.
struct LeanSession {
    config: Arc<LeanServerConfig>,
    version: u32,
    /// rustls, until the handshake is over (or if it could not be started at all).
    handshake: Option<Box<ServerConnection>>,
    /// The generation of keys after those in use, from the moment those exist.
    next: Option<Arc<Generation>>,
    /// Whether `next` has been given to quinn-proto, which always holds one generation ahead.
    handed_out: bool,
}

impl Session for LeanSession {
    fn initial_keys(&self, dst_cid: &ConnectionId, _: Side) -> Keys {
        // quinn-proto starts a session only for a version whose initial keys it has had from the configuration.
        self.config.initial_keys(self.version, dst_cid).expect("a session's version is a supported one")
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        None
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        None
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        None // 0-RTT is off: it would link two visits of one person.
    }

    fn early_data_accepted(&self) -> Option<bool> {
        None
    }

    fn is_handshaking(&self) -> bool {
        self.handshake.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    fn read_handshake(&mut self, bytes: &[u8]) -> Result<bool, TransportError> {
        let Some(tls) = &mut self.handshake else {
            // RFC 8446: a client has nothing to say after its Finished but KeyUpdate, which QUIC forbids.
            return Err(TransportError {
                code: TransportErrorCode::crypto(rustls::AlertDescription::UnexpectedMessage.into()),
                frame: None,
                reason: "unexpected handshake message".into(),
            });
        };
        tls.read_hs(bytes).map_err(|error| TransportError {
            code: tls.alert().map_or(TransportErrorCode::PROTOCOL_VIOLATION, |alert| {
                TransportErrorCode::crypto(alert.into())
            }),
            frame: None,
            reason: error.to_string(),
        })?;
        Ok(false)
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        let Some(mut encoded) = self.handshake.as_ref().and_then(|tls| tls.quic_transport_parameters())
        else {
            return Ok(None);
        };
        Ok(Some(TransportParameters::read(Side::Server, &mut encoded)?))
    }

    fn write_handshake(&mut self, buffer: &mut Vec<u8>) -> Option<Keys> {
        let tls = self.handshake.as_mut()?;
        let Some(change) = tls.write_hs(buffer) else {
            // quinn-proto asks after every flight that it has read: the first time that nothing is left to do
            // or to say is the end of the handshake.
            if !tls.is_handshaking() && buffer.is_empty() {
                self.handshake = None;
            }
            return None;
        };
        let (keys, remote): (_, fn(_) -> Box<dyn PacketKey>) = match change {
            KeyChange::Handshake { keys } => (keys, |key| Box::new(Unpadded(Box::new(key)))),
            KeyChange::OneRtt { keys, next } => {
                self.next = Some(Arc::new(Generation::new(next)));
                (keys, |key: Box<dyn rustls::quic::PacketKey>| Box::new(key))
            }
        };
        Some(Keys {
            header: KeyPair { local: Box::new(keys.local.header), remote: Box::new(keys.remote.header) },
            packet: KeyPair { local: Box::new(keys.local.packet), remote: remote(keys.remote.packet) },
        })
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        let generation = match (self.handed_out, self.next.take()?) {
            (false, first) => first,
            // Asked again: an update has happened, so the generation that was handed out is in use.
            (true, in_use) => Arc::new(Generation::new(in_use.derived().following.clone())),
        };
        self.handed_out = true;
        self.next = Some(Arc::clone(&generation));
        Some(KeyPair {
            local: Box::new(LazyKey { generation: Arc::clone(&generation), local: true }),
            remote: Box::new(LazyKey { generation, local: false }),
        })
    }

    fn is_valid_retry(&self, _: &ConnectionId, _: &[u8], _: &[u8]) -> bool {
        false // Only a client reads Retry packets.
    }

    fn export_keying_material(
        &self,
        _: &mut [u8],
        _: &[u8],
        _: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        Err(ExportKeyingMaterialError) // Nothing here uses exporters.
    }
}

/// One generation of 1-RTT packet keys, derived when a packet first needs it.
struct Generation {
    secrets: Secrets,
    derived: OnceLock<Box<Derived>>,
}

struct Derived {
    local: Box<dyn rustls::quic::PacketKey>,
    remote: Box<dyn rustls::quic::PacketKey>,
    /// The secrets of the generation after this one.
    following: Secrets,
}

impl Generation {
    fn new(secrets: Secrets) -> Self {
        Self { secrets, derived: OnceLock::new() }
    }

    fn derived(&self) -> &Derived {
        self.derived.get_or_init(|| {
            let mut following = self.secrets.clone();
            let keys = following.next_packet_keys();
            Box::new(Derived { local: keys.local, remote: keys.remote, following })
        })
    }
}

/// A packet key that exists once it is used.
struct LazyKey {
    generation: Arc<Generation>,
    local: bool,
}

impl LazyKey {
    /// quinn-proto's adapter is written for the box itself.
    #[allow(clippy::borrowed_box)]
    fn key(&self) -> &Box<dyn rustls::quic::PacketKey> {
        let derived = self.generation.derived();
        if self.local { &derived.local } else { &derived.remote }
    }
}

impl PacketKey for LazyKey {
    fn encrypt(&self, packet: u64, buffer: &mut [u8], header_len: usize) {
        PacketKey::encrypt(self.key(), packet, buffer, header_len);
    }

    fn decrypt(&self, packet: u64, header: &[u8], payload: &mut BytesMut) -> Result<(), CryptoError> {
        PacketKey::decrypt(self.key(), packet, header, payload)
    }

    fn tag_len(&self) -> usize {
        PacketKey::tag_len(self.key())
    }

    fn confidentiality_limit(&self) -> u64 {
        PacketKey::confidentiality_limit(self.key())
    }

    fn integrity_limit(&self) -> u64 {
        PacketKey::integrity_limit(self.key())
    }
}
