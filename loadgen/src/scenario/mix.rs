//! `mix` and `soak`: people arrive, meet, write or call, press next, and go.

use super::{Arrival, Scenario, exchange};
use crate::net::SessionId;
use crate::time::{Nanos, SECOND, now};
use crate::worker::Worker;
use crate::worker::user::{self, Did};
use crate::wt::frame::TEXT;

const LOOK: u8 = 1;
const WRITE: u8 = 2;
const MOVE_ON: u8 = 3;
const LOSE_PATIENCE: u8 = 4;

/// How long people look for somebody before they go.
const PATIENCE_NS: Nanos = 60 * SECOND;
/// Spread of the length of chats: most are short, a few very long.
const DWELL_SIGMA: f64 = 1.0;

/// The users of one thread.
pub struct Mix;

impl Mix {
    fn look(worker: &mut Worker, session: SessionId, intended: Nanos) {
        let video = worker.rng.unit() < worker.settings.video_share;
        user::find(worker, session, intended, video);
        worker.after(session, PATIENCE_NS, LOSE_PATIENCE);
    }

    fn matched(worker: &mut Worker, session: SessionId) {
        if worker.users.get(session).is_some_and(|user| user.video) {
            exchange::begin(worker, session);
        }
        let dwell = worker.rng.log_normal(worker.settings.dwell_ns as f64, DWELL_SIGMA);
        worker.after(session, dwell as Nanos, MOVE_ON);
        Self::write_later(worker, session);
    }

    fn write_later(worker: &mut Worker, session: SessionId) {
        let span = worker.rng.exponential(worker.settings.message_every_ns as f64);
        worker.after(session, span as Nanos, WRITE);
    }
}

impl Scenario for Mix {
    fn arrival(&mut self, worker: &mut Worker, intended: Nanos) -> Arrival {
        worker.open(intended, true);
        Arrival::Started
    }

    fn did(&mut self, worker: &mut Worker, session: SessionId, did: Did) {
        match did {
            Did::Ready => Self::look(worker, session, now()),
            Did::Matched => Self::matched(worker, session),
            Did::Frame(stamp) => {
                exchange::handle(worker, session, stamp);
            }
            Did::Ended if worker.rng.unit() < worker.settings.leave_share => user::close(worker, session),
            Did::Ended => worker.after(session, worker.settings.think_ns, LOOK),
            Did::Gone => {}
        }
    }

    fn timer(&mut self, worker: &mut Worker, session: SessionId, kind: u8, due: Nanos) {
        match kind {
            WRITE => {
                user::send(worker, session, TEXT, 0, worker.settings.size, due);
                Self::write_later(worker, session);
            }
            MOVE_ON if worker.rng.unit() >= worker.settings.leave_share => Self::look(worker, session, due),
            LOOK => Self::look(worker, session, due),
            _ => user::close(worker, session),
        }
    }
}
