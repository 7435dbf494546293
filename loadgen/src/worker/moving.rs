//! What a client does when its server goes away (docs/PROTOCOL.md, section 4): whoever is idle or looking connects again at once,
//! whoever is in a chat when that is over. A newer server has taken over, or there is none and connecting fails.
//!
//! In: DRAIN, and close code 5. Out: a user on a new session, with the wish that it had, which counts from when it was made.

use bytes::Bytes;
use serde::Deserialize;

use super::Worker;
use super::message;
use super::user::{self, State, User};
use crate::net::{Gone, SessionId};
use crate::stats::recorder::{Count, Metric};
use crate::time::{MILLISECOND, Nanos};
use crate::wt::session::End as SessionEnd;

/// Close code of a server that goes away.
const DRAINING: u32 = 5;
/// The server's clock is not looked at to the last millisecond.
const SLACK_NS: Nanos = 50 * MILLISECOND;

/// DRAIN, as far as a load generator cares.
#[derive(Deserialize)]
struct Drain {
    within_ms: u64,
}

/// A wish that outlives the session that it was made on: what for, and since when.
#[derive(Clone, Copy)]
pub struct Wish {
    /// When it was meant to be sent.
    pub intended: Nanos,
    /// What it is timed as.
    pub metric: Metric,
    /// Whether it is for video.
    pub video: bool,
}

/// The server goes away.
pub fn drained(worker: &mut Worker, session: SessionId, payload: &Bytes) {
    let Ok(drain) = serde_json::from_slice::<Drain>(payload) else {
        return worker.recorder.failure("a DRAIN that is not the protocol's JSON");
    };
    let Some(user) = worker.users.get_mut(session) else { return };
    user.leaves_within = Some(drain.within_ms.saturating_mul(MILLISECOND));
    if user.state != State::InChat {
        go_on_elsewhere(worker, session);
    }
}

/// A chat was ended by the server. One that has had less than the time that was promised is a failure.
pub fn cut_short(worker: &mut Worker, session: SessionId, at: Nanos) {
    let Some(user) = worker.users.get(session) else { return };
    let had = at.saturating_sub(user.matched) + SLACK_NS;
    if user.leaves_within.is_none_or(|promised| had < promised) {
        worker.recorder.failure("a chat was ended before the time that DRAIN promised");
    }
}

/// Whether a session ended because the server goes away, and not because it let nobody in.
pub fn is_moving(user: &User, why: &Gone) -> bool {
    user.state != State::Opening && matches!(why, Gone::Session(SessionEnd::Closed(DRAINING, _)))
}

/// Whether a user should not stay on its session.
pub fn has_to_go(worker: &Worker, session: SessionId) -> bool {
    worker.users.get(session).is_some_and(|user| user.leaves_within.is_some())
}

/// Connects again; what the user looked for it looks for there.
pub fn go_on_elsewhere(worker: &mut Worker, session: SessionId) {
    let Some(user) = worker.users.get(session) else { return };
    let wish = (user.state == State::Looking).then(|| user.wish());
    go_on_looking_elsewhere(worker, session, wish);
}

/// Connects again, to look for this.
pub fn go_on_looking_elsewhere(worker: &mut Worker, session: SessionId, wish: Option<Wish>) {
    let Some(user) = worker.users.remove(session) else { return };
    if user.chat().is_some() {
        worker.net.send(session, message::leave());
    }
    user::forget(worker, user.chat());
    worker.recorder.count(Count::Moved, 1);
    worker.net.close(session, 0);
    worker.open_again(wish);
}
