//! In-process benchmarks of the core: `cargo bench --bench core`.

#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use anoncam::core::bus::BusMessage;
use anoncam::core::frame::{ControlKind, Frame, FrameDecoder, SIGNAL, TEXT, encode_relay};
use anoncam::core::interests::Keyed;
use anoncam::core::io::{ChatId, LinkId, Output, RelayFrame, Relayed, ShardId, Time};
use anoncam::core::pairing::{Address, Mode, PersonId, Seeker, SessionId};
use anoncam::core::shard::{Shard, ShardConfig};
use anoncam::core::waiting::Room;
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const FIND: &[u8] = br#"{"n":1,"mode":"text"}"#;

fn seeker(number: u64) -> Seeker {
    Seeker {
        who: Address { shard: ShardId(0), session: SessionId(number as u32), person: PersonId(number + 1) },
        since: Time(0),
        mode: Mode::Text,
        strict: false,
        claimed: false,
        wants: None,
        known: None,
    }
}

fn shard(id: u16, shards: u16) -> Shard {
    let config = ShardConfig { id: ShardId(id), shards, limit_rates: false, ..ShardConfig::default() };
    Shard::new(config, [id as u8 + 1; 32], Time(0))
}

fn greeted(shard: &mut Shard, now: Time) -> LinkId {
    let link = shard.handle_open(now);
    shard.handle_control(now, link, ControlKind::Hello, br#"{"v":1}"#);
    while shard.poll_output().is_some() {}
    link
}

fn number(frame: &Bytes) -> Option<ChatId> {
    let json: serde_json::Value = serde_json::from_slice(&frame[4..]).ok()?;
    (frame[0] == 0x43).then(|| ChatId(json["chat"].as_u64().unwrap() as u32))
}

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
    let (a, b) = (greeted(&mut shard, Time(0)), greeted(&mut shard, Time(0)));
    let mut chat = ChatId(0);
    for link in [a, b] {
        shard.handle_control(Time(0), link, ControlKind::Find, FIND);
    }
    while let Some(output) = shard.poll_output() {
        if let Output::Send { frame, .. } = output {
            chat = number(&frame).unwrap_or(chat);
        }
    }
    let bytes = encode_relay(TEXT, chat, &[7; 100]);
    criterion.bench_function("relay here, credit included", |bencher| {
        bencher.iter(|| {
            let frame = RelayFrame { chat, bytes: bytes.clone().into() };
            let relayed = shard.handle_relay(Time(1), a, frame);
            let Relayed::Here { to, frame } = relayed else { panic!("there is a chat") };
            shard.handle_flushed(Time(1), to, frame.len());
        });
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

/// Delivers what shards say to each other until they are silent; how often a message was handled.
fn settle(shards: &mut [Shard; 2], now: Time) -> u64 {
    let mut handled = 0;
    let mut letters: Vec<(usize, BusMessage)> = Vec::new();
    loop {
        for shard in shards.iter_mut() {
            while let Some(output) = shard.poll_output() {
                if let Output::Bus { to, message } = output {
                    letters.push((to.0 as usize, message));
                }
            }
        }
        if letters.is_empty() {
            return handled;
        }
        for (to, message) in letters.drain(..) {
            handled += 1;
            black_box(shards[to].handle_bus(now, ShardId(1 - to as u16), message));
        }
    }
}

fn across(criterion: &mut Criterion) {
    criterion.bench_function("pair across two shards, from FIND to both MATCHED", |bencher| {
        bencher.iter_custom(|times| {
            let mut shards = [shard(0, 2), shard(1, 2)];
            let (mut now, mut spent) = (Time(0), Duration::ZERO);
            for _ in 0..times {
                let links = [greeted(&mut shards[0], now), greeted(&mut shards[1], now)];
                let begun = Instant::now();
                for (shard, link) in shards.iter_mut().zip(links) {
                    shard.handle_control(now, link, ControlKind::Find, FIND);
                }
                settle(&mut shards, now);
                now = now.plus_ms(2);
                for shard in &mut shards {
                    shard.handle_timeout(now);
                }
                settle(&mut shards, now);
                spent += begun.elapsed();
                assert_eq!((shards[0].chats(), shards[1].chats()), (1, 1));
                for (shard, link) in shards.iter_mut().zip(links) {
                    shard.handle_control(now, link, ControlKind::Leave, b"");
                    shard.handle_closed(now, link);
                }
                settle(&mut shards, now);
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
