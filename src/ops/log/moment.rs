//! When it is, by two clocks: one that people set, and one that nobody can.

use std::time::{SystemTime, UNIX_EPOCH};

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
        Self { wall_s: wall_s(SystemTime::now()), up_s: up_s() }
    }
}

fn wall_s(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
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

/// Seconds since 1970 as `2026-11-23T14:05:09Z`.
pub(super) fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The Gregorian date of a day counted from 1970-01-01. A year is taken to begin in March, so that the leap day is its last
/// and the months' lengths follow one formula.
fn civil(days: u64) -> (u64, u64, u64) {
    const ERA_DAYS: u64 = 146_097; // 400 years
    let since_0000 = days + 719_468; // 0000-03-01 to 1970-01-01
    let (era, day) = (since_0000 / ERA_DAYS, since_0000 % ERA_DAYS);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next_year, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_in_rfc_3339() {
        let told = [
            (0, "1970-01-01T00:00:00Z"),
            (951_827_696, "2000-02-29T12:34:56Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (seconds, expected) in told {
            assert_eq!(utc(seconds), expected);
        }
    }

    #[test]
    fn the_clock_since_the_start_goes_on() {
        assert!(Moment::now().up_s > 0 || !cfg!(target_os = "linux"));
        assert_eq!(boot().len(), 8);
        assert_eq!(boot() == boot(), cfg!(target_os = "linux"));
    }
}
