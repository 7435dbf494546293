//! Step 3 of 6: a search of the waiting room.
//!
//! In: somebody who looks for a stranger. Out: the best one. Only shelves are looked at on which everybody fits by interest and
//! language, each as far as somebody further back could be better, and no more than [`CANDIDATES`] people: a search that is cut
//! there goes on later where it was.

use std::hint::black_box;

use super::io::Time;
use super::keys::{Which, looked_at};
use super::pages::NIL;
use super::pairing::{Seeker, fits};
use super::shelves::{BATCH, Batch, SHELF};
use super::waiting::Room;
use crate::limits::CANDIDATES;

/// What a search found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// The ticket of the best stranger.
    pub best: Option<u32>,
    /// Whether there were more to look at.
    pub cut: bool,
}

impl Room {
    /// The best stranger for the holder of a ticket.
    pub fn search_for(&self, ticket: u32, now: Time, resume: bool) -> Search {
        self.get(ticket).map_or_else(Search::default, |seeker| self.search(seeker, now, resume, |_| true))
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
        let goes: &[Go] = if resume { &[Go::Alone, Go::Rest, Go::Again] } else { &[Go::Whole] };
        let mut look = Look { seeker, now, go: Go::Whole, accept, left: CANDIDATES, best: None, cut: false };
        for go in goes {
            if !look.cut {
                look.go = *go;
                self.look_through(&mut look);
            }
        }
        Search { best: look.best.map(|best| best.ticket), cut: look.cut }
    }

    /// Looks at all shelves on which everybody fits.
    fn look_through<F: Fn(&Seeker) -> bool>(&self, look: &mut Look<'_, F>) {
        let (seeker, now) = (look.seeker, look.now);
        if seeker.wants.is_empty() {
            return looked_at(seeker, now, |key| {
                key.plain().into_iter().for_each(|number| self.look_along(number, look));
            });
        }
        let mut batch = Batch::default();
        looked_at(seeker, now, |key| {
            batch.push(self.shelves.want(key, Which::default()));
            if batch.len() == BATCH {
                self.look_on(&mut batch, look);
            }
        });
        self.look_on(&mut batch, look);
    }

    /// Goes on with a search on these shelves.
    #[inline]
    fn look_on<F: Fn(&Seeker) -> bool>(&self, batch: &mut Batch, look: &mut Look<'_, F>) {
        let found = self.find_all(batch);
        if batch.len() > 1 {
            self.fetch_first(&found[..batch.len()]);
        }
        for &at in &found[..batch.len()] {
            if at >= SHELF {
                self.look_along(at & !SHELF, look);
            } else if matches!(look.go, Go::Whole | Go::Alone)
                && let Some((ticket, _)) = self.place(at)
            {
                self.look_at(ticket, look);
            }
        }
        batch.clear();
    }

    /// Looks along a shelf. Where nobody further back can be better the first who fits is enough.
    fn look_along<F: Fn(&Seeker) -> bool>(&self, number: u32, look: &mut Look<'_, F>) {
        let Some(shelf) = self.shelves.get(number) else { return };
        let most = if shelf.key.names_interest() { look.seeker.interests().len() } else { 0 };
        let mut at = match look.go {
            Go::Whole | Go::Again => shelf.head,
            Go::Rest => shelf.cursor.replace(NIL),
            Go::Alone => NIL,
        };
        while let Some((ticket, place)) = self.place(at) {
            if look.left == 0 {
                look.cut = true;
                shelf.cursor.set(at);
                return;
            }
            if self.look_at(ticket, look).is_some_and(|shared| shared >= most) {
                return;
            }
            at = place.next;
        }
    }

    /// Looks at somebody, if there is a look left: how many interests they share, if they fit.
    #[inline]
    fn look_at<F: Fn(&Seeker) -> bool>(&self, ticket: u32, look: &mut Look<'_, F>) -> Option<usize> {
        let Some(left) = look.left.checked_sub(1) else {
            look.cut = true;
            return None;
        };
        look.left = left;
        let other = self.get(ticket).filter(|other| (look.accept)(other))?;
        let shared = fits(look.seeker, other, look.now)?;
        let found = Found { shared, since: other.since, ticket };
        if look.best.is_none_or(|best| found.beats(best)) {
            look.best = Some(found);
        }
        Some(shared)
    }

    /// Begins to fetch who stands first on these shelves.
    fn fetch_first(&self, found: &[u32]) {
        let mut first = [NIL; BATCH];
        for (first, at) in first.iter_mut().zip(found) {
            *first = self.shelves.at(*at).map_or(NIL, |shelf| shelf.head);
        }
        for at in &first[..found.len()] {
            black_box(self.place(*at).is_some());
        }
    }
}

/// What is looked at. A search that was cut goes on in this order, each only after all of the one before: so everybody has a turn in each
/// round, however many stand before them.
#[derive(Clone, Copy)]
enum Go {
    /// Everything. Shelves that are not reached keep a cursor at their front.
    Whole,
    /// Whoever stands alone: nothing keeps a cursor there.
    Alone,
    /// Shelves from their cursors on.
    Rest,
    /// Shelves from the front: the next round.
    Again,
}

/// A search under way.
struct Look<'a, F> {
    seeker: &'a Seeker,
    now: Time,
    go: Go,
    accept: F,
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
