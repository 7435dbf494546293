//! Around the six steps: the configuration.
//!
//! In: flags, `ANONCAM_...` environment variables and a TOML file, in this order of precedence. Out: one
//! checked [`Config`], or a [`ConfigError`] that names for each problem the place, the key and what is allowed.
//!
//! [`SETTINGS`] is the one table of all settings; flags, environment and file are three ways to fill it.

mod acme;
mod addresses;
mod check;
mod draft;
mod error;
mod file;
mod flags;
mod imprint;
mod proxy;
mod reload;
mod settings;
#[cfg(test)]
mod tests;
mod turn;
mod value;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use addresses::Addresses;
pub use error::ConfigError;
pub use flags::{Arguments, Command};
pub use imprint::{Adopted, Imprint, Relay};
pub use reload::{Changes, LIVE, Source};
pub use settings::{SETTINGS, Setting};
pub use turn::IceUrl;
pub use value::{LogFormat, LogLevel};

use crate::limits;
use crate::privacy::Hidden;
use crate::site::TrustedProxies;
#[cfg(test)]
use crate::tls;
use crate::tls::acme::Acme;
use draft::Draft;
use error::{Place, Problem};

/// Everything that the server can be told, checked: what is in here works together.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // Each is a setting.
pub struct Config {
    /// Where WebTransport is served (UDP). Port 0 means any free port.
    pub listen: Addresses,
    /// Where the page is served (TCP). Port 0 means any free port.
    pub site: Addresses,
    /// Where browsers that come without TLS are sent to the site (TCP); `None` means nowhere.
    pub redirect: Option<Addresses>,
    /// Shards: threads that own a socket each.
    pub shards: u16,
    /// What the log shows.
    pub log: LogLevel,
    /// Sessions at once, over all shards; past it a client is closed with code 8.
    pub max_sessions: u32,
    /// Sessions over WebSocket at once, over all shards; 0 means that the fallback is not served.
    pub max_websockets: u32,
    /// How long people who are in a chat may go on after SIGTERM.
    pub drain: Duration,
    /// Half-open handshakes, over all shards, above which an address has to be proven by Retry.
    pub retry_above: u32,
    /// People that one address may stand for: what comes from it is limited to what so many do.
    pub people_per_address: u32,
    /// Newcomers a second, over all shards, past which each has to prove work; 0 for never.
    pub work_above: u32,
    /// Cap on all buffers of one shard, in bytes; past it the heaviest session is shed.
    pub shard_buffer_bytes: usize,
    /// Proxies in front of the site whose word about clients is taken.
    pub proxies: TrustedProxies,
    /// Origins of pages that may connect, beside the server's own site in development.
    pub origins: Vec<String>,
    /// What browsers connect to, as `https://HOST[:PORT]`; `None` means the listen address.
    pub public_url: Option<String>,
    /// Whether X25519MLKEM768 is offered.
    pub post_quantum: bool,
    /// The certificate and its key; `None` means development mode. With ACME, where they will be.
    pub certificate: Option<CertificateFiles>,
    /// How the certificate is got, if not by the operator.
    pub acme: Option<Acme>,
    /// The TURN relay that video chats are given.
    pub turn: Option<Turn>,
    /// Where counts are told to a monitor (TCP, loopback only); `None` means nowhere.
    pub metrics: Option<SocketAddr>,
    /// Where `anoncam SUBCOMMAND` reaches this server (a Unix socket); `None` means nowhere.
    pub control: Option<PathBuf>,
    /// How a line of a log is written.
    pub log_format: LogFormat,
    /// Where log files are written; `None` is stderr.
    pub log_dir: Option<PathBuf>,
    /// Whether requests to the page are written down.
    pub access_log: bool,
    /// How long traces of people are kept.
    pub retention: Retention,
    /// Who runs the server, for the privacy policy.
    pub imprint: Imprint,
    /// Whether the memory is kept out of swap.
    pub lock_memory: bool,
    /// Whether a debugger of the same user may read the memory: for tests that search it, never in production.
    pub dumpable_for_tests: bool,
    /// Things that are allowed and still look like a mistake, for the log.
    pub warnings: Vec<String>,
    /// Where it can be read again; `None` if a program made it.
    pub source: Option<Box<Source>>,
}

/// Where a production certificate lies.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// PEM file with the certificate chain, the server's own certificate first.
    pub cert: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

/// The TURN relays and STUN servers, and what short-lived credentials are made from.
#[derive(Clone, Debug)]
pub struct Turn {
    /// `turn:`, `turns:`, `stun:` and `stuns:` URLs as an `RTCPeerConnection` takes them.
    pub urls: Vec<String>,
    /// What is shared with the relay (coturn's `static-auth-secret`): two while one follows the other, none with STUN alone.
    pub secrets: Vec<Hidden<Vec<u8>>>,
    /// How long a credential is good.
    pub ttl: Duration,
}

impl Turn {
    /// Whether video can go through a relay, rather than only be helped by STUN.
    pub fn has_relay(&self) -> bool {
        self.urls.iter().any(|url| url.starts_with("turn"))
    }
}

/// How long traces of people are kept. By default as long as the policy allows at most; a configuration can only shorten it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// A session without a connection, for its owner to come back.
    pub resume: Duration,
    /// What is left of a connection that has gone, until the next wiping.
    pub forget: Duration,
    /// A line about a request or a connection, where they are written down.
    pub access_log: Duration,
    /// A line of the server's own log, where the server keeps it in files.
    pub server_log: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            resume: Duration::from_secs(limits::RESUME_S),
            forget: Duration::from_millis(limits::FORGET_MS),
            access_log: Duration::from_secs(limits::ACCESS_LOG_S),
            server_log: Duration::from_secs(limits::SERVER_LOG_S),
        }
    }
}

/// What the server promises, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// No certificate was given: loopback only, a certificate made on the spot, no limit per address.
    Development,
    /// A certificate was given: any address, all limits on.
    Production,
}

impl Config {
    /// Reads everything that a start reads: flags, the process's environment, and the file that `--config` or
    /// `ANONCAM_CONFIG` names.
    pub fn load(arguments: &Arguments) -> Result<Self, ConfigError> {
        Self::load_with(arguments, std::env::vars_os().filter_map(utf8_pair))
    }

    /// [`Config::load`] with an environment of the caller's choosing.
    pub fn load_with(
        arguments: &Arguments,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let environment = flags::own_variables(environment);
        let file = arguments.config.clone().or_else(|| {
            environment.iter().find(|(name, _)| name == flags::CONFIG_VARIABLE).map(|v| v.1.clone().into())
        });
        let mut draft = Draft::default();
        let mut problems = Vec::new();
        // The weakest source first: a later one overwrites it.
        if let Some(path) = file {
            problems.extend(file::read(&path, &mut draft));
        }
        problems.extend(flags::apply_environment(&environment, &mut draft));
        problems.extend(flags::apply_flags(arguments, &mut draft));
        draft.config.dumpable_for_tests = arguments.dumpable_for_tests;
        let given = draft.given.clone();
        let mut config = finish(draft, problems)?;
        config.source = Some(Box::new(Source { arguments: arguments.clone(), given }));
        Ok(config)
    }

    /// Reads and checks one file alone, with neither flags nor environment (`anoncam check-config FILE`).
    pub fn check_file(path: &Path) -> Result<Self, ConfigError> {
        let mut draft = Draft::default();
        let problems = file::read(path, &mut draft);
        finish(draft, problems)
    }

    /// The same for its privacy policy, which nobody has to have adopted yet (`anoncam policy FILE`).
    pub fn read_policy(path: &Path) -> Result<Self, ConfigError> {
        let mut draft = Draft::default();
        draft.only_reads_policy = true;
        let problems = file::read(path, &mut draft);
        finish(draft, problems)
    }

    /// Whether this is a development or a production server.
    pub fn mode(&self) -> Mode {
        if self.certificate.is_some() { Mode::Production } else { Mode::Development }
    }

    /// Whether the site speaks TLS itself: in production, unless it is on loopback behind a proxy of the operator's.
    pub fn site_is_https(&self) -> bool {
        self.mode() == Mode::Production && !self.site.are_loopback()
    }
}

impl Default for Config {
    /// A development server on the usual ports of loopback, with one shard a core.
    fn default() -> Self {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        // Elsewhere than on Linux sockets cannot be steered by connection ID, so there is one shard.
        let cores = if cfg!(target_os = "linux") {
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
        } else {
            1
        };
        Self {
            listen: SocketAddr::new(loopback, limits::DEFAULT_LISTEN_PORT).into(),
            site: SocketAddr::new(loopback, limits::DEFAULT_SITE_PORT).into(),
            redirect: None,
            shards: u16::try_from(cores).unwrap_or(u16::MAX).min(limits::MAX_SHARDS),
            log: LogLevel::Info,
            max_sessions: limits::DEFAULT_MAX_SESSIONS,
            max_websockets: limits::DEFAULT_MAX_WEBSOCKETS,
            drain: Duration::from_secs(limits::DEFAULT_DRAIN_S),
            retry_above: limits::DEFAULT_RETRY_ABOVE,
            people_per_address: limits::DEFAULT_PEOPLE_PER_ADDRESS,
            work_above: limits::DEFAULT_WORK_ABOVE,
            shard_buffer_bytes: (limits::DEFAULT_SHARD_BUFFER_MIB as usize) << 20,
            proxies: proxy::default(),
            origins: Vec::new(),
            public_url: None,
            post_quantum: true,
            certificate: None,
            acme: None,
            turn: None,
            metrics: None,
            control: None,
            log_format: LogFormat::Text,
            log_dir: None,
            access_log: false,
            retention: Retention::default(),
            imprint: Imprint::default(),
            lock_memory: false,
            dumpable_for_tests: false,
            warnings: Vec::new(),
            source: None,
        }
    }
}

/// The summary that `check-config` prints.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode() {
            Mode::Development => "development (no certificate: loopback only)",
            Mode::Production => "production",
        };
        let scheme = if self.site_is_https() { "https" } else { "http" };
        writeln!(f, "  mode              {mode}")?;
        writeln!(f, "  WebTransport      {} (UDP), {} shards", self.listen, self.shards)?;
        let sites: Vec<_> = self.site.iter().map(|address| format!("{scheme}://{address}")).collect();
        writeln!(f, "  site              {}", sites.join(", "))?;
        if let Some(redirect) = &self.redirect {
            writeln!(f, "  redirect          http://{redirect}")?;
        }
        if let Some(url) = &self.public_url {
            writeln!(f, "  browsers reach    {url}")?;
        }
        if let Some(acme) = &self.acme {
            writeln!(f, "  certificate       by ACME, for {}", acme.names.join(", "))?;
        }
        if !self.origins.is_empty() {
            writeln!(f, "  origins           {}", self.origins.join(", "))?;
        }
        writeln!(f, "  sessions          at most {}", self.max_sessions)?;
        writeln!(f, "  WebSocket         at most {}", self.max_websockets)?;
        writeln!(f, "  buffers           at most {} MiB a shard", self.shard_buffer_bytes >> 20)?;
        writeln!(f, "  Retry             above {} half-open handshakes", self.retry_above)?;
        if self.mode() == Mode::Production {
            writeln!(f, "  an address        stands for {} people at most", self.people_per_address)?;
        }
        writeln!(f, "  drain             {} s", self.drain.as_secs())?;
        match &self.turn {
            Some(turn) => {
                writeln!(f, "  TURN              {}, for {} s", turn.urls.join(", "), turn.ttl.as_secs())
            }
            None => writeln!(f, "  TURN              none: hidden video is not offered"),
        }?;
        if let Some(metrics) = self.metrics {
            writeln!(f, "  metrics           http://{metrics}/metrics")?;
        }
        if let Some(control) = &self.control {
            writeln!(f, "  control           {}", control.display())?;
        }
        write!(f, "  log               {}", self.log)?;
        if let Some(folder) = &self.log_dir {
            let hours = self.retention.server_log.as_secs() / 3_600;
            write!(f, ", in {} for {hours} h", folder.display())?;
        }
        Ok(())
    }
}

fn finish(draft: Draft, mut problems: Vec<Problem>) -> Result<Config, ConfigError> {
    // Rules between settings are only meaningful when each setting is right by itself.
    if problems.is_empty() {
        match check::check(draft) {
            Ok(config) => return Ok(config),
            Err(more) => problems = more,
        }
    }
    Err(ConfigError::new(problems))
}

fn utf8_pair((name, value): (std::ffi::OsString, std::ffi::OsString)) -> Option<(String, String)> {
    Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
}
