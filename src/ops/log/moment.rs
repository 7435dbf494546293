//! When it is, by two clocks: one that people set, and one that nobody can.

use std::time::SystemTime;

use crate::calendar::unix_s;

/// A moment. Ages are taken from the time since the machine's start, which no setting of a clock changes; the time of day
/// counts where the machine has been started anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Seconds since 1970, by a clock that may be wrong.
    pub wall_s: u64,
    /// Seconds since the machine was started, in sleep too.
    pub up_s: u64,
}

impl Moment {
    /// Now.
    pub fn now() -> Self {
        Self { wall_s: unix_s(SystemTime::now()), up_s: up_s() }
    }
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)] // std has no clock that goes on in sleep.
fn up_s() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime writes the one structure, which lives in this frame.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    time.tv_sec.unsigned_abs()
}

/// Elsewhere than on Linux: since the process was started, which then counts as a start of the machine.
#[cfg(not(target_os = "linux"))]
fn up_s() -> u64 {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed().as_secs()
}

/// Which start of the machine this is, in eight hexadecimal digits. Where the system does not tell, each start of the
/// program counts as one: then files of before are taken for older than they are, never for younger.
pub(super) fn boot() -> String {
    let told = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = told.chars().filter(char::is_ascii_hexdigit).take(8).collect();
    if cfg!(target_os = "linux") && digits.len() == 8 {
        return digits;
    }
    let mut random = [0; 4];
    // Without randomness all are one start: the clock since then is compared, which still only goes on.
    let _ = getrandom::fill(&mut random);
    format!("{:08x}", u32::from_be_bytes(random))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_since_the_start_goes_on() {
        assert!(Moment::now().up_s > 0 || !cfg!(target_os = "linux"));
        assert_eq!(boot().len(), 8);
        assert_eq!(boot() == boot(), cfg!(target_os = "linux"));
    }
}
