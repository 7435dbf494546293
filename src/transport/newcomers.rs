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

/// First come, first served in each queue. Bounded by the half-open handshakes at which newcomers are refused.
///
/// Boxed: memory that is freed is wiped.
#[derive(Default)]
pub struct Newcomers([VecDeque<Box<Newcomer>>; 2]);

struct Newcomer {
    incoming: Incoming,
    /// Whether the address is proven already, by Retry.
    proven: bool,
}

impl Newcomers {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.0.iter().map(VecDeque::len).sum()
    }
}

impl Hub {
    /// Handshakes that are not completed, begun or not.
    pub fn half_open(&self) -> usize {
        self.half_open_in(Queue::Ahead) + self.half_open_in(Queue::Behind)
    }

    /// The same of one queue: those behind take nothing from the others.
    pub(super) fn half_open_in(&self, queue: Queue) -> usize {
        self.half_open[queue as usize] + self.newcomers.0[queue as usize].len()
    }

    /// Somebody waits from now on.
    pub(super) fn add_newcomer(&mut self, incoming: Incoming, proven: bool, queue: Queue) {
        self.newcomers.0[queue as usize].push_back(Box::new(Newcomer { incoming, proven }));
        if queue == Queue::Behind {
            self.work.add_newcomer();
        }
    }

    /// Begins the handshake of whoever has waited for longest in a queue. `None` if nobody waits; else what is to be sent at once, if
    /// anything is: its bytes are in the buffer.
    pub fn accept_newcomer(
        &mut self,
        instant: Instant,
        now: Time,
        queue: Queue,
        buffer: &mut Vec<u8>,
    ) -> Option<Option<Transmit>> {
        let Newcomer { incoming, proven } = *self.newcomers.0[queue as usize].pop_front()?;
        buffer.clear();
        // What is made of it lives as long as the connection, and its padding is what the stack happens to hold.
        wipe_dead_frames();
        match self.endpoint.accept(incoming, instant, buffer, None) {
            Ok((handle, quic)) => {
                let session = h3::Session::new(self.policy.clone());
                self.insert(handle.0 as u32, Conn::new(quic, session, now, queue));
                if proven {
                    self.address_proven(now, handle.0 as u32);
                }
                Some(None)
            }
            Err(error) => {
                self.vacated.note();
                Some(error.response)
            }
        }
    }

    /// Lets go of those who wait, without a word: the process ends.
    pub fn forget_newcomers(&mut self) {
        for newcomer in std::mem::take(&mut self.newcomers).0.into_iter().flatten() {
            self.endpoint.ignore(newcomer.incoming);
        }
    }
}
