//! What a relayed frame costs in memory: its payload is neither copied nor allocated anew.

#![allow(missing_docs)]

#[path = "../benches/support/counting.rs"]
mod counting;

use anoncam::core::frame::{ControlKind, Frame, FrameDecoder, SIGNAL, TEXT, encode_relay};
use anoncam::core::io::{ChatId, FrameBytes, LinkId, Output, Relayed, Time};
use anoncam::core::shard::{Shard, ShardConfig};
use bytes::Bytes;
use counting::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A chat on one shard: who sends, and its number.
fn chat(shard: &mut Shard, now: Time) -> (LinkId, ChatId) {
    let mut number = 0;
    let links = [(); 2].map(|()| {
        let link = shard.handle_open(now);
        shard.handle_control(now, link, ControlKind::Hello, br#"{"v":1}"#);
        shard.handle_control(now, link, ControlKind::Find, br#"{"n":1,"mode":"text"}"#);
        link
    });
    while let Some(output) = shard.poll_output() {
        if let Output::Send { frame, .. } = output
            && frame[0] == 0x43
        {
            let json: serde_json::Value = serde_json::from_slice(&frame[4..]).expect("JSON");
            number = json["chat"].as_u64().expect("a number") as u32;
        }
    }
    (links[0], ChatId(number))
}

/// Decodes and relays what comes in `chunks`; what goes out, and the bytes and allocations it took.
fn relay(shard: &mut Shard, link: LinkId, chunks: Vec<Bytes>) -> (FrameBytes, usize, usize) {
    let now = Time(9);
    let mut decoder = FrameDecoder::default();
    let before = Counting::allocated();
    let mut forwarded = None;
    for chunk in chunks {
        decoder.push(chunk);
        while let Ok(Some(Frame::Relay(frame))) = decoder.next() {
            if let Relayed::Here { frame, .. } = shard.handle_relay(now, link, frame) {
                forwarded = Some(frame);
            }
        }
    }
    let after = Counting::allocated();
    (forwarded.expect("forwarded"), after.0 - before.0, after.1 - before.1)
}

/// One test, because the counters are the process's.
#[test]
fn a_relayed_frame_is_forwarded_as_it_came() {
    let mut shard = Shard::new(ShardConfig::default(), [7; 32], Time(0));
    let (link, chat) = chat(&mut shard, Time(0));

    // A SIGNAL of 32 KiB in 28 datagrams: the list of its slices is all that is allocated, and its short end is copied.
    let signal = encode_relay(SIGNAL, chat, &vec![7; 32_000]);
    let chunks: Vec<Bytes> =
        (0..signal.len()).step_by(1_150).map(|at| signal.slice(at..signal.len().min(at + 1_150))).collect();
    let (frame, bytes, allocations) = relay(&mut shard, link, chunks);
    assert_eq!(frame.len(), signal.len());
    let range = signal.as_ptr_range();
    let shared =
        frame.rest.iter().filter(|slice| range.contains(&slice.as_ptr())).map(Bytes::len).sum::<usize>();
    assert!(shared > 30_000, "{shared} bytes of {} are slices of what came", signal.len());
    println!("SIGNAL of {} bytes: {bytes} bytes in {allocations} allocations", signal.len());
    assert!(bytes < 8_192, "{bytes} bytes were allocated");

    // A TEXT of 8 KiB in one chunk: nothing at all.
    let text = encode_relay(TEXT, chat, &vec![7; 8_000]);
    let (frame, bytes, allocations) = relay(&mut shard, link, vec![text.clone()]);
    assert_eq!((frame.first.as_ptr(), frame.len()), (text.as_ptr(), text.len()));
    assert_eq!((bytes, allocations), (0, 0));

    // A TEXT of 300 bytes: copied once, so that it does not pin its datagram; its length and no more.
    let text = encode_relay(TEXT, chat, &vec![7; 300]);
    let (frame, bytes, allocations) = relay(&mut shard, link, vec![text.clone()]);
    assert_eq!((frame.first.clone(), frame.rest.len()), (text.clone(), 0));
    assert_eq!((bytes, allocations), (text.len(), 1));
}
