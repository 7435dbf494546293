//! The floor of a QUIC round trip: quinn-proto on both sides, one stream, one message at a time, no HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use quinn_proto::crypto::rustls::QuicServerConfig;
use quinn_proto::{
    Connection, ConnectionHandle, DatagramEvent, Dir, Endpoint, EndpointConfig, Event, ServerConfig,
    StreamEvent, StreamId,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::PAYLOAD_BYTES;
use crate::quic::crypto::LightClientConfig;
use crate::quic::socket::Socket;
use crate::quic::verify::{Trust, tls_config};
use crate::stats::recorder::Hist;
use crate::time::{Nanos, now, to_instant};

const ALPN: &[u8] = b"echo";
/// A side looks at the stop flag at least this often.
const LOOK: Duration = Duration::from_millis(20);
/// For the handshake and for each echo.
const PATIENCE_NS: Nanos = 5_000_000_000;

/// One side with one connection.
struct Side {
    socket: Socket,
    endpoint: Endpoint,
    connection: Option<(ConnectionHandle, Connection)>,
    buffer: Vec<u8>,
}

/// Sends a message and waits for its echo, again and again.
pub fn echo(span: Nanos, values: &mut Hist) -> Result<(), String> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut server = Side::new(Some(Arc::new(server_config()?)))?;
    let address = ([127, 0, 0, 1], server.socket.port().map_err(|error| error.to_string())?).into();
    let stopped = Arc::clone(&stop);
    let serving = thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            server.turn(&mut |connection, stream| {
                let bytes = read(connection, stream);
                let _ = connection.send_stream(stream).write(&bytes);
            });
        }
    });
    let mut client = Side::new(None)?;
    let result = client.ask(address, span, values);
    stop.store(true, Ordering::Relaxed);
    let _ = serving.join();
    result
}

fn server_config() -> Result<ServerConfig, String> {
    let made =
        rcgen::generate_simple_self_signed(["localhost".to_string()]).map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .and_then(|builder| {
            builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key)
        })
        .map_err(|error| error.to_string())?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let quic = QuicServerConfig::try_from(tls).map_err(|error| error.to_string())?;
    Ok(ServerConfig::with_crypto(Arc::new(quic)))
}

fn read(connection: &mut Connection, stream: StreamId) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut receiving = connection.recv_stream(stream);
    let Ok(mut chunks) = receiving.read(true) else { return bytes };
    while let Ok(Some(chunk)) = chunks.next(usize::MAX) {
        bytes.extend_from_slice(&chunk.bytes);
    }
    let _ = chunks.finalize();
    bytes
}

impl Side {
    fn new(server: Option<Arc<ServerConfig>>) -> Result<Self, String> {
        let socket = Socket::bind(([127, 0, 0, 1], 0).into()).map_err(|error| error.to_string())?;
        let endpoint = Endpoint::new(Arc::new(EndpointConfig::default()), server, false, None);
        Ok(Self { socket, endpoint, connection: None, buffer: Vec::new() })
    }

    fn ask(&mut self, address: std::net::SocketAddr, span: Nanos, values: &mut Hist) -> Result<(), String> {
        let tls = Arc::new(tls_config(&Trust::Anything, ALPN)?);
        let crypto = LightClientConfig::new(tls).ok_or("TLS without AES-128-GCM")?;
        let config = quinn_proto::ClientConfig::new(Arc::new(crypto));
        let connecting = self.endpoint.connect(to_instant(now()), config, address, "localhost");
        self.connection = Some(connecting.map_err(|error| error.to_string())?);
        let (mut stream, mut answered) = (None, 0);
        let deadline = now() + PATIENCE_NS;
        while stream.is_none() {
            self.turn(&mut |_, _| ());
            let (_, connection) = self.connection.as_mut().ok_or("the echo's connection was lost")?;
            stream = connection.streams().open(Dir::Bi).filter(|_| !connection.is_handshaking());
            if now() > deadline {
                return Err("the echo's handshake did not complete".into());
            }
        }
        let (stream, end) = (stream.ok_or("no stream")?, now() + span);
        while now() < end {
            let began = now();
            let (_, connection) = self.connection.as_mut().ok_or("the echo's connection was lost")?;
            let _ = connection.send_stream(stream).write(&[7; PAYLOAD_BYTES]);
            answered = 0;
            while answered < PAYLOAD_BYTES && now() < began + PATIENCE_NS {
                self.turn(&mut |connection, stream| answered += read(connection, stream).len());
            }
            values.saturating_record(now() - began);
        }
        if answered == 0 { Err("the echo was never answered".into()) } else { Ok(()) }
    }

    /// Sends what is due, waits for what comes, and hands every readable stream to `readable`.
    fn turn(&mut self, readable: &mut impl FnMut(&mut Connection, StreamId)) {
        self.transmit();
        let due = self.connection.as_mut().and_then(|(_, connection)| connection.poll_timeout());
        let wait = due.map_or(LOOK, |due| due.saturating_duration_since(to_instant(now())).min(LOOK));
        self.socket.wait(wait);
        let mut received = Vec::new();
        while self.socket.receive(|datagram| received.push(datagram)).unwrap_or(false) {}
        for datagram in received {
            let at = to_instant(now());
            self.buffer.clear();
            let event =
                self.endpoint.handle(at, datagram.remote, None, None, datagram.contents, &mut self.buffer);
            match event {
                Some(DatagramEvent::NewConnection(incoming)) if self.connection.is_none() => {
                    self.connection = self.endpoint.accept(incoming, at, &mut self.buffer, None).ok();
                }
                Some(DatagramEvent::ConnectionEvent(_, event)) => {
                    if let Some((_, connection)) = &mut self.connection {
                        connection.handle_event(event);
                    }
                }
                _ => {}
            }
        }
        self.poll(readable);
        self.transmit();
    }

    fn poll(&mut self, readable: &mut impl FnMut(&mut Connection, StreamId)) {
        let Some((handle, connection)) = &mut self.connection else { return };
        let at = to_instant(now());
        if connection.poll_timeout().is_some_and(|due| due <= at) {
            connection.handle_timeout(at);
        }
        while let Some(event) = connection.poll_endpoint_events() {
            if let Some(event) = self.endpoint.handle_event(*handle, event) {
                connection.handle_event(event);
            }
        }
        while let Some(event) = connection.poll() {
            match event {
                Event::Stream(StreamEvent::Opened { dir: Dir::Bi }) => {
                    while let Some(stream) = connection.streams().accept(Dir::Bi) {
                        readable(connection, stream);
                    }
                }
                Event::Stream(StreamEvent::Readable { id }) => readable(connection, id),
                _ => {}
            }
        }
    }

    fn transmit(&mut self) {
        let Some((_, connection)) = &mut self.connection else { return };
        loop {
            self.buffer.clear();
            let Some(transmit) = connection.poll_transmit(to_instant(now()), 1, &mut self.buffer) else {
                return;
            };
            self.socket.send(&transmit, &self.buffer[..transmit.size], None);
        }
    }
}
