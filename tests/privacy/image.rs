//! A full image of a process's memory, as gcore would write it, and what is in it.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use memchr::memmem::Finder;

const PAGE_BYTES: u64 = 4_096;

/// All memory of a process at one moment.
pub struct Image {
    runs: Vec<Run>,
    threads: Vec<Thread>,
}

/// Memory without a gap.
struct Run {
    at: u64,
    bytes: Vec<u8>,
    /// What the system calls the mapping that it is of, and where that begins.
    mapping: (u64, String),
}

/// How deep the stack of a thread is.
struct Thread {
    name: String,
    stack_pointer: u64,
}

impl Image {
    /// Stops the process, copies every page that it could read itself, and lets it go on.
    pub fn of(process: u32) -> Self {
        let _stopped = Stopped::stop(process);
        let open =
            |name: &str| File::open(format!("/proc/{process}/{name}")).expect("a process to look into");
        let (memory, pagemap) = (open("mem"), open("pagemap"));
        let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).expect("the map of its memory");
        let mut runs = Vec::new();
        for line in maps.lines().filter(|line| is_readable(line)) {
            let (from, to) = line.split(' ').next().and_then(|range| range.split_once('-')).expect("a range");
            let address = |text| u64::from_str_radix(text, 16).expect("an address");
            let (from, to) = (address(from), address(to));
            let name = line.split_whitespace().skip(5).last().unwrap_or("without a name");
            for run in present(&pagemap, from / PAGE_BYTES..to / PAGE_BYTES) {
                let mut bytes = vec![0; ((run.end - run.start) * PAGE_BYTES) as usize];
                let at = run.start * PAGE_BYTES;
                let read = memory.read_at(&mut bytes, at).unwrap_or(0);
                bytes.truncate(read);
                runs.push(Run { at, bytes, mapping: (from, name.to_owned()) });
            }
        }
        assert!(
            runs.iter().map(|run| run.bytes.len()).sum::<usize>() > 1 << 20,
            "there is memory to look at"
        );
        Self { runs, threads: threads(process) }
    }

    /// How often these bytes are in it.
    pub fn count(&self, needle: &[u8]) -> usize {
        let finder = Finder::new(needle);
        self.runs.iter().map(|run| finder.find_iter(&run.bytes).count()).sum()
    }

    /// The names of those of these traces that are in it.
    pub fn holds<'a>(&self, traces: &'a [Trace]) -> Vec<&'a str> {
        traces.iter().filter(|trace| self.count(&trace.bytes) > 0).map(|trace| trace.name.as_str()).collect()
    }

    /// Where these traces are, for whoever has to find out how they came there.
    fn tell(&self, traces: &[&Trace]) -> String {
        let mut told = String::new();
        for trace in traces {
            let finder = Finder::new(&trace.bytes);
            let places =
                self.runs.iter().flat_map(|run| finder.find_iter(&run.bytes).map(move |at| (run, at)));
            for (run, at) in places.take(4) {
                told.extend([&trace.name, " at ", &self.describe(run, at), "\n"]);
            }
        }
        told
    }

    /// What there is at a place and around it.
    fn describe(&self, run: &Run, at: usize) -> String {
        let place = run.at + at as u64;
        let around = &run.bytes[at.saturating_sub(AROUND_BYTES)..run.bytes.len().min(at + AROUND_BYTES)];
        let (start, name) = &run.mapping;
        let distance = |thread: &&Thread| place.abs_diff(thread.stack_pointer);
        let thread = self.threads.iter().min_by_key(distance).filter(|thread| distance(thread) < STACK_BYTES);
        let stack = thread.map_or(String::new(), |Thread { name, stack_pointer }| {
            let side = if place < *stack_pointer { "below" } else { "above" };
            format!(", {} bytes {side} the stack pointer of {name}", place.abs_diff(*stack_pointer))
        });
        format!("byte {:#x} of {name}{stack}:{}", place - start, hex(around))
    }
}

/// Bytes that are shown before and after a trace.
const AROUND_BYTES: usize = 128;
/// What a thread has as stack, at most.
const STACK_BYTES: u64 = 8 << 20;

/// In lines of 16 bytes.
fn hex(bytes: &[u8]) -> String {
    let byte =
        |(at, byte): (usize, &u8)| [if at % 16 == 0 { "\n" } else { " " }, &format!("{byte:02x}")].concat();
    bytes.iter().enumerate().map(byte).collect()
}

/// The threads of a process that stands still.
fn threads(process: u32) -> Vec<Thread> {
    let threads = tasks(process).into_iter().filter_map(|task| {
        let name = std::fs::read_to_string(task.join("comm")).ok()?.trim().to_owned();
        // The last but one field is the stack pointer, whatever the thread is doing.
        let call = std::fs::read_to_string(task.join("syscall")).ok()?;
        let pointer = call.split_whitespace().rev().nth(1)?.trim_start_matches("0x").to_owned();
        Some(Thread { name, stack_pointer: u64::from_str_radix(&pointer, 16).ok()? })
    });
    threads.collect()
}

fn tasks(process: u32) -> Vec<PathBuf> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("the threads of a process");
    tasks.flatten().map(|task| task.path()).collect()
}

/// What may tell about a person, and what it is called.
pub struct Trace {
    pub name: String,
    pub bytes: Vec<u8>,
}

impl Trace {
    pub fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), bytes: bytes.into() }
    }
}

/// Waits until nothing of this is in the memory of the process. Four bytes may come up anywhere by chance, for a moment: what
/// is left is what every image holds, since who has gone leaves nothing new.
pub async fn forgotten(process: u32, traces: &[Trace], within: Duration) {
    let deadline = Instant::now() + within;
    let mut left: Vec<_> = traces.iter().collect();
    loop {
        let image = Image::of(process);
        left.retain(|trace| image.count(&trace.bytes) > 0);
        if left.is_empty() {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "after {within:?} there is still in memory:\n{}",
            image.tell(&left)
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Everything but what the kernel maps into each process for its own purposes.
fn is_readable(line: &str) -> bool {
    let readable = line.split(' ').nth(1).is_some_and(|rights| rights.starts_with('r'));
    readable && !line.contains("[v")
}

/// The runs of pages that exist: an allocator reserves far more than it uses.
fn present(pagemap: &File, pages: Range<u64>) -> Vec<Range<u64>> {
    let mut entries = vec![0; ((pages.end - pages.start) * 8) as usize];
    let read = pagemap.read_at(&mut entries, pages.start * 8).unwrap_or(0);
    let mut runs: Vec<Range<u64>> = Vec::new();
    for (page, entry) in pages.zip(entries[..read].chunks_exact(8)) {
        // Bit 63 says present, bit 62 swapped out.
        if entry[7] & 0xc0 == 0 {
            continue;
        }
        match runs.last_mut() {
            Some(run) if run.end == page => run.end += 1,
            _ => runs.push(page..page + 1),
        }
    }
    runs
}

/// A process that stands still.
struct Stopped(u32);

impl Stopped {
    fn stop(process: u32) -> Self {
        signal(process, "-STOP");
        let stopped = Self(process);
        // Each thread stops when it notices.
        let stands = |task: &PathBuf| {
            let stat = std::fs::read_to_string(task.join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, fields)| fields.starts_with('T'))
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        while !tasks(process).iter().all(stands) {
            assert!(Instant::now() < deadline, "a thread does not stop");
            std::thread::yield_now();
        }
        stopped
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal(self.0, "-CONT");
    }
}

fn signal(process: u32, signal: &str) {
    let sent = Command::new("kill").args([signal, &process.to_string()]).status();
    assert!(sent.expect("kill").success());
}
