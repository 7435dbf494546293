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
use super::pages::{NIL, Slots};
use super::pairing::{Mode, Seeker, Wants};
use super::shelves::{BATCH, Batch, Shelves, stood_on, stood_on_later};

/// Places that lie in a person's entry: enough for two interests and a language.
const OWN: usize = 4;
/// Numbers of places from here on are in a table of their own; below, they are tickets times [`OWN`] and which of the person's.
const FURTHER: u32 = 1 << 31;

/// Somebody's place on a shelf.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    shelf: u32,
    /// The place behind it.
    pub(super) next: u32,
    prev: u32,
}

/// Somebody who waits. Their first places are here, so that whoever finds them on a shelf has them at once.
#[derive(Debug)]
struct Entry {
    seeker: Seeker,
    /// The first `stands` of them are taken.
    own: [Place; OWN],
    /// The first of their other places.
    further: u32,
    stands: u8,
    relaxed: bool,
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
        let own = [Place { shelf: NIL, next: NIL, prev: NIL }; OWN];
        let entry = Entry { seeker, own, further: NIL, stands: 0, relaxed: false };
        let ticket = self.entries.insert(entry);
        debug_assert!(ticket < FURTHER / OWN as u32, "half a billion people would need 50 GiB");
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
        if let Some(wants) = &entry.seeker.wants {
            // Whoever called gives the interests back.
            black_box(wants.interests.first());
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
        let changes = !entry.seeker.strict && entry.seeker.wants.is_some();
        if !std::mem::replace(&mut entry.relaxed, true) && changes {
            self.stand(ticket, true);
        }
    }

    /// Puts somebody on their shelves, or on those of people who take anybody.
    fn stand(&mut self, ticket: u32, later: bool) {
        let Some(Entry { seeker, .. }) = self.entries.get_mut(ticket) else { return };
        let (mode, strict) = (seeker.mode, seeker.strict);
        // Out of the table while others in it are changed.
        let Some(wants) = seeker.wants.take() else {
            return stood_on(mode, strict, &Wants::default(), |key| {
                key.plain().into_iter().for_each(|number| self.link(ticket, number));
            });
        };
        let mut batch = Batch::default();
        let each = |key| {
            batch.push(self.shelves.want(key));
            if batch.len() == BATCH {
                self.link_all(ticket, &mut batch);
            }
        };
        if later {
            stood_on_later(mode, &wants, each);
        } else {
            stood_on(mode, strict, &wants, each);
        }
        self.link_all(ticket, &mut batch);
        if let Some(entry) = self.entries.get_mut(ticket) {
            entry.seeker.wants = Some(wants);
        }
    }

    /// Puts somebody behind all on each of these shelves, none of which comes twice.
    fn link_all(&mut self, ticket: u32, batch: &mut Batch) {
        let shelves = self.shelves.find_all(batch);
        for number in &shelves[..batch.len()] {
            let last = self.shelves.get(*number).and_then(|shelf| self.place(shelf.tail));
            black_box(last.is_some());
        }
        for (wanted, mut number) in batch.iter().zip(shelves) {
            if number == NIL {
                number = self.shelves.make(*wanted);
            }
            self.link(ticket, number);
        }
        batch.clear();
    }

    fn link(&mut self, ticket: u32, number: u32) {
        let (Some(entry), Some(shelf)) = (self.entries.get_mut(ticket), self.shelves.get_mut(number)) else {
            return;
        };
        let place = Place { shelf: number, next: NIL, prev: shelf.tail };
        let at = if let Some(own) = entry.own.get_mut(usize::from(entry.stands)) {
            *own = place;
            entry.stands += 1;
            ticket * OWN as u32 + u32::from(entry.stands) - 1
        } else {
            entry.further = FURTHER | self.further.insert(Further { place, ticket, other: entry.further });
            entry.further
        };
        let last = std::mem::replace(&mut shelf.tail, at);
        if last == NIL {
            shelf.head = at;
        } else if let Some(last) = self.place_mut(last) {
            last.next = at;
        }
    }

    /// Takes a place that is no longer in its table out of its shelf; the last one takes the shelf with it.
    fn unlink(&mut self, at: u32, place: Place) {
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

    /// Begins to fetch what taking these places out will look at: their shelves, whoever stands before and behind, and where the
    /// index has the shelves that end with them.
    fn fetch_around(&self, places: &[Place]) {
        for place in places {
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
