//! Step 3 of 6: the waiting room.
//!
//! In: people who wait. Out: the best stranger for one of them. Who waits stands on *shelves*, one for every mode,
//! topic and tongue, each a doubly linked list with the longest waiting first. The topics of a person are their
//! interests, or "open" if any stranger is welcome; their tongues are their languages. A search (`search.rs`) looks only at shelves on
//! which everybody fits by interest and language, so that only blocked and recent strangers are looked at in vain.
//!
//! Joining, leaving and searching cost the same however many wait: a person stands on at most
//! 11 topics × 7 tongues, and a search looks at no more than 64 people. Among millions nothing of this is in a cache, so
//! whatever is on several shelves is fetched for all of them before the first is worked on: the waits for memory overlap.

use std::hint::black_box;

use super::interests::Keyed;
use super::io::Time;
use super::keys::{ShelfKey, Which, stood_on, stood_on_later};
use super::pages::{NIL, Slots};
use super::pairing::{Mode, Seeker, Wants};
use super::shelves::{BATCH, Batch, SHELF, Shelves, Wanted};

/// Places that lie in a person's entry: enough for two interests and a language.
const OWN: usize = 4;
/// Numbers of places from here on are in a table of their own; below, they are tickets times [`OWN`] and which of the person's.
/// All are below [`SHELF`].
const FURTHER: u32 = 1 << 30;

/// Somebody's place on a shelf.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// [`NIL`] if they have stood there alone from the first: then there is no such shelf, and the index leads here.
    shelf: u32,
    /// The place behind it; of who stands alone, [`Which`] of their shelves it is.
    pub(super) next: u32,
    /// The place before it; of who stands alone, the hash that they are under.
    prev: u32,
}

const NOWHERE: Place = Place { shelf: NIL, next: NIL, prev: NIL };

/// Somebody who waits: two cache lines. Their first places are here, so that whoever finds them on a shelf has them at once, and
/// together in one of the lines, with what tells whether the slot is taken: that one is all that those who stand next to them need.
#[derive(Debug)]
#[repr(C, align(64))]
struct Entry {
    /// The first `stands` of them are taken.
    own: [Place; OWN],
    /// The first of their other places.
    further: u32,
    stands: u8,
    relaxed: bool,
    seeker: Seeker,
}

impl Entry {
    /// One more place of this person's: its number.
    #[inline]
    fn take_place(&mut self, ticket: u32, place: Place, further: &mut Slots<Further>) -> u32 {
        if let Some(own) = self.own.get_mut(usize::from(self.stands)) {
            *own = place;
            self.stands += 1;
            return ticket * OWN as u32 + u32::from(self.stands) - 1;
        }
        self.further = FURTHER | further.insert(Further { place, ticket, other: self.further });
        self.further
    }
}

/// The place of somebody who has more than their entry holds.
#[derive(Debug)]
struct Further {
    place: Place,
    ticket: u32,
    /// Their next such place.
    other: u32,
}

/// Everybody who waits on a shard, or who is offered at a rendezvous.
#[derive(Debug)]
pub struct Room {
    entries: Slots<Entry>,
    further: Slots<Further>,
    pub(super) shelves: Shelves,
    /// People by mode.
    people: [usize; 2],
}

impl Room {
    /// An empty room; `key` keeps clients from choosing languages that collide.
    pub fn new(key: Keyed) -> Self {
        let shelves = Shelves::new(key);
        Self { entries: Slots::default(), further: Slots::default(), shelves, people: [0; 2] }
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
        let relaxed = seeker.relaxed(now);
        self.people[seeker.mode as usize] += 1;
        let entry = Entry { seeker, own: [NOWHERE; OWN], further: NIL, stands: 0, relaxed: false };
        let ticket = self.entries.insert(entry);
        debug_assert!(ticket < FURTHER / OWN as u32, "a quarter of a billion people would need 32 GiB");
        self.stand(ticket, false);
        if relaxed {
            self.relax(ticket);
        }
        ticket
    }

    /// Somebody leaves.
    pub fn leave(&mut self, ticket: u32) -> Option<Seeker> {
        let entry = self.entries.remove(ticket)?;
        self.people[entry.seeker.mode as usize] -= 1;
        let own = &entry.own[..usize::from(entry.stands)];
        if !entry.seeker.wants.is_empty() {
            // Whoever called gives the interests back.
            black_box(entry.seeker.interests().first());
            self.fetch_around(own);
        }
        for (at, place) in (ticket * OWN as u32..).zip(own) {
            self.unlink(at, *place);
        }
        let mut at = entry.further;
        while let Some(Further { place, other, .. }) = self.further.remove(at & !FURTHER) {
            self.unlink(at, place);
            at = other;
        }
        Some(entry.seeker)
    }

    /// Somebody who is not strict has waited long: puts them on the shelves of those who take anybody.
    pub fn relax(&mut self, ticket: u32) {
        let Some(entry) = self.entries.get_mut(ticket) else { return };
        let changes = !entry.seeker.strict && !entry.seeker.wants.is_empty();
        if !std::mem::replace(&mut entry.relaxed, true) && changes {
            self.stand(ticket, true);
        }
    }

    /// Puts somebody on their shelves, or on those of people who take anybody.
    fn stand(&mut self, ticket: u32, later: bool) {
        let Some(Entry { seeker, .. }) = self.entries.get_mut(ticket) else { return };
        let (mode, strict) = (seeker.mode, seeker.strict);
        if seeker.wants.is_empty() {
            return stood_on(strict, &Wants::default(), |which| {
                if let Some(number) = which.key(mode, &Wants::default()).and_then(ShelfKey::plain) {
                    self.link(ticket, number);
                }
            });
        }
        // Out of the table while others in it are changed.
        let wants = std::mem::take(&mut seeker.wants);
        let mut batch = Batch::default();
        let each = |which: Which| {
            if let Some(key) = which.key(mode, &wants) {
                batch.push(self.shelves.want(key, which));
            }
            if batch.len() == BATCH {
                self.link_all(ticket, &mut batch);
            }
        };
        if later {
            stood_on_later(&wants, each);
        } else {
            stood_on(strict, &wants, each);
        }
        self.link_all(ticket, &mut batch);
        if let Some(entry) = self.entries.get_mut(ticket) {
            entry.seeker.wants = wants;
        }
    }

    /// Puts somebody behind all on each of these shelves, none of which comes twice.
    fn link_all(&mut self, ticket: u32, batch: &mut Batch) {
        let found = self.find_all(batch);
        for shelf in found[..batch.len()].iter().filter_map(|at| self.shelves.at(*at)) {
            black_box(self.place(shelf.tail).is_some());
        }
        for (wanted, at) in batch.iter().zip(found) {
            match at {
                NIL => self.stand_alone(ticket, wanted),
                SHELF.. => self.link(ticket, at & !SHELF),
                only => {
                    let number = self.shelves.make(wanted, only);
                    if let Some(only) = self.place_mut(only) {
                        *only = Place { shelf: number, ..NOWHERE };
                    }
                    self.link(ticket, number);
                }
            }
        }
        batch.clear();
    }

    /// What the index leads to for each of these shelves: from [`SHELF`] on a shelf, else the place of somebody who stands there
    /// alone; [`NIL`] where nobody stands.
    #[inline]
    pub(super) fn find_all(&self, batch: &Batch) -> [u32; BATCH] {
        batch.iter().for_each(|wanted| self.shelves.index.fetch(wanted.hash));
        let mut found = [NIL; BATCH];
        for (at, wanted) in found.iter_mut().zip(batch.iter()) {
            *at = self.shelves.find(wanted, |_| true).unwrap_or(NIL);
            self.fetch(*at);
        }
        for (at, wanted) in found.iter_mut().zip(batch.iter()) {
            // Hardly ever: under the hash of another.
            if *at != NIL && !self.is_for(*at, wanted.key) {
                *at = self.shelves.find(wanted, |at| self.is_for(at, wanted.key)).unwrap_or(NIL);
            }
        }
        found
    }

    /// Whether the index leads here for a key.
    #[inline]
    fn is_for(&self, at: u32, key: ShelfKey) -> bool {
        if at >= SHELF {
            return self.shelves.at(at).is_some_and(|shelf| shelf.key == key);
        }
        let Some((ticket, place)) = self.place(at) else { return false };
        self.get(ticket).and_then(|only| Which(place.next).key(only.mode, &only.wants)) == Some(key)
    }

    /// Begins to fetch what the index leads to.
    #[inline]
    fn fetch(&self, at: u32) {
        if at >= SHELF {
            black_box(self.shelves.at(at).is_some());
        } else if let Some((ticket, place)) = self.place(at) {
            // An entry is two lines.
            black_box((place.next, self.entries.get(ticket).map(|entry| entry.seeker.mode)));
        }
    }

    /// Puts somebody where nobody stands.
    fn stand_alone(&mut self, ticket: u32, wanted: &Wanted) {
        let Some(entry) = self.entries.get_mut(ticket) else { return };
        let place = Place { shelf: NIL, next: wanted.which.0, prev: wanted.hash };
        let at = entry.take_place(ticket, place, &mut self.further);
        self.shelves.index.insert(wanted.hash, at);
    }

    /// Puts somebody behind all on a shelf.
    fn link(&mut self, ticket: u32, number: u32) {
        let (Some(entry), Some(shelf)) = (self.entries.get_mut(ticket), self.shelves.get_mut(number)) else {
            return;
        };
        let place = Place { shelf: number, next: NIL, prev: shelf.tail };
        let at = entry.take_place(ticket, place, &mut self.further);
        let last = std::mem::replace(&mut shelf.tail, at);
        if last == NIL {
            shelf.head = at;
        } else if let Some(last) = self.place_mut(last) {
            last.next = at;
        }
    }

    /// Takes a place that is no longer in its table out of its shelf; the last one takes the shelf with it.
    fn unlink(&mut self, at: u32, place: Place) {
        if place.shelf == NIL {
            return self.shelves.index.remove(place.prev, at);
        }
        let Some(shelf) = self.shelves.get_mut(place.shelf) else { return };
        if shelf.cursor.get() == at {
            shelf.cursor.set(place.next);
        }
        if place.prev == NIL {
            shelf.head = place.next;
        }
        if place.next == NIL {
            shelf.tail = place.prev;
        }
        if shelf.head == NIL {
            return self.shelves.clear_away(place.shelf);
        }
        if let Some(before) = self.place_mut(place.prev) {
            before.next = place.next;
        }
        if let Some(after) = self.place_mut(place.next) {
            after.prev = place.prev;
        }
    }

    /// Whose place it is, and the place.
    #[inline]
    pub(super) fn place(&self, at: u32) -> Option<(u32, &Place)> {
        if at < FURTHER {
            let (ticket, which) = (at / OWN as u32, at as usize % OWN);
            return self.entries.get(ticket).map(|entry| (ticket, &entry.own[which]));
        }
        self.further.get(at & !FURTHER).map(|further| (further.ticket, &further.place))
    }

    #[inline]
    fn place_mut(&mut self, at: u32) -> Option<&mut Place> {
        if at < FURTHER {
            return self.entries.get_mut(at / OWN as u32).map(|entry| &mut entry.own[at as usize % OWN]);
        }
        self.further.get_mut(at & !FURTHER).map(|further| &mut further.place)
    }

    /// Begins to fetch what taking these places out will look at: where the index has who stands alone; else their shelves, whoever
    /// stands before and behind, and where the index has the shelves that end with them.
    fn fetch_around(&self, places: &[Place]) {
        for place in places {
            if place.shelf == NIL {
                self.shelves.index.fetch(place.prev);
                continue;
            }
            self.shelves.fetch(place.shelf);
            black_box((self.place(place.prev).is_some(), self.place(place.next).is_some()));
        }
        for place in places {
            self.shelves.fetch_last(place.shelf);
        }
    }

    /// Bytes on the heap for the room itself, without wishes and acquaintances.
    pub fn heap_bytes(&self) -> usize {
        self.entries.heap_bytes() + self.further.heap_bytes() + self.shelves.heap_bytes()
    }

    /// Places outside of entries and shelves in use: none in an empty room.
    pub fn places(&self) -> usize {
        self.further.len() + self.shelves.len()
    }
}

#[cfg(test)]
#[path = "waiting_tests.rs"]
mod tests;
