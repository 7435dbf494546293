//! In-process benchmarks of the core: `cargo bench --bench core`.

#![allow(missing_docs, clippy::unwrap_used)]

#[path = "support/shards.rs"]
mod shards;

use std::hint::black_box;
use std::time::{Duration, Instant};

use anoncam::core::frame::{ControlKind, Frame, FrameDecoder, SIGNAL, TEXT, encode_relay};
use anoncam::core::interests::Keyed;
use anoncam::core::io::{ChatId, LinkId, RelayFrame, Time};
use anoncam::core::waiting::Room;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use shards::{FIND, chat, greeted, pair_across, part, relay_here, seeker, shard};

fn decoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for (name, kind, payload, chunk) in
        [("TEXT of 100 bytes", TEXT, 100, 1_200), ("SIGNAL of 32 KiB in datagrams", SIGNAL, 32_000, 1_200)]
    {
        let stream = encode_relay(kind, ChatId(1), &vec![7; payload]);
        group.throughput(Throughput::Bytes(stream.len() as u64));
        group.bench_function(name, |bencher| {
            let mut decoder = FrameDecoder::default();
            bencher.iter(|| {
                for at in (0..stream.len()).step_by(chunk) {
                    decoder.push(stream.slice(at..stream.len().min(at + chunk)));
                    while let Ok(Some(frame)) = decoder.next() {
                        black_box(&frame);
                    }
                }
            });
        });
    }
    group.finish();
}

fn relaying(criterion: &mut Criterion) {
    let mut shard = shard(0, 1);
    let (from, _, chat) = chat(&mut shard);
    let bytes = encode_relay(TEXT, chat, &[7; 100]);
    criterion.bench_function("relay here, credit included", |bencher| {
        bencher.iter(|| relay_here(&mut shard, from, chat, &bytes));
    });
    let parsed = Frame::Relay(RelayFrame { chat, bytes: bytes.into() });
    black_box(parsed);
}

/// A plain FIND in an empty room and one that meets it: join, search, join's undoing.
fn pairing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pair");
    group.throughput(Throughput::Elements(1));
    group.bench_function("room: join, find, leave", |bencher| {
        let mut room = Room::new(Keyed(1, 2));
        let mut next = 0;
        bencher.iter(|| {
            next += 2;
            room.join(seeker(next), Time(0));
            let second = seeker(next + 1);
            let found = room.search(&second, Time(0), false, |_| true).best.unwrap();
            black_box((second, room.leave(found)));
        });
    });
    group.bench_function(
        "shard: two FINDs in JSON, WAITING, two MATCHED, and the last chat ended",
        |bencher| {
            let mut shard = shard(0, 1);
            let mut links: Vec<LinkId> = (0..64).map(|_| greeted(&mut shard, Time(0))).collect();
            let mut now = Time(0);
            let mut next = 0;
            bencher.iter(|| {
                // Far enough apart that nobody meets a recent stranger.
                now = now.plus_ms(1);
                for _ in 0..2 {
                    next = (next * 5 + 3) % links.len();
                    shard.handle_control(now, links[next], ControlKind::Find, FIND);
                    while let Some(output) = shard.poll_output() {
                        black_box(output);
                    }
                }
            });
            links.clear();
        },
    );
    group.finish();
}

fn waiting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("join and leave");
    for waiting in [1_000, 1_000_000] {
        let mut room = Room::new(Keyed(1, 2));
        for number in 0..waiting {
            room.join(seeker(number), Time(0));
        }
        group.bench_function(format!("{waiting} waiting"), |bencher| {
            bencher.iter(|| {
                let ticket = room.join(seeker(waiting), Time(0));
                black_box(room.leave(ticket));
            });
        });
    }
    group.finish();
}

fn across(criterion: &mut Criterion) {
    criterion.bench_function("pair across two shards, from FIND to both MATCHED", |bencher| {
        bencher.iter_custom(|times| {
            let mut shards = [shard(0, 2), shard(1, 2)];
            let (mut now, mut spent) = (Time(0), Duration::ZERO);
            for _ in 0..times {
                let links = [greeted(&mut shards[0], now), greeted(&mut shards[1], now)];
                let begun = Instant::now();
                pair_across(&mut shards, &mut now, links);
                spent += begun.elapsed();
                assert_eq!((shards[0].chats(), shards[1].chats()), (1, 1));
                part(&mut shards, now, links);
            }
            spent
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(30);
    targets = decoding, relaying, pairing, waiting, across
}
criterion_main!(benches);
