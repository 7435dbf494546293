//! Storage of all six steps: arrays and slot tables that grow one page at a time.
//!
//! A `Vec` that doubles copies everything it holds: at a million sessions that is a pause of tens of milliseconds for
//! everyone on the shard. These grow by adding a page, so no operation ever touches more than one page of entries.

/// Entries in a page: a power of two, large enough that the page table stays small, small enough that a page is
/// allocated in microseconds.
const PAGE: usize = 256;

/// "No entry" in lists that link entries by their index.
pub const NIL: u32 = u32::MAX;

/// An array that grows a page at a time and never moves what it holds.
#[derive(Debug)]
pub struct Pages<T> {
    pages: Vec<Box<[T; PAGE]>>,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self { pages: Vec::new() }
    }
}

impl<T> Pages<T> {
    /// Makes room for entry `index`, filling new pages with `fill`.
    pub fn reserve(&mut self, index: u32, mut fill: impl FnMut() -> T) {
        while index as usize >= self.pages.len() * PAGE {
            let page: Box<[T]> = (0..PAGE).map(|_| fill()).collect();
            let Ok(page) = page.try_into() else { return };
            self.pages.push(page);
        }
    }

    /// The entry, if there is room for it already.
    #[inline]
    pub fn get(&self, index: u32) -> Option<&T> {
        self.pages.get(index as usize / PAGE)?.get(index as usize % PAGE)
    }

    /// The entry, if there is room for it already.
    #[inline]
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.pages.get_mut(index as usize / PAGE)?.get_mut(index as usize % PAGE)
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.pages.capacity() * size_of::<Box<[T; PAGE]>>() + self.pages.len() * PAGE * size_of::<T>()
    }
}

impl<T> std::ops::Index<u32> for Pages<T> {
    type Output = T;
    #[inline]
    fn index(&self, index: u32) -> &T {
        &self.pages[index as usize / PAGE][index as usize % PAGE]
    }
}

impl<T> std::ops::IndexMut<u32> for Pages<T> {
    #[inline]
    fn index_mut(&mut self, index: u32) -> &mut T {
        &mut self.pages[index as usize / PAGE][index as usize % PAGE]
    }
}

/// A slot: somebody's, or the next free one.
#[derive(Debug)]
enum Slot<T> {
    Taken(T),
    Free(u32),
}

/// A table of slots with stable numbers; a freed number is used again, the last freed first.
#[derive(Debug)]
pub struct Slots<T> {
    entries: Pages<Slot<T>>,
    /// Head of the list of free slots, or `NIL`.
    free: u32,
    /// Slots that have ever been used: all of a number below it.
    used: u32,
    len: u32,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { entries: Pages::default(), free: NIL, used: 0, len: 0 }
    }
}

impl<T> Slots<T> {
    /// Bytes of a slot.
    pub const SLOT_BYTES: usize = size_of::<Slot<T>>();

    /// Slots taken.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether no slot is taken.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes a free slot.
    pub fn insert(&mut self, value: T) -> u32 {
        self.len += 1;
        let index = self.free;
        if index == NIL {
            let index = self.used;
            self.entries.reserve(index, || Slot::Free(NIL));
            self.entries[index] = Slot::Taken(value);
            self.used += 1;
            return index;
        }
        if let Slot::Free(next) = std::mem::replace(&mut self.entries[index], Slot::Taken(value)) {
            self.free = next;
        }
        index
    }

    /// Frees a slot and gives back what it held.
    pub fn remove(&mut self, index: u32) -> Option<T> {
        let slot = self.entries.get_mut(index).filter(|slot| matches!(slot, Slot::Taken(_)))?;
        let Slot::Taken(value) = std::mem::replace(slot, Slot::Free(self.free)) else { return None };
        self.free = index;
        self.len -= 1;
        Some(value)
    }

    /// What the slot holds.
    #[inline]
    pub fn get(&self, index: u32) -> Option<&T> {
        match self.entries.get(index) {
            Some(Slot::Taken(value)) => Some(value),
            _ => None,
        }
    }

    /// What the slot holds.
    #[inline]
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        match self.entries.get_mut(index) {
            Some(Slot::Taken(value)) => Some(value),
            _ => None,
        }
    }

    /// One past the highest slot that was ever taken: bounds a walk over all slots.
    pub fn end(&self) -> u32 {
        self.used
    }

    /// Bytes on the heap, without what the entries themselves point to.
    pub fn heap_bytes(&self) -> usize {
        self.entries.heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freed_slot_is_used_again_and_others_stay_where_they_are() {
        let mut slots = Slots::default();
        let numbers: Vec<u32> = (0..1000).map(|value| slots.insert(value)).collect();
        assert_eq!(slots.remove(numbers[300]), Some(300));
        assert_eq!(slots.remove(numbers[300]), None);
        assert_eq!(slots.get(numbers[999]), Some(&999));
        assert_eq!(slots.len(), 999);
        assert_eq!(slots.insert(7), numbers[300]);
        assert_eq!(slots.get(5000), None);
    }
}
