//! HTTP/3's and WebTransport's rules over real sockets, with a client on bare QUIC.
//!
//! The table of all rules is a unit test of the session layer; this is the proof that they hold through QUIC.

mod peers;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use peers::chat::{Chatter, HELLO, frame};
use peers::raw::{self, Raw, soon};
use peers::server::Program;
use peers::wire::{self, close, connect, control, data, get, headers};
use quinn::{TransportConfig, VarInt};
use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

/// A WebTransport application error as HTTP/3 carries it.
const APPLICATION_ERROR_1: u64 = 0x52e4_a40f_a8dc;
const SESSION_GONE: u64 = 0x170d_7b68;

#[tokio::test]
async fn requests_that_open_no_session_get_a_status() {
    let program = Program::start(&["--shards", "1"]);
    let origin = program.origin();
    let raw = Raw::connect(program.listen).await;
    let status = |code: &str| [&[0x00, 0x00, 0x5f, 0x09, 0x03], code.as_bytes()].concat();
    let not_found = vec![0x00, 0x00, 0xdb];
    let plain_connect = headers(&[(":method", "CONNECT"), (":authority", "localhost:1")]);
    for (request, section) in [
        (get("/"), not_found.clone()),
        (get("/v1"), not_found.clone()),
        (connect("/", Some(&origin)), not_found.clone()),
        (connect("/v1/", Some(&origin)), not_found),
        (connect("/v1", Some("https://elsewhere.example")), vec![0x00, 0x00, 0xff, 0x05]),
        (plain_connect, status("501")),
        (headers(&[("x", &"y".repeat(8_300))]), status("431")),
    ] {
        assert_eq!(raw.ask(&request).await, wire::frame(0x01, &section));
    }
    let (connect, _receive) = raw.session().await;
    assert_eq!(
        VarInt::from(connect.id()).into_inner(),
        28,
        "after all of them, a session opens on the same connection"
    );
}

#[tokio::test]
async fn a_broken_rule_closes_the_connection_with_its_error() {
    let program = Program::start(&["--shards", "1"]);
    let uni: [(&str, Vec<Vec<u8>>, u64); 8] = [
        ("a second control stream", vec![control(), vec![0x00]], 0x103),
        ("a push stream", vec![vec![0x01]], 0x103),
        ("DATA on the control stream", vec![[control(), data(b"x")].concat()], 0x105),
        ("no SETTINGS", vec![vec![0x00, 0x07, 0x01, 0x00]], 0x10a),
        ("SETTINGS twice", vec![[control(), wire::frame(0x04, b"")].concat()], 0x105),
        ("a setting of HTTP/2", vec![vec![0x00, 0x04, 0x02, 0x02, 0x00]], 0x109),
        ("an insertion into the dynamic table", vec![vec![0x02, 0xc0, 0x00]], 0x201),
        ("an acknowledgement of nothing", vec![vec![0x03, 0x81]], 0x202),
    ];
    for (story, streams, error) in uni {
        let mut raw = Raw::silent(program.listen).await;
        for stream in streams {
            raw.uni(&stream).await;
        }
        assert_eq!(raw.closed_with().await, error, "{story}");
    }
    let bidi: [(&str, Vec<u8>, u64); 5] = [
        ("DATA before HEADERS", data(b"x"), 0x105),
        ("a frame of HTTP/2", wire::frame(0x06, &[0; 8]), 0x105),
        ("PUSH_PROMISE", wire::frame(0x05, b"\0\0\0"), 0x105),
        ("a reference to the dynamic table", wire::frame(0x01, b"\0\0\x80"), 0x200),
        ("a stream of a session that cannot be", wire::channel_header(2), 0x108),
    ];
    for (story, bytes, error) in bidi {
        let raw = Raw::connect(program.listen).await;
        let _streams = raw.bidi(&bytes).await;
        assert_eq!(raw.closed_with().await, error, "{story}");
    }
}

#[tokio::test]
async fn a_closed_critical_stream_closes_the_connection() {
    let program = Program::start(&["--shards", "1"]);
    for first in [control(), vec![0x02], vec![0x03]] {
        for reset in [false, true] {
            let raw = Raw::silent(program.listen).await;
            let mut stream = soon("a stream", raw.quic.open_uni()).await.expect("a stream");
            stream.write_all(&first).await.expect("bytes");
            if reset {
                // The type has to arrive: a reset may overtake what was written before it.
                soon("an acknowledgement", acknowledged(&raw)).await;
                stream.reset(VarInt::from_u32(0)).expect("a reset");
            } else {
                stream.finish().expect("an end");
            }
            assert_eq!(raw.closed_with().await, 0x104);
        }
    }
    let raw = Raw::connect(program.listen).await;
    let mut servers = soon("the server's control stream", raw.quic.accept_uni()).await.expect("a stream");
    servers.stop(VarInt::from_u32(0)).expect("a stop");
    assert_eq!(raw.closed_with().await, 0x104);
}

/// Waits for a round trip after everything that was written: a request is answered.
async fn acknowledged(raw: &Raw) {
    raw.ask(&get("/")).await;
}

#[tokio::test]
async fn the_servers_control_stream_says_what_browsers_need() {
    let program = Program::start(&["--shards", "1"]);
    let raw = Raw::connect(program.listen).await;
    let mut stream = soon("the server's control stream", raw.quic.accept_uni()).await.expect("a stream");
    let mut head = [0; 3];
    soon("SETTINGS", stream.read_exact(&mut head)).await.expect("SETTINGS");
    assert_eq!(head[..2], [0x00, 0x04]);
    let mut payload = vec![0; usize::from(head[2])];
    soon("SETTINGS", stream.read_exact(&mut payload)).await.expect("SETTINGS");
    let (mut rest, mut settings) = (&payload[..], Vec::new());
    while let Some((id, after)) = wire::read_varint(rest) {
        let (value, after) = wire::read_varint(after).expect("a value");
        settings.push((id, value));
        rest = after;
    }
    for setting in [(0x2b60_3742, 1), (0xc671_706a, 1), (0x08, 1), (0x33, 1), (0x01, 0), (0x07, 0)] {
        assert!(settings.contains(&setting), "{setting:x?} in {settings:x?}");
    }
    for absent in [0x14e9_cd29, 0x2c7c_f000] {
        assert!(
            !settings.iter().any(|(id, _)| *id == absent),
            "Safari refuses a server that offers {absent:x}"
        );
    }
}

#[tokio::test]
async fn a_malformed_request_ends_its_stream_and_nothing_else() {
    let program = Program::start(&["--shards", "1"]);
    let raw = Raw::connect(program.listen).await;
    let (_send, mut receive) = raw.bidi(&headers(&[(":method", "GET")])).await;
    let reset = soon("a reset", receive.read_to_end(100)).await.expect_err("a reset");
    assert!(reset_code(&reset) == Some(0x10e), "{reset:?}");
    assert_eq!(raw.ask(&get("/")).await, wire::frame(0x01, b"\0\0\xdb"));
}

fn reset_code(error: &quinn::ReadToEndError) -> Option<u64> {
    match error {
        quinn::ReadToEndError::Read(quinn::ReadError::Reset(code)) => Some(code.into_inner()),
        _ => None,
    }
}

#[tokio::test]
async fn a_session_takes_one_channel_and_refuses_every_other_stream() {
    let program = Program::start(&["--shards", "1"]);
    let raw = Raw::connect(program.listen).await;
    let (connect_stream, _responses) = raw.session().await;
    let (write, read) = raw.channel(&connect_stream).await;
    let _chatter = Chatter::hello(write, read).await;

    let (send, mut receive) = raw.channel(&connect_stream).await;
    let stopped = soon("a refusal", send.stopped()).await.expect("a refusal");
    assert_eq!(stopped.map(VarInt::into_inner), Some(APPLICATION_ERROR_1));
    let reset = soon("a reset", receive.read_to_end(100)).await.expect_err("a reset");
    assert_eq!(reset_code(&reset), Some(APPLICATION_ERROR_1));

    let mut uni = soon("a stream", raw.quic.open_uni()).await.expect("a stream");
    uni.write_all(&[&wire::varint(0x54)[..], b"\0data"].concat()).await.expect("bytes");
    let stopped = soon("a refusal", uni.stopped()).await.expect("a refusal");
    assert_eq!(stopped.map(VarInt::into_inner), Some(APPLICATION_ERROR_1));

    let (_send, mut receive) = raw.bidi(&connect("/v1", None)).await;
    let reset = soon("a reset", receive.read_to_end(100)).await.expect_err("a reset");
    assert_eq!(reset_code(&reset), Some(0x10b), "a second CONNECT");
}

#[tokio::test]
async fn the_channel_may_come_before_the_connect() {
    let program = Program::start(&["--shards", "1"]);
    let raw = Raw::connect(program.listen).await;
    // The stream that will carry the CONNECT is opened first and says nothing yet.
    let (mut request, _responses) = soon("a stream", raw.quic.open_bi()).await.expect("a stream");
    let (mut write, mut read) = raw.channel(&request).await;
    write.write_all(&frame(HELLO, br#"{"v":1}"#)).await.expect("bytes");
    let early = tokio::time::timeout(std::time::Duration::from_millis(200), read.read(&mut [0; 9])).await;
    assert!(early.is_err(), "nothing is answered before there is a session");
    request.write_all(&connect("/v1", None)).await.expect("bytes");
    let mut chatter = Chatter { write, read, chat: 0 };
    chatter.expect(peers::chat::WELCOME).await;
}

#[tokio::test]
async fn the_clients_close_capsule_ends_the_session() {
    let program = Program::start(&["--shards", "1"]);
    let raw = Raw::connect(program.listen).await;
    let (mut connect_stream, mut responses) = raw.session().await;
    let (write, read) = raw.channel(&connect_stream).await;
    let mut chatter = Chatter::hello(write, read).await;
    connect_stream.write_all(&close(0, b"good night")).await.expect("bytes");
    connect_stream.finish().expect("an end");
    let rest = soon("the server's end", responses.read_to_end(100)).await.expect("a clean end");
    assert!(rest.is_empty(), "{rest:?}");
    let reset = soon("a reset", chatter.read.read_to_end(100)).await.expect_err("a reset");
    assert_eq!(reset_code(&reset), Some(SESSION_GONE));
}

#[tokio::test]
async fn the_servers_close_capsule_tells_code_and_reason() {
    let program = Program::start(&["--shards", "1"]);
    for (frame_of_client, code) in [(frame(0x77, b""), 1), (frame(HELLO, &[b' '; 4_097]), 2)] {
        let raw = Raw::connect(program.listen).await;
        let (connect_stream, mut responses) = raw.session().await;
        let (mut write, _read) = raw.channel(&connect_stream).await;
        let _ = write.write_all(&frame_of_client).await;
        let rest = soon("a close capsule", responses.read_to_end(2_048)).await.expect("a clean end");
        let (reason_code, reason) = close_capsule(&rest);
        assert_eq!(reason_code, code);
        assert!(!reason.is_empty() && reason.is_ascii(), "plain words: {reason:?}");
    }
}

/// The code and reason in a DATA frame with a close capsule.
fn close_capsule(bytes: &[u8]) -> (u32, String) {
    let (frame_type, rest) = wire::read_varint(bytes).expect("a frame");
    let (length, rest) = wire::read_varint(rest).expect("a length");
    assert_eq!((frame_type, length), (0x00, rest.len() as u64), "one DATA frame: {bytes:?}");
    let (capsule_type, rest) = wire::read_varint(rest).expect("a capsule");
    let (length, rest) = wire::read_varint(rest).expect("a length");
    assert_eq!((capsule_type, length), (0x2843, rest.len() as u64));
    let (code, reason) = rest.split_at(4);
    (
        u32::from_be_bytes(code.try_into().expect("4 bytes")),
        String::from_utf8(reason.to_vec()).expect("UTF-8"),
    )
}

#[tokio::test]
async fn the_end_of_the_channel_is_the_end_of_the_session() {
    let program = Program::start(&["--shards", "1"]);
    let raw = Raw::connect(program.listen).await;
    let (connect_stream, mut responses) = raw.session().await;
    let (write, read) = raw.channel(&connect_stream).await;
    let mut chatter = Chatter::hello(write, read).await;
    chatter.write.finish().expect("an end");
    let rest = soon("a close capsule", responses.read_to_end(2_048)).await.expect("a clean end");
    assert_eq!(close_capsule(&rest).0, 0);
}

#[tokio::test]
async fn data_after_the_close_capsule_is_an_error_of_its_stream() {
    let program = Program::start(&["--shards", "1"]);
    let raw = Raw::connect(program.listen).await;
    let (mut connect_stream, _responses) = raw.session().await;
    connect_stream.write_all(&[close(0, b""), data(b"more")].concat()).await.expect("bytes");
    let stopped = soon("a refusal", connect_stream.stopped()).await.expect("a refusal");
    assert_eq!(stopped.map(VarInt::into_inner), Some(0x10e));
}

/// Counts the tickets that servers give.
#[derive(Debug, Default)]
struct Tickets(AtomicUsize);

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}
    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }
    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}
    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }
    fn remove_tls12_session(&self, _: &ServerName<'static>) {}
    fn insert_tls13_ticket(&self, _: ServerName<'static>, _: Tls13ClientSessionValue) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        None
    }
}

#[tokio::test]
async fn nothing_is_given_that_would_link_one_visit_to_the_next() {
    let program = Program::start(&[]);
    let tickets = Arc::new(Tickets::default());
    let mut tls = raw::tls();
    let store: Arc<dyn ClientSessionStore> = tickets.clone();
    tls.resumption = Resumption::store(store);
    let endpoint = raw::endpoint_at(Ipv4Addr::LOCALHOST, tls, TransportConfig::default());
    let visit = Raw::through(endpoint, program.listen).await;
    // The answer comes after whatever follows a handshake.
    visit.ask(&get("/")).await;
    assert_eq!(tickets.0.load(Ordering::Relaxed), 0, "a TLS ticket");
    assert_eq!(visit.quic.stats().frame_rx.new_token, 0, "an address token");
}
