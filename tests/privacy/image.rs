//! A full image of a process's memory, as gcore would write it, and what is in it.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::{Duration, Instant};

use memchr::memmem::Finder;

const PAGE_BYTES: u64 = 4_096;

/// All memory of a process at one moment.
pub struct Image {
    runs: Vec<Vec<u8>>,
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
            let page = |text| u64::from_str_radix(text, 16).expect("an address") / PAGE_BYTES;
            for run in present(&pagemap, page(from)..page(to)) {
                let mut bytes = vec![0; ((run.end - run.start) * PAGE_BYTES) as usize];
                let read = memory.read_at(&mut bytes, run.start * PAGE_BYTES).unwrap_or(0);
                bytes.truncate(read);
                runs.push(bytes);
            }
        }
        assert!(runs.iter().map(Vec::len).sum::<usize>() > 1 << 20, "there is memory to look at");
        Self { runs }
    }

    /// How often these bytes are in it.
    pub fn count(&self, needle: &[u8]) -> usize {
        let finder = Finder::new(needle);
        self.runs.iter().map(|run| finder.find_iter(run).count()).sum()
    }

    /// The names of those of these traces that are in it.
    pub fn holds<'a>(&self, traces: &'a [Trace]) -> Vec<&'a str> {
        traces.iter().filter(|trace| self.count(&trace.bytes) > 0).map(|trace| trace.name.as_str()).collect()
    }
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

/// Waits until nothing of this is in the memory of the process.
pub async fn forgotten(process: u32, traces: &[Trace], within: Duration) {
    let deadline = Instant::now() + within;
    loop {
        let image = Image::of(process);
        let left = image.holds(traces);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "after {within:?} there is still in memory: {left:?}");
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
        Self(process)
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
