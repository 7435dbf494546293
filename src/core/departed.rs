//! Step 6 of 6: whoever went away outside of a chat keeps a place for a while, and gives it up to a newcomer when there is no other.
//!
//! Without this a full shard would let nobody in for as long as a session can be resumed, although people leave all the time. Whose
//! network has changed is back within seconds, so the place is theirs that long; whoever is in a chat keeps it in any case.

use std::collections::VecDeque;

use super::io::Time;
use super::pairing::SessionId;
use super::shard::Shard;
use crate::limits::KEEP_PLACE_MS;

/// Sessions that went away outside of a chat, the longest away first, each with when. Some have come back or been forgotten
/// since; none is older than a session can be resumed, and there are no more than the shard has places.
#[derive(Debug, Default)]
pub(super) struct Departed(VecDeque<(SessionId, Time)>);

impl Shard {
    /// A session has lost its channel.
    pub(super) fn depart(&mut self, now: Time, id: SessionId) {
        if !self.is_away_since(id, now) {
            return;
        }
        let (resume_ms, most) = (self.config.resume_ms, self.config.max_sessions as usize);
        let departed = &mut self.departed.0;
        while departed.front().is_some_and(|(_, at)| at.plus_ms(resume_ms) <= now || departed.len() >= most) {
            departed.pop_front();
        }
        departed.push_back((id, now));
    }

    /// Forgets who has been away the longest outside of a chat, if anybody has been for long enough. Whether there is a place now.
    pub(super) fn make_room(&mut self, now: Time) -> bool {
        while let Some((id, at)) = self.departed.0.front().copied() {
            if at.plus_ms(KEEP_PLACE_MS) > now {
                return false;
            }
            self.departed.0.pop_front();
            if self.is_away_since(id, at) {
                self.forget(now, id);
                return true;
            }
        }
        false
    }

    fn is_away_since(&self, id: SessionId, at: Time) -> bool {
        let session = self.sessions.get(id.0);
        session
            .is_some_and(|session| session.link.is_none() && session.chat().is_none() && session.since == at)
    }
}
