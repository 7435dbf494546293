//! `churn`: people who press next every few seconds.
//!
//! The moment of pressing next is drawn beforehand, so latency counts from when it was meant to happen.

use super::Scenario;
use crate::net::SessionId;
use crate::time::{Nanos, SECOND};
use crate::worker::Worker;
use crate::worker::user::{self, Did};

const PRESS_NEXT: u8 = 1;
const LOOK_AGAIN: u8 = 2;

/// The users of one thread.
pub struct Churn;

impl Scenario for Churn {
    fn did(&mut self, worker: &mut Worker, session: SessionId, did: Did) {
        let dwell = worker.settings.dwell_ns as f64;
        match did {
            // Spread over a while, so that not all look at once.
            Did::Ready => {
                let span = (worker.rng.unit() * dwell.min(SECOND as f64)) as Nanos;
                worker.after(session, span, LOOK_AGAIN);
            }
            Did::Matched => {
                let span = worker.rng.exponential(dwell) as Nanos;
                worker.after(session, span, PRESS_NEXT);
            }
            Did::Ended => worker.after(session, worker.settings.think_ns, LOOK_AGAIN),
            Did::Frame(_) | Did::Gone => {}
        }
    }

    fn timer(&mut self, worker: &mut Worker, session: SessionId, _kind: u8, due: Nanos) {
        user::find(worker, session, due, false);
    }
}
