//! The channel's frames: any slicing of the same bytes gives the same frames, and the decoder holds no more than it says.

use anoncam::core::frame::{Frame, FrameDecoder, FrameFault};
use anoncam::limits::{FRAME_HEADER_BYTES, SIGNAL_PAYLOAD_BYTES};
use bytes::Bytes;

use super::Input;

/// The first byte sets the slicing, the rest is the channel.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let slice = usize::from(input.byte()) + 1;
    let whole = decode([input.0].into_iter());
    assert_eq!(decode(input.0.chunks(slice)), whole);
    assert_eq!(decode(input.0.chunks(1)), whole);
}

fn decode<'a>(slices: impl Iterator<Item = &'a [u8]>) -> (Vec<(Frame, Vec<u8>)>, Option<FrameFault>) {
    let (mut decoder, mut frames) = (FrameDecoder::default(), Vec::new());
    for slice in slices {
        decoder.push(Bytes::copy_from_slice(slice));
        loop {
            match decoder.next() {
                Ok(Some(frame)) => frames.push(comparable(frame)),
                Ok(None) => break,
                Err(fault) => return (frames, Some(fault)),
            }
        }
        // A frame in parts, and what a page that small slices are gathered in may add.
        assert!(decoder.pinned_bytes() <= 2 * (FRAME_HEADER_BYTES + SIGNAL_PAYLOAD_BYTES) + 65_536);
    }
    (frames, None)
}

/// A frame as one slice, so that frames in different slicings are equal.
fn comparable(frame: Frame) -> (Frame, Vec<u8>) {
    let Frame::Relay(mut relay) = frame else { return (frame, Vec::new()) };
    let mut bytes = relay.bytes.first.to_vec();
    relay.bytes.rest.iter().for_each(|slice| bytes.extend_from_slice(slice));
    relay.bytes = Bytes::new().into();
    (Frame::Relay(relay), bytes)
}
