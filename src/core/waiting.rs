//! Step 3 of 6: the waiting room.
//!
//! In: people who wait. Out: the best stranger for one of them. Who waits stands on *shelves*, one for every mode,
//! topic and tongue, each a doubly linked list with the longest waiting first. The topics of a person are their
//! interests, or "open" if any stranger is welcome; their tongues are their languages. A search looks only at shelves on
//! which everybody fits by interest and language, so that only blocked and recent strangers are looked at in vain.
//!
//! Joining, leaving and searching cost the same however many wait: a person stands on at most
//! 11 topics × 7 tongues, and a search looks at no more than [`CANDIDATES`] people.

use std::cell::Cell;

use super::index::Index;
use super::interests::{InterestId, Keyed, Lang};
use super::io::Time;
use super::pages::{NIL, Slots};
use super::pairing::{Mode, Seeker, fits};
use crate::limits::CANDIDATES;

/// What people on a shelf have in common besides mode and tongue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Topic {
    /// Any stranger is welcome: no interest was named.
    Open,
    /// Any stranger is welcome by now: interests were named, but the wait has been long.
    Relaxed,
    /// This interest was named.
    Interest(InterestId),
}

/// Which language people on a shelf speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Tongue {
    /// Everybody of the topic, for a searcher who named no language.
    All,
    /// Those who named none, and so accept everyone's.
    Unnamed,
    /// Those who named some, but by now accept everybody who does so too.
    Relaxed,
    /// Those who named this one.
    Named(Lang),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ShelfKey {
    mode: Mode,
    topic: Topic,
    tongue: Tongue,
}

#[derive(Debug)]
struct Shelf {
    key: ShelfKey,
    head: u32,
    tail: u32,
    /// Where a search that was cut goes on.
    cursor: Cell<u32>,
}

/// A place on a shelf.
#[derive(Debug)]
struct Place {
    ticket: u32,
    shelf: u32,
    next: u32,
    prev: u32,
    /// The same person's place on another shelf.
    other: u32,
}

#[derive(Debug)]
struct Entry {
    seeker: Seeker,
    /// The first of their places.
    places: u32,
    relaxed: bool,
}

/// What a search found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// The ticket of the best stranger.
    pub best: Option<u32>,
    /// Whether there were more to look at.
    pub cut: bool,
}

/// Everybody who waits on a shard, or who is offered at a rendezvous.
#[derive(Debug)]
pub struct Room {
    entries: Slots<Entry>,
    places: Slots<Place>,
    shelves: Slots<Shelf>,
    /// Shelves by key, without the plain ones.
    index: Index,
    /// People by mode.
    people: [usize; 2],
}

/// Shelves that are always there, so that people without wishes need no table: see [`plain`].
const PLAIN: [ShelfKey; 4] = [
    ShelfKey { mode: Mode::Text, topic: Topic::Open, tongue: Tongue::All },
    ShelfKey { mode: Mode::Text, topic: Topic::Open, tongue: Tongue::Unnamed },
    ShelfKey { mode: Mode::Video, topic: Topic::Open, tongue: Tongue::All },
    ShelfKey { mode: Mode::Video, topic: Topic::Open, tongue: Tongue::Unnamed },
];

/// The fixed number of a plain shelf.
#[inline]
fn plain(key: ShelfKey) -> Option<u32> {
    match (key.topic, key.tongue) {
        (Topic::Open, Tongue::All) => Some(2 * key.mode as u32),
        (Topic::Open, Tongue::Unnamed) => Some(2 * key.mode as u32 + 1),
        _ => None,
    }
}

impl Room {
    /// An empty room; `key` keeps clients from choosing languages that collide.
    pub fn new(key: Keyed) -> Self {
        let mut shelves = Slots::default();
        for key in PLAIN {
            shelves.insert(Shelf { key, head: NIL, tail: NIL, cursor: Cell::new(NIL) });
        }
        Self {
            entries: Slots::default(),
            places: Slots::default(),
            shelves,
            index: Index::new(key),
            people: [0; 2],
        }
    }

    /// People in the room.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// People of one mode in the room.
    pub fn people(&self, mode: Mode) -> usize {
        self.people[mode as usize]
    }

    /// Whether nobody is there.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Who holds a ticket.
    pub fn get(&self, ticket: u32) -> Option<&Seeker> {
        self.entries.get(ticket).map(|entry| &entry.seeker)
    }

    /// The best stranger for the holder of a ticket.
    pub fn search_for(&self, ticket: u32, now: Time, resume: bool) -> Search {
        self.get(ticket).map_or_else(Search::default, |seeker| self.search(seeker, now, resume, |_| true))
    }

    /// Who holds a ticket. What decides the shelves (mode, strictness, wishes) must stay as it is.
    pub fn get_mut(&mut self, ticket: u32) -> Option<&mut Seeker> {
        self.entries.get_mut(ticket).map(|entry| &mut entry.seeker)
    }

    /// One past the highest ticket: bounds a walk over all.
    pub fn end(&self) -> u32 {
        self.entries.end()
    }

    /// Somebody begins to wait, behind all who are there.
    pub fn join(&mut self, seeker: Seeker, now: Time) -> u32 {
        let open = seeker.interests().is_empty() && !seeker.strict;
        let relaxed = seeker.relaxed(now);
        self.people[seeker.mode as usize] += 1;
        let ticket = self.entries.insert(Entry { seeker, places: NIL, relaxed: false });
        if open {
            self.stand(ticket, Topic::Open);
        }
        for at in 0.. {
            let Some(&interest) = self.entries.get(ticket).and_then(|entry| entry.seeker.interests().get(at))
            else {
                break;
            };
            self.stand(ticket, Topic::Interest(interest));
        }
        if relaxed {
            self.relax(ticket);
        }
        ticket
    }

    /// Somebody leaves.
    pub fn leave(&mut self, ticket: u32) -> Option<Seeker> {
        let entry = self.entries.remove(ticket)?;
        self.people[entry.seeker.mode as usize] -= 1;
        let mut at = entry.places;
        while let Some(place) = self.places.remove(at) {
            self.unlink(at, &place);
            at = place.other;
        }
        Some(entry.seeker)
    }

    /// Somebody who is not strict has waited long: puts them on the shelves of those who take anybody.
    pub fn relax(&mut self, ticket: u32) {
        let Some(entry) = self.entries.get_mut(ticket) else { return };
        if entry.seeker.strict || std::mem::replace(&mut entry.relaxed, true) {
            return;
        }
        let (mode, speaks) = (entry.seeker.mode, !entry.seeker.langs().is_empty());
        let mut topics: Vec<Topic> = entry.seeker.interests().iter().copied().map(Topic::Interest).collect();
        if topics.is_empty() {
            topics.push(Topic::Open);
        } else {
            self.stand(ticket, Topic::Relaxed);
            topics.push(Topic::Relaxed);
        }
        for topic in topics.into_iter().filter(|_| speaks) {
            self.link(ticket, ShelfKey { mode, topic, tongue: Tongue::Relaxed });
        }
    }

    /// The best stranger for somebody who waits or begins to: most shared interests, then the longest waiting. `resume` goes on
    /// where an earlier search was cut. `accept` can refuse more people than the rules do.
    pub fn search(
        &self,
        seeker: &Seeker,
        now: Time,
        resume: bool,
        accept: impl Fn(&Seeker) -> bool,
    ) -> Search {
        let mut look = Look { left: CANDIDATES, best: None, cut: false };
        let open = [Topic::Open, Topic::Relaxed].into_iter().filter(|_| seeker.open(now));
        'topics: for topic in seeker.interests().iter().copied().map(Topic::Interest).chain(open) {
            let named = !seeker.langs().is_empty();
            let first = if named { Tongue::Unnamed } else { Tongue::All };
            let relaxed = (named && seeker.relaxed(now)).then_some(Tongue::Relaxed);
            let langs = seeker.langs().iter().copied().map(Tongue::Named);
            for tongue in std::iter::once(first).chain(langs).chain(relaxed) {
                let key = ShelfKey { mode: seeker.mode, topic, tongue };
                let Some(shelf) = self.find_shelf(key) else { continue };
                self.look(seeker, shelf, now, resume, &accept, &mut look);
                if look.left == 0 && look.cut {
                    break 'topics;
                }
            }
        }
        Search { best: look.best.map(|best| best.ticket), cut: look.cut }
    }

    /// Looks along a shelf. Where nobody further back can be better the first who fits is enough.
    fn look(
        &self,
        seeker: &Seeker,
        number: u32,
        now: Time,
        resume: bool,
        accept: &impl Fn(&Seeker) -> bool,
        look: &mut Look,
    ) {
        let Some(shelf) = self.shelves.get(number) else { return };
        let most = if matches!(shelf.key.topic, Topic::Interest(_)) { seeker.interests().len() } else { 0 };
        let resumed = resume && shelf.cursor.get() != NIL;
        let mut at = if resumed { shelf.cursor.replace(NIL) } else { shelf.head };
        // Who stands before the cursor was looked at in an earlier go, and has a turn again in the next.
        look.cut |= resumed;
        while let Some(place) = self.places.get(at) {
            if look.left == 0 {
                look.cut = true;
                shelf.cursor.set(at);
                return;
            }
            look.left -= 1;
            let fit = self.get(place.ticket).filter(|other| accept(other));
            if let Some(other) = fit
                && let Some(shared) = fits(seeker, other, now)
            {
                let found = Found { shared, since: other.since, ticket: place.ticket };
                if look.best.is_none_or(|best| found.beats(best)) {
                    look.best = Some(found);
                }
                if shared >= most {
                    return;
                }
            }
            at = place.next;
        }
    }

    /// Puts somebody on the shelves of a topic, one for each of their tongues.
    fn stand(&mut self, ticket: u32, topic: Topic) {
        let Some(entry) = self.entries.get(ticket) else { return };
        let mode = entry.seeker.mode;
        self.link(ticket, ShelfKey { mode, topic, tongue: Tongue::All });
        for at in 0.. {
            let langs = self.entries.get(ticket).map_or(&[][..], |entry| entry.seeker.langs());
            let tongue = match langs.get(at) {
                Some(&lang) => Tongue::Named(lang),
                None if at == 0 => Tongue::Unnamed,
                None => break,
            };
            self.link(ticket, ShelfKey { mode, topic, tongue });
        }
    }

    fn link(&mut self, ticket: u32, key: ShelfKey) {
        let number = self.shelf(key);
        let (Some(entry), Some(shelf)) = (self.entries.get_mut(ticket), self.shelves.get_mut(number)) else {
            return;
        };
        let place = Place { ticket, shelf: number, next: NIL, prev: shelf.tail, other: entry.places };
        let at = self.places.insert(place);
        entry.places = at;
        match self.places.get_mut(shelf.tail) {
            Some(last) => last.next = at,
            None => shelf.head = at,
        }
        shelf.tail = at;
    }

    /// The shelf of this key, if somebody stands there.
    fn find_shelf(&self, key: ShelfKey) -> Option<u32> {
        plain(key).or_else(|| self.find_hashed(self.index.hash(&key), key))
    }

    fn find_hashed(&self, hash: u32, key: ShelfKey) -> Option<u32> {
        self.index.get(hash, |number| self.shelves.get(number).is_some_and(|shelf| shelf.key == key))
    }

    /// The shelf of this key, made if it is not there.
    fn shelf(&mut self, key: ShelfKey) -> u32 {
        if let Some(number) = plain(key) {
            return number;
        }
        let hash = self.index.hash(&key);
        if let Some(number) = self.find_hashed(hash, key) {
            return number;
        }
        let number = self.shelves.insert(Shelf { key, head: NIL, tail: NIL, cursor: Cell::new(NIL) });
        self.index.insert(hash, number);
        number
    }

    /// Takes a place that has been removed out of its shelf; the last one takes the shelf with it.
    fn unlink(&mut self, at: u32, place: &Place) {
        let Some(shelf) = self.shelves.get_mut(place.shelf) else { return };
        if shelf.cursor.get() == at {
            shelf.cursor.set(place.next);
        }
        match self.places.get_mut(place.prev) {
            Some(before) => before.next = place.next,
            None => shelf.head = place.next,
        }
        match self.places.get_mut(place.next) {
            Some(after) => after.prev = place.prev,
            None => shelf.tail = place.prev,
        }
        if shelf.head == NIL && place.shelf >= PLAIN.len() as u32 {
            let hash = self.index.hash(&shelf.key);
            self.index.remove(hash, place.shelf);
            self.shelves.remove(place.shelf);
        }
    }

    /// Bytes on the heap for the room itself, without wishes and acquaintances.
    pub fn heap_bytes(&self) -> usize {
        let tables = self.shelves.heap_bytes() + self.index.heap_bytes();
        self.entries.heap_bytes() + self.places.heap_bytes() + tables
    }

    /// Places and shelves in use: none in an empty room.
    pub fn places(&self) -> usize {
        self.places.len() + self.shelves.len() - PLAIN.len() + self.index.len()
    }
}

/// A search under way.
struct Look {
    left: usize,
    best: Option<Found>,
    cut: bool,
}

#[derive(Clone, Copy)]
struct Found {
    shared: usize,
    since: Time,
    ticket: u32,
}

impl Found {
    fn beats(self, other: Self) -> bool {
        self.shared > other.shared || (self.shared == other.shared && self.since < other.since)
    }
}

#[cfg(test)]
#[path = "waiting_tests.rs"]
mod tests;
