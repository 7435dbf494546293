//! Step 3 of 6: the shelves of the waiting room.
//!
//! In: what people who wait have in common. Out: where they stand. Among millions every shelf is a place in memory that no cache
//! holds, and most people stand alone on theirs. So nothing is kept of a shelf with one person: the index leads straight to that
//! person's place. A second person makes a shelf of it, half a cache line, which exists until nobody stands there any more.
//! Those of people without wishes are always there, and need no index.

use std::cell::Cell;
use std::hint::black_box;

use super::few::Few;
use super::index::Index;
use super::interests::Keyed;
use super::keys::{ShelfKey, Tongue, Topic, Which};
use super::pages::{NIL, Slots};
use super::pairing::Mode;

/// A list of places, the longest waiting first.
#[derive(Debug)]
#[repr(align(32))]
pub(super) struct Shelf {
    /// What it is for.
    pub key: ShelfKey,
    /// The first place.
    pub head: u32,
    /// The last place.
    pub tail: u32,
    /// Where a search that was cut goes on.
    pub cursor: Cell<u32>,
    hash: u32,
}

impl Shelf {
    /// With one place on it, or none.
    fn new(key: ShelfKey, hash: u32, only: u32) -> Self {
        Self { key, head: only, tail: only, cursor: Cell::new(NIL), hash }
    }
}

/// A shelf that is looked for.
#[derive(Clone, Copy, Default)]
pub(super) struct Wanted {
    pub key: ShelfKey,
    pub hash: u32,
    /// Which it is of the shelves of somebody who is to stand there.
    pub which: Which,
}

/// Shelves that are looked for at a time. Most people have no more.
pub(super) const BATCH: usize = 8;

/// Shelves that are looked for together.
pub(super) type Batch = Few<Wanted, BATCH>;

/// The index leads to numbers of shelves from here on; below, to the place of somebody who stands alone.
pub(super) const SHELF: u32 = 1 << 31;

/// The shelves of a room.
#[derive(Debug)]
pub(super) struct Shelves {
    table: Slots<Shelf>,
    /// Shelves and places by key, without the plain shelves.
    pub(super) index: Index,
}

/// Shelves that are always there: those on which people without wishes stand, and look.
const PLAIN: u32 = 8;

impl Shelves {
    /// The plain ones; `key` keeps clients from choosing languages that collide.
    pub(super) fn new(key: Keyed) -> Self {
        let mut table = Slots::default();
        for mode in [Mode::Text, Mode::Video] {
            for topic in [Topic::Open, Topic::Relaxed] {
                for tongue in [Tongue::All, Tongue::Unnamed] {
                    let key = ShelfKey::new(mode, topic, tongue);
                    let number = table.insert(Shelf::new(key, 0, NIL));
                    debug_assert_eq!(key.plain(), Some(number));
                }
            }
        }
        Self { table, index: Index::new(key) }
    }

    /// A shelf to look for.
    #[inline]
    pub(super) fn want(&self, key: ShelfKey, which: Which) -> Wanted {
        Wanted { key, hash: self.index.hash_bytes(&key.bytes()), which }
    }

    /// What the index leads to for a shelf, if `is` recognises it.
    #[inline]
    pub(super) fn find(&self, wanted: &Wanted, is: impl Fn(u32) -> bool) -> Option<u32> {
        let plain = wanted.key.plain().map(|number| SHELF | number);
        plain.or_else(|| self.index.get(wanted.hash, is))
    }

    /// A shelf for somebody who stood alone until now, at this place.
    pub(super) fn make(&mut self, wanted: &Wanted, only: u32) -> u32 {
        let number = self.table.insert(Shelf::new(wanted.key, wanted.hash, only));
        self.index.remove(wanted.hash, only);
        self.index.insert(wanted.hash, SHELF | number);
        number
    }

    /// The shelf that the index leads to, if it leads to one.
    #[inline]
    pub(super) fn at(&self, found: u32) -> Option<&Shelf> {
        self.get(found.checked_sub(SHELF)?)
    }

    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&Shelf> {
        self.table.get(number)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Shelf> {
        self.table.get_mut(number)
    }

    /// Begins to fetch a shelf.
    #[inline]
    pub(super) fn fetch(&self, number: u32) {
        black_box(self.get(number).is_some());
    }

    /// Begins to fetch what [`Shelves::clear_away`] will look at, if this shelf's last person is about to leave.
    #[inline]
    pub(super) fn fetch_last(&self, number: u32) {
        if let Some(shelf) = self.get(number)
            && shelf.head == shelf.tail
        {
            self.index.fetch(shelf.hash);
        }
    }

    /// Takes a shelf away on which nobody stands any more.
    pub(super) fn clear_away(&mut self, number: u32) {
        if number >= PLAIN
            && let Some(shelf) = self.table.remove(number)
        {
            self.index.remove(shelf.hash, SHELF | number);
        }
    }

    /// Shelves beside the plain ones, and entries of the index: none in an empty room.
    pub(super) fn len(&self) -> usize {
        self.table.len() - PLAIN as usize + self.index.len()
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.table.heap_bytes() + self.index.heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_shelves_share_a_cache_line() {
        assert_eq!(Slots::<Shelf>::SLOT_BYTES, 32);
    }
}
