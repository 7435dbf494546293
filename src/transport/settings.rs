//! Steps 1 and 4: what all shards are set up with, and what an operator can change while they run.
//!
//! In: numbers for the whole process. Out: each shard's part of them.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::admission::Admission;
use super::bus::{Command, Mailbox};
use super::h3;
use super::hub::Hub;
use crate::config::Retention;
use crate::core::ice::IceConfig;
use crate::core::io::{ShardId, Time};
use crate::core::pairing::Address;
use crate::core::pause::Paused;
use crate::core::shard::ShardConfig;
use crate::limits;
use crate::privacy::Prefixes;

/// Settings of all shards together.
#[derive(Clone, Debug)]
pub struct ShardSettings {
    /// Which sessions are accepted.
    pub policy: Arc<h3::Policy>,
    /// Sessions at once, over all shards.
    pub max_sessions: u32,
    /// Half-open handshakes, over all shards, above which an address has to be proven by Retry.
    pub retry_above: u32,
    /// Cap on all buffers of one shard, in bytes.
    pub shard_buffer_bytes: usize,
    /// Whether a session's requests are limited by rate.
    pub limit_rates: bool,
    /// How long traces of people are kept.
    pub retention: Retention,
    /// The ranges of addresses from which nobody is served.
    pub not_served: Option<Arc<Prefixes>>,
    /// How credentials for TURN relays are made, if there are any.
    pub ice: Option<IceConfig>,
}

impl ShardSettings {
    fn max_sessions_of_one(&self, shards: u16) -> u32 {
        self.max_sessions.div_ceil(shards.into())
    }

    /// When one of so many shards stops being generous.
    pub fn admission(&self, shards: u16) -> Admission {
        let retry_above = self.retry_above.div_ceil(shards.into()) as usize;
        Admission {
            retry_above,
            refuse_above: retry_above.saturating_mul(limits::HALF_OPEN_FACTOR).max(limits::HALF_OPEN_LEAST),
            max_connections: self.max_sessions_of_one(shards) as usize + limits::EXTRA_CONNECTIONS,
            not_served: self.not_served.clone(),
        }
    }

    /// What the core of one of so many shards is told.
    pub fn core(&self, (id, shards, generation): (ShardId, u16, u8)) -> ShardConfig {
        ShardConfig {
            id,
            shards,
            generation,
            max_sessions: self.max_sessions_of_one(shards),
            limit_rates: self.limit_rates,
            resume_ms: self.retention.resume.as_millis() as u64,
            ice: self.ice.clone(),
        }
    }

    /// Time between two rounds of wiping what people who have gone left behind.
    pub fn forget_ms(&self) -> u64 {
        self.retention.forget.as_millis() as u64
    }
}

impl Hub {
    /// Takes over other settings; who is there stays.
    pub fn set(&mut self, settings: &ShardSettings) {
        let place @ (_, shards, _) = self.core.place();
        self.policy = Arc::clone(&settings.policy);
        self.admission = settings.admission(shards);
        self.buffer_cap = settings.shard_buffer_bytes;
        self.forget_ms = settings.forget_ms();
        self.core.set_config(settings.core(place));
    }

    /// What the operator has turned off (see `Shard::set_paused`).
    pub fn set_paused(&mut self, now: Time, paused: Paused) {
        self.core.set_paused(now, paused);
        self.apply(now);
    }
}

/// The way to the running shards, for whoever has something to say to them.
#[derive(Clone, Debug)]
pub struct Shards {
    mailboxes: Arc<[Mailbox]>,
    /// Read by a shard that starts, written when the operator changes something: never on the path of a frame.
    settings: Arc<Mutex<Arc<ShardSettings>>>,
}

impl Shards {
    /// The way to the shards behind these mailboxes, which have these settings.
    pub fn new(mailboxes: Arc<[Mailbox]>, settings: ShardSettings) -> Self {
        Self { mailboxes, settings: Arc::new(Mutex::new(Arc::new(settings))) }
    }

    /// The present settings.
    pub fn settings(&self) -> Arc<ShardSettings> {
        Arc::clone(&self.settings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Other settings from now on, also for a shard that starts again.
    pub fn set(&self, settings: ShardSettings) {
        let settings = Arc::new(settings);
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&settings);
        for mailbox in self.mailboxes.iter() {
            mailbox.command(Command::Set(Arc::clone(&settings)));
        }
    }

    /// Ends a session for good; its client is told this reason with code 4.
    pub fn end(&self, who: Address, reason: Bytes) {
        if let Some(mailbox) = self.mailboxes.get(usize::from(who.shard.0)) {
            mailbox.command(Command::End { who, reason });
        }
    }

    /// Ends their sleep: what the operator has pulled is looked at now.
    pub fn wake(&self) {
        self.mailboxes.iter().for_each(Mailbox::wake);
    }
}
