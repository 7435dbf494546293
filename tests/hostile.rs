//! What one client can do to the server and to others: not much, whatever it sends.
//!
//! Each test measures the memory of the server's process against the bound of `limits.rs`, while two people chat on.

#![allow(clippy::print_stdout)] // The figures that are compared.

mod peers;

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anoncam::limits::{CLIENT_BYTES, IDLE_CONNECTION_BYTES};
use peers::chat::{ENDED, SIGNAL, frame, relayed};
use peers::packets::{Packets, Settled, crypto_frame_at, stream_frame};
use peers::peace::{Peace, Person, pair};
use peers::raw::{PATIENCE, Raw, soon};
use peers::server::Program;
use peers::wire::{self, announce, connect, control, data, get};
use quinn::{SendStream, TransportConfig, VarInt};
use tokio::sync::{Mutex, MutexGuard};

/// What the process may grow by besides its clients: the allocator's own pages (2 MiB each), buffers touched for the first time.
const SLACK_BYTES: usize = 8 << 20;

/// HTTP/3's error for a client that asks for too much.
const EXCESSIVE_LOAD: u64 = 0x107;
/// QUIC's error for a client that makes the server retire too many connection IDs at once.
const CONNECTION_ID_LIMIT_ERROR: u64 = 0x09;

/// A server with two people who chat, and its memory before somebody attacks it.
struct Siege {
    /// One siege at a time: what is measured is the server, not a race of tests for the machine.
    _alone: MutexGuard<'static, ()>,
    program: Program,
    peace: Peace,
    before_bytes: usize,
}

impl Siege {
    async fn begin() -> Self {
        Self::begin_with(&[]).await
    }

    async fn begin_with(settings: &[(&str, &str)]) -> Self {
        static ALONE: Mutex<()> = Mutex::const_new(());
        let alone = ALONE.lock().await;
        let program = Program::start_with(&["--shards", "1"], settings);
        let peace = Peace::begin(program.listen).await;
        let before_bytes = program.resident_bytes();
        Self { _alone: alone, program, peace, before_bytes }
    }

    fn server(&self) -> SocketAddr {
        self.program.listen
    }

    /// Checks the memory now: so many clients attack.
    fn holds(&self, clients: usize) {
        let grown = self.program.resident_bytes().saturating_sub(self.before_bytes);
        let bound = clients * CLIENT_BYTES + SLACK_BYTES;
        println!("{clients} clients: {} KiB, bound {} KiB", grown / 1024, bound / 1024);
        assert!(grown <= bound, "{clients} clients made it grow by {grown} bytes, over {bound}");
    }

    async fn end(mut self) {
        assert!(self.program.lives());
        self.peace.was_undisturbed().await;
    }
}

/// Writes `bytes` again and again until `total` have left, or the server refuses more, or takes no more.
async fn pour(stream: &mut SendStream, bytes: &[u8], total: usize) {
    let mut left = total;
    while left > 0 {
        let length = left.min(bytes.len());
        match tokio::time::timeout(Duration::from_secs(2), stream.write_all(&bytes[..length])).await {
            Ok(Ok(())) => left -= length,
            _ => return,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn huge_frames_of_any_type_on_any_stream_are_not_collected() {
    let siege = Siege::begin().await;
    let mut clients = Vec::new();
    for frame_type in [0x00, 0x01, 0x03, 0x04, 0x05, 0x07, 0x0d, 0x21, 0x41, 0x4040, 0x3fff_ffff] {
        let huge = announce(frame_type, 1 << 40);
        let beginnings = [
            ("control, first", [vec![0x00], huge.clone()].concat(), false),
            ("control, later", [control(), huge.clone()].concat(), false),
            ("a stream of an unknown type", [vec![0x21], huge.clone()].concat(), false),
            ("a request, first", huge.clone(), true),
            ("a request, later", [get("/"), huge.clone()].concat(), true),
            ("a session", [connect("/v1", None), huge.clone()].concat(), true),
        ];
        for (_, beginning, bidi) in beginnings {
            clients.push(tokio::spawn(fill(siege.server(), beginning, bidi)));
        }
    }
    let count = clients.len();
    for client in clients {
        let _still_connected = client.await.expect("a client");
        siege.holds(count);
    }
    siege.end().await;
}

/// Opens one stream with these bytes and pours 1 MiB after them.
async fn fill(server: SocketAddr, beginning: Vec<u8>, bidi: bool) -> (Raw, SendStream) {
    let raw = Raw::silent(server).await;
    let mut stream = if bidi {
        raw.quic.open_bi().await.expect("a stream").0
    } else {
        raw.quic.open_uni().await.expect("a stream")
    };
    let _ = stream.write_all(&beginning).await;
    pour(&mut stream, &[0; 16_384], 1 << 20).await;
    (raw, stream)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_announced_and_never_sent_hold_no_memory() {
    let siege = Siege::begin().await;
    let mut people = Vec::new();
    for _ in 0..100 {
        let mut person = Person::enter(siege.server()).await;
        person.chatter.send(&[SIGNAL, 0x00, 0x80, 0x00, 1]).await;
        let mut streams = Vec::new();
        for bytes in [announce(0x01, 8_192), [get("/"), announce(0x00, 1 << 50)].concat()] {
            streams.push(person.raw.bidi(&bytes).await);
        }
        let capsule = data(&announce(0x2843, 1_028));
        person.connect.0.write_all(&capsule).await.expect("bytes");
        people.push((person, streams));
    }
    siege.holds(people.len());
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn millions_of_four_byte_frames_cost_the_sender_only() {
    let siege = Siege::begin().await;
    let mut attackers = Vec::new();
    for frames in [
        // LEAVE, 4 bytes, on the channel.
        frame(0x03, b"").repeat(4_096),
        // Relayed frames for a chat that is not there.
        relayed(SIGNAL, 7, b"").repeat(2_048),
    ] {
        let mut person = Person::enter(siege.server()).await;
        attackers.push(tokio::spawn(async move {
            pour(&mut person.chatter.write, &frames, 4 << 20).await;
            person.raw
        }));
    }
    for frames in [[0x21, 0x02, 0, 0].repeat(4_096), wire::frame(0x0d, &[0x40, 0x01]).repeat(4_096)] {
        let raw = Raw::silent(siege.server()).await;
        attackers.push(tokio::spawn(async move {
            let mut stream = raw.quic.open_uni().await.expect("a stream");
            stream.write_all(&control()).await.expect("SETTINGS");
            pour(&mut stream, &frames, 4 << 20).await;
            raw
        }));
    }
    let count = attackers.len();
    for attacker in attackers {
        let _still_connected = attacker.await.expect("an attacker");
        siege.holds(count);
    }
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn capsules_of_any_length_are_skipped_or_refused() {
    let siege = Siege::begin().await;
    let mut attackers = Vec::new();
    for capsule in [announce(0x21, 1 << 61), announce(0x78ae, 1 << 30), announce(0x00, 1 << 20)] {
        let person = Person::enter(siege.server()).await;
        attackers.push(tokio::spawn(async move {
            let mut person = person;
            let _ = person.connect.0.write_all(&data(&capsule)).await;
            pour(&mut person.connect.0, &data(&[7; 8_192]), 4 << 20).await;
            person
        }));
    }
    let mut close = Person::enter(siege.server()).await;
    close.connect.0.write_all(&data(&announce(0x2843, 1 << 30))).await.expect("bytes");
    let stopped = soon("a refusal", close.connect.0.stopped()).await.expect("a refusal");
    assert_eq!(stopped.map(VarInt::into_inner), Some(0x10e), "a reason of a gibibyte");
    let count = attackers.len() + 1;
    for attacker in attackers {
        let _still_connected = attacker.await.expect("an attacker");
        siege.holds(count);
    }
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_opened_and_reset_without_end_leave_nothing_behind() {
    let siege = Siege::begin().await;
    let until = Instant::now() + Duration::from_secs(6);
    let clients: Vec<_> = (0..8).map(|_| tokio::spawn(churn(siege.server(), until))).collect();
    let (mut streams, count) = (0, clients.len());
    for client in clients {
        let (opened, _still_connected) = client.await.expect("a client");
        streams += opened;
        siege.holds(count);
    }
    println!("{streams} streams of each kind");
    assert!(streams > 200, "{streams}");
    siege.end().await;
}

/// Opens and resets streams in all ways until then, or until the server closes a connection that asks for no session; how many.
async fn churn(server: SocketAddr, until: Instant) -> (usize, Raw) {
    // A client that gives the server no room to answer, so that every response would have to be held.
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(VarInt::from_u32(0));
    let raw = Raw::with(server, transport).await;
    let mut streams = 0;
    while Instant::now() < until {
        let opened = tokio::time::timeout(Duration::from_secs(1), raw.quic.open_bi()).await;
        let Ok(Ok((mut send, mut receive))) = opened else { break };
        let _ = send.write_all(&get("/")).await;
        match streams % 3 {
            0 => drop(send.reset(VarInt::from_u32(0))),
            1 => drop(send.finish()),
            _ => {}
        }
        let _ = receive.stop(VarInt::from_u32(0));
        if let Ok(Ok(mut uni)) = tokio::time::timeout(Duration::from_secs(1), raw.quic.open_uni()).await {
            let _ = uni.write_all(b"\x21grease").await;
            let _ = uni.reset(VarInt::from_u32(0));
        }
        streams += 1;
    }
    (streams, raw)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_that_are_not_taken_hold_up_no_other_stream() {
    let siege = Siege::begin().await;
    let mut transport = TransportConfig::default();
    // Less than a response has, and less than the server's SETTINGS: without a reader, both stay with the server.
    transport.stream_receive_window(VarInt::from_u32(3));
    let raw = Raw::with(siege.server(), transport).await;
    let mut not_taken = Vec::new();
    for _ in 0..3 {
        let (mut send, receive) = raw.bidi(&get("/")).await;
        send.finish().expect("an end");
        not_taken.push((send, receive));
    }
    for _ in 0..10 {
        assert_eq!(raw.ask(&get("/")).await, wire::frame(0x01, b"\0\0\xdb"));
    }
    drop(not_taken);
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_nothing_stops_its_stranger_and_nobody_else() {
    let siege = Siege::begin().await;
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(VarInt::from_u32(2_048));
    let mut deaf = Person::through(Raw::with(siege.server(), transport).await).await;
    let mut talker = Person::enter(siege.server()).await;
    pair(&mut deaf, &mut talker, "deafness").await;
    let text = relayed(SIGNAL, talker.chatter.chat, &vec![9; 30_000]);
    let sent = pour_count(&mut talker.chatter.write, &text).await;
    println!("{sent} bytes were taken before the server stopped reading");
    assert!(sent < CLIENT_BYTES * 2, "{sent} bytes were taken for somebody who reads nothing");
    siege.holds(2);
    let ended = soon("the end of the chat", talker.chatter.expect(ENDED)).await;
    assert_eq!(ended["why"], "stalled");
    siege.end().await;
}

/// Writes until nothing is taken for a second; how many bytes were.
async fn pour_count(stream: &mut SendStream, bytes: &[u8]) -> usize {
    let mut sent = 0;
    loop {
        let rest = &bytes[sent % bytes.len()..];
        match tokio::time::timeout(Duration::from_secs(1), stream.write(rest)).await {
            Ok(Ok(written)) => sent += written,
            _ => return sent,
        }
    }
}

/// So many clients that make their own packets do the same at once, each in a thread; then the memory is measured.
async fn packets_of(count: usize, attack: fn(&mut Packets), expected: Settled) {
    let siege = Siege::begin().await;
    let server = siege.server();
    let one = move || {
        let mut packets = Packets::connect(server);
        packets.send(&[stream_frame(2, 0, &control()), stream_frame(0, 0, &connect("/v1", None))].concat());
        attack(&mut packets);
        packets.settle()
    };
    let attackers: Vec<_> = (0..count).map(|_| tokio::task::spawn_blocking(one)).collect();
    let (mut highest, mut outcomes) = (0, Vec::new());
    for attacker in attackers {
        while !attacker.is_finished() {
            highest = highest.max(siege.program.resident_bytes());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        outcomes.push(attacker.await.expect("an attacker"));
    }
    let grown = highest.max(siege.program.resident_bytes()).saturating_sub(siege.before_bytes);
    println!("{count} clients: {} KiB at most, {outcomes:?}", grown / 1024);
    // On a busy machine a client that acknowledges nothing may not hear what the server says to it.
    let others = outcomes.iter().any(|outcome| ![expected, Settled::Silent].contains(outcome));
    assert!(outcomes.contains(&expected) && !others, "{outcomes:?}");
    assert!(grown <= count * CLIENT_BYTES + SLACK_BYTES, "{count} clients made it grow by {grown} bytes");
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stream_data_with_a_gap_after_every_byte_is_bounded() {
    packets_of(
        8,
        |packets| {
            // Each byte in a datagram of its own, which it keeps alive as long as the byte before it is missing.
            for offset in 0..1_000 {
                for stream in [4, 8, 12, 6, 10, 14] {
                    packets.send(&stream_frame(stream, 1 + 2 * offset, b"x"));
                }
            }
        },
        Settled::Closed(EXCESSIVE_LOAD),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gaps_that_come_by_the_hundred_in_a_datagram_are_bounded() {
    packets_of(
        8,
        |packets| {
            const GAPS: u64 = 190;
            // What arrives before the server has looked would be enough for tens of thousands of gaps.
            for datagram in 0..24 {
                let stream = [4, 8, 12, 6, 10, 14][datagram as usize % 6];
                let first = 1 + 2 * GAPS * (datagram / 6);
                let frames: Vec<_> =
                    (0..GAPS).map(|gap| stream_frame(stream, first + 2 * gap, b"x")).collect();
                packets.send(&frames.concat());
            }
        },
        Settled::Closed(EXCESSIVE_LOAD),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshake_data_with_gaps_after_the_handshake_is_bounded() {
    packets_of(
        8,
        |packets| {
            for offset in 0..3_000 {
                packets.send(&crypto_frame_at(1 + 2 * offset, b"x"));
            }
        },
        Settled::Closed(EXCESSIVE_LOAD),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_connection_ids_to_retire_is_bounded() {
    packets_of(
        8,
        |packets| {
            for packet in 0..1_500_u64 {
                let mut frames = Vec::new();
                for number in packet * 32 + 1..=packet * 32 + 32 {
                    // NEW_CONNECTION_ID that retires all before it; the server's answers are never acknowledged.
                    frames.extend([vec![0x18], wire::varint(number), wire::varint(number), vec![8]].concat());
                    frames.extend([number.to_be_bytes(), [7; 8], number.to_be_bytes()].concat());
                }
                packets.send(&frames);
            }
        },
        Settled::Closed(CONNECTION_ID_LIMIT_ERROR),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_retired_connection_ids_is_bounded() {
    packets_of(
        8,
        |packets| {
            for number in 1..=100_u64 {
                // RETIRE_CONNECTION_ID: the server gives out another for each, which has to be there before its turn comes.
                packets.send(&[vec![0x19], wire::varint(number)].concat());
                if number.is_multiple_of(4) && packets.settle() != Settled::Acknowledged {
                    return;
                }
            }
        },
        Settled::Closed(EXCESSIVE_LOAD),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_path_challenges_and_pings_is_bounded() {
    packets_of(
        8,
        |packets| {
            for number in 0..2_000_u64 {
                packets.send(&[&[0x1a][..], &number.to_be_bytes(), &[0x01; 200]].concat());
            }
        },
        Settled::Acknowledged,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_ask_for_no_session_are_closed() {
    let siege = Siege::begin().await;
    let mut idle = Vec::new();
    for _ in 0..50 {
        idle.push(Raw::connect(siege.server()).await);
    }
    siege.holds(idle.len());
    for raw in &idle {
        assert_eq!(raw.closed_with().await, 0x100);
    }
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_first_packets_from_many_ports_is_asked_to_prove_its_addresses() {
    const RETRY_ABOVE: usize = 100;
    let siege = Siege::begin_with(&[("ANONCAM_RETRY_ABOVE", &RETRY_ABOVE.to_string())]).await;
    let mut sockets = Vec::new();
    for initial in first_packets(siege.server(), 800) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket.send_to(&initial, siege.server()).expect("a packet");
        sockets.push(socket);
    }
    // Packets go through one socket of the server in order: an answer to the last says that all have been looked at.
    let mut retries = 0;
    for socket in sockets.iter().rev() {
        let mut answer = [0; 2_048];
        socket.recv(&mut answer).expect("an answer");
        // A long header of type 3 (RFC 9000, section 17.2.5).
        retries += usize::from(answer[0] & 0xf0 == 0xf0);
    }
    println!("{retries} of {} were asked to prove their address", sockets.len());
    assert!(retries >= sockets.len() - RETRY_ABOVE);
    let grown = siege.program.resident_bytes().saturating_sub(siege.before_bytes);
    let bound = RETRY_ABOVE * IDLE_CONNECTION_BYTES + SLACK_BYTES;
    assert!(grown <= bound, "{grown} bytes for {RETRY_ABOVE} half-open handshakes");
    let begin = Instant::now();
    let _late = Person::enter(siege.server()).await;
    println!("a client of good will entered within {:?}", begin.elapsed());
    siege.end().await;
}

/// The first datagram of so many connections, none of which will ever go on.
fn first_packets(server: SocketAddr, count: usize) -> Vec<Vec<u8>> {
    use quinn_proto::{ClientConfig, Endpoint, EndpointConfig, crypto::rustls::QuicClientConfig};
    use std::sync::Arc;
    let tls = QuicClientConfig::try_from(peers::raw::tls()).expect("a configuration");
    let config = ClientConfig::new(Arc::new(tls));
    let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::default()), None, true, None);
    let mut packet = || {
        let now = Instant::now();
        let (_, mut connection) =
            endpoint.connect(now, config.clone(), server, "localhost").expect("an attempt");
        let mut bytes = Vec::new();
        let transmit = connection.poll_transmit(now, 1, &mut bytes).expect("a first packet");
        bytes.truncate(transmit.size);
        bytes
    };
    (0..count).map(|_| packet()).collect()
}
