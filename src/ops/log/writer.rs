//! The thread that writes the files of the log, so that a slow disk holds up nobody else.
//!
//! In: lines, through a bounded queue. Out: files, and their end ([`Files`]). A line that finds no place in the queue or no room on
//! the disk is lost and counted; the count is written as soon as there is room.

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::files::{Files, Rules, make_folder};
use super::moment::{Moment, boot};
use super::{KINDS, Kind, events, lost_line};
use crate::config::LogFormat;
use crate::limits::{LOG_CHECK_S, LOG_QUEUE_LINES};

/// The front of the thread.
#[derive(Debug)]
pub(super) struct Writer {
    queue: SyncSender<Job>,
    lost: Arc<[AtomicU64; KINDS]>,
}

#[derive(derive_more::Debug)]
enum Job {
    Line(Kind, #[debug("{} bytes", _1.len())] String),
    /// Answers when everything before it is written.
    Flush(SyncSender<()>),
}

impl Writer {
    /// Makes a folder for each kind, deletes what is too old in it, and starts the thread. An error means that nothing can be written there.
    pub fn start(folder: &Path, rules: [Rules; KINDS], format: LogFormat) -> io::Result<Self> {
        let boot = boot();
        for rules in &rules {
            make_folder(&folder.join(rules.name))?;
        }
        let mut files = rules.map(|rules| Files::new(&folder.join(rules.name), rules, &boot));
        for files in &mut files {
            files.turn(Moment::now())?;
        }
        let (queue, jobs) = sync_channel(LOG_QUEUE_LINES);
        let lost: Arc<[AtomicU64; KINDS]> = Arc::default();
        let keeper = Keeper { files, format, lost: Arc::clone(&lost), complained: None };
        std::thread::Builder::new().name("log".to_owned()).spawn(move || keeper.run(&jobs))?;
        Ok(Self { queue, lost })
    }

    /// Hands a line over.
    pub fn write(&self, kind: Kind, line: String) {
        if self.queue.try_send(Job::Line(kind, line)).is_err() {
            self.lost[kind as usize].fetch_add(1, Relaxed);
        }
    }

    /// Waits until everything is written that was handed over, for a moment at most.
    pub fn flush(&self) {
        const MOMENT: Duration = Duration::from_secs(2);
        let (done, waiting) = sync_channel(1);
        if self.queue.send(Job::Flush(done)).is_ok() {
            // A disk that takes longer than that takes no more.
            let _ = waiting.recv_timeout(MOMENT);
        }
    }
}

/// What the thread works with.
struct Keeper {
    files: [Files; KINDS],
    format: LogFormat,
    lost: Arc<[AtomicU64; KINDS]>,
    /// When it said last that something is wrong.
    complained: Option<Instant>,
}

impl Keeper {
    fn run(mut self, jobs: &Receiver<Job>) {
        const PERIOD: Duration = Duration::from_secs(LOG_CHECK_S);
        let mut turn_at = Instant::now() + PERIOD;
        loop {
            match jobs.recv_timeout(turn_at.saturating_duration_since(Instant::now())) {
                Ok(Job::Line(kind, line)) => self.write(kind, &line),
                // Whoever asked may have given up.
                Ok(Job::Flush(done)) => drop(done.try_send(())),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if Instant::now() >= turn_at {
                turn_at = Instant::now() + PERIOD;
                self.turn();
            }
        }
    }

    fn write(&mut self, kind: Kind, line: &str) {
        let now = Moment::now();
        let (files, lost) = (&mut self.files[kind as usize], &self.lost[kind as usize]);
        if let Err(error) = files.write(now, line) {
            lost.fetch_add(1, Relaxed);
            return self.complain(&error);
        }
        let count = lost.swap(0, Relaxed);
        if count > 0 && files.write(now, &lost_line(count, self.format, now.wall_s)).is_err() {
            lost.fetch_add(count, Relaxed);
        }
    }

    fn turn(&mut self) {
        // Says that it is over also where nobody connects any more.
        events::watched();
        for index in 0..KINDS {
            if let Err(error) = self.files[index].turn(Moment::now()) {
                self.complain(&error);
            }
        }
    }

    /// Where no log can be written, stderr is what is left; once a minute.
    fn complain(&mut self, error: &io::Error) {
        const PAUSE: Duration = Duration::from_secs(60);
        if self.complained.is_none_or(|at| at.elapsed() >= PAUSE) {
            self.complained = Some(Instant::now());
            let _ = writeln!(io::stderr().lock(), "anoncam: the files of the log cannot be kept: {error}");
        }
    }
}
