//! What keeps the memory of the process in memory: no core dumps, no reading by other programs of the same user, no swap.
//!
//! The system may not allow all of it. What it does not is told, with what the operator can do, and the server runs.

#![allow(unsafe_code)] // Limits and flags of the process are system calls without a safe front.

use std::fs;
use std::io;

/// Turns core dumps off, and keeps other programs of the same user from reading the memory. The first thing that the program
/// does: there is no secret before it. Returns what could not be done, in words for the operator.
pub fn forbid_dumps() -> Vec<String> {
    let mut undone = Vec::new();
    if let Err(error) = set_dumpable(false) {
        undone.push(format!("a debugger of the same user can read this program's memory: {error}"));
    }
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: setrlimit reads the one structure, which lives in this frame.
    if unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) } != 0 {
        let error = io::Error::last_os_error();
        undone.push(format!("a crash may write memory to disk: {error}; set LimitCORE=0 for the service"));
    }
    undone
}

/// Lets a debugger of the same user read the memory, for the tests that search it.
pub fn allow_reading_for_tests() -> io::Result<()> {
    set_dumpable(true)
}

#[cfg(target_os = "linux")]
fn set_dumpable(on: bool) -> io::Result<()> {
    // SAFETY: PR_SET_DUMPABLE takes a number and touches no memory of this program.
    match unsafe { libc::prctl(libc::PR_SET_DUMPABLE, libc::c_ulong::from(on)) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Elsewhere than on Linux there is nothing to set.
#[cfg(not(target_os = "linux"))]
fn set_dumpable(_: bool) -> io::Result<()> {
    Ok(())
}

/// Keeps the memory out of swap. The error says why it cannot, and what to do.
#[cfg(target_os = "linux")]
pub fn lock() -> Result<(), String> {
    const ADVICE: &str = "set LimitMEMLOCK=infinity for the service, or turn swap off";
    // Beyond the limit memory could not be had at all later, so it has to be without one.
    if !is_lock_unlimited() {
        return Err(format!("the system limits what may be locked; {ADVICE}"));
    }
    // As pages are touched: the allocator reserves far more than it uses.
    let flags = libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT;
    // SAFETY: mlockall takes flags; it changes how pages are kept, not what is in them.
    match unsafe { libc::mlockall(flags) } {
        0 => Ok(()),
        _ => Err(format!("{}; {ADVICE}", io::Error::last_os_error())),
    }
}

/// Keeps the memory out of swap. The error says why it cannot, and what to do.
#[cfg(not(target_os = "linux"))]
pub fn lock() -> Result<(), String> {
    Err("that is done on Linux only; turn swap off".to_owned())
}

#[cfg(target_os = "linux")]
fn is_lock_unlimited() -> bool {
    /// The bit of `CAP_IPC_LOCK`, to whom the limit does not apply.
    const IPC_LOCK: u32 = 14;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: getrlimit writes the one structure, which lives in this frame.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) } == 0;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let capabilities = capabilities.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    (known && limit.rlim_cur == libc::RLIM_INFINITY) || capabilities >> IPC_LOCK & 1 == 1
}

/// Whether this program's memory may reach a disk by swapping: the system swaps, and no limit keeps this program out of it.
pub fn may_be_swapped() -> bool {
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    swaps.lines().count() > 1 && !is_swap_forbidden()
}

/// Whether the control group has no swap (systemd: `MemorySwapMax=0`).
fn is_swap_forbidden() -> bool {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    let limit = |group: &str| fs::read_to_string(format!("/sys/fs/cgroup/{group}/memory.swap.max")).ok();
    group.and_then(limit).is_some_and(|limit| limit.trim() == "0")
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn dumps_are_off() {
        assert_eq!(forbid_dumps(), Vec::<String>::new());
        // SAFETY: PR_GET_DUMPABLE takes nothing and gives a number.
        assert_eq!(unsafe { libc::prctl(libc::PR_GET_DUMPABLE) }, 0);
        let limits = fs::read_to_string("/proc/self/limits").expect("the limits of this process");
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
        let numbers: Vec<_> = core.split_whitespace().skip(4).take(2).collect();
        assert_eq!(numbers, ["0", "0"]);
    }
}
