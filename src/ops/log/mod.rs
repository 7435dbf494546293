//! The log: lines about the server, never about a person.
//!
//! In: `tracing` events, and what [`events`] are counted. Out: one line each, on stderr or in files that go before they are old
//! ([`files`]). There are three kinds of line: what the server says about itself; what the site is asked for, if that is
//! switched on; and what becomes of connections, while an operator looks for a fault.
//!
//! This program's own events are shown up to the configured level; they carry counts, shards and causes, and nothing that came from
//! the network. Of dependencies, whose lines may name addresses (quinn-proto prints them at debug and trace), only the fact
//! shows that one of them warned: its text is withheld. How many lines are written in a second is bounded for each kind.

pub mod events;
mod files;
mod line;
mod moment;
mod writer;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::config::{Config, LogFormat, LogLevel};
use crate::core::io::Time;
use crate::core::session::Rate;
use crate::limits;
use files::Rules;
use line::Line;
use moment::Moment;
use writer::Writer;

/// What the log is told once.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// What the server says about itself: this level and what is more severe.
    pub level: LogLevel,
    /// How a line is written.
    pub format: LogFormat,
    /// Where files are written; `None` is stderr.
    pub folder: Option<PathBuf>,
    /// Whether requests to the site are written down, without address and session; in files only.
    pub access: bool,
    /// For how long lines about requests and connections are kept.
    pub keep_access: Duration,
    /// For how long lines about the server are kept.
    pub keep_server: Duration,
}

impl From<&Config> for LogConfig {
    fn from(config: &Config) -> Self {
        Self {
            level: config.log,
            format: config.log_format,
            folder: config.log_dir.clone(),
            access: config.access_log,
            keep_access: config.retention.access_log,
            keep_server: config.retention.server_log,
        }
    }
}

/// The kinds of line.
const KINDS: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Server,
    Access,
    Connections,
}

impl Kind {
    const fn index(self) -> usize {
        self as usize
    }

    /// Lines at once, and the time in ms after which one more may follow.
    const fn rate(self) -> (u64, u64) {
        match self {
            Self::Server => (limits::LOG_BURST_LINES, limits::LOG_EVERY_MS),
            Self::Access | Self::Connections => (limits::ACCESS_BURST_LINES, limits::ACCESS_EVERY_MS),
        }
    }
}

/// What the log shows, as a number: it can be changed while the server runs.
static LEVEL: AtomicU8 = AtomicU8::new(LogLevel::Info as u8);
/// The log of the process.
static LOG: OnceLock<Log> = OnceLock::new();

/// Starts the log for the whole process. A second start changes nothing. An error means that the folder cannot be used.
pub fn start(config: LogConfig) -> io::Result<()> {
    let level = config.level;
    let log = Log::new(config)?;
    if LOG.set(log).is_ok() {
        LEVEL.store(level as u8, Relaxed);
        let lines = Lines { level: || LogLevel::from_number(LEVEL.load(Relaxed)), write };
        // The only failure is that a log is already there.
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines));
    }
    Ok(())
}

/// Shows more or less from now on.
pub fn set_level(level: LogLevel) {
    if LEVEL.swap(level as u8, Relaxed) != level as u8 {
        tracing::callsite::rebuild_interest_cache();
    }
}

/// Waits until what was logged is written. To be called before the process ends.
pub fn finish() {
    if let Some(Log { writer: Some(writer), .. }) = LOG.get() {
        writer.flush();
    }
}

fn write(line: &Line, level: Level, target: &str) {
    if let Some(log) = LOG.get() {
        log.write(Kind::Server, line, level, target);
    }
}

struct Log {
    config: LogConfig,
    writer: Option<Writer>,
    started: Instant,
    allowances: [Mutex<Allowance>; KINDS],
}

/// How fast lines of one kind may come, and how many came too fast.
#[derive(Default)]
struct Allowance {
    rate: Rate,
    lost: u64,
}

impl Log {
    fn new(config: LogConfig) -> io::Result<Self> {
        let short = |keep: Duration, most: u64| keep.as_secs().min(most);
        let access = Rules {
            name: "access",
            keep_s: short(config.keep_access, limits::ACCESS_LOG_S),
            bytes: limits::ACCESS_LOG_BYTES,
            outlives_boot: false,
        };
        let server = Rules {
            name: "server",
            keep_s: short(config.keep_server, limits::SERVER_LOG_S),
            bytes: limits::SERVER_LOG_BYTES,
            outlives_boot: true,
        };
        let rules = [server, access, Rules { name: "connections", ..access }];
        let writer = match &config.folder {
            Some(folder) => Some(Writer::start(folder, rules, config.format)?),
            None => None,
        };
        Ok(Self { config, writer, started: Instant::now(), allowances: Default::default() })
    }

    /// Writes a line if there may be one now, and how many there might not.
    fn write(&self, kind: Kind, line: &Line, level: Level, target: &str) {
        let now = Time(self.started.elapsed().as_micros() as u64);
        let lost = {
            let allowance = &self.allowances[kind.index()];
            let mut allowance = allowance.lock().unwrap_or_else(PoisonError::into_inner);
            let (burst, every_ms) = kind.rate();
            if allowance.rate.take(now, burst, every_ms).is_err() {
                allowance.lost += 1;
                return;
            }
            std::mem::take(&mut allowance.lost)
        };
        let wall_s = Moment::now().wall_s;
        if lost > 0 {
            self.put(kind, lost_line(lost, self.config.format, wall_s));
        }
        self.put(kind, line.render(self.config.format, wall_s, level, target));
    }

    fn put(&self, kind: Kind, line: String) {
        match &self.writer {
            Some(writer) => writer.write(kind, line),
            // Only lines about the server come here: the others need a folder.
            None => drop(io::stderr().lock().write_all(line.as_bytes())),
        }
    }
}

/// Says that lines are missing.
fn lost_line(lost: u64, format: LogFormat, wall_s: u64) -> String {
    let line = Line::new(
        "lines are missing here: too many at once, or no room for them",
        vec![("lost", lost.into())],
    );
    line.render(format, wall_s, Level::WARN, "anoncam::log")
}

/// What `tracing` is told to do with events.
struct Lines<L, W> {
    level: L,
    write: W,
}

impl<S, L, W> Layer<S> for Lines<L, W>
where
    S: Subscriber,
    L: Fn() -> LogLevel + 'static,
    W: Fn(&Line, Level, &str) + 'static,
{
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        if metadata.is_span() {
            return false;
        }
        let shown = (self.level)();
        let most = if is_own(metadata) { shown } else { shown.min(LogLevel::Warn) };
        most >= level_of(metadata)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let line = if is_own(metadata) {
            Line::of(event)
        } else {
            Line::new("(a dependency's text is withheld: it may name a person)", Vec::new())
        };
        (self.write)(&line, *metadata.level(), metadata.target());
    }
}

fn is_own(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    target == "anoncam" || target.starts_with("anoncam::")
}

fn level_of(metadata: &Metadata<'_>) -> LogLevel {
    match *metadata.level() {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        Level::TRACE => LogLevel::Trace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn logged(level: LogLevel, work: impl FnOnce()) -> String {
        let text = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&text);
        let write = move |line: &Line, level: Level, target: &str| {
            sink.lock().expect("a lock").push_str(&line.render(LogFormat::Text, 0, level, target));
        };
        let subscriber = tracing_subscriber::registry().with(Lines { level: move || level, write });
        tracing::subscriber::with_default(subscriber, work);
        let text = text.lock().expect("a lock");
        text.clone()
    }

    #[test]
    fn what_a_dependency_says_is_withheld_at_every_level() {
        let text = logged(LogLevel::Trace, || {
            tracing::trace!(target: "quinn_proto::connection", remote = "203.0.113.7:4242", "drop 203.0.113.7");
            tracing::debug!(target: "quinn_proto", "203.0.113.7");
            tracing::warn!(target: "quinn_udp", remote = "203.0.113.7:4242", "sendmsg error to 203.0.113.7");
            tracing::error!(target: "anoncamera", "203.0.113.7");
        });
        assert!(!text.contains("203.0.113"), "{text}");
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains(" WARN  quinn_udp (a dependency's text is withheld"), "{text}");
    }

    #[test]
    fn own_lines_show_up_to_the_level() {
        let text = logged(LogLevel::Info, || {
            tracing::info!(target: "anoncam::server", shards = 4, "ready");
            tracing::debug!(target: "anoncam::server", "not shown");
        });
        assert!(text.ends_with("INFO  anoncam::server ready shards=4\n"), "{text}");
        assert_eq!(logged(LogLevel::Off, || tracing::error!(target: "anoncam", "no")), "");
    }

    fn config(folder: PathBuf) -> LogConfig {
        let day = Duration::from_secs(86_400);
        LogConfig {
            level: LogLevel::Info,
            format: LogFormat::Text,
            folder: Some(folder),
            access: true,
            keep_access: day,
            keep_server: day,
        }
    }

    /// What is in the files of one kind.
    fn lines(folder: &std::path::Path, kind: &str) -> Vec<String> {
        let files = std::fs::read_dir(folder.join(kind)).expect("a folder").flatten();
        let text: String = files.map(|entry| std::fs::read_to_string(entry.path()).expect("UTF-8")).collect();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn each_kind_has_its_files_and_a_flood_is_counted_instead_of_written() {
        let directory = tempfile::tempdir().expect("a directory");
        let folder = directory.path().join("log");
        let log = Log::new(config(folder.clone())).expect("a log");
        let line = Line::new("a line", Vec::new());
        for _ in 0..limits::LOG_BURST_LINES * 2 {
            log.write(Kind::Server, &line, Level::INFO, "anoncam");
        }
        log.write(Kind::Access, &line, Level::INFO, "anoncam::access");
        // The time for two more lines.
        std::thread::sleep(Duration::from_millis(2 * limits::LOG_EVERY_MS + 5));
        log.write(Kind::Server, &line, Level::INFO, "anoncam");
        log.writer.as_ref().expect("a thread").flush();
        let server = lines(&folder, "server");
        let written = server.iter().filter(|line| line.ends_with("a line")).count();
        assert!(written as u64 >= limits::LOG_BURST_LINES, "{written}");
        assert!((written as u64) < limits::LOG_BURST_LINES * 2, "{written}");
        let lost: u64 =
            server.iter().filter_map(|line| line.split("lost=").nth(1)?.parse::<u64>().ok()).sum();
        assert_eq!(written as u64 + lost, limits::LOG_BURST_LINES * 2 + 1, "no line is lost without a word");
        assert_eq!(lines(&folder, "access").len(), 1);
        assert_eq!(lines(&folder, "connections").len(), 0);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("file");
        std::fs::write(&file, "").expect("a file");
        assert!(Log::new(config(file.join("log"))).is_err());
    }
}
