//! The files of one kind of line, and when they go.
//!
//! In: lines, and the time. Out: files that never grow old. A file takes lines for a 24th of the time for which they may be kept,
//! then the next is begun; each is deleted as a whole before its oldest line is too old.
//!
//! How old a file is says its name: `KIND-WALL-BOOT-UP-PROCESS.log`, its beginning by both clocks ([`Moment`]). Within one start of
//! the machine the clock that nobody can set decides, whatever the time of day was set to. Of an earlier start only the time of
//! day is known: a file from the future, by that, is deleted too; and of lines about connections every file.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::moment::Moment;
use crate::limits::{LOG_CHECK_S, LOG_FILES};

/// What holds for one kind of line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Its name, the first word of its files.
    pub name: &'static str,
    /// A line is gone after this many seconds.
    pub keep_s: u64,
    /// All its files together; past it the oldest goes.
    pub bytes: u64,
    /// Whether files of an earlier start of the machine are kept, as long as the time of day makes sense.
    pub outlives_boot: bool,
}

/// The files of one kind of line.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    rules: Rules,
    boot: String,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    path: PathBuf,
    began_up_s: u64,
    bytes: u64,
    /// Whether a line was cut because there was no room for it.
    torn: bool,
}

/// What the name of a file tells.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    wall_s: u64,
    boot: String,
    up_s: u64,
}

/// Makes the folder for this user alone, if it is not there.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

impl Files {
    /// The files in `folder`, during this start of the machine.
    pub fn new(folder: &Path, rules: Rules, boot: &str) -> Self {
        Self { folder: folder.to_owned(), rules, boot: boot.to_owned(), open: None }
    }

    /// Appends a line. After an error it is lost, and the next may find room.
    pub fn write(&mut self, now: Moment, line: &str) -> io::Result<()> {
        if self.is_full(now) {
            self.open = None;
        }
        let Self { open, .. } = self;
        let open = match open {
            Some(open) => open,
            none => {
                let opened = Self::begin(&self.folder, self.rules.name, &self.boot, now)?;
                none.insert(opened)
            }
        };
        open.append(line)
    }

    /// Begins no file, but ends the open one when its time is over, and deletes what is too old or too much. To be called every
    /// [`LOG_CHECK_S`] seconds.
    pub fn turn(&mut self, now: Moment) -> io::Result<()> {
        if self.is_full(now) {
            self.open = None;
        }
        let mut kept = Vec::new();
        let mut failed = Ok(());
        for (name, path, bytes) in self.list()? {
            let old = self.age_s(&name, now).is_none_or(|age_s| age_s + LOG_CHECK_S >= self.rules.keep_s);
            if old {
                failed = failed.and(fs::remove_file(&path));
            } else {
                kept.push((name.wall_s, path, bytes));
            }
        }
        kept.sort();
        let mut total: u64 = kept.iter().map(|(_, _, bytes)| bytes).sum();
        for (_, path, bytes) in kept {
            if total > self.rules.bytes && self.open.as_ref().is_none_or(|open| open.path != path) {
                failed = failed.and(fs::remove_file(&path));
                total -= bytes;
            }
        }
        failed
    }

    /// Whether the next line needs a new file.
    fn is_full(&self, now: Moment) -> bool {
        self.open.as_ref().is_some_and(|open| {
            now.up_s.saturating_sub(open.began_up_s) >= self.rules.keep_s / LOG_FILES
                || open.bytes >= self.rules.bytes / LOG_FILES
        })
    }

    fn begin(folder: &Path, kind: &str, boot: &str, now: Moment) -> io::Result<Open> {
        let Moment { wall_s, up_s } = now;
        let process = std::process::id();
        let path = folder.join(format!("{kind}-{wall_s}-{boot}-{up_s}-{process}.log"));
        // Two that begin in one second are one file.
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Open { file, path, began_up_s: up_s, bytes, torn: false })
    }

    /// The files of this kind, whoever wrote them.
    fn list(&self) -> io::Result<Vec<(Name, PathBuf, u64)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name().to_str().and_then(|name| Name::parse(name, self.rules.name));
            // A file may be gone by now: another process deletes too.
            if let (Some(name), Ok(meta)) = (name, entry.metadata())
                && meta.is_file()
            {
                found.push((name, entry.path(), meta.len()));
            }
        }
        Ok(found)
    }

    /// How old the oldest line of a file may be; `None` if it cannot be told, or is not allowed to matter.
    fn age_s(&self, name: &Name, now: Moment) -> Option<u64> {
        if name.boot == self.boot {
            now.up_s.checked_sub(name.up_s)
        } else if self.rules.outlives_boot {
            // Older than this start of the machine it is in any case.
            now.wall_s.checked_sub(name.wall_s).map(|age_s| age_s.max(now.up_s))
        } else {
            None
        }
    }
}

impl Open {
    fn append(&mut self, line: &str) -> io::Result<()> {
        if self.torn {
            self.file.write_all(b"\n")?;
            self.torn = false;
        }
        let written = self.file.write_all(line.as_bytes());
        self.torn = written.is_err();
        self.bytes += line.len() as u64;
        written
    }
}

impl Name {
    fn parse(name: &str, kind: &str) -> Option<Self> {
        let rest = name.strip_prefix(kind)?.strip_prefix('-')?.strip_suffix(".log")?;
        let mut parts = rest.split('-');
        let wall_s = parts.next()?.parse().ok()?;
        let boot = parts.next()?.to_owned();
        let up_s = parts.next()?.parse().ok()?;
        let _process: u32 = parts.next()?.parse().ok()?;
        parts.next().is_none().then_some(Self { wall_s, boot, up_s })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600;
    const DAY: u64 = 24 * HOUR;
    /// A moment of November 2026, on a machine that was started an hour before.
    const NOW: Moment = Moment { wall_s: 1_795_875_000, up_s: HOUR };

    fn rules(outlives_boot: bool) -> Rules {
        Rules { name: "kind", keep_s: DAY, bytes: 24_000, outlives_boot }
    }

    fn later(now: Moment, seconds: u64) -> Moment {
        Moment { wall_s: now.wall_s + seconds, up_s: now.up_s + seconds }
    }

    /// A folder, and what is in it.
    struct World(tempfile::TempDir);

    impl World {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("a directory"))
        }

        fn files(&self, rules: Rules, boot: &str) -> Files {
            Files::new(self.0.path(), rules, boot)
        }

        /// All lines that are on disk.
        fn lines(&self) -> Vec<String> {
            let files = fs::read_dir(self.0.path()).expect("a directory").flatten();
            let text = |entry: fs::DirEntry| fs::read_to_string(entry.path()).expect("UTF-8");
            let mut lines: Vec<String> = files
                .map(text)
                .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
                .collect();
            lines.sort();
            lines
        }

        /// The age of the oldest line, where each line is the hour at which it was written.
        fn oldest_s(&self, begin: u64, now_s: u64) -> u64 {
            self.lines()
                .iter()
                .map(|line| now_s - (begin + line.parse::<u64>().expect("a number")))
                .max()
                .unwrap_or(0)
        }
    }

    /// Three days with a line every ten minutes, the clock set about at random, and the server started again every 7 hours.
    #[test]
    fn no_line_grows_a_day_old_whatever_the_clock_says_and_however_often_the_server_starts() {
        let world = World::new();
        let mut files = world.files(rules(false), "5f2c9a01");
        let mut most = 0;
        for minute in 0..3 * 24 * 60 {
            let true_s = minute * 60;
            let wrong = [0, 400 * DAY, 20 * DAY][(minute / 240 % 3) as usize];
            let now = Moment { wall_s: NOW.wall_s - 100 * DAY + wrong + true_s, up_s: NOW.up_s + true_s };
            if minute % 420 == 0 {
                files = world.files(rules(false), "5f2c9a01");
            }
            if minute % 10 == 0 {
                files.write(now, &format!("{true_s}\n")).expect("room");
            }
            files.turn(now).expect("a folder");
            most = most.max(world.oldest_s(0, true_s));
        }
        assert!(most < DAY, "a line was {most} s old");
        assert!(most > DAY - 2 * HOUR, "and lines are kept for about as long as they may be: {most} s");
        files.turn(later(NOW, 5 * DAY)).expect("a folder");
        assert_eq!(world.lines(), [""; 0], "and then they are all gone");
    }

    #[test]
    fn what_an_earlier_start_of_the_machine_left_goes_unless_it_is_known_to_be_young() {
        for (outlives, moved, expected) in [
            (true, Moment { wall_s: NOW.wall_s + HOUR, up_s: 60 }, 1),
            // The clock says that the file is of tomorrow.
            (true, Moment { wall_s: NOW.wall_s - HOUR, up_s: 60 }, 0),
            (true, Moment { wall_s: NOW.wall_s + DAY, up_s: 60 }, 0),
            // The clock was set back before, but the machine runs for a day already.
            (true, Moment { wall_s: NOW.wall_s + HOUR, up_s: DAY }, 0),
            (false, Moment { wall_s: NOW.wall_s + HOUR, up_s: 60 }, 0),
        ] {
            let world = World::new();
            world.files(rules(outlives), "5f2c9a01").write(NOW, "before\n").expect("room");
            world.files(rules(outlives), "77777777").turn(moved).expect("a folder");
            assert_eq!(world.lines().len(), expected, "{moved:?}");
        }
    }

    #[test]
    fn all_files_together_have_a_bound_and_the_newest_lines_are_kept() {
        let world = World::new();
        let mut files = world.files(rules(true), "5f2c9a01");
        for second in 0..1_000 {
            let now = later(NOW, second);
            files.write(now, &format!("{second:099}\n")).expect("room");
            files.turn(now).expect("a folder");
        }
        let lines = world.lines();
        assert!(lines.len() <= 240 && lines.len() > 200, "{}", lines.len());
        assert_eq!(lines.last().map(|line| line.trim_start_matches('0')), Some("999"));
    }

    #[test]
    fn other_files_are_left_alone_and_own_ones_are_for_the_server_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let world = World::new();
        let others =
            ["notes.txt", "kind-1-5f2c9a01-1.log", "kinder-1-5f2c9a01-1-1.log", "kind-1-5f2c9a01-1-1.txt"];
        for name in others {
            fs::write(world.0.path().join(name), "").expect("a file");
        }
        let mut files = world.files(rules(false), "5f2c9a01");
        files.write(NOW, "a line\n").expect("room");
        let open = files.open.as_ref().expect("a file").path.clone();
        assert_eq!(fs::metadata(&open).expect("a file").permissions().mode() & 0o777, 0o600);
        files.turn(later(NOW, 2 * DAY)).expect("a folder");
        assert!(!open.exists());
        assert!(others.iter().all(|name| world.0.path().join(name).exists()));
    }

    #[test]
    fn a_full_disk_costs_lines_and_the_next_one_stands_by_itself() {
        let world = World::new();
        let mut files = world.files(rules(false), "5f2c9a01");
        files.write(NOW, "before\n").expect("room");
        let open = files.open.as_mut().expect("a file");
        let room = std::mem::replace(
            &mut open.file,
            OpenOptions::new().write(true).open("/dev/full").expect("Linux"),
        );
        let full = files.write(NOW, "lost\n").expect_err("no room");
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        files.open.as_mut().expect("a file").file = room;
        files.write(NOW, "after\n").expect("room again");
        assert_eq!(world.lines(), ["", "after", "before"]);
    }
}
