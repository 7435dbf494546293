//! The waiting room finds whom a search through everybody would find.

use super::*;
use crate::core::few::Few;
use crate::core::interests::{InterestId, Lang};
use crate::core::io::ShardId;
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
        wants: None,
        known: None,
    }
}

fn pick(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

/// Somebody with wishes out of a few, so that all rules come into play.
fn anybody(state: &mut u64, number: u64, now: Time) -> Seeker {
    let mut seeker = person(number, now);
    let interests = (0..4).filter(|_| pick(state, 3) == 0).map(InterestId).collect::<Vec<_>>();
    let langs = ["de", "en", "fr"].into_iter().filter(|_| pick(state, 4) == 0).filter_map(Lang::parse);
    let wants = Wants { interests: Few::of(interests), langs: Few::of(langs) };
    seeker.strict = pick(state, 4) == 0;
    seeker.mode = if pick(state, 4) == 0 { Mode::Video } else { Mode::Text };
    seeker.wants = (!wants.interests.is_empty() || !wants.langs.is_empty()).then(|| Box::new(wants));
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
        let (mut state, mut now) = (seed, Time(0));
        let mut room = Room::new(Keyed(seed, 2));
        let mut tickets = Vec::new();
        for number in 0..400 {
            now = now.plus_ms(pick(&mut state, 200));
            if pick(&mut state, 3) == 0 && !tickets.is_empty() {
                let at = pick(&mut state, tickets.len() as u64) as usize;
                assert!(room.leave(tickets.swap_remove(at)).is_some());
            }
            tickets.push(room.join(anybody(&mut state, number, now), now));
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
fn the_longest_waiting_comes_first_also_among_those_who_relaxed() {
    let mut room = Room::new(Keyed(1, 2));
    let mut picky = person(1, Time(0));
    picky.wants = Some(Box::new(Wants { interests: Few::of([InterestId(9)]), langs: Few::default() }));
    let picky = room.join(picky, Time(0));
    let now = Time(0).plus_ms(RELAX_WAIT_MS);
    room.join(person(2, Time(0).plus_ms(10)), now);
    let ticket = room.join(person(3, now), now);
    room.relax(picky);
    assert_eq!(room.search_for(ticket, now, false).best, Some(picky));
}
