//! `relay`: frames between pairs that were matched beforehand.
//!
//! Open loop: every arrival is a frame of the next user in turn. Closed loop: every frame is answered by one.

use super::{Arrival, Scenario};
use crate::net::SessionId;
use crate::time::{Nanos, now};
use crate::worker::Worker;
use crate::worker::user::{self, Did};
use crate::wt::frame::{SIGNAL, TEXT};

/// Longest payload of a TEXT frame (docs/PROTOCOL.md section 2).
const MAX_TEXT_BYTES: usize = 8192;

/// The users of one thread.
#[derive(Default)]
pub struct Relay {
    talkers: Vec<SessionId>,
    next: usize,
}

impl Relay {
    fn send(worker: &mut Worker, session: SessionId, intended: Nanos) -> bool {
        let size = worker.settings.size;
        let frame_type = if size > MAX_TEXT_BYTES { SIGNAL } else { TEXT };
        user::send(worker, session, frame_type, 0, size, intended)
    }
}

impl Scenario for Relay {
    fn begin(&mut self, worker: &mut Worker, start: Nanos) {
        let in_flight = worker.settings.closed.unwrap_or(0);
        for session in &self.talkers {
            if worker.users.get(*session).is_some_and(|user| user.offerer) {
                for _ in 0..in_flight {
                    Self::send(worker, *session, start);
                }
            }
        }
    }

    fn arrival(&mut self, worker: &mut Worker, intended: Nanos) -> Arrival {
        // Whoever lost its chat meanwhile is passed over.
        while !self.talkers.is_empty() {
            self.next = (self.next + 1) % self.talkers.len();
            if Self::send(worker, self.talkers[self.next], intended) {
                return Arrival::Started;
            }
            self.talkers.swap_remove(self.next);
        }
        Arrival::Dropped
    }

    fn did(&mut self, worker: &mut Worker, session: SessionId, did: Did) {
        match did {
            Did::Ready => user::find(worker, session, now(), false),
            Did::Matched => self.talkers.push(session),
            Did::Frame(_) if worker.settings.closed.is_some() => {
                Self::send(worker, session, now());
            }
            _ => {}
        }
    }
}
