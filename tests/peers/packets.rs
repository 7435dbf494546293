//! A client that makes its own QUIC packets, for what no library would send: it acknowledges nothing, leaves gaps, and
//! puts any frame into a packet.
//!
//! It does the handshake (RFC 9001, section 4) over rustls, and then encrypts what it is told to.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::Side;
use rustls::quic::{ClientConnection, DirectionalKeys, KeyChange, Keys, Version};

use super::raw;
use super::wire::{read_varint, varint};

/// Size of every datagram: what a first packet has to have, and what pins the most memory for a small frame.
const DATAGRAM_BYTES: usize = 1_200;
/// How long an answer may take. Probes of a server that hears no acknowledgement come at twice the interval each time.
const ANSWER: Duration = Duration::from_secs(5);
const PACKET_NUMBER_BYTES: usize = 4;
const TAG_BYTES: usize = 16;
/// The client's own connection ID.
pub const OWN_ID: [u8; 8] = *b"hostile!";

/// A connection after its handshake.
pub struct Packets {
    socket: UdpSocket,
    /// The server's connection ID.
    their_id: Vec<u8>,
    keys: Keys,
    /// The number of the next packet.
    number: u64,
    /// What the server has said.
    heard: Said,
    /// Everything of the server's, as it came.
    pub wire: Vec<Vec<u8>>,
    /// The messages of its handshake.
    pub tls: Vec<u8>,
    /// Its packets after that, as they were before they were encrypted.
    pub plain: Vec<Vec<u8>>,
}

/// The packets of one encryption level while the handshake lasts.
struct Level {
    keys: Keys,
    number: u64,
    /// CRYPTO data that has arrived, and how much of it has been read.
    received: BTreeMap<u64, Vec<u8>>,
    read: u64,
}

impl Level {
    fn new(keys: Keys) -> Self {
        Self { keys, number: 0, received: BTreeMap::new(), read: 0 }
    }

    /// The CRYPTO data that follows what was read.
    fn next(&mut self) -> Option<Vec<u8>> {
        let data = self.received.remove(&self.read)?;
        self.read += data.len() as u64;
        Some(data)
    }
}

impl Packets {
    /// Does the handshake.
    pub fn connect(server: SocketAddr) -> Self {
        Self::connect_as(server, Ipv4Addr::LOCALHOST, Arc::new(raw::small_tls()))
    }

    /// The same from an address of this machine, with what a client remembers of earlier visits.
    pub fn connect_as(server: SocketAddr, from: Ipv4Addr, config: Arc<rustls::ClientConfig>) -> Self {
        let socket = UdpSocket::bind((from, 0)).expect("a socket");
        socket.connect(server).expect("a server");
        socket.set_read_timeout(Some(raw::PATIENCE)).expect("a timeout");
        // Each connection has another first ID: the server knows it by that.
        let port = socket.local_addr().expect("an address").port();
        let first_id = (u64::from(port) << 48).to_be_bytes();
        let name = "localhost".try_into().expect("a name");
        let mut tls = ClientConnection::new(config, Version::V1, name, transport_parameters())
            .expect("a TLS connection");
        let mut initial = Level::new(initial_keys(&first_id));
        let mut handshake: Option<Level> = None;
        let mut their_id = first_id.to_vec();
        let (mut wire, mut said) = (Vec::new(), Vec::new());
        let mut hello = Vec::new();
        assert!(tls.write_hs(&mut hello).is_none());
        let packet = long_packet(0xc3, &their_id, &mut initial, &crypto_frame(&hello));
        socket.send(&packet).expect("a first packet");
        loop {
            let mut datagram = [0; 2_048];
            let length = socket.recv(&mut datagram).expect("an answer");
            wire.push(datagram[..length].to_vec());
            let mut rest = &mut datagram[..length];
            while rest.first().is_some_and(|first| first & 0x80 != 0) {
                let end = open_long(rest, &mut initial, &mut handshake, &mut their_id);
                rest = &mut rest[end..];
                while let Some(data) = initial.next() {
                    said.extend_from_slice(&data);
                    tls.read_hs(&data).expect("a server's hello");
                    if let Some(KeyChange::Handshake { keys }) = tls.write_hs(&mut Vec::new()) {
                        handshake = Some(Level::new(keys));
                    }
                }
                let Some(level) = &mut handshake else { continue };
                while let Some(data) = level.next() {
                    said.extend_from_slice(&data);
                    tls.read_hs(&data).expect("a server's handshake");
                    let mut finished = Vec::new();
                    if let Some(KeyChange::OneRtt { keys, .. }) = tls.write_hs(&mut finished) {
                        let (number, heard, plain, tls) = (0, Said::default(), Vec::new(), said);
                        let mut packets = Self { socket, their_id, keys, number, heard, wire, tls, plain };
                        packets.finish(level, &crypto_frame(&finished));
                        return packets;
                    }
                }
            }
        }
    }

    /// Ends the handshake: says its last word until the server acknowledges a packet under the final keys.
    fn finish(&mut self, level: &mut Level, finished: &[u8]) {
        let until = Instant::now() + raw::PATIENCE;
        while self.heard.acknowledged.is_none() {
            assert!(Instant::now() < until, "the handshake does not end");
            let packet = long_packet(0xe3, &self.their_id, level, finished);
            self.socket.send(&packet).expect("the last of the handshake");
            self.send(&[0x01]);
            self.listen(Duration::from_millis(200), 0);
        }
    }

    /// Sends these frames in a packet of their own, padded to a whole datagram.
    pub fn send(&mut self, frames: &[u8]) {
        let mut payload = frames.to_vec();
        payload.resize(DATAGRAM_BYTES - 1 - self.their_id.len() - PACKET_NUMBER_BYTES - TAG_BYTES, 0);
        let header = [&[0x43], &self.their_id[..]].concat();
        let packet = seal(header, self.number, payload, &self.keys.local);
        self.number += 1;
        // A server that has had enough may have closed its end: then there is nobody left to annoy.
        let _ = self.socket.send(&packet);
        if self.number.is_multiple_of(16) {
            // The packets have to arrive rather than overrun the server's socket; and its answers to be heard.
            self.listen(Duration::from_millis(1), self.number);
        }
    }
}

impl Packets {
    /// Listens until something that the server says, before it was encrypted, holds these bytes. Acknowledges nothing: the server
    /// says it again if it was lost.
    pub fn hear(&mut self, what: &[u8]) -> Option<Vec<u8>> {
        let until = Instant::now() + raw::PATIENCE;
        while Instant::now() < until {
            let found =
                self.plain.iter().find(|plain| plain.windows(what.len()).any(|window| window == what));
            if found.is_some() {
                return found.cloned();
            }
            self.listen(Duration::from_millis(100), u64::MAX);
        }
        None
    }
}

/// How the server has taken what it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It has acknowledged the last packet: it went through all that arrived.
    Acknowledged,
    /// It has closed the connection with this error.
    Closed(u64),
    /// It says nothing: its congestion window is full of what this client never acknowledges.
    Silent,
}

impl Packets {
    /// Sends PINGs until the server has acknowledged one or closed the connection.
    pub fn settle(&mut self) -> Settled {
        let begin = self.number;
        let until = Instant::now() + ANSWER;
        while Instant::now() < until {
            self.send(&[0x01]);
            self.listen(Duration::from_millis(100), begin);
            if let Some(error) = self.heard.closed {
                return Settled::Closed(error);
            }
            if self.heard.acknowledged.is_some_and(|number| number >= begin) {
                return Settled::Acknowledged;
            }
        }
        Settled::Silent
    }

    /// Reads what the server says until nothing comes for so long, or this packet is acknowledged.
    fn listen(&mut self, pause: Duration, number: u64) {
        self.socket.set_read_timeout(Some(pause)).expect("a timeout");
        let mut datagram = [0; 2_048];
        while let Ok(length) = self.socket.recv(&mut datagram) {
            self.wire.push(datagram[..length].to_vec());
            let Some(plain) = self.open_short(&mut datagram[..length]) else { continue };
            let said = Said::read(plain);
            self.plain.push(plain.to_vec());
            self.heard.closed = self.heard.closed.or(said.closed);
            self.heard.acknowledged = self.heard.acknowledged.max(said.acknowledged);
            if self.heard.acknowledged >= Some(number) || self.heard.closed.is_some() {
                return;
            }
        }
    }

    /// What is in a packet, if it can be read.
    fn open_short<'d>(&self, datagram: &'d mut [u8]) -> Option<&'d [u8]> {
        let number_at = 1 + OWN_ID.len();
        if datagram[0] & 0x80 != 0 || datagram.len() < number_at + 4 + TAG_BYTES {
            return None;
        }
        let keys = &self.keys.remote;
        let sample = datagram[number_at + 4..][..keys.header.sample_len()].to_vec();
        let (first, rest) = datagram.split_at_mut(1);
        let number = &mut rest[number_at - 1..][..4];
        if keys.header.decrypt_in_place(&sample, &mut first[0], number).is_err() {
            return None;
        }
        let number_bytes = usize::from(datagram[0] & 3) + 1;
        // Nothing is acknowledged, so numbers are not cut.
        let number =
            datagram[number_at..][..number_bytes].iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        let (header, payload) = datagram.split_at_mut(number_at + number_bytes);
        keys.packet.decrypt_in_place(number, header, payload).ok()
    }
}

/// What a packet of the server says about this side's.
#[derive(Default)]
struct Said {
    /// The largest number that it has got.
    acknowledged: Option<u64>,
    /// The error that it has closed the connection with.
    closed: Option<u64>,
}

impl Said {
    /// Reads the frames that come first in a packet, up to one of another kind.
    fn read(mut frames: &[u8]) -> Self {
        let mut said = Self::default();
        let next = |bytes: &mut &[u8]| {
            let (value, rest) = read_varint(bytes).expect("an integer");
            *bytes = rest;
            value
        };
        while let Some(frame_type) = frames.first().copied() {
            frames = &frames[1..];
            match frame_type {
                // PADDING, PING, HANDSHAKE_DONE
                0x00 | 0x01 | 0x1e => {}
                0x02 | 0x03 => {
                    said.acknowledged = Some(next(&mut frames));
                    let (_delay, ranges, _first) = (next(&mut frames), next(&mut frames), next(&mut frames));
                    let counts = if frame_type == 0x03 { 3 } else { 0 };
                    (0..2 * ranges + counts).for_each(|_| _ = next(&mut frames));
                }
                0x1c | 0x1d => {
                    said.closed = Some(next(&mut frames));
                    return said;
                }
                _ => return said,
            }
        }
        said
    }
}

/// A STREAM frame with an offset and a length (RFC 9000, section 19.8).
pub fn stream_frame(stream: u64, offset: u64, data: &[u8]) -> Vec<u8> {
    [vec![0x0e], varint(stream), varint(offset), varint(data.len() as u64), data.to_vec()].concat()
}

/// A CRYPTO frame at an offset.
pub fn crypto_frame_at(offset: u64, data: &[u8]) -> Vec<u8> {
    [vec![0x06], varint(offset), varint(data.len() as u64), data.to_vec()].concat()
}

fn crypto_frame(data: &[u8]) -> Vec<u8> {
    crypto_frame_at(0, data)
}

fn transport_parameters() -> Vec<u8> {
    let mut parameters = Vec::new();
    // Windows and streams for the server (ids 4 to 9), 8 connection IDs (14), datagrams (32).
    for (id, value) in
        [(4, 1 << 20), (5, 1 << 16), (6, 1 << 16), (7, 1 << 16), (8, 8), (9, 8), (14, 8), (32, 1_200)]
    {
        parameters.extend([varint(id), varint(varint(value).len() as u64), varint(value)].concat());
    }
    parameters.extend([varint(0x0f), varint(OWN_ID.len() as u64), OWN_ID.to_vec()].concat());
    parameters
}

fn initial_keys(first_id: &[u8]) -> Keys {
    let suite = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256
        .tls13()
        .expect("a suite of TLS 1.3");
    Keys::initial(Version::V1, suite, suite.quic.expect("a suite for QUIC"), first_id, Side::Client)
}

/// An Initial (0xc3) or Handshake (0xe3) packet with these frames, alone in its datagram.
fn long_packet(first: u8, their_id: &[u8], level: &mut Level, frames: &[u8]) -> Vec<u8> {
    let mut header = vec![first, 0, 0, 0, 1, their_id.len() as u8];
    header.extend_from_slice(their_id);
    header.push(OWN_ID.len() as u8);
    header.extend_from_slice(&OWN_ID);
    if first == 0xc3 {
        header.push(0); // no token
    }
    let length = DATAGRAM_BYTES - header.len() - 2;
    header.extend_from_slice(&(length as u16 | 0x4000).to_be_bytes());
    let mut payload = frames.to_vec();
    payload.resize(length - PACKET_NUMBER_BYTES - TAG_BYTES, 0);
    let packet = seal(header, level.number, payload, &level.keys.local);
    level.number += 1;
    packet
}

/// Encrypts a packet: payload, then header (RFC 9001, section 5).
fn seal(mut header: Vec<u8>, number: u64, mut payload: Vec<u8>, keys: &DirectionalKeys) -> Vec<u8> {
    header.extend_from_slice(&(number as u32).to_be_bytes());
    let tag = keys.packet.encrypt_in_place(number, &header, &mut payload).expect("a sealed payload");
    let number_at = header.len() - PACKET_NUMBER_BYTES;
    let mut packet = [&header, &payload[..], tag.as_ref()].concat();
    let sample = packet[header.len()..][..keys.header.sample_len()].to_vec();
    let (first, rest) = packet.split_at_mut(1);
    let number = &mut rest[number_at - 1..][..PACKET_NUMBER_BYTES];
    keys.header.encrypt_in_place(&sample, &mut first[0], number).expect("a sealed header");
    packet
}

/// Opens the long-header packet at the front of `datagram` and keeps its CRYPTO frames; its length.
fn open_long(
    datagram: &mut [u8],
    initial: &mut Level,
    handshake: &mut Option<Level>,
    their_id: &mut Vec<u8>,
) -> usize {
    let is_initial = datagram[0] & 0x30 == 0;
    let their_at = 6 + usize::from(datagram[5]);
    let their_bytes = usize::from(datagram[their_at]);
    *their_id = datagram[their_at + 1..][..their_bytes].to_vec();
    let mut at = their_at + 1 + their_bytes;
    if is_initial {
        at += 1; // the empty token
    }
    let (length, rest) = read_varint(&datagram[at..]).expect("a length");
    let number_at = datagram.len() - rest.len();
    let end = number_at + length as usize;
    let level = if is_initial { Some(initial) } else { handshake.as_mut() };
    // A packet whose keys are not there yet comes again.
    let Some(level) = level else { return end };
    let keys = &level.keys.remote;
    let sample = datagram[number_at + 4..][..keys.header.sample_len()].to_vec();
    let (first, rest) = datagram.split_at_mut(1);
    keys.header.decrypt_in_place(&sample, &mut first[0], &mut rest[number_at - 1..][..4]).expect("a header");
    let number_bytes = usize::from(datagram[0] & 3) + 1;
    let number =
        datagram[number_at..][..number_bytes].iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    let (header, payload) = datagram[..end].split_at_mut(number_at + number_bytes);
    let plain = keys.packet.decrypt_in_place(number, header, payload).expect("a payload");
    keep_crypto(plain, &mut level.received);
    end
}

/// Keeps the CRYPTO frames of a handshake packet; before them come only PADDING, PING and ACK.
fn keep_crypto(mut frames: &[u8], received: &mut BTreeMap<u64, Vec<u8>>) {
    let next = |bytes: &mut &[u8]| {
        let (value, rest) = read_varint(bytes).expect("an integer");
        *bytes = rest;
        value
    };
    while let Some(frame_type) = frames.first().copied() {
        frames = &frames[1..];
        match frame_type {
            0x00 | 0x01 => {}
            0x02 => {
                let (_largest, _delay, ranges, _first) =
                    (next(&mut frames), next(&mut frames), next(&mut frames), next(&mut frames));
                for _ in 0..2 * ranges {
                    next(&mut frames);
                }
            }
            0x06 => {
                let (offset, length) = (next(&mut frames), next(&mut frames));
                let (data, rest) = frames.split_at(length as usize);
                received.insert(offset, data.to_vec());
                frames = rest;
            }
            other => panic!("a frame of type {other:#x} in a handshake"),
        }
    }
}
