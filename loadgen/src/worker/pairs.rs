//! Which two sessions of this process are in a chat together: how pairing latency is measured.
//!
//! In: every MATCHED, with its session's FIND moments. Out: when the second of a chat comes, both ends' moments.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::limits::MAX_OPEN_PAIRS;
use crate::time::Nanos;

/// Locks are split by chat number, so that threads seldom meet.
const PARTS: usize = 64;

/// One end of a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// When its FIND was meant to be sent.
    pub intended: Nanos,
    /// When its FIND was sent.
    pub sent: Nanos,
    /// When its MATCHED arrived.
    pub matched: Nanos,
}

/// Chats of which one end is known.
pub struct Pairs {
    parts: Vec<Mutex<HashMap<u32, End>>>,
}

impl Default for Pairs {
    fn default() -> Self {
        Self { parts: (0..PARTS).map(|_| Mutex::default()).collect() }
    }
}

impl Pairs {
    /// Notes one end; returns the other if it was there first.
    pub fn meet(&self, chat: u32, end: End) -> Option<End> {
        let mut part = self.parts[chat as usize % PARTS].lock().ok()?;
        if let Some(other) = part.remove(&chat) {
            return Some(other);
        }
        if part.len() < MAX_OPEN_PAIRS / PARTS {
            part.insert(chat, end);
        }
        None
    }

    /// A chat is over; `true` if its other end never showed up: it is not in this process.
    pub fn forget(&self, chat: u32) -> bool {
        self.parts[chat as usize % PARTS].lock().is_ok_and(|mut part| part.remove(&chat).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_end_meets_the_first() {
        let pairs = Pairs::default();
        let end = |at| End { intended: at, sent: at, matched: at };
        assert_eq!(pairs.meet(9, end(1)), None);
        assert_eq!(pairs.meet(10, end(2)), None);
        assert_eq!(pairs.meet(9, end(3)), Some(end(1)));
        assert!(!pairs.forget(9), "both ends were here");
        assert!(pairs.forget(10), "the other end is elsewhere");
        assert_eq!(pairs.meet(10, end(4)), None, "a new chat of the same number is another");
    }
}
