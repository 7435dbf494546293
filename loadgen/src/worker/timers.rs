//! A thread's own timers: when a user gives up, leaves, types.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::net::SessionId;
use crate::time::Nanos;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// A session has to be open by now.
    OpenDeadline {
        /// The session.
        session: SessionId,
    },
    /// Something that a scenario set for a user.
    User {
        /// The user's session.
        session: SessionId,
        /// The scenario's own numbering.
        kind: u8,
        /// The user's epoch when it was set; the timer is void in another.
        epoch: u32,
    },
}

#[derive(PartialEq, Eq)]
struct Entry {
    due: Nanos,
    /// Keeps timers of the same moment in the order in which they were set.
    order: u64,
    timer: Timer,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.order).cmp(&(other.due, other.order))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The timers, earliest first. A user has at most a handful, so their number is bounded by that of users.
#[derive(Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<Entry>>,
    order: u64,
}

impl Timers {
    /// Sets a timer.
    pub fn add(&mut self, due: Nanos, timer: Timer) {
        self.order += 1;
        self.heap.push(Reverse(Entry { due, order: self.order, timer }));
    }

    /// When the next is due.
    pub fn next(&self) -> Option<Nanos> {
        self.heap.peek().map(|Reverse(entry)| entry.due)
    }

    /// Takes one that is due, with the moment it was due.
    pub fn take_due(&mut self, now: Nanos) -> Option<(Nanos, Timer)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| (entry.due, entry.timer))
    }
}
