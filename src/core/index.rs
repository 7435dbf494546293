//! Steps 3 and 4 of 6: a hash index that grows without a pause.
//!
//! In: hashes and the numbers they lead to. Out: the number whose key a caller recognises. A table that doubles moves all
//! of its entries in one call, and at millions of entries everybody on the shard waits for it. This one grows by one bucket
//! at each insertion that needs it, and moves the few entries of one other bucket (linear hashing, Litwin 1980).

use std::hash::{BuildHasher as _, Hash};

use super::interests::Keyed;
use super::pages::{NIL, Pages, Slots};

#[derive(Debug)]
struct Node {
    hash: u32,
    value: u32,
    next: u32,
}

/// Numbers by hash. The keys themselves are kept by the caller.
#[derive(Debug)]
pub struct Index {
    hasher: Keyed,
    /// Heads of the lists of nodes.
    buckets: Pages<u32>,
    /// Buckets in use, at least one.
    count: u32,
    nodes: Slots<Node>,
}

impl Index {
    /// An empty one; the key of the hash keeps clients from choosing what collides.
    pub fn new(hasher: Keyed) -> Self {
        let mut buckets = Pages::default();
        buckets.reserve(0, || NIL);
        Self { hasher, buckets, count: 1, nodes: Slots::default() }
    }

    /// The hash of a key.
    pub fn hash<T: Hash + ?Sized>(&self, key: &T) -> u32 {
        self.hasher.hash_one(key) as u32
    }

    /// The number under a hash that `is` recognises.
    pub fn get(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = self.buckets[self.bucket(hash)];
        while let Some(node) = self.nodes.get(at) {
            if node.hash == hash && is(node.value) {
                return Some(node.value);
            }
            at = node.next;
        }
        None
    }

    /// Adds a number that is not there.
    pub fn insert(&mut self, hash: u32, value: u32) {
        // A bucket for each entry: a lookup walks past one or two.
        if self.nodes.len() >= self.count as usize {
            self.grow();
        }
        let bucket = self.bucket(hash);
        self.buckets[bucket] = self.nodes.insert(Node { hash, value, next: self.buckets[bucket] });
    }

    /// Takes a number out.
    pub fn remove(&mut self, hash: u32, value: u32) {
        let bucket = self.bucket(hash);
        let (mut before, mut at) = (NIL, self.buckets[bucket]);
        while let Some(node) = self.nodes.get(at) {
            let next = node.next;
            if node.value == value {
                match self.nodes.get_mut(before) {
                    Some(before) => before.next = next,
                    None => self.buckets[bucket] = next,
                }
                self.nodes.remove(at);
                return;
            }
            (before, at) = (at, next);
        }
    }

    /// Numbers in it.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.buckets.heap_bytes() + self.nodes.heap_bytes()
    }

    /// The bucket of a hash: by as many low bits as there are buckets for, else by one less.
    fn bucket(&self, hash: u32) -> u32 {
        let size = self.count.next_power_of_two();
        let bucket = hash & (size - 1);
        if bucket < self.count { bucket } else { bucket & (size / 2 - 1) }
    }

    /// Adds a bucket, and moves into it what belongs there: all of it is in the bucket that had its place.
    fn grow(&mut self) {
        let new = self.count;
        let old = new - (new + 1).next_power_of_two() / 2;
        self.buckets.reserve(new, || NIL);
        self.count += 1;
        let mut at = std::mem::replace(&mut self.buckets[old], NIL);
        while let Some(node) = self.nodes.get(at) {
            let (hash, next) = (node.hash, node.next);
            let bucket = self.bucket(hash);
            let head = std::mem::replace(&mut self.buckets[bucket], at);
            if let Some(node) = self.nodes.get_mut(at) {
                node.next = head;
            }
            at = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Index {
        fn chain(&self, bucket: u32) -> usize {
            std::iter::successors(self.nodes.get(self.buckets[bucket]), |node| self.nodes.get(node.next))
                .count()
        }
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
        assert!(longest.is_some_and(|longest| longest <= 24), "{longest:?} in {} buckets", index.count);
        for value in 0..20_000_u32 {
            let hash = index.hash(&(value - value % 3));
            assert_eq!(index.get(hash, |found| found == value), (value >= 10_000).then_some(value));
        }
    }
}
