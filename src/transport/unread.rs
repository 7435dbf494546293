//! Step 1 of 6: what a client makes QUIC hold that cannot be read.
//!
//! In: STREAM frames as they come, and the chunks that are taken out of QUIC. Out: how many frames may lie there at most, of the
//! channel and of all other streams. quinn-proto keeps a buffer for each frame behind a gap, and says to nobody how many it has. From
//! outside, a frame that came twice looks the same as one behind a gap; but when as much has been read of a stream as its
//! window allows to be sent ahead, nothing that came before can still be there.

use quinn_proto::StreamId;

use crate::limits::{STREAM_WINDOW_BYTES, UNREAD_CHANNEL_FRAMES, UNREAD_OTHER_FRAMES};

/// The unread frames of one connection.
#[derive(Debug, Default)]
pub struct Unread {
    /// Streams with frames that were not taken; at most those that a client may open.
    streams: Vec<Stream>,
}

#[derive(Debug)]
struct Stream {
    id: StreamId,
    /// Frames that have come less chunks that were taken: never fewer than QUIC holds, once all of its events have been seen.
    /// Below zero while they have not.
    frames: i32,
    /// Frames that have come since the mark.
    since_mark: i32,
    /// Bytes that were read since the mark.
    read_bytes: usize,
}

impl Unread {
    /// A frame has come, or a stream has begun with one.
    pub fn note_frame(&mut self, id: StreamId) {
        let stream = self.stream(id);
        stream.frames += 1;
        stream.since_mark += 1;
        self.forget_if_nothing(id);
    }

    /// A chunk has been taken.
    pub fn note_taken(&mut self, id: StreamId, bytes: usize) {
        let stream = self.stream(id);
        stream.frames -= 1;
        stream.read_bytes += bytes;
        if stream.read_bytes >= STREAM_WINDOW_BYTES as usize {
            // All that came before the mark has been read, or came twice.
            stream.frames = stream.frames.min(stream.since_mark);
            (stream.since_mark, stream.read_bytes) = (0, 0);
        }
        self.forget_if_nothing(id);
    }

    /// QUIC holds nothing of this stream any more.
    pub fn note_end(&mut self, id: StreamId) {
        self.streams.retain(|stream| stream.id != id);
    }

    /// Whether there may be more of them than a client may leave.
    pub fn is_too_much(&self, channel: Option<StreamId>) -> bool {
        let mut others = 0;
        for stream in &self.streams {
            if Some(stream.id) == channel {
                if stream.frames > UNREAD_CHANNEL_FRAMES {
                    return true;
                }
            } else {
                others += stream.frames.max(0);
            }
        }
        others > UNREAD_OTHER_FRAMES
    }

    fn stream(&mut self, id: StreamId) -> &mut Stream {
        let place = self.streams.iter().position(|stream| stream.id == id).unwrap_or_else(|| {
            self.streams.push(Stream { id, frames: 0, since_mark: 0, read_bytes: 0 });
            self.streams.len() - 1
        });
        &mut self.streams[place]
    }

    fn forget_if_nothing(&mut self, id: StreamId) {
        self.streams.retain(|stream| stream.id != id || stream.frames != 0);
    }
}

#[cfg(test)]
mod tests {
    use quinn_proto::{Dir, Side};

    use super::*;

    const WINDOW: usize = STREAM_WINDOW_BYTES as usize;

    fn stream(index: u64) -> StreamId {
        StreamId::new(Side::Client, Dir::Bi, index)
    }

    #[test]
    fn what_is_taken_leaves_nothing_in_whatever_order_it_is_told() {
        let mut unread = Unread::default();
        // Five frames are read at the first event, and four events follow.
        unread.note_frame(stream(0));
        (0..5).for_each(|_| unread.note_taken(stream(0), 10));
        (0..4).for_each(|_| unread.note_frame(stream(0)));
        assert!(unread.streams.is_empty());
    }

    #[test]
    fn frames_behind_gaps_are_too_much_on_one_stream_or_on_several() {
        let mut unread = Unread::default();
        for frame in 0..UNREAD_OTHER_FRAMES {
            unread.note_frame(stream(u64::from(frame.unsigned_abs() % 3)));
        }
        assert!(!unread.is_too_much(None));
        unread.note_frame(stream(4));
        assert!(unread.is_too_much(None));
        assert!(!unread.is_too_much(Some(stream(0))), "the channel has a bound of its own");
        (0..=UNREAD_CHANNEL_FRAMES).for_each(|_| unread.note_frame(stream(0)));
        assert!(unread.is_too_much(Some(stream(0))));
        unread.note_end(stream(0));
        assert!(!unread.is_too_much(Some(stream(0))));
    }

    #[test]
    fn frames_that_came_twice_are_forgotten_when_the_stream_has_gone_on() {
        let mut unread = Unread::default();
        for _ in 0..100 * UNREAD_CHANNEL_FRAMES {
            // A frame of 300 bytes, and the same again, which QUIC drops.
            unread.note_frame(stream(0));
            unread.note_taken(stream(0), 300);
            unread.note_frame(stream(0));
            assert!(!unread.is_too_much(Some(stream(0))));
        }
        let most = 2 * WINDOW.div_ceil(300);
        assert!(unread.streams[0].frames.unsigned_abs() as usize <= 2 * most, "{unread:?}");
    }

    #[test]
    fn frames_behind_a_gap_are_not_forgotten_while_other_streams_go_on() {
        let mut unread = Unread::default();
        (0..=UNREAD_OTHER_FRAMES).for_each(|_| unread.note_frame(stream(0)));
        for _ in 0..1_000 {
            unread.note_frame(stream(1));
            unread.note_taken(stream(1), 1_000);
        }
        assert!(unread.is_too_much(Some(stream(1))));
    }
}
