//! Where a run's results go: the live line, the end report, and files, written as the run goes on.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::options::Options;
use crate::report::{Interval, Report, SCHEMA, files, html, terminal};
use crate::run::INTERRUPTED;
use crate::run::collect::Watch;
use crate::run::machine::Machine;
use crate::settings::Kind;
use crate::stats::recorder::Sample;

/// Where one run's results go.
pub struct Output {
    live: bool,
    json: Option<PathBuf>,
    html: Option<PathBuf>,
    hgrm: Option<PathBuf>,
    jsonl: Vec<File>,
    log: Option<File>,
    to_stdout: bool,
    failed: Option<String>,
}

impl Output {
    /// Whether every file can be created, without creating any: a run that cannot start leaves no empty files.
    pub fn check(options: &Options) -> Result<(), String> {
        let json = options.json.as_deref().filter(|path| *path != "-").map(Path::new);
        let paths = [json, options.jsonl.as_deref(), options.hgrm.as_deref(), options.out.as_deref()];
        match paths.into_iter().flatten().find(|path| path.exists()) {
            Some(path) if !options.force.unwrap_or(false) => Err(exists(path)),
            _ => Ok(()),
        }
    }

    /// Opens every file before the run, so that a wrong path does not cost one.
    pub fn open(kind: Kind, options: &Options) -> Result<Self, String> {
        let force = options.force.unwrap_or(false);
        let to_stdout = options.json.as_deref() == Some("-");
        let mut output = Self {
            live: !options.quiet.unwrap_or(false) && io::stderr().is_terminal(),
            json: options.json.as_ref().filter(|_| !to_stdout).map(PathBuf::from),
            html: None,
            hgrm: options.hgrm.clone(),
            jsonl: options.jsonl.iter().map(|path| create(path, force)).collect::<Result<_, _>>()?,
            log: None,
            to_stdout,
            failed: None,
        };
        for path in output.json.iter().chain(&output.hgrm) {
            create(path, force)?;
        }
        if let Some(directory) = &options.out {
            output.open_directory(directory, force)?;
        }
        output.write_headers(kind, options);
        Ok(output)
    }

    /// Writes nothing, for runs that are a part of something larger.
    pub fn quiet() -> Self {
        Self {
            live: io::stderr().is_terminal(),
            json: None,
            html: None,
            hgrm: None,
            jsonl: Vec::new(),
            log: None,
            to_stdout: false,
            failed: None,
        }
    }

    fn open_directory(&mut self, directory: &Path, force: bool) -> Result<(), String> {
        let named = |error: io::Error| format!("{}: {error}", directory.display());
        if directory.exists() && !force {
            return Err(exists(directory));
        }
        fs::create_dir_all(directory).map_err(named)?;
        // What an earlier run left there must not be taken for this one's, should this one be cut off.
        let _ = fs::remove_file(directory.join(files::REPORT));
        self.jsonl.push(create(&directory.join(files::INTERVALS), force)?);
        self.log = Some(create(&directory.join(files::LOG), force)?);
        self.json.get_or_insert_with(|| directory.join(files::REPORT));
        self.html = Some(directory.join("report.html"));
        self.hgrm.get_or_insert_with(|| directory.join("latency.hgrm"));
        Ok(())
    }

    fn write_headers(&mut self, kind: Kind, options: &Options) {
        let started_unix_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let header = files::Header {
            schema: SCHEMA,
            scenario: kind,
            started_unix_s,
            options: options.clone(),
            machine: Machine::here(),
        };
        let line = serde_json::to_string(&header).unwrap_or_default();
        for file in &mut self.jsonl {
            let result = files::append(file, &format!("{line}\n"));
            self.failed = self.failed.take().or(result.err());
        }
        if let Some(file) = &mut self.log {
            let result = files::append(file, &files::log_header(started_unix_s));
            self.failed = self.failed.take().or(result.err());
        }
    }

    /// Writes the end report.
    pub fn finish(&mut self, report: &Report) -> Result<(), String> {
        if self.live {
            complain_raw("\n");
        }
        let json = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
        let write = |path: &Path, text: &str| {
            fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
        };
        if let Some(path) = &self.json {
            write(path, &json)?;
        }
        if let Some(path) = &self.html {
            write(path, &html::render(report))?;
        }
        if let (Some(path), Some(latency)) = (&self.hgrm, report.main_latency()) {
            write(path, &files::hgrm(&latency.corrected.histogram()?))?;
        }
        let text = terminal::render(report);
        if self.to_stdout {
            print(&json);
            complain_raw(&text);
        } else {
            print(&text);
        }
        self.failed.take().map_or(Ok(()), Err)
    }
}

impl Watch for Output {
    fn interval(&mut self, interval: &Interval, opening: &Sample, measured: &Sample) {
        if self.live {
            complain_raw(&format!("\r\x1b[K{}", live_line(interval)));
        }
        let line = serde_json::to_string(interval).unwrap_or_default();
        for file in &mut self.jsonl {
            // The first error is reported at the end; the run goes on.
            let result = files::append(file, &format!("{line}\n"));
            self.failed = self.failed.take().or(result.err());
        }
        if let Some(file) = &mut self.log {
            let mut lines = files::log_lines(interval, "opening.", opening);
            lines += &files::log_lines(interval, "", measured);
            let result = files::append(file, &lines);
            self.failed = self.failed.take().or(result.err());
        }
    }
}

fn live_line(now: &Interval) -> String {
    let phase = if now.measuring { "load" } else { "opening" };
    let rate = now.operations as f64 / now.seconds.max(0.001);
    let ms = |us: u64| us as f64 / 1000.0;
    let mut line = format!(
        "{:>5.0} s {phase:<7} {rate:>8.0}/s  open {}  in chat {}  p50 {:.2}  p99 {:.2} ms  own {:.2} CPUs",
        now.at_s,
        now.open,
        now.in_chat,
        ms(now.p50_us),
        ms(now.p99_us),
        now.own_cpus
    );
    if now.server_rss_bytes > 0 {
        let mib = now.server_rss_bytes as f64 / 1024.0 / 1024.0;
        let _ = write!(line, "  server {:.2} CPUs {mib:.0} MiB", now.server_cpus);
    }
    line
}

/// Creates a file that must not exist, unless `force`.
pub fn create(path: &Path, force: bool) -> Result<File, String> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(!force).create(true).truncate(force);
    options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => exists(path),
        _ => format!("{}: {error}", path.display()),
    })
}

fn exists(path: &Path) -> String {
    format!("{} exists: --force writes over it", path.display())
}

/// Prints to standard output; a closed pipe is no error.
pub fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Prints an error.
pub fn complain(text: &str) {
    complain_raw(&format!("anoncam-loadgen: {text}\n"));
}

fn complain_raw(text: &str) {
    let mut out = io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// From now on the first Ctrl-C ends the run and the second the program.
pub fn on_interrupt() {
    extern "C" fn interrupt(_signal: libc::c_int) {
        INTERRUPTED.store(true, Ordering::Relaxed);
        // SAFETY: resetting a handler is async-signal-safe.
        #[allow(unsafe_code)]
        unsafe {
            libc::signal(libc::SIGINT, libc::SIG_DFL);
        }
    }
    let handler = interrupt as extern "C" fn(libc::c_int);
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the handler only stores to an atomic and resets itself, both async-signal-safe.
        #[allow(unsafe_code)]
        unsafe {
            libc::signal(signal, handler as *const () as libc::sighandler_t);
        }
    }
}
