//! The waiting room finds whom a search through everybody would find.

use super::*;
use crate::core::few::Few;
use crate::core::interests::{InterestId, Lang};
use crate::core::io::ShardId;
use crate::core::keys::{Tongue, Topic};
use crate::core::pairing::{Address, Known, Mode, PersonId, SessionId, Wants, fits};
use crate::core::search::Search;
use crate::limits::RELAX_WAIT_MS;

fn person(number: u64, since: Time) -> Seeker {
    Seeker {
        who: Address { shard: ShardId(0), session: SessionId(number as u32), person: PersonId(number) },
        since,
        mode: Mode::Text,
        strict: false,
        claimed: false,
        wants: Wants::default(),
        known: None,
    }
}

fn pick(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

/// Somebody with wishes out of a few, so that all rules come into play: from `kinds` times four interests.
fn anybody(state: &mut u64, number: u64, now: Time, kinds: u64) -> Seeker {
    let mut seeker = person(number, now);
    let mut interests = Vec::new();
    for interest in 0..4 {
        if pick(state, 3) == 0 {
            interests.push(InterestId(interest + 4 * pick(state, kinds) as u32));
        }
    }
    let langs = ["de", "en", "fr"].into_iter().filter(|_| pick(state, 4) == 0).filter_map(Lang::parse);
    seeker.wants = Wants::new(Few::sorted(interests), Few::of(langs));
    seeker.strict = pick(state, 4) == 0;
    seeker.mode = if pick(state, 4) == 0 { Mode::Video } else { Mode::Text };
    let mut known = Known::default();
    for _ in 0..pick(state, 3) {
        known.meet(PersonId(pick(state, number + 1)));
        known.block(PersonId(pick(state, number + 1)));
    }
    seeker.known = (known != Known::default()).then(|| Box::new(known));
    seeker
}

fn best_of_all(room: &Room, ticket: u32, now: Time) -> Option<(usize, Time)> {
    let seeker = room.get(ticket)?;
    let all = (0..room.end()).filter_map(|other| room.get(other));
    let found = all.filter_map(|other| Some((fits(seeker, other, now)?, other.since)));
    found.max_by_key(|&(shared, since)| (shared, std::cmp::Reverse(since)))
}

#[test]
fn finds_the_same_as_looking_at_everybody() {
    for seed in 0..60 {
        // On the shelves of some rooms many stand, on those of others mostly nobody else.
        let (mut state, mut now, kinds) = (seed, Time(0), 1 + seed % 3 * 20);
        let mut room = Room::new(Keyed(seed, 2));
        let mut tickets = Vec::new();
        for number in 0..400 {
            now = now.plus_ms(pick(&mut state, 200));
            if pick(&mut state, 3) == 0 && !tickets.is_empty() {
                let at = pick(&mut state, tickets.len() as u64) as usize;
                assert!(room.leave(tickets.remove(at)).is_some());
            }
            tickets.push(room.join(anybody(&mut state, number, now, kinds), now));
            for &ticket in &tickets {
                if room.get(ticket).is_some_and(|seeker| seeker.relaxed(now)) {
                    room.relax(ticket);
                }
            }
            let ticket = tickets[pick(&mut state, tickets.len() as u64) as usize];
            let search = room.search_for(ticket, now, false);
            let found = search.best.map(|best| {
                let (seeker, other) = (room.get(ticket).expect("waits"), room.get(best).expect("waits"));
                (fits(seeker, other, now).expect("they fit"), other.since)
            });
            if !search.cut {
                assert_eq!(found, best_of_all(&room, ticket, now), "seed {seed}, person {number}");
            }
            if let Some(best) = search.best {
                for gone in [ticket, best] {
                    room.leave(gone);
                    tickets.retain(|ticket| *ticket != gone);
                }
            }
        }
        for ticket in tickets {
            room.leave(ticket);
        }
        assert_eq!((room.len(), room.places()), (0, 0), "seed {seed}");
    }
}

#[test]
fn a_search_that_is_cut_reaches_everybody_in_turn() {
    let mut room = Room::new(Keyed(1, 2));
    let now = Time(0);
    let mut seeker = person(0, now);
    for number in 1..=1_000 {
        seeker.known.get_or_insert_default().meet(PersonId(number));
    }
    let mut enemies = Vec::new();
    for number in 1..=300 {
        let mut enemy = person(number, now);
        enemy.known.get_or_insert_default().block(PersonId(0));
        enemies.push(room.join(enemy, now));
    }
    let friend = room.join(person(5_000, now), now);
    let ticket = room.join(seeker, now);
    let first = room.search_for(ticket, now, false);
    assert_eq!(first, Search { best: None, cut: true });
    let found = (0..5).find_map(|_| room.search_for(ticket, now, true).best);
    assert_eq!(found, Some(friend));
    for ticket in enemies {
        room.leave(ticket);
    }
    assert_eq!(
        room.search_for(ticket, now, true).best,
        Some(friend),
        "the cursor left with its shelf's people"
    );
}

#[test]
fn a_search_gets_past_shelves_on_which_nobody_fits_however_many_stand_there() {
    let now = Time(0);
    let with = |number, interests: &[u32]| {
        let mut somebody = person(number, now);
        somebody.wants = Wants::new(Few::of(interests.iter().copied().map(InterestId)), Few::default());
        somebody
    };
    // As many as one search looks at, more, and fewer; behind them a friend who stands alone, or behind an enemy.
    for (enemies, before) in
        [63, 64, 65, 128, 200].into_iter().flat_map(|many| [(many, 0), (many, 1), (many, 3)])
    {
        let mut room = Room::new(Keyed(1, 2));
        let mut enemy = |number, interest| {
            let mut enemy = with(number, &[interest]);
            enemy.known.get_or_insert_default().block(PersonId(0));
            room.join(enemy, now);
        };
        (1..=enemies).for_each(|number| enemy(number, 1));
        (1..=before).for_each(|number| enemy(1_000 + number, 2));
        let friend = room.join(with(5_000, &[2]), now);
        let ticket = room.join(with(0, &[1, 2]), now);
        let found = (0..10).find_map(|go| room.search_for(ticket, now, go > 0).best);
        assert_eq!(found, Some(friend), "behind {enemies} on one shelf and {before} on the other");
    }
}

#[test]
fn the_longest_waiting_comes_first_also_among_those_who_relaxed() {
    let mut room = Room::new(Keyed(1, 2));
    let mut picky = person(1, Time(0));
    picky.wants = Wants::new(Few::of([InterestId(9)]), Few::default());
    let picky = room.join(picky, Time(0));
    let now = Time(0).plus_ms(RELAX_WAIT_MS);
    room.join(person(2, Time(0).plus_ms(10)), now);
    let ticket = room.join(person(3, now), now);
    room.relax(picky);
    assert_eq!(room.search_for(ticket, now, false).best, Some(picky));
}

/// Who has an interest in common, in the order in which a search would look at them.
fn standing(room: &Room, interest: u32) -> Vec<u32> {
    let key = ShelfKey::new(Mode::Text, Topic::Interest(InterestId(interest)), Tongue::All);
    let mut batch = Batch::default();
    batch.push(room.shelves.want(key, Which::default()));
    let found = room.find_all(&batch)[0];
    let Some(shelf) = room.shelves.at(found) else {
        return room.place(found).map(|(ticket, _)| ticket).into_iter().collect();
    };
    let places = std::iter::successors(room.place(shelf.head), |(_, place)| room.place(place.next));
    places.map(|(ticket, _)| ticket).collect()
}

/// Three people come in every order, one of them leaves and comes back, and they leave in every order: after each step exactly those
/// stand on a shelf who have named its interest, the longest waiting first, and a search finds the first of them.
fn come_and_go(wishes: [&[u32]; 3]) {
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for (coming, going) in orders.into_iter().flat_map(|coming| orders.map(|going| (coming, going))) {
        let mut room = Room::new(COLLIDING);
        let mut waiting: Vec<(usize, u32)> = Vec::new();
        let again = [going[0], going[0]];
        for who in coming.into_iter().chain(again).chain(going) {
            let here = waiting.iter().position(|(other, _)| *other == who);
            if let Some((_, ticket)) = here.map(|at| waiting.remove(at)) {
                assert!(room.leave(ticket).is_some());
            } else {
                let mut seeker = person(who as u64, Time(waiting.len() as u64));
                seeker.wants =
                    Wants::new(Few::of(wishes[who].iter().copied().map(InterestId)), Few::default());
                waiting.push((who, room.join(seeker, Time(0))));
            }
            for &interest in &wishes.concat() {
                let named = waiting.iter().filter(|(who, _)| wishes[*who].contains(&interest));
                let expected: Vec<u32> = named.map(|(_, ticket)| *ticket).collect();
                assert_eq!(standing(&room, interest), expected, "{coming:?} came and {going:?} go");
                let mut seeker = person(9, Time(0));
                seeker.wants = Wants::new(Few::of([InterestId(interest)]), Few::default());
                assert_eq!(room.search(&seeker, Time(0), false, |_| true).best, expected.first().copied());
            }
        }
        assert_eq!((room.len(), room.places()), (0, 0));
    }
}

const COLLIDING: Keyed = Keyed(1, 2);

#[test]
fn who_stood_alone_is_joined_and_stands_alone_again() {
    come_and_go([&[1], &[1], &[1]]);
    come_and_go([&[1, 2], &[2], &[1, 3]]);
    come_and_go([&[1, 2, 3, 4, 5], &[3, 5], &[1, 2, 3]]);
}

#[test]
fn shelves_that_share_only_a_hash_are_told_apart() {
    let room = Room::new(COLLIDING);
    let mut hashes = std::collections::HashMap::new();
    let (a, b) = (0..)
        .find_map(|interest| {
            let key = ShelfKey::new(Mode::Text, Topic::Interest(InterestId(interest)), Tongue::All);
            let hash = room.shelves.want(key, Which::default()).hash;
            hashes.insert(hash, interest).map(|other| (other, interest))
        })
        .expect("of more than four billion, two share a hash");
    come_and_go([&[a], &[b], &[a, b]]);
    come_and_go([&[a, b], &[a, b], &[b]]);
}

#[test]
fn whoever_waits_takes_two_cache_lines() {
    assert_eq!((Slots::<Entry>::SLOT_BYTES, align_of::<Entry>()), (128, 64));
}
