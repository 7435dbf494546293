//! Step 1 of 6: one table of counters for the whole process, which all shards use at once without a lock.
//!
//! In: hashed prefixes, and what somebody there does. Out: whether they may, or when. A counter is a token bucket in eight bytes: the
//! moment at which its allowance is whole again. **A place whose buckets are all whole and that nobody holds says nothing**, so
//! it is given to whoever needs one, without loss; that is all the eviction there is. So an address is kept by being here or by
//! having overspent, and a flood of addresses that each do little takes no place from anybody.
//!
//! A set of eight places belongs to each hash. Where the first seven are taken by others that count, the rest share the eighth and its
//! allowance: they are slowed down together, nobody is put out, and nobody goes uncounted. The key of the hash is secret, so
//! nobody can choose whom they share with.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::core::io::Time;
use crate::limits::{COUNTER_DEBT_S, COUNTER_S, FORGET_MS};

/// What is counted for a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Kind {
    /// Connections.
    Connections,
    /// FINDs.
    Finds,
    /// Relayed frames.
    Frames,
    /// Relayed KiB.
    Kibs,
    /// Reports by somebody there.
    Reports,
}

impl Kind {
    /// Each, and what it is called.
    pub const ALL: [(Self, &str); KINDS] = [
        (Self::Connections, "connections"),
        (Self::Finds, "searches"),
        (Self::Frames, "frames"),
        (Self::Kibs, "bytes"),
        (Self::Reports, "reports"),
    ];
}

/// How many there are.
pub const KINDS: usize = Kind::Reports as usize + 1;
/// Places of a set; the last is shared.
const WAYS: usize = 8;
/// Sets of a page: 4 KiB.
const PAGE_SETS: usize = 8;
/// How many low bits of a place's word count sessions; the rest name the prefix.
const SESSION_BITS: u32 = 20;
const SESSIONS: u64 = (1 << SESSION_BITS) - 1;
/// Reports about a prefix are forgotten so long after the last session from there, in seconds: a sweep a minute comes in time.
const LEFT_S: u64 = COUNTER_S - FORGET_MS / 1_000;

/// How much may be done at once, and how fast it comes back.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// What one costs, in ns: the time until it has come back.
    pub each_ns: u64,
    /// What may be spent ahead of time, in ns.
    pub burst_ns: u64,
}

/// One prefix: a cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Place {
    /// The upper bits of the hash, and how many sessions are open; 0 when nobody has it.
    word: AtomicU64,
    /// When each allowance is whole again, in ns since the start.
    whole_at: [AtomicU64; KINDS],
    /// How people of this prefix were reported, see [`Accused`].
    accused: AtomicU64,
    /// By whom lately, 16 bits each; means something as long as `accused` does.
    reporters: AtomicU64,
}

type Page = [[Place; WAYS]; PAGE_SETS];

/// Which place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceId(u32);

impl PlaceId {
    /// Whether it is the place of everybody who found no other in their set.
    const fn is_shared(self) -> bool {
        self.0 as usize % WAYS == WAYS - 1
    }
}

/// The table.
pub struct Table {
    /// Made when they are first needed.
    pages: Box<[OnceLock<Box<Page>>]>,
    /// How often a place was given to a prefix.
    given: AtomicU64,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Table of {} pages", self.pages.len())
    }
}

/// What reports about a prefix weigh, and since when nobody of it is here: both in seconds, in one word.
#[derive(Clone, Copy)]
struct Accused {
    /// When all of the weight has faded.
    faded_at: u32,
    /// When the last session ended; 0 while there are some.
    left_at: u32,
}

impl Accused {
    const fn of(word: u64) -> Self {
        Self { faded_at: (word >> 32) as u32, left_at: word as u32 }
    }

    const fn word(self) -> u64 {
        (self.faded_at as u64) << 32 | self.left_at as u64
    }

    /// Whether it means anything: it has weight, and somebody of the prefix is here or was a moment ago.
    const fn counts(self, now_s: u64) -> bool {
        self.faded_at as u64 > now_s && (self.left_at == 0 || self.left_at as u64 + LEFT_S > now_s)
    }
}

fn ns(now: Time) -> u64 {
    now.0.saturating_mul(1_000)
}

fn seconds(now_ns: u64) -> u64 {
    now_ns / 1_000_000_000
}

impl Place {
    fn is_whole(&self, now_ns: u64) -> bool {
        self.whole_at.iter().all(|at| at.load(Relaxed) <= now_ns)
            && !self.accused(now_ns).counts(seconds(now_ns))
    }

    fn accused(&self, now_ns: u64) -> Accused {
        let accused = Accused::of(self.accused.load(Relaxed));
        if accused.counts(seconds(now_ns)) { accused } else { Accused { faded_at: 0, left_at: 0 } }
    }

    /// Whether nobody holds it and it says nothing.
    fn is_idle(&self, word: u64, now_ns: u64) -> bool {
        word & SESSIONS == 0 && self.is_whole(now_ns)
    }

    /// Spends `count`; else when to come again, in ns.
    fn take(&self, kind: Kind, now_ns: u64, count: u64, allowance: Allowance) -> Result<(), u64> {
        let Allowance { each_ns, burst_ns } = allowance;
        let mut wait_ns = 0;
        let spend = |at: u64| {
            let spent = at.max(now_ns) + count * each_ns;
            wait_ns = spent.saturating_sub(now_ns + burst_ns);
            (wait_ns == 0).then_some(spent)
        };
        let taken = self.whole_at[kind as usize].fetch_update(Relaxed, Relaxed, spend);
        taken.map(|_| ()).map_err(|_| wait_ns)
    }
}

impl Table {
    /// A table with at least so many places.
    pub fn new(places: usize) -> Self {
        let pages = places.div_ceil(WAYS * PAGE_SETS).next_power_of_two();
        Self { pages: (0..pages).map(|_| OnceLock::new()).collect(), given: AtomicU64::new(0) }
    }

    fn set(&self, hash: u64) -> (usize, &[Place; WAYS]) {
        let sets = self.pages.len() * PAGE_SETS;
        let index = hash as usize & (sets - 1);
        let page = self.pages[index / PAGE_SETS].get_or_init(Box::default);
        (index, &page[index % PAGE_SETS])
    }

    fn place(&self, id: PlaceId) -> Option<&Place> {
        let set = id.0 as usize / WAYS;
        let page = self.pages.get(set / PAGE_SETS)?.get()?;
        Some(&page[set % PAGE_SETS][id.0 as usize % WAYS])
    }

    /// The upper bits of a hash, as they stand in a word; never 0. The table has fewer sets than there are bits below.
    fn tag(hash: u64) -> u64 {
        (hash & !SESSIONS) | (1 << SESSION_BITS)
    }

    /// The place of a prefix, if it has one of its own.
    fn find(set: &[Place; WAYS], tag: u64) -> Option<usize> {
        set[..WAYS - 1].iter().position(|place| place.word.load(Relaxed) & !SESSIONS == tag)
    }

    /// The place of a prefix: its own, or one that says nothing, or the shared one.
    pub fn claim(&self, now: Time, hash: u64) -> PlaceId {
        let (now_ns, tag) = (ns(now), Self::tag(hash));
        let (index, set) = self.set(hash);
        let known = Self::find(set, tag);
        let way = known.or_else(|| {
            set[..WAYS - 1].iter().position(|place| {
                let word = place.word.load(Relaxed);
                // Another thread may be faster; then this one is somebody's.
                place.is_idle(word, now_ns)
                    && place.word.compare_exchange(word, tag, Relaxed, Relaxed).is_ok()
            })
        });
        if known.is_none() {
            self.given.fetch_add(1, Relaxed);
        }
        PlaceId((index * WAYS + way.unwrap_or(WAYS - 1)) as u32)
    }

    /// Counts a session into its prefix's place, which it holds until [`Table::leave`], and says how many there are now. One more than
    /// can be counted holds nothing.
    pub fn enter(&self, now: Time, hash: u64) -> (Option<PlaceId>, u64) {
        let tag = Self::tag(hash);
        for _ in 0..WAYS {
            let id = self.claim(now, hash);
            let Some(place) = self.place(id) else { break };
            let counted = place.word.fetch_update(Relaxed, Relaxed, |word| {
                let own = word & !SESSIONS == tag || id.is_shared();
                (own && word & SESSIONS < SESSIONS).then_some(word + 1)
            });
            match counted {
                Ok(before) => {
                    let accused = place.accused(ns(now));
                    place.accused.store(Accused { left_at: 0, ..accused }.word(), Relaxed);
                    return (Some(id), (before & SESSIONS) + 1);
                }
                Err(word) if word & SESSIONS == SESSIONS => break,
                // Between the two calls the place went to somebody else.
                Err(_) => {}
            }
        }
        (None, u64::MAX)
    }

    /// A session is over.
    pub fn leave(&self, now: Time, id: PlaceId) {
        let Some(place) = self.place(id) else { return };
        let left = place.word.fetch_update(Relaxed, Relaxed, |word| (word & SESSIONS > 0).then(|| word - 1));
        if left.is_ok_and(|before| before & SESSIONS == 1) {
            let accused = place.accused(ns(now));
            if accused.faded_at > 0 {
                let left_at = seconds(ns(now)).max(1) as u32;
                place.accused.store(Accused { left_at, ..accused }.word(), Relaxed);
            }
        }
    }

    /// Sessions that are open from a place.
    pub fn sessions(&self, id: PlaceId) -> u64 {
        self.place(id).map_or(0, |place| place.word.load(Relaxed) & SESSIONS)
    }

    /// Spends `count` of an allowance; else when there will be enough, in ms.
    pub fn take(
        &self,
        now: Time,
        id: PlaceId,
        kind: Kind,
        count: u64,
        allowance: Allowance,
    ) -> Result<(), u64> {
        let Some(place) = self.place(id) else { return Ok(()) };
        place.take(kind, ns(now), count, allowance).map_err(|wait_ns| wait_ns.div_ceil(1_000_000))
    }

    /// How far an allowance is spent ahead of time, in ns; nothing for a prefix without a place.
    pub fn spent_ns(&self, now: Time, hash: u64, kind: Kind) -> u64 {
        let (_, set) = self.set(hash);
        let own = Self::find(set, Self::tag(hash)).map(|way| &set[way]);
        own.map_or(0, |place| place.whole_at[kind as usize].load(Relaxed).saturating_sub(ns(now)))
    }

    /// Whether more of some allowance is spent ahead of time than this, of each kind, in ns.
    pub fn has_spent(&self, now: Time, id: PlaceId, most_ns: &[u64; KINDS]) -> bool {
        let now_ns = ns(now);
        self.place(id).is_some_and(|place| {
            place.whole_at.iter().zip(most_ns).any(|(at, most_ns)| at.load(Relaxed) > now_ns + most_ns)
        })
    }

    /// The same of a prefix that may have no place.
    pub fn has_spent_from(&self, now: Time, hash: u64, most_ns: &[u64; KINDS]) -> bool {
        let (index, set) = self.set(hash);
        let way = Self::find(set, Self::tag(hash));
        way.is_some_and(|way| self.has_spent(now, PlaceId((index * WAYS + way) as u32), most_ns))
    }

    /// Adds a report's weight to a prefix of which somebody is here, unless this reporter was heard about it lately. What all that has
    /// not faded weighs then, in seconds of fading.
    pub fn accuse(&self, now: Time, id: PlaceId, reporter: u16, weight_s: u64) -> u64 {
        let Some(place) = self.place(id).filter(|_| !id.is_shared()) else { return 0 };
        let (now_ns, now_s) = (ns(now), seconds(ns(now)));
        let accused = place.accused(now_ns);
        let known = if accused.faded_at == 0 { 0 } else { place.reporters.load(Relaxed) };
        let from = u64::from(accused.faded_at).max(now_s);
        if accused.faded_at > 0 && (0..4).any(|at| (known >> (16 * at)) as u16 == reporter) {
            return from - now_s;
        }
        // Reports are rare; of two at once about one prefix, one may be lost.
        place.reporters.store(known << 16 | u64::from(reporter), Relaxed);
        place.accused.store(Accused { faded_at: (from + weight_s) as u32, left_at: 0 }.word(), Relaxed);
        from + weight_s - now_s
    }

    /// Forgets what was reported about a prefix: it has had its consequence.
    pub fn acquit(&self, id: PlaceId) {
        if let Some(place) = self.place(id) {
            place.accused.store(0, Relaxed);
            place.reporters.store(0, Relaxed);
        }
    }

    /// Sessions that are open from a prefix with a place of its own, and what reports about it weigh, in seconds of fading.
    pub fn held(&self, now: Time, hash: u64) -> (u64, u64) {
        let (_, set) = self.set(hash);
        let Some(way) = Self::find(set, Self::tag(hash)) else { return (0, 0) };
        let weighs_s = u64::from(set[way].accused(ns(now)).faded_at).saturating_sub(seconds(ns(now)));
        (set[way].word.load(Relaxed) & SESSIONS, weighs_s)
    }

    /// Forgets what a prefix with a place of its own has done. Sessions that are open are still counted.
    pub fn erase(&self, hash: u64) {
        let (_, set) = self.set(hash);
        let tag = Self::tag(hash);
        let Some(way) = Self::find(set, tag) else { return };
        let place = &set[way];
        for word in place.whole_at.iter().chain([&place.accused, &place.reporters]) {
            word.store(0, Relaxed);
        }
        // Without sessions the place is nobody's.
        let _ = place.word.compare_exchange(tag, 0, Relaxed, Relaxed);
    }

    /// How often a place was given to a prefix so far.
    pub fn given(&self) -> u64 {
        self.given.load(Relaxed)
    }

    /// Pages of the table, whether they are there or not.
    pub fn pages(&self) -> usize {
        self.pages.len()
    }

    /// Empties the places of a page that say nothing. Returns how many others there are.
    pub fn sweep(&self, now: Time, page: usize) -> usize {
        let now_ns = ns(now);
        let Some(page) = self.pages.get(page).and_then(OnceLock::get) else { return 0 };
        let mut kept = 0;
        for place in page.iter().flatten() {
            let word = place.word.load(Relaxed);
            if !place.is_idle(word, now_ns) {
                kept += 1;
            } else if place.word.compare_exchange(word, 0, Relaxed, Relaxed).is_ok() {
                place.accused.store(0, Relaxed);
                place.reporters.store(0, Relaxed);
                for at in &place.whole_at {
                    // Only what has passed: whoever claims the place meanwhile keeps what they spend.
                    let _ = at.fetch_update(Relaxed, Relaxed, |at| (at <= now_ns).then_some(0));
                }
            }
        }
        kept
    }
}

const _: () = assert!(size_of::<Place>() == 64 && size_of::<Page>() == 4_096);
const _: () = assert!(COUNTER_DEBT_S <= LEFT_S, "no other debt outlasts it");

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
