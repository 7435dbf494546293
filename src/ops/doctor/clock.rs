//! The clock on the wall: certificates and TURN credentials begin and expire by it.

use std::time::{Duration, SystemTime};

use super::Finding;

/// Nothing that this program meets was made before it: 2026-01-01.
const NOT_BEFORE: Duration = Duration::from_secs(1_767_225_600);

/// Whether the clock can be right, and is kept right.
pub fn clock(is_synchronised: Option<bool>, now: SystemTime) -> Finding {
    const ABOUT: &str = "clock";
    let mend = "timedatectl set-ntp true";
    if now < SystemTime::UNIX_EPOCH + NOT_BEFORE {
        let what = "it shows a time before this program was made: no certificate holds";
        return Finding::ill(ABOUT, what, mend);
    }
    match is_synchronised {
        Some(true) => Finding::well(ABOUT, "synchronised"),
        Some(false) => Finding::ill(
            ABOUT,
            "nothing keeps it right: once it is wrong by minutes, relays refuse credentials",
            mend,
        ),
        None => Finding::unknown(ABOUT, "this system does not tell whether it is synchronised"),
    }
}

/// What the kernel says about it.
#[cfg(target_os = "linux")]
pub fn is_synchronised() -> Option<bool> {
    // SAFETY: all fields of the structure are integers, for which zero is a value.
    #[allow(unsafe_code)]
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: with `modes` 0 the call only writes into the structure, which lives as long as the call.
    #[allow(unsafe_code)]
    let result = unsafe { libc::adjtimex(&raw mut state) };
    (result >= 0).then_some(result != libc::TIME_ERROR && state.status & libc::STA_UNSYNC == 0)
}

/// What the kernel says about it: elsewhere, nothing.
#[cfg(not(target_os = "linux"))]
pub fn is_synchronised() -> Option<bool> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_runs_free_or_stands_in_the_past_is_found() {
        let now = SystemTime::now();
        assert!(!clock(Some(true), now).is_ill());
        assert!(clock(Some(false), now).is_ill());
        let found = clock(Some(true), SystemTime::UNIX_EPOCH + Duration::from_secs(86_400));
        assert!(found.is_ill() && found.to_string().contains("timedatectl"), "{found}");
        assert!(!clock(None, now).is_ill());
        #[cfg(target_os = "linux")]
        assert!(is_synchronised().is_some());
    }
}
