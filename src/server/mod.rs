//! The six steps put together: shards, site and certificates, as one thing that starts and stops.
//!
//! In: a checked [`Config`]. Out: a running [`Server`]. `main.rs` and the tests start the same one.

mod error;
mod life;
mod operator;
mod pulse;
mod site_thread;
mod sockets;
mod upgrade;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::abuse::{Guard, GuardConfig};
use crate::config::{Config, Mode};
use crate::core::ice::IceConfig;
use crate::ops::control::Answer;
use crate::ops::watchdog::Pulse;
use crate::ops::{Counters, Pausable, Request};
use crate::site::policy::{Notice, PrivacyPolicy};
use crate::site::{Metrics, Page, PolicyNow, Redirect, SiteConfig, SiteSockets};
use crate::tls::{self, CertificateStore};
use crate::transport::bus::Command;
use crate::transport::clock::Clock;
use crate::transport::engine::{Engine, EngineConfig, Lineage};
use crate::transport::h3::Policy;
use crate::transport::settings::{ShardSettings, Shards};

pub use error::StartError;
pub use life::{Failure, live};
use operator::Operator;
use pulse::ShardPulse;
use site_thread::{SiteParts, SiteThread};
pub use sockets::Given;
use sockets::Listening;
pub use upgrade::Succession;

/// A running server.
pub struct Server {
    config: Config,
    engine: Engine,
    site: SiteThread,
    site_address: SocketAddr,
    redirect_address: Option<SocketAddr>,
    metrics_address: Option<SocketAddr>,
    operator: Arc<Operator>,
    counters: Arc<Counters>,
    guard: Arc<Guard>,
    requested: mpsc::Receiver<Request>,
    /// Once more what it listens on, for an heir.
    listening: Listening,
}

/// A server that has all it needs and serves nobody yet.
pub struct Prepared(Server);

impl Server {
    /// Binds everything, then serves. What is bound is the first thing to fail, so a half-started server says nothing to
    /// anybody.
    pub fn start(config: Config) -> Result<Self, StartError> {
        Ok(Self::prepare(config, Given::default())?.serve())
    }

    /// Gets together what it needs, with what was opened for it or left by an older process, whose sockets it does not read
    /// before it serves.
    pub fn prepare(config: Config, mut given: Given) -> Result<Prepared, StartError> {
        let certificates = Arc::new(given.certificates(&config)?);
        let counters = Arc::new(Counters::new(config.shards, config.max_sessions));
        let mut listening = Listening::default();
        let site = given.site(&config.site)?;
        listening.add_tcp("site", &site).map_err(StartError::Descriptors)?;
        let site_address = site.local_addr();
        let redirect = config.redirect.as_ref().map(|addresses| given.redirect(addresses)).transpose()?;
        if let Some(sockets) = &redirect {
            listening.add_tcp("redirect", sockets).map_err(StartError::Descriptors)?;
        }
        let redirect_address = redirect.as_ref().map(SiteSockets::local_addr);
        let metrics = config.metrics.map(|address| given.metrics(address)).transpose()?;
        if let Some(sockets) = &metrics {
            listening.add_tcp("metrics", sockets).map_err(StartError::Descriptors)?;
        }
        let metrics_address = metrics.as_ref().map(SiteSockets::local_addr);
        let metrics = metrics.map(|sockets| (sockets, metrics_page(&counters, &certificates)));
        let control = given.control(&config)?;
        if let Some(socket) = &control {
            listening.add_control(socket).map_err(StartError::Descriptors)?;
        }
        let (sockets, lineage) = given.listen(&config)?;
        given.all_taken()?;
        let guard = Arc::new(Guard::new(Clock::start(), guard_config(&config))?);
        let engine =
            engine_config(&config, (sockets, lineage), site_address, &certificates, &counters, &guard)?;
        let (engine, listeners) =
            Engine::start(engine).map_err(|error| StartError::listen(config.listen.first(), error))?;
        let shards = engine.shards();
        let page = Page::new(site_config(&config, engine.local_addr(), &shards, &certificates, &counters));
        let (requests, requested) = mpsc::channel(1);
        let operator = Arc::new(Operator {
            config: Mutex::new(config.clone()),
            site: site_address,
            certificates: Arc::clone(&certificates),
            counters: Arc::clone(&counters),
            started: Instant::now(),
            shards,
            guard: Arc::clone(&guard),
            requests,
        });
        let site = SiteThread::start(SiteParts {
            page: (site, page, https(&config, &certificates)?),
            doors: (engine.doors(), listeners),
            redirect: redirect.map(|sockets| (sockets, Redirect::new(page_url(&config, site_address)))),
            metrics,
            control: control.map(|socket| (socket, Arc::clone(&operator))),
            certificates,
            acme: config.acme.clone(),
            forget: config.retention.forget,
        })
        .map_err(StartError::Thread)?;
        Ok(Prepared(Self {
            config,
            engine,
            site,
            site_address,
            redirect_address,
            metrics_address,
            operator,
            counters,
            guard,
            requested,
            listening,
        }))
    }

    /// Where WebTransport is served.
    pub fn local_addr(&self) -> SocketAddr {
        self.engine.local_addr()
    }

    /// Everywhere WebTransport is served.
    pub fn local_addrs(&self) -> std::io::Result<Vec<SocketAddr>> {
        self.engine.local_addrs()
    }

    /// Where the page is served.
    pub fn site_addr(&self) -> SocketAddr {
        self.site_address
    }

    /// Where browsers that come without TLS are sent to the site, if anywhere.
    pub fn redirect_addr(&self) -> Option<SocketAddr> {
        self.redirect_address
    }

    /// Where counts are told to a monitor, if anywhere.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// What to open in a browser.
    pub fn page_url(&self) -> String {
        page_url(&self.config, self.site_address)
    }

    /// What it was started with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What is counted.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Who keeps account of addresses.
    pub fn guard(&self) -> &Arc<Guard> {
        &self.guard
    }

    /// What an operator asks for over the control socket that only the program as a whole can do. Never, if there is no
    /// such socket.
    pub async fn requested(&mut self) -> Request {
        match self.requested.recv().await {
            Some(request) => request,
            None => std::future::pending().await,
        }
    }

    /// Fault injection for tests: that shard panics, as if it had a bug.
    #[doc(hidden)]
    pub fn panic_shard(&self, shard: u16) {
        self.engine.inject(shard, Command::Panic);
    }

    /// Fault injection for tests: that shard hangs for so long.
    #[doc(hidden)]
    pub fn hang_shard(&self, shard: u16, time: Duration) {
        self.engine.inject(shard, Command::Hang(time));
    }

    /// Whether its shards work, for a watchdog.
    pub fn pulse(&self) -> impl Pulse + use<> {
        ShardPulse::new(self.engine.shards(), Arc::clone(&self.counters))
    }

    /// Reads configuration, certificate and secrets again, and takes over what takes effect at once; says what it did. If something
    /// is wrong nothing changes, and the words say why.
    pub fn reload(&self) -> Answer {
        self.operator.reload()
    }

    /// How long people in a chat have when the server is told to stop.
    pub fn drain(&self) -> Duration {
        self.operator.drain()
    }

    /// Takes no new sessions, lets chats go on for `within` at most, closes all sessions and stops. At once when nobody is
    /// in a chat. Blocks the calling thread.
    pub fn drain_and_stop(self, within: Duration) -> std::io::Result<()> {
        // The site answers until the end, and says "draining".
        self.counters.begin_drain();
        let result = self.engine.drain_and_stop(within);
        self.site.stop();
        result
    }
}

impl Prepared {
    /// What the operator had set on an older process.
    pub fn set_levers(&self, paused: &[Pausable], message: Option<&str>) {
        let levers = self.0.counters.levers();
        levers.pause(paused);
        if let Some(message) = message {
            // It was taken once; a version that takes less shows none.
            let _ = levers.set_message(message);
        }
    }

    /// Serves.
    pub fn serve(self) -> Server {
        let mut server = self.0;
        server.site.begin();
        server.engine.read();
        server
    }
}

/// Names of this machine, by which a development site is asked for.
const LOOPBACK_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

fn engine_config(
    config: &Config,
    (sockets, lineage): (Vec<UdpSocket>, Lineage),
    site: SocketAddr,
    certificates: &Arc<CertificateStore>,
    counters: &Arc<Counters>,
    guard: &Arc<Guard>,
) -> Result<EngineConfig, StartError> {
    Ok(EngineConfig {
        sockets,
        lineage,
        tls: Arc::new(tls::server_crypto(Arc::clone(certificates), config.post_quantum)?),
        max_websockets: config.max_websockets,
        settings: shard_settings(config, site),
        guard: Arc::clone(guard),
        counters: Arc::clone(counters),
    })
}

fn shard_settings(config: &Config, site: SocketAddr) -> ShardSettings {
    let ice = config.turn.as_ref().map(|turn| IceConfig::new(&turn.urls, &turn.secrets, turn.ttl.as_secs()));
    ShardSettings {
        // Browsers always say where a page comes from; other programs could say anything.
        policy: Arc::new(Policy::new(origins(config, site), true)),
        max_sessions: config.max_sessions,
        retry_above: config.retry_above,
        shard_buffer_bytes: config.shard_buffer_bytes,
        // A load on loopback shall measure the server, not its limits.
        limit_rates: config.mode() == Mode::Production,
        retention: config.retention,
        not_served: config.imprint.not_served_prefixes.clone(),
        ice,
    }
}

fn guard_config(config: &Config) -> GuardConfig {
    GuardConfig {
        // A load on loopback shall measure the server, not its limits.
        limit_addresses: config.mode() == Mode::Production,
        people_per_address: config.people_per_address,
        work_above: config.work_above,
        max_sessions: config.max_sessions,
    }
}

/// Origins of pages that may connect: those of the configuration, and in development the server's own site.
fn origins(config: &Config, site: SocketAddr) -> Vec<String> {
    let own = match config.mode() {
        Mode::Development => &LOOPBACK_NAMES[..],
        Mode::Production => &[],
    };
    let own = own.iter().map(|name| format!("http://{name}:{}", site.port()));
    own.chain(config.origins.iter().cloned()).collect()
}

fn site_config(
    config: &Config,
    listen: SocketAddr,
    shards: &Shards,
    certificates: &Arc<CertificateStore>,
    counters: &Arc<Counters>,
) -> SiteConfig {
    let shards = shards.clone();
    // Asked at each handshake, since a reload may have changed it.
    let policy = move || Arc::clone(&shards.settings().policy);
    let named = config.origins.iter().chain(&config.public_url).map(|url| host(url).to_owned());
    let loopback = LOOPBACK_NAMES.iter().map(ToString::to_string).filter(|_| config.site.are_loopback());
    SiteConfig {
        hosts: loopback.chain(named).collect(),
        webtransport_origin: config.public_url.clone().unwrap_or_else(|| webtransport_origin(listen)),
        websocket: (config.max_websockets > 0).then(|| PolicyNow(Box::new(policy))),
        not_served: config.imprint.not_served_prefixes.clone(),
        policy: PrivacyPolicy::of(config).page().unwrap_or_default().into(),
        notice: Notice::of(config),
        proxies: config.proxies.clone(),
        certificates: Arc::clone(certificates),
        counters: Arc::clone(counters),
        https: config.mode() == Mode::Production,
    }
}

fn metrics_page(counters: &Arc<Counters>, certificates: &Arc<CertificateStore>) -> Metrics {
    Metrics::new(Arc::clone(counters), Arc::clone(certificates), LOOPBACK_NAMES.map(str::to_owned).to_vec())
}

fn https(
    config: &Config,
    certificates: &Arc<CertificateStore>,
) -> Result<Option<Arc<rustls::ServerConfig>>, StartError> {
    if !config.site_is_https() {
        return Ok(None);
    }
    Ok(Some(Arc::new(tls::site_crypto(Arc::clone(certificates), config.post_quantum)?)))
}

/// A policy cannot name an IPv6 address (CSP level 3, section 2.3.1), so `::1` goes by its name.
fn webtransport_origin(listen: SocketAddr) -> String {
    match listen.ip() {
        IpAddr::V4(ip) => format!("https://{ip}:{}", listen.port()),
        IpAddr::V6(_) => format!("https://localhost:{}", listen.port()),
    }
}

fn page_url(config: &Config, site: SocketAddr) -> String {
    match config.origins.first() {
        Some(origin) if config.mode() == Mode::Production => origin.clone(),
        _ if site.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) => format!("http://localhost:{}", site.port()),
        _ => format!("http://{site}"),
    }
}

/// The host of `SCHEME://HOST[:PORT]`, in brackets if it is an IPv6 address.
fn host(url: &str) -> &str {
    let authority = url.split_once("://").map_or(url, |(_, authority)| authority);
    let end = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
    &authority[..end.unwrap_or(authority.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_cut_out_of_a_url() {
        let urls = [
            "https://chat.example",
            "https://chat.example:4433",
            "https://[2001:db8::1]:4433",
            "https://[::1]",
        ];
        assert_eq!(urls.map(host), ["chat.example", "chat.example", "[2001:db8::1]", "[::1]"]);
    }

    #[test]
    fn in_development_the_own_site_may_connect_by_each_name_of_loopback() {
        let site = "127.0.0.1:8080".parse().expect("an address");
        let expected = ["http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080"];
        assert_eq!(origins(&Config::default(), site), expected);
    }
}
