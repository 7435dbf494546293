//! `pair` and `signal`: people arrive, are paired, and part after a while.
//!
//! An arrival is an idle session, picked at random, that sends FIND: the time to connect is no part of pairing. If
//! none is idle the arrival waits for one, and its latency counts from when it was due: a server that stalls, and with
//! it this program, shows in the corrected view.
//! With `--fresh` an arrival is a new connection that looks at once, and connecting is a part of what is timed.
//! In `signal` the two do the exchange of a video call before they part.

use std::collections::VecDeque;

use super::{Arrival, Scenario, exchange};
use crate::limits::MAX_BACKLOG;
use crate::net::SessionId;
use crate::stats::recorder::Count;
use crate::time::{MILLISECOND, Nanos, now};
use crate::worker::user::{self, Did};
use crate::worker::{Worker, share_of};

const DWELL_OVER: u8 = 1;
const THINK_OVER: u8 = 2;
const GO: u8 = 3;

/// Who has left a chat stays for so long before it closes, so that LEAVE arrives: a close may overtake it.
const GO_AFTER_NS: Nanos = 100 * MILLISECOND;

/// The users of one thread.
pub struct Pair {
    /// Whether a matched pair does the exchange of a video call.
    exchange: bool,
    /// Whether every arrival is a new connection.
    fresh: bool,
    /// Arrivals that wait for an idle session, oldest first: when they were due.
    backlog: VecDeque<Nanos>,
}

impl Pair {
    /// `exchange`: whether a matched pair does the exchange of a video call. `fresh`: whether arrivals connect first.
    pub fn new(exchange: bool, fresh: bool) -> Self {
        Self { exchange, fresh, backlog: VecDeque::new() }
    }

    /// Lets a random idle user, or a new one, look for somebody.
    fn find(&self, worker: &mut Worker, intended: Nanos) -> bool {
        if self.fresh {
            worker.open(intended, true);
            return true;
        }
        let pick = worker.rng.below(worker.users.idle().len());
        let Some(session) = worker.users.idle().get(pick).copied() else { return false };
        user::find(worker, session, intended, self.exchange);
        true
    }

    /// A user has left its chat.
    fn free(&mut self, worker: &mut Worker, session: SessionId) {
        if self.fresh {
            worker.after(session, GO_AFTER_NS, GO);
        } else if let Some(intended) = self.backlog.pop_front() {
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
        for _ in 0..share_of(closed, worker.thread(), worker.settings.threads) {
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
        let Some(user) = worker.users.get(session) else { return };
        match did {
            Did::Ready if user.arrived => user::find_on_arrival(worker, session, self.exchange),
            Did::Matched if self.exchange => exchange::begin(worker, session),
            // One of the two ends the chat; the other hears of it.
            Did::Matched if user.offerer => worker.after(session, worker.settings.dwell_ns, DWELL_OVER),
            Did::Frame(stamp) if self.exchange && exchange::handle(worker, session, stamp) => {
                worker.after(session, worker.settings.dwell_ns, DWELL_OVER);
            }
            Did::Ended => self.free(worker, session),
            _ => {}
        }
    }

    fn timer(&mut self, worker: &mut Worker, session: SessionId, kind: u8, _due: Nanos) {
        match kind {
            DWELL_OVER => {
                user::leave(worker, session);
                self.free(worker, session);
            }
            GO => {
                user::close(worker, session);
                if worker.settings.closed.is_some() {
                    self.find(worker, now());
                }
            }
            _ => drop(self.find(worker, now())),
        }
    }
}
