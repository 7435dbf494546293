//! Storage of steps 3 and 4 of 6: a short list that lies where its owner lies.
//!
//! What a person names is at most ten interests and five languages. In a list of its own on the heap each would cost
//! an allocation, and whoever compares two people who wait would fetch it from memory once more.

use std::fmt;
use std::ops::Deref;

/// Up to `N` items, in order.
#[derive(Clone, Copy)]
pub struct Few<T, const N: usize> {
    items: [T; N],
    /// At most `N`.
    len: u8,
}

impl<T: Copy + Default, const N: usize> Few<T, N> {
    /// Adds an item, if there is room.
    #[inline]
    pub fn push(&mut self, item: T) {
        if let Some(place) = self.items.get_mut(usize::from(self.len)) {
            *place = item;
            self.len += 1;
        }
    }

    /// Takes all items out.
    #[inline]
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// The first `N` of these items.
    pub fn of(items: impl IntoIterator<Item = T>) -> Self {
        let mut few = Self::default();
        items.into_iter().take(N).for_each(|item| few.push(item));
        few
    }
}

impl<T: Copy + Default + Ord, const N: usize> Few<T, N> {
    /// The first `N` of these items, sorted.
    pub fn sorted(items: impl IntoIterator<Item = T>) -> Self {
        let mut few = Self::of(items);
        few.items[..usize::from(few.len)].sort_unstable();
        few
    }
}

impl<T: Copy + Default, const N: usize> Default for Few<T, N> {
    fn default() -> Self {
        const { assert!(N <= u8::MAX as usize) };
        Self { items: [T::default(); N], len: 0 }
    }
}

impl<T, const N: usize> Deref for Few<T, N> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        self.items.get(..usize::from(self.len)).unwrap_or(&self.items)
    }
}

impl<T: PartialEq, const N: usize> PartialEq for Few<T, N> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq, const N: usize> Eq for Few<T, N> {}

impl<T: fmt::Debug, const N: usize> fmt::Debug for Few<T, N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_what_was_put_in_and_no_more_than_there_is_room_for() {
        let few = Few::<u32, 3>::of([5, 6]);
        assert_eq!((&*few, few == Few::of([5, 6]), few == Few::of([5])), (&[5, 6][..], true, false));
        assert_eq!(*Few::<u32, 3>::of(1..9), [1, 2, 3]);
        assert!(Few::<u32, 3>::default().is_empty());
    }
}
