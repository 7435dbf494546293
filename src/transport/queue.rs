//! Step 5 of 6: what waits to be written to one channel.
//!
//! In: control frames and relayed frames, in order. Out: chunks for QUIC, and how many relayed bytes have left. Small
//! frames are gathered in one buffer; large ones keep the slices that they arrived in.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::core::io::FrameBytes;
use crate::limits::GATHER_BYTES;

/// The queue of one channel. Empty, it has no memory of its own.
#[derive(Debug, Default)]
pub struct OutQueue {
    segments: VecDeque<Segment>,
    /// Sum of the segments' lengths.
    bytes: usize,
}

#[derive(Debug)]
struct Segment {
    data: Data,
    /// How many bytes of it belong to relayed frames and have not been credited.
    relayed: usize,
}

#[derive(derive_more::Debug)]
enum Data {
    /// Small frames, copied behind each other; nothing else refers to the buffer.
    Gathered(#[debug("{} bytes", _0.len())] Vec<u8>),
    /// A slice of a receive buffer.
    Slice(#[debug("{} bytes", _0.len())] Bytes),
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Self::Gathered(bytes) => bytes.len(),
            Self::Slice(bytes) => bytes.len(),
        }
    }
}

impl OutQueue {
    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Adds a control frame.
    pub fn push_control(&mut self, frame: &[u8]) {
        self.gather(frame, 0);
    }

    /// Adds a relayed frame.
    pub fn push_relayed(&mut self, frame: FrameBytes) {
        let length = frame.len();
        if length < GATHER_BYTES {
            self.gather(&frame.first, frame.first.len());
            for slice in &frame.rest {
                self.gather(slice, slice.len());
            }
            return;
        }
        self.bytes += length;
        for slice in std::iter::once(frame.first).chain(frame.rest) {
            self.segments.push_back(Segment { relayed: slice.len(), data: Data::Slice(slice) });
        }
    }

    fn gather(&mut self, bytes: &[u8], relayed: usize) {
        self.bytes += bytes.len();
        if let Some(Segment { data: Data::Gathered(tail), relayed: of_tail }) = self.segments.back_mut()
            && tail.len() + bytes.len() <= GATHER_BYTES
        {
            tail.extend_from_slice(bytes);
            *of_tail += relayed;
            return;
        }
        self.segments.push_back(Segment { data: Data::Gathered(bytes.to_vec()), relayed });
    }

    /// Offers the segments to `write` in order, each as one chunk, until it takes less than all of one (it returns how much
    /// it took). Returns the bytes written and how many of them belong to relayed frames.
    pub fn write_to<E>(
        &mut self,
        mut write: impl FnMut(Bytes) -> Result<usize, E>,
    ) -> (Written, Result<(), E>) {
        let mut written = Written::default();
        while let Some(Segment { data, relayed }) = self.segments.pop_front() {
            let chunk = match data {
                Data::Gathered(bytes) => Bytes::from(bytes),
                Data::Slice(bytes) => bytes,
            };
            let length = chunk.len();
            let result = write(chunk.clone());
            let taken = result.as_ref().copied().unwrap_or(0).min(length);
            self.bytes -= taken;
            written.bytes += taken;
            written.relayed += taken.min(relayed);
            if taken < length {
                self.put_back(chunk.slice(taken..), relayed.saturating_sub(taken));
                return (written, result.map(|_| ()));
            }
        }
        self.segments.shrink_to_fit();
        (written, Ok(()))
    }

    /// Puts the rest of a segment back in front. A short rest gets a buffer of its own, so that it pins no larger one.
    fn put_back(&mut self, rest: Bytes, relayed: usize) {
        let data = if rest.len() < GATHER_BYTES { Data::Gathered(rest.to_vec()) } else { Data::Slice(rest) };
        self.segments.push_front(Segment { data, relayed });
    }

    /// Drops everything. Returns how many bytes of relayed frames that were.
    pub fn clear(&mut self) -> usize {
        let relayed = self.segments.iter().map(|segment| segment.relayed.min(segment.data.len())).sum();
        *self = Self::default();
        relayed
    }
}

/// What [`OutQueue::write_to`] has passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// All bytes.
    pub bytes: usize,
    /// Those of relayed frames.
    pub relayed: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut OutQueue, mut room: usize) -> (Vec<Bytes>, Written) {
        let mut chunks = Vec::new();
        let (written, _) = queue.write_to(|mut chunk| {
            let taken = chunk.len().min(room);
            room -= taken;
            chunks.push(chunk.split_to(taken));
            if taken == 0 { Err(()) } else { Ok(taken) }
        });
        (chunks, written)
    }

    #[test]
    fn small_frames_leave_together_and_in_order() {
        let mut queue = OutQueue::default();
        queue.push_control(b"one");
        queue.push_relayed(Bytes::from_static(b"two").into());
        queue.push_control(b"three");
        let (chunks, written) = drain(&mut queue, usize::MAX);
        assert_eq!(chunks, [Bytes::from_static(b"onetwothree")]);
        assert_eq!(written, Written { bytes: 11, relayed: 3 });
        assert!(queue.is_empty());
    }

    #[test]
    fn a_large_frame_is_passed_on_as_the_slices_it_came_in() {
        let first = Bytes::from(vec![1; 1_200]);
        let second = Bytes::from(vec![2; 300]);
        let mut queue = OutQueue::default();
        queue.push_relayed(FrameBytes { first: first.clone(), rest: vec![second.clone()] });
        let (chunks, _) = drain(&mut queue, usize::MAX);
        assert_eq!(chunks[0].as_ptr(), first.as_ptr());
        assert_eq!(chunks[1].as_ptr(), second.as_ptr());
    }

    #[test]
    fn every_relayed_byte_is_credited_once_however_the_writes_are_cut() {
        for room in 1..40 {
            let mut queue = OutQueue::default();
            let mut expected = Vec::new();
            for n in 0..50_usize {
                let frame = vec![n as u8; n * 37];
                expected.extend_from_slice(&frame);
                queue.push_relayed(Bytes::from(frame).into());
            }
            let (mut bytes, mut relayed) = (Vec::new(), 0);
            while !queue.is_empty() {
                let (chunks, written) = drain(&mut queue, room * 61);
                bytes.extend(chunks.concat());
                relayed += written.relayed;
            }
            assert_eq!(bytes, expected);
            assert_eq!(relayed, expected.len());
        }
    }

    #[test]
    fn a_dropped_queue_tells_what_it_held() {
        let mut queue = OutQueue::default();
        queue.push_control(&[0; 10]);
        queue.push_relayed(Bytes::from(vec![0; 2_000]).into());
        assert_eq!(queue.clear(), 2_000);
        assert!(queue.is_empty());
    }
}
