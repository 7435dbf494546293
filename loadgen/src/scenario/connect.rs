//! `connect` and `idle`: sessions are opened, and left alone.

use super::{Arrival, Scenario};
use crate::net::SessionId;
use crate::settings::Kind;
use crate::time::Nanos;
use crate::worker::Worker;
use crate::worker::user::{self, Did};

const HOLD_OVER: u8 = 1;

/// Every arrival opens a session, which stays for `hold` (to the end of the run if that is 0).
pub struct Connect;

impl Scenario for Connect {
    fn arrival(&mut self, worker: &mut Worker, intended: Nanos) -> Arrival {
        worker.open(intended, true);
        Arrival::Started
    }

    fn did(&mut self, worker: &mut Worker, session: SessionId, did: Did) {
        let hold = worker.settings.hold_ns;
        if matches!(did, Did::Ready) && hold > 0 && worker.settings.kind == Kind::Connect {
            worker.after(session, hold, HOLD_OVER);
        }
    }

    fn timer(&mut self, worker: &mut Worker, session: SessionId, _kind: u8, _due: Nanos) {
        user::close(worker, session);
    }
}
