//! Step 3 of 6: the shelves of the waiting room.
//!
//! In: what people who wait have in common. Out: the shelf on which they stand. Shelves exist while somebody stands on them,
//! but for those of people without wishes, which need no table. Among millions every shelf is a place in memory that no cache
//! holds, so several are looked up together ([`Shelves::fetch`]), and a shelf is half a cache line.

use std::cell::Cell;
use std::hint::black_box;
use std::ops::ControlFlow;

use super::few::Few;
use super::index::Index;
use super::interests::{InterestId, Keyed, Lang};
use super::io::Time;
use super::pages::{NIL, Slots};
use super::pairing::{Mode, Seeker, Wants};

/// What people on a shelf have in common besides mode and tongue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    /// Any stranger is welcome: no interest was named.
    Open,
    /// Any stranger is welcome by now: interests were named, but the wait has been long.
    Relaxed,
    /// This interest was named.
    Interest(InterestId),
}

/// Which language people on a shelf speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tongue {
    /// Everybody of the topic, for a searcher who named no language.
    All,
    /// Those who named none, and so accept everyone's.
    Unnamed,
    /// Those who named some, but by now accept everybody who does so too.
    Relaxed,
    /// Those who named this one.
    Named(Lang),
}

/// Kinds of topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Open,
    Relaxed,
    Interest,
}

/// Kinds of tongues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    All,
    Unnamed,
    Relaxed,
    Named,
}

/// What a shelf is for, in 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShelfKey {
    /// Of [`Tongue::Named`], else 0.
    lang: Lang,
    /// Of [`Topic::Interest`], else 0.
    interest: InterestId,
    mode: Mode,
    about: About,
    speaks: Speaks,
}

impl Default for ShelfKey {
    fn default() -> Self {
        Self::new(Mode::Text, Topic::Open, Tongue::All)
    }
}

impl ShelfKey {
    #[inline]
    pub(super) fn new(mode: Mode, topic: Topic, tongue: Tongue) -> Self {
        let (about, interest) = match topic {
            Topic::Open => (About::Open, InterestId(0)),
            Topic::Relaxed => (About::Relaxed, InterestId(0)),
            Topic::Interest(interest) => (About::Interest, interest),
        };
        let (speaks, lang) = match tongue {
            Tongue::All => (Speaks::All, Lang(0)),
            Tongue::Unnamed => (Speaks::Unnamed, Lang(0)),
            Tongue::Relaxed => (Speaks::Relaxed, Lang(0)),
            Tongue::Named(lang) => (Speaks::Named, lang),
        };
        Self { lang, interest, mode, about, speaks }
    }

    /// Whether its people have named an interest in common.
    #[inline]
    pub(super) fn names_interest(self) -> bool {
        self.about == About::Interest
    }

    /// The fixed number of a shelf that is always there.
    #[inline]
    pub(super) fn plain(self) -> Option<u32> {
        let topic = match self.about {
            About::Open => 0,
            About::Relaxed => 2,
            About::Interest => return None,
        };
        let tongue = match self.speaks {
            Speaks::All => 0,
            Speaks::Unnamed => 1,
            Speaks::Relaxed | Speaks::Named => return None,
        };
        Some(4 * self.mode as u32 + topic + tongue)
    }

    /// What is hashed.
    #[inline]
    fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.lang.0.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.interest.0.to_le_bytes());
        bytes[12..15].copy_from_slice(&[self.mode as u8, self.about as u8, self.speaks as u8]);
        bytes
    }
}

/// The shelves that somebody stands on from the first.
#[inline]
pub(super) fn stood_on(mode: Mode, strict: bool, wants: &Wants, mut each: impl FnMut(ShelfKey)) {
    for &interest in &*wants.interests {
        with_own_tongues(mode, Topic::Interest(interest), &wants.langs, &mut each);
    }
    if wants.interests.is_empty() && !strict {
        with_own_tongues(mode, Topic::Open, &wants.langs, &mut each);
    }
}

/// The shelves that somebody who is not strict stands on as well after a long wait.
pub(super) fn stood_on_later(mode: Mode, wants: &Wants, mut each: impl FnMut(ShelfKey)) {
    let Wants { interests, langs } = wants;
    if !interests.is_empty() {
        with_own_tongues(mode, Topic::Relaxed, langs, &mut each);
    }
    if !langs.is_empty() {
        let last = if interests.is_empty() { Topic::Open } else { Topic::Relaxed };
        let topics = interests.iter().copied().map(Topic::Interest).chain([last]);
        topics.for_each(|topic| each(ShelfKey::new(mode, topic, Tongue::Relaxed)));
    }
}

#[inline]
fn with_own_tongues(mode: Mode, topic: Topic, langs: &[Lang], each: &mut impl FnMut(ShelfKey)) {
    each(ShelfKey::new(mode, topic, Tongue::All));
    for &lang in langs {
        each(ShelfKey::new(mode, topic, Tongue::Named(lang)));
    }
    if langs.is_empty() {
        each(ShelfKey::new(mode, topic, Tongue::Unnamed));
    }
}

/// The shelves on which everybody fits somebody by interest and language, until `each` breaks.
#[inline]
pub(super) fn looked_at(
    seeker: &Seeker,
    now: Time,
    mut each: impl FnMut(ShelfKey) -> ControlFlow<()>,
) -> ControlFlow<()> {
    for &interest in seeker.interests() {
        with_tongues_that_fit(seeker, now, Topic::Interest(interest), &mut each)?;
    }
    if seeker.open(now) {
        with_tongues_that_fit(seeker, now, Topic::Open, &mut each)?;
        with_tongues_that_fit(seeker, now, Topic::Relaxed, &mut each)?;
    }
    ControlFlow::Continue(())
}

#[inline]
fn with_tongues_that_fit(
    seeker: &Seeker,
    now: Time,
    topic: Topic,
    each: &mut impl FnMut(ShelfKey) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let langs = seeker.langs();
    let any = if langs.is_empty() { Tongue::All } else { Tongue::Unnamed };
    each(ShelfKey::new(seeker.mode, topic, any))?;
    for &lang in langs {
        each(ShelfKey::new(seeker.mode, topic, Tongue::Named(lang)))?;
    }
    if !langs.is_empty() && seeker.relaxed(now) {
        each(ShelfKey::new(seeker.mode, topic, Tongue::Relaxed))?;
    }
    ControlFlow::Continue(())
}

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
    fn new(key: ShelfKey, hash: u32) -> Self {
        Self { key, head: NIL, tail: NIL, cursor: Cell::new(NIL), hash }
    }
}

/// A shelf that is looked for.
#[derive(Clone, Copy, Default)]
pub(super) struct Wanted {
    key: ShelfKey,
    hash: u32,
}

/// Shelves that are looked for at a time. Most people have no more.
pub(super) const BATCH: usize = 8;

/// Shelves that are looked for together.
pub(super) type Batch = Few<Wanted, BATCH>;

/// The shelves of a room.
#[derive(Debug)]
pub(super) struct Shelves {
    table: Slots<Shelf>,
    /// Shelves by key, without the plain ones.
    index: Index,
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
                    let number = table.insert(Shelf::new(key, 0));
                    debug_assert_eq!(key.plain(), Some(number));
                }
            }
        }
        Self { table, index: Index::new(key) }
    }

    /// A shelf to look for.
    #[inline]
    pub(super) fn want(&self, key: ShelfKey) -> Wanted {
        Wanted { key, hash: self.index.hash_bytes(&key.bytes()) }
    }

    /// The numbers of these shelves; [`NIL`] where nobody stands.
    #[inline]
    pub(super) fn find_all(&self, batch: &Batch) -> [u32; BATCH] {
        batch.iter().for_each(|wanted| self.index.fetch(wanted.hash));
        let mut numbers = [NIL; BATCH];
        for (number, wanted) in numbers.iter_mut().zip(batch.iter()) {
            *number = wanted.key.plain().or_else(|| self.find(wanted)).unwrap_or(NIL);
        }
        numbers
    }

    fn find(&self, wanted: &Wanted) -> Option<u32> {
        self.index.get(wanted.hash, |number| self.get(number).is_some_and(|shelf| shelf.key == wanted.key))
    }

    /// A shelf that was not found: made.
    pub(super) fn make(&mut self, wanted: Wanted) -> u32 {
        let number = self.table.insert(Shelf::new(wanted.key, wanted.hash));
        self.index.insert(wanted.hash, number);
        number
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
            self.index.remove(shelf.hash, number);
        }
    }

    /// Shelves and entries of the index beside the plain ones: none in an empty room.
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

    #[test]
    fn keys_are_told_apart_by_everything_that_they_say() {
        let index = Index::new(Keyed(1, 2));
        let topics =
            [Topic::Open, Topic::Relaxed, Topic::Interest(InterestId(0)), Topic::Interest(InterestId(1))];
        let tongues =
            [Tongue::All, Tongue::Unnamed, Tongue::Relaxed, Tongue::Named(Lang(0)), Tongue::Named(Lang(1))];
        let mut hashes = Vec::new();
        for mode in [Mode::Text, Mode::Video] {
            for topic in topics {
                hashes.extend(
                    tongues.map(|tongue| index.hash_bytes(&ShelfKey::new(mode, topic, tongue).bytes())),
                );
            }
        }
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 40);
    }
}
