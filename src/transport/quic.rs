//! Step 1 of 6: how QUIC is spoken here.
//!
//! In: the TLS configuration and the place of a shard among the others. Out: quinn-proto's configurations with small
//! windows, few streams, no tickets, no tokens and no 0-RTT (limits.rs has each number and its reason).

use std::sync::Arc;

use quinn_proto::congestion::NewRenoConfig;
use quinn_proto::crypto::rustls::NoInitialCipherSuite;
use quinn_proto::{
    EndpointConfig, IdleTimeout, ServerConfig, TransportConfig, ValidationTokenConfig, VarInt,
};

use super::cid::{Generation, ShardCidGenerator};
use super::keys::QuicKeys;
use super::tls::LeanServerConfig;
use crate::limits;

/// The endpoint of shard `shard` of `shards`.
#[must_use]
pub fn endpoint_config(
    keys: &QuicKeys,
    generation: Generation,
    shard: u16,
    shards: u16,
) -> Arc<EndpointConfig> {
    let mut config = EndpointConfig::new(Arc::new(keys.reset_key()));
    config.cid_generator(move || Box::new(ShardCidGenerator::new(generation, shard, shards)));
    Arc::new(config)
}

/// What every connection of the server gets. One for all shards.
pub fn server_config(
    tls: Arc<rustls::ServerConfig>,
    keys: &QuicKeys,
) -> Result<Arc<ServerConfig>, NoInitialCipherSuite> {
    let mut config = ServerConfig::new(Arc::new(LeanServerConfig::new(tls)?), Arc::new(keys.token_key()));
    let mut no_tokens = ValidationTokenConfig::default();
    no_tokens.sent(0);
    config
        .transport_config(Arc::new(transport_config()))
        .validation_token_config(no_tokens)
        .incoming_buffer_size(limits::INCOMING_BUFFER_BYTES)
        .incoming_buffer_size_total(limits::INCOMING_BUFFERS_BYTES)
        .migration(true);
    Ok(Arc::new(config))
}

fn transport_config() -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(limits::CLIENT_BIDI_STREAMS as u32))
        .max_concurrent_uni_streams(VarInt::from_u32(limits::CLIENT_UNI_STREAMS as u32))
        .stream_receive_window(VarInt::from_u32(limits::STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(limits::CONNECTION_WINDOW_BYTES))
        .send_window(limits::SEND_WINDOW_BYTES)
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(limits::IDLE_TIMEOUT_MS))))
        // The driver keeps connections alive itself, because the pace depends on whether they are in a chat.
        .keep_alive_interval(None)
        .mtu_discovery_config(None)
        .crypto_buffer_size(limits::CRYPTO_BUFFER_BYTES)
        .datagram_receive_buffer_size(Some(limits::DATAGRAM_BUFFER_BYTES))
        .datagram_send_buffer_size(0)
        .congestion_controller_factory(Arc::new(NewRenoConfig::default()));
    config
}
