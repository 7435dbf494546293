//! A table that grows by pages: nothing is copied when it grows, and an entry takes its own size and no more.
//!
//! A connection is a little over 6 KiB, which an allocator's next size class would round up to 7.

/// Entries of one page.
const PAGE: usize = 32;

/// The table. Its owner decides which places are used.
pub struct Pages<T> {
    pages: Vec<Box<[Option<T>]>>,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self { pages: Vec::new() }
    }
}

impl<T> Pages<T> {
    /// Puts an entry in its place.
    pub fn insert(&mut self, index: u32, entry: T) {
        let (page, place) = split(index);
        while self.pages.len() <= page {
            self.pages.push((0..PAGE).map(|_| None).collect());
        }
        self.pages[page][place] = Some(entry);
    }

    /// The entry of a place.
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        let (page, place) = split(index);
        self.pages.get_mut(page)?[place].as_mut()
    }

    /// Empties a place.
    pub fn remove(&mut self, index: u32) {
        let (page, place) = split(index);
        if let Some(page) = self.pages.get_mut(page) {
            page[place] = None;
        }
    }
}

fn split(index: u32) -> (usize, usize) {
    (index as usize / PAGE, index as usize % PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_keep_their_place_while_the_table_grows() {
        let mut pages = Pages::default();
        for index in (0..200).rev() {
            pages.insert(index, index * 2);
        }
        assert_eq!(pages.get_mut(150), Some(&mut 300));
        pages.remove(150);
        assert_eq!(pages.get_mut(150), None);
        assert_eq!(pages.get_mut(10_000), None);
        pages.remove(10_000);
    }
}
