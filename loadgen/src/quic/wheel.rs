//! A timing wheel for the connections' QUIC deadlines.
//!
//! In: "connection 17 wants to be called at t". Out: the connections whose time has come.
//! A deadline that moves later costs nothing: the connection is looked at when the old one fires and put back.

use crate::time::Nanos;

/// Length of one tick: QUIC's own timers are no finer (its granularity is 1 ms).
const TICK_NS: Nanos = 1_000_000;
/// Slots of the fine wheel: 1.024 s ahead.
const FINE_SLOTS: u64 = 1024;
/// Ticks of one coarse slot, and coarse slots: 262 s ahead, beyond every QUIC idle timeout in use.
const COARSE_TICKS: u64 = 256;
const COARSE_SLOTS: u64 = 1024;

/// No deadline is armed.
pub const UNARMED: u64 = 0;

/// The wheel. Each user keeps its own `armed` tick, by which stale entries are told apart.
pub struct Wheel {
    fine: Vec<Vec<u32>>,
    coarse: Vec<Vec<u32>>,
    /// The next tick to expire.
    tick: u64,
}

impl Wheel {
    /// A wheel that starts at `now`.
    pub fn new(now: Nanos) -> Self {
        Self {
            fine: (0..FINE_SLOTS).map(|_| Vec::new()).collect(),
            coarse: (0..COARSE_SLOTS).map(|_| Vec::new()).collect(),
            tick: now / TICK_NS + 1,
        }
    }

    /// Arms `key` for `deadline`, unless it fires earlier anyway. `armed` is the key's own record.
    pub fn arm(&mut self, key: u32, armed: &mut u64, deadline: Nanos) {
        let tick = deadline.div_ceil(TICK_NS).max(self.tick);
        if *armed != UNARMED && *armed <= tick {
            return;
        }
        *armed = self.insert(key, tick);
    }

    /// Puts `key` where it is looked at no later than `tick`; returns the tick at which that will be.
    fn insert(&mut self, key: u32, tick: u64) -> u64 {
        if tick < self.tick + FINE_SLOTS {
            self.fine[(tick % FINE_SLOTS) as usize].push(key);
            return tick;
        }
        let last = self.tick / COARSE_TICKS + COARSE_SLOTS - 1;
        let slot = (tick / COARSE_TICKS).min(last);
        self.coarse[(slot % COARSE_SLOTS) as usize].push(key);
        slot * COARSE_TICKS
    }

    /// Appends the keys of every tick up to `now` to `due`, each with the tick it was armed for.
    pub fn expire(&mut self, now: Nanos, due: &mut Vec<(u32, u64)>) {
        while self.tick * TICK_NS <= now {
            let tick = self.tick;
            self.tick += 1;
            if tick.is_multiple_of(COARSE_TICKS) {
                let slot = &mut self.coarse[((tick / COARSE_TICKS) % COARSE_SLOTS) as usize];
                due.extend(slot.drain(..).map(|key| (key, tick)));
            }
            due.extend(self.fine[(tick % FINE_SLOTS) as usize].drain(..).map(|key| (key, tick)));
        }
    }

    /// When to look again: the next tick that holds something, at most `limit` ns ahead.
    pub fn next(&self, limit: Nanos) -> Nanos {
        let ticks = (limit / TICK_NS).clamp(1, FINE_SLOTS);
        for tick in self.tick..self.tick + ticks {
            let coarse = tick.is_multiple_of(COARSE_TICKS)
                && !self.coarse[((tick / COARSE_TICKS) % COARSE_SLOTS) as usize].is_empty();
            if coarse || !self.fine[(tick % FINE_SLOTS) as usize].is_empty() {
                return tick * TICK_NS;
            }
        }
        (self.tick + ticks) * TICK_NS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the wheel tick by tick and says when `key` first came up in its own right.
    fn fires_at(wheel: &mut Wheel, key: u32, armed: u64, until: Nanos) -> Option<Nanos> {
        let (mut now, mut due) = (0, Vec::new());
        while now <= until {
            wheel.expire(now, &mut due);
            if due.drain(..).any(|(k, tick)| k == key && tick == armed) {
                return Some(now);
            }
            now += TICK_NS;
        }
        None
    }

    #[test]
    fn a_near_deadline_fires_on_its_tick() {
        let mut wheel = Wheel::new(0);
        let mut armed = UNARMED;
        wheel.arm(7, &mut armed, 25 * TICK_NS - 1);
        assert_eq!(fires_at(&mut wheel, 7, armed, 1000 * TICK_NS), Some(25 * TICK_NS));
    }

    #[test]
    fn a_far_deadline_is_looked_at_no_later_than_it_is_due() {
        let mut wheel = Wheel::new(0);
        let mut armed = UNARMED;
        wheel.arm(7, &mut armed, 30_000 * TICK_NS);
        let at = fires_at(&mut wheel, 7, armed, 40_000 * TICK_NS).expect("it fires");
        assert!((29_744 * TICK_NS..=30_000 * TICK_NS).contains(&at), "{at}");
    }

    #[test]
    fn an_earlier_deadline_replaces_a_later_one_and_the_stale_entry_is_known() {
        let mut wheel = Wheel::new(0);
        let mut armed = UNARMED;
        wheel.arm(1, &mut armed, 500 * TICK_NS);
        let stale = armed;
        wheel.arm(1, &mut armed, 10 * TICK_NS);
        assert_ne!(stale, armed);
        assert_eq!(fires_at(&mut wheel, 1, armed, 1000 * TICK_NS), Some(10 * TICK_NS));
    }

    #[test]
    fn the_sleep_ends_at_the_next_entry() {
        let mut wheel = Wheel::new(0);
        let mut armed = UNARMED;
        wheel.arm(1, &mut armed, 9 * TICK_NS);
        assert_eq!(wheel.next(1000 * TICK_NS), 9 * TICK_NS);
        assert_eq!(wheel.next(5 * TICK_NS), 6 * TICK_NS);
    }
}
