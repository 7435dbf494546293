//! Instructions of the core's hot paths: frames, pairing, relay, and the hand-off between shards.
//!
//!     benches/callgrind.sh       counts them under valgrind, with those of the waiting room (benches/room.rs)
//!
//! Counts do not depend on how busy the machine is, so they compare where times do not. Only what runs inside an
//! `operation_*` function is counted; this program alone checks that every operation works.

#![allow(missing_docs)]

#[path = "support/shards.rs"]
mod shards;

use std::hint::black_box;

use anoncam::core::frame::{ControlKind, FrameDecoder, SIGNAL, TEXT, encode_relay};
use anoncam::core::interests::Keyed;
use anoncam::core::io::{ChatId, LinkId, Time};
use anoncam::core::shard::Shard;
use anoncam::core::waiting::Room;
use bytes::Bytes;
use shards::{FIND, chat, chat_of, greeted, pair_across, part, relay_here, relay_there, seeker, shard};

/// Calls of each operation; benches/callgrind.sh divides by it.
const CALLS: u64 = 1_000;
/// What a datagram brings of a channel.
const DATAGRAM_BYTES: usize = 1_200;

fn frames_of(decoder: &mut FrameDecoder) {
    while let Ok(Some(frame)) = decoder.next() {
        black_box(&frame);
    }
}

/// A TEXT of 100 bytes in one datagram.
#[inline(never)]
fn operation_decode_text(decoder: &mut FrameDecoder, datagram: &Bytes) {
    decoder.push(datagram.clone());
    frames_of(decoder);
}

/// A SIGNAL of 32 KiB in datagrams.
#[inline(never)]
fn operation_decode_signal(decoder: &mut FrameDecoder, datagrams: &[Bytes]) {
    for datagram in datagrams {
        decoder.push(datagram.clone());
        frames_of(decoder);
    }
}

#[inline(never)]
fn operation_relay_here(shard: &mut Shard, from: LinkId, chat: ChatId, bytes: &Bytes) {
    relay_here(shard, from, chat, bytes);
}

#[inline(never)]
fn operation_relay_across(shards: &mut [Shard; 2], now: Time, from: LinkId, chat: ChatId, bytes: &Bytes) {
    relay_there(shards, now, from, chat, bytes);
}

#[inline(never)]
fn operation_room_pair(room: &mut Room, number: u64) {
    room.join(seeker(number), Time(0));
    let second = seeker(number + 1);
    let found = room.search(&second, Time(0), false, |_| true).best;
    black_box((second, found.map(|found| room.leave(found))));
}

/// Two FINDs in JSON, WAITING, two MATCHED, and the end of the chats that the two were in.
#[inline(never)]
fn operation_shard_pair(shard: &mut Shard, now: Time, links: [LinkId; 2]) {
    for link in links {
        shard.handle_control(now, link, ControlKind::Find, FIND);
        while let Some(output) = shard.poll_output() {
            black_box(output);
        }
    }
}

#[inline(never)]
fn operation_pair_across(shards: &mut [Shard; 2], now: &mut Time, links: [LinkId; 2]) -> Option<Bytes> {
    pair_across(shards, now, links)
}

fn frames() {
    let mut decoder = FrameDecoder::default();
    let text = encode_relay(TEXT, ChatId(1), &[7; 100]);
    let signal = encode_relay(SIGNAL, ChatId(1), &vec![7; 32_000]);
    let starts = (0..signal.len()).step_by(DATAGRAM_BYTES);
    let datagrams: Vec<Bytes> =
        starts.map(|at| signal.slice(at..signal.len().min(at + DATAGRAM_BYTES))).collect();
    for _ in 0..CALLS {
        operation_decode_text(&mut decoder, &text);
        operation_decode_signal(&mut decoder, &datagrams);
    }
}

fn one_shard() {
    let mut shard = shard(0, 1);
    let (from, _, number) = chat(&mut shard);
    let text = encode_relay(TEXT, number, &[7; 100]);
    let mut room = Room::new(Keyed(1, 2));
    let links: Vec<LinkId> = (0..64).map(|_| greeted(&mut shard, Time(0))).collect();
    for call in 0..CALLS {
        operation_relay_here(&mut shard, from, number, &text);
        operation_room_pair(&mut room, 2 * call);
        // Far enough apart that nobody meets a recent stranger.
        let pick = |turn: u64| links[(turn * 5 + 3) as usize % links.len()];
        operation_shard_pair(&mut shard, Time(0).plus_ms(call), [pick(2 * call), pick(2 * call + 1)]);
    }
}

fn two_shards() {
    let mut shards = [shard(0, 2), shard(1, 2)];
    let mut now = Time(0);
    for _ in 0..CALLS {
        let links = [greeted(&mut shards[0], now), greeted(&mut shards[1], now)];
        assert!(operation_pair_across(&mut shards, &mut now, links).is_some(), "both are told");
        part(&mut shards, now, links);
    }
    let links = [greeted(&mut shards[0], now), greeted(&mut shards[1], now)];
    let matched = pair_across(&mut shards, &mut now, links);
    let chat = matched.as_ref().and_then(chat_of).expect("both are told");
    let text = encode_relay(TEXT, chat, &[7; 100]);
    for _ in 0..CALLS {
        operation_relay_across(&mut shards, now, links[0], chat, &text);
    }
}

fn main() {
    frames();
    one_shard();
    two_shards();
}
