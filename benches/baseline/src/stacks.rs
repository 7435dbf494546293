//! Steps 1 and 6: the three stacks, each from a QUIC handshake to a channel and to the end of the session.

use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anoncam::core::io::CloseCode;
use anoncam::limits;
use anoncam::tls::{CertificateStore, server_crypto};
use bytes::Bytes;
use h3::ext::Protocol;
use h3::quic::BidiStream;
use h3_webtransport::server::{AcceptedBi, WebTransportSession};
use quinn::congestion::NewRenoConfig;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, IdleTimeout, Incoming, TransportConfig, VarInt};

use crate::channel::serve_channel;
use crate::hub::Hub;

/// Why a session did not come about. Nobody is told: a failed client sees it for itself.
type Failed = Box<dyn Error + Send + Sync>;
type Serving = Pin<Box<dyn Future<Output = ()>>>;

const PATH: &str = "/v1";
/// From the first datagram to an accepted session: the handshake's 5 s and the CONNECT's 3 s of the server.
const ACCEPT_S: u64 = 8;
/// From the session to the channel.
const CHANNEL_S: u64 = 5;
/// What was just written may take this long before the connection is dropped.
const GRACE_MS: u64 = 200;
/// Keep-alive and idle timeout of the figures in DESIGN.md.
const KEEP_ALIVE_S: u64 = 20;
const IDLE_MS: u32 = 120_000;

/// The server's own certificate, ciphers and windows.
pub fn server_config(store: Arc<CertificateStore>) -> Result<quinn::ServerConfig, Box<dyn Error>> {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(limits::CLIENT_BIDI_STREAMS as u32))
        .max_concurrent_uni_streams(VarInt::from_u32(limits::CLIENT_UNI_STREAMS as u32))
        .stream_receive_window(VarInt::from_u32(limits::STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(limits::CONNECTION_WINDOW_BYTES))
        .send_window(limits::SEND_WINDOW_BYTES)
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_MS))))
        .keep_alive_interval(Some(Duration::from_secs(KEEP_ALIVE_S)))
        .mtu_discovery_config(None)
        .datagram_receive_buffer_size(Some(limits::DATAGRAM_BUFFER_BYTES))
        .datagram_send_buffer_size(limits::DATAGRAM_BUFFER_BYTES)
        .congestion_controller_factory(Arc::new(NewRenoConfig::default()));
    let crypto = QuicServerConfig::try_from(server_crypto(store, false)?)?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    let mut no_tokens = quinn::ValidationTokenConfig::default();
    no_tokens.sent(0);
    config.transport_config(Arc::new(transport)).validation_token_config(no_tokens);
    Ok(config)
}

/// Binds `stack`. What it returns accepts sessions for as long as it is polled.
pub fn start(
    stack: &str,
    listen: SocketAddr,
    config: quinn::ServerConfig,
    hub: Arc<Hub>,
) -> Result<(SocketAddr, Serving), Box<dyn Error>> {
    if stack == "wtransport" {
        let config =
            wtransport::ServerConfig::builder().with_bind_address(listen).build_with_quic_config(config);
        let endpoint = wtransport::Endpoint::server(config)?;
        let address = endpoint.local_addr()?;
        let serving = async move {
            loop {
                let incoming = endpoint.accept().await;
                tokio::spawn(wtransport_session(incoming, Arc::clone(&hub)));
            }
        };
        return Ok((address, Box::pin(serving)));
    }
    let endpoint = Endpoint::server(config, listen)?;
    let address = endpoint.local_addr()?;
    let serving: Serving = match stack {
        "h3" => Box::pin(accept(endpoint, move |incoming| h3_session(incoming, Arc::clone(&hub)))),
        "web-transport-quinn" => {
            Box::pin(accept(endpoint, move |incoming| web_transport_session(incoming, Arc::clone(&hub))))
        }
        _ => return Err("--stack is h3, web-transport-quinn or wtransport".into()),
    };
    Ok((address, serving))
}

async fn accept<F>(endpoint: Endpoint, session: impl Fn(Incoming) -> F)
where
    F: Future<Output = Result<(), Failed>> + Send + 'static,
{
    while let Some(incoming) = endpoint.accept().await {
        tokio::spawn(session(incoming));
    }
}

async fn within<T>(seconds: u64, future: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
    tokio::time::timeout(Duration::from_secs(seconds), future).await?
}

async fn h3_session(incoming: Incoming, hub: Arc<Hub>) -> Result<(), Failed> {
    let session = Box::pin(within(ACCEPT_S, h3_accept(incoming))).await?;
    let place = hub.open();
    let channel = within(CHANNEL_S, async { Ok(session.accept_bi().await?) }).await?;
    let Some(AcceptedBi::BidiStream(_, stream)) = channel else { return Ok(()) };
    let (mut writer, mut reader) = stream.split();
    if serve_channel(&place, &mut reader, &mut writer).await.is_some() {
        // The session cannot be closed with a code: the connection is dropped once the last frames had time to go out.
        tokio::time::sleep(Duration::from_millis(GRACE_MS)).await;
    }
    Ok(())
}

async fn h3_accept(incoming: Incoming) -> Result<WebTransportSession<h3_quinn::Connection, Bytes>, Failed> {
    let connection = h3_quinn::Connection::new(incoming.await?);
    let mut connection = h3::server::builder()
        .enable_webtransport(true)
        .enable_extended_connect(true)
        .enable_datagram(true)
        .max_webtransport_sessions(1)
        .send_grease(false)
        .build(connection)
        .await?;
    let resolver = connection.accept().await?.ok_or("no request")?;
    let (request, mut stream) = resolver.resolve_request().await?;
    let is_session = request.extensions().get::<Protocol>() == Some(&Protocol::WEB_TRANSPORT);
    if !is_session || request.uri().path() != PATH {
        stream.send_response(http::Response::builder().status(404).body(())?).await?;
        stream.finish().await?;
        return Err("another path".into());
    }
    Ok(WebTransportSession::accept(request, stream, connection).await?)
}

async fn web_transport_session(incoming: Incoming, hub: Arc<Hub>) -> Result<(), Failed> {
    let request = Box::pin(within(ACCEPT_S, async {
        let connection = incoming.await?;
        Ok(web_transport_quinn::Request::accept(connection).await?)
    }))
    .await?;
    if request.url.path() != PATH {
        request.reject(http::StatusCode::NOT_FOUND).await?;
        return Ok(());
    }
    let session = request.ok().await?;
    let place = hub.open();
    let (mut writer, mut reader) = within(CHANNEL_S, async { Ok(session.accept_bi().await?) }).await?;
    if let Some((code, reason)) = serve_channel(&place, &mut reader, &mut writer).await {
        close_after_grace(code, |code| session.close(code, &reason)).await;
        session.closed().await;
    }
    Ok(())
}

async fn wtransport_session(
    incoming: wtransport::endpoint::IncomingSession,
    hub: Arc<Hub>,
) -> Result<(), Failed> {
    let request = Box::pin(within(ACCEPT_S, async { Ok(incoming.await?) })).await?;
    if request.path() != PATH {
        request.not_found().await;
        return Ok(());
    }
    let session = request.accept().await?;
    let place = hub.open();
    let (mut writer, mut reader) = within(CHANNEL_S, async { Ok(session.accept_bi().await?) }).await?;
    if let Some((code, reason)) = serve_channel(&place, &mut reader, &mut writer).await {
        close_after_grace(code, |code| session.close(code.into(), &reason)).await;
    }
    Ok(())
}

async fn close_after_grace(code: CloseCode, close: impl FnOnce(u32)) {
    tokio::time::sleep(Duration::from_millis(GRACE_MS)).await;
    close(u32::from(code as u8));
}
