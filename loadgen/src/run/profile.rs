//! Where the server's CPU goes while it is measured: `perf`, with the software clock, so that it works in a virtual
//! machine too.
//!
//! In: a process. Out: a [`Profile`]: the entries that took most samples, and shares by part.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Samples a second: a prime, so that nothing periodic keeps step with them.
const FREQUENCY: &str = "997";
/// Entries that a profile lists.
const ENTRIES: usize = 20;

/// Where a process's CPU went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Samples taken.
    pub samples: u64,
    /// The entries with most samples, the largest first.
    pub entries: Vec<Entry>,
    /// Shares by part of the program, the largest first.
    pub parts: Vec<Part>,
}

/// One function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Share of all samples, from 0 to 1.
    pub share: f64,
    /// Its name.
    pub symbol: String,
    /// The program, library or kernel that it is of.
    pub module: String,
}

/// A part of the program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Share of all samples, from 0 to 1.
    pub share: f64,
    /// What it does.
    pub name: String,
}

/// Parts by what their functions' names hold; the first that fits counts. Kernel functions are told from the rest first.
const KERNEL: &[(&str, &[&str])] = &[
    (
        "kernel: memory",
        &["clear_page", "page_fault", "folio", "rmqueue", "alloc_pages", "_mm_", "pte", "lru"],
    ),
    (
        "kernel: scheduling",
        &["sched", "task_switch", "futex", "wake", "epoll", "ep_", "poll", "timer", "idle"],
    ),
    ("kernel: network", &[""]),
];
const PROGRAM: &[(&str, &[&str])] = &[
    (
        "cryptography",
        &["aws_lc", "curve25519", "ecp_nistz", "bn_", "aes", "gcm", "ghash", "sha256", "sha512", "zeroize"],
    ),
    ("TLS (rustls)", &["rustls", "webpki"]),
    ("QUIC (quinn-proto)", &["quinn"]),
    ("allocator", &["mi_", "mimalloc", "alloc::alloc", "__rust", "malloc", "Wiping"]),
    ("copies and zeros", &["memmove", "memcpy", "memset"]),
    ("the core", &["anoncam::core"]),
    ("the server's own code", &["anoncam"]),
    ("the rest", &[""]),
];

/// Takes samples until it is told to stop.
pub struct Sampler {
    perf: Child,
    directory: PathBuf,
}

impl Sampler {
    /// Whether `perf` is there.
    pub fn check() -> Result<(), String> {
        let version =
            Command::new("perf").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        match version {
            Ok(status) if status.success() => Ok(()),
            _ => Err("--profile needs perf (Debian: the package linux-perf)".into()),
        }
    }

    /// Starts to sample a process.
    pub fn start(pid: u32) -> Result<Self, String> {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let directory = std::env::temp_dir().join(format!("anoncam-profile-{}-{nanos}", std::process::id()));
        fs::create_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let perf = Command::new("perf")
            .args(["record", "-q", "-F", FREQUENCY, "-e", "cpu-clock", "-p", &pid.to_string(), "-o"])
            .arg(directory.join("data"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match perf {
            Ok(perf) => Ok(Self { perf, directory }),
            Err(error) => {
                let _ = fs::remove_dir(&directory);
                Err(format!("perf cannot be started: {error}"))
            }
        }
    }

    /// Ends it and reads what was sampled.
    pub fn stop(mut self) -> Result<Profile, String> {
        // SAFETY: the child has not been waited for, so its number is still its own.
        #[allow(unsafe_code)]
        unsafe {
            libc::kill(self.perf.id().cast_signed(), libc::SIGINT);
        }
        let _ = self.perf.wait();
        let report = Command::new("perf")
            .args([
                "report",
                "--stdio",
                "--no-children",
                "--sort",
                "dso,symbol",
                "-F",
                "overhead,sample,dso,sym",
            ])
            .args(["-t", "|", "-i"])
            .arg(self.directory.join("data"))
            .stderr(Stdio::null())
            .output()
            .map_err(|error| format!("perf report: {error}"))?;
        let profile = parse(&String::from_utf8_lossy(&report.stdout));
        if profile.samples == 0 {
            return Err("perf took no samples: may it watch the server (kernel.perf_event_paranoid)?".into());
        }
        Ok(profile)
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        let _ = self.perf.kill();
        let _ = self.perf.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Reads perf's table: `overhead|samples|module|[k] symbol`, with further columns that do not matter.
fn parse(table: &str) -> Profile {
    let mut found: Vec<(u64, String, String)> = Vec::new();
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split('|').map(str::trim).skip(1);
        let (Some(Ok(samples)), Some(module), Some(symbol)) =
            (fields.next().map(str::parse::<u64>), fields.next(), fields.next())
        else {
            continue;
        };
        let symbol = symbol.split_once("] ").map_or(symbol, |(_, name)| name);
        match found.iter_mut().find(|(_, name, of)| name == symbol && of == module) {
            // The same function, compiled several times.
            Some((sum, ..)) => *sum += samples,
            None => found.push((samples, symbol.into(), module.into())),
        }
    }
    let samples: u64 = found.iter().map(|(samples, ..)| samples).sum();
    let share = |of: u64| of as f64 / samples.max(1) as f64;
    let mut parts: Vec<Part> = Vec::new();
    for (count, symbol, module) in &found {
        let name = part_of(symbol, module);
        match parts.iter_mut().find(|part| part.name == name) {
            Some(part) => part.share += share(*count),
            None => parts.push(Part { share: share(*count), name: name.into() }),
        }
    }
    parts.sort_by(|a, b| b.share.total_cmp(&a.share));
    found.sort_by_key(|(count, ..)| std::cmp::Reverse(*count));
    found.truncate(ENTRIES);
    let entries =
        found.into_iter().map(|(count, symbol, module)| Entry { share: share(count), symbol, module });
    Profile { samples, entries: entries.collect(), parts }
}

fn part_of(symbol: &str, module: &str) -> &'static str {
    let parts =
        if module.starts_with("[kernel") || module.starts_with("[unknown]") { KERNEL } else { PROGRAM };
    let fits = |holds: &&[&str]| holds.iter().any(|text| symbol.contains(text));
    parts.iter().find(|(_, holds)| fits(holds)).map_or("the rest", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perfs_table_is_read() {
        let table = "# Overhead| Samples|Shared Object|Symbol |IPC\n 20.00%|20|[kernel.kallsyms]|[k] clear_page_erms |- -\n\
                     10.00%|10|[kernel.kallsyms]|[k] udp_sendmsg|-\n\n 30.00%|30|anoncam|[.] Lcurve25519_x25519_scalarloop|-\n\
                     15.00%|15|anoncam|[.] anoncam::core::shard::Shard::handle_relay|-\n\
                     15.00%|15|anoncam|[.] <Q as hashbrown::Equivalent<K>>::equivalent|-\n\
                     10.00%|10|anoncam|[.] <Q as hashbrown::Equivalent<K>>::equivalent|-\n#\n# (Tip: x)\n";
        let profile = parse(table);
        assert_eq!(profile.samples, 100);
        assert_eq!(profile.entries[0].symbol, "Lcurve25519_x25519_scalarloop");
        assert_eq!((profile.entries[1].share, profile.entries[1].module.as_str()), (0.25, "anoncam"));
        let share = |name: &str| profile.parts.iter().find(|part| part.name == name).map(|part| part.share);
        assert_eq!(share("kernel: memory"), Some(0.2));
        assert_eq!(share("kernel: network"), Some(0.1));
        assert_eq!(share("cryptography"), Some(0.3));
        assert_eq!(share("the core"), Some(0.15));
        assert_eq!(share("the rest"), Some(0.25));
    }
}
