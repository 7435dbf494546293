//! Shards for benchmarks: sessions that have said HELLO, chats between them, and the messages between two shards.

#![allow(dead_code, missing_docs, clippy::unwrap_used, reason = "each benchmark uses its part")]

use std::hint::black_box;

use anoncam::core::bus::BusMessage;
use anoncam::core::frame::ControlKind;
use anoncam::core::io::{ChatId, LinkId, Output, RelayFrame, Relayed, ShardId, Time};
use anoncam::core::pairing::{Address, Mode, PersonId, Seeker, SessionId, Wants};
use anoncam::core::shard::{Shard, ShardConfig};
use bytes::Bytes;

pub const FIND: &[u8] = br#"{"n":1,"mode":"text"}"#;
const MATCHED: u8 = 0x43;

/// Somebody without wishes.
pub fn seeker(number: u64) -> Seeker {
    Seeker {
        who: Address { shard: ShardId(0), session: SessionId(number as u32), person: PersonId(number + 1) },
        since: Time(0),
        mode: Mode::Text,
        strict: false,
        claimed: false,
        wants: Wants::default(),
        known: None,
    }
}

pub fn shard(id: u16, shards: u16) -> Shard {
    let config = ShardConfig { id: ShardId(id), shards, limit_rates: false, ..ShardConfig::default() };
    Shard::new(config, [id as u8 + 1; 32], Time(0))
}

/// A session that has said HELLO.
pub fn greeted(shard: &mut Shard, now: Time) -> LinkId {
    let link = shard.handle_open(now);
    shard.handle_control(now, link, ControlKind::Hello, br#"{"v":1}"#);
    while shard.poll_output().is_some() {}
    link
}

/// The chat that a frame announces, if it is MATCHED.
pub fn chat_of(frame: &Bytes) -> Option<ChatId> {
    let json: serde_json::Value = serde_json::from_slice(&frame[4..]).ok()?;
    (frame[0] == MATCHED).then(|| ChatId(json["chat"].as_u64().unwrap() as u32))
}

/// Two sessions of one shard in a chat.
pub fn chat(shard: &mut Shard) -> (LinkId, LinkId, ChatId) {
    let (a, b) = (greeted(shard, Time(0)), greeted(shard, Time(0)));
    for link in [a, b] {
        shard.handle_control(Time(0), link, ControlKind::Find, FIND);
    }
    let mut chat = None;
    while let Some(output) = shard.poll_output() {
        if let Output::Send { frame, .. } = output {
            chat = chat_of(&frame).or(chat);
        }
    }
    (a, b, chat.unwrap())
}

/// Passes a frame on within its shard, and credits it.
pub fn relay_here(shard: &mut Shard, from: LinkId, chat: ChatId, bytes: &Bytes) {
    let frame = RelayFrame { chat, bytes: bytes.clone().into() };
    let Relayed::Here { to, frame } = shard.handle_relay(Time(1), from, frame) else {
        panic!("there is a chat")
    };
    shard.handle_flushed(Time(1), to, frame.len());
}

/// Passes a frame on to the other shard's link, and credits it there.
pub fn relay_there(shards: &mut [Shard; 2], now: Time, from: LinkId, chat: ChatId, bytes: &Bytes) {
    let frame = RelayFrame { chat, bytes: bytes.clone().into() };
    let Relayed::There { message, .. } = shards[0].handle_relay(now, from, frame) else {
        panic!("the chat is with the other shard")
    };
    let Relayed::Here { to, frame } = shards[1].handle_bus(now, ShardId(0), message) else {
        panic!("the stranger is there")
    };
    shards[1].handle_flushed(now, to, frame.len());
    settle(shards, now);
}

/// Delivers what shards say to each other until they are silent. Returns the last MATCHED that a client is told.
pub fn settle(shards: &mut [Shard; 2], now: Time) -> Option<Bytes> {
    let mut letters: Vec<(usize, BusMessage)> = Vec::new();
    let mut matched = None;
    loop {
        for shard in shards.iter_mut() {
            while let Some(output) = shard.poll_output() {
                match output {
                    Output::Bus { to, message } => letters.push((to.0 as usize, message)),
                    Output::Send { frame, .. } if frame[0] == MATCHED => matched = Some(frame),
                    other => drop(black_box(other)),
                }
            }
        }
        if letters.is_empty() {
            return matched;
        }
        for (to, message) in letters.drain(..) {
            black_box(shards[to].handle_bus(now, ShardId(1 - to as u16), message));
        }
    }
}

/// Somebody on each of two shards looks, and they are brought together: all messages of the hand-off. Returns MATCHED.
pub fn pair_across(shards: &mut [Shard; 2], now: &mut Time, links: [LinkId; 2]) -> Option<Bytes> {
    for (shard, link) in shards.iter_mut().zip(links) {
        shard.handle_control(*now, link, ControlKind::Find, FIND);
    }
    settle(shards, *now);
    *now = now.plus_ms(2);
    for shard in shards.iter_mut() {
        shard.handle_timeout(*now);
    }
    settle(shards, *now)
}

/// Both leave, and are gone.
pub fn part(shards: &mut [Shard; 2], now: Time, links: [LinkId; 2]) {
    for (shard, link) in shards.iter_mut().zip(links) {
        shard.handle_control(now, link, ControlKind::Leave, b"");
        shard.handle_closed(now, link);
    }
    settle(shards, now);
}
