//! What a running server does when its operator asks.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::{guard_config, shard_settings};
use crate::abuse::{Asking, Guard, reason_of};
use crate::config::Config;
use crate::limits;
use crate::ops::control::duration::words;
use crate::ops::control::{Answer, Obey, Order};
use crate::ops::log::events;
use crate::ops::snapshot::Snapshot;
use crate::ops::{self, Counters, Levers, Pausable, Request, ShardCounters};
use crate::tls::CertificateStore;
use crate::transport::settings::Shards;

/// Carries out the orders of the control socket.
pub(super) struct Operator {
    /// What runs: the start's, with what was read again since.
    pub config: Mutex<Config>,
    /// Where the page is.
    pub site: SocketAddr,
    pub certificates: Arc<CertificateStore>,
    pub counters: Arc<Counters>,
    /// When the server began, for what is told of its time.
    pub started: Instant,
    pub shards: Shards,
    pub guard: Arc<Guard>,
    /// To whoever runs the server: what ends it.
    pub requests: mpsc::Sender<Request>,
}

impl Operator {
    /// How long people in a chat have when the server is told to stop.
    pub fn drain(&self) -> Duration {
        self.running().drain
    }

    /// Reads everything again and takes over what takes effect at once: all of it or, if something is wrong, nothing.
    pub fn reload(&self) -> Answer {
        let mut running = self.running();
        let new = running.read_again().map_err(|error| format!("nothing was changed:\n{error}"))?;
        let changes = running.changes(&new);
        // What an authority has still to issue cannot be read; it is taken by itself as soon as it is there.
        let to_come = new.acme.is_some() && self.certificates.is_stopgap();
        if !to_come {
            let files = new.certificate.as_ref();
            self.certificates.reload(files).map_err(|error| format!("nothing was changed: {error}"))?;
        }
        for warning in &new.warnings {
            tracing::warn!("{warning}");
        }
        running.adopt(new, &changes);
        ops::log::set_level(running.log);
        self.counters.set_max_sessions(running.max_sessions);
        self.shards.set(shard_settings(&running, self.site));
        self.guard.set(guard_config(&running));
        let mut told = if to_come {
            "configuration and secrets were read again; the authority has issued no certificate yet"
                .to_owned()
        } else {
            "configuration, certificate and secrets were read again".to_owned()
        };
        for (what, keys) in [("changed", &changes.live), ("needs a restart", &changes.restart)] {
            if !keys.is_empty() {
                // Writing to a String does not fail.
                let _ = write!(told, "; {what}: {}", keys.join(", "));
            }
        }
        Ok(told)
    }

    fn running(&self) -> MutexGuard<'_, Config> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self) -> String {
        let counters = &self.counters;
        let sum = |gauge: fn(&ShardCounters) -> u64| counters.sum(gauge);
        let mut line = format!(
            "{}: {} sessions, {} waiting, {} in a chat",
            counters.state().as_str(),
            counters.online(),
            sum(ShardCounters::waiting),
            sum(|shard| shard.in_chat.get())
        );
        let elders = counters.shards().iter().map(|shard| shard.elders.get()).max().unwrap_or(0);
        if elders > 0 {
            // Writing to a String does not fail.
            let _ = write!(line, "; older processes that have chats: {elders}");
        }
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

    fn snapshot(&self) -> Answer {
        let snapshot = Snapshot::of(&self.counters, self.started);
        serde_json::to_string(&snapshot).map_err(|error| error.to_string())
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

    fn ban(&self, code: &str, seconds: u64) -> Answer {
        let (_, now) = self.guard.clock().now();
        let (sentence, case) = self.guard.ban(now, code, seconds)?;
        let session = case.map_or("no session of it is here", |case| {
            self.shards.end(case.who, reason_of(now, &sentence));
            "the session is ended"
        });
        let barred = words(sentence.barred_ms(now) / 1_000);
        Ok(format!(
            "{session}, and its address is barred for {barred}; to undo it: anoncam unban {}",
            sentence.case
        ))
    }

    fn pow(&self, when: Option<Asking>) -> String {
        let (_, now) = self.guard.clock().now();
        if let Some(when) = when {
            self.guard.ask(when);
        }
        format!("proof of work: {}", self.guard.describe_asking(now))
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

/// Writes down what becomes of connections, for at most as long as is allowed.
fn debug(span_s: u64) -> Answer {
    let span = Duration::from_secs(span_s.min(limits::DEBUG_S));
    events::watch(span).map_err(str::to_owned)?;
    Ok(format!(
        "connections that begin in the next {} s are written down, under throwaway numbers",
        span.as_secs()
    ))
}

impl Obey for Operator {
    fn obey(&self, order: Order) -> Answer {
        match order {
            Order::Status => Ok(self.status()),
            Order::Snapshot => self.snapshot(),
            Order::Reload => self.reload(),
            Order::Pause { what } => Ok(self.set_paused(|levers| levers.pause(&what))),
            Order::Resume { what } if what.is_empty() => {
                Ok(self.set_paused(|levers| levers.resume(&Pausable::ALL)))
            }
            Order::Resume { what } => Ok(self.set_paused(|levers| levers.resume(&what))),
            Order::Message { clear: true, .. } => self.message(Some("")),
            Order::Message { text, clear: false } => self.message(text.as_deref()),
            Order::Upgrade => Err("an upgrade takes a while".to_owned()),
            Order::Debug { off: true, .. } => {
                let was_on = events::unwatch();
                Ok(format!("connections {} written down", if was_on { "are no more" } else { "were not" }))
            }
            Order::Debug { span_s, off: false } => debug(span_s),
            Order::Reports => Ok(self.guard.describe(self.guard.clock().now().1, &self.counters)),
            Order::Ban { code, span_s } => self.ban(&code, span_s),
            Order::Unban { code } => self.guard.unban(&code),
            Order::Rights { address, erase } => {
                Ok(self.guard.rights(self.guard.clock().now().1, address, erase))
            }
            Order::Pow { when } => Ok(self.pow(when)),
            // A drain that was asked for before is under way: asking twice must not stop at once, as a second signal does.
            Order::Drain => match self.requests.try_send(Request::Drain) {
                Ok(()) | Err(TrySendError::Full(_)) => Ok("draining".to_owned()),
                Err(TrySendError::Closed(_)) => Err("the server is stopping".to_owned()),
            },
        }
    }
    fn obey_later(&self, order: &Order) -> Option<oneshot::Receiver<Answer>> {
        if *order != Order::Upgrade {
            return None;
        }
        let (answer, later) = oneshot::channel();
        // What is under way already, or the end of the server, is told by the answer's end or by what goes before.
        if let Err(TrySendError::Full(Request::Upgrade(answer))) =
            self.requests.try_send(Request::Upgrade(answer))
        {
            let _ = answer.send(Err("another order is under way".to_owned()));
        }
        Some(later)
    }
}
