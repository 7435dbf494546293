//! Steps 1 and 5: the loop of one shard.
//!
//! In: a socket, a [`Hub`], a mailbox. Out: datagrams. One turn has fixed priorities, each with a budget, so that none
//! starves another:
//!
//! 1. commands of the process, and what its operator has paused
//! 2. datagrams, up to [`limits::TURN_RECEIVE_BATCHES`] batches, and during an upgrade those that another process passes on
//! 3. newcomers, up to [`limits::TURN_NEWCOMERS`]
//! 4. messages from other shards, up to [`limits::TURN_BUS_MESSAGES`], and from the site, up to [`limits::TURN_PIPES`]
//! 5. timers that are due
//! 6. every connection that has something to do: read, decide, write, transmit; then for [`limits::TURN_BEHIND_US`] those behind
//!    the others
//! 7. messages to other shards and to the site, one wake-up each
//!
//! Once a minute, or as often as is configured, it forgets: what dead stack frames, buffers and vacated slots would tell about people who
//! have gone. Then it sleeps until a datagram, a message or a deadline.

use std::io;
use std::time::{Duration, Instant};

use quinn_proto::Transmit;
use quinn_udp::EcnCodepoint;

use super::bus::{BusPort, Command};
use super::connection::H3_NO_ERROR;
use super::datagrams::{Datagrams, GENERATIONS};
use super::generations::Generations;
use super::hub::Hub;
use super::pipe::Lobby;
use super::precedence::{Queue, Task};
use super::publish::Published;
use crate::core::bus::BusMessage;
use crate::core::io::Time;
use crate::limits;
use crate::ops::{Counters, ShardCounters};
use crate::privacy::{apart, wipe_dead_frames};

/// One shard at work.
pub struct Driver<'a> {
    pub(super) io: Datagrams,
    /// The connections and the core. Public to the engine, which closes them after a panic.
    pub hub: Hub,
    /// Other processes on the same socket, during an upgrade.
    pub(super) generations: Generations,
    pub(super) counters: &'a Counters,
    pub(super) own: &'a ShardCounters,
    pub(super) published: Published,
    /// Whether something may have happened since: then the shard does not sleep past the time to tell it.
    pub(super) unpublished: bool,
    pub(super) buffer: Vec<u8>,
    /// Answers to datagrams that belong to no connection; empty between batches.
    pub(super) responses: Vec<(Transmit, Vec<u8>)>,
    /// What the socket had no room for. Boxed: memory that is freed is wiped.
    unsent: Option<Box<Unsent>>,
    pub(super) draining: bool,
    pub(super) stopping: bool,
    /// When the next round of forgetting begins.
    forget_at: Time,
}

/// What a shard keeps over a panic, beside its socket.
pub struct Kept {
    /// Its place among the shards.
    pub port: BusPort,
    /// Its place behind the site.
    pub lobby: Lobby,
    /// Its ways to other processes.
    pub generations: Generations,
    /// Whether another process reads the socket.
    pub resting: bool,
}

/// What those behind the others get of one turn.
const BEHIND: Duration = Duration::from_micros(limits::TURN_BEHIND_US);

struct Unsent {
    transmit: Transmit,
    bytes: Vec<u8>,
    handle: Option<u32>,
}

impl<'a> Driver<'a> {
    /// A driver for the shard that `hub` holds.
    pub fn new(
        io: Datagrams,
        mut hub: Hub,
        mut generations: Generations,
        counters: &'a Counters,
        own: &'a ShardCounters,
    ) -> io::Result<Self> {
        generations.register(io.registry(), GENERATIONS)?;
        hub.has_heir = generations.has_heir();
        let mut driver = Self {
            io,
            hub,
            generations,
            counters,
            own,
            published: Published::default(),
            unpublished: false,
            buffer: Vec::with_capacity(limits::SEND_SEGMENTS * limits::RECV_SLOT_BYTES),
            responses: Vec::new(),
            unsent: None,
            draining: false,
            stopping: false,
            forget_at: Time(0),
        };
        driver.tell_elders();
        Ok(driver)
    }

    /// After a panic: what the shard keeps.
    pub fn into_kept(self) -> Kept {
        let resting = self.io.is_resting();
        let (port, lobby) = self.hub.into_ports();
        Kept { port, lobby, generations: self.generations, resting }
    }

    /// Runs until it is told to stop.
    pub fn run(&mut self) -> io::Result<()> {
        loop {
            let mut more = self.turn()?;
            if self.has_to_forget() {
                // From here, right above the frames of the turn.
                wipe_dead_frames();
            }
            more |= self.forget();
            if self.stopping {
                self.close_all();
                return Ok(());
            }
            let at_most = if more { Duration::ZERO } else { self.until_deadline() };
            self.io.sleep(at_most, self.unsent.is_some())?;
            if self.io.was_woken_by_generations() {
                self.generations.wake();
            }
        }
    }

    /// One turn. Returns whether there is more to do at once.
    ///
    /// In a frame of its own: inlined, what it had to do with addresses would stay in the frame of the loop, which never ends.
    #[inline(never)]
    fn turn(&mut self) -> io::Result<bool> {
        let (instant, now) = self.hub.clock.now();
        if self.hub.bus.mailbox().take_woken() {
            for command in self.hub.bus.mailbox().take_commands() {
                self.command(now, command)?;
            }
        }
        self.hub.set_paused(now, self.counters.levers().paused());
        let mut more =
            apart(|| Ok::<_, io::Error>(self.receive(instant, now)? | self.receive_passed(instant, now)?))?;
        more |= apart(|| self.accept_newcomers(instant, now));
        more |= self.hub.receive_bus(now, limits::TURN_BUS_MESSAGES);
        more |= self.hub.receive_websockets(now, limits::TURN_PIPES);
        self.hub.handle_timeout(instant, now);
        self.service(instant, now);
        for (to, message) in self.hub.bus.take_beyond() {
            // Nothing else is said to another process: its people do not meet those of this one.
            if let BusMessage::Link(message) = message {
                self.generations.tell(to, &message, now);
            }
        }
        self.generations.flush();
        more |= self.hub.bus.flush() | self.hub.websockets.lobby.flush();
        self.publish(now);
        self.own.turns.add(1);
        Ok(more || (self.hub.has_work() && self.unsent.is_none()))
    }

    fn has_to_forget(&self) -> bool {
        self.hub.clock.now().1 >= self.forget_at || self.hub.is_covering()
    }

    /// Wipes what would show who was there. Returns whether there is more to forget at once.
    #[inline(never)]
    fn forget(&mut self) -> bool {
        let (instant, now) = self.hub.clock.now();
        if now >= self.forget_at {
            self.forget_at = now.plus_ms(self.hub.forget_ms);
            self.io.forget();
            self.generations.forget();
            // Empty, but its memory keeps the last answers' addresses until it is freed.
            self.responses = Vec::new();
            self.buffer.clear();
            self.buffer.resize(self.buffer.capacity(), 0);
            self.hub.forget_the_gone();
            if self.hub.keeps_guard() {
                self.hub.guard().begin_sweep(now);
            }
        }
        self.hub.cover_vacated(instant) | (self.hub.keeps_guard() && self.hub.guard().sweep(now))
    }

    fn command(&mut self, now: Time, command: Command) -> io::Result<()> {
        match command {
            Command::Drain { within_ms } => {
                self.draining = true;
                self.hub.begin_drain(now, within_ms);
            }
            Command::Move { within_ms } => {
                self.draining = true;
                self.hub.begin_move(now, within_ms);
            }
            Command::ShardLost(shard) => self.hub.handle_shard_lost(now, shard),
            Command::Set(settings) => self.hub.set(&settings),
            Command::Read => self.io.rest(false),
            // Who asks may have given up waiting.
            Command::TellElders(to) => {
                let _ = to.send(self.generations.elders_for_heir()?);
            }
            Command::HandOver(heir, done) => {
                self.generations.hand_over(heir, self.io.registry(), GENERATIONS)?;
                self.hub.has_heir = true;
                self.io.rest(true);
                let _ = done.send(());
            }
            Command::TakeBack => self.take_back(now)?,
            Command::End { who, reason } => self.hub.end_for_good(now, who, reason),
            Command::Stop => self.stopping = true,
            // The only panic that is meant: the tests' proof that the others go on.
            Command::Panic => panic!("fault injection"),
            Command::Hang(time) => std::thread::sleep(time),
        }
        Ok(())
    }

    fn service(&mut self, instant: Instant, now: Time) {
        if let Some(unsent) = self.unsent.take() {
            if !apart(|| self.send(&unsent.transmit, &unsent.bytes)) {
                self.unsent = Some(unsent);
                return;
            }
            if let Some(handle) = unsent.handle {
                self.hub.mark(handle);
            }
        }
        while let Some(handle) = self.hub.next_ahead() {
            if !self.service_one(instant, now, handle) {
                return;
            }
        }
        let begun = Instant::now();
        while let Some(task) = self.hub.next_behind() {
            match task {
                Task::Connection(handle) => {
                    if !self.service_one(instant, now, handle) {
                        return;
                    }
                }
                Task::Newcomer => {
                    apart(|| self.accept_newcomer(instant, now, Queue::Behind));
                }
            }
            if begun.elapsed() >= BEHIND {
                return;
            }
        }
    }

    /// Works through one connection, and sends what it has. Returns `false` when the socket is full.
    fn service_one(&mut self, instant: Instant, now: Time, handle: u32) -> bool {
        self.hub.service(instant, now, handle);
        let sent = self.transmit(instant, handle);
        self.hub.settle(handle);
        sent
    }

    /// Sends what a connection has. Returns `false` when the socket is full; the rest goes on when it is not.
    fn transmit(&mut self, instant: Instant, handle: u32) -> bool {
        apart(|| self.transmit_all(instant, handle))
    }

    fn transmit_all(&mut self, instant: Instant, handle: u32) -> bool {
        let segments = self.io.max_segments().min(limits::SEND_SEGMENTS);
        loop {
            self.buffer.clear();
            let Some(conn) = self.hub.conn(handle) else { return true };
            let Some(transmit) = conn.quic.poll_transmit(instant, segments, &mut self.buffer) else {
                return true;
            };
            if !self.send(&transmit, &self.buffer[..transmit.size]) {
                let bytes = self.buffer[..transmit.size].to_vec();
                self.unsent = Some(Box::new(Unsent { transmit, bytes, handle: Some(handle) }));
                return false;
            }
        }
    }

    /// Sends; `false` when the socket is full. Any other error is the same to QUIC as a lost datagram.
    fn send(&self, transmit: &Transmit, bytes: &[u8]) -> bool {
        let result = self.io.send(&udp_transmit(transmit, bytes));
        !matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// How long there is nothing to do unless something comes.
    fn until_deadline(&mut self) -> Duration {
        let publish_at = self.unpublished.then(|| self.published.at.plus_ms(limits::PUBLISH_MS));
        let deadlines = [self.hub.deadline(), publish_at].into_iter().flatten();
        let at = deadlines.fold(self.forget_at, Time::min);
        self.hub.clock.instant_of(at).saturating_duration_since(Instant::now())
    }

    /// At the end of the process: tells every client that the connection is over.
    fn close_all(&mut self) {
        let (instant, _) = self.hub.clock.now();
        self.hub.forget_newcomers();
        for handle in 0..self.hub.conns.len() as u32 {
            let Some(conn) = self.hub.conn(handle) else { continue };
            conn.close_quic(instant, H3_NO_ERROR, "");
            self.transmit(instant, handle);
        }
    }

    /// After a panic: tells one client that its session is over (close code 7) and its connection too.
    pub fn abandon(&mut self, handle: u32) {
        let (instant, _) = self.hub.clock.now();
        self.hub.abandon(handle);
        self.transmit(instant, handle);
        if let Some(conn) = self.hub.conn(handle) {
            conn.close_quic(instant, H3_NO_ERROR, "");
            self.transmit(instant, handle);
        }
    }
}

pub(super) fn udp_transmit<'b>(transmit: &Transmit, bytes: &'b [u8]) -> quinn_udp::Transmit<'b> {
    quinn_udp::Transmit {
        destination: transmit.destination,
        ecn: transmit.ecn.and_then(|ecn| EcnCodepoint::from_bits(ecn as u8)),
        contents: bytes,
        segment_size: transmit.segment_size,
        src_ip: transmit.src_ip,
    }
}
