//! What virtual users do: each scenario moves the users of one thread.
//!
//! In: arrivals, timers, and what happened to users. Out: calls on [`Worker`] and [`crate::worker::user`].

mod churn;
mod connect;
mod exchange;
mod mix;
mod pair;
mod relay;

use crate::net::SessionId;
use crate::settings::{Kind, Settings};
use crate::time::Nanos;
use crate::worker::Worker;
use crate::worker::user::Did;

/// What became of an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It was acted on.
    Started,
    /// Nobody is free to act on it yet; the scenario counts it as started when somebody is.
    Waiting,
    /// It is given up.
    Dropped,
}

/// The users of one thread, as a kind of load moves them.
pub trait Scenario: Send {
    /// All sessions that were to be opened beforehand are open (or failed), and the schedule starts.
    fn begin(&mut self, _worker: &mut Worker, _start: Nanos) {}

    /// The schedule wants something done, at `intended`.
    fn arrival(&mut self, _worker: &mut Worker, _intended: Nanos) -> Arrival {
        Arrival::Started
    }

    /// Something happened to a user.
    fn did(&mut self, _worker: &mut Worker, _session: SessionId, _did: Did) {}

    /// A timer of [`Worker::after`] came due, at `due`.
    fn timer(&mut self, _worker: &mut Worker, _session: SessionId, _kind: u8, _due: Nanos) {}
}

/// The scenario of a kind of load.
pub fn new(settings: &Settings) -> Box<dyn Scenario> {
    match settings.kind {
        Kind::Connect | Kind::Idle => Box::new(connect::Connect),
        Kind::Pair => Box::new(pair::Pair::new(false, settings.fresh)),
        Kind::Signal => Box::new(pair::Pair::new(true, settings.fresh)),
        Kind::Relay => Box::new(relay::Relay::default()),
        Kind::Churn => Box::new(churn::Churn),
        Kind::Mix | Kind::Soak => Box::new(mix::Mix),
    }
}
