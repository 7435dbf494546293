//! Steps 1 and 6: in which order a shard works through what there is to do.
//!
//! First for those who are here and do what people do. Behind them, in order and for a moment in each turn: whoever comes from an address
//! that has spent a good part of what it may do ahead of time, be it a session that presses next without end or the handshake of its next
//! one. In peace nobody is told from anybody; beside a crowd others wait for a moment of its work, and not for all of it.
//!
//! What goes before all is what bounds memory: a client that sends many frames at once is read as they come
//! (`Hub::look_if_flooding`), wherever it waits. What it can ask for in that way is what its address may, and no more.

use std::collections::VecDeque;
use std::time::Instant;

use super::hub::Hub;
use super::websocket::is_websocket;
use crate::core::io::Time;

/// In which of two queues somebody waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// With those who do what people do.
    Ahead,
    /// Behind all of these.
    Behind,
}

/// What there is to do.
#[derive(Default)]
pub(super) struct Work {
    ahead: VecDeque<u32>,
    behind: VecDeque<Task>,
}

/// What one of those behind wants.
#[derive(Debug, PartialEq, Eq)]
pub enum Task {
    /// A connection has something to do.
    Connection(u32),
    /// A newcomer waits for a handshake.
    Newcomer,
}

impl Work {
    fn is_empty(&self) -> bool {
        self.ahead.is_empty() && self.behind.is_empty()
    }

    /// A newcomer waits behind the others.
    pub fn add_newcomer(&mut self) {
        self.behind.push_back(Task::Newcomer);
    }

    /// The next of those ahead.
    fn next_ahead(&mut self) -> Option<u32> {
        self.ahead.pop_front()
    }

    /// The next of those behind.
    fn next_behind(&mut self) -> Option<Task> {
        self.behind.pop_front()
    }

    fn add(&mut self, handle: u32, behind: bool) {
        if behind {
            self.behind.push_back(Task::Connection(handle));
        } else {
            self.ahead.push_back(handle);
        }
    }
}

impl Hub {
    /// Puts a connection among those that have something to do.
    pub(super) fn mark(&mut self, handle: u32) {
        if let Some(line) = self.line(handle)
            && !line.dirty
        {
            line.dirty = true;
            let behind = line.behind;
            self.work.add(handle, behind);
        }
    }

    /// The next connection to work through with [`Hub::service`].
    pub fn next_ahead(&mut self) -> Option<u32> {
        self.work.next_ahead()
    }

    /// What is next of those who wait behind the others.
    pub fn next_behind(&mut self) -> Option<Task> {
        self.work.next_behind()
    }

    /// Whether there is anything to do.
    pub fn has_work(&self) -> bool {
        !self.work.is_empty()
    }

    /// Works through one connection: what QUIC, the session layer and the core make of what has come. Then it is to be transmitted for.
    pub fn service(&mut self, instant: Instant, now: Time, handle: u32) {
        // It may have been forgotten since it was marked.
        let Some(line) = self.line(handle) else { return };
        line.dirty = false;
        if let Some(ticket) = line.ticket.as_ref().filter(|_| line.behind) {
            // It comes back, whether they do anything or not.
            line.behind = ticket.has_spent_much(now);
        }
        if is_websocket(handle) {
            // What it gives to the site leaves at the end of the turn.
            return self.service_websocket(now, handle);
        }
        self.poll_quic(instant, now, handle);
        self.poll_session(instant, now, handle);
        if self.conn(handle).is_some_and(|conn| std::mem::take(&mut conn.line.resumed)) {
            self.read_channel(now, handle);
            self.poll_session(instant, now, handle);
        }
        self.flush(now, handle);
        self.account(now, handle);
        self.end_if_hoarding(instant, now, handle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_behind_wait_for_all_ahead_and_keep_their_order_whatever_they_want() {
        let mut work = Work::default();
        work.add(1, true);
        work.add_newcomer();
        work.add(2, false);
        work.add(3, true);
        work.add(4, false);
        assert_eq!([work.next_ahead(), work.next_ahead(), work.next_ahead()], [Some(2), Some(4), None]);
        assert!(!work.is_empty(), "the shard does not sleep over those behind");
        let behind: Vec<_> = std::iter::from_fn(|| work.next_behind()).collect();
        assert_eq!(behind, [Task::Connection(1), Task::Newcomer, Task::Connection(3)]);
        assert!(work.is_empty());
    }
}
