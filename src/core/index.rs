//! Steps 3 and 4 of 6: a hash index that grows without a pause and is looked up in one line of memory.
//!
//! In: hashes and the numbers they lead to. Out: the number whose key a caller recognises. A table that doubles moves all
//! of its entries in one call, and at millions of entries everybody on the shard waits for it. This one grows by one bucket
//! at a time, and moves the few entries of one other bucket (linear hashing, Litwin 1980).
//!
//! Among millions each lookup is in a place that no cache holds, and costs what it takes to fetch it. So a bucket is one cache line
//! with the hashes in it: whether there is anything under a hash is known from that line alone. A caller who will look up several
//! hashes calls [`Index::fetch`] for all of them first, so that the lines arrive together.

use std::hash::{BuildHasher as _, Hash};
use std::hint::black_box;

use super::interests::Keyed;
use super::pages::{NIL, Pages};

/// Entries of a line: with the two numbers beside them they fill 64 bytes.
const ENTRIES: usize = 7;
/// Entries of a bucket, on average; over it the index grows. Buckets that wait for their turn to be split have up to twice as many.
const LOAD: usize = 4;

/// One cache line of entries.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct Line {
    hashes: [u32; ENTRIES],
    values: [u32; ENTRIES],
    /// Entries taken, from the front.
    taken: u32,
    /// The next line of the bucket, in `spills`.
    more: u32,
}

const EMPTY: Line = Line { hashes: [0; ENTRIES], values: [0; ENTRIES], taken: 0, more: NIL };

impl Line {
    /// The first entry under a hash that `is` recognises. All places are compared, taken or not: the loop is as long every time.
    #[inline]
    fn find(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<usize> {
        let here =
            |place| self.hashes[place] == hash && place < self.taken as usize && is(self.values[place]);
        (0..ENTRIES).find(|place| here(*place))
    }

    fn push(&mut self, (hash, value): (u32, u32)) {
        let place = self.taken as usize;
        (self.hashes[place], self.values[place]) = (hash, value);
        self.taken += 1;
    }

    fn pop(&mut self) -> Option<(u32, u32)> {
        self.taken = self.taken.checked_sub(1)?;
        let place = self.taken as usize;
        Some((self.hashes[place], self.values[place]))
    }
}

/// Numbers by hash. The keys themselves are kept by the caller.
#[derive(Debug)]
pub struct Index {
    hasher: Keyed,
    /// The first line of each bucket. It is full if there are more; of those all but the first are full.
    lines: Pages<Line>,
    /// Buckets in use, at least one.
    count: u32,
    /// Lines of buckets that have more than one.
    spills: Pages<Line>,
    /// Spilled lines that have ever been used.
    spilled: u32,
    /// Head of the list of free spilled lines.
    free: u32,
    len: usize,
}

impl Index {
    /// An empty one; the key of the hash keeps clients from choosing what collides.
    pub fn new(hasher: Keyed) -> Self {
        let mut lines = Pages::default();
        lines.reserve(0, || EMPTY);
        Self { hasher, lines, count: 1, spills: Pages::default(), spilled: 0, free: NIL, len: 0 }
    }

    /// The hash of a key of fixed length.
    #[inline]
    pub fn hash_bytes(&self, key: &[u8]) -> u32 {
        self.hasher.build_hasher().hash(key) as u32
    }

    /// The hash of a key.
    pub fn hash<T: Hash + ?Sized>(&self, key: &T) -> u32 {
        self.hasher.hash_one(key) as u32
    }

    /// Begins to fetch what [`Index::get`] will look at, without waiting for it.
    #[inline]
    pub fn fetch(&self, hash: u32) {
        // A value that is loaded and not used holds up nothing that comes after it.
        black_box(self.lines[self.bucket(hash)].taken);
    }

    /// The number under a hash that `is` recognises.
    #[inline]
    pub fn get(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mut line = &self.lines[self.bucket(hash)];
        loop {
            if let Some(place) = line.find(hash, &is) {
                return Some(line.values[place]);
            }
            line = self.spills.get(line.more)?;
        }
    }

    /// Adds a number that is not there.
    pub fn insert(&mut self, hash: u32, value: u32) {
        if self.len >= self.count as usize * LOAD {
            self.grow();
        }
        self.len += 1;
        self.put((hash, value));
    }

    /// Takes a number out.
    pub fn remove(&mut self, hash: u32, value: u32) {
        let bucket = self.bucket(hash);
        let is = |other| other == value;
        let line = &self.lines[bucket];
        let (mut at, mut place) = (NIL, line.find(hash, is));
        let mut more = line.more;
        while place.is_none() && more != NIL {
            let line = &self.spills[more];
            (at, place, more) = (more, line.find(hash, is), line.more);
        }
        let Some(place) = place else { return };
        self.len -= 1;
        // The last entry of the line that need not be full takes its place.
        let Some(last) = self.pop(bucket) else { return };
        let line = if at == NIL { &mut self.lines[bucket] } else { &mut self.spills[at] };
        if place < line.taken as usize {
            (line.hashes[place], line.values[place]) = last;
        }
    }

    /// Numbers in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.lines.heap_bytes() + self.spills.heap_bytes()
    }

    /// The bucket of a hash: by as many low bits as there are buckets for, else by one less.
    #[inline]
    fn bucket(&self, hash: u32) -> u32 {
        let size = self.count.next_power_of_two();
        let bucket = hash & (size - 1);
        if bucket < self.count { bucket } else { bucket & (size / 2 - 1) }
    }

    /// Puts an entry into its bucket.
    fn put(&mut self, entry: (u32, u32)) {
        let bucket = self.bucket(entry.0);
        let line = &mut self.lines[bucket];
        if (line.taken as usize) < ENTRIES {
            return line.push(entry);
        }
        let more = line.more;
        match self.spills.get_mut(more) {
            Some(spill) if (spill.taken as usize) < ENTRIES => spill.push(entry),
            _ => {
                let mut spill = Line { more, ..EMPTY };
                spill.push(entry);
                self.lines[bucket].more = self.spill(spill);
            }
        }
    }

    /// Takes an entry out of a bucket's line that need not be full.
    fn pop(&mut self, bucket: u32) -> Option<(u32, u32)> {
        let line = &mut self.lines[bucket];
        let Some(spill) = self.spills.get_mut(line.more) else { return line.pop() };
        let entry = spill.pop();
        if spill.taken == 0 {
            let emptied = line.more;
            line.more = std::mem::replace(&mut spill.more, self.free);
            self.free = emptied;
        }
        entry
    }

    /// A place for a spilled line.
    fn spill(&mut self, line: Line) -> u32 {
        let mut at = self.free;
        if at == NIL {
            at = self.spilled;
            self.spilled += 1;
            self.spills.reserve(at, || EMPTY);
        } else {
            self.free = self.spills[at].more;
        }
        self.spills[at] = line;
        at
    }

    /// Adds a bucket, and moves into it what belongs there: all of it is in the bucket that had its place.
    fn grow(&mut self) {
        let new = self.count;
        let old = new - (new + 1).next_power_of_two() / 2;
        self.lines.reserve(new, || EMPTY);
        let mut moving = Vec::new();
        while let Some(entry) = self.pop(old) {
            moving.push(entry);
        }
        self.count += 1;
        for entry in moving {
            self.put(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Index {
        fn chain(&self, bucket: u32) -> usize {
            let first = &self.lines[bucket];
            std::iter::successors(self.spills.get(first.more), |line| self.spills.get(line.more)).count() + 1
        }
    }

    #[test]
    fn a_bucket_is_a_cache_line() {
        assert_eq!((size_of::<Line>(), align_of::<Line>()), (64, 64));
    }

    #[test]
    fn finds_what_was_put_in_while_it_grows_and_nothing_else() {
        let mut index = Index::new(Keyed(1, 2));
        for value in 0..20_000_u32 {
            // Every third key shares its hash with another.
            let hash = index.hash(&(value - value % 3));
            index.insert(hash, value);
            if value % 2 == 1 {
                let gone = value / 2;
                let hash = index.hash(&(gone - gone % 3));
                index.remove(hash, gone);
            }
        }
        assert_eq!(index.len(), 10_000);
        let longest = (0..index.count).map(|bucket| index.chain(bucket)).max();
        // Three share a hash; a few more share a bucket.
        assert!(longest.is_some_and(|longest| longest <= 4), "{longest:?} lines of {} buckets", index.count);
        for value in 0..20_000_u32 {
            let hash = index.hash(&(value - value % 3));
            assert_eq!(index.get(hash, |found| found == value), (value >= 10_000).then_some(value));
        }
        for value in 10_000..20_000_u32 {
            let hash = index.hash(&(value - value % 3));
            index.remove(hash, value);
            index.remove(hash, value);
        }
        assert!(index.is_empty() && (0..index.count).all(|bucket| index.chain(bucket) == 1));
    }

    #[test]
    fn many_under_one_hash_are_all_found_and_all_go() {
        let mut index = Index::new(Keyed(1, 2));
        (0..100).for_each(|value| index.insert(7, value));
        for value in (0..100).step_by(3).chain(0..100) {
            index.remove(7, value);
            assert_eq!(index.get(7, |found| found == value), None);
        }
        assert!(index.is_empty());
        let spilled = index.spilled;
        (0..100).for_each(|value| index.insert(7, value));
        assert_eq!(index.spilled, spilled, "lines are used again");
    }
}
