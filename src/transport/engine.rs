//! Steps 1 and 5: all shards of the process.
//!
//! In: where to listen and what everybody shares. Out: one thread a shard, each with its socket, its runtime and its part of
//! the sessions. A panic in one ends its sessions only: it is counted, and the shard starts again on the same socket.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use quinn_proto::{Endpoint, EndpointConfig, ServerConfig};

use super::bus::{self, BusPort, Command, Mailbox};
use super::cid::Generation;
use super::clock::{Clock, unix_s};
use super::datagrams::Datagrams;
use super::driver::{Driver, Kept};
use super::gate::Gate;
use super::generations::{Generations, Place};
use super::hub::{Hub, HubParts};
use super::keys::QuicKeys;
use super::pipe::{self, Doors, Listener, Lobby};
use super::quic;
use super::settings::{ShardSettings, Shards};
use super::socket;
use crate::abuse::Guard;
use crate::core::io::ShardId;
use crate::core::shard::Shard;
use crate::limits;
use crate::ops::{Counters, ShardCounters};

/// What an engine is started with.
pub struct EngineConfig {
    /// The sockets: one a shard, which is a thread, for the first address, then for the next.
    pub sockets: Vec<UdpSocket>,
    /// What older processes on these sockets have left.
    pub lineage: Lineage,
    /// Certificates and ciphers.
    pub tls: Arc<rustls::ServerConfig>,
    /// WebSockets at once, over all shards; 0 turns them off.
    pub max_websockets: u32,
    /// What can be changed later.
    pub settings: ShardSettings,
    /// Who keeps account of addresses.
    pub guard: Arc<Guard>,
    /// What is counted.
    pub counters: Arc<Counters>,
}

/// Where a process stands in a row of upgrades.
#[derive(Debug)]
pub struct Lineage {
    /// Its number.
    pub generation: Generation,
    /// The same in all generations.
    pub keys: QuicKeys,
    /// Addresses that the sockets are bound to.
    pub groups: usize,
    /// Older processes that still have connections, each with the ends of its shards' ways to this one's.
    pub elders: Vec<(Generation, Vec<OwnedFd>)>,
    /// Whether another process still reads the sockets: [`Engine::read`] is due.
    pub resting: bool,
}

impl Lineage {
    /// A process that none came before.
    pub fn first() -> io::Result<Self> {
        let keys = QuicKeys::new().map_err(io::Error::other)?;
        Ok(Self { generation: Generation::default(), keys, groups: 1, elders: Vec::new(), resting: false })
    }

    /// How many shards share these sockets.
    pub fn shards(&self, sockets: &[UdpSocket]) -> usize {
        sockets.len() / self.groups.max(1)
    }
}

/// The running shards.
pub struct Engine {
    address: SocketAddr,
    pub(super) generation: Generation,
    pub(super) keys: QuicKeys,
    pub(super) sockets: Arc<[UdpSocket]>,
    pub(super) mailboxes: Arc<[Mailbox]>,
    shards: Shards,
    doors: Doors,
    counters: Arc<Counters>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl Engine {
    /// Starts the shards on their sockets. The listeners have to run where WebSockets are served.
    pub fn start(mut config: EngineConfig) -> io::Result<(Self, Vec<Listener>)> {
        let sockets: Arc<[UdpSocket]> = std::mem::take(&mut config.sockets).into();
        let (address, count) = (sockets[0].local_addr()?, config.lineage.shards(&sockets) as u16);
        let mut elders = std::mem::take(&mut config.lineage.elders);
        let Lineage { generation, keys, resting, .. } = &config.lineage;
        let (generation, keys, resting) = (*generation, keys.clone(), *resting);
        let buffer_bytes = socket::receive_buffer_bytes(&sockets[0])?;
        if buffer_bytes < limits::SOCKET_BUFFER_BYTES {
            tracing::info!(
                allowed_kib = buffer_bytes / 1_024,
                wanted_kib = limits::SOCKET_BUFFER_BYTES / 1_024,
                "the system allows small socket buffers, so bursts lose datagrams; raise net.core.rmem_max"
            );
        }
        let server = quic::server_config(Arc::clone(&config.tls), &keys).map_err(io::Error::other)?;
        let clock = config.guard.clock();
        let ports = bus::connect(count);
        let mailboxes = Arc::clone(ports[0].mailboxes());
        let (doors, listeners, lobbies) =
            pipe::connect(&mailboxes, config.max_websockets as usize, &config.guard)?;
        let counters = Arc::clone(&config.counters);
        let shards = Shards::new(Arc::clone(&mailboxes), config.settings.clone());
        let config = Arc::new(config);
        let mut threads = Vec::with_capacity(count.into());
        for (index, (port, lobby)) in (0..count).zip(ports.into_iter().zip(lobbies)) {
            let shard = ShardThread {
                id: ShardId(index),
                config: Arc::clone(&config),
                shards: shards.clone(),
                endpoint: quic::endpoint_config(&keys, generation, index, count),
                server: Arc::clone(&server),
                clock,
                sockets: Arc::clone(&sockets),
            };
            // The first that is left of each elder's ends is this shard's.
            let ends = elders.iter_mut().map(|(generation, ends)| (*generation, ends.remove(0)));
            let kept = Kept {
                port,
                lobby,
                generations: Generations::new(Place { generation, shard: index as u8 }, ends.collect()),
                resting,
            };
            threads.push(
                std::thread::Builder::new().name(format!("shard-{index}")).spawn(move || shard.run(kept))?,
            );
        }
        let engine = Self { address, generation, keys, sockets, mailboxes, shards, doors, counters, threads };
        Ok((engine, listeners))
    }

    /// The way of WebSockets to its shards.
    pub fn doors(&self) -> Doors {
        self.doors.clone()
    }

    /// The way to its shards.
    pub fn shards(&self) -> Shards {
        self.shards.clone()
    }

    /// Where it listens first.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Everywhere it listens.
    pub fn local_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        self.sockets.iter().step_by(self.mailboxes.len()).map(UdpSocket::local_addr).collect()
    }

    /// Takes no new sessions and tells everybody; chats may go on for `within`.
    pub fn begin_drain(&self, within: Duration) {
        let within_ms = within.as_millis().try_into().unwrap_or(u64::MAX);
        for mailbox in self.mailboxes.iter() {
            mailbox.command(Command::Drain { within_ms });
        }
    }

    /// Drains: waits until nobody is in a chat, `within` at most, then until the sessions are closed, and stops.
    /// It blocks the calling thread.
    pub fn drain_and_stop(self, within: Duration) -> io::Result<()> {
        let deadline = Instant::now() + within;
        self.begin_drain(within);
        self.wait_until(deadline, |counters| counters.sum(|shard| shard.in_chat.get()) == 0);
        self.say_goodbye_and_stop()
    }

    /// Whoever is still there is told now.
    pub(super) fn say_goodbye_and_stop(self) -> io::Result<()> {
        self.begin_drain(Duration::ZERO);
        let goodbye = Duration::from_millis(limits::PUBLISH_MS + limits::CLOSE_DELAY_MS + limits::LINGER_MS);
        self.wait_until(Instant::now() + goodbye, |_| self.is_empty());
        self.stop()
    }

    /// Whether no connection is left, of whatever kind.
    pub(super) fn is_empty(&self) -> bool {
        self.counters.sum(|shard| shard.connections.get()) == 0 && self.doors.in_use() == 0
    }

    pub(super) fn wait_until(&self, deadline: Instant, done: impl Fn(&Counters) -> bool) {
        self.wait_for_a_turn(deadline);
        while Instant::now() < deadline && !done(&self.counters) {
            std::thread::sleep(Duration::from_millis(limits::PUBLISH_MS));
        }
    }

    /// Waits until each shard has carried out what it was ordered last and told how it stands: before, its counters are a moment old,
    /// on a busy machine a long one.
    fn wait_for_a_turn(&self, deadline: Instant) {
        let turns = || self.counters.shards().iter().map(|shard| shard.turns.get());
        let before: Vec<u64> = turns().collect();
        // A shard that does not answer at all is not waited for.
        let deadline = deadline.min(Instant::now() + Duration::from_millis(limits::SHARD_ANSWER_MS));
        // The turn that was under way may have looked for orders before.
        while turns().zip(&before).any(|(now, before)| now < before + 2) && Instant::now() < deadline {
            self.shards.wake();
            std::thread::sleep(Duration::from_millis(limits::PUBLISH_MS));
        }
    }

    /// Closes all connections and ends the threads.
    pub fn stop(self) -> io::Result<()> {
        for mailbox in self.mailboxes.iter() {
            mailbox.command(Command::Stop);
        }
        self.threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a shard could not be restarted")))
        })
    }

    /// Fault injection for tests: a shard does this, as if it had a bug.
    #[doc(hidden)]
    pub fn inject(&self, shard: u16, fault: Command) {
        if let Some(mailbox) = self.mailboxes.get(usize::from(shard)) {
            mailbox.command(fault);
        }
    }
}

/// What one shard keeps over a restart.
struct ShardThread {
    id: ShardId,
    config: Arc<EngineConfig>,
    shards: Shards,
    endpoint: Arc<EndpointConfig>,
    server: Arc<ServerConfig>,
    clock: Clock,
    /// Of all shards, in order.
    sockets: Arc<[UdpSocket]>,
}

impl ShardThread {
    fn run(self, mut kept: Kept) -> io::Result<()> {
        loop {
            let own = self.config.counters.shard(self.id.0).ok_or(io::ErrorKind::InvalidInput)?;
            let mut driver = self.driver(kept, own)?;
            // What a panic leaves half-done is not used again, but for telling the clients.
            match catch_unwind(AssertUnwindSafe(|| driver.run())) {
                Ok(result) => return result,
                Err(_) => own.panics.add(1),
            }
            tracing::error!(shard = self.id.0, "a shard has panicked; its sessions end and it starts again");
            for handle in 0..driver.hub.conns.len() as u32 {
                let _ = catch_unwind(AssertUnwindSafe(|| driver.abandon(handle)));
            }
            let _ = catch_unwind(AssertUnwindSafe(|| driver.hub.abandon_websockets()));
            self.config.guard.shard_lost(self.id);
            kept = driver.into_kept();
            self.restart_bus(&mut kept.port);
            kept.lobby.clear();
        }
    }

    /// Made in a frame of its own, on the heap: what moving it leaves behind, the generator of tokens among it, lies in dead
    /// frames, which the driver wipes.
    #[inline(never)]
    fn driver<'a>(&'a self, kept: Kept, own: &'a ShardCounters) -> io::Result<Box<Driver<'a>>> {
        let Kept { port, lobby, generations, resting } = kept;
        let shards = self.config.lineage.shards(&self.sockets);
        let sockets = self.sockets.iter().skip(self.id.0.into()).step_by(shards).map(UdpSocket::try_clone);
        let datagrams = Datagrams::new(sockets.collect::<io::Result<_>>()?, resting)?;
        port.mailbox().ends_sleep_by(datagrams.waker()?);
        let hub = self.hub((port, lobby), !datagrams.may_fragment())?;
        Driver::new(datagrams, hub, generations, &self.config.counters, own).map(Box::new)
    }

    /// What was under way to the shard as it was means nothing to the shard as it is.
    fn restart_bus(&self, port: &mut BusPort) {
        while port.receive(limits::TURN_BUS_MESSAGES, |_, _| {}) {}
        for (index, mailbox) in port.mailboxes().iter().enumerate() {
            if index != usize::from(self.id.0) {
                mailbox.command(Command::ShardLost(self.id));
            }
        }
    }

    fn hub(&self, (bus, lobby): (BusPort, Lobby), allow_mtud: bool) -> io::Result<Hub> {
        let shards = self.config.lineage.shards(&self.sockets) as u16;
        let settings = self.shards.settings();
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let (_, now) = self.clock.now();
        let mut core =
            Shard::new(settings.core((self.id, shards, self.config.lineage.generation.0)), seed, now);
        core.set_unix_time(now, unix_s());
        let gate = Gate::new(
            Box::new(self.config.lineage.keys.token_key()),
            Arc::clone(&self.server.crypto),
            (self.config.lineage.generation, self.id.0, shards),
            settings.limit_rates,
        );
        Ok(Hub::new(HubParts {
            clock: self.clock,
            endpoint: Endpoint::new(
                Arc::clone(&self.endpoint),
                Some(Arc::clone(&self.server)),
                allow_mtud,
                None,
            ),
            core,
            policy: Arc::clone(&settings.policy),
            guard: Arc::clone(&self.config.guard),
            gate: gate.map_err(io::Error::other)?,
            bus,
            lobby,
            admission: settings.admission(shards),
            buffer_cap: settings.shard_buffer_bytes,
            forget_ms: settings.forget_ms(),
        }))
    }
}
