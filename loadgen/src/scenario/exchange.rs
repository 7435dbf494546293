//! What two browsers send one another to set up a call (docs/PROTOCOL.md section 7), with the sizes of the real thing:
//! commit, two reveals, a 6 KB offer, an answer, and 12 candidates, six from each.

use crate::net::SessionId;
use crate::stats::recorder::{Count, Metric};
use crate::time::now;
use crate::worker::Worker;
use crate::worker::message::Stamp;
use crate::worker::user;
use crate::wt::frame::SIGNAL;

const COMMIT: u8 = 1;
const REVEAL_OF_ANSWERER: u8 = 2;
const REVEAL_OF_OFFERER: u8 = 3;
const OFFER: u8 = 4;
const ANSWER: u8 = 5;
const CANDIDATE: u8 = 6;

/// Chat number, then JSON with a hash (commit), or a key and a nonce (reveal).
const COMMIT_BYTES: usize = 4 + 74;
const REVEAL_BYTES: usize = 4 + 143;
/// Chat number, version, counter, tag, and a plaintext padded to a multiple of 256 bytes.
const OFFER_BYTES: usize = 4 + 9 + 16 + 6144;
const CANDIDATE_BYTES: usize = 4 + 9 + 16 + 256;
/// Candidates of each side.
const CANDIDATES: u32 = 6;

/// The offerer begins when it is matched.
pub fn begin(worker: &mut Worker, session: SessionId) {
    if worker.users.get(session).is_some_and(|user| user.offerer) {
        send(worker, session, COMMIT, COMMIT_BYTES);
    }
}

/// Answers a frame of the exchange; `true` when it completed the exchange, which the offerer notices.
pub fn handle(worker: &mut Worker, session: SessionId, stamp: Stamp) -> bool {
    match stamp.kind {
        COMMIT => send(worker, session, REVEAL_OF_ANSWERER, REVEAL_BYTES),
        REVEAL_OF_ANSWERER => {
            send(worker, session, REVEAL_OF_OFFERER, REVEAL_BYTES);
            send(worker, session, OFFER, OFFER_BYTES);
            send_candidates(worker, session);
        }
        OFFER => {
            send(worker, session, ANSWER, OFFER_BYTES);
            send_candidates(worker, session);
        }
        CANDIDATE => return handle_candidate(worker, session),
        _ => {}
    }
    false
}

fn handle_candidate(worker: &mut Worker, session: SessionId) -> bool {
    let Some(user) = worker.users.get_mut(session) else { return false };
    user.progress += 1;
    // Frames of a chat arrive in order, so the last candidate means that the answer is there too.
    if !user.offerer || user.progress != CANDIDATES {
        return false;
    }
    let matched = user.matched;
    worker.recorder.latency(Metric::Exchange, matched, matched, now());
    worker.recorder.scheduled(Count::Exchanges, matched);
    true
}

fn send_candidates(worker: &mut Worker, session: SessionId) {
    for _ in 0..CANDIDATES {
        send(worker, session, CANDIDATE, CANDIDATE_BYTES);
    }
}

fn send(worker: &mut Worker, session: SessionId, kind: u8, size: usize) {
    user::send(worker, session, SIGNAL, kind, size, now());
}
