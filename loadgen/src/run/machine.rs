//! The machine that a run was made on, and the CPUs that this program keeps to.

use std::fs;

use serde::{Deserialize, Serialize};

/// What a reader has to know to compare figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// CPUs that this program may run on.
    pub cpus: usize,
    /// CPUs of the machine.
    #[serde(default)]
    pub all_cpus: usize,
    /// Name of the CPU.
    pub cpu_model: String,
    /// Kernel release.
    pub kernel: String,
    /// Memory in bytes.
    pub memory_bytes: u64,
}

impl Machine {
    /// This machine.
    pub fn here() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |path: &str, name: &str| {
            let found = text(path).lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                (key.trim() == name).then(|| value.trim().to_string())
            });
            found.unwrap_or_default()
        };
        let kilobytes: u64 =
            field("/proc/meminfo", "MemTotal").split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        Self {
            cpus: std::thread::available_parallelism().map_or(1, Into::into),
            all_cpus: text("/proc/cpuinfo").lines().filter(|line| line.starts_with("processor")).count(),
            cpu_model: field("/proc/cpuinfo", "model name"),
            kernel: text("/proc/sys/kernel/osrelease").trim().to_string(),
            memory_bytes: kilobytes * 1024,
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cpus, all_cpus, cpu_model, kernel, memory_bytes } = self;
        let gib = *memory_bytes as f64 / 1024f64.powi(3);
        write!(f, "{cpus} of {all_cpus} CPUs ({cpu_model}), {gib:.0} GiB, Linux {kernel}")
    }
}

/// Datagrams that this machine's kernel dropped for want of buffer, all sockets together.
pub fn udp_buffer_errors() -> u64 {
    let text = fs::read_to_string("/proc/net/snmp").unwrap_or_default();
    let mut lines = text.lines().filter(|line| line.starts_with("Udp:"));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return 0 };
    names
        .split_whitespace()
        .zip(values.split_whitespace())
        .filter(|(name, _)| matches!(*name, "RcvbufErrors" | "SndbufErrors"))
        .filter_map(|(_, value)| value.parse::<u64>().ok())
        .sum()
}

/// Keeps this program to some CPUs: `1`, `0,2`, `0-3`.
pub fn pin(list: &str) -> Result<(), String> {
    let bad = || format!("--cpus: \"{list}\" is not a list of CPUs as 1 or 0-3");
    // SAFETY: an all-zero cpu_set_t is the empty set.
    #[allow(unsafe_code)]
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: usize = first.parse().map_err(|_| bad())?;
        let last: usize = last.parse().map_err(|_| bad())?;
        if first > last || last >= libc::CPU_SETSIZE as usize {
            return Err(bad());
        }
        for cpu in first..=last {
            // SAFETY: `cpu` is below CPU_SETSIZE.
            #[allow(unsafe_code)]
            unsafe {
                libc::CPU_SET(cpu, &mut set);
            }
        }
    }
    // SAFETY: `set` is a whole cpu_set_t; 0 means the calling thread, from which all others descend.
    #[allow(unsafe_code)]
    let result = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
    if result == 0 { Ok(()) } else { Err(format!("--cpus {list}: {}", std::io::Error::last_os_error())) }
}

/// Open files beside the connections: files, standard streams, and connections that are on their way out.
const SPARE_FILES: u64 = 200;

/// Asks for as many open files as so many TCP connections need; an error says what the limit is.
pub fn allow_open_files(connections: u64) -> Result<(), String> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` lives across both calls; the first fills it in, the second copies it.
    #[allow(unsafe_code)]
    let refused = unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) != 0 {
            return Ok(());
        }
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) != 0
    };
    if refused || connections.saturating_add(SPARE_FILES) > limit.rlim_max {
        return Err(format!(
            "{connections} connections over TCP need as many open files and {SPARE_FILES} more, and the limit is {}: \
             raise it (ulimit -n, as root) or open fewer",
            limit.rlim_max
        ));
    }
    Ok(())
}

/// Asks for timers as fine as the kernel has them; the default rounds every sleep up by 50 us.
pub fn fine_timers() {
    // SAFETY: PR_SET_TIMERSLACK takes one number and concerns the calling thread alone.
    #[allow(unsafe_code)]
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_cpu_memory_and_a_kernel() {
        let machine = Machine::here();
        assert!(machine.cpus >= 1 && machine.memory_bytes > 1 << 20 && !machine.kernel.is_empty());
    }

    #[test]
    fn more_connections_than_files_are_refused_beforehand() {
        assert!(allow_open_files(10).is_ok());
        assert!(allow_open_files(u64::MAX).unwrap_err().contains("ulimit -n"));
    }

    #[test]
    fn nonsense_is_not_a_list_of_cpus() {
        for list in ["", "x", "3-1", "0-99999"] {
            assert!(pin(list).unwrap_err().contains("--cpus"), "{list}");
        }
    }
}
