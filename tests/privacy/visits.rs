//! Two visits of one client share nothing that the server has said: no ticket, token, connection ID, cookie or anything else.
//!
//! The client remembers all that it is given. Its visits are recorded as they were on the wire and as they were before encryption, and compared
//! with those of somebody else: what is in both of its own and in nobody else's would be an identifier, whatever it is called.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use rustls::{HandshakeKind, NamedGroup};

use crate::peers::chat::{HELLO, WELCOME, frame};
use crate::peers::packets::{OWN_ID, Packets, stream_frame};
use crate::peers::{raw, wire};
use crate::policy::{NAME, Operator};
use crate::program::Running;
use crate::world::listen;

/// Shortest string that tells one visitor from another: fewer bytes come twice by chance.
const TELLING_BYTES: usize = 8;

/// CRYPTO, which after the handshake carries tickets, and QUIC's own token (RFC 9000, section 19).
const TLS_TICKET: u64 = 0x06;
const NEW_TOKEN: u64 = 0x07;

/// Keeps every ticket, and counts them.
#[derive(Debug, Default)]
struct Memory {
    tickets: Mutex<Vec<Tls13ClientSessionValue>>,
    given: Mutex<usize>,
}

impl ClientSessionStore for Memory {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {
        *self.given.lock().expect("a lock") += 1;
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        *self.given.lock().expect("a lock") += 1;
        self.tickets.lock().expect("a lock").push(ticket);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.tickets.lock().expect("a lock").pop()
    }
}

/// A client that resumes whatever it can.
fn remembering(tls: rustls::ClientConfig) -> (Arc<rustls::ClientConfig>, Arc<Memory>) {
    let (mut tls, memory) = (tls, Arc::new(Memory::default()));
    tls.resumption = Resumption::store(memory.clone());
    tls.enable_early_data = true;
    (Arc::new(tls), memory)
}

/// All that the server said in a visit: what was on the wire, the parts of its handshake, and what was in its packets.
fn visit(server: SocketAddr, from: Ipv4Addr, tls: &Arc<rustls::ClientConfig>) -> Vec<Vec<u8>> {
    let mut packets = Packets::connect_as(server, from, Arc::clone(tls));
    let cookie = ("cookie", "offered=by-the-client");
    packets.send(&stream_frame(2, 0, &wire::control()));
    packets.send(&stream_frame(0, 0, &wire::connect_with("/v1", &[cookie])));
    let channel = [wire::channel_header(0), frame(HELLO, br#"{"v":1}"#)].concat();
    packets.send(&stream_frame(4, 0, &channel));
    let said = packets.hear(b"\"session\":\"").expect("a WELCOME");
    assert!(said.contains(&WELCOME));
    // A moment for what comes late: tickets, tokens, more connection IDs.
    packets.settle();
    let Packets { wire, tls, plain, .. } = packets;
    let wire = wire.into_iter().map(|datagram| beyond_own_id(&datagram));
    let frames: Vec<_> = plain.iter().flat_map(|packet| contents(packet)).collect();
    // A ticket or a token would name the client when it is shown at the next visit, however often it changes.
    let given = frames.iter().find(|(kind, _)| matches!(*kind, TLS_TICKET | NEW_TOKEN));
    assert!(given.is_none(), "the client is given something to show at its next visit: {given:02x?}");
    wire.chain(messages(&tls)).chain(frames.into_iter().map(|(_, data)| data)).collect()
}

/// A datagram from behind the connection ID on that the client has chosen, which is the same in all of these visits.
fn beyond_own_id(datagram: &[u8]) -> Vec<u8> {
    let at = datagram.windows(OWN_ID.len()).position(|window| window == OWN_ID).expect("the client's ID");
    datagram[at + OWN_ID.len()..].to_vec()
}

/// A length of so many bytes at the front, what it is the length of, and the rest.
fn sized(bytes: &[u8], length_bytes: usize) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(length_bytes)?;
    rest.split_at_checked(length.iter().fold(0, |value, byte| value << 8 | usize::from(*byte)))
}

/// The messages of a handshake, each by itself; of the one with QUIC's parameters, which come in any order, each parameter.
fn messages(mut tls: &[u8]) -> Vec<Vec<u8>> {
    const ENCRYPTED_EXTENSIONS: u8 = 8;
    let mut parts = Vec::new();
    while let Some((kind, rest)) = tls.split_first() {
        let (message, after) = sized(rest, 3).expect("a whole message");
        tls = after;
        if *kind == ENCRYPTED_EXTENSIONS {
            let (mut extensions, _) = sized(message, 2).expect("extensions");
            while let Some((kind, rest)) = extensions.split_at_checked(2) {
                let (extension, after) = sized(rest, 2).expect("a whole extension");
                extensions = after;
                parts.extend(if kind == [0, 0x39] {
                    parameters(extension)
                } else {
                    vec![extension.to_vec()]
                });
            }
        } else {
            parts.push(message.to_vec());
        }
    }
    parts
}

fn parameters(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut parameters = Vec::new();
    while !bytes.is_empty() {
        let _id = integer(&mut bytes);
        parameters.push(take(&mut bytes));
    }
    parameters
}

fn integer(bytes: &mut &[u8]) -> u64 {
    let (value, rest) = wire::read_varint(bytes).expect("an integer");
    *bytes = rest;
    value
}

/// A length and as many bytes.
fn take(bytes: &mut &[u8]) -> Vec<u8> {
    let length = integer(bytes) as usize;
    let (taken, rest) = bytes.split_at(length);
    *bytes = rest;
    taken.to_vec()
}

/// What the frames of a packet carry (RFC 9000, section 19), but for what they acknowledge and allow.
fn contents(mut frames: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut carried = Vec::new();
    while !frames.is_empty() {
        let kind = integer(&mut frames);
        let numbers = match kind {
            // PADDING, PING, HANDSHAKE_DONE
            0x00 | 0x01 | 0x1e => 0,
            0x02 | 0x03 => {
                let (_largest, _delay) = (integer(&mut frames), integer(&mut frames));
                2 * integer(&mut frames) + 1 + if kind == 0x03 { 3 } else { 0 }
            }
            TLS_TICKET | NEW_TOKEN => {
                if kind == TLS_TICKET {
                    integer(&mut frames);
                }
                carried.push((kind, take(&mut frames)));
                0
            }
            // STREAM: a token's place in it is nobody's.
            0x08..=0x0f => {
                integer(&mut frames);
                if kind & 0x04 != 0 {
                    integer(&mut frames);
                }
                let data =
                    if kind & 0x02 != 0 { take(&mut frames) } else { std::mem::take(&mut frames).to_vec() };
                carried.push((kind, without_place(&data)));
                0
            }
            // RESET_STREAM, STOP_SENDING, and what may be sent
            0x04 => 3,
            0x05 | 0x11 | 0x15 => 2,
            0x10 | 0x12..=0x14 | 0x16 | 0x17 | 0x19 => 1,
            // NEW_CONNECTION_ID: the ID and the token of its reset
            0x18 => {
                let (_sequence, _retire) = (integer(&mut frames), integer(&mut frames));
                let (id, rest) = frames[1..].split_at(frames[0].into());
                let (token, rest) = rest.split_at(16);
                carried.extend([(kind, id.to_vec()), (kind, token.to_vec())]);
                frames = rest;
                0
            }
            other => panic!("a frame of type {other:#x}"),
        };
        (0..numbers).for_each(|_| _ = integer(&mut frames));
    }
    carried
}

/// Data without the first eight characters of a session's token: the place of the session on the server, which the next visitor
/// gets when it is free again.
fn without_place(plain: &[u8]) -> Vec<u8> {
    let before = b"\"session\":\"";
    match plain.windows(before.len()).position(|window| window == before) {
        Some(at) => [&plain[..at], &plain[at + before.len() + 8..]].concat(),
        None => plain.to_vec(),
    }
}

/// All strings of so many bytes.
fn strings(said: &[Vec<u8>], bytes: usize) -> HashSet<&[u8]> {
    said.iter().flat_map(|said| said.windows(bytes)).collect()
}

/// What is in both visits of one client, with enough of it in nobody else's to tell a visitor by. A byte that everybody is sent stands in
/// a familiar place: four bytes around it were sent to others too.
fn shared<'a>(first: &[Vec<u8>], second: &'a [Vec<u8>], others: &[Vec<Vec<u8>>]) -> Vec<&'a [u8]> {
    const FAMILIAR_BYTES: usize = 4;
    let others: HashSet<&[u8]> = others.iter().flat_map(|other| strings(other, FAMILIAR_BYTES)).collect();
    let first = strings(first, TELLING_BYTES);
    let mut found = Vec::new();
    for said in second {
        let familiar: Vec<bool> =
            said.windows(FAMILIAR_BYTES).map(|around| others.contains(around)).collect();
        let is_new = |at: usize| {
            let from = (at + 1).saturating_sub(FAMILIAR_BYTES);
            !familiar[from..familiar.len().min(at + 1)].iter().any(|familiar| *familiar)
        };
        let mut end = 0;
        while let Some(start) = (end..(said.len() + 1).saturating_sub(TELLING_BYTES))
            .find(|at| first.contains(&said[*at..at + TELLING_BYTES]))
        {
            end = start + TELLING_BYTES;
            while end < said.len() && first.contains(&said[end + 1 - TELLING_BYTES..=end]) {
                end += 1;
            }
            if (start..end).filter(|at| is_new(*at)).count() >= TELLING_BYTES {
                found.push(&said[start..end]);
            }
        }
    }
    found
}

#[test]
fn two_visits_over_quic_share_nothing() {
    let running = Running::start(&["--shards", "1"]);
    let server = listen(&running);
    let (own, memory) = remembering(raw::small_tls());
    let home = Ipv4Addr::LOCALHOST;
    let somebody = |last| {
        let (tls, _) = remembering(raw::small_tls());
        visit(server, Ipv4Addr::new(127, 0, 1, last), &tls)
    };
    let first = visit(server, home, &own);
    let others = [somebody(1), somebody(2)];
    let second = visit(server, home, &own);
    assert_eq!(*memory.given.lock().expect("a lock"), 0, "no ticket is given out");
    let shared = shared(&first, &second, &others);
    assert!(shared.is_empty(), "both visits of one client hold {shared:02x?}");
    let certificate = b"AnonCam development";
    let seen =
        |said: &[Vec<u8>]| said.iter().any(|said| said.windows(19).any(|window| window == certificate));
    assert!(seen(&first) && seen(&second), "what is encrypted was read");
}

#[test]
fn the_comparison_sees_an_identifier() {
    let said = |text: &str| vec![text.as_bytes().to_vec()];
    let (first, second) = (said("hello, ticket 0xfeedbeef, bye"), said("again: ticket 0xfeedbeef"));
    assert!(!shared(&first, &second, &[said("hello, ticket 0x12345678")]).is_empty());
    assert!(shared(&said("hello, bye bye"), &said("see, bye bye"), &[said("but, bye bye")]).is_empty());
}

/// One GET of a client that remembers: how the handshake went, and every byte of the answer.
fn get(site: SocketAddr, tls: &Arc<rustls::ClientConfig>, path: &str) -> (HandshakeKind, Vec<u8>) {
    let name = NAME.try_into().expect("a name");
    let mut tls = rustls::ClientConnection::new(Arc::clone(tls), name).expect("a connection");
    let mut tcp = TcpStream::connect(site).expect("a connection");
    tcp.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {NAME}\r\nCookie: offered=by-the-client\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = Vec::new();
    // The server may close TCP without TLS's goodbye once the answer is complete.
    let _ = stream.read_to_end(&mut answer);
    (tls.handshake_kind().expect("a handshake"), answer)
}

#[test]
fn two_visits_of_the_page_over_https_get_the_same_bytes_and_no_ticket() {
    // Not loopback, so the site speaks TLS; the test reaches it over loopback all the same.
    let operator = Operator::identified("").over_https();
    let (_, adopted) = operator.policy();
    let _server = operator.start(&adopted);
    let mut tls = raw::tls();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let (own, memory) = remembering(tls.clone());
    let (other, _) = remembering(tls);
    let site = SocketAddr::from((Ipv4Addr::LOCALHOST, operator.site.port()));
    for path in ["/", "/privacy", "/style.css", "/client-config.json", "/nothing"] {
        let (first, second, third) = (get(site, &own, path), get(site, &own, path), get(site, &other, path));
        assert_eq!((first.0, second.0), (HandshakeKind::Full, HandshakeKind::Full), "{path}");
        let head =
            String::from_utf8_lossy(&first.1).split("\r\n\r\n").next().unwrap_or_default().to_lowercase();
        assert!(head.starts_with("http/1.1 ") && !head.contains("set-cookie"), "{head}");
        assert!(
            without_date(&first.1) == without_date(&second.1)
                && without_date(&first.1) == without_date(&third.1),
            "{path}"
        );
    }
    assert_eq!(*memory.given.lock().expect("a lock"), 0, "no ticket is given out");
}

/// An answer without its `Date`, which is the same for everybody in the same second.
fn without_date(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer);
    text.lines().filter(|line| !line.to_lowercase().starts_with("date: ")).collect::<Vec<_>>().join("\n")
}
