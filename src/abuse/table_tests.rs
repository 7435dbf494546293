//! What the table of counters keeps, and what it gives away.

use super::*;

/// Ten at once, and one more each second.
const TEN: Allowance = Allowance { each_ns: 1_000_000_000, burst_ns: 10_000_000_000 };
const NOW: Time = Time(1_000_000);

/// Hashes that all belong to one set.
fn neighbours(count: u64) -> impl Iterator<Item = u64> {
    (1..=count).map(|n| n << 32 | 5)
}

#[test]
fn an_allowance_is_spent_and_comes_back() {
    let table = Table::new(64);
    let id = table.claim(NOW, 7);
    assert_eq!(table.take(NOW, id, Kind::Finds, 10, TEN), Ok(()));
    assert_eq!(table.take(NOW, id, Kind::Finds, 1, TEN), Err(1_000));
    assert_eq!(table.take(NOW, id, Kind::Frames, 1, TEN), Ok(()), "each kind has its own");
    let later = NOW.plus_ms(2_500);
    assert_eq!(table.take(later, id, Kind::Finds, 3, TEN), Err(500));
    assert_eq!(table.take(later, id, Kind::Finds, 2, TEN), Ok(()));
}

#[test]
fn a_flood_of_addresses_takes_no_place_from_one_that_counts() {
    let table = Table::new(64);
    let mut all = neighbours(10_000);
    let (here, overspent) = (all.next().expect("one"), all.next().expect("two"));
    let (held, count) = table.enter(NOW, here);
    assert_eq!(count, 1);
    let owes = table.claim(NOW, overspent);
    assert_eq!(table.take(NOW, owes, Kind::Connections, 10, TEN), Ok(()));
    // One does a little and is whole again before the next comes.
    let mut now = NOW;
    for hash in all {
        now = now.plus_ms(1);
        let id = table.claim(now, hash);
        let little = Allowance { each_ns: 500_000, ..TEN };
        assert_eq!(table.take(now, id, Kind::Connections, 1, little), Ok(()));
        assert!(!id.is_shared());
        if now.ms_since(NOW) < 9_000 {
            assert_eq!(table.claim(now, overspent), owes, "it still owes");
        }
        assert_eq!(Some(table.claim(now, here)), held, "somebody is there");
    }
    assert_eq!(table.enter(now, here).1, 2);
}

#[test]
fn where_all_places_count_newcomers_share_one_and_none_goes_uncounted() {
    let table = Table::new(64);
    let ids: Vec<_> = neighbours(40).map(|hash| table.enter(NOW, hash)).collect();
    let alone = ids.iter().filter(|(_, sessions)| *sessions == 1).count();
    assert_eq!(alone, WAYS, "seven of their own, and the first of those who share");
    assert_eq!(ids.last().map(|(_, sessions)| *sessions), Some(40 - 7));
    let shared = ids[39].0.expect("counted");
    assert_eq!(table.take(NOW, shared, Kind::Finds, 10, TEN), Ok(()));
    assert!(table.take(NOW, ids[20].0.expect("counted"), Kind::Finds, 1, TEN).is_err(), "one allowance");
    assert!(table.take(NOW, ids[0].0.expect("counted"), Kind::Finds, 1, TEN).is_ok(), "not theirs");
    for (id, _) in ids {
        table.leave(NOW, id.expect("counted"));
    }
    assert_eq!(table.enter(NOW, neighbours(50).last().expect("one")).1, 1, "and there is room again");
}

#[test]
fn what_says_nothing_is_swept_and_what_counts_stays() {
    let table = Table::new(64);
    let sweep = |now| (0..table.pages()).map(|page| table.sweep(now, page)).sum::<usize>();
    let (held, _) = table.enter(NOW, 1);
    let owes = table.claim(NOW, 2);
    table.take(NOW, owes, Kind::Reports, 10, TEN).expect("an allowance");
    table.claim(NOW, 3);
    assert_eq!(sweep(NOW), 2);
    let later = NOW.plus_ms(10_000);
    assert_eq!(sweep(later), 1);
    table.leave(later, held.expect("counted"));
    assert_eq!(sweep(later), 0);
    let page = table.pages[0].get().expect("a page");
    let words = page.iter().flatten().flat_map(|place| {
        [&place.word, &place.accused, &place.reporters]
            .into_iter()
            .chain(&place.whole_at)
            .map(|word| word.load(Relaxed))
    });
    assert!(words.into_iter().all(|word| word == 0), "nothing is left of anybody");
}

#[test]
fn reports_weigh_on_a_prefix_once_for_each_reporter_and_are_forgotten_soon_when_nobody_is_there() {
    let table = Table::new(64);
    let enter = |now| table.enter(now, 1).0.expect("counted");
    let id = enter(NOW);
    assert_eq!(table.accuse(NOW, id, 11, 3_600), 3_600);
    assert_eq!(table.accuse(NOW, id, 11, 3_600), 3_600, "the same reporter again");
    table.leave(NOW, id);
    let soon = NOW.plus_ms(LEFT_S * 1_000 - 1_000);
    assert_eq!(table.sweep(soon, 0), 1);
    let again = enter(soon);
    assert_eq!(table.accuse(soon, again, 12, 3_600), 2 * 3_600 - LEFT_S + 1, "a new session changes nothing");
    table.leave(soon, again);
    let late = soon.plus_ms(LEFT_S * 1_000);
    assert_eq!(table.sweep(late, 0), 0, "gone within five minutes");
    assert_eq!(table.accuse(late, enter(late), 13, 3_600), 3_600);
}

#[test]
fn threads_that_come_and_go_at_once_leave_nothing_behind() {
    let table = Table::new(64);
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let table = &table;
            scope.spawn(move || {
                for round in 0..20_000_u64 {
                    let (id, _) = table.enter(NOW, (thread + round) % 13);
                    table.leave(NOW, id.expect("counted"));
                }
            });
        }
    });
    assert_eq!((0..table.pages()).map(|page| table.sweep(NOW, page)).sum::<usize>(), 0);
}
