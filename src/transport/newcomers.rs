//! Step 1 of 6: newcomers who have been let in and wait for their handshake.
//!
//! In: first packets that admission has let through. Out: connections, a few a turn, after everything that has come from those who are
//! here already. A handshake takes as long as a dozen frames; begun as it arrives, a crowd at the door would be what a chat waits for.

use std::collections::VecDeque;
use std::time::Instant;

use quinn_proto::{Incoming, Transmit};

use super::connection::Conn;
use super::h3;
use super::hub::Hub;
use super::precedence::Queue;
use crate::core::io::Time;
use crate::privacy::wipe_dead_frames;

/// First come, first served. Bounded by the half-open handshakes at which newcomers are refused.
#[derive(Default)]
pub struct Newcomers {
    /// Boxed: memory that is freed is wiped.
    waiting: VecDeque<Box<Newcomer>>,
    /// Those who wait behind all others.
    behind: VecDeque<Box<Newcomer>>,
}

struct Newcomer {
    incoming: Incoming,
    /// Whether the address is proven already, by Retry.
    proven: bool,
    /// Whether others go first, before and after the handshake.
    queue: Queue,
}

impl Newcomers {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.behind.len()
    }
}

impl Hub {
    /// Handshakes that are not completed, begun or not.
    pub fn half_open(&self) -> usize {
        self.half_open_in(Queue::Ahead) + self.half_open_in(Queue::Behind)
    }

    /// The same of one queue: those behind take nothing from the others.
    pub(super) fn half_open_in(&self, queue: Queue) -> usize {
        let Newcomers { waiting, behind } = &self.newcomers;
        self.half_open[queue as usize] + if queue == Queue::Ahead { waiting.len() } else { behind.len() }
    }

    /// Somebody waits from now on, perhaps behind the others.
    pub(super) fn add_newcomer(&mut self, incoming: Incoming, proven: bool, queue: Queue) {
        let newcomer = Box::new(Newcomer { incoming, proven, queue });
        match queue {
            Queue::Ahead => self.newcomers.waiting.push_back(newcomer),
            Queue::Behind => {
                self.newcomers.behind.push_back(newcomer);
                self.work.add_newcomer();
            }
        }
    }

    /// Begins the handshake of whoever has waited for longest. `None` if nobody waits; else what is to be sent at once, if anything is: its
    /// bytes are in the buffer.
    pub fn accept_newcomer(
        &mut self,
        instant: Instant,
        now: Time,
        buffer: &mut Vec<u8>,
    ) -> Option<Option<Transmit>> {
        let newcomer = self.newcomers.waiting.pop_front()?;
        Some(self.begin(instant, now, *newcomer, buffer))
    }

    /// The same for who waits behind the others.
    pub fn accept_behind(&mut self, instant: Instant, now: Time, buffer: &mut Vec<u8>) -> Option<Transmit> {
        let newcomer = self.newcomers.behind.pop_front()?;
        self.begin(instant, now, *newcomer, buffer)
    }

    fn begin(
        &mut self,
        instant: Instant,
        now: Time,
        newcomer: Newcomer,
        buffer: &mut Vec<u8>,
    ) -> Option<Transmit> {
        let Newcomer { incoming, proven, queue } = newcomer;
        buffer.clear();
        // What is made of it lives as long as the connection, and its padding is what the stack happens to hold.
        wipe_dead_frames();
        match self.endpoint.accept(incoming, instant, buffer, None) {
            Ok((handle, quic)) => {
                let session = h3::Session::new(self.policy.clone());
                self.insert(handle.0 as u32, Conn::new(quic, session, now, queue), queue);
                if proven {
                    self.address_proven(now, handle.0 as u32);
                }
                None
            }
            Err(error) => {
                self.vacated.note();
                error.response
            }
        }
    }

    /// Lets go of those who wait, without a word: the process ends.
    pub fn forget_newcomers(&mut self) {
        let Newcomers { waiting, behind } = std::mem::take(&mut self.newcomers);
        for newcomer in waiting.into_iter().chain(behind) {
            self.endpoint.ignore(newcomer.incoming);
        }
    }
}
