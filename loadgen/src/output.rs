//! Where a run's results go: the live line, the end report, and files, written as the run goes on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::live::Live;
use crate::options::Options;
use crate::report::{Built, Interval, Report, SCHEMA, Stage, files, html, terminal};
use crate::run::collect::Watch;
use crate::run::machine::Machine;
use crate::run::{INTERRUPTED, Plan};
use crate::stats::recorder::Sample;

/// Where one run's results go.
pub struct Output {
    live: Option<Live>,
    json: Option<PathBuf>,
    html: Option<PathBuf>,
    hgrm: Option<PathBuf>,
    jsonl: Vec<File>,
    log: Option<File>,
    to_stdout: bool,
    /// Whether the report is printed at the end.
    printed: bool,
    /// The first thing that could not be written while the run went on.
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
    pub fn open(plan: &Plan) -> Result<Self, String> {
        let options = &plan.options;
        let force = options.force.unwrap_or(false);
        let to_stdout = options.json.as_deref() == Some("-");
        let mut output = Self {
            json: options.json.as_ref().filter(|_| !to_stdout).map(PathBuf::from),
            hgrm: options.hgrm.clone(),
            jsonl: options.jsonl.iter().map(|path| create(path, force)).collect::<Result<_, _>>()?,
            to_stdout,
            printed: true,
            ..Self::unwritten(plan)
        };
        for path in output.json.iter().chain(&output.hgrm) {
            create(path, force)?;
        }
        if let Some(directory) = &options.out {
            output.open_directory(directory, force)?;
        }
        output.write_headers(plan);
        Ok(output)
    }

    /// Writes to this directory alone, and prints nothing: for a run that is a part of something larger.
    pub fn part(plan: &Plan, directory: Option<&Path>) -> Result<Self, String> {
        let mut output = Self::unwritten(plan);
        if let Some(directory) = directory {
            output.open_directory(directory, plan.options.force.unwrap_or(false))?;
        }
        output.write_headers(plan);
        Ok(output)
    }

    fn unwritten(plan: &Plan) -> Self {
        let live = !plan.options.quiet.unwrap_or(false) && io::stderr().is_terminal();
        Self {
            live: live.then(|| Live::new(&plan.settings)),
            json: None,
            html: None,
            hgrm: None,
            jsonl: Vec::new(),
            log: None,
            to_stdout: false,
            printed: false,
            failed: None,
        }
    }

    fn open_directory(&mut self, directory: &Path, force: bool) -> Result<(), String> {
        create_directory(directory, force)?;
        // What an earlier run left there must not be taken for this one's, should this one be cut off.
        let _ = fs::remove_file(directory.join(files::REPORT));
        self.jsonl.push(create(&directory.join(files::INTERVALS), force)?);
        self.log = Some(create(&directory.join(files::LOG), force)?);
        self.json.get_or_insert_with(|| directory.join(files::REPORT));
        self.html = Some(directory.join("report.html"));
        self.hgrm.get_or_insert_with(|| directory.join("latency.hgrm"));
        Ok(())
    }

    fn write_headers(&mut self, plan: &Plan) {
        let started_unix_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let header = files::Header {
            schema: SCHEMA,
            scenario: plan.settings.kind,
            started_unix_s,
            options: plan.options.clone(),
            target: plan.target.address.to_string(),
            server_program: plan.server.program(),
            built: Built::here(),
            machine: Machine::here(),
        };
        self.write_line(&serde_json::to_string(&header).unwrap_or_default());
        if let Some(file) = &mut self.log {
            let result = files::append(file, &files::log_header(started_unix_s));
            self.failed = self.failed.take().or(result.err());
        }
    }

    /// A line of the interval files. The first error is told at the end; the run goes on.
    fn write_line(&mut self, line: &str) {
        for file in &mut self.jsonl {
            let result = files::append(file, &format!("{line}\n"));
            self.failed = self.failed.take().or(result.err());
        }
    }

    /// Prints the end report and writes the files. What cannot be written costs neither the rest nor what is printed.
    pub fn finish(&mut self, report: &Report) -> Result<(), String> {
        if self.live.is_some() {
            complain_raw("\n");
        }
        let json = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
        let text = terminal::render(report);
        if self.to_stdout {
            print(&json);
            complain_raw(&text);
        } else if self.printed {
            print(&text);
        }
        let page = self.html.is_some().then(|| html::render(report));
        let percentiles = match report.main_latency() {
            Some(latency) => Some(files::hgrm(&latency.corrected.histogram()?)),
            None => None,
        };
        for (path, text) in [(&self.json, Some(json)), (&self.html, page), (&self.hgrm, percentiles)] {
            if let (Some(path), Some(text)) = (path, text) {
                let result = fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()));
                self.failed = self.failed.take().or(result.err());
            }
        }
        self.failed.take().map_or(Ok(()), |why| Err(format!("not everything could be written: {why}")))
    }
}

impl Watch for Output {
    fn interval(&mut self, interval: &Interval, opening: &Sample, measured: &Sample) {
        if let Some(live) = &mut self.live {
            complain_raw(&format!("\r\x1b[K{}", live.line(interval)));
        }
        self.write_line(&serde_json::to_string(interval).unwrap_or_default());
        if let Some(file) = &mut self.log {
            let mut lines = files::log_lines(interval, "opening.", opening);
            lines += &files::log_lines(interval, "", measured);
            let result = files::append(file, &lines);
            self.failed = self.failed.take().or(result.err());
        }
    }

    fn stage(&mut self, stage: &Stage) {
        self.write_line(&files::stage_line(stage));
    }
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

/// Creates a directory that must not exist, unless `force`.
pub fn create_directory(directory: &Path, force: bool) -> Result<(), String> {
    if directory.exists() && !force {
        return Err(exists(directory));
    }
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))
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
