//! What a running server does when its operator asks.

use std::fmt::Write as _;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::ops::control::{Answer, Obey, Order};
use crate::ops::{Counters, Levers, Pausable, Request};
use crate::tls::CertificateStore;
use crate::transport::engine::Shards;

/// Carries out the orders of the control socket.
pub(super) struct Operator {
    certificates: Arc<CertificateStore>,
    counters: Arc<Counters>,
    shards: Shards,
    /// To whoever runs the server: what ends it.
    requests: mpsc::Sender<Request>,
}

impl Operator {
    /// The operator, and what it asks of the program as a whole.
    pub fn new(
        certificates: &Arc<CertificateStore>,
        counters: &Arc<Counters>,
        shards: Shards,
    ) -> (Self, mpsc::Receiver<Request>) {
        let (requests, asked) = mpsc::channel(1);
        let certificates = Arc::clone(certificates);
        (Self { certificates, counters: Arc::clone(counters), shards, requests }, asked)
    }

    fn status(&self) -> String {
        let counters = &self.counters;
        let sum = |gauge: fn(&crate::ops::ShardCounters) -> u64| counters.sum(gauge);
        let mut line = format!(
            "{}: {} sessions, {} waiting, {} in a chat",
            counters.state().as_str(),
            counters.online(),
            sum(|shard| shard.waiting.get()),
            sum(|shard| shard.in_chat.get())
        );
        let paused = counters.levers().paused_names();
        if !paused.is_empty() {
            // Writing to a String does not fail.
            let _ = write!(line, "; paused: {}", paused.join(", "));
        }
        if let Some(message) = counters.levers().message() {
            let _ = write!(line, "; message: {message}");
        }
        line
    }

    /// What is paused after `change`, which every shard looks at now.
    fn set_paused(&self, change: impl FnOnce(&Levers)) -> String {
        let levers = self.counters.levers();
        change(levers);
        self.shards.wake();
        match &levers.paused_names()[..] {
            [] => "nothing is paused".to_owned(),
            paused => format!("paused: {}", paused.join(", ")),
        }
    }

    fn message(&self, text: Option<&str>) -> Answer {
        let levers = self.counters.levers();
        if let Some(text) = text {
            levers.set_message(text).map_err(|why| format!("the message was not taken: {why}"))?;
        }
        Ok(match levers.message() {
            Some(message) => format!("the page shows: {message}"),
            None => "the page shows no message".to_owned(),
        })
    }
}

impl Obey for Operator {
    fn obey(&self, order: Order) -> Answer {
        match order {
            Order::Status => Ok(self.status()),
            Order::Reload => match self.certificates.reload() {
                Ok(()) => Ok("the certificate was read again".to_owned()),
                Err(error) => Err(format!("the certificate stays as it was: {error}")),
            },
            Order::Pause { what } => Ok(self.set_paused(|levers| levers.pause(&what))),
            Order::Resume { what } if what.is_empty() => {
                Ok(self.set_paused(|levers| levers.resume(&Pausable::ALL)))
            }
            Order::Resume { what } => Ok(self.set_paused(|levers| levers.resume(&what))),
            Order::Message { clear: true, .. } => self.message(Some("")),
            Order::Message { text, clear: false } => self.message(text.as_deref()),
            // A drain that was asked for before is under way: asking twice must not stop at once, as a second signal does.
            Order::Drain => match self.requests.try_send(Request::Drain) {
                Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => Ok("draining".to_owned()),
                Err(mpsc::error::TrySendError::Closed(_)) => Err("the server is stopping".to_owned()),
            },
        }
    }
}
