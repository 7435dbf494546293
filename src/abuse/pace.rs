//! Step 5 of 6: how fast one channel is read.
//!
//! In: relayed frames as they pass. Out: whether the next one is read now, or when. Nothing is dropped: what is not read waits in QUIC,
//! whose flow control reaches the sender. A channel takes its part of what its address may send a batch at a time, so the table that all
//! shards share is touched once in sixteen frames or 16 KiB.

use super::Ticket;
use super::table::Kind;
use crate::core::io::Time;
use crate::core::session::Rate;
use crate::limits::{
    PACE_FRAMES, PACE_KIBS, SESSION_FRAMES, SESSION_FRAMES_PER_S, SESSION_KIBS, SESSION_KIBS_PER_S,
};

/// A batch of frames takes a session so long to earn, in ms.
const FRAMES_MS: u64 = PACE_FRAMES as u64 * 1_000 / SESSION_FRAMES_PER_S;
/// A batch of KiB takes a session so long to earn, in ms.
const KIBS_MS: u64 = PACE_KIBS as u64 * 1_000 / SESSION_KIBS_PER_S;

/// What one channel may send before it asks again.
#[derive(Debug, Default)]
pub struct Pace {
    frames: i64,
    bytes: i64,
    /// What the session by itself may send, in batches.
    own_frames: Rate,
    own_kibs: Rate,
    /// Until when it is not read.
    until: Option<Time>,
}

impl Pace {
    /// Whether the channel may be read.
    #[inline]
    pub const fn is_open(&self) -> bool {
        self.until.is_none()
    }

    /// When it is to be read again, if it is not now.
    pub const fn until(&self) -> Option<Time> {
        self.until
    }

    /// A relayed frame has passed. Past what it has, the channel asks for more, and is not read while there is none. Returns whether it
    /// has asked.
    #[inline]
    pub fn spend(&mut self, now: Time, ticket: &Ticket, bytes: usize) -> bool {
        self.frames -= 1;
        self.bytes -= i64::from(bytes as u32);
        let asks = self.frames < 0 || self.bytes < 0;
        if asks {
            self.refill(now, ticket);
        }
        asks
    }

    /// The wait is over, or was: whether the channel may be read from now on.
    pub fn go_on(&mut self, now: Time, ticket: &Ticket) -> bool {
        if self.until.is_some_and(|until| until <= now) {
            self.until = None;
            self.refill(now, ticket);
            return self.is_open();
        }
        false
    }

    fn refill(&mut self, now: Time, ticket: &Ticket) {
        if !ticket.is_limited() {
            (self.frames, self.bytes) = (i64::MAX, i64::MAX);
            return;
        }
        while self.frames < 0 || self.bytes < 0 {
            let more = if self.frames < 0 {
                let more = take(now, ticket, Kind::Frames, PACE_FRAMES, &mut self.own_frames);
                more.map(|()| self.frames += i64::from(PACE_FRAMES))
            } else {
                let more = take(now, ticket, Kind::Kibs, PACE_KIBS, &mut self.own_kibs);
                more.map(|()| self.bytes += i64::from(PACE_KIBS) * 1_024)
            };
            if let Err(wait_ms) = more {
                self.until = Some(now.plus_ms(wait_ms.max(1)));
                return;
            }
        }
    }
}

/// A batch out of what the session and its address may send.
fn take(now: Time, ticket: &Ticket, kind: Kind, count: u32, own: &mut Rate) -> Result<(), u64> {
    let (burst, every_ms) = match kind {
        Kind::Frames => (SESSION_FRAMES / u64::from(PACE_FRAMES), FRAMES_MS),
        _ => (SESSION_KIBS / u64::from(PACE_KIBS), KIBS_MS),
    };
    let mut after = *own;
    after.take(now, burst, every_ms)?;
    ticket.take(now, kind, count.into())?;
    *own = after;
    Ok(())
}
