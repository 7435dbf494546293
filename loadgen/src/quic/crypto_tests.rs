//! The light TLS session against quinn-proto's own on the other side: handshake, Retry, key updates from both sides,
//! and that rustls is really gone. Two endpoints in one thread, datagrams passed by hand.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use quinn_proto::crypto::Session;
use quinn_proto::crypto::rustls::QuicServerConfig;
use quinn_proto::{
    Connection, ConnectionHandle, DatagramEvent, Dir, Endpoint, EndpointConfig, Event, ServerConfig,
    StreamEvent,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::LightClientConfig;
use crate::quic::verify::{Trust, tls_config};

/// Two endpoints with a connection between them.
struct Pair {
    now: Instant,
    sides: [Side; 2],
    /// Whether the server answers the first packet with Retry.
    retry: bool,
}

struct Side {
    endpoint: Endpoint,
    connection: Option<(ConnectionHandle, Connection)>,
    inbox: VecDeque<Vec<u8>>,
    received: usize,
}

const SERVER: usize = 0;
const CLIENT: usize = 1;

impl Pair {
    fn new(retry: bool) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_string()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        tls.alpn_protocols = vec![b"test".to_vec()];
        let server = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
        let side = |server| Side {
            endpoint: Endpoint::new(Arc::new(EndpointConfig::default()), server, false, None),
            connection: None,
            inbox: VecDeque::new(),
            received: 0,
        };
        let mut pair = Self { now: Instant::now(), sides: [side(Some(Arc::new(server))), side(None)], retry };
        let light = LightClientConfig::new(Arc::new(tls_config(&Trust::Anything, b"test").unwrap())).unwrap();
        let config = quinn_proto::ClientConfig::new(Arc::new(light));
        let to = "127.0.0.1:1".parse().unwrap();
        let client = &mut pair.sides[CLIENT];
        client.connection = Some(client.endpoint.connect(pair.now, config, to, "localhost").unwrap());
        pair.settle();
        pair
    }

    fn connection(&mut self, side: usize) -> &mut Connection {
        &mut self.sides[side].connection.as_mut().unwrap().1
    }

    /// Passes datagrams until nobody has any more to send. Time stands still, but for what delayed acks need.
    fn settle(&mut self) {
        for _ in 0..50 {
            self.now += Duration::from_millis(30);
            for side in [CLIENT, SERVER] {
                self.step(side);
            }
        }
    }

    fn step(&mut self, at: usize) {
        let (now, retry) = (self.now, self.retry);
        let (mut buffer, mut out) = (Vec::new(), Vec::new());
        let remote = if at == CLIENT { "127.0.0.1:1" } else { "127.0.0.1:2" }.parse().unwrap();
        let side = &mut self.sides[at];
        while let Some(datagram) = side.inbox.pop_front() {
            buffer.clear();
            match side.endpoint.handle(now, remote, None, None, BytesMut::from(&datagram[..]), &mut buffer) {
                Some(DatagramEvent::NewConnection(incoming))
                    if retry && !incoming.remote_address_validated() =>
                {
                    let transmit = side.endpoint.retry(incoming, &mut buffer).unwrap();
                    out.push(buffer[..transmit.size].to_vec());
                }
                Some(DatagramEvent::NewConnection(incoming)) => {
                    side.connection = Some(side.endpoint.accept(incoming, now, &mut buffer, None).unwrap());
                }
                Some(DatagramEvent::ConnectionEvent(_, event)) => {
                    side.connection.as_mut().unwrap().1.handle_event(event);
                }
                Some(DatagramEvent::Response(_)) | None => {}
            }
        }
        if let Some((handle, connection)) = &mut side.connection {
            if connection.poll_timeout().is_some_and(|due| due <= now) {
                connection.handle_timeout(now);
            }
            while let Some(event) = connection.poll_endpoint_events() {
                if let Some(event) = side.endpoint.handle_event(*handle, event) {
                    connection.handle_event(event);
                }
            }
            while let Some(event) = connection.poll() {
                match event {
                    Event::ConnectionLost { reason } => panic!("side {at} lost the connection: {reason}"),
                    Event::Stream(StreamEvent::Opened { dir: Dir::Uni }) => {
                        while let Some(id) = connection.streams().accept(Dir::Uni) {
                            let mut stream = connection.recv_stream(id);
                            let mut chunks = stream.read(true).unwrap();
                            while let Ok(Some(chunk)) = chunks.next(usize::MAX) {
                                side.received += chunk.bytes.len();
                            }
                            let _ = chunks.finalize();
                        }
                    }
                    _ => {}
                }
            }
            buffer.clear();
            while let Some(transmit) = connection.poll_transmit(now, 1, &mut buffer) {
                out.push(buffer[..transmit.size].to_vec());
                buffer.clear();
            }
        }
        self.sides[1 - at].inbox.extend(out);
    }

    /// Sends 10 bytes each way and says how many have arrived on both sides so far.
    fn exchange(&mut self) -> [usize; 2] {
        for side in [CLIENT, SERVER] {
            let connection = self.connection(side);
            let id = connection.streams().open(Dir::Uni).unwrap();
            connection.send_stream(id).write(&[7; 10]).unwrap();
            connection.send_stream(id).finish().unwrap();
        }
        self.settle();
        [self.sides[SERVER].received, self.sides[CLIENT].received]
    }
}

#[test]
fn data_flows_both_ways_after_the_handshake() {
    let mut pair = Pair::new(false);
    assert!(!pair.connection(CLIENT).is_handshaking());
    assert_eq!(pair.exchange(), [10, 10]);
}

#[test]
fn a_retry_is_verified_and_followed() {
    let mut pair = Pair::new(true);
    assert!(!pair.connection(CLIENT).is_handshaking());
    assert_eq!(pair.exchange(), [10, 10]);
}

#[test]
fn keys_can_be_updated_again_and_again_from_either_side() {
    let mut pair = Pair::new(false);
    let mut expected = 0;
    for round in 0..6 {
        let side = if round % 2 == 0 { CLIENT } else { SERVER };
        pair.connection(side).force_key_update();
        expected += 10;
        assert_eq!(pair.exchange(), [expected; 2], "after update {round}");
        // An update may follow only after the last one is acknowledged and its old keys are gone.
        pair.now += Duration::from_secs(5);
        pair.settle();
    }
}

#[test]
fn rustls_is_gone_after_the_handshake() {
    let mut pair = Pair::new(false);
    let session = pair.connection(CLIENT).crypto_session();
    assert!(!session.is_handshaking());
    assert!(session.transport_parameters().unwrap().is_some(), "the parameters are kept");
    // What only rustls could answer has no answer any more.
    assert!(session.export_keying_material(&mut [0; 16], b"label", b"").is_err());
    assert!(session.peer_identity().is_none());
}

#[test]
fn a_forged_retry_is_not_believed() {
    let pair = Pair::new(false);
    let session: &dyn Session = pair.sides[CLIENT].connection.as_ref().unwrap().1.crypto_session();
    let cid = quinn_proto::ConnectionId::new(&[1; 8]);
    assert!(!session.is_valid_retry(&cid, &[0xf0, 0, 0, 0, 1], &[0; 40]));
    assert!(!session.is_valid_retry(&cid, &[], &[0; 3]));
}
