//! What the decoder promises, told by the golden vectors and by every way to slice a stream.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Vectors {
    server: Vec<ServerVector>,
    client: Vec<ClientVector>,
}

#[derive(Deserialize)]
struct ServerVector {
    name: String,
    #[serde(rename = "type")]
    kind: u8,
    payload: String,
    bytes: String,
}

#[derive(Deserialize)]
struct ClientVector {
    name: String,
    stream: String,
    frames: Vec<FrameVector>,
    fault: Option<u8>,
}

#[derive(Deserialize)]
struct FrameVector {
    #[serde(rename = "type")]
    kind: u8,
    chat: Option<u32>,
    payload: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../docs/vectors/frames.json")).expect("the vectors are JSON")
}

fn bytes(hex: &str) -> Bytes {
    let digits = (0..hex.len()).step_by(2);
    digits.map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal")).collect()
}

/// Feeds a stream in slices of `size` bytes: the frames, and the fault that ended it.
fn decode(stream: &Bytes, size: usize) -> (Vec<Frame>, Option<FrameFault>) {
    let (mut decoder, mut frames) = (FrameDecoder::default(), Vec::new());
    for from in (0..stream.len()).step_by(size) {
        decoder.push(stream.slice(from..stream.len().min(from + size)));
        loop {
            match decoder.next() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(fault) => return (frames, Some(fault)),
            }
        }
    }
    (frames, None)
}

fn whole(frame: &FrameBytes) -> Bytes {
    join(frame.clone())
}

#[test]
fn golden_vectors_decode_in_any_slicing() {
    for vector in vectors().client {
        let stream = bytes(&vector.stream);
        for size in 1..=stream.len().max(1) {
            let (frames, fault) = decode(&stream, size);
            let name = &vector.name;
            assert_eq!(fault.map(|fault| fault.code() as u8), vector.fault, "{name}, slices of {size}");
            assert_eq!(frames.len(), vector.frames.len(), "{name}, slices of {size}");
            for (frame, wanted) in frames.iter().zip(&vector.frames) {
                let payload = bytes(&wanted.payload);
                match frame {
                    Frame::Control { kind, payload: got } => {
                        assert_eq!((*kind as u8, got), (wanted.kind, &payload), "{name}, slices of {size}");
                    }
                    Frame::Relay(relay) => {
                        let got = whole(&relay.bytes);
                        assert_eq!(Some(relay.chat.0), wanted.chat, "{name}");
                        assert_eq!((got[0], got.slice(8..)), (wanted.kind, payload), "{name}");
                    }
                }
            }
        }
    }
}

#[test]
fn golden_vectors_encode() {
    for vector in vectors().server {
        let kinds = [ServerKind::Welcome, ServerKind::Peer];
        let kind = kinds.into_iter().find(|kind| *kind as u8 == vector.kind).expect("a server type");
        let frame = encode(kind, |to| to.extend_from_slice(vector.payload.as_bytes()));
        assert_eq!(frame, bytes(&vector.bytes), "{}", vector.name);
    }
}

#[test]
fn frames_of_every_size_pass_unchanged_in_any_slicing() {
    let mut stream = BytesMut::new();
    let sizes = [0, 1, 100, 1_015, 1_016, 1_017, 4_000, 8_188, 32_764];
    for size in sizes {
        let payload: Vec<u8> = (0..size).map(|at| at as u8).collect();
        stream.put(encode_relay(if size > 8_000 { SIGNAL } else { TEXT }, ChatId(size as u32), &payload));
    }
    let stream = stream.freeze();
    for size in [1, 2, 3, 7, 1_023, 1_024, 1_025, 1_400, 65_536] {
        let (frames, fault) = decode(&stream, size);
        assert_eq!(fault, None);
        let mut joined = BytesMut::new();
        for (frame, payload) in frames.iter().zip(sizes) {
            let Frame::Relay(relay) = frame else { panic!("a relayed frame") };
            assert_eq!(relay.chat.0 as usize, payload);
            joined.put(whole(&relay.bytes));
        }
        assert_eq!(joined, stream, "slices of {size}");
    }
}

#[test]
fn a_large_frame_is_slices_of_what_came_in() {
    let stream = encode_relay(SIGNAL, ChatId(1), &vec![7; 32_000]);
    let mut decoder = FrameDecoder::default();
    let range = stream.as_ptr_range();
    for from in (0..stream.len()).step_by(1_200) {
        assert_eq!(decoder.next(), Ok(None));
        decoder.push(stream.slice(from..stream.len().min(from + 1_200)));
    }
    let Ok(Some(Frame::Relay(frame))) = decoder.next() else { panic!("complete") };
    let inside = frame.bytes.rest.iter().filter(|slice| range.contains(&slice.as_ptr())).count();
    assert!(inside >= 24, "{inside} slices were not copied");
    assert_eq!(decoder.pinned_bytes(), 0);
}

#[test]
fn one_byte_at_a_time_pins_no_more_than_the_frame() {
    let stream = encode_relay(SIGNAL, ChatId(1), &vec![7; 32_000]);
    let mut decoder = FrameDecoder::default();
    for at in 0..stream.len() - 1 {
        decoder.push(stream.slice(at..=at));
        assert_eq!(decoder.next(), Ok(None));
        assert!(decoder.pinned_bytes() <= 2 * stream.len() + 1_024, "{} at {at}", decoder.pinned_bytes());
    }
}

#[test]
fn an_announced_frame_that_never_comes_costs_little() {
    let mut decoder = FrameDecoder::default();
    decoder.push(Bytes::from_static(&[SIGNAL, 0, 0x80, 0]));
    assert_eq!(decoder.next(), Ok(None));
    assert!(decoder.pinned_bytes() < 1_300, "{}", decoder.pinned_bytes());
}

#[test]
fn an_idle_decoder_is_small() {
    assert!(size_of::<FrameDecoder>() <= 64, "{}", size_of::<FrameDecoder>());
    assert_eq!(FrameDecoder::default().pinned_bytes(), 0);
}

#[test]
fn a_driver_may_stop_between_frames_and_push_more() {
    let mut decoder = FrameDecoder::default();
    let leave = encode_control(ControlKind::Leave, &[]);
    decoder.push([leave.clone(), leave.clone()].concat().into());
    assert!(matches!(decoder.next(), Ok(Some(_))));
    decoder.push(leave);
    assert!(matches!(decoder.next(), Ok(Some(_))));
    assert!(matches!(decoder.next(), Ok(Some(_))));
    assert_eq!(decoder.next(), Ok(None));
}
