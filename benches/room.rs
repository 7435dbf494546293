//! What the waiting room costs however many wait: time, memory, and (under callgrind) instructions.
//!
//!     cargo bench --bench room                 time at 1,000 / 100,000 / 5,000,000 waiting, and bytes a session
//!     benches/callgrind.sh                     instructions of each operation at the same sizes

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

#[path = "support/counting.rs"]
mod counting;

use std::hint::black_box;
use std::time::Instant;

use anoncam::core::few::Few;
use anoncam::core::frame::ControlKind;
use anoncam::core::interests::{InterestId, Keyed, Lang};
use anoncam::core::io::{ShardId, Time};
use anoncam::core::pairing::{Address, Mode, PersonId, Seeker, SessionId, Wants};
use anoncam::core::shard::{Shard, ShardConfig};
use anoncam::core::waiting::Room;
use counting::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const NOW: Time = Time(0);
const OPERATIONS: u64 = 20_000;
const ROUNDS: u64 = 100;

fn seeker(number: u64, strict: bool, wants: Wants) -> Seeker {
    Seeker {
        who: Address { shard: ShardId(0), session: SessionId(number as u32), person: PersonId(number + 1) },
        since: NOW,
        mode: Mode::Text,
        strict,
        claimed: false,
        wants,
        known: None,
    }
}

/// Somebody strict with two interests and a language that few share.
fn picky(number: u64) -> Seeker {
    let interests = Few::of([0, 1].map(|other| InterestId(2 * number as u32 + other)));
    seeker(number, true, Wants::new(interests, Few::of([Lang(0x6161 + number % 1_000)])))
}

/// Half plain, half picky: a crowd in which everybody in it has been left over.
fn crowd(waiting: u64) -> Room {
    let mut room = Room::new(Keyed(1, 2));
    for number in 0..waiting {
        let who = if number % 2 == 0 { seeker(number, false, Wants::default()) } else { picky(number) };
        room.join(who, NOW);
    }
    room
}

#[inline(never)]
fn operation_join_leave_plain(room: &mut Room, number: u64) {
    let ticket = room.join(seeker(number, false, Wants::default()), NOW);
    black_box(room.leave(ticket));
}

#[inline(never)]
fn operation_join_leave_picky(room: &mut Room, number: u64) {
    let ticket = room.join(picky(number), NOW);
    black_box(room.leave(ticket));
}

#[inline(never)]
fn operation_search_in_vain(room: &mut Room, number: u64) {
    black_box(room.search(&picky(number), NOW, false, |_| true));
}

/// Somebody plain meets the longest waiting, and another takes that one's place.
#[inline(never)]
fn operation_pair(room: &mut Room, number: u64) {
    let found = room.search(&seeker(number, false, Wants::default()), NOW, false, |_| true).best.unwrap();
    black_box(room.leave(found));
    room.join(seeker(number, false, Wants::default()), NOW);
}

/// One of the crowd, anywhere in it: nothing of theirs is in a cache when the crowd is large. Even numbers are plain, odd ones picky.
fn anywhere(room: &Room, number: u64, picky: bool) -> u32 {
    let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    (((spread * room.len() as u64) >> 32) as u32 & !1) | u32::from(picky)
}

#[inline(never)]
fn operation_return_plain(room: &mut Room, number: u64) {
    let somebody = room.leave(anywhere(room, number, false)).unwrap();
    room.join(somebody, NOW);
}

#[inline(never)]
fn operation_return_picky(room: &mut Room, number: u64) {
    let somebody = room.leave(anywhere(room, number, true)).unwrap();
    room.join(somebody, NOW);
}

/// Somebody new finds the one of the crowd who has their wishes.
#[inline(never)]
fn operation_find(room: &mut Room, number: u64) {
    let somebody = anywhere(room, number, true);
    let mut seeker = picky(u64::from(somebody));
    seeker.who.person = PersonId(number + 1);
    assert_eq!(room.search(&seeker, NOW, false, |_| true).best, Some(somebody));
}

type Operation = fn(&mut Room, u64);

const ALL: [(&str, Operation); 7] = [
    ("join and leave, plain", operation_join_leave_plain),
    ("join and leave, 2 interests, 1 language", operation_join_leave_picky),
    ("search in vain, 2 interests, 1 language", operation_search_in_vain),
    ("search, pair, and join again", operation_pair),
    ("search and find, 2 interests, 1 language", operation_find),
    ("leave and return, plain", operation_return_plain),
    ("leave and return, 2 interests, 1 language", operation_return_picky),
];
/// The last of them are about one of the crowd, who may be anywhere in it.
const COLD: usize = 3;

fn measure(waiting: u64) {
    let before = Counting::in_use();
    let mut room = crowd(waiting);
    let bytes = (Counting::in_use() - before) as u64 / waiting;
    println!("{waiting} waiting, half of them with wishes: {bytes} bytes each in the room");
    for (number, (name, operation)) in ALL.into_iter().enumerate() {
        if number == ALL.len() - COLD {
            println!("  and about one of the crowd, anywhere in it:");
        }
        let mut best = f64::MAX;
        // Short rounds, the best of many: one in which the thread was not interrupted.
        for round in 0..ROUNDS {
            let begun = Instant::now();
            for number in 0..OPERATIONS / ROUNDS {
                operation(&mut room, waiting + round * OPERATIONS / ROUNDS + number);
            }
            best = best.min(begun.elapsed().as_nanos() as f64 / (OPERATIONS / ROUNDS) as f64);
        }
        println!("  {name:42} {best:7.0} ns");
    }
}

/// Bytes that a session costs in the core.
fn sessions() {
    const SESSIONS: u32 = 100_096;
    let mut shard = Shard::new(ShardConfig::default(), [3; 32], NOW);
    let drain = |shard: &mut Shard| while shard.poll_output().is_some() {};
    let before = Counting::in_use();
    let links: Vec<_> = (0..SESSIONS)
        .map(|_| {
            let link = shard.handle_open(NOW);
            shard.handle_control(NOW, link, ControlKind::Hello, br#"{"v":1}"#);
            drain(&mut shard);
            link
        })
        .collect();
    let own = size_of_val(&*links);
    let idle = (Counting::in_use() - before - own) / SESSIONS as usize;
    for (number, link) in links.iter().enumerate() {
        let find = format!(r#"{{"n":1,"mode":"text","strict":true,"interests":["interest {number}"]}}"#);
        shard.handle_control(NOW, *link, ControlKind::Find, find.as_bytes());
        drain(&mut shard);
    }
    let waiting = (Counting::in_use() - before - own) / SESSIONS as usize;
    println!(
        "an idle session: {idle} bytes in the core; one that waits with an interest of its own: {waiting} bytes"
    );
    // Who waits without wishes: everybody is in the room, for nobody wants to meet (all are parked by what they have not read).
    let mut room = Room::new(Keyed(1, 2));
    let before = Counting::in_use();
    for number in 0..u64::from(SESSIONS) {
        room.join(seeker(number, false, Wants::default()), NOW);
    }
    println!(
        "a place in the room without wishes: {} bytes more",
        (Counting::in_use() - before) / SESSIONS as usize
    );
}

fn main() {
    // Under callgrind: one size, each operation often enough to count.
    if let Some(waiting) = std::env::var("WAITING").ok().and_then(|text| text.parse().ok()) {
        let mut room = crowd(waiting);
        for (_, operation) in ALL {
            for number in 0..OPERATIONS {
                operation(&mut room, waiting + number);
            }
        }
        return;
    }
    sessions();
    for waiting in [1_000, 100_000, 5_000_000] {
        measure(waiting);
    }
}
