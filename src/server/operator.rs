//! What a running server does when its operator asks.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::ops::control::{Answer, Obey, Order};
use crate::ops::{Counters, Request};
use crate::tls::CertificateStore;

/// Carries out the orders of the control socket.
pub(super) struct Operator {
    certificates: Arc<CertificateStore>,
    counters: Arc<Counters>,
    /// To whoever runs the server: what ends it.
    requests: mpsc::Sender<Request>,
}

impl Operator {
    /// The operator, and what it asks of the program as a whole.
    pub fn new(
        certificates: &Arc<CertificateStore>,
        counters: &Arc<Counters>,
    ) -> (Self, mpsc::Receiver<Request>) {
        let (requests, asked) = mpsc::channel(1);
        let certificates = Arc::clone(certificates);
        (Self { certificates, counters: Arc::clone(counters), requests }, asked)
    }

    fn status(&self) -> String {
        let counters = &self.counters;
        let sum = |gauge: fn(&crate::ops::ShardCounters) -> u64| counters.sum(gauge);
        format!(
            "{}: {} sessions, {} waiting, {} in a chat",
            counters.state().as_str(),
            counters.online(),
            sum(|shard| shard.waiting.get()),
            sum(|shard| shard.in_chat.get())
        )
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
            // A drain that was asked for before is under way: asking twice must not stop at once, as a second signal does.
            Order::Drain => match self.requests.try_send(Request::Drain) {
                Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => Ok("draining".to_owned()),
                Err(mpsc::error::TrySendError::Closed(_)) => Err("the server is stopping".to_owned()),
            },
        }
    }
}
