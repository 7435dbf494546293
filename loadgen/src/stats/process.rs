//! What a process costs, read from /proc: CPU time, memory, context switches.
//!
//! In: a process id. Out: [`Usage`], to be subtracted from a later one.

use std::fs;

use serde::{Deserialize, Serialize};

/// What a process has used up to a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time of all its threads, user and system, in seconds.
    pub cpu_s: f64,
    /// Resident memory in bytes.
    pub rss_bytes: u64,
    /// Times that a thread gave up the CPU by itself.
    pub voluntary_switches: u64,
    /// Times that a thread was made to give it up.
    pub involuntary_switches: u64,
    /// Threads.
    pub threads: u64,
}

/// Reads a process; an error says why it cannot be read.
pub fn usage(pid: u32) -> Result<Usage, String> {
    let stat = read(pid, "stat")?;
    // The command name, in parentheses, may itself contain spaces and parentheses.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let field = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    let resident_pages: u64 =
        read(pid, "statm")?.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    let (voluntary_switches, involuntary_switches) = switches(pid);
    Ok(Usage {
        cpu_s: cpu_clock(pid).unwrap_or_else(|| (field(11) + field(12)) as f64 / ticks_per_second()),
        rss_bytes: resident_pages * page_bytes(),
        voluntary_switches,
        involuntary_switches,
        threads: field(17),
    })
}

fn read(pid: u32, file: &str) -> Result<String, String> {
    fs::read_to_string(format!("/proc/{pid}/{file}")).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            format!("no process {pid}: --server-pid names one that is not running")
        }
        _ => format!("/proc/{pid}/{file} cannot be read: {error}"),
    })
}

/// Context switches of all threads; /proc/PID/status counts the first thread alone.
fn switches(pid: u32) -> (u64, u64) {
    let mut sums = (0, 0);
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return sums };
    for task in tasks.flatten() {
        let Ok(status) = fs::read_to_string(task.path().join("status")) else { continue };
        for line in status.lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim().parse().unwrap_or(0);
            match name {
                "voluntary_ctxt_switches" => sums.0 += value,
                "nonvoluntary_ctxt_switches" => sums.1 += value,
                _ => {}
            }
        }
    }
    sums
}

/// The CPU clock of a process, in seconds: exact, where /proc counts in hundredths. `None` where it may not be read.
fn cpu_clock(pid: u32) -> Option<f64> {
    let mut clock: libc::clockid_t = 0;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both results live across the calls that fill them in.
    #[allow(unsafe_code)]
    let found = unsafe {
        libc::clock_getcpuclockid(pid.try_into().ok()?, &raw mut clock) == 0
            && libc::clock_gettime(clock, &raw mut time) == 0
    };
    found.then_some(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
}

/// CPU time of a whole machine since it started, in seconds over all CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MachineTime {
    /// Used by programs and by the kernel for them.
    pub used_s: f64,
    /// Taken away by the hypervisor for other machines.
    pub stolen_s: f64,
}

/// Reads /proc/stat; zeros where there is none.
pub fn machine_time() -> MachineTime {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let Some(line) = text.lines().find_map(|line| line.strip_prefix("cpu ")) else {
        return MachineTime::default();
    };
    // user, nice, system, idle, iowait, irq, softirq, steal (proc(5)).
    let ticks: Vec<f64> = line.split_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect();
    let at = |index: usize| ticks.get(index).copied().unwrap_or(0.0) / ticks_per_second();
    MachineTime { used_s: at(0) + at(1) + at(2), stolen_s: at(7) }
}

fn ticks_per_second() -> f64 {
    system_constant(libc::_SC_CLK_TCK, 100) as f64
}

fn page_bytes() -> u64 {
    system_constant(libc::_SC_PAGESIZE, 4096)
}

fn system_constant(name: libc::c_int, otherwise: u64) -> u64 {
    // SAFETY: sysconf reads a constant and touches no memory of ours.
    #[allow(unsafe_code)]
    let value = unsafe { libc::sysconf(name) };
    u64::try_from(value).unwrap_or(otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_cpu() {
        let before = usage(std::process::id()).expect("own process");
        let mut sum = 0u64;
        while usage(std::process::id()).expect("own process").cpu_s - before.cpu_s < 0.03 {
            sum = (0..1_000_000).fold(sum, |sum, value| std::hint::black_box(sum ^ value));
        }
        assert!(before.rss_bytes > 100_000);
        assert!(before.threads >= 1);
    }

    #[test]
    fn the_clock_of_a_process_is_finer_than_a_tick() {
        let pid = std::process::id();
        let mut steps = 0;
        let began = usage(pid).expect("own process").cpu_s;
        let mut last = began;
        while steps < 5 {
            let now = cpu_clock(pid).expect("own process");
            assert!(now >= last);
            steps += u32::from(now > last);
            last = now;
        }
        assert!(last - began < 0.1, "{}", last - began);
        assert!(machine_time().used_s >= last);
    }

    #[test]
    fn a_process_that_is_not_there_is_named_in_the_error() {
        assert!(usage(u32::MAX).unwrap_err().contains("4294967295"));
    }
}
