//! The peer: `matchbox_server` 0.15, a WebSocket signaling server whose `?next=2` pairs strangers as they connect.
//!
//! `--transport ws-matchbox` runs `connect`, `idle` and `relay` against it, with the same schedule, clocks, histograms
//! and report. It pairs who connects, so `pair` there counts from the later connection's start: connecting is included,
//! and both have to be of one thread.

mod epoll;
mod websocket;

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;

use serde::{Deserialize, Serialize};

use crate::rng::Rng;
use crate::schedule::Schedule;
use crate::settings::{Kind, Settings};
use crate::stats::recorder::{Count, Metric, Recorder};
use crate::time::{MILLISECOND, Nanos, now};
use crate::worker::{Report, Shared, share_of};
use epoll::Epoll;
use websocket::WebSocket;

/// The value of `--transport` for it.
pub const TRANSPORT: &str = "ws-matchbox";
/// The room, and how many make a chat.
const PATH: &str = "/anoncam?next=2";
/// How often a thread reports.
const REPORT_NS: Nanos = 200 * MILLISECOND;
/// Longest sleep: a millisecond is the finest that epoll has, and too coarse for a schedule; see [`Thread::sleep`].
const SLEEP_MS: i32 = 1;

#[derive(Deserialize)]
enum Event<'a> {
    IdAssigned(&'a str),
    NewPeer(&'a str),
    PeerLeft(#[allow(dead_code, reason = "who left is known from who was there")] &'a str),
    Signal { sender: &'a str, data: &'a str },
}

#[derive(Serialize)]
enum Request<'a> {
    Signal { receiver: &'a str, data: &'a str },
}

struct Peer {
    stream: TcpStream,
    socket: WebSocket,
    began: Nanos,
    open: bool,
    over: bool,
    /// The id of the stranger, once known.
    stranger: Option<String>,
}

/// One load thread against `matchbox_server`.
pub struct Thread {
    index: usize,
    address: SocketAddr,
    settings: Arc<Settings>,
    shared: Arc<Shared>,
    epoll: Epoll,
    peers: Vec<Peer>,
    /// When the connection of an id began, and when an id was announced to its stranger; for pairing latency.
    began: HashMap<String, Nanos>,
    announced: HashMap<String, Nanos>,
    /// Peers that know their stranger from the start.
    talkers: Vec<usize>,
    next_talker: usize,
    recorder: Recorder,
    rng: Rng,
    attempted: u64,
    undecided: u64,
    open: u64,
    in_chat: u64,
    start: Nanos,
    schedule: Option<std::iter::Enumerate<Schedule>>,
    next_arrival: Option<Nanos>,
    busy: Nanos,
    woke: Nanos,
    last_report: Nanos,
}

impl Thread {
    /// A thread that has opened nothing yet.
    pub fn new(
        index: usize,
        address: SocketAddr,
        settings: Arc<Settings>,
        shared: Arc<Shared>,
    ) -> Result<Self, String> {
        if !matches!(settings.kind, Kind::Connect | Kind::Idle | Kind::Relay) {
            return Err("--transport ws-matchbox serves connect, idle and relay".into());
        }
        Ok(Self {
            rng: Rng::new(settings.seed, 1 + index as u64),
            epoll: Epoll::new().map_err(|error| format!("no epoll: {error}"))?,
            index,
            address,
            settings,
            shared,
            peers: Vec::new(),
            began: HashMap::new(),
            announced: HashMap::new(),
            talkers: Vec::new(),
            next_talker: 0,
            recorder: Recorder::default(),
            attempted: 0,
            undecided: 0,
            open: 0,
            in_chat: 0,
            start: 0,
            schedule: None,
            next_arrival: None,
            busy: 0,
            woke: now(),
            last_report: now(),
        })
    }

    /// Runs until the run is over.
    pub fn run(mut self, reports: &Sender<Report>) -> Result<(), String> {
        let mut ready = Vec::new();
        while !self.shared.stop.load(Ordering::Relaxed) {
            self.open_missing();
            self.begin();
            self.run_due();
            self.report(reports);
            self.sleep(&mut ready);
            for number in ready.drain(..) {
                self.drive(number as usize);
            }
        }
        self.last_report = 0;
        self.report(reports);
        Ok(())
    }

    fn open_missing(&mut self) {
        let share = share_of(self.shared.target.load(Ordering::Relaxed), self.index, self.settings.threads);
        let in_flight = share_of(self.settings.in_flight, self.index, self.settings.threads).max(1);
        while self.attempted < share && self.undecided < in_flight {
            self.attempted += 1;
            self.undecided += 1;
            if let Err(error) = self.connect() {
                self.undecided -= 1;
                self.recorder.count(Count::OpenFailed, 1);
                self.recorder.failure(&error.to_string());
            }
        }
    }

    fn connect(&mut self) -> std::io::Result<()> {
        let began = now();
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let number = self.peers.len();
        self.epoll.add(stream.as_raw_fd(), number as u64)?;
        let key = u128::from(self.rng.bits());
        let socket = WebSocket::new(&self.address.to_string(), PATH, key);
        self.peers.push(Peer { stream, socket, began, open: false, over: false, stranger: None });
        self.drive(number);
        Ok(())
    }

    fn begin(&mut self) {
        let start = self.shared.start.load(Ordering::Acquire);
        if start == 0 || self.start != 0 {
            return;
        }
        self.start = start;
        let settings = Arc::clone(&self.settings);
        self.recorder.set_window(start + settings.warmup_ns..start + settings.scheduled_ns());
        self.schedule = settings.schedule().map(Iterator::enumerate);
        self.advance();
        for _ in 0..settings.closed.unwrap_or(0) {
            for talker in self.talkers.clone() {
                self.talk(talker, start);
            }
        }
    }

    fn advance(&mut self) {
        let (thread, threads) = (self.index, self.settings.threads);
        let next = self.schedule.as_mut().and_then(|s| s.find(|(index, _)| index % threads == thread));
        self.next_arrival = next.map(|(_, offset)| self.start + offset);
    }

    fn run_due(&mut self) {
        while let Some(intended) = self.next_arrival.filter(|intended| *intended <= now()) {
            self.recorder.latency(Metric::Lag, intended, intended, now());
            self.recorder.scheduled(Count::Planned, intended);
            self.next_talker = (self.next_talker + 1) % self.talkers.len().max(1);
            let sent =
                self.talkers.get(self.next_talker).copied().is_some_and(|talker| self.talk(talker, intended));
            self.recorder.scheduled(if sent { Count::Started } else { Count::Dropped }, intended);
            self.advance();
        }
    }

    /// Sends a stamped message to the peer's stranger.
    fn talk(&mut self, number: usize, intended: Nanos) -> bool {
        let queued = self.queue(number, intended);
        self.drive(number);
        queued
    }

    fn queue(&mut self, number: usize, intended: Nanos) -> bool {
        let peer = &mut self.peers[number];
        let Some(receiver) = peer.stranger.as_deref().filter(|_| !peer.over) else { return false };
        let stamp = format!("{intended},{},", now());
        let data = format!("{stamp:x<width$}", width = self.settings.size);
        let text = serde_json::to_string(&Request::Signal { receiver, data: &data }).unwrap_or_default();
        peer.socket.send(&text);
        self.recorder.scheduled(Count::FramesSent, intended);
        true
    }

    /// Writes and reads as far as the socket goes.
    fn drive(&mut self, number: usize) {
        let mut buffer = [0; 16 * 1024];
        loop {
            let peer = &mut self.peers[number];
            if peer.over {
                return;
            }
            while !peer.socket.outgoing.is_empty() {
                match peer.stream.write(&peer.socket.outgoing) {
                    Ok(count) => drop(peer.socket.outgoing.drain(..count)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return self.lose(number, &error.to_string()),
                }
            }
            match peer.stream.read(&mut buffer) {
                Ok(0) => return self.lose(number, "closed by the server"),
                Ok(count) => self.received(number, &buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => return self.lose(number, &error.to_string()),
            }
        }
    }

    fn received(&mut self, number: usize, bytes: &[u8]) {
        let mut texts = Vec::new();
        let result = self.peers[number].socket.handle(bytes, |text| texts.push(text.to_string()));
        for text in texts {
            match serde_json::from_str(&text) {
                Ok(event) => self.happened(number, &event),
                Err(_) => self.recorder.failure("an event that is not matchbox's"),
            }
        }
        if let Err(over) = result {
            self.lose(number, over.0);
        }
    }

    fn happened(&mut self, number: usize, event: &Event<'_>) {
        let (at, peer) = (now(), &mut self.peers[number]);
        match event {
            Event::IdAssigned(id) => {
                peer.open = true;
                let began = peer.began;
                self.recorder.latency(Metric::Open, peer.began, peer.began, at);
                self.recorder.count(Count::Opened, 1);
                self.undecided -= 1;
                self.open += 1;
                match self.announced.remove(*id) {
                    Some(at) => self.recorder.latency(Metric::Pair, began, began, at),
                    None => drop(self.began.insert((*id).to_string(), began)),
                }
            }
            Event::NewPeer(id) => {
                peer.stranger = Some((*id).to_string());
                self.talkers.push(number);
                self.in_chat += 2;
                // Only the earlier of the two is told.
                self.recorder.count(Count::Matched, 1);
                match self.began.remove(*id) {
                    Some(began) => self.recorder.latency(Metric::Pair, began, began, at),
                    None => drop(self.announced.insert((*id).to_string(), at)),
                }
            }
            Event::PeerLeft(_) => peer.stranger = None,
            Event::Signal { sender, data } => {
                if peer.stranger.is_none() {
                    peer.stranger = Some((*sender).to_string());
                }
                let mut stamps = data.split(',').map(|stamp| stamp.parse::<Nanos>().unwrap_or(0));
                let (intended, sent) = (stamps.next().unwrap_or(0), stamps.next().unwrap_or(0));
                self.recorder.latency(Metric::Relay, intended, sent, at);
                self.recorder.scheduled(Count::FramesReceived, intended);
                if self.settings.closed.is_some() {
                    // Goes out with the turn that is under way.
                    self.queue(number, at);
                }
            }
        }
    }

    fn lose(&mut self, number: usize, why: &str) {
        let peer = &mut self.peers[number];
        if std::mem::replace(&mut peer.over, true) {
            return;
        }
        if peer.open {
            self.open -= 1;
            self.recorder.count(Count::Lost, 1);
        } else {
            self.undecided -= 1;
            self.recorder.count(Count::OpenFailed, 1);
        }
        self.recorder.failure(why);
    }

    fn report(&mut self, reports: &Sender<Report>) {
        let at = now();
        if at < self.last_report + REPORT_NS {
            return;
        }
        let busy = std::mem::take(&mut self.busy);
        let span = if self.last_report == 0 { busy } else { at - self.last_report };
        self.last_report = at;
        let report = Report {
            thread: self.index,
            measuring: self.start != 0,
            sample: self.recorder.take(busy, span),
            open: self.open,
            in_chat: self.in_chat,
            attempted: (self.attempted, self.undecided),
            finished: self.start != 0 && self.next_arrival.is_none(),
            dropped: (0, 0),
        };
        // The run only stops listening when it is over.
        let _ = reports.send(report);
    }

    /// Waits for the sockets; with an arrival due within a millisecond it only looks, since epoll rounds up to one.
    fn sleep(&mut self, ready: &mut Vec<u64>) {
        let at = now();
        self.busy += at - self.woke;
        let soon =
            self.next_arrival.is_some_and(|due| due < at + MILLISECOND * SLEEP_MS.unsigned_abs() as Nanos);
        self.epoll.wait(if soon { 0 } else { SLEEP_MS }, |number| ready.push(number));
        self.woke = now();
    }
}
