//! Timers of all six steps: a hierarchical timing wheel in ticks of a millisecond.
//!
//! In: small dense numbers (slots of a table) and when each is due. Out: the numbers that are due. Every number has at
//! most one timer; setting it again moves it. Setting, moving and cancelling cost the same whether ten timers
//! or ten million are set: an entry is linked into one of 6 × 64 buckets, level by the highest group of six bits in which
//! its tick differs from the present one (the scheme of Varghese and Lauck, 1987), and moves down at most five times.
//!
//! A timer never fires early, and late by less than one tick plus the time until `expire` is called.

use super::io::Time;
use super::pages::{NIL, Pages};

const LEVELS: u32 = 6;
const BITS: u32 = 6;
const BUCKETS: usize = 64;
/// Ticks that the wheel looks ahead (about 2 years); what is later waits in the last bucket and is moved on from there.
const HORIZON: u64 = (1 << (BITS * LEVELS)) - 1;
/// A bucket number that no bucket has: the entry's timer is not set.
const UNSET: u16 = u16::MAX;

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// When it is due, in ticks.
    tick: u64,
    next: u32,
    prev: u32,
    bucket: u16,
}

const EMPTY: Entry = Entry { tick: 0, next: NIL, prev: NIL, bucket: UNSET };

/// Timers for the numbers of one table.
#[derive(Debug)]
pub struct Wheel {
    /// The present, in ticks: everything due before it has been handed out.
    tick: u64,
    /// One bit for every bucket that is not empty.
    occupied: [u64; LEVELS as usize],
    heads: Box<[u32; LEVELS as usize * BUCKETS]>,
    entries: Pages<Entry>,
    len: usize,
}

impl Wheel {
    /// A wheel without timers, at the moment `now`.
    pub fn new(now: Time) -> Self {
        Self {
            tick: now.0 / 1000,
            occupied: [0; LEVELS as usize],
            heads: Box::new([NIL; LEVELS as usize * BUCKETS]),
            entries: Pages::default(),
            len: 0,
        }
    }

    /// Timers that are set.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no timer is set.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        size_of_val(&*self.heads) + self.entries.heap_bytes()
    }

    /// Sets the timer of `key`, or moves it. Keys are dense: memory grows with the highest one.
    pub fn insert(&mut self, key: u32, at: Time) {
        self.entries.reserve(key, || EMPTY);
        self.cancel(key);
        self.entries[key].tick = at.0.div_ceil(1000);
        self.len += 1;
        self.link(key);
    }

    /// Cancels the timer of `key`, if it is set.
    pub fn cancel(&mut self, key: u32) {
        if self.entries.get(key).is_some_and(|entry| entry.bucket != UNSET) {
            self.unlink(key);
            self.len -= 1;
        }
    }

    /// When the timer of `key` is due, in the wheel's whole milliseconds.
    pub fn due(&self, key: u32) -> Option<Time> {
        let entry = self.entries.get(key).filter(|entry| entry.bucket != UNSET)?;
        Some(Time(entry.tick * 1000))
    }

    /// Appends to `due` every key whose time has come and unsets its timer.
    pub fn expire(&mut self, now: Time, due: &mut Vec<u32>) {
        let end = now.0 / 1000;
        while let Some((level, index, tick)) = self.first_bucket() {
            if tick > end {
                break;
            }
            self.tick = tick.max(self.tick);
            let bucket = level as usize * BUCKETS + index as usize;
            while self.heads[bucket] != NIL {
                let key = self.heads[bucket];
                self.unlink(key);
                if self.entries[key].tick <= self.tick {
                    self.len -= 1;
                    due.push(key);
                } else {
                    self.link(key);
                }
            }
        }
        self.tick = self.tick.max(end);
    }

    /// When `expire` has work to do next: exact for what is due within 64 ms, else at most the moment at which a far
    /// timer moves to a finer level.
    pub fn next(&self) -> Option<Time> {
        self.first_bucket().map(|(_, _, tick)| Time(tick * 1000))
    }

    /// The earliest bucket that holds anything: level, index, and the first tick it covers.
    fn first_bucket(&self) -> Option<(u32, u32, u64)> {
        (0..LEVELS).find_map(|level| {
            let occupied = self.occupied[level as usize];
            if occupied == 0 {
                return None;
            }
            let shift = level * BITS;
            let here = (self.tick >> shift) as u32 & 63;
            let ahead = occupied.rotate_right(here).trailing_zeros();
            let tick = ((self.tick >> shift) + u64::from(ahead)) << shift;
            Some((level, (here + ahead) & 63, tick.max(self.tick)))
        })
    }

    fn link(&mut self, key: u32) {
        let tick = self.entries[key].tick.clamp(self.tick, self.tick + HORIZON / 2);
        let differs = (tick ^ self.tick) | 63;
        let level = (differs.ilog2() / BITS).min(LEVELS - 1);
        let index = (tick >> (level * BITS)) as usize & 63;
        let bucket = level as usize * BUCKETS + index;
        let head = self.heads[bucket];
        if head != NIL {
            self.entries[head].prev = key;
        }
        self.heads[bucket] = key;
        self.occupied[level as usize] |= 1 << index;
        let entry = &mut self.entries[key];
        (entry.next, entry.prev, entry.bucket) = (head, NIL, bucket as u16);
    }

    fn unlink(&mut self, key: u32) {
        let Entry { next, prev, bucket, .. } = self.entries[key];
        if prev == NIL {
            self.heads[bucket as usize] = next;
            if next == NIL {
                self.occupied[bucket as usize / BUCKETS] &= !(1 << (bucket as usize % BUCKETS));
            }
        } else {
            self.entries[prev].next = next;
        }
        if next != NIL {
            self.entries[next].prev = prev;
        }
        self.entries[key].bucket = UNSET;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same as the wheel, by sorting.
    fn model_expire(model: &mut Vec<(u32, u64)>, now: u64) -> Vec<u32> {
        let mut due: Vec<u32> =
            model.iter().filter(|(_, at)| at.div_ceil(1000) <= now / 1000).map(|(key, _)| *key).collect();
        model.retain(|(key, _)| !due.contains(key));
        due.sort_unstable();
        due
    }

    #[test]
    fn behaves_like_a_sorted_list_whatever_is_set_moved_and_cancelled() {
        for seed in 1..40_u64 {
            let mut state = seed;
            let mut random = move |below: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % below
            };
            let mut now = random(1 << 40);
            let mut wheel = Wheel::new(Time(now));
            let mut model: Vec<(u32, u64)> = Vec::new();
            for _ in 0..2_000 {
                let key = random(300) as u32;
                match random(4) {
                    0 => {
                        wheel.cancel(key);
                        model.retain(|(other, _)| *other != key);
                    }
                    1 => {
                        let steps = [1, 900, 70_000, 5_000_000, 400_000_000];
                        let step = steps[random(5) as usize];
                        now += random(step);
                        let mut due = Vec::new();
                        wheel.expire(Time(now), &mut due);
                        due.sort_unstable();
                        assert_eq!(due, model_expire(&mut model, now), "seed {seed}");
                    }
                    _ => {
                        let far = [1, 2_000, 60_000, 10_000_000, 90_000_000_000];
                        let reach = far[random(5) as usize];
                        let at = (now + random(reach)).saturating_sub(500);
                        wheel.insert(key, Time(at));
                        model.retain(|(other, _)| *other != key);
                        model.push((key, at));
                    }
                }
                assert_eq!(wheel.len(), model.len());
                let earliest = model.iter().map(|(_, at)| at.div_ceil(1000).max(now / 1000)).min();
                assert_eq!(wheel.next().is_some(), earliest.is_some());
                assert!(wheel.next().map(|at| at.0 / 1000) <= earliest || earliest.is_none(), "seed {seed}");
            }
        }
    }

    #[test]
    fn a_driver_that_sleeps_until_next_wakes_a_few_times_for_a_far_timer() {
        let mut wheel = Wheel::new(Time(123_456));
        let at = Time(123_456).plus_ms(3_600_000);
        wheel.insert(9, at);
        let (mut due, mut wakes) = (Vec::new(), 0);
        while let Some(next) = wheel.next() {
            wheel.expire(next, &mut due);
            wakes += 1;
            assert!(due.is_empty() || next >= at);
        }
        assert_eq!(due, [9]);
        assert!(wakes <= 6, "{wakes} wakes");
    }
}
