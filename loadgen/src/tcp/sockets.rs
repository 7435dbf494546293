//! The WebSocket connections of one load thread: TCP, TLS and RFC 6455 below, messages above.
//!
//! In: what [`super::channel`] or [`super::matchbox`] wants. Out: [`Happened`]s.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustls::pki_types::ServerName;
use slab::Slab;

use super::epoll::Epoll;
use super::stream::{ReadTo, Stream, Tls};
use super::websocket::{Incoming, Over, WebSocket};
use crate::limits::{MAX_RECEIVE_BATCHES, MAX_UNSENT_BYTES};
use crate::net::{Gone, SessionId, Target, Traffic, Transport};
use crate::quic::verify::tls_config;
use crate::rng::Rng;
use crate::time::{Nanos, SECOND, now};
use crate::wt::session::End;

/// Read in one go.
const READ_BYTES: usize = 16 * 1024;
/// A server that was told goodbye has so long to close its side, which is better for this side's ports: the side that
/// closes first keeps the pair of ports for a minute.
const GOODBYE_NS: Nanos = SECOND;
/// Close codes of the protocol are WebSocket's plus this (docs/PROTOCOL.md section 9).
const CLOSE_BASE: u16 = 4000;

/// What happened to a session.
#[derive(Debug)]
pub enum Happened {
    /// TCP, and TLS if there is any, are connected.
    Handshaken,
    /// The upgrade was accepted.
    Open,
    /// A whole message arrived.
    Message(Bytes),
    /// It is over.
    Gone(Gone),
}

struct Conn {
    stream: Stream,
    socket: WebSocket,
    generation: u32,
    handshaken: bool,
    /// This side has said goodbye: nothing is told any more.
    over: bool,
    dirty: bool,
}

/// The connections.
pub struct Sockets {
    target: Target,
    tls: Option<Tls>,
    epoll: Epoll,
    conns: Slab<Conn>,
    generation: u32,
    next_source: usize,
    rng: Rng,
    ready: Vec<u64>,
    dirty: Vec<u32>,
    /// Connections that were told goodbye, and when they are given up.
    goodbyes: VecDeque<(Nanos, SessionId)>,
    happened: VecDeque<(SessionId, Nanos, Happened)>,
    buffer: Box<[u8]>,
    traffic: Traffic,
}

impl Sockets {
    /// None yet.
    pub fn new(target: Target) -> Result<Self, String> {
        let tls = match target.transport {
            Transport::WebSocket { tls: true } => {
                let name = ServerName::try_from(target.server_name.clone())
                    .map_err(|_| format!("{} is not a name for TLS", target.server_name))?;
                Some(Tls { config: Arc::new(tls_config(&target.trust, b"http/1.1")?), name })
            }
            _ => None,
        };
        let mut seed = [0; 8];
        aws_lc_rs::rand::fill(&mut seed).map_err(|_| "no random numbers from the system")?;
        Ok(Self {
            target,
            tls,
            epoll: Epoll::new().map_err(|error| format!("no epoll: {error}"))?,
            conns: Slab::new(),
            generation: 0,
            next_source: 0,
            rng: Rng::new(u64::from_le_bytes(seed), 0),
            ready: Vec::new(),
            dirty: Vec::new(),
            goodbyes: VecDeque::new(),
            happened: VecDeque::new(),
            buffer: vec![0; READ_BYTES].into(),
            traffic: Traffic::default(),
        })
    }

    /// Starts a connection and asks for the upgrade.
    pub fn open(&mut self) -> Result<SessionId, String> {
        let Target { sources, address, request, .. } = &self.target;
        let source = sources.get(self.next_source % sources.len().max(1)).copied();
        self.next_source = self.next_source.wrapping_add(1);
        let stream =
            Stream::connect(*address, source, self.tls.as_ref()).map_err(|error| in_words(&error))?;
        let mut key = [0; 16];
        for half in key.chunks_exact_mut(8) {
            half.copy_from_slice(&self.rng.bits().to_le_bytes());
        }
        self.generation = self.generation.wrapping_add(1);
        let (socket, generation) = (WebSocket::new(request, key), self.generation);
        let conn = Conn { stream, socket, generation, handshaken: false, over: false, dirty: false };
        let entry = self.conns.vacant_entry();
        let session = SessionId { index: entry.key() as u32, generation };
        let number = u64::from(generation) << 32 | u64::from(session.index);
        self.epoll.add(conn.stream.as_raw_fd(), number).map_err(|error| in_words(&error))?;
        entry.insert(conn);
        Ok(session)
    }

    /// Sends a message of this kind; nothing if the session is over.
    pub fn send(&mut self, session: SessionId, opcode: u8, payload: &[u8]) {
        let mask = (self.rng.bits() as u32).to_le_bytes();
        let Some(conn) = self.conn(session).filter(|conn| !conn.over) else { return };
        conn.socket.send(opcode, payload, mask);
        if conn.socket.outgoing.len() > MAX_UNSENT_BYTES {
            self.lose(session, Gone::Session(End::Stuck));
        } else {
            self.mark(session);
        }
    }

    /// Says goodbye.
    pub fn close(&mut self, session: SessionId, code: u32) {
        let mask = (self.rng.bits() as u32).to_le_bytes();
        let Some(conn) = self.conn(session).filter(|conn| !conn.over) else { return };
        conn.over = true;
        if conn.handshaken {
            conn.socket.close(CLOSE_BASE + code as u16, mask);
            self.goodbyes.push_back((now() + GOODBYE_NS, session));
            self.mark(session);
        } else {
            self.conns.remove(session.index());
        }
    }

    /// The next thing that happened, and when.
    pub fn next(&mut self) -> Option<(SessionId, Nanos, Happened)> {
        self.happened.pop_front()
    }

    /// Takes what has arrived.
    pub fn receive(&mut self) {
        for _ in 0..MAX_RECEIVE_BATCHES {
            let mut ready = std::mem::take(&mut self.ready);
            self.epoll.take(&mut ready);
            let nothing = ready.is_empty();
            for number in ready.drain(..) {
                let (index, generation) = (number as u32, (number >> 32) as u32);
                self.pump(SessionId { index, generation });
            }
            self.ready = ready;
            if nothing {
                return;
            }
        }
    }

    /// Gives up those who do not close.
    pub fn expire(&mut self) {
        let at = now();
        while let Some((_, session)) = self.goodbyes.front().copied().filter(|(due, _)| *due <= at) {
            self.goodbyes.pop_front();
            if self.conn(session).is_some() {
                self.conns.remove(session.index());
            }
        }
    }

    /// Writes what is to be sent.
    pub fn drive(&mut self) {
        while let Some(index) = self.dirty.pop() {
            let Some(conn) = self.conns.get_mut(index as usize) else { continue };
            conn.dirty = false;
            if let Err(error) = conn.stream.write(&mut conn.socket.outgoing, &mut self.traffic.sent) {
                let generation = conn.generation;
                self.lose(SessionId { index, generation }, Gone::Connection(in_words(&error)));
            }
        }
    }

    /// Sleeps until something arrives, or `until`.
    pub fn wait(&self, until: Nanos) {
        let until = self.goodbyes.front().map_or(until, |(due, _)| until.min(*due));
        let at = now();
        if until > at {
            self.epoll.wait(Duration::from_nanos(until - at));
        }
    }

    /// Reads and writes so far.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    fn conn(&mut self, session: SessionId) -> Option<&mut Conn> {
        self.conns.get_mut(session.index()).filter(|conn| conn.generation == session.generation)
    }

    fn mark(&mut self, session: SessionId) {
        if let Some(conn) = self.conn(session)
            && !std::mem::replace(&mut conn.dirty, true)
        {
            self.dirty.push(session.index);
        }
    }

    /// Reads and writes as far as the socket goes.
    fn pump(&mut self, session: SessionId) {
        let Some(conn) = self.conns.get_mut(session.index()) else { return };
        if conn.generation != session.generation {
            return;
        }
        let (happened, at) = (&mut self.happened, now());
        let Conn { stream, socket, over, handshaken, .. } = conn;
        let mut tell = |what| {
            if !*over {
                happened.push_back((session, at, what));
            }
        };
        let result = advance(stream, socket, &mut self.buffer, &mut self.traffic, &mut tell, handshaken);
        match result {
            Ok(true) => {}
            Ok(false) => {
                self.lose(session, Gone::Connection("closed by the server without a goodbye".into()));
            }
            // The answer to this side's goodbye: the server closes next.
            Err(Gone::Session(End::Closed(..))) if *over => {}
            Err(gone) => self.lose(session, gone),
        }
    }

    fn lose(&mut self, session: SessionId, gone: Gone) {
        if self.conn(session).is_some() {
            let conn = self.conns.remove(session.index());
            if !conn.over {
                self.happened.push_back((session, now(), Happened::Gone(gone)));
            }
        }
    }
}

/// Takes one connection as far as it goes; `false` if the server has closed it.
fn advance(
    stream: &mut Stream,
    socket: &mut WebSocket,
    buffer: &mut [u8],
    traffic: &mut Traffic,
    tell: &mut impl FnMut(Happened),
    handshaken: &mut bool,
) -> Result<bool, Gone> {
    let lost = |error: io::Error| Gone::Connection(in_words(&error));
    // The first call learns that TCP is connected, and lets TLS begin.
    stream.is_ready().map_err(lost)?;
    stream.write(&mut socket.outgoing, &mut traffic.sent).map_err(lost)?;
    let mut over = None;
    let read_to = stream
        .read(buffer, |bytes| {
            traffic.received += 1;
            let result = socket.handle(bytes, |incoming| {
                tell(match incoming {
                    Incoming::Open => Happened::Open,
                    Incoming::Message(bytes) => Happened::Message(Bytes::copy_from_slice(bytes)),
                });
            });
            over = result.err();
            over.is_none()
        })
        .map_err(lost)?;
    if !*handshaken && stream.is_ready().map_err(lost)? {
        *handshaken = true;
        tell(Happened::Handshaken);
    }
    if let Some(over) = over {
        return Err(ended(over));
    }
    stream.write(&mut socket.outgoing, &mut traffic.sent).map_err(lost)?;
    Ok(read_to == ReadTo::Now)
}

fn ended(over: Over) -> Gone {
    match over {
        Over::Status(status) => Gone::Session(End::Status(status)),
        Over::Closed(code @ CLOSE_BASE..5000, reason) => {
            Gone::Session(End::Closed(u32::from(code - CLOSE_BASE), reason))
        }
        Over::Closed(code, _) => Gone::Connection(format!("closed by the server: WebSocket {code}")),
        Over::Protocol(what) => Gone::Session(End::Protocol(what)),
    }
}

/// Few words, the same for all alike, that say what can be done about it.
fn in_words(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EADDRNOTAVAIL) => {
            "no local port is left, or no such address: give several --source-addr of this machine".into()
        }
        Some(libc::EMFILE) => "too many open files: raise ulimit -n".into(),
        _ => error.to_string(),
    }
}
