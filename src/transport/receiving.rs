//! Steps 1 and 5: what comes in to a shard, from its socket or from another process.
//!
//! In: batches of datagrams. Out: the same, each to its connection here or to the process that it belongs to.

use std::io;
use std::time::Instant;

use quinn_proto::Transmit;
use quinn_udp::RecvMeta;

use super::admission::Received;
use super::datagrams::GENERATIONS;
use super::driver::{Driver, udp_transmit};
use super::generations::{Heard, Place, Record, read_link};
use super::precedence::Queue;
use super::publish::gauge;
use crate::core::io::Time;
use crate::limits;

impl Driver<'_> {
    /// There is nobody (any more) who reads instead of this process.
    pub(super) fn take_back(&mut self, now: Time) -> io::Result<()> {
        self.generations.take_back(self.io.registry(), GENERATIONS)?;
        self.hub.handle_processes_lost(now, 1..=limits::ELDERS as u8);
        self.hub.take_back(now);
        self.io.rest(false);
        Ok(())
    }

    /// Receives up to the budget. Returns whether there may be more.
    pub(super) fn receive(&mut self, instant: Instant, now: Time) -> io::Result<bool> {
        for _ in 0..limits::TURN_RECEIVE_BATCHES {
            let Self { io, hub, generations, buffer, responses, .. } = self;
            let result = io.receive(|payload, meta| {
                if generations.pass(payload, meta) {
                    return;
                }
                buffer.clear();
                if let Received::Answer(transmit) = hub.handle_received(instant, now, payload, meta, buffer) {
                    let bytes = buffer[..transmit.size].to_vec();
                    responses.push((transmit, bytes));
                }
            });
            self.respond();
            match result {
                Ok(_) if self.io.is_readable() => {}
                Ok(_) => return Ok(false),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(false),
                    // What an ICMP message reports about a peer is that peer's matter.
                    io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
        Ok(true)
    }

    /// Begins handshakes, up to the budget. Returns whether there are more to begin.
    pub(super) fn accept_newcomers(&mut self, instant: Instant, now: Time) -> bool {
        (0..limits::TURN_NEWCOMERS).all(|_| self.accept_newcomer(instant, now, Queue::Ahead))
    }

    /// Begins the handshake of the next in a queue. Returns whether there was one.
    pub(super) fn accept_newcomer(&mut self, instant: Instant, now: Time, queue: Queue) -> bool {
        let Some(answer) = self.hub.accept_newcomer(instant, now, queue, &mut self.buffer) else {
            return false;
        };
        if let Some(transmit) = answer {
            self.answer(transmit);
        }
        true
    }

    /// Receives what other processes pass on, up to the budget. Returns whether there may be more.
    pub(super) fn receive_passed(&mut self, instant: Instant, now: Time) -> io::Result<bool> {
        for _ in 0..limits::TURN_PASSED_MESSAGES {
            match self.generations.hear(self.io.registry()) {
                None => return Ok(false),
                Some(Heard::Records(mut passed)) => {
                    while let Some(record) = passed.next_record() {
                        self.handle_record(instant, now, &record);
                    }
                    self.generations.done_with(passed);
                }
                Some(Heard::HeirGone) => {
                    tracing::warn!("the newer process has gone; this one reads its sockets again");
                    self.take_back(now)?;
                }
                Some(Heard::ElderGone(generation)) => {
                    self.tell_elders();
                    let gone = self.generations.name(Place { generation, shard: 0 }).ahead();
                    self.hub.handle_processes_lost(now, gone..=gone);
                }
            }
        }
        Ok(true)
    }

    fn handle_record(&mut self, instant: Instant, now: Time, record: &Record<'_>) {
        match *record {
            Record::Datagram(payload, ref meta) => self.handle_passed(instant, now, payload, meta),
            Record::Link { from, to, message } if to.generation == self.generations.own().generation => {
                let Some(message) = read_link(message, now) else { return };
                let (from, to) = (self.generations.name(from), self.generations.name(to));
                self.hub.handle_link_message(now, from, to, message);
            }
            Record::Link { from, to, message } => self.generations.pass_link(from, to, message),
        }
    }

    /// Which older processes there are, to those who have to know.
    pub(super) fn tell_elders(&mut self) {
        self.own.elders.set(gauge(self.generations.elders().len() as u64));
        let name = |generation| self.generations.name(Place { generation, shard: 0 });
        self.hub.core.set_elders(self.generations.elders().map(name).collect());
    }

    fn handle_passed(&mut self, instant: Instant, now: Time, payload: &[u8], meta: &RecvMeta) {
        self.buffer.clear();
        match self.hub.handle_received(instant, now, payload, meta, &mut self.buffer) {
            Received::Done => {}
            Received::Newcomer => self.generations.give_back(payload, meta),
            Received::Answer(transmit) => self.answer(transmit),
        }
    }

    /// Sends one whose bytes are in the buffer.
    fn answer(&mut self, transmit: Transmit) {
        self.responses.push((transmit, self.buffer.clone()));
        self.respond();
    }

    /// Sends the answers to datagrams that belong to no connection.
    fn respond(&mut self) {
        for (transmit, bytes) in self.responses.drain(..) {
            // An answer to somebody unknown that finds no room is lost like any datagram.
            let _ = self.io.send(&udp_transmit(&transmit, &bytes[..transmit.size]));
        }
    }
}
