//! `pair` and `signal`: arrivals look for a stranger, are matched, and part again.
//!
//! An arrival is an idle session, picked at random, that sends FIND: the time to connect is no part of pairing. If
//! none is idle the arrival waits for one, and its latency counts from when it was due: a server that stalls, and with
//! it this program, shows in the corrected view.
//! In `signal` the two do the exchange of a video call before they part.

use std::collections::VecDeque;

use super::{Arrival, Scenario, exchange};
use crate::limits::MAX_BACKLOG;
use crate::quic::net::SessionId;
use crate::stats::recorder::Count;
use crate::time::{Nanos, now};
use crate::worker::Worker;
use crate::worker::user::{self, Did};

const DWELL_OVER: u8 = 1;
const THINK_OVER: u8 = 2;

/// The users of one thread.
pub struct Pair {
    /// Whether a matched pair does the exchange of a video call.
    exchange: bool,
    /// Arrivals that wait for an idle session, oldest first: when they were due.
    backlog: VecDeque<Nanos>,
}

impl Pair {
    /// `exchange`: whether a matched pair does the exchange of a video call.
    pub fn new(exchange: bool) -> Self {
        Self { exchange, backlog: VecDeque::new() }
    }

    /// Lets a random idle user look for somebody.
    fn find(&self, worker: &mut Worker, intended: Nanos) -> bool {
        let pick = worker.rng.below(worker.users.idle().len());
        let Some(session) = worker.users.idle().get(pick).copied() else { return false };
        user::find(worker, session, intended, self.exchange);
        true
    }

    /// A user is idle again.
    fn free(&mut self, worker: &mut Worker, session: SessionId) {
        if let Some(intended) = self.backlog.pop_front() {
            self.find(worker, intended);
            worker.recorder.scheduled(Count::Started, intended);
        } else if worker.settings.closed.is_some() {
            // In a closed loop, whoever is done makes room for the next.
            worker.after(session, worker.settings.think_ns, THINK_OVER);
        }
    }
}

impl Scenario for Pair {
    fn begin(&mut self, worker: &mut Worker, start: Nanos) {
        let closed = u64::from(worker.settings.closed.unwrap_or(0));
        for _ in 0..crate::worker::share_of(closed, worker.thread(), worker.settings.threads) {
            self.find(worker, start);
        }
    }

    fn arrival(&mut self, worker: &mut Worker, intended: Nanos) -> Arrival {
        if self.find(worker, intended) {
            return Arrival::Started;
        }
        if self.backlog.len() == MAX_BACKLOG {
            return Arrival::Dropped;
        }
        self.backlog.push_back(intended);
        Arrival::Waiting
    }

    fn did(&mut self, worker: &mut Worker, session: SessionId, did: Did) {
        match did {
            Did::Matched if self.exchange => exchange::begin(worker, session),
            // One of the two ends the chat; the other hears of it.
            Did::Matched if worker.users.get(session).is_some_and(|user| user.offerer) => {
                worker.after(session, worker.settings.dwell_ns, DWELL_OVER);
            }
            Did::Frame(stamp) if self.exchange && exchange::handle(worker, session, stamp) => {
                worker.after(session, worker.settings.dwell_ns, DWELL_OVER);
            }
            Did::Ended => self.free(worker, session),
            _ => {}
        }
    }

    fn timer(&mut self, worker: &mut Worker, session: SessionId, kind: u8, _due: Nanos) {
        if kind == DWELL_OVER {
            user::leave(worker, session);
            self.free(worker, session);
        } else {
            self.find(worker, now());
        }
    }
}
