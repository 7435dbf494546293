//! Step 2 of 6: how many newcomers there are, and how hard it is made for each.
//!
//! In: one call for each newcomer. Out: by how many bits a proof of work has to be harder than the base level, while there are more
//! than the operator wants at once; and for half a minute after that, so that a flood in waves is met too.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::core::io::Time;
use crate::limits::{MOST_WORK_BITS, WORK_BITS, WORK_LASTS_S};

/// Counts newcomers by the second.
#[derive(Debug)]
pub struct Demand {
    /// So many a second are nothing unusual.
    above: AtomicU32,
    /// The second, and how many have come in it.
    present: AtomicU64,
    /// Many came until a moment before this second.
    high_until: AtomicU64,
    /// How often the number was doubled in the last second that was high.
    doublings: AtomicU32,
}

const COUNT_BITS: u32 = 24;
const COUNT: u64 = (1 << COUNT_BITS) - 1;

impl Demand {
    /// Unusual are more than `above` a second; 0 means that no number is.
    pub fn new(above: u32) -> Self {
        Self {
            above: AtomicU32::new(above),
            present: AtomicU64::new(0),
            high_until: AtomicU64::new(0),
            doublings: AtomicU32::new(0),
        }
    }

    /// Other numbers are unusual from now on.
    pub fn set(&self, above: u32) {
        self.above.store(above, Relaxed);
        if above == 0 {
            self.high_until.store(0, Relaxed);
        }
    }

    /// Somebody comes.
    pub fn note(&self, now: Time) {
        let above = self.above.load(Relaxed);
        if above == 0 {
            return;
        }
        let second = now.0 / 1_000_000;
        let next = |word: u64| match word >> COUNT_BITS {
            same if same == second => (word & COUNT < COUNT).then_some(word + 1),
            _ => Some(second << COUNT_BITS | 1),
        };
        let before = self.present.fetch_update(Relaxed, Relaxed, next).unwrap_or(0);
        let count = (before & COUNT) as u32;
        if before >> COUNT_BITS == second {
            if count >= above {
                self.high_until.fetch_max(second + WORK_LASTS_S, Relaxed);
                self.doublings.fetch_max((count / above).ilog2(), Relaxed);
            }
        } else {
            // The first of a second judges the one before.
            let doublings = (count / above).checked_ilog2().unwrap_or(0);
            self.doublings.store(doublings, Relaxed);
        }
    }

    /// How many zero bits a proof needs because of how many come; `None` if that is nothing unusual.
    pub fn bits(&self, now: Time) -> Option<u32> {
        let high = now.0 / 1_000_000 < self.high_until.load(Relaxed);
        high.then(|| (WORK_BITS + self.doublings.load(Relaxed)).min(MOST_WORK_BITS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn come(demand: &Demand, second: u64, count: u32) {
        for _ in 0..count {
            demand.note(Time(second * 1_000_000));
        }
    }

    #[test]
    fn work_is_asked_for_while_many_come_and_harder_for_more() {
        let demand = Demand::new(100);
        let bits = |second: u64| demand.bits(Time(second * 1_000_000));
        come(&demand, 10, 100);
        assert_eq!(bits(10), None);
        come(&demand, 10, 1);
        assert_eq!(bits(10), Some(WORK_BITS));
        come(&demand, 11, 850);
        assert_eq!(bits(11), Some(WORK_BITS + 3));
        come(&demand, 12, 1);
        assert_eq!(bits(12), Some(WORK_BITS + 3), "as many as a second ago");
        come(&demand, 13, 1);
        assert_eq!(bits(13), Some(WORK_BITS), "few, but just now they were many");
        assert_eq!(bits(11 + WORK_LASTS_S), None);
    }

    #[test]
    fn it_never_gets_harder_than_the_limit_and_can_be_turned_off() {
        let demand = Demand::new(1);
        come(&demand, 5, 100_000);
        assert_eq!(demand.bits(Time(5_000_000)), Some(MOST_WORK_BITS));
        let never = Demand::new(0);
        come(&never, 5, 100_000);
        assert_eq!(never.bits(Time(5_000_000)), None);
    }
}
