//! Step 5 of 6: memory. What each connection holds, and what happens when it or its shard holds too much.

use std::time::Instant;

use super::connection::{H3_EXCESSIVE_LOAD, Phase};
use super::hub::Hub;
use crate::core::frame::FrameDecoder;
use crate::core::io::Time;
use crate::limits;
use crate::ops::Total;

impl Hub {
    /// Updates what a connection counts for, ends it when its queue is past its bound, and sheds the heaviest while the
    /// shard is past its cap.
    pub(super) fn account(&mut self, now: Time, handle: u32) {
        let Some(line) = self.line(handle) else { return };
        let holds = line.buffered_bytes();
        let before = std::mem::replace(&mut line.accounted, holds);
        let link = line.link;
        if holds != before {
            self.buffered = self.buffered + holds - before;
            if before >= limits::HEAVY_BYTES {
                self.heavy.remove(&(before, handle));
            }
            if holds >= limits::HEAVY_BYTES {
                self.heavy.insert((holds, handle));
            }
        }
        if holds > limits::CHANNEL_BYTES
            && let Some(link) = link
        {
            self.core.handle_stalled(now, link);
            self.apply(now);
        }
        while self.buffered > self.buffer_cap {
            let Some((_, heaviest)) = self.heavy.pop_last() else { return };
            self.shed(now, heaviest);
        }
    }

    /// A connection is about to be forgotten: it holds nothing any more.
    pub(super) fn account_forgotten(&mut self, handle: u32) {
        let Some(line) = self.line(handle) else { return };
        let held = std::mem::take(&mut line.accounted);
        self.buffered -= held;
        self.heavy.remove(&(held, handle));
    }

    /// What a client sends many frames of is read before more of it is taken in, so that one turn cannot pile them up.
    pub(super) fn look_if_flooding(&mut self, instant: Instant, now: Time, handle: u32) {
        if self.conn(handle).is_some_and(|conn| conn.is_flooding()) {
            self.poll_quic(instant, now, handle);
            self.end_if_hoarding(instant, now, handle);
        }
    }

    /// Ends a connection that makes QUIC hold data which cannot be read.
    pub(super) fn end_if_hoarding(&mut self, instant: Instant, now: Time, handle: u32) {
        let Some(conn) = self.conn(handle) else { return };
        if !conn.hoards() || matches!(conn.phase, Phase::Closed) {
            return;
        }
        conn.close_quic(instant, H3_EXCESSIVE_LOAD, "too much data with gaps");
        self.totals[Total::Shed] += 1;
        self.unlink(now, handle);
    }

    pub(super) fn shed(&mut self, now: Time, handle: u32) {
        let Some(line) = self.line(handle) else { return };
        let holds = std::mem::take(&mut line.accounted);
        line.out.clear();
        line.decoder = FrameDecoder::default();
        let link = line.link;
        self.buffered -= holds;
        self.totals[Total::Shed] += 1;
        if let Some(link) = link {
            self.core.handle_stalled(now, link);
            self.apply(now);
        }
    }
}
